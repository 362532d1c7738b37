//! A small HTTP/1.1 client for tests: it sends exactly what a case says and keeps what came back.
//!
//! It is not the server's own code on purpose, so that both cannot be wrong in the same way (RFC 9110, 9112).
//!
//! **Gaps**: no HTTP/2, no content codings, one connection per request.

use std::io::{self, BufRead, BufReader, Read, Write};
use std::net::{TcpStream, ToSocketAddrs};
use std::time::Duration;

use super::tls::Trust;

/// The longest wait for a connection, and for each read.
const PATIENCE: Duration = Duration::from_secs(60);
/// The largest answer that is read.
const MAX_ANSWER_BYTES: u64 = 256 * 1024 * 1024;

/// Where a server listens, and the path under which it is asked.
#[derive(Debug, Clone)]
pub struct Origin {
    /// Host and port as written in the URL.
    pub authority: String,
    /// The path of the URL, ending with a slash.
    pub path: String,
    /// Whose certificates are believed, if the URL is `https`.
    tls: Option<Trust>,
}

impl Origin {
    /// The parts of an `http://` URL.
    pub fn parse(url: &str) -> Result<Origin, String> {
        Origin::trusting(url, None)
    }

    /// The parts of an `http://` URL, or of an `https://` one with whose certificates to believe.
    pub fn trusting(url: &str, trust: Option<Trust>) -> Result<Origin, String> {
        let (scheme, rest) = url
            .split_once("://")
            .ok_or_else(|| format!("{url}: is no URL"))?;
        let tls = match (scheme, trust) {
            ("http", _) => None,
            ("https", Some(trust)) => Some(trust),
            ("https", None) => return Err(format!("{url}: https needs `ca` or `insecure`")),
            _ => return Err(format!("{url}: is neither http:// nor https://")),
        };
        let (authority, path) = match rest.split_once('/') {
            Some((authority, path)) => (authority, format!("/{path}")),
            None => (rest, "/".to_owned()),
        };
        let path = if path.ends_with('/') {
            path
        } else {
            format!("{path}/")
        };
        Ok(Origin {
            authority: authority.to_owned(),
            path,
            tls,
        })
    }

    fn scheme(&self) -> (&'static str, u16) {
        match self.tls {
            None => ("http", 80),
            Some(_) => ("https", 443),
        }
    }

    /// `http://host:port`, without a path.
    pub fn url(&self) -> String {
        format!("{}://{}", self.scheme().0, self.authority)
    }

    fn address(&self) -> String {
        let has_port = self
            .authority
            .rsplit_once(':')
            .is_some_and(|(_, p)| p.parse::<u16>().is_ok());
        if has_port {
            self.authority.clone()
        } else {
            format!("{}:{}", self.authority, self.scheme().1)
        }
    }
}

/// A request as it goes out.
#[derive(Debug, Clone, Default)]
pub struct Question {
    /// The method.
    pub method: String,
    /// Path and query.
    pub target: String,
    /// Header fields, in order, without Host and Content-Length.
    pub headers: Vec<(String, String)>,
    /// The body.
    pub body: Option<Vec<u8>>,
}

/// A response as it came in.
#[derive(Debug, Clone, Default)]
pub struct Answer {
    /// The status code.
    pub status: u16,
    /// Header fields, in order.
    pub headers: Vec<(String, String)>,
    /// The body, transfer coding removed.
    pub body: Vec<u8>,
}

impl Answer {
    /// The values of all header fields with this name, joined with a comma.
    pub fn header(&self, name: &str) -> Option<String> {
        let values: Vec<&str> = self
            .headers
            .iter()
            .filter(|(n, _)| n.eq_ignore_ascii_case(name))
            .map(|(_, v)| v.as_str())
            .collect();
        (!values.is_empty()).then(|| values.join(", "))
    }

    /// The body as text; bytes that are not UTF-8 are replaced.
    pub fn text(&self) -> String {
        String::from_utf8_lossy(&self.body).into_owned()
    }
}

