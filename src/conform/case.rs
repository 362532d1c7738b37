//! The text format of a conformance case, read into values.
//!
//! The words and their meaning are documented in `conformance/README.md`; a word that is not there is an error
//! with file and line, so that a misspelt expectation cannot pass by being skipped.
//!
//! **Gaps**: bodies are text; a case cannot send bytes that are not UTF-8.

use std::collections::BTreeMap;
use std::io;

use super::words;

/// One claim about a server, with the exchanges that show it.
#[derive(Debug, Clone)]
pub struct Case {
    /// The file below the suite's directory, such as `rfc4791/put.dav`.
    pub file: String,
    /// The line of the title.
    pub line: u32,
    /// The claim, in the present tense.
    pub title: String,
    /// The sections that make the claim, such as `RFC 4791 §5.3.2.1`.
    pub spec: Vec<String>,
    /// The clients that depend on the claim.
    pub clients: Vec<String>,
    /// What the server must offer for the claim to bind it.
    pub needs: Vec<String>,
    /// Whether the case wants users nobody used before.
    pub fresh_users: bool,
    /// The exchanges, those that prepare first.
    pub exchanges: Vec<Exchange>,
    /// Named texts of the file.
    pub texts: BTreeMap<String, String>,
}

impl Case {
    /// What names the case in reports and in lists of known differences.
    pub fn id(&self) -> String {
        format!("{}: {}", self.file, self.title)
    }

    /// Every text of the case in which a variable can stand.
    pub fn all_text(&self) -> String {
        let mut all: String = self.texts.values().map(|t| format!("{t}\n")).collect();
        for exchange in &self.exchanges {
            all.push_str(&format!("{} as {}\n", exchange.path, exchange.user));
            for (name, value) in &exchange.headers {
                all.push_str(&format!("{name}: {value}\n"));
            }
            all.push_str(exchange.body.as_deref().unwrap_or_default());
            for expectation in &exchange.expectations {
                all.push_str(&format!("{:?}\n", expectation.claim));
            }
        }
        all
    }
}

/// One request and what is expected of its answer.
#[derive(Debug, Clone)]
pub struct Exchange {
    /// The line of the request.
    pub line: u32,
    /// The file it is written in, which an `include` may make another one than the case's.
    pub file: String,
    /// The method.
    pub method: String,
    /// The path or URL, with variables.
    pub path: String,
    /// Who asks: a role such as `alice`, or `nobody`.
    pub user: String,
    /// Header fields as written; an empty value means that the field is not sent.
    pub headers: Vec<(String, String)>,
    /// The body, with variables.
    pub body: Option<String>,
    /// The statuses of which one must come.
    pub statuses: Vec<StatusRange>,
    /// What else must hold.
    pub expectations: Vec<Expectation>,
}

/// One status (`201`) or one class of them (`2xx`).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct StatusRange {
    /// The lowest status meant.
    pub low: u16,
    /// The highest status meant.
    pub high: u16,
}

impl Expectation {
    /// Whether it speaks about an answer with this status.
    pub fn is_about(&self, status: u16) -> bool {
        self.when.is_none_or(|range| range.holds(status))
    }
}

impl StatusRange {
    /// Whether `status` is meant.
    pub fn holds(&self, status: u16) -> bool {
        (self.low..=self.high).contains(&status)
    }
}

/// One line below `<--`.
#[derive(Debug, Clone)]
pub struct Expectation {
    /// The line.
    pub line: u32,
    /// The line as written.
    pub text: String,
    /// The statuses that the line is about, if it begins with `if`.
    pub when: Option<StatusRange>,
    /// Whether `not` is in front of the claim.
    pub negated: bool,
    /// What it says.
    pub claim: Claim,
}

