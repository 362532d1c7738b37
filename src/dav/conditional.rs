//! Conditional requests by ETag, date and Schedule-Tag.
//!
//! RFC 9110 §13 in the order of its §13.2.2; RFC 6638 §3.2.10. An ETag may be followed by `+` and
//! the name of another representation of the same object: If-Match accepts any of them.
//! Evolution sends ETags without quotes and with escaped quotes; both are read.

use super::date;
use super::error::Error;
use super::request::Request;
use super::resource::Resource;
use crate::ical::Timestamp;

/// What a condition is compared with.
#[derive(Debug, Clone, Default)]
pub struct Current {
    /// Whether there is a representation.
    pub exists: bool,
    /// Its ETag, quoted.
    pub etag: Option<String>,
    /// Its Schedule-Tag, quoted.
    pub schedule_tag: Option<String>,
    /// When it changed.
    pub modified: Option<Timestamp>,
}

impl Current {
    /// The state of a resource.
    pub fn of(resource: &Resource) -> Current {
        let mut current = Current {
            exists: resource.kind().exists(),
            ..Current::default()
        };
        match resource {
            Resource::Object(_, _, header) => {
                current.etag = Some(header.etag());
                current.schedule_tag = header.schedule_tag();
                current.modified = Some(header.modified);
            }
            Resource::Collection(_, collection) => {
                current.etag = Some(format!("\"{}\"", collection.ctag()));
                current.modified = Some(collection.members_modified);
            }
            Resource::Home(place) => {
                current.etag = Some(format!("\"{}\"", place.home.ctag()));
            }
            _ => {}
        }
        current
    }
}

/// Whether a request that changes something may go on; else 412. RFC 9110 §13.2.2
pub fn check(request: &Request, current: &Current) -> Result<(), Error> {
    if holds(request, current) {
        return Ok(());
    }
    Err(Error::Status(412, "The resource has changed."))
}

fn holds(request: &Request, current: &Current) -> bool {
    let headers = &request.headers;
    let date_of = |name| headers.get(name).and_then(date::parse);
    if let Some(tag) = headers.get("If-Schedule-Tag-Match") {
        let tags = Tags::parse(tag);
        if !current
            .schedule_tag
            .as_deref()
            .is_some_and(|t| tags.include(t))
        {
            return false;
        }
    }
    if let Some(list) = headers.list("If-Match") {
        if !Tags::parse(&list).match_strongly(current) {
            return false;
        }
    } else if let Some(since) = date_of("If-Unmodified-Since")
        && current.modified.is_some_and(|modified| modified > since)
    {
        return false;
    }
    let reads = ["GET", "HEAD"].contains(&request.method.as_str());
    match headers.list("If-None-Match") {
        Some(list) if !reads => !Tags::parse(&list).match_strongly(current),
        _ => true,
    }
}

/// Whether GET or HEAD is to be answered 304: the client has this representation.
/// RFC 9110 §13.1.2, §13.1.3
pub fn not_modified(request: &Request, current: &Current) -> bool {
    let headers = &request.headers;
    if let Some(list) = headers.list("If-None-Match") {
        let tags = Tags::parse(&list);
        return match &current.etag {
            Some(etag) => tags.any || tags.match_weakly(etag),
            None => tags.any && current.exists,
        };
    }
    match headers.get("If-Modified-Since").and_then(date::parse) {
        Some(since) => current.modified.is_some_and(|modified| modified <= since),
        None => false,
    }
}

/// The ETags in a field.
struct Tags {
    any: bool,
    strong: Vec<String>,
    weak: Vec<String>,
}

impl Tags {
    fn parse(field: &str) -> Tags {
        let mut tags = Tags {
            any: field.trim() == "*",
            strong: Vec::new(),
            weak: Vec::new(),
        };
        let mut rest = field.replace("\\\"", "\"");
        while !rest.is_empty() {
            let text = rest.trim_start_matches([' ', '\t', ',']);
            let (weak, text) = match text.strip_prefix("W/") {
                Some(text) => (true, text),
                None => (false, text),
            };
            let (tag, after) = match text.strip_prefix('"') {
                Some(quoted) => quoted.split_once('"').unwrap_or((quoted, "")),
                None => text.split_once(',').unwrap_or((text, "")),
            };
            let tag = tag.trim();
            if !tag.is_empty() {
                let list = if weak {
                    &mut tags.weak
                } else {
                    &mut tags.strong
                };
                list.push(tag.to_owned());
            }
            rest = after.to_owned();
        }
        tags
    }

