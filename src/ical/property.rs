//! A property: one content line (RFC 5545 §3.1), kept as it was written.
//!
//! A property holds its logical line (unfolded), a part of the text it was read from, and finds
//! name, parameters and value in it. What nobody edits is printed as it came.

use std::borrow::Cow;
use std::sync::Arc;

use super::text::{
    clean_name, clean_value, decode_param, escape, push_param_value, split_list, unescape,
};
use super::time::When;

/// One content line. Two are equal when their logical lines are: folding and place do not count.
#[derive(Clone, Debug)]
pub struct Property {
    line: Line,
    /// Where the name ends.
    name_end: usize,
    /// Where the colon stands; the length of the line when there is none.
    colon: usize,
    number: u32,
    form: Form,
}

/// A logical line: name, parameters, colon, value. All lines of an input share its text, because an
/// allocation for each costs more than all the rest of reading it.
#[derive(Clone, Debug)]
pub(crate) struct Line {
    text: Arc<str>,
    start: usize,
    end: usize,
}

impl Line {
    /// The line between two places of a text.
    pub(crate) fn of(text: Arc<str>, start: usize, end: usize) -> Line {
        Line { text, start, end }
    }

    fn as_str(&self) -> &str {
        self.text.get(self.start..self.end).unwrap_or_default()
    }
}

impl From<String> for Line {
    fn from(line: String) -> Line {
        let end = line.len();
        Line::of(line.into(), 0, end)
    }
}

/// How a property is printed.
#[derive(Clone, Debug)]
pub(crate) enum Form {
    /// As the logical line, however long it is: so it came.
    Unfolded,
    /// As the logical line, folded: made or edited by code.
    Folded,
    /// As these bytes: it came folded, or not in UTF-8.
    Raw(Box<[u8]>),
}

/// A parameter of a property.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Param<'a> {
    name: &'a str,
    /// Everything after the equals sign: values, commas and quotes as written.
    raw: &'a str,
    written: &'a str,
}

impl Property {
    /// A property with a value that is already in the form its type demands. Characters that may
    /// not stand in a name or a value are left out, so no second line can come of it.
    #[must_use]
    pub fn new(name: &str, value: &str) -> Property {
        let (name, value) = (clean_name(name), clean_value(value));
        Property {
            line: format!("{name}:{value}").into(),
            name_end: name.len(),
            colon: name.len(),
            number: 0,
            form: Form::Folded,
        }
    }

    /// A property with a TEXT value. RFC 5545 §3.3.11
    #[must_use]
    pub fn text_value(name: &str, text: &str) -> Property {
        Property::new(name, &escape(text))
    }

    /// A property with a DATE or DATE-TIME value, and the VALUE or TZID parameter it needs.
    /// RFC 5545 §3.2.19, §3.2.20
    #[must_use]
    pub fn when_value(name: &str, when: &When) -> Property {
        let mut property = Property::new(name, "");
        property.set_when(when);
        property
    }

    /// A property as the reader found it: its line, where in it the name ends and the colon stands,
    /// and its place in the input.
    pub(crate) fn read(
        line: Line,
        (name_end, colon): (usize, usize),
        form: Form,
        number: u32,
    ) -> Property {
        Property {
            line,
            name_end,
            colon,
            number,
            form,
        }
    }

    /// How it is printed.
    pub(crate) fn form(&self) -> &Form {
        &self.form
    }

    /// The name as written.
    #[must_use]
    pub fn name(&self) -> &str {
        self.line().get(..self.name_end).unwrap_or_default()
    }

    /// Whether this is its name, in any case.
    #[must_use]
    pub fn is(&self, name: &str) -> bool {
        self.name_end == name.len() && self.name().eq_ignore_ascii_case(name)
    }

    /// The logical line: unfolded, without a line end.
    #[must_use]
    pub fn line(&self) -> &str {
        self.line.as_str()
    }

    /// The line of the input where it begins, from 1; 0 when code made it.
    #[must_use]
    pub fn line_number(&self) -> u32 {
        self.number
    }

