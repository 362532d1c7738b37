//! Header fields that are values: Depth, Overwrite, Destination, Prefer and Brief.
//!
//! RFC 4918 §10.2, §10.3, §10.6; RFC 7240; RFC 8144.

use super::context::Context;
use super::error::Error;
use super::path::Path;
use super::request::{Headers, Request};

/// How far below the resource a request reaches. RFC 4918 §10.2
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Depth {
    /// The resource.
    Zero,
    /// It and its members.
    One,
    /// Everything below it.
    Infinity,
}

impl Depth {
    /// The depth asked for, none where the header is missing; 400 for what is no depth.
    pub fn of(headers: &Headers) -> Result<Option<Depth>, Error> {
        let Some(value) = headers.get("Depth") else {
            return Ok(None);
        };
        match value.trim() {
            "0" => Ok(Some(Depth::Zero)),
            "1" => Ok(Some(Depth::One)),
            other if other.eq_ignore_ascii_case("infinity") => Ok(Some(Depth::Infinity)),
            _ => Err(Error::Status(400, "Depth is neither 0, 1 nor infinity.")),
        }
    }
}

/// Whether COPY and MOVE may replace what is at the destination. RFC 4918 §10.6
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Overwrite {
    /// They may.
    Allowed,
    /// They may not.
    Forbidden,
}

impl Overwrite {
    /// What the request says; allowed where it says nothing.
    pub fn of(headers: &Headers) -> Result<Overwrite, Error> {
        match headers.get("Overwrite").map(str::trim) {
            None | Some("T" | "t") => Ok(Overwrite::Allowed),
            Some("F" | "f") => Ok(Overwrite::Forbidden),
            Some(_) => Err(Error::Status(400, "Overwrite is neither T nor F.")),
        }
    }
}

/// How much the client wants to hear. RFC 7240 §4.2, RFC 8144 §2
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Return {
    /// It says nothing.
    Unsaid,
    /// As little as possible.
    Minimal,
    /// What the resource has become.
    Representation,
}

/// The parts of a field between separators that stand in no quoted string. RFC 7240 §2
fn outside_quotes(field: &str, separator: char) -> impl Iterator<Item = &str> {
    let (mut quoted, mut escaped) = (false, false);
    field.split(move |char| {
        let literal = std::mem::take(&mut escaped);
        match char {
            _ if literal => false,
            '\\' if quoted => {
                escaped = true;
                false
            }
            '"' => {
                quoted = !quoted;
                false
            }
            char => char == separator && !quoted,
        }
    })
}

impl Return {
    /// What Prefer says, or Brief (as Apple sends it, and `return-minimal` of older clients).
    pub fn of(headers: &Headers) -> Return {
        let brief = headers.get("Brief").map(str::trim);
        if brief.is_some_and(|value| value.eq_ignore_ascii_case("t")) {
            return Return::Minimal;
        }
        let prefer = headers.list("Prefer").unwrap_or_default();
        for preference in outside_quotes(&prefer, ',') {
            let name = outside_quotes(preference, ';').next().unwrap_or_default();
            let word: String = name
                .split_whitespace()
                .collect::<String>()
                .to_ascii_lowercase();
            match word.replace('"', "").as_str() {
                "return=minimal" | "return-minimal" => return Return::Minimal,
                "return=representation" | "return-representation" => {
                    return Return::Representation;
                }
                // Of one that is said twice the first counts, known or not. RFC 7240 §2
                other if other.starts_with("return=") => return Return::Unsaid,
                _ => {}
            }
        }
        Return::Unsaid
    }

    /// The value of Preference-Applied. RFC 7240 §3
    pub fn applied(self) -> Option<&'static str> {
        match self {
            Return::Unsaid => None,
            Return::Minimal => Some("return=minimal"),
            Return::Representation => Some("return=representation"),
        }
    }
}

/// The path that Destination names. RFC 4918 §10.3: 502 for another server's.
pub fn destination(cx: &Context) -> Result<Path, Error> {
    let value = cx.request.headers.get("Destination");
    let value = value.ok_or(Error::Status(400, "Destination is missing."))?;
    if !value.contains('/') {
        return Err(Error::Status(400, "Destination is no URL."));
    }
    cx.path_of(value.trim())
        .ok_or(Error::Status(502, "Destination is not on this server."))
}

