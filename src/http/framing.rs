//! Finds requests whose length can be read in two ways, before hyper hides it.
//!
//! A request with both Transfer-Encoding and Content-Length is how request
//! smuggling begins; RFC 9112 §6.1 lets a server refuse it, and we do. hyper
//! takes the chunked reading and drops the other field, so that the service
//! cannot see it. This scanner follows the bytes of an HTTP/1.1 connection from
//! head to head. It decides nothing else: what it cannot follow it refuses too.

use std::borrow::Cow;

/// The longest line of a chunked body that is followed.
const MAX_CHUNK_LINE: usize = 4096;

/// Where in the stream of requests the scanner is.
#[derive(Debug)]
enum Place {
    /// In a head; the bytes of its current line.
    Head(Vec<u8>),
    /// In a body of known length: bytes left.
    Fixed(u64),
    /// In the line before a chunk.
    ChunkSize(Vec<u8>),
    /// In a chunk and the line end behind it: bytes left.
    Chunk(u64),
    /// In the trailer behind the last chunk; the length of the current line.
    Trailer(usize),
    /// Lost, and everything from here is refused.
    Lost,
}

/// A scanner of one connection's incoming bytes.
#[derive(Debug)]
pub(super) struct Framing {
    place: Place,
    max_line: usize,
    started: bool,
    chunked: bool,
    length: Option<u64>,
}

/// The stream cannot be trusted from here on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Ambiguous;

impl Framing {
    /// At the start of a connection whose lines are at most this long.
    pub(super) fn new(max_line: usize) -> Framing {
        Framing {
            place: Place::Head(Vec::new()),
            max_line,
            started: false,
            chunked: false,
            length: None,
        }
    }

    /// Follows the next bytes.
    pub(super) fn feed(&mut self, mut bytes: &[u8]) -> Result<(), Ambiguous> {
        while !bytes.is_empty() {
            let used = self.step(bytes)?;
            bytes = bytes.get(used..).unwrap_or_default();
        }
        Ok(())
    }

    fn step(&mut self, bytes: &[u8]) -> Result<usize, Ambiguous> {
        match &mut self.place {
            Place::Lost => return Err(Ambiguous),
            Place::Fixed(left) | Place::Chunk(left) => {
                let here = (bytes.len() as u64).min(*left);
                *left -= here;
                if *left == 0 {
                    self.place = if matches!(self.place, Place::Fixed(_)) {
                        Place::Head(Vec::new())
                    } else {
                        Place::ChunkSize(Vec::new())
                    };
                }
                return Ok(usize::try_from(here).unwrap_or(bytes.len()));
            }
            Place::Head(_) | Place::ChunkSize(_) | Place::Trailer(_) => {}
        }
        match bytes.iter().position(|byte| *byte == b'\n') {
            Some(end) => {
                let (line, _) = bytes.split_at_checked(end).unwrap_or((bytes, &[]));
                self.line(line)?;
                Ok(end + 1)
            }
            None => {
                self.begin_line(bytes)?;
                Ok(bytes.len())
            }
        }
    }

    /// Keeps the beginning of a line whose end has not come.
    fn begin_line(&mut self, bytes: &[u8]) -> Result<(), Ambiguous> {
        let fits = match &mut self.place {
            Place::Head(start) => extend(start, bytes, self.max_line),
            Place::ChunkSize(start) => extend(start, bytes, MAX_CHUNK_LINE),
            Place::Trailer(length) => {
                *length += without_returns(bytes);
                true
            }
            Place::Fixed(_) | Place::Chunk(_) | Place::Lost => true,
        };
        if fits { Ok(()) } else { self.lost() }
    }

    /// Follows a line, of which this is the end, or all there is of it.
    fn line(&mut self, end: &[u8]) -> Result<(), Ambiguous> {
        if let Place::Trailer(length) = &self.place {
            self.place = if *length + without_returns(end) == 0 {
                Place::Head(Vec::new())
            } else {
                Place::Trailer(0)
            };
            return Ok(());
        }
        let (start, limit) = match &mut self.place {
            Place::Head(start) => (std::mem::take(start), self.max_line),
            Place::ChunkSize(start) => (std::mem::take(start), MAX_CHUNK_LINE),
            Place::Fixed(_) | Place::Chunk(_) | Place::Trailer(_) | Place::Lost => return Ok(()),
        };
        // Most lines come whole, and are read where they are.
        let line = match start.is_empty() {
            true => Cow::Borrowed(end),
            false => Cow::Owned([&*start, end].concat()),
        };
        if line.len() > limit {
            return self.lost();
        }
        if matches!(self.place, Place::Head(_)) {
            return self.head_line(line.strip_suffix(b"\r").unwrap_or(&line));
        }
        self.place = match chunk_size(&line) {
            Some(0) => Place::Trailer(0),
            Some(size) => Place::Chunk(size.saturating_add(2)),
            None => return self.lost(),
        };
        Ok(())
    }

