//! XML straight into one buffer: a multistatus of ten thousand members is one growing text.
//!
//! Names in the namespaces we know have a prefix bound on the root; any other name declares its
//! namespace where it stands.

use super::name::{BOUND, Name};

/// A document being written.
#[derive(Debug)]
pub struct Writer {
    out: String,
    root: Name<'static>,
}

impl Writer {
    /// A document with this root, open, with our namespaces bound.
    pub fn document(root: Name<'static>) -> Writer {
        let mut out = String::with_capacity(1 << 10);
        out.push_str("<?xml version=\"1.0\" encoding=\"utf-8\"?>\n<");
        push_name(&mut out, root);
        for (prefix, ns) in BOUND {
            out.push_str(" xmlns:");
            out.push_str(prefix);
            out.push_str("=\"");
            out.push_str(ns);
            out.push('"');
        }
        out.push('>');
        Writer { out, root }
    }

    /// Makes room for what is about to be written.
    pub fn reserve(&mut self, bytes: usize) {
        self.out.reserve(bytes);
    }

    /// Opens an element.
    pub fn open(&mut self, name: Name<'_>) {
        self.tag(name);
        self.out.push('>');
    }

    /// Opens an element with attributes.
    pub fn open_with(&mut self, name: Name<'_>, attributes: &[(&str, &str)]) {
        self.tag(name);
        for (key, value) in attributes {
            self.out.push(' ');
            self.out.push_str(key);
            self.out.push_str("=\"");
            super::element::escape_attribute(&mut self.out, value);
            self.out.push('"');
        }
        self.out.push('>');
    }

    /// Closes the element of this name; one in which nothing was written becomes an empty tag.
    pub fn close(&mut self, name: Name<'_>) {
        if self.out.ends_with('>') && self.just_opened(name) {
            self.out.pop();
            self.out.push_str("/>");
            return;
        }
        self.out.push_str("</");
        push_name(&mut self.out, name);
        self.out.push('>');
    }

    /// Whether the text ends in this element's start tag without attributes.
    fn just_opened(&self, name: Name<'_>) -> bool {
        let Some(prefix) = name.prefix() else {
            return false;
        };
        self.out
            .strip_suffix('>')
            .and_then(|rest| rest.strip_suffix(name.local))
            .and_then(|rest| rest.strip_suffix(':'))
            .and_then(|rest| rest.strip_suffix(prefix))
            .is_some_and(|rest| rest.ends_with('<'))
    }

    /// An element with nothing in it.
    pub fn empty(&mut self, name: Name<'_>) {
        self.tag(name);
        self.out.push_str("/>");
    }

    /// An element with text in it.
    pub fn element(&mut self, name: Name<'_>, text: &str) {
        self.open(name);
        self.text(text);
        self.close(name);
    }

    /// Character data.
    pub fn text(&mut self, text: &str) {
        escape_text(&mut self.out, text);
    }

    /// A decimal number.
    pub fn number(&mut self, number: u64) {
        self.out.push_str(&number.to_string());
    }

    /// XML that stands for itself, as [`super::Element::to_xml`] writes it.
    pub fn raw(&mut self, xml: &str) {
        self.out.push_str(xml);
    }

    /// A DAV:href with a reference that is already percent-encoded. RFC 4918 §14.7
    pub fn href(&mut self, href: &str) {
        self.out.push_str("<D:href>");
        escape_text(&mut self.out, href);
        self.out.push_str("</D:href>");
    }

    /// How much is written.
    pub fn len(&self) -> usize {
        self.out.len()
    }

    /// Whether nothing is written: never, a document begins with its root.
    pub fn is_empty(&self) -> bool {
        self.out.is_empty()
    }

    /// Takes back what was written since the length was `mark`.
    pub fn rewind(&mut self, mark: usize) {
        self.out.truncate(mark);
    }

    /// The text written since the length was `mark`.
    pub fn since(&self, mark: usize) -> &str {
        self.out.get(mark..).unwrap_or_default()
    }

    /// The document, its root closed.
    pub fn finish(mut self) -> String {
        self.out.push_str("</");
        push_name(&mut self.out, self.root);
        self.out.push_str(">\n");
        self.out
    }

    fn tag(&mut self, name: Name<'_>) {
        self.out.push('<');
        if name.prefix().is_some() {
            push_name(&mut self.out, name);
            return;
        }
        self.out.push_str(name.local);
        if !name.ns.is_empty() {
            self.out.push_str(" xmlns=\"");
            super::element::escape_attribute(&mut self.out, name.ns);
            self.out.push('"');
        }
    }
}

