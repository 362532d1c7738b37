//! From the tree to text (RFC 5545 §3.1).

use super::component::{Component, Item};
use super::property::{Form, Property};

/// "Lines of text SHOULD NOT be longer than 75 octets, excluding the line break." RFC 5545 §3.1
const LINE_OCTETS: usize = 75;

/// The component as iCalendar text. What nobody edited comes out as it came in, folding included,
/// with CRLF as line end; what code made or edited is folded at 75 octets. RFC 5545 §3.1
#[must_use]
pub fn print(component: &Component) -> Vec<u8> {
    let mut out = Vec::new();
    print_to(&mut out, component);
    out
}

/// Appends what [`print()`] answers.
pub fn print_to(out: &mut Vec<u8>, component: &Component) {
    match component.frame() {
        Some(frame) => line(out, &frame.begin),
        None => line_of(out, b"BEGIN:", component.name()),
    }
    for item in &component.items {
        match item {
            Item::Property(property) => print_property(out, property),
            Item::Component(component) => print_to(out, component),
            Item::Junk(junk) => line(out, junk.bytes()),
        }
    }
    match component.frame() {
        Some(frame) => line(out, &frame.end),
        None => line_of(out, b"END:", component.name()),
    }
}

/// Appends one property as its content line or lines.
pub(crate) fn print_property(out: &mut Vec<u8>, property: &Property) {
    match property.form() {
        Form::Unfolded => line(out, property.line().as_bytes()),
        Form::Folded => fold(out, property.line()),
        Form::Raw(raw) => line(out, raw),
    }
}

fn line(out: &mut Vec<u8>, text: &[u8]) {
    out.extend_from_slice(text);
    out.extend_from_slice(b"\r\n");
}

fn line_of(out: &mut Vec<u8>, keyword: &[u8], name: &str) {
    out.extend_from_slice(keyword);
    line(out, name.as_bytes());
}

/// Folds between characters, never inside one.
fn fold(out: &mut Vec<u8>, text: &str) {
    let (mut rest, mut room) = (text, LINE_OCTETS);
    while rest.len() > room {
        // A carriage return at the end of a piece would be taken for a part of the line end.
        let fits = |end: &usize| {
            let head = rest.get(..*end);
            head.is_some_and(|head| !head.is_empty() && !head.ends_with('\r'))
        };
        let end = (1..=room).rev().find(fits).unwrap_or(rest.len());
        let (head, tail) = rest.split_at_checked(end).unwrap_or((rest, ""));
        line(out, head.as_bytes());
        out.push(b' ');
        rest = tail;
        room = LINE_OCTETS - 1;
    }
    line(out, rest.as_bytes());
}