    fn match_strongly(&self, current: &Current) -> bool {
        if self.any {
            return current.exists;
        }
        current
            .etag
            .as_deref()
            .is_some_and(|etag| self.include(etag))
    }

    /// Whether one of the tags is this one, of whichever representation.
    fn include(&self, etag: &str) -> bool {
        let etag = etag.trim_matches('"');
        self.strong.iter().any(|tag| same_state(tag, etag))
    }

    /// Whether one of the tags is this very one, weak or not. RFC 9110 §8.8.3.2
    fn match_weakly(&self, etag: &str) -> bool {
        let etag = etag.trim_matches('"');
        self.strong.iter().chain(&self.weak).any(|tag| tag == etag)
    }
}

/// Whether a tag that a client sent is of the state that has this ETag, in whichever
/// representation.
fn same_state(sent: &str, etag: &str) -> bool {
    sent == etag || sent.split_once('+').is_some_and(|(state, _)| state == etag)
}

/// Whether a quoted ETag that a client sent is of the state that `current` has.
pub(super) fn etag_matches(sent: &str, current: &Current) -> bool {
    let sent = sent.strip_prefix("W/").unwrap_or(sent).trim_matches('"');
    let etag = current.etag.as_deref().map(|etag| etag.trim_matches('"'));
    etag.is_some_and(|etag| same_state(sent, etag))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::dav::path::Path;

    fn request(method: &str, fields: &[(&str, &str)]) -> Request {
        let mut request = Request::new(method, Path::parse("/").unwrap());
        for (name, value) in fields {
            request.headers.push(*name, *value);
        }
        request
    }

    fn current() -> Current {
        Current {
            exists: true,
            etag: Some("\"a1\"".into()),
            schedule_tag: Some("\"s1\"".into()),
            modified: Some(Timestamp(784_111_777)),
        }
    }

    #[test]
    fn a_write_goes_on_only_if_what_it_says_holds() {
        let there = current();
        let nothing = Current::default();
        let cases: &[(&str, &str, bool, bool)] = &[
            ("If-Match", "\"a1\"", true, false),
            ("If-Match", "a1", true, false),
            ("If-Match", "\\\"a1\\\"", true, false),
            ("If-Match", "\"x\", \"a1+json\"", true, false),
            ("If-Match", "W/\"a1\"", false, false),
            ("If-Match", "\"a2\"", false, false),
            ("If-Match", "\"a\"", false, false),
            ("If-Match", "*", true, false),
            ("If-None-Match", "*", false, true),
            ("If-None-Match", "\"a1\"", false, true),
            ("If-None-Match", "\"a2\"", true, true),
            (
                "If-Unmodified-Since",
                "Sun, 06 Nov 1994 08:49:37 GMT",
                true,
                true,
            ),
            (
                "If-Unmodified-Since",
                "Sun, 06 Nov 1994 08:49:36 GMT",
                false,
                true,
            ),
            ("If-Unmodified-Since", "yesterday", true, true),
            ("If-Schedule-Tag-Match", "\"s1\"", true, false),
            ("If-Schedule-Tag-Match", "\"s2\"", false, false),
        ];
        for (name, value, on_it, on_nothing) in cases {
            let request = request("PUT", &[(name, value)]);
            assert_eq!(check(&request, &there).is_ok(), *on_it, "{name}: {value}");
            assert_eq!(
                check(&request, &nothing).is_ok(),
                *on_nothing,
                "{name}: {value}"
            );
        }
    }

    #[test]
    fn if_match_is_stronger_than_the_date() {
        let old = ("If-Unmodified-Since", "Sun, 06 Nov 1980 08:49:36 GMT");
        let request = request("PUT", &[("If-Match", "\"a1\""), old]);
        assert!(check(&request, &current()).is_ok());
    }

    #[test]
    fn a_reader_that_has_it_is_told_so() {
        for (name, value, same) in [
            ("If-None-Match", "W/\"a1\"", true),
            ("If-None-Match", "\"b\", \"a1\"", true),
            ("If-None-Match", "\"a1+json\"", false),
            ("If-None-Match", "*", true),
            ("If-Modified-Since", "Sun, 06 Nov 1994 08:49:37 GMT", true),
            ("If-Modified-Since", "Sun, 06 Nov 1994 08:49:36 GMT", false),
        ] {
            let request = request("GET", &[(name, value)]);
            assert_eq!(not_modified(&request, &current()), same, "{name}: {value}");
            assert!(check(&request, &current()).is_ok());
        }
    }
}
