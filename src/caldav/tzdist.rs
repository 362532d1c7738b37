//! A time zone data distribution service from the server's own zone data: RFC 7808.
//!
//! The actions capabilities, list, get, expand, find and leapseconds. Answers follow from the zone data alone, so
//! their entity tags and the synchronization token are its version.
//!
//! **Gaps**, both of them things a server may leave out: no truncation ("the server will supply only
//! untruncated data", RFC 7808 §3.9), no aliases: every name is listed as a zone.

use super::accept::Accept;
use super::{leap_seconds, zone};
use crate::dav::{Path, Request, Response};
use crate::ical::Format;
use crate::ical::empty_calendar;
use crate::ical::{Date, LocalTime, Timestamp, print, to_jcal};
use crate::recur::{Zone, tzdata_version, vtimezone, zone_names};
use bytes::Bytes;
use std::fmt::Write as _;

/// Where the service is, below the server's prefix; its well-known URL leads there. RFC 7808 §4.2.1.3
pub const SERVICE: &str = "/timezones";

/// Answers a GET whose path below the service has these segments.
pub fn answer(segments: &[String], request: &Request) -> Response {
    let query = Query::of(request.query.as_deref().unwrap_or_default());
    let segments: Vec<&str> = segments.iter().map(String::as_str).collect();
    let answered = match segments.as_slice() {
        ["capabilities"] => Ok(json(capabilities(&request.prefix))),
        ["zones"] if query.has("pattern") => find(&query),
        ["zones"] => list(&query),
        ["leapseconds"] => Ok(json(leap_seconds::answer())),
        ["zones", id] => get(id, &query, request),
        ["zones", id, "observances"] => expand(id, &query),
        _ => Err(Problem(404, "invalid-action", "There is no such action.")),
    };
    answered.unwrap_or_else(Problem::response)
}

/// An error: its status, the last part of its URN and a sentence. RFC 7808 §4.1.7
struct Problem(u16, &'static str, &'static str);

impl Problem {
    fn response(self) -> Response {
        let Problem(status, kind, title) = self;
        let body = format!(
            "{{\"type\":\"urn:ietf:params:tzdist:error:{kind}\",\"title\":\"{title}\",\"status\":{status}}}"
        );
        Response::status(status).body("application/problem+json; charset=utf-8", body)
    }
}

/// The parameters of a query, decoded.
struct Query(Vec<(String, String)>);

impl Query {
    fn of(query: &str) -> Query {
        let pairs = query.split('&').filter(|pair| !pair.is_empty());
        Query(pairs.filter_map(pair).collect())
    }

    fn has(&self, name: &str) -> bool {
        self.0.iter().any(|(known, _)| known == name)
    }

    /// The value of a parameter that occurs at most once.
    fn once(&self, name: &str) -> Result<Option<&str>, ()> {
        let mut named = self.0.iter().filter(|(known, _)| known == name);
        match (named.next(), named.next()) {
            (first, None) => Ok(first.map(|(_, value)| value.as_str())),
            _ => Err(()),
        }
    }
}

fn pair(pair: &str) -> Option<(String, String)> {
    let (name, value) = pair.split_once('=').unwrap_or((pair, ""));
    Some((decoded(name)?, decoded(value)?))
}

/// A text is decoded as the path it could be, in which names of zones are written too.
fn decoded(text: &str) -> Option<String> {
    let path = Path::parse(&format!("/{}", text.replace('+', " "))).ok()?;
    Some(path.segments().join("/"))
}

fn json(body: String) -> Response {
    Response::status(200).body("application/json; charset=utf-8", body)
}

/// A text as a JSON string.
fn string(text: &str) -> String {
    let mut out = String::with_capacity(text.len() + 2);
    out.push('"');
    for c in text.chars() {
        match c {
            '"' | '\\' => {
                out.push('\\');
                out.push(c);
            }
            c if c < ' ' => {
                let _ = write!(out, "\\u{:04x}", u32::from(c));
            }
            c => out.push(c),
        }
    }
    out.push('"');
    out
}