/// Sends one request and reads its answer.
pub fn ask(origin: &Origin, question: &Question) -> io::Result<Answer> {
    let mut last = io::Error::other("the host has no address");
    for address in origin.address().to_socket_addrs()? {
        match TcpStream::connect_timeout(&address, PATIENCE) {
            Ok(stream) => return ask_on(stream, origin, question),
            Err(error) => last = error,
        }
    }
    Err(last)
}

fn ask_on(stream: TcpStream, origin: &Origin, question: &Question) -> io::Result<Answer> {
    stream.set_read_timeout(Some(PATIENCE))?;
    stream.set_write_timeout(Some(PATIENCE))?;
    stream.set_nodelay(true)?;
    match &origin.tls {
        None => exchange(stream, origin, question),
        Some(trust) => exchange(trust.stream(stream, &origin.authority)?, origin, question),
    }
}

fn exchange(
    mut stream: impl Read + Write,
    origin: &Origin,
    question: &Question,
) -> io::Result<Answer> {
    // A server may refuse before it has read the body; its answer counts then, not the broken pipe.
    let sent = stream
        .write_all(&bytes(origin, question))
        .and_then(|()| stream.flush());
    let answer = read(&mut BufReader::new(&mut stream), &question.method);
    match (sent, answer) {
        (_, Ok(answer)) => Ok(answer),
        (Err(error), Err(_)) | (Ok(()), Err(error)) => Err(error),
    }
}

/// The request as bytes.
pub fn bytes(origin: &Origin, question: &Question) -> Vec<u8> {
    let mut head = format!("{} {} HTTP/1.1\r\n", question.method, question.target);
    let named = |name: &str| {
        question
            .headers
            .iter()
            .any(|(n, _)| n.eq_ignore_ascii_case(name))
    };
    if !named("host") {
        head.push_str(&format!("Host: {}\r\n", origin.authority));
    }
    for (name, value) in &question.headers {
        head.push_str(&format!("{name}: {value}\r\n"));
    }
    if !named("connection") {
        head.push_str("Connection: close\r\n");
    }
    let length = question.body.as_ref().map(Vec::len);
    let wants_length = length.is_some() || matches!(question.method.as_str(), "PUT" | "POST");
    if wants_length && !named("transfer-encoding") && !named("content-length") {
        head.push_str(&format!(
            "Content-Length: {}\r\n",
            length.unwrap_or_default()
        ));
    }
    head.push_str("\r\n");
    let mut out = head.into_bytes();
    out.extend_from_slice(question.body.as_deref().unwrap_or_default());
    out
}

/// Reads one answer to a question of this method.
pub fn read(reader: &mut impl BufRead, method: &str) -> io::Result<Answer> {
    loop {
        let status_line = line(reader)?;
        let status = status_line
            .split(' ')
            .nth(1)
            .and_then(|s| s.parse().ok())
            .ok_or_else(|| io::Error::other(format!("no status line but {status_line:?}")))?;
        let mut headers = Vec::new();
        loop {
            let field = line(reader)?;
            if field.is_empty() {
                break;
            }
            let (name, value) = field.split_once(':').unwrap_or((&field, ""));
            headers.push((name.trim().to_owned(), value.trim().to_owned()));
        }
        if (100..200).contains(&status) {
            continue;
        }
        let mut answer = Answer {
            status,
            headers,
            body: Vec::new(),
        };
        if method != "HEAD" && status != 204 && status != 304 {
            answer.body = body(reader, &answer)?;
        }
        return Ok(answer);
    }
}

fn body(reader: &mut impl BufRead, answer: &Answer) -> io::Result<Vec<u8>> {
    let chunked = answer
        .header("transfer-encoding")
        .is_some_and(|v| v.to_ascii_lowercase().contains("chunked"));
    if chunked {
        return chunks(reader);
    }
    let length = answer
        .header("content-length")
        .and_then(|v| v.parse::<u64>().ok());
    let mut body = Vec::new();
    reader
        .take(length.unwrap_or(MAX_ANSWER_BYTES).min(MAX_ANSWER_BYTES))
        .read_to_end(&mut body)?;
    match length {
        Some(length) if length != body.len() as u64 => {
            Err(io::Error::other("the body is shorter than its length"))
        }
        _ => Ok(body),
    }
}

