//! From bytes to the tree: never fails, keeps every line, names what is wrong (RFC 5545 §3.1).
//!
//! **Gaps**: text in other charsets than UTF-8 is read with replacement characters; whoever knows
//! the charset decodes it first. Lines that end in a carriage return alone are one line.

use std::borrow::Cow;
use std::sync::Arc;

use super::component::{Component, Frame, Item, Junk};
use super::problem::{Problem, ProblemKind, Severity};
use super::property::{self, Form, Property, find_unquoted};
use super::text::is_forbidden;

/// How much the reader takes in.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Limits {
    /// Bytes of a text.
    pub bytes: usize,
    /// Physical lines of a text.
    pub lines: usize,
    /// Bytes of a logical line.
    pub line_bytes: usize,
    /// Components nested in each other; more than 128 count as 128.
    pub depth: usize,
    /// Problems of each severity that are listed.
    pub problems: usize,
}

impl Default for Limits {
    fn default() -> Limits {
        Limits {
            bytes: 64 << 20,
            lines: 2_000_000,
            line_bytes: 16 << 20,
            depth: 32,
            problems: 200,
        }
    }
}

/// What a text contains.
#[derive(Clone, Debug, Default)]
pub struct Parsed {
    /// The components at the top, VCALENDAR unless something is wrong.
    pub calendars: Vec<Component>,
    /// What is wrong, by line.
    pub problems: Vec<Problem>,
}

impl Parsed {
    /// The first problem that leaves the meaning in doubt.
    #[must_use]
    pub fn fault(&self) -> Option<&Problem> {
        let fault = |problem: &&Problem| problem.severity() == Severity::Fault;
        self.problems.iter().find(fault)
    }
}

/// Reads a stream of components. RFC 5545 §3.4
#[must_use]
pub fn parse(input: &[u8], limits: &Limits) -> Parsed {
    let fits = input.len() <= limits.bytes;
    let text = std::str::from_utf8(input).ok().filter(|_| fits);
    let mut reader = Reader {
        input,
        text,
        shared: Arc::from(text.unwrap_or_default()),
        plain: fits && is_plain(input),
        place: 0,
        line: 0,
        limits,
        problems: Vec::new(),
        listed: [0; 2],
        open: Vec::new(),
        items: Vec::new(),
        skipped: 0,
        done: Vec::new(),
        unfolded: Vec::new(),
    };
    if fits {
        reader.read();
    } else {
        reader.problem(0, ProblemKind::TooLarge);
    }
    reader.problems.sort_by_key(|problem| problem.line);
    Parsed {
        calendars: reader.done,
        problems: reader.problems,
    }
}

struct Reader<'a> {
    input: &'a [u8],
    /// The input, if all of it is UTF-8.
    text: Option<&'a str>,
    /// The same as a value that properties share.
    shared: Arc<str>,
    /// Whether there are no control characters in any line.
    plain: bool,
    place: usize,
    /// The number of the last physical line read.
    line: u32,
    limits: &'a Limits,
    problems: Vec<Problem>,
    /// How many problems of each severity are listed.
    listed: [usize; 2],
    /// Components whose END has not come, outermost first.
    open: Vec<Open>,
    /// What the open components contain, those of the outermost first.
    items: Vec<Item>,
    /// How many components beyond the depth limit are open.
    skipped: usize,
    done: Vec<Component>,
    /// The logical line when it is not one piece of the input.
    unfolded: Vec<u8>,
}

/// A component whose END has not come.
struct Open {
    component: Component,
    /// Where in [`Reader::items`] begins what it contains.
    first: usize,
    /// The BEGIN line, where it is not as we write it.
    begin: Option<Box<[u8]>>,
}

/// A logical line.
struct Line<'a> {
    /// Its first physical line.
    number: u32,
    /// Where it begins in the input.
    start: usize,
    /// Its bytes with the folding, without the last line end.
    raw: &'a [u8],
    folded: bool,
    /// Whether a carriage return is missing, or there are too many.
    odd_ends: bool,
}

