//! The words of a case: statuses, paths, expectations, variables, prefixes of namespaces.

use std::collections::BTreeMap;

use super::case::{Claim, Source, StatusRange, Test};

/// The prefixes that names in cases use, with their namespaces.
pub const PREFIXES: &[(&str, &str)] = &[
    ("D", "DAV:"),
    ("C", "urn:ietf:params:xml:ns:caldav"),
    ("CS", "http://calendarserver.org/ns/"),
    ("A", "http://apple.com/ns/ical/"),
    ("M", "http://me.com/_namespace/"),
    ("X", "urn:example:conformance"),
];

/// The declarations of [`PREFIXES`], which `{ns}` stands for.
pub fn declarations() -> String {
    let all: Vec<String> = PREFIXES
        .iter()
        .map(|(p, ns)| format!("xmlns:{p}=\"{ns}\""))
        .collect();
    all.join(" ")
}

/// Namespace and local name of `C:calendar-data`.
pub fn qualified(name: &str) -> Option<(&'static str, &str)> {
    let (prefix, local) = name.split_once(':')?;
    let (_, namespace) = PREFIXES.iter().find(|(p, _)| *p == prefix)?;
    Some((namespace, local))
}

/// `201`, `2xx` or `any`.
pub fn status(text: &str) -> Option<StatusRange> {
    if text == "any" {
        return Some(StatusRange {
            low: 200,
            high: 599,
        });
    }
    if let Some(class) = text.strip_suffix("xx") {
        let class: u16 = class.parse().ok().filter(|c| (1..=5).contains(c))?;
        return Some(StatusRange {
            low: class * 100,
            high: class * 100 + 99,
        });
    }
    let status = text.parse().ok().filter(|s| (100..600).contains(s))?;
    Some(StatusRange {
        low: status,
        high: status,
    })
}

/// `path` or `path as user`; the user is `alice` if none is named.
pub fn path_and_user(text: &str) -> (String, String) {
    match text.rsplit_once(" as ") {
        Some((path, user)) => (path.trim().to_owned(), user.trim().to_owned()),
        None => (text.trim().to_owned(), "alice".to_owned()),
    }
}

/// The status that `if STATUS` in front of an expectation names, and the rest.
pub fn when(text: &str) -> Result<(Option<StatusRange>, &str), String> {
    let Some(rest) = text.strip_prefix("if ") else {
        return Ok((None, text));
    };
    let (word, rest) = rest.split_once(' ').unwrap_or((rest, ""));
    match status(word) {
        Some(range) => Ok((Some(range), rest)),
        None => Err(format!("`{word}` is no status")),
    }
}

/// The claim of an expectation line without its `not`.
pub fn claim(text: &str) -> Result<Claim, String> {
    let (word, rest) = text.split_once(char::is_whitespace).unwrap_or((text, ""));
    let rest = rest.trim();
    if let Some(range) = status(word).filter(|_| word != "any") {
        let (name, test) = tested(rest);
        known_name(&name)?;
        return Ok(Claim::Property(range, name, test));
    }
    match word {
        "header" => {
            let (name, test) = tested(rest);
            Ok(Claim::Header(name, test))
        }
        "save" => save(rest),
        "error" => known_name(rest).map(|()| Claim::Error(rest.to_owned())),
        "href" => Ok(match rest.rsplit_once(' ') {
            Some((path, code)) if status(code).is_some() => {
                Claim::Href(path.trim().to_owned(), status(code))
            }
            _ => Claim::Href(rest.to_owned(), None),
        }),
        "absent" => Ok(Claim::Absent(rest.to_owned())),
        "count" => rest
            .parse()
            .map(Claim::Count)
            .map_err(|_| format!("`{rest}` is no number")),
        "element" => {
            let (path, test) = tested(rest);
            path.split('/').try_for_each(known_name)?;
            Ok(Claim::Element(path, test))
        }
        "body" => Ok(body(rest)),
        "ical" => ical(rest),
        "inbox" | "mail" => {
            let (whom, method) = rest
                .split_once(' ')
                .ok_or_else(|| format!("{word} WHOM METHOD"))?;
            let (whom, method) = (whom.to_owned(), method.trim().to_owned());
            Ok(if word == "inbox" {
                Claim::Inbox(whom, method)
            } else {
                Claim::Mail(whom, method)
            })
        }
        _ => Err(format!("`{word}` is no expectation")),
    }
}

fn known_name(name: &str) -> Result<(), String> {
    qualified(name)
        .map(|_| ())
        .ok_or_else(|| format!("`{name}` has no prefix that conformance/README.md lists"))
}

fn tested(text: &str) -> (String, Test) {
    let equals = text.find(" = ").map(|i| (i, '='));
    let contains = text.find(" ~ ").map(|i| (i, '~'));
    let first = [equals, contains]
        .into_iter()
        .flatten()
        .min_by_key(|(i, _)| *i);
    match first {
        None => match text.strip_suffix(" =") {
            Some(name) => (name.trim().to_owned(), Test::Equals(String::new())),
            None => (text.trim().to_owned(), Test::Present),
        },
        Some((index, sign)) => {
            let name = text.get(..index).unwrap_or_default().trim().to_owned();
            let value = text.get(index + 3..).unwrap_or_default().trim().to_owned();
            (
                name,
                if sign == '=' {
                    Test::Equals(value)
                } else {
                    Test::Contains(value)
                },
            )
        }
    }
}

