//! Paths of requests and hrefs of answers.
//!
//! RFC 3986 §3.3, RFC 4918 §8.3: hrefs are path-absolute; what is below the request's path begins
//! with that path exactly as it was sent, because clients compare hrefs as texts. A name in a
//! path may hold any character, an encoded slash and line break too.
use crate::ical::percent_decoded;

/// The path of a request or href: as written, and its decoded segments.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Path {
    raw: String,
    segments: Vec<String>,
    slash: bool,
}

/// Why a text is no path: it does not begin with a slash, is not UTF-8 once decoded, or has a
/// segment that is `.`, `..` or contains NUL.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct BadPath;

impl Path {
    /// The path in this text, which has no query and no fragment. A percent sign that encodes
    /// nothing stands for itself; empty segments are passed over. Of several slashes that it
    /// begins with one is kept: an href `//dav/` would name the host `dav` (RFC 3986 §4.2).
    pub fn parse(raw: &str) -> Result<Path, BadPath> {
        if !raw.starts_with('/') {
            return Err(BadPath);
        }
        let raw = raw.trim_start_matches('/');
        let mut segments = Vec::new();
        for segment in raw.split('/').filter(|segment| !segment.is_empty()) {
            let segment = decode(segment).ok_or(BadPath)?;
            if segment == "." || segment == ".." || segment.contains('\0') {
                return Err(BadPath);
            }
            segments.push(segment);
        }
        Ok(Path {
            raw: format!("/{raw}"),
            segments,
            slash: raw.is_empty() || raw.ends_with('/'),
        })
    }

    /// The path as it was written.
    pub fn raw(&self) -> &str {
        &self.raw
    }

    /// The decoded segments.
    pub fn segments(&self) -> &[String] {
        &self.segments
    }

    /// Whether it ends in a slash, as the path of a collection does.
    pub fn slash(&self) -> bool {
        self.slash
    }
}

/// How the hrefs of one answer are written.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Hrefs {
    prefix: String,
    at: At,
}

/// Whether `@` is written as it is: either is right, and clients compare with what they sent.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
enum At {
    #[default]
    Bare,
    Encoded,
}

/// Whether an href names a collection and so ends in a slash. RFC 4918 §5.2
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Ending {
    /// A collection.
    Slash,
    /// Anything else.
    Nothing,
}

impl Hrefs {
    /// Hrefs below this prefix, encoded like the path.
    pub fn like(prefix: &str, path: &Path) -> Hrefs {
        let encoded = path.raw.as_bytes().windows(3).any(|w| w == b"%40");
        Hrefs {
            prefix: prefix.to_owned(),
            at: if encoded { At::Encoded } else { At::Bare },
        }
    }

    /// The prefix under which a proxy shows this server.
    pub fn prefix(&self) -> &str {
        &self.prefix
    }

    /// The href of the resource with these segments.
    pub fn of(&self, segments: &[&str], ending: Ending) -> String {
        let mut href = self.prefix.clone();
        for segment in segments {
            href.push('/');
            self.push(&mut href, segment);
        }
        if ending == Ending::Slash {
            href.push('/');
        }
        href
    }

    /// The href of the path itself, as it was written; a collection's gets its slash.
    pub fn own(&self, path: &Path, ending: Ending) -> String {
        let mut href = self.prefix.clone();
        href.push_str(&path.raw);
        if ending == Ending::Slash && !path.slash {
            href.push('/');
        }
        href
    }

    /// Appends a name as one segment.
    pub fn push(&self, href: &mut String, name: &str) {
        let plain = |byte: u8| {
            byte.is_ascii_alphanumeric()
                || matches!(byte, b'-' | b'.' | b'_' | b'~' | b'!' | b'*' | b'(' | b')')
                || (byte == b'@' && self.at == At::Bare)
        };
        if name.bytes().all(plain) {
            return href.push_str(name);
        }
        for byte in name.bytes() {
            if plain(byte) {
                href.push(char::from(byte));
            } else {
                href.push('%');
                for nibble in [byte >> 4, byte & 15] {
                    let digit = char::from_digit(u32::from(nibble), 16).unwrap_or('0');
                    href.push(digit.to_ascii_uppercase());
                }
            }
        }
    }
}

/// The text that the percent-encoding stands for; `None` where that is not UTF-8.
pub fn decode(encoded: &str) -> Option<String> {
    if !encoded.contains('%') {
        return Some(encoded.to_owned());
    }
    String::from_utf8(percent_decoded(encoded)).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn segments_are_decoded_and_the_text_stays() {
        let path = Path::parse("/dav/al%40x/a%2Fb%20%C3%BC%0A+.ics").unwrap();
        assert_eq!(path.segments(), ["dav", "al@x", "a/b ü\n+.ics"]);
        assert!(!path.slash());
        assert_eq!(path.raw(), "/dav/al%40x/a%2Fb%20%C3%BC%0A+.ics");
        let doubled = Path::parse("//dav//x/").unwrap();
        assert_eq!(doubled.segments(), ["dav", "x"]);
        assert_eq!(doubled.raw(), "/dav//x/");
        assert!(Path::parse("//").unwrap().slash());
        assert_eq!(
            Path::parse("/100%/%zz").unwrap().segments(),
            ["100%", "%zz"]
        );
    }

    #[test]
    fn what_names_nothing_is_refused() {
        for bad in [
            "",
            "dav",
            "/a/../b",
            "/a/%2e%2e/b",
            "/.",
            "/%00",
            "/%FF",
            "*",
        ] {
            assert_eq!(Path::parse(bad), Err(BadPath), "{bad}");
        }
    }

    #[test]
    fn hrefs_are_encoded_as_the_request_was() {
        let bare = Hrefs::like("/cal", &Path::parse("/dav/").unwrap());
        let name = "a@b c/ü\n+%.ics";
        assert_eq!(
            bare.of(&["dav", name], Ending::Nothing),
            "/cal/dav/a@b%20c%2F%C3%BC%0A%2B%25.ics"
        );
        let encoded = Hrefs::like("", &Path::parse("/dav/x%40y").unwrap());
        assert_eq!(encoded.of(&["a@b"], Ending::Slash), "/a%40b/");
        let asked = Path::parse("/dav/x%40y").unwrap();
        assert_eq!(encoded.own(&asked, Ending::Slash), "/dav/x%40y/");
        for name in [name, "plain", "100%", "~!*()"] {
            let href = encoded.of(&[name], Ending::Nothing);
            assert_eq!(Path::parse(&href).unwrap().segments(), [name]);
        }
    }
}