/// Start tag, end tag and empty tag of an element, for one that is written many times.
pub fn tags(name: Name<'_>) -> [String; 3] {
    let mut w = Writer {
        out: String::with_capacity(64),
        root: Name::dav("prop"),
    };
    w.tag(name);
    let mut open = w.out.clone();
    open.push('>');
    w.out.push_str("/>");
    let mut close = String::with_capacity(open.len() + 1);
    close.push_str("</");
    push_name(&mut close, name);
    close.push('>');
    [open, close, w.out]
}

fn push_name(out: &mut String, name: Name<'_>) {
    if let Some(prefix) = name.prefix() {
        out.push_str(prefix);
        out.push(':');
    }
    out.push_str(name.local);
}

/// The bytes that need a look: markup, controls, and the first of U+FFFE and U+FFFF.
#[allow(clippy::indexing_slicing, reason = "the compiler runs it")]
const SPECIAL: [bool; 256] = {
    let mut special = [false; 256];
    let mut byte = 0;
    while byte < 0x20 {
        special[byte] = true;
        byte += 1;
    }
    special[b'&' as usize] = true;
    special[b'<' as usize] = true;
    special[b'>' as usize] = true;
    special[0xEF] = true;
    special
};

fn is_special(byte: u8) -> bool {
    SPECIAL
        .get(usize::from(byte))
        .is_some_and(|special| *special)
}

/// Text as it stands in HTML, also inside quotes of either kind.
#[must_use]
pub fn escape_html(text: &str) -> String {
    let mut escaped = String::with_capacity(text.len());
    for c in text.chars() {
        match c {
            '&' => escaped.push_str("&amp;"),
            '<' => escaped.push_str("&lt;"),
            '>' => escaped.push_str("&gt;"),
            '"' => escaped.push_str("&quot;"),
            '\'' => escaped.push_str("&#39;"),
            c => escaped.push(c),
        }
    }
    escaped
}

/// Escapes character data: `\r` by reference, else a reader would make `\n` of it; what XML has
/// no character for becomes U+FFFD.
pub(super) fn escape_text(out: &mut String, text: &str) {
    let mut rest = text;
    while let Some(at) = rest.bytes().position(is_special) {
        let (before, after) = rest.split_at_checked(at).unwrap_or((rest, ""));
        out.push_str(before);
        let mut chars = after.chars();
        match chars.next() {
            Some('&') => out.push_str("&amp;"),
            Some('<') => out.push_str("&lt;"),
            Some('>') => out.push_str("&gt;"),
            Some('\r') => out.push_str("&#13;"),
            Some(c @ ('\n' | '\t')) => out.push(c),
            Some('\0'..='\u{1f}' | '\u{fffe}' | '\u{ffff}') => out.push('\u{fffd}'),
            Some(c) => out.push(c),
            None => {}
        }
        rest = chars.as_str();
    }
    out.push_str(rest);
}

#[cfg(test)]
mod tests {
    use super::super::{Element, Limits};
    use super::*;

    #[test]
    fn what_is_written_is_read_back() {
        let mut w = Writer::document(Name::dav("multistatus"));
        let other = Name {
            ns: "urn:<o>",
            local: "o",
        };
        w.open(Name::dav("a"));
        w.close(Name::dav("a"));
        w.element(Name::caldav("b"), "1 < 2 & \r\n\u{1}\u{ffff}ü｡]]>");
        w.open(other);
        w.empty(Name { ns: "", local: "p" });
        w.close(other);
        w.open_with(Name::dav("c"), &[("x", "\"&<\n")]);
        w.close(Name::dav("c"));
        w.href("/a%20b/");
        let text = w.finish();
        assert!(text.contains("<D:a/>"), "{text}");
        let root = Element::parse(text.as_bytes(), &Limits::default()).unwrap();
        assert!(root.child(Name::dav("a")).is_some());
        let b = root.child(Name::caldav("b")).unwrap();
        assert_eq!(b.text(), "1 < 2 & \r\n\u{fffd}\u{fffd}ü｡]]>");
        assert!(root.child(other).is_some());
        assert_eq!(
            root.child(Name::dav("c")).unwrap().attribute("x"),
            Some("\"&<\n")
        );
        assert_eq!(root.child(Name::dav("href")).unwrap().text(), "/a%20b/");
    }

    #[test]
    fn what_was_written_can_be_taken_back() {
        let mut w = Writer::document(Name::dav("error"));
        let mark = w.len();
        w.element(Name::dav("a"), "b");
        w.rewind(mark);
        assert!(w.finish().ends_with("/ns/\" xmlns:A=\"http://apple.com/ns/ical/\" xmlns:M=\"http://me.com/_namespace/\"></D:error>\n"));
    }
}