fn save(text: &str) -> Result<Claim, String> {
    let (name, source) = text.split_once(" = ").ok_or("save NAME = SOURCE")?;
    let (word, rest) = source.trim().split_once(' ').unwrap_or((source.trim(), ""));
    let rest = rest.trim().to_owned();
    let source = match word {
        "header" => Source::Header(rest),
        "prop" => {
            known_name(&rest)?;
            Source::Property(rest)
        }
        "element" => {
            rest.split('/').try_for_each(known_name)?;
            Source::Element(rest)
        }
        "body" => Source::Body,
        _ => return Err(format!("`{word}` is no source for save")),
    };
    Ok(Claim::Save(name.trim().to_owned(), source))
}

fn body(rest: &str) -> Claim {
    if rest == "empty" {
        return Claim::BodyEmpty;
    }
    if let Some(text) = rest.strip_prefix("same") {
        return Claim::BodySame(text.trim().to_owned());
    }
    let (_, test) = tested(&format!("body {rest}"));
    Claim::Body(test)
}

fn ical(rest: &str) -> Result<Claim, String> {
    let (word, value) = rest.split_once(' ').unwrap_or((rest, ""));
    let value = value.trim();
    match word {
        "has" => Ok(Claim::IcalHas(value.to_owned())),
        "same" => Ok(Claim::IcalSame(value.to_owned())),
        "count" => {
            let (name, number) = value.split_once(' ').ok_or("ical count NAME n")?;
            let number = number
                .trim()
                .parse()
                .map_err(|_| format!("`{number}` is no number"))?;
            Ok(Claim::IcalCount(name.to_owned(), number))
        }
        _ => Err(format!("`ical {word}` is no expectation")),
    }
}

/// The most that `{repeat}` may make.
const MAX_REPEATED_BYTES: usize = 64 * 1024 * 1024;

/// `text` with every `{name}` replaced by its value; `{{` is a brace, and `{repeat name text}` is the text as many
/// times as the value says.
pub fn expand(text: &str, variables: &BTreeMap<String, String>) -> Result<String, String> {
    expand_nested(text, variables, 4)
}

fn expand_nested(
    text: &str,
    variables: &BTreeMap<String, String>,
    depth: u8,
) -> Result<String, String> {
    let mut out = String::with_capacity(text.len());
    let mut rest = text;
    while let Some(open) = rest.find('{') {
        let (before, after) = rest.split_at(open);
        out.push_str(before);
        let inner = after.strip_prefix('{').unwrap_or(after);
        if let Some(escaped) = inner.strip_prefix('{') {
            out.push('{');
            rest = escaped;
            continue;
        }
        if let Some((what, tail)) = repetition(inner) {
            out.push_str(&repeated(what, variables)?);
            rest = tail;
            continue;
        }
        let Some((name, tail)) = inner.split_once('}').filter(|(name, _)| is_name(name)) else {
            out.push('{');
            rest = inner;
            continue;
        };
        let value = variables
            .get(name)
            .ok_or_else(|| format!("{{{name}}} has no value"))?;
        if depth == 0 {
            return Err(format!("{{{name}}} refers to itself"));
        }
        out.push_str(&expand_nested(value, variables, depth - 1)?);
        rest = tail;
    }
    out.push_str(rest);
    Ok(out)
}

/// What stands between `{repeat ` and the brace after it, and the rest.
fn repetition(inner: &str) -> Option<(&str, &str)> {
    inner.strip_prefix("repeat ")?.split_once('}')
}

/// `name text`: the text as many times as the value says; `\n` in it ends a line.
fn repeated(what: &str, variables: &BTreeMap<String, String>) -> Result<String, String> {
    let (name, text) = what.split_once(' ').ok_or("{repeat NAME TEXT}")?;
    let value = variables
        .get(name)
        .ok_or_else(|| format!("{{{name}}} has no value"))?;
    let text = text.replace("\\n", "\n");
    let times: usize = value
        .trim()
        .parse()
        .map_err(|_| format!("{{{name}}} is {value:?} and no number"))?;
    match times.checked_mul(text.len()) {
        Some(bytes) if bytes <= MAX_REPEATED_BYTES => Ok(text.repeat(times)),
        _ => Err(format!("{times} times {text:?} is more than is sent")),
    }
}

fn is_name(text: &str) -> bool {
    text.starts_with(|c: char| c.is_ascii_lowercase())
        && text
            .chars()
            .all(|c| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '.' || c == '-')
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn variables_expand_and_unknown_ones_do_not_pass() {
        let variables = BTreeMap::from([
            ("calendar".to_owned(), "/home/{name}/".to_owned()),
            ("name".to_owned(), "c".to_owned()),
        ]);
        assert_eq!(
            expand("a {calendar}x {{y} { z", &variables).as_deref(),
            Ok("a /home/c/x {y} { z")
        );
        assert!(expand("{calender}", &variables).is_err());
    }

    #[test]
    fn expectations_are_read() {
        assert_eq!(
            claim("200 D:getetag = \"a\""),
            Ok(Claim::Property(
                StatusRange {
                    low: 200,
                    high: 200
                },
                "D:getetag".into(),
                Test::Equals("\"a\"".into())
            ))
        );
        assert_eq!(
            claim("href {calendar}a.ics 404"),
            Ok(Claim::Href("{calendar}a.ics".into(), status("404")))
        );
        assert_eq!(
            claim("body ~ hello = x"),
            Ok(Claim::Body(Test::Contains("hello = x".into())))
        );
        assert!(claim("error no-prefix").is_err());
        assert!(claim("ical hs X").is_err());
    }
}
