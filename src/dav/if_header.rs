//! The If header. RFC 4918 §10.4
//!
//! State tokens are sync tokens (RFC 6578 §5); lock tokens match nothing, as there are no locks.

use super::conditional::{Current, etag_matches};
use super::context::Context;
use super::error::Error;
use super::resource::Resource;
use crate::store;

/// One list: the resource it is about, none for the request's own, and what has to be true.
#[derive(Debug, Clone, PartialEq, Eq)]
struct List {
    tag: Option<String>,
    conditions: Vec<Test>,
}

#[derive(Debug, Clone, PartialEq, Eq)]
struct Test {
    negated: bool,
    state: State,
}

#[derive(Debug, Clone, PartialEq, Eq)]
enum State {
    Token(String),
    Etag(String),
}

/// Whether the request may go on; else 412, or 400 for a header that is none.
pub async fn check(cx: &Context) -> Result<(), Error> {
    let Some(field) = cx.request.headers.get("If") else {
        return Ok(());
    };
    let lists = parse(field).ok_or(Error::Status(400, "The If header is not well-formed."))?;
    for list in &lists {
        let holds = match &list.tag {
            None => all(&list.conditions, &cx.target),
            Some(tag) => match cx.path_of(tag) {
                Some(path) => all(&list.conditions, &cx.resolve(&path).await?),
                None => all(&list.conditions, &Resource::Missing),
            },
        };
        if holds {
            return Ok(());
        }
    }
    Err(Error::Status(412, "The If header does not hold."))
}

fn all(conditions: &[Test], resource: &Resource) -> bool {
    let current = Current::of(resource);
    let token = match resource {
        Resource::Home(place) => Some(place.home.token(store::Viewer::Owner)),
        Resource::Collection(_, collection) => Some(collection.token(store::Viewer::Owner)),
        _ => None,
    };
    conditions.iter().all(|test| {
        let matches = match &test.state {
            State::Etag(etag) => etag_matches(etag, &current),
            State::Token(sent) => token.as_deref() == Some(sent),
        };
        matches != test.negated
    })
}

fn parse(field: &str) -> Option<Vec<List>> {
    let mut lists = Vec::new();
    let mut tag = None;
    let mut rest = field.trim();
    while !rest.is_empty() {
        if let Some(after) = rest.strip_prefix('<') {
            let (reference, after) = after.split_once('>')?;
            let untagged_before = tag.is_none() && !lists.is_empty();
            if untagged_before || !after.trim_start().starts_with('(') {
                return None;
            }
            tag = Some(reference.to_owned());
            rest = after.trim_start();
        } else {
            let (conditions, after) = list(rest.strip_prefix('(')?)?;
            lists.push(List {
                tag: tag.clone(),
                conditions,
            });
            rest = after.trim_start();
        }
    }
    Some(lists).filter(|lists| !lists.is_empty())
}

/// The conditions up to the closing parenthesis, and what follows it.
fn list(text: &str) -> Option<(Vec<Test>, &str)> {
    let mut conditions = Vec::new();
    let mut rest = text.trim_start();
    loop {
        if let Some(after) = rest.strip_prefix(')') {
            return (!conditions.is_empty()).then_some((conditions, after));
        }
        let (word, unnegated) = rest.split_at_checked(3).unwrap_or((rest, ""));
        let negated = word.eq_ignore_ascii_case("not");
        if negated {
            rest = unnegated.trim_start();
        }
        let (state, after) = if let Some(after) = rest.strip_prefix('<') {
            let (token, after) = after.split_once('>')?;
            (State::Token(token.to_owned()), after)
        } else {
            let quoted = rest.strip_prefix('[')?;
            let start = if quoted.starts_with("W/") { 3 } else { 1 };
            let end = quoted.get(start..)?.find('"')? + start + 1;
            let (etag, after) = quoted.split_at_checked(end)?;
            (State::Etag(etag.to_owned()), after.strip_prefix(']')?)
        };
        conditions.push(Test { negated, state });
        rest = after.trim_start();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn token(negated: bool, token: &str) -> Test {
        let state = State::Token(token.to_owned());
        Test { negated, state }
    }

    fn etag(etag: &str) -> Test {
        let state = State::Etag(etag.to_owned());
        let negated = false;
        Test { negated, state }
    }

    #[test]
    fn the_examples_of_the_rfc_are_read() {
        let no_tag = parse("(<urn:uuid:1> [\"I am an ETag\"]) ([\"I am ]another\"])").unwrap();
        assert_eq!(no_tag.len(), 2);
        assert_eq!(
            no_tag[0].conditions,
            [token(false, "urn:uuid:1"), etag("\"I am an ETag\"")]
        );
        let not = parse("(Not <urn:uuid:1>\n <urn:uuid:2>)").unwrap();
        assert_eq!(
            not[0].conditions,
            [token(true, "urn:uuid:1"), token(false, "urn:uuid:2")]
        );
        let tagged =
            parse("</r1> (<urn:1> [W/\"weak\"]) ([\"s\"]) <http://h/r2> (Not <DAV:no-lock>)")
                .unwrap();
        let tags: Vec<_> = tagged.iter().map(|list| list.tag.as_deref()).collect();
        assert_eq!(tags, [Some("/r1"), Some("/r1"), Some("http://h/r2")]);
        assert_eq!(tagged[0].conditions[1], etag("W/\"weak\""));
    }

    #[test]
    fn what_is_no_if_header_is_refused() {
        for bad in [
            "",
            "()",
            "(",
            "(<a>",
            "<a>",
            "(<a>) </r> (<b>)",
            "([a])",
            "([\"a\")",
            "x",
            "(Not)",
            "</r> </s> (<a>)",
        ] {
            assert_eq!(parse(bad), None, "{bad}");
        }
    }

    #[test]
    fn nothing_matches_on_a_url_that_names_nothing() {
        assert!(!all(&[etag("\"4217\"")], &Resource::Missing));
        assert!(all(&[token(true, "DAV:no-lock")], &Resource::Missing));
    }
}