    /// The value as written, unfolded and still escaped.
    #[must_use]
    pub fn value(&self) -> &str {
        self.line().get(self.colon + 1..).unwrap_or_default()
    }

    /// The value read as one TEXT. RFC 5545 §3.3.11
    #[must_use]
    pub fn text(&self) -> Cow<'_, str> {
        unescape(self.value())
    }

    /// The value read as a comma-separated list of TEXT. RFC 5545 §3.1.1
    #[must_use]
    pub fn texts(&self) -> Vec<Cow<'_, str>> {
        split_list(self.value())
    }

    /// Replaces the value by one that is already in the form its type demands; the parameters stay.
    pub fn set_value(&mut self, value: &str) {
        if self.value() == value && self.colon < self.line().len() {
            return;
        }
        self.close_quotes();
        let head = self.line().get(..self.colon).unwrap_or_default();
        let line = format!("{head}:{}", clean_value(value));
        self.rewrite(line, self.colon);
    }

    /// Replaces the value by a TEXT; the parameters stay. RFC 5545 §3.3.11
    pub fn set_text(&mut self, text: &str) {
        self.set_value(&escape(text));
    }

    /// Replaces the value by a DATE or DATE-TIME and sets VALUE and TZID to fit.
    pub fn set_when(&mut self, when: &When) {
        if when.is_date() {
            self.set_param("VALUE", "DATE");
        } else {
            self.remove_param("VALUE");
        }
        match when.tzid() {
            Some(tzid) => self.set_param("TZID", tzid),
            None => {
                self.remove_param("TZID");
            }
        }
        self.set_value(&when.to_string());
    }

    /// All parameters in order.
    pub fn params(&self) -> impl Iterator<Item = Param<'_>> {
        let section = self.section();
        split_quoted(section.strip_prefix(';').unwrap_or(section), b';')
            .filter(|part| !part.is_empty())
            .map(|written| {
                let (name, raw) = written.split_once('=').unwrap_or((written, ""));
                Param { name, raw, written }
            })
    }

    /// The first value of the first parameter of that name, unquoted and decoded (RFC 6868 §3.1).
    #[must_use]
    pub fn param(&self, name: &str) -> Option<Cow<'_, str>> {
        self.params()
            .find(|param| param.is(name))
            .and_then(|param| param.values().next())
    }

    /// The values of all parameters of that name, unquoted and decoded (RFC 6868 §3.1).
    #[must_use]
    pub fn param_values(&self, name: &str) -> Vec<Cow<'_, str>> {
        self.params()
            .filter(|param| param.is(name))
            .flat_map(|param| param.values())
            .collect()
    }

    /// Sets a parameter to one value: in place of the first of that name, else at the end.
    pub fn set_param(&mut self, name: &str, value: &str) {
        self.set_param_values(name, &[value]);
    }

    /// Sets a parameter to several values: in place of the first of that name, else at the end.
    pub fn set_param_values(&mut self, name: &str, values: &[&str]) {
        let mut written = format!(";{}=", clean_name(name));
        for (place, value) in values.iter().enumerate() {
            written.extend((place > 0).then_some(','));
            push_param_value(&mut written, value);
        }
        self.replace_param(name, &written);
    }

    /// Removes all parameters of that name; answers whether there was one.
    pub fn remove_param(&mut self, name: &str) -> bool {
        let found = self.params().any(|param| param.is(name));
        if found {
            self.replace_param(name, "");
        }
        found
    }

    /// Keeps only the parameters the test accepts.
    pub fn retain_params(&mut self, test: impl Fn(&Param<'_>) -> bool) {
        if self.params().all(|param| test(&param)) {
            return;
        }
        self.close_quotes();
        let mut line = String::with_capacity(self.line().len());
        line.push_str(self.name());
        for param in self.params().filter(|param| test(param)) {
            line.push(';');
            line.push_str(param.written);
        }
        let colon = line.len();
        line.push(':');
        line.push_str(self.value());
        self.rewrite(line, colon);
    }

    /// The same property with a parameter set.
    #[must_use]
    pub fn with_param(mut self, name: &str, value: &str) -> Property {
        self.set_param(name, value);
        self
    }

    /// Writes the parameters anew where a quote is not closed: it would pair with one that an edit
    /// brings, and the colon be taken for a part of a parameter.
    fn close_quotes(&mut self) {
        let quotes = |text: &str| text.bytes().filter(|byte| *byte == b'"').count();
        if quotes(self.section()) % 2 == 0 {
            return;
        }
        let mut line = self.name().to_owned();
        for param in self.params() {
            line.push(';');
            line.push_str(&clean_name(param.name));
            line.push('=');
            for (place, value) in param.values().enumerate() {
                line.extend((place > 0).then_some(','));
                push_param_value(&mut line, &value);
            }
        }
        let colon = line.len();
        line.push(':');
        line.push_str(self.value());
        self.rewrite(line, colon);
    }

    /// Puts another line in place of this one, with the same name.
    fn rewrite(&mut self, line: String, colon: usize) {
        (self.line, self.colon, self.form) = (line.into(), colon, Form::Folded);
    }

    /// The parameters as written, each after its semicolon.
    fn section(&self) -> &str {
        self.line()
            .get(self.name_end..self.colon)
            .unwrap_or_default()
    }

    /// Puts `written` (a semicolon and a parameter, or nothing) in place of the first parameter of
    /// that name, removes the others of that name.
    fn replace_param(&mut self, name: &str, written: &str) {
        self.close_quotes();
        let mut line = String::with_capacity(self.line().len() + written.len());
        line.push_str(self.name());
        let mut rest = Some(written);
        for param in self.params() {
            if !param.is(name) {
                line.push(';');
                line.push_str(param.written);
            } else if let Some(written) = rest.take() {
                line.push_str(written);
            }
        }
        line.push_str(rest.unwrap_or_default());
        let colon = line.len();
        line.push(':');
        line.push_str(self.value());
        if line != self.line() {
            self.rewrite(line, colon);
        }
    }
}