/// RFC 7808 §5.1
fn capabilities(prefix: &str) -> String {
    let template = |path: &str| string(&format!("{prefix}{SERVICE}/{path}"));
    let parameter = |name: &str, required: bool| {
        format!("{{\"name\":\"{name}\",\"required\":{required},\"multi\":false}}")
    };
    let action = |name: &str, path: &str, parameters: &[String]| {
        format!(
            "{{\"name\":\"{name}\",\"uri-template\":{},\"parameters\":[{}]}}",
            template(path),
            parameters.join(",")
        )
    };
    let range = [parameter("start", true), parameter("end", true)];
    let actions = [
        action("capabilities", "capabilities", &[]),
        action(
            "list",
            "zones{?changedsince}",
            &[parameter("changedsince", false)],
        ),
        action("get", "zones{/tzid}", &[]),
        action("expand", "zones{/tzid}/observances{?start,end}", &range),
        action("find", "zones{?pattern}", &[parameter("pattern", true)]),
        action("leapseconds", "leapseconds", &[]),
    ];
    format!(
        "{{\"version\":1,\"info\":{{\"primary-source\":{},\"formats\":[\"text/calendar\",\
         \"application/calendar+json\"]}},\"actions\":[{}]}}",
        string(&format!("IANA:{}", tzdata_version())),
        actions.join(",")
    )
}

/// RFC 7808 §5.2: nothing has changed since the token of the data in use.
fn list(query: &Query) -> Result<Response, Problem> {
    let since = query
        .once("changedsince")
        .map_err(|()| Problem(400, "invalid-changedsince", "changedsince is given once."))?;
    let names = match since {
        Some(token) if token == tzdata_version() => Vec::new(),
        _ => zone_names(),
    };
    Ok(zones(names.iter().map(String::as_str)))
}

/// RFC 7808 §5.5
fn find(query: &Query) -> Result<Response, Problem> {
    let bad = Problem(400, "invalid-pattern", "The pattern is not understood.");
    let Ok(Some(pattern)) = query.once("pattern") else {
        return Err(bad);
    };
    let Some(pattern) = Pattern::read(pattern) else {
        return Err(bad);
    };
    let names = zone_names();
    Ok(zones(
        names
            .iter()
            .map(String::as_str)
            .filter(|name| pattern.matches(name)),
    ))
}

/// RFC 7808 §6.2. The data says in its version when it was made, and no more.
fn zones<'a>(names: impl Iterator<Item = &'a str>) -> Response {
    let version = tzdata_version();
    let year = version.get(..4).unwrap_or("1970");
    let zones: Vec<String> = names
        .map(|name| {
            format!(
                "{{\"tzid\":{},\"etag\":{},\"last-modified\":\"{year}-01-01T00:00:00Z\",\
                 \"publisher\":\"IANA\",\"version\":{}}}",
                string(name),
                string(&etag(Format::ICalendar)),
                string(version)
            )
        })
        .collect();
    let zones = zones.join(",");
    json(format!(
        "{{\"synctoken\":{},\"timezones\":[{zones}]}}",
        string(version)
    ))
}

/// The entity tag of a zone in a format, without its quotes.
fn etag(format: Format) -> String {
    match format {
        Format::ICalendar => tzdata_version().to_owned(),
        Format::JCal => format!("{}+json", tzdata_version()),
    }
}

fn known(id: &str) -> Result<Zone, Problem> {
    let problem = Problem(
        404,
        "tzid-not-found",
        "The server does not know this time zone.",
    );
    zone::named(id).ok_or(problem)
}

/// RFC 7808 §5.3
fn get(id: &str, query: &Query, request: &Request) -> Result<Response, Problem> {
    let zone = known(id)?;
    for (name, kind) in [("start", "invalid-start"), ("end", "invalid-end")] {
        if query.has(name) {
            return Err(Problem(400, kind, "Time zones are not truncated."));
        }
    }
    let accept = Accept::of(request);
    let mut formats = Format::ALL.into_iter();
    let format = match formats.find(|format| accept.prefers(*format)) {
        Some(format) => format,
        None if accept.takes(Format::ICalendar) => Format::ICalendar,
        None => return Err(Problem(406, "invalid-format", "text/calendar is given.")),
    };
    let etag = format!("\"{}\"", etag(format));
    if has(request, &etag) {
        return Ok(Response::status(304).with("ETag", etag));
    }
    let from = Date::new(1800, 1, 1).unwrap_or(Date::EPOCH);
    let calendar = empty_calendar().with_component(vtimezone(&zone, id, from, None));
    let body = match format {
        Format::ICalendar => Bytes::from(print(&calendar)),
        Format::JCal => Bytes::from(to_jcal(&calendar)),
    };
    let media_type = format!("{}; charset=utf-8", format.media_type());
    Ok(Response::status(200)
        .body(&media_type, body)
        .with("ETag", etag)
        .with("Vary", "Accept")
        .uncoded())
}