impl<'a> Reader<'a> {
    fn read(&mut self) {
        if let Some(rest) = self.input.strip_prefix(b"\xef\xbb\xbf") {
            self.problem(1, ProblemKind::ByteOrderMark);
            self.place = self.input.len() - rest.len();
        }
        let (mut bare, mut blank) = (false, false);
        while let Some(line) = self.next_line() {
            if usize::try_from(self.line).is_ok_and(|lines| lines > self.limits.lines) {
                self.problem(line.number, ProblemKind::TooManyLines);
                break;
            }
            if line.odd_ends && !bare {
                bare = true;
                self.problem(line.number, ProblemKind::BareLineFeed);
            }
            if line.raw.iter().all(u8::is_ascii_whitespace) {
                if !blank && self.place < self.input.len() {
                    blank = true;
                    self.problem(line.number, ProblemKind::BlankLine);
                }
                continue;
            }
            self.logical_line(&line);
        }
        while let Some(open) = self.open.pop() {
            self.problem(open.component.line_number(), ProblemKind::MissingEnd);
            self.close(open, None);
        }
    }

    /// The next logical line: a physical line and those after it that begin with a blank or a tab.
    fn next_line(&mut self) -> Option<Line<'a>> {
        let start = self.place;
        let mut rest = self.input.get(start..).filter(|rest| !rest.is_empty())?;
        let number = self.line + 1;
        let (mut folded, mut odd_ends) = (false, false);
        self.unfolded.clear();
        loop {
            self.line += 1;
            let physical = first_line(rest);
            let content = physical.strip_suffix(b"\n").unwrap_or(physical);
            let trimmed = trim_returns(content);
            let has_feed = physical.len() > content.len();
            odd_ends |= has_feed && content.len() != trimmed.len() + 1;
            let end = self.place + trimmed.len();
            self.place += physical.len();
            rest = self.input.get(self.place..).unwrap_or_default();
            let more = matches!(rest, [b' ' | b'\t', ..]);
            if folded || more {
                // Every piece but the first begins with the blank that folding put there.
                let piece = trimmed.get(usize::from(folded)..).unwrap_or_default();
                self.unfolded.extend_from_slice(piece);
            }
            if !more {
                let raw = self.input.get(start..end).unwrap_or_default();
                return Some(Line {
                    number,
                    start,
                    raw,
                    folded,
                    odd_ends,
                });
            }
            folded = true;
        }
    }

    fn logical_line(&mut self, line: &Line<'a>) {
        let unfolded = std::mem::take(&mut self.unfolded);
        let bytes = if line.folded { &unfolded } else { line.raw };
        if bytes.len() > self.limits.line_bytes {
            self.problem(line.number, ProblemKind::LineTooLong);
        }
        let end = line.start + line.raw.len();
        let whole = self.text.filter(|_| !line.folded);
        match whole.and_then(|text| text.get(line.start..end)) {
            Some(text) => {
                if let Some(places) = self.content_line(line, text) {
                    let shared = Arc::clone(&self.shared);
                    let text = property::Line::of(shared, line.start, end);
                    self.property(line, text, places, line.form());
                }
            }
            None => self.own_line(line, bytes),
        }
        self.unfolded = unfolded;
    }

    /// A line that is no piece of the shared text: it was folded, or not all of the input is UTF-8.
    fn own_line(&mut self, line: &Line<'a>, bytes: &[u8]) {
        let (text, form) = match std::str::from_utf8(bytes) {
            Ok(text) => (Cow::Borrowed(text), line.form()),
            Err(_) => {
                self.problem(line.number, ProblemKind::NotUtf8);
                (String::from_utf8_lossy(bytes), Form::Raw(line.raw.into()))
            }
        };
        if let Some(places) = self.content_line(line, &text) {
            self.property(line, text.into_owned().into(), places, form);
        }
    }

    /// Where the name of a property ends and where its colon stands. What is no property is done
    /// with here.
    fn content_line(&mut self, line: &Line<'a>, text: &str) -> Option<(usize, usize)> {
        let bytes = text.as_bytes();
        let (name_end, name) = read_name(bytes);
        let colon = match bytes.get(name_end) {
            Some(b':') => Some(name_end),
            Some(_) => find_unquoted(bytes.get(name_end..).unwrap_or_default(), b':')
                .map(|place| place + name_end),
            None => None,
        };
        if name_end == 5 && is_keyword(bytes, b"BEGIN") {
            self.begin(line, text, colon);
        } else if name_end == 3 && is_keyword(bytes, b"END") {
            self.end(line, text, colon);
        } else if self.skipped > 0 {
            self.junk(line);
        } else if self.open.is_empty() {
            self.problem(line.number, ProblemKind::Outside);
        } else if let Some(goodness) = name_problem(bytes, name_end, name, colon.is_some()) {
            self.check_line(line.number, text, name_end, colon);
            if let Some(kind) = goodness {
                self.problem(line.number, kind);
            }
            return Some((name_end, colon.unwrap_or(text.len())));
        } else {
            self.problem(line.number, ProblemKind::NotContentLine);
            self.junk(line);
        }
        None
    }

    fn property(
        &mut self,
        line: &Line<'a>,
        text: property::Line,
        places: (usize, usize),
        form: Form,
    ) {
        let property = Property::read(text, places, form, line.number);
        self.items.push(Item::Property(property));
    }

    /// Notes control characters and parameters without value or closing quote.
    fn check_line(&mut self, number: u32, text: &str, name_end: usize, colon: Option<usize>) {
        if !self.plain && text.contains(is_forbidden) {
            self.problem(number, ProblemKind::ControlCharacter);
        }
        let section = text.as_bytes().get(name_end..colon.unwrap_or(text.len()));
        let Some(section) = section.filter(|section| !section.is_empty()) else {
            return;
        };
        let quotes = section.iter().filter(|byte| **byte == b'"').count();
        if quotes % 2 == 1 || (quotes == 0 && is_odd_section(section)) {
            self.problem(number, ProblemKind::Parameter);
        }
    }

    fn begin(&mut self, line: &Line<'a>, text: &str, colon: Option<usize>) {
        let depth = self.limits.depth.min(128);
        if self.skipped > 0 || self.open.len() >= depth {
            if self.skipped == 0 {
                self.problem(line.number, ProblemKind::TooDeep);
            }
            self.skipped += 1;
            return self.junk(line);
        }
        let name = component_name(text, colon);
        if name.is_empty() {
            self.problem(line.number, ProblemKind::NotContentLine);
            return self.junk(line);
        }
        let canonical = line.raw.strip_prefix(b"BEGIN:") == Some(name.as_bytes());
        if !canonical
            && !line
                .raw
                .eq_ignore_ascii_case(format!("BEGIN:{name}").as_bytes())
        {
            self.problem(line.number, ProblemKind::Frame);
        }
        self.open.push(Open {
            component: Component::read(name, line.number),
            first: self.items.len(),
            begin: (!canonical).then(|| line.raw.into()),
        });
    }

    fn end(&mut self, line: &Line<'a>, text: &str, colon: Option<usize>) {
        if self.skipped > 0 {
            self.skipped -= 1;
            return self.junk(line);
        }
        let name = component_name(text, colon);
        if !self.open.iter().rev().any(|open| open.component.is(name)) {
            self.problem(line.number, ProblemKind::UnexpectedEnd);
            return self.junk(line);
        }
        while let Some(open) = self.open.pop() {
            if open.component.is(name) {
                return self.close(open, Some(line.raw));
            }
            self.problem(open.component.line_number(), ProblemKind::MissingEnd);
            self.close(open, None);
        }
    }

    /// Puts a component where it belongs, with its END line.
    fn close(&mut self, open: Open, end: Option<&[u8]>) {
        let Open {
            mut component,
            first,
            begin,
        } = open;
        component.items = self.items.drain(first..).collect();
        let name = component.name().as_bytes();
        let canonical = end.is_none_or(|end| end.strip_prefix(b"END:") == Some(name));
        if begin.is_some() || !canonical {
            let begin = begin.unwrap_or_else(|| [b"BEGIN:", name].concat().into());
            let end = end.map_or_else(|| [b"END:", name].concat().into(), Into::into);
            component.set_frame(Frame { begin, end });
        }
        if self.open.is_empty() {
            self.done.push(component);
        } else {
            self.items.push(Item::Component(component));
        }
    }

    /// Keeps a line as it came.
    fn junk(&mut self, line: &Line<'a>) {
        if !self.open.is_empty() {
            self.items.push(Item::Junk(Junk {
                raw: line.raw.into(),
                number: line.number,
            }));
        }
    }

    fn problem(&mut self, line: u32, kind: ProblemKind) {
        let severity = kind.severity();
        let listed = match severity {
            Severity::Note => &mut self.listed[0],
            Severity::Fault => &mut self.listed[1],
        };
        if *listed < self.limits.problems.max(1) {
            *listed += 1;
            self.problems.push(Problem { line, kind });
        }
    }
}