impl PartialEq for Property {
    fn eq(&self, other: &Property) -> bool {
        self.line() == other.line()
    }
}

impl Eq for Property {}

impl<'a> Param<'a> {
    /// The name as written.
    #[must_use]
    pub fn name(&self) -> &'a str {
        self.name
    }

    /// Whether this is its name, in any case.
    #[must_use]
    pub fn is(&self, name: &str) -> bool {
        self.name.eq_ignore_ascii_case(name)
    }

    /// Its values, unquoted and decoded (RFC 6868 §3.1).
    pub fn values(&self) -> impl Iterator<Item = Cow<'a, str>> + use<'a> {
        split_quoted(self.raw, b',').map(decode_param)
    }

    /// Its values as written, with commas and quotes.
    #[must_use]
    pub fn raw(&self) -> &'a str {
        self.raw
    }
}

/// The parts of a text between separators outside quotes. A quote that nothing closes counts as a
/// letter.
fn split_quoted(text: &str, separator: u8) -> impl Iterator<Item = &str> {
    let mut rest = Some(text);
    std::iter::from_fn(move || {
        let text = rest?;
        let end = find_unquoted(text.as_bytes(), separator).unwrap_or(text.len());
        rest = text.get(end + 1..);
        text.get(..end)
    })
}

/// The first place of a byte outside quotes. A quote that nothing closes counts as a letter.
pub(crate) fn find_unquoted(text: &[u8], wanted: u8) -> Option<usize> {
    let (mut quoted, mut inside) = (false, None);
    for (place, byte) in text.iter().enumerate() {
        if *byte == b'"' {
            quoted = !quoted;
            inside = None;
        } else if *byte == wanted {
            if !quoted {
                return Some(place);
            }
            inside = inside.or(Some(place));
        }
    }
    if quoted { inside } else { None }
}