/// Whether the client has this representation. RFC 9110 §13.1.2
fn has(request: &Request, etag: &str) -> bool {
    let list = request.headers.list("If-None-Match").unwrap_or_default();
    let mut tags = list.split(',').map(str::trim);
    tags.any(|tag| tag == "*" || tag.trim_start_matches("W/") == etag)
}

/// The most observances in an answer: more than any zone has in a thousand years of two a year.
const OBSERVANCES: usize = 2_000;

/// RFC 7808 §5.4
fn expand(id: &str, query: &Query) -> Result<Response, Problem> {
    let zone = known(id)?;
    let time = |name| query.once(name).ok().flatten().and_then(instant);
    let bad_start = Problem(400, "invalid-start", "start is a time in UTC.");
    let start = time("start").ok_or(bad_start)?;
    let bad_end = Problem(400, "invalid-end", "end is a time in UTC, after start.");
    let end = time("end").filter(|end| *end > start).ok_or(bad_end)?;
    let (name, _) = zone.observance(start);
    let offset = zone.offset(start);
    let mut observances = vec![observance(&name, start, (offset, offset))];
    let transitions = zone.transitions(start, end, OBSERVANCES);
    for change in &transitions {
        observances.push(observance(
            &change.name,
            change.at,
            (change.before, change.after),
        ));
    }
    let cut = match transitions
        .last()
        .filter(|_| transitions.len() == OBSERVANCES)
    {
        Some(last) => format!("\"end\":\"{}\",", last.at.rfc3339()),
        None => String::new(),
    };
    let body = format!(
        "{{\"tzid\":{},{cut}\"observances\":[{}]}}",
        string(id),
        observances.join(",")
    );
    Ok(json(body)
        .with("ETag", format!("\"{}\"", tzdata_version()))
        .uncoded())
}

/// RFC 7808 §6.3
fn observance(name: &str, onset: Timestamp, (from, to): (i64, i64)) -> String {
    format!(
        "{{\"name\":{},\"onset\":\"{}\",\"utc-offset-from\":{from},\"utc-offset-to\":{to}}}",
        string(name),
        onset.rfc3339()
    )
}

/// A time in UTC as RFC 3339 §5.6 writes it.
fn instant(text: &str) -> Option<Timestamp> {
    let (date, time) = text.strip_suffix(['Z', 'z'])?.split_once(['T', 't'])?;
    let compact = format!("{}T{}", date.replace('-', ""), time.replace(':', ""));
    let plain = (date.len(), time.len()) == (10, 8);
    LocalTime::parse(&compact)
        .filter(|_| plain)
        .map(LocalTime::as_utc)
}

/// A glob of RFC 7808 §5.5.
struct Pattern {
    text: String,
    open_start: bool,
    open_end: bool,
}

impl Pattern {
    /// Reads a pattern; none where an asterisk stands in the middle or a backslash escapes nothing.
    fn read(pattern: &str) -> Option<Pattern> {
        let mut text = String::new();
        let (mut open_start, mut open_end) = (false, false);
        let mut chars = pattern.chars().peekable();
        let mut first = true;
        while let Some(c) = chars.next() {
            match c {
                '*' if first => open_start = true,
                '*' if chars.peek().is_none() => open_end = true,
                '*' => return None,
                '\\' => text.push(chars.next().filter(|c| matches!(c, '*' | '\\'))?),
                c => text.push(c),
            }
            first = false;
        }
        let text = folded(&text);
        Some(Pattern {
            text,
            open_start,
            open_end,
        })
    }