    fn head_line(&mut self, line: &[u8]) -> Result<(), Ambiguous> {
        if line.is_empty() {
            if self.started {
                self.end_of_head()?;
            }
            return Ok(());
        }
        self.started = true;
        let Some(colon) = line.iter().position(|byte| *byte == b':') else {
            return Ok(());
        };
        let (name, value) = line.split_at(colon);
        let name = name.trim_ascii();
        if name.eq_ignore_ascii_case(b"transfer-encoding") {
            self.chunked = true;
        } else if name.eq_ignore_ascii_case(b"content-length") {
            let value = value.get(1..).unwrap_or_default().trim_ascii();
            let number = std::str::from_utf8(value)
                .ok()
                .and_then(|text| text.parse().ok());
            let Some(number) = number else {
                return self.lost();
            };
            if self.length.is_some_and(|length| length != number) {
                return self.lost();
            }
            self.length = Some(number);
        }
        Ok(())
    }

    fn end_of_head(&mut self) -> Result<(), Ambiguous> {
        self.place = match (self.chunked, self.length) {
            (true, Some(_)) => {
                self.place = Place::Lost;
                return Err(Ambiguous);
            }
            (true, None) => Place::ChunkSize(Vec::new()),
            (false, None | Some(0)) => Place::Head(Vec::new()),
            (false, Some(length)) => Place::Fixed(length),
        };
        self.started = false;
        self.chunked = false;
        self.length = None;
        Ok(())
    }

    fn lost(&mut self) -> Result<(), Ambiguous> {
        self.place = Place::Lost;
        Err(Ambiguous)
    }
}

/// Whether the line, made longer by these bytes, is no longer than `limit`.
fn extend(line: &mut Vec<u8>, bytes: &[u8], limit: usize) -> bool {
    line.extend_from_slice(bytes);
    line.len() <= limit
}

fn without_returns(bytes: &[u8]) -> usize {
    bytes.iter().filter(|byte| **byte != b'\r').count()
}

/// RFC 9112 §7.1
fn chunk_size(line: &[u8]) -> Option<u64> {
    let size = line.split(|byte| *byte == b';').next()?.trim_ascii();
    if size.is_empty() || !size.iter().all(u8::is_ascii_hexdigit) {
        return None;
    }
    u64::from_str_radix(std::str::from_utf8(size).ok()?, 16).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Fed whole and byte by byte, the answer must be the same.
    fn check(stream: &str, expected: Result<(), Ambiguous>) {
        assert_eq!(
            Framing::new(8192).feed(stream.as_bytes()),
            expected,
            "{stream:?}"
        );
        let mut framing = Framing::new(8192);
        let mut result = Ok(());
        for byte in stream.as_bytes() {
            result = framing.feed(&[*byte]);
            if result.is_err() {
                break;
            }
        }
        assert_eq!(result, expected, "byte by byte: {stream:?}");
    }

    #[test]
    fn both_lengths_are_refused_in_either_order_and_in_any_request() {
        let get = "GET / HTTP/1.1\r\nHost: a\r\n\r\n";
        let put = "PUT /a HTTP/1.1\r\nContent-Length: 30\r\n\r\nTransfer-Encoding: chunked\r\n\r\n";
        let chunked = "PUT /a HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\n5;x=y\r\nhello\r\n0\r\nTrailer: a\r\n\r\n";
        check(get, Ok(()));
        check(&format!("{get}{put}{get}{chunked}{put}\r\n{get}"), Ok(()));
        for bad in [
            "POST / HTTP/1.1\r\nContent-Length: 5\r\nTransfer-Encoding: chunked\r\n\r\n",
            "POST / HTTP/1.1\r\ntransfer-encoding: chunked\r\nX: y\r\ncontent-LENGTH: 0\r\n\r\n",
            "POST / HTTP/1.1\nTransfer-Encoding: x\nContent-Length: 5\n\n",
            "POST / HTTP/1.1\r\nContent-Length: 5\r\nContent-Length: 6\r\n\r\n",
            "POST / HTTP/1.1\r\nContent-Length: 5, 5\r\n\r\n",
            "POST / HTTP/1.1\r\nContent-Length: -5\r\n\r\n",
        ] {
            check(bad, Err(Ambiguous));
            check(&format!("{get}{bad}"), Err(Ambiguous));
            check(&format!("{put}{chunked}{bad}"), Err(Ambiguous));
        }
    }

    #[test]
    fn what_cannot_be_followed_is_refused() {
        check(
            "PUT / HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\nxyz\r\n",
            Err(Ambiguous),
        );
        check(
            "PUT / HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\n\r\n",
            Err(Ambiguous),
        );
        check(
            &format!("GET /{} HTTP/1.1\r\n\r\n", "a".repeat(9000)),
            Err(Ambiguous),
        );
    }
}