impl Line<'_> {
    /// Where lines end in CRLF a line prints as it came, folding included. Others are folded anew.
    fn form(&self) -> Form {
        match (self.folded, self.odd_ends) {
            (false, _) => Form::Unfolded,
            (true, true) => Form::Folded,
            (true, false) => Form::Raw(self.raw.into()),
        }
    }
}

/// Whether there are no control characters but tabs and line ends. Without branches, so that it
/// costs next to nothing and spares the search in each line.
fn is_plain(input: &[u8]) -> bool {
    let control =
        |byte: u8| ((byte < b' ') & !matches!(byte, b'\t' | b'\r' | b'\n')) | (byte == 0x7f);
    let controls = input.iter().fold(false, |any, byte| any | control(*byte));
    let next = input.get(1..).unwrap_or_default();
    let lone = input.iter().zip(next).fold(false, |any, (byte, next)| {
        any | ((*byte == b'\r') & (*next != b'\n'))
    });
    !controls && !lone
}

/// The text up to and with its first line feed.
fn first_line(text: &[u8]) -> &[u8] {
    let end = memchr::memchr(b'\n', text).map_or(text.len(), |place| place + 1);
    text.get(..end).unwrap_or(text)
}

/// A line without the carriage returns at its end.
fn trim_returns(mut line: &[u8]) -> &[u8] {
    while let [rest @ .., b'\r'] = line {
        line = rest;
    }
    line
}