/// What an expectation says about the answer.
#[derive(Debug, Clone, PartialEq)]
pub enum Claim {
    /// `header NAME [= or ~ value]`
    Header(String, Test),
    /// `save x = ...`
    Save(String, Source),
    /// `error C:name`
    Error(String),
    /// `href path [status]`
    Href(String, Option<StatusRange>),
    /// `200 D:prop [= or ~ value]`
    Property(StatusRange, String, Test),
    /// `absent path`
    Absent(String),
    /// `count n`
    Count(usize),
    /// `element A/B [= or ~ value]`
    Element(String, Test),
    /// `body [= or ~ value]`
    Body(Test),
    /// `body same` and a text
    BodySame(String),
    /// `body empty`
    BodyEmpty,
    /// `ical has LINE`
    IcalHas(String),
    /// `ical count NAME n`
    IcalCount(String, usize),
    /// `ical same` and a text
    IcalSame(String),
    /// `inbox USER METHOD`
    Inbox(String, String),
    /// `mail ADDRESS METHOD`
    Mail(String, String),
}

/// How a value is compared.
#[derive(Debug, Clone, PartialEq)]
pub enum Test {
    /// There is one.
    Present,
    /// `= value`
    Equals(String),
    /// `~ value`
    Contains(String),
}

/// Where `save` takes its value from.
#[derive(Debug, Clone, PartialEq)]
pub enum Source {
    /// `header NAME`
    Header(String),
    /// `prop D:name`, of the response named by the last `href`
    Property(String),
    /// `element A/B`
    Element(String),
    /// `body`
    Body,
}

/// A line that the format does not allow.
#[derive(Debug)]
pub struct BadCase {
    /// The file.
    pub file: String,
    /// The line.
    pub line: u32,
    /// What is wrong with it.
    pub problem: String,
}

impl std::fmt::Display for BadCase {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{}:{}: {}", self.file, self.line, self.problem)
    }
}

/// Reads a file that `include` names.
pub type Include<'a> = &'a dyn Fn(&str) -> io::Result<String>;

/// The cases of one file.
pub fn parse(file: &str, text: &str, include: Include<'_>) -> Result<Vec<Case>, BadCase> {
    let mut reader = Reader {
        file: file.to_owned(),
        lines: text.lines().collect(),
        at: 0,
    };
    let mut head = Head::default();
    reader.head(&mut head, include)?;
    let mut cases = Vec::new();
    while let Some(title) = reader.title() {
        let line = reader.at;
        let mut own = Head {
            texts: head.texts.clone(),
            ..Head::default()
        };
        reader.head(&mut own, include)?;
        let exchanges = reader.exchanges()?;
        if title == "before each case" {
            head.before.extend(exchanges);
            continue;
        }
        if exchanges.is_empty() {
            return Err(reader.bad("the case has no exchange"));
        }
        let spec = if own.spec.is_empty() {
            head.spec.clone()
        } else {
            own.spec
        };
        let clients = if own.clients.is_empty() {
            head.clients.clone()
        } else {
            own.clients
        };
        if spec.is_empty() && clients.is_empty() {
            return Err(reader.bad("the case names neither a section (spec) nor a client"));
        }
        cases.push(Case {
            file: file.to_owned(),
            line: u32::try_from(line).unwrap_or(u32::MAX),
            title,
            spec,
            clients,
            needs: head.needs.iter().chain(&own.needs).cloned().collect(),
            fresh_users: head.fresh_users || own.fresh_users,
            exchanges: head.before.iter().cloned().chain(exchanges).collect(),
            texts: own.texts,
        });
    }
    match reader.peek() {
        Some(_) => Err(reader.bad("expected `=== title`")),
        None => Ok(cases),
    }
}

#[derive(Default)]
struct Head {
    spec: Vec<String>,
    clients: Vec<String>,
    needs: Vec<String>,
    fresh_users: bool,
    texts: BTreeMap<String, String>,
    before: Vec<Exchange>,
}

struct Reader<'a> {
    file: String,
    lines: Vec<&'a str>,
    at: usize,
}

