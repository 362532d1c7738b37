//! Escaping: TEXT values (RFC 5545 §3.3.11) and parameter values (RFC 5545 §3.2, RFC 6868 §3).

use std::borrow::Cow;

/// The text a TEXT value stands for. RFC 5545 §3.3.11
///
/// Of the escapes the grammar does not know, a letter or digit keeps its backslash (`C:\temp` was
/// never escaped) and a sign loses it (`\"` is what several programs write for a quote).
#[must_use]
pub fn unescape(value: &str) -> Cow<'_, str> {
    if !value.contains('\\') {
        return Cow::Borrowed(value);
    }
    let mut text = String::with_capacity(value.len());
    let mut chars = value.chars();
    while let Some(char) = chars.next() {
        if char != '\\' {
            text.push(char);
            continue;
        }
        match chars.next() {
            Some('n' | 'N') => text.push('\n'),
            Some(letter) if letter.is_alphanumeric() => text.extend(['\\', letter]),
            Some(sign) => text.push(sign),
            None => text.push('\\'),
        }
    }
    Cow::Owned(text)
}

/// The TEXT value of a text: line ends of any kind become `\n`, other control characters except
/// the tab are left out, because no value may hold them. RFC 5545 §3.3.11
#[must_use]
pub fn escape(text: &str) -> String {
    let mut value = String::with_capacity(text.len() + text.len() / 16);
    let mut chars = text.chars().peekable();
    while let Some(char) = chars.next() {
        match char {
            '\\' | ',' | ';' => value.extend(['\\', char]),
            '\n' => value.push_str("\\n"),
            '\r' if chars.peek() == Some(&'\n') => {}
            '\r' => value.push_str("\\n"),
            char if is_forbidden(char) => {}
            char => value.push(char),
        }
    }
    value
}

/// The values of a comma-separated list of TEXT, each unescaped. RFC 5545 §3.1.1
#[must_use]
pub fn split_list(value: &str) -> Vec<Cow<'_, str>> {
    split_unescaped(value, b',')
        .into_iter()
        .map(unescape)
        .collect()
}

/// The parts of a value between separators that no backslash precedes, still escaped.
#[must_use]
pub(crate) fn split_unescaped(value: &str, separator: u8) -> Vec<&str> {
    let (mut parts, mut start, mut escaped) = (Vec::new(), 0, false);
    for (place, byte) in value.bytes().enumerate() {
        if escaped {
            escaped = false;
        } else if byte == b'\\' {
            escaped = true;
        } else if byte == separator {
            parts.extend(value.get(start..place));
            start = place + 1;
        }
    }
    parts.extend(value.get(start..));
    parts
}

/// A raw value without what would end its line: control characters except the tab.
pub(crate) fn clean_value(value: &str) -> Cow<'_, str> {
    if value.contains(is_forbidden) {
        Cow::Owned(value.replace(is_forbidden, ""))
    } else {
        Cow::Borrowed(value)
    }
}

/// A name with only what a name may hold: letters, digits and hyphens. RFC 5545 §3.1
pub(crate) fn clean_name(name: &str) -> Cow<'_, str> {
    let good = |char: char| char.is_ascii_alphanumeric() || char == '-';
    if !name.is_empty() && name.chars().all(good) {
        return Cow::Borrowed(name);
    }
    let cleaned: String = name.chars().filter(|char| good(*char)).collect();
    Cow::Owned(if cleaned.is_empty() {
        "X-NAMELESS".to_owned()
    } else {
        cleaned
    })
}

/// Control characters other than the tab: "CONTROL = %x00-08 / %x0A-1F / %x7F". RFC 5545 §3.1
pub(crate) fn is_forbidden(char: char) -> bool {
    (char < ' ' && char != '\t') || char == '\u{7f}'
}

/// What a raw parameter value stands for: quotes removed, RFC 6868 §3.1 decoded.
pub(crate) fn decode_param(raw: &str) -> Cow<'_, str> {
    let inner = raw
        .strip_prefix('"')
        .and_then(|rest| rest.strip_suffix('"'))
        .unwrap_or(raw);
    if !inner.contains('^') {
        return Cow::Borrowed(inner);
    }
    let mut text = String::with_capacity(inner.len());
    let mut chars = inner.chars().peekable();
    while let Some(char) = chars.next() {
        let decoded = match (char, chars.peek()) {
            ('^', Some('n')) => '\n',
            ('^', Some('\'')) => '"',
            ('^', Some('^')) => '^',
            // "the ^ and the following character MUST be left" as they are. RFC 6868 §3.1
            _ => {
                text.push(char);
                continue;
            }
        };
        chars.next();
        text.push(decoded);
    }
    Cow::Owned(text)
}

/// Appends a parameter value: RFC 6868 §3.1 encoded, quoted where it must be. RFC 5545 §3.2
pub(crate) fn push_param_value(line: &mut String, value: &str) {
    let quoted = value.contains([',', ';', ':']);
    line.extend(quoted.then_some('"'));
    let mut chars = value.chars().peekable();
    while let Some(char) = chars.next() {
        match char {
            '^' => line.push_str("^^"),
            '"' => line.push_str("^'"),
            '\n' => line.push_str("^n"),
            '\r' if chars.peek() == Some(&'\n') => {}
            '\r' => line.push_str("^n"),
            char if is_forbidden(char) => {}
            char => line.push(char),
        }
    }
    line.extend(quoted.then_some('"'));
}

#[cfg(test)]
mod tests {
    use super::{decode_param, escape, push_param_value, split_list, unescape};

    #[test]
    fn text_is_escaped_and_read_back() {
        for (value, text) in [
            (r"a\, b\; c\\d\ne", "a, b; c\\d\ne"),
            (r"\\n", "\\n"),
            ("plain", "plain"),
            ("", ""),
        ] {
            assert_eq!(unescape(value), text);
            assert_eq!(escape(text), value);
        }
        assert_eq!(
            unescape(r#"say \"hi\"\: C:\temp\N\"#),
            "say \"hi\": C:\\temp\n\\"
        );
        assert_eq!(escape("a\r\nb\rc\n\0d\u{b}\te\u{7f}"), r"a\nb\nc\nd	e");
        assert_eq!(split_list(r"a,b\,c,,\\,d"), ["a", "b,c", "", "\\", "d"]);
    }

    #[test]
    fn parameter_values_are_encoded_and_read_back() {
        for (raw, text) in [
            ("George Herman ^'Babe^' Ruth", "George Herman \"Babe\" Ruth"),
            ("\"Pages^n1: 2\"", "Pages\n1: 2"),
            ("^^n", "^n"),
            ("\"mailto:a@example.com\"", "mailto:a@example.com"),
            ("", ""),
        ] {
            assert_eq!(decode_param(raw), text);
            let mut line = String::new();
            push_param_value(&mut line, text);
            assert_eq!(line, raw);
        }
        assert_eq!(decode_param("a^xb^"), "a^xb^");
    }
}
