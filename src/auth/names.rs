//! What principals and their addresses may be called. RFC 4791 §6.2.1

use super::accounts::Error;

/// The longest name of a principal.
const MAX_NAME_CHARS: usize = 64;

/// The longest display name or label.
const MAX_TEXT_CHARS: usize = 255;

/// A name is a segment of a URL and what people type: letters and digits of any
/// script, and `.`, `-`, `_`, `+`, `@` between them.
pub(super) fn check_name(name: &str) -> Result<(), Error> {
    let good = |c: char| c.is_alphanumeric() || ".-_+@".contains(c);
    let edge = |c: Option<char>| c.is_some_and(char::is_alphanumeric);
    let chars = name.chars();
    if name.chars().count() <= MAX_NAME_CHARS
        && name.chars().all(good)
        && edge(chars.clone().next())
        && edge(chars.clone().next_back())
    {
        return Ok(());
    }
    Err(Error::Bad(format!(
        "\"{}\" is no name: up to {MAX_NAME_CHARS} letters and digits, with . - _ + @ between them",
        name.escape_debug()
    )))
}

/// A display name or a label is one line.
pub(super) fn check_text(text: &str) -> Result<(), Error> {
    if text.chars().count() > MAX_TEXT_CHARS || text.chars().any(char::is_control) {
        return Err(Error::Bad(format!(
            "a text may have {MAX_TEXT_CHARS} characters and no line breaks or control characters"
        )));
    }
    Ok(())
}

/// Calendar user addresses as URIs: a bare mail address gets its `mailto:`.
/// RFC 4791 §6.2.1
pub(super) fn addresses(given: &[String]) -> Result<Vec<String>, Error> {
    let mut all: Vec<String> = Vec::new();
    for text in given {
        let text = text.trim();
        let uri = if text.contains(':') {
            text.to_owned()
        } else {
            format!("mailto:{text}")
        };
        check_address(&uri)?;
        if !all.iter().any(|other| other.eq_ignore_ascii_case(&uri)) {
            all.push(uri);
        }
    }
    Ok(all)
}

fn check_address(uri: &str) -> Result<(), Error> {
    let bad = || {
        Error::Bad(format!(
            "\"{}\" is no mail address and no URI",
            uri.escape_debug()
        ))
    };
    let (scheme, rest) = uri.split_once(':').ok_or_else(bad)?;
    let plain =
        !uri.contains(|c: char| c.is_whitespace() || c.is_control() || "<>\",;".contains(c));
    let named = scheme.starts_with(|c: char| c.is_ascii_alphabetic())
        && scheme
            .chars()
            .all(|c| c.is_ascii_alphanumeric() || "+-.".contains(c));
    let mail = rest.rsplit_once('@').is_some_and(|(local, domain)| {
        !local.is_empty() && !local.contains('@') && !domain.is_empty()
    });
    let fits = mail || !scheme.eq_ignore_ascii_case("mailto");
    if plain && named && !rest.is_empty() && fits && uri.len() <= 320 {
        Ok(())
    } else {
        Err(bad())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_segments_that_people_can_type() {
        for good in [
            "alice",
            "Alice.B",
            "a",
            "josé",
            "a+b@example.org",
            "42",
            "a-_b",
        ] {
            assert!(check_name(good).is_ok(), "{good}");
        }
        let long = "a".repeat(65);
        for bad in [
            "",
            ".",
            "..",
            "a/b",
            "a b",
            "-a",
            "a-",
            "a:b",
            "a%b",
            "a\nb",
            long.as_str(),
        ] {
            assert!(check_name(bad).is_err(), "{bad}");
        }
    }

    #[test]
    fn addresses_are_uris() {
        let given = [
            "Alice@Example.org",
            "mailto:alice@example.org",
            "urn:uuid:1",
            "tel:+1-2",
        ]
        .map(str::to_owned);
        let read = addresses(&given).unwrap();
        assert_eq!(read, ["mailto:Alice@Example.org", "urn:uuid:1", "tel:+1-2"]);
        for bad in [
            "", "alice", "@b", "a@", "a@b@c", "a b@c", "mailto:x", "<a@b>", "a@b,c@d", "1x:y",
        ] {
            assert!(addresses(&[bad.to_owned()]).is_err(), "{bad}");
        }
    }
}