fn is_keyword(line: &[u8], keyword: &[u8]) -> bool {
    line.get(..keyword.len())
        .is_some_and(|start| start.eq_ignore_ascii_case(keyword))
}

/// The component a BEGIN or END line names.
fn component_name(line: &str, colon: Option<usize>) -> &str {
    colon
        .and_then(|colon| line.get(colon + 1..))
        .unwrap_or_default()
        .trim()
}

/// What the letters of a name are like, the worst of them.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Letters {
    /// Letters, digits and hyphens. RFC 5545 §3.1
    Good,
    /// With signs that programs write in the names they invent: underscores, dots, slashes.
    Odd,
    Bad,
    /// What ends a name.
    End,
}

impl Letters {
    const fn of(byte: u8) -> Letters {
        match byte {
            b':' | b';' => Letters::End,
            b'-' | b'0'..=b'9' | b'A'..=b'Z' | b'a'..=b'z' => Letters::Good,
            b'"' | b'\\' | b',' | b'=' | b'(' | b')' | b'<' | b'>' | b'[' | b']' | b'{' | b'}' => {
                Letters::Bad
            }
            b'!'..=b'~' => Letters::Odd,
            _ => Letters::Bad,
        }
    }
}

/// [`Letters::of`] each byte.
#[expect(
    clippy::indexing_slicing,
    reason = "an index beyond the table would not compile"
)]
const LETTERS: [Letters; 256] = {
    let mut table = [Letters::Bad; 256];
    let mut byte = 0_u8;
    while byte < 128 {
        table[byte as usize] = Letters::of(byte);
        byte += 1;
    }
    table
};

/// Where the name of a line ends, and what it is like.
fn read_name(line: &[u8]) -> (usize, Letters) {
    let mut worst = Letters::Good;
    for (place, byte) in line.iter().enumerate() {
        let letters = LETTERS.get(usize::from(*byte));
        match letters.copied().unwrap_or(Letters::Bad) {
            Letters::Good => {}
            Letters::End => return (place, worst),
            letters => worst = worst.max(letters),
        }
    }
    (line.len(), worst)
}

/// Whether a name makes its line a property (the outer answer), and what is wrong with it.
///
/// A blank in front of the first colon means a line that lost its folding.
fn name_problem(
    line: &[u8],
    name_end: usize,
    letters: Letters,
    has_colon: bool,
) -> Option<Option<ProblemKind>> {
    match letters {
        _ if name_end == 0 => None,
        Letters::Good if has_colon => Some(None),
        Letters::Odd if has_colon => Some(Some(ProblemKind::Name)),
        Letters::Good if is_keyword(line, b"X-") => Some(Some(ProblemKind::NoValue)),
        Letters::Good | Letters::Odd | Letters::Bad | Letters::End => None,
    }
}

/// Whether a parameter has no name, or there is no value at all. Parameters without quotes only.
fn is_odd_section(section: &[u8]) -> bool {
    let next = section.iter().skip(1).map(Some).chain([None]);
    let empty = section
        .iter()
        .zip(next)
        .any(|(byte, next)| *byte == b';' && matches!(next, None | Some(b';' | b'=')));
    empty || !section.contains(&b'=')
}