/// Refuses a body that would be ignored. RFC 4918 §8.4
pub(super) fn nothing_sent(request: &Request) -> Result<(), Error> {
    if request.body.iter().all(u8::is_ascii_whitespace) {
        return Ok(());
    }
    Err(Error::Status(415, "This method takes no body."))
}

/// The path that Destination names, where it is one of ours.
pub fn destination_of(request: &Request) -> Option<Path> {
    let value = request.headers.get("Destination")?;
    local_path(value.trim(), &request.host, &request.prefix)
}

/// The path in a reference (RFC 4918 §8.3) as seen by a request to `host`, whose paths have
/// `prefix` in front; none where it is another server's, or none of ours.
pub(super) fn local_path(reference: &str, host: &str, prefix: &str) -> Option<Path> {
    let reference = reference.split(['?', '#']).next().unwrap_or_default();
    let path = match reference.split_once("//") {
        Some(("" | "http:" | "https:" | "HTTP:" | "HTTPS:", rest)) => {
            let at = rest.find('/').unwrap_or(rest.len());
            let (authority, path) = rest.split_at_checked(at)?;
            let plain = |host: &str| {
                let host = host.trim_end_matches(":443").trim_end_matches(":80");
                host.to_ascii_lowercase()
            };
            if plain(authority) != plain(host) {
                return None;
            }
            if path.is_empty() { "/" } else { path }
        }
        _ => reference,
    };
    let path = path.strip_prefix(prefix)?;
    Path::parse(if path.is_empty() { "/" } else { path }).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn headers(name: &str, value: &str) -> Headers {
        let mut headers = Headers::default();
        headers.push(name, value);
        headers
    }

    #[test]
    fn preferences_are_read_in_their_spellings() {
        for (name, value, expected) in [
            ("Prefer", "return=minimal", Return::Minimal),
            (
                "Prefer",
                "respond-async, Return = \"minimal\"; x=y",
                Return::Minimal,
            ),
            ("Prefer", "return-minimal", Return::Minimal),
            ("Prefer", "return=representation", Return::Representation),
            ("Prefer", "depth-noroot", Return::Unsaid),
            ("Prefer", "return=all, return=minimal", Return::Unsaid),
            ("Prefer", "x=\"a, return=minimal\", y", Return::Unsaid),
            ("Prefer", "x=\"\\\", return=minimal", Return::Unsaid),
            ("Prefer", "x=\"\\\"\", return=minimal", Return::Minimal),
            ("Brief", "t", Return::Minimal),
            ("Brief", "f", Return::Unsaid),
        ] {
            assert_eq!(
                Return::of(&headers(name, value)),
                expected,
                "{name}: {value}"
            );
        }
    }

    #[test]
    fn depth_and_overwrite_are_values() {
        assert_eq!(
            Depth::of(&headers("depth", "Infinity")).unwrap(),
            Some(Depth::Infinity)
        );
        assert_eq!(Depth::of(&headers("x", "1")).unwrap(), None);
        assert!(Depth::of(&headers("depth", "2")).is_err());
        assert_eq!(
            Overwrite::of(&headers("overwrite", "F")).unwrap(),
            Overwrite::Forbidden
        );
        assert!(Overwrite::of(&headers("overwrite", "maybe")).is_err());
    }

    #[test]
    fn a_reference_is_ours_by_host_and_prefix() {
        let path = |reference| {
            local_path(reference, "cal.example:8443", "/cal").map(|path| path.raw().to_owned())
        };
        assert_eq!(
            path("https://CAL.example:8443/cal/dav/a%20b?x"),
            Some("/dav/a%20b".into())
        );
        assert_eq!(path("/cal/dav/"), Some("/dav/".into()));
        assert_eq!(path("//cal.example:8443/cal"), Some("/".into()));
        assert_eq!(path("https://cal.example/cal/dav/"), None);
        assert_eq!(path("/dav/"), None);
        assert_eq!(path("ftp://cal.example:8443/cal/"), None);
        assert_eq!(path("/calendar/dav/"), None);
        assert!(local_path("http://h/dav/", "h:80", "").is_some());
    }
}