fn chunks(reader: &mut impl BufRead) -> io::Result<Vec<u8>> {
    let mut body = Vec::new();
    loop {
        let size = line(reader)?;
        let digits = size.split(';').next().unwrap_or_default().trim();
        let size = u64::from_str_radix(digits, 16).map_err(io::Error::other)?;
        if size == 0 {
            while !line(reader)?.is_empty() {}
            return Ok(body);
        }
        reader.take(size).read_to_end(&mut body)?;
        line(reader)?;
        if body.len() as u64 > MAX_ANSWER_BYTES {
            return Err(io::Error::other("the answer is too large"));
        }
    }
}

fn line(reader: &mut impl BufRead) -> io::Result<String> {
    let mut bytes = Vec::new();
    reader.take(1024 * 1024).read_until(b'\n', &mut bytes)?;
    if bytes.last() != Some(&b'\n') {
        return Err(io::Error::new(
            io::ErrorKind::UnexpectedEof,
            "the answer ends in the middle",
        ));
    }
    Ok(String::from_utf8_lossy(&bytes)
        .trim_end_matches(['\r', '\n'])
        .to_owned())
}

/// The `Authorization` value of Basic authentication.
pub fn basic(name: &str, password: &str) -> String {
    const DIGITS: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    let input = format!("{name}:{password}").into_bytes();
    let mut out = String::from("Basic ");
    for chunk in input.chunks(3) {
        let group =
            chunk.iter().fold(0u32, |g, b| (g << 8) | u32::from(*b)) << (8 * (3 - chunk.len()));
        for position in 0..4 {
            let digit = (group >> (18 - 6 * position)) & 63;
            let known = DIGITS
                .get(digit as usize)
                .filter(|_| position <= chunk.len());
            out.push(known.map_or('=', |b| char::from(*b)));
        }
    }
    out
}

/// A path or URL as a path, percent-decoded, for comparison: servers write absolute URLs and encode differently.
pub fn same_path(href: &str) -> String {
    let path = path_of(href);
    let mut out = Vec::with_capacity(path.len());
    let mut bytes = path.bytes();
    while let Some(byte) = bytes.next() {
        if byte != b'%' {
            out.push(byte);
            continue;
        }
        let hex: String = bytes.clone().take(2).map(char::from).collect();
        match u8::from_str_radix(&hex, 16) {
            Ok(decoded) if hex.len() == 2 => {
                out.push(decoded);
                bytes.nth(1);
            }
            _ => out.push(byte),
        }
    }
    let text = String::from_utf8_lossy(&out).into_owned();
    text.trim_end_matches('/').to_owned()
}

/// The path and query of an absolute URL; anything else unchanged.
pub fn path_of(href: &str) -> &str {
    let Some((scheme, rest)) = href.trim().split_once("://") else {
        return href.trim();
    };
    if !scheme.chars().all(|c| c.is_ascii_alphanumeric()) {
        return href.trim();
    }
    rest.find('/')
        .and_then(|slash| rest.get(slash..))
        .unwrap_or("/")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn basic_is_base64() {
        assert_eq!(
            basic("Aladdin", "open sesame"),
            "Basic QWxhZGRpbjpvcGVuIHNlc2FtZQ=="
        );
        assert_eq!(basic("a", "b"), "Basic YTpi");
        assert_eq!(basic("a", "bc"), "Basic YTpiYw==");
    }

    #[test]
    fn chunked_and_measured_bodies_are_read() {
        let chunked = b"HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n2;x\r\nde\r\n0\r\n\r\n";
        let answer = read(&mut chunked.as_slice(), "GET").expect("reads");
        assert_eq!((answer.status, answer.text().as_str()), (200, "abcde"));
        let short = b"HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\nabc";
        assert!(read(&mut short.as_slice(), "GET").is_err());
    }

    #[test]
    fn urls_compare_by_path() {
        assert_eq!(same_path("http://h:1/a%40b/"), same_path("/a@b"));
        assert_ne!(same_path("/a%2Fb"), "/a%2Fb");
        assert_eq!(path_of("mailto:a@b"), "mailto:a@b");
    }
}