impl<'a> Reader<'a> {
    fn peek(&self) -> Option<&'a str> {
        self.lines.get(self.at).copied()
    }

    fn next(&mut self) -> Option<&'a str> {
        let line = self.peek();
        self.at += 1;
        line
    }

    fn line(&self) -> u32 {
        u32::try_from(self.at).unwrap_or(u32::MAX)
    }

    fn bad(&self, problem: impl Into<String>) -> BadCase {
        BadCase {
            file: self.file.clone(),
            line: self.line(),
            problem: problem.into(),
        }
    }

    fn skip_blank(&mut self) {
        while self
            .peek()
            .is_some_and(|l| l.trim().is_empty() || l.starts_with('#'))
        {
            self.at += 1;
        }
    }

    fn title(&mut self) -> Option<String> {
        self.skip_blank();
        let title = self.peek()?.strip_prefix("=== ")?.trim().to_owned();
        self.at += 1;
        Some(title)
    }

    fn head(&mut self, head: &mut Head, include: Include<'_>) -> Result<(), BadCase> {
        loop {
            self.skip_blank();
            let Some(line) = self.peek() else {
                return Ok(());
            };
            if line.starts_with("===") || line.starts_with("-->") {
                return Ok(());
            }
            self.at += 1;
            let (word, value) = line.split_once(' ').unwrap_or((line, ""));
            let value = value.trim();
            match word {
                "spec" => head
                    .spec
                    .extend(value.split(',').map(|s| s.trim().to_owned())),
                "client" => head
                    .clients
                    .extend(value.split(',').map(|s| s.trim().to_owned())),
                "needs" => head
                    .needs
                    .extend(value.split(',').map(|s| s.trim().to_owned())),
                "fresh" if value == "users" => head.fresh_users = true,
                "text" => {
                    let text = self.until_dot()?;
                    head.texts.insert(value.to_owned(), text);
                }
                "include" => self.include(value, head, include)?,
                _ => return Err(self.bad(format!("`{word}` is no word of a head"))),
            }
        }
    }

    fn include(&self, name: &str, head: &mut Head, include: Include<'_>) -> Result<(), BadCase> {
        let text = include(name).map_err(|e| self.bad(format!("include {name}: {e}")))?;
        let mut inner = Reader {
            file: name.to_owned(),
            lines: text.lines().collect(),
            at: 0,
        };
        inner.head(head, include)?;
        while let Some(title) = inner.title() {
            if title != "before each case" {
                return Err(inner.bad("an included file holds texts and `before each case` only"));
            }
            head.before.extend(inner.exchanges()?);
        }
        Ok(())
    }

    fn until_dot(&mut self) -> Result<String, BadCase> {
        let start = self.at;
        while let Some(line) = self.next() {
            if line == "." {
                let lines = self.lines.get(start..self.at - 1).unwrap_or_default();
                return Ok(lines.join("\n"));
            }
        }
        Err(self.bad("the text does not end with a line `.`"))
    }

    fn exchanges(&mut self) -> Result<Vec<Exchange>, BadCase> {
        let mut all = Vec::new();
        loop {
            self.skip_blank();
            let Some(request) = self.peek().and_then(|l| l.strip_prefix("--> ")) else {
                return Ok(all);
            };
            self.at += 1;
            let line = self.line();
            let (method, rest) = request
                .split_once(' ')
                .ok_or_else(|| self.bad("--> METHOD path"))?;
            let (path, user) = words::path_and_user(rest);
            let headers = self.headers()?;
            let body = self.body()?;
            let statuses = self.statuses()?;
            let expectations = self.expectations()?;
            all.push(Exchange {
                line,
                file: self.file.clone(),
                method: method.to_owned(),
                path,
                user,
                headers,
                body,
                statuses,
                expectations,
            });
        }
    }

    fn headers(&mut self) -> Result<Vec<(String, String)>, BadCase> {
        let mut headers = Vec::new();
        while let Some(line) = self.peek() {
            if line.trim().is_empty() || line.starts_with("<-- ") {
                break;
            }
            self.at += 1;
            let (name, value) = line
                .split_once(':')
                .ok_or_else(|| self.bad("expected `Name: value`"))?;
            headers.push((name.trim().to_owned(), value.trim().to_owned()));
        }
        Ok(headers)
    }

    fn body(&mut self) -> Result<Option<String>, BadCase> {
        if self.peek().is_some_and(|l| l.trim().is_empty()) {
            self.at += 1;
        }
        let start = self.at;
        while let Some(line) = self.peek() {
            if line.starts_with("<-- ") {
                let lines = self.lines.get(start..self.at).unwrap_or_default();
                let text = lines.join("\n");
                return Ok((!text.is_empty()).then_some(text));
            }
            if line.starts_with("=== ") || line.starts_with("--> ") {
                break;
            }
            self.at += 1;
        }
        Err(self.bad("the request has no `<-- status`"))
    }

    fn statuses(&mut self) -> Result<Vec<StatusRange>, BadCase> {
        let line = self.next().unwrap_or_default();
        let list = line.strip_prefix("<-- ").unwrap_or_default();
        list.split(" or ")
            .map(|s| words::status(s.trim()).ok_or_else(|| self.bad(format!("`{s}` is no status"))))
            .collect()
    }

    fn expectations(&mut self) -> Result<Vec<Expectation>, BadCase> {
        let mut all = Vec::new();
        loop {
            self.skip_blank();
            let Some(text) = self.peek() else {
                return Ok(all);
            };
            if text.starts_with("=== ") || text.starts_with("--> ") {
                return Ok(all);
            }
            self.at += 1;
            let line = self.line();
            let (when, rest) = words::when(text).map_err(|problem| self.bad(problem))?;
            let (negated, rest) = match rest.strip_prefix("not ") {
                Some(rest) => (true, rest),
                None => (false, rest),
            };
            let mut claim = words::claim(rest.trim()).map_err(|problem| self.bad(problem))?;
            if let Claim::IcalSame(body) | Claim::BodySame(body) = &mut claim
                && body.is_empty()
            {
                *body = self.until_dot()?;
            }
            all.push(Expectation {
                line,
                text: text.trim().to_owned(),
                when,
                negated,
                claim,
            });
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn none(_: &str) -> io::Result<String> {
        Err(io::Error::other("no include here"))
    }

    #[test]
    fn a_case_is_read() {
        let text = "spec   RFC 4791 §5.3.2.1\nneeds  calendar-access\n\n=== a claim\n--> PUT {calendar}one.ics as bob\nIf-None-Match: *\n\nBEGIN:VCALENDAR\nEND:VCALENDAR\n<-- 201 or 2xx\nheader ETag\nnot error C:no-uid-conflict\nical same\nBEGIN:VCALENDAR\nEND:VCALENDAR\n.\n";
        let cases = parse("x.dav", text, &none).expect("parses");
        let case = &cases[0];
        assert_eq!(case.id(), "x.dav: a claim");
        assert_eq!(case.line, 4);
        let exchange = &case.exchanges[0];
        assert_eq!(
            (exchange.path.as_str(), exchange.user.as_str()),
            ("{calendar}one.ics", "bob")
        );
        assert_eq!(
            exchange.body.as_deref(),
            Some("BEGIN:VCALENDAR\nEND:VCALENDAR")
        );
        assert!(exchange.statuses.iter().any(|s| s.holds(299)));
        assert!(exchange.expectations[1].negated);
        assert_eq!(
            exchange.expectations[2].claim,
            Claim::IcalSame("BEGIN:VCALENDAR\nEND:VCALENDAR".into())
        );
    }

    #[test]
    fn an_unknown_word_is_an_error_with_its_line() {
        let text = "spec RFC 4918 §9.1\n=== t\n--> GET /\n<-- 200\nheadr ETag\n";
        assert_eq!(parse("x.dav", text, &none).unwrap_err().line, 5);
        let text = "spec RFC 4918 §9.1\nwants x\n";
        assert_eq!(parse("x.dav", text, &none).unwrap_err().line, 2);
        let text = "spec RFC 4918 §9.1\n=== t\n--> GET /\n";
        assert!(parse("x.dav", text, &none).is_err());
    }

    #[test]
    fn what_prepares_runs_before_each_case() {
        let text = "spec RFC 4918 §9.1\n=== before each case\n--> GET /a\n<-- 200\n=== t\n--> GET /b\n<-- 200\n";
        let cases = parse("x.dav", text, &none).expect("parses");
        assert_eq!(cases.len(), 1);
        assert_eq!(cases[0].exchanges[0].path, "/a");
    }
}