    fn matches(&self, name: &str) -> bool {
        let name = folded(name);
        match (self.open_start, self.open_end) {
            (true, true) => name.contains(&self.text),
            (true, false) => name.ends_with(&self.text),
            (false, true) => name.starts_with(&self.text),
            (false, false) => name == self.text,
        }
    }
}

fn folded(text: &str) -> String {
    text.replace('_', " ").to_ascii_lowercase()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn ask(path: &str, query: &str, accept: &str) -> Response {
        let mut request = Request::new("GET", Path::parse(path).unwrap());
        request.query = Some(query.to_owned());
        request.headers.push("Accept", accept);
        answer(request.path.segments(), &request)
    }

    fn body(path: &str, query: &str) -> String {
        String::from_utf8(ask(path, query, "*/*").body.to_vec()).unwrap()
    }

    #[test]
    fn zones_are_listed_and_found() {
        let all = body("/zones", "");
        assert!(all.contains("\"tzid\":\"Europe/Berlin\"") && all.contains("\"synctoken\""));
        let since = format!("changedsince={}", tzdata_version());
        assert!(body("/zones", &since).ends_with("\"timezones\":[]}"));
        let found = |pattern: &str| body("/zones", &format!("pattern={pattern}"));
        for (pattern, found_it) in [
            ("America/New_York", true),
            ("america/new+york", true),
            ("*new%20york", true),
            ("*NEW*", true),
            ("America/New*", true),
            ("New_York", false),
            ("america", false),
        ] {
            assert_eq!(
                found(pattern).contains("America/New_York"),
                found_it,
                "{pattern}"
            );
        }
        for bad in ["pattern=a*b", "pattern=%5Cn", "pattern=a&pattern=b"] {
            let refused = ask("/zones", bad, "*/*");
            assert_eq!(refused.status, 400, "{bad}");
            assert!(body("/zones", bad).contains("error:invalid-pattern"));
        }
    }

    #[test]
    fn a_zone_is_given_with_its_entity_tag() {
        let zone = ask("/zones/America%2FNew_York", "", "text/calendar");
        assert!(String::from_utf8_lossy(&zone.body).contains("TZID:America/New_York\r\n"));
        let etag = zone.header("ETag").unwrap().to_owned();
        let mut request = Request::new("GET", Path::parse("/zones/America%2FNew_York").unwrap());
        request.headers.push("If-None-Match", etag);
        assert_eq!(answer(request.path.segments(), &request).status, 304);
        assert_eq!(ask("/zones/America%2FPittsburgh", "", "*/*").status, 404);
        assert_eq!(ask("/zones/UTC", "", "application/xml").status, 406);
        assert_eq!(
            ask("/zones/UTC", "start=2010-01-01T00:00:00Z", "*/*").status,
            400
        );
    }

    /// The example of RFC 7808 §5.4.1, with abbreviations as names.
    #[test]
    fn a_zone_is_expanded() {
        let query = "start=2008-01-01T00:00:00Z&end=2009-01-01T00:00:00Z";
        let path = "/zones/America%2FNew_York/observances";
        assert_eq!(
            body(path, query),
            "{\"tzid\":\"America/New_York\",\"observances\":[\
             {\"name\":\"EST\",\"onset\":\"2008-01-01T00:00:00Z\",\"utc-offset-from\":-18000,\"utc-offset-to\":-18000},\
             {\"name\":\"EDT\",\"onset\":\"2008-03-09T07:00:00Z\",\"utc-offset-from\":-18000,\"utc-offset-to\":-14400},\
             {\"name\":\"EST\",\"onset\":\"2008-11-02T06:00:00Z\",\"utc-offset-from\":-14400,\"utc-offset-to\":-18000}]}"
        );
        assert_eq!(ask(path, "start=2008-01-01T00:00:00Z", "*/*").status, 400);
        assert_eq!(ask(path, "start=2008&end=2009", "*/*").status, 400);
        assert_eq!(ask("/nothing", "", "*/*").status, 404);
        assert!(body("/capabilities", "").contains("\"uri-template\":\"/timezones/zones{/tzid}\""));
    }
}
