//! Whether an answer is what a case expects.
//!
//! An expectation that cannot be decided (no XML where XML is asked about) fails also when it is negated.

use std::collections::BTreeMap;
use std::fs;

use super::case::{Claim, Expectation, Source, StatusRange, Test};
use super::target::{Server, User};
use super::tree::{self, Node};
use super::wire::{self, Answer, Question};
use super::{meaning, words};

/// Header fields whose value is a list, where `~` asks for a member.
const LISTS: &[&str] = &["allow", "dav", "preference-applied", "vary"];

/// How often an inbox or a mail folder is looked at before something counts as not delivered.
const LOOKS: usize = 400;

/// How often it is looked at before something counts as absent.
const LOOKS_FOR_ABSENT: usize = 5;

/// One answer while its expectations are checked.
pub struct Scope<'a> {
    /// The server, for inboxes and mail.
    pub server: &'a Server,
    /// The users by role.
    pub users: &'a BTreeMap<String, User>,
    /// The variables, to which `save` adds.
    pub variables: &'a mut BTreeMap<String, String>,
    /// The answer.
    pub answer: &'a Answer,
    /// The response of a multistatus that the last `href` named.
    pub current: Option<Node>,
}

/// Why an expectation does not hold.
#[derive(Debug, PartialEq, Eq)]
pub enum Miss {
    /// It is not so; what is there instead.
    Not(String),
    /// It cannot be decided, so that its opposite does not hold either.
    Undecided(String),
}

type Held = Result<(), Miss>;

fn undecided(text: impl Into<String>) -> Miss {
    Miss::Undecided(text.into())
}

fn hold(holds: bool, got: impl FnOnce() -> String) -> Held {
    if holds { Ok(()) } else { Err(Miss::Not(got())) }
}

impl Scope<'_> {
    /// `Ok`, or what came instead of what is expected.
    pub fn check(&mut self, expectation: &Expectation) -> Result<(), String> {
        match (
            self.claim(&expectation.claim, expectation.negated),
            expectation.negated,
        ) {
            (Ok(()), false) | (Err(Miss::Not(_)), true) => Ok(()),
            (Ok(()), true) => Err("it is so".to_owned()),
            (Err(Miss::Not(got)), false) | (Err(Miss::Undecided(got)), _) => Err(got),
        }
    }

    fn claim(&mut self, claim: &Claim, negated: bool) -> Held {
        match claim {
            Claim::Header(name, test) => self.header(name, test),
            Claim::Save(name, source) => self.save(name, source),
            Claim::Error(name) => self.error(name),
            Claim::Href(path, status) => self.href(path, *status),
            Claim::Property(status, name, test) => self.property(*status, name, test),
            Claim::Absent(path) => self.absent(path),
            Claim::Count(n) => {
                let found = self.xml()?.at("D:multistatus/D:response").len();
                hold(found == *n, || format!("{found} responses"))
            }
            Claim::Element(path, test) => self.element(path, test),
            Claim::Body(test) => compare_text(&self.answer.text(), &self.filled(test)?),
            Claim::BodySame(text) => {
                let wanted = outgoing(&self.fill(text)?);
                hold(self.answer.text() == wanted, || self.answer.text())
            }
            Claim::BodyEmpty => hold(self.answer.body.is_empty(), || self.answer.text()),
            Claim::IcalHas(line) => {
                let (line, data) = (self.fill(line)?, self.icalendar()?);
                let has = meaning::has(&data, &line).map_err(undecided)?;
                hold(has, || data)
            }
            Claim::IcalCount(name, n) => {
                let found = meaning::count(&self.icalendar()?, name).map_err(undecided)?;
                hold(found == *n, || format!("{found} {name}"))
            }
            Claim::IcalSame(text) => {
                let (wanted, data) = (self.fill(text)?, self.icalendar()?);
                meaning::same(&wanted, &data).map_err(Miss::Not)
            }
            Claim::Inbox(role, method) => self.inbox(role, method, looks(negated)),
            Claim::Mail(address, method) => self.mail(address, method, looks(negated)),
        }
    }

    fn fill(&self, text: &str) -> Result<String, Miss> {
        words::expand(text, self.variables).map_err(Miss::Undecided)
    }

    fn filled(&self, test: &Test) -> Result<Test, Miss> {
        Ok(match test {
            Test::Present => Test::Present,
            Test::Equals(value) => Test::Equals(self.fill(value)?),
            Test::Contains(value) => Test::Contains(self.fill(value)?),
        })
    }

    fn xml(&self) -> Result<Node, Miss> {
        tree::parse(&self.answer.text()).map_err(|e| undecided(format!("the body is not XML: {e}")))
    }

    fn header(&self, name: &str, test: &Test) -> Held {
        let Some(got) = self.answer.header(name) else {
            return Err(Miss::Not("no such header".to_owned()));
        };
        let test = self.filled(test)?;
        if let (Test::Contains(value), true) =
            (&test, LISTS.contains(&name.to_ascii_lowercase().as_str()))
        {
            let member = got.split(',').any(|m| m.trim().eq_ignore_ascii_case(value));
            return hold(member, || got);
        }
        compare_text(&got, &test)
    }

    fn save(&mut self, name: &str, source: &Source) -> Held {
        let value = match source {
            Source::Header(header) => self.answer.header(header),
            Source::Property(property) => {
                let propstats = self.propstats(StatusRange {
                    low: 200,
                    high: 200,
                })?;
                let found = propstats.iter().find_map(|p| p.child(property));
                found.map(|p| p.child("D:href").unwrap_or(p).full_text().trim().to_owned())
            }
            Source::Element(path) => self
                .xml()?
                .at(path)
                .first()
                .map(|n| n.full_text().trim().to_owned()),
            Source::Body => Some(self.answer.text()),
        };
        let value = value.ok_or_else(|| undecided("there is nothing to save"))?;
        self.variables
            .insert(name.to_owned(), value.replace('{', "{{"));
        Ok(())
    }

    fn error(&self, name: &str) -> Held {
        let body = self.answer.text();
        if body.trim().is_empty() {
            return Err(Miss::Not("an empty body".to_owned()));
        }
        let Ok(root) = tree::parse(&body) else {
            return Err(Miss::Not("a body that is not XML".to_owned()));
        };
        let errors = root.at("D:error");
        let found = errors.iter().any(|e| e.child(name).is_some());
        hold(found, || {
            errors
                .iter()
                .flat_map(|e| &e.children)
                .map(|c| c.name.clone())
                .collect::<Vec<_>>()
                .join(", ")
        })
    }

    fn responses(&self, path: &str) -> Result<Vec<Node>, Miss> {
        let wanted = wire::same_path(&self.fill(path)?);
        let root = self.xml()?;
        let named = |r: &&Node| r.all("D:href").any(|h| wire::same_path(&h.text) == wanted);
        Ok(root
            .at("D:multistatus/D:response")
            .into_iter()
            .filter(named)
            .cloned()
            .collect())
    }

    fn href(&mut self, path: &str, status: Option<StatusRange>) -> Held {
        let mut responses = self.responses(path)?;
        if responses.len() > 1 {
            return Err(Miss::Undecided("the path has several responses".to_owned()));
        }
        let Some(response) = responses.pop() else {
            return Err(Miss::Not(self.paths()?));
        };
        let got = response.child("D:status").and_then(|s| status_in(&s.text));
        let wanted = status.unwrap_or(StatusRange {
            low: 200,
            high: 299,
        });
        let holds = match got {
            Some(got) => wanted.holds(got),
            None => status.is_none(),
        };
        self.current = Some(response);
        hold(holds, || format!("status {got:?}"))
    }

    fn absent(&self, path: &str) -> Held {
        hold(self.responses(path)?.is_empty(), || {
            "it is there".to_owned()
        })
    }

    fn paths(&self) -> Result<String, Miss> {
        let root = self.xml()?;
        let all: Vec<&str> = root
            .at("D:response/D:href")
            .iter()
            .map(|n| n.text.trim())
            .collect();
        Ok(format!("responses for {}", all.join(" ")))
    }

    /// The DAV:prop elements of the current response whose propstat has a status in `range`.
    fn propstats(&self, range: StatusRange) -> Result<Vec<Node>, Miss> {
        let response = match &self.current {
            Some(response) => response.clone(),
            None => {
                let root = self.xml()?;
                let all = root.at("D:response");
                match all.as_slice() {
                    [one] => (*one).clone(),
                    many => {
                        return Err(undecided(format!(
                            "{} responses and no `href` before",
                            many.len()
                        )));
                    }
                }
            }
        };
        let mut found = Vec::new();
        for propstat in response.all("D:propstat") {
            let status = propstat.child("D:status").and_then(|s| status_in(&s.text));
            if status.is_some_and(|s| range.holds(s)) {
                found.extend(propstat.all("D:prop").cloned());
            }
        }
        Ok(found)
    }

    fn property(&self, range: StatusRange, name: &str, test: &Test) -> Held {
        let found: Vec<Node> = self
            .propstats(range)?
            .iter()
            .flat_map(|p| p.all(name))
            .cloned()
            .collect();
        let Some(property) = found.first() else {
            return Err(Miss::Not(self.where_is(name)?));
        };
        self.compare_node(property, test)
    }

    fn where_is(&self, name: &str) -> Result<String, Miss> {
        for status in 100..600 {
            let range = StatusRange {
                low: status,
                high: status,
            };
            if self
                .propstats(range)?
                .iter()
                .any(|p| p.child(name).is_some())
            {
                return Ok(format!("the property has status {status}"));
            }
        }
        Ok("the property is not in the response".to_owned())
    }

    fn element(&self, path: &str, test: &Test) -> Held {
        let root = self.xml()?;
        let found = root.at(path);
        let mut last = Miss::Not("no such element".to_owned());
        for node in found {
            match self.compare_node(node, test) {
                Ok(()) => return Ok(()),
                Err(miss) => last = miss,
            }
        }
        Err(last)
    }

    fn compare_node(&self, node: &Node, test: &Test) -> Held {
        let holds = match self.filled(test)? {
            Test::Present => true,
            Test::Equals(value) => tree::equals(node, &value).map_err(Miss::Undecided)?,
            Test::Contains(value) => tree::contains(node, &value).map_err(Miss::Undecided)?,
        };
        hold(holds, || brief(node))
    }

    fn icalendar(&self) -> Result<String, Miss> {
        if self.current.is_none() {
            return Ok(self.answer.text());
        }
        let found = self.propstats(StatusRange {
            low: 200,
            high: 200,
        })?;
        let data = found.iter().find_map(|p| p.child("C:calendar-data"));
        data.map(Node::full_text)
            .ok_or_else(|| undecided("no CALDAV:calendar-data"))
    }

    fn inbox(&self, role: &str, method: &str, looks: usize) -> Held {
        let user = self
            .users
            .get(role)
            .ok_or_else(|| undecided(format!("no user {role}")))?;
        let inbox = user
            .places
            .get("inbox")
            .ok_or_else(|| undecided(format!("{role} has no inbox")))?;
        let uid = self.variables.get("uid").cloned().unwrap_or_default();
        for _ in 0..looks {
            let listing = self
                .server
                .propfind(user, inbox, "1", "<D:getetag/>")
                .map_err(Miss::Undecided)?;
            for href in listing.at("D:response/D:href") {
                let target = wire::path_of(&href.text).to_owned();
                if wire::same_path(&target) == wire::same_path(inbox) {
                    continue;
                }
                let question = Question {
                    method: "GET".to_owned(),
                    target,
                    ..Question::default()
                };
                let item = self
                    .server
                    .ask(user, &question)
                    .map_err(Miss::Undecided)?
                    .text();
                let lines = meaning::unfold(&item);
                let right = lines
                    .iter()
                    .any(|l| l.eq_ignore_ascii_case(&format!("METHOD:{method}")));
                if right
                    && lines
                        .iter()
                        .any(|l| l.starts_with("UID") && l.contains(&uid))
                {
                    return Ok(());
                }
            }
        }
        Err(Miss::Not(format!("no {method} for this UID")))
    }

    fn mail(&self, address: &str, method: &str, looks: usize) -> Held {
        let folder = self
            .server
            .target
            .mail
            .as_ref()
            .ok_or_else(|| undecided("the target names no mail folder"))?;
        let address = self.fill(address)?.to_ascii_lowercase();
        let wanted = format!("method={}", method.to_ascii_lowercase());
        let uid = self.variables.get("uid").cloned().unwrap_or_default();
        for _ in 0..looks {
            let entries = fs::read_dir(folder).map_err(|e| undecided(format!("{folder}: {e}")))?;
            for entry in entries.flatten() {
                let mail = fs::read_to_string(entry.path()).unwrap_or_default();
                let lower = mail.to_ascii_lowercase();
                if lower.contains(&address) && lower.contains(&wanted) && mail.contains(&uid) {
                    return Ok(());
                }
            }
            // A request between two looks gives the server time without a clock here.
            let question = Question {
                method: "OPTIONS".to_owned(),
                target: "/".to_owned(),
                ..Question::default()
            };
            wire::ask(&self.server.origin, &question).map_err(|e| undecided(e.to_string()))?;
        }
        Err(Miss::Not(format!("no mail to {address} with {wanted}")))
    }
}

fn looks(negated: bool) -> usize {
    if negated { LOOKS_FOR_ABSENT } else { LOOKS }
}

fn compare_text(got: &str, test: &Test) -> Held {
    let holds = match test {
        Test::Present => !got.is_empty(),
        Test::Equals(value) => got == value,
        Test::Contains(value) => got.contains(value.as_str()),
    };
    hold(holds, || got.to_owned())
}

/// The code in `HTTP/1.1 404 Not Found`.
fn status_in(line: &str) -> Option<u16> {
    line.split_whitespace().nth(1)?.parse().ok()
}

/// A body as it is sent: iCalendar has CRLF line ends (RFC 5545 §3.1).
pub fn outgoing(text: &str) -> String {
    if !text.starts_with("BEGIN:") {
        return text.to_owned();
    }
    text.lines().map(|l| format!("{l}\r\n")).collect()
}

fn brief(node: &Node) -> String {
    let children: Vec<String> = node
        .children
        .iter()
        .map(|c| format!("<{}>{}", c.name, brief(c)))
        .collect();
    let all = format!("{}{}", node.text.trim(), children.concat());
    if all.is_empty() {
        "nothing inside".to_owned()
    } else {
        all.chars().take(600).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_icalendar_gets_crlf() {
        assert_eq!(outgoing("BEGIN:A\nEND:A"), "BEGIN:A\r\nEND:A\r\n");
        assert_eq!(outgoing("<a>\n</a>"), "<a>\n</a>");
    }

    #[test]
    fn a_status_line_has_its_code_second() {
        assert_eq!(status_in("HTTP/1.1 404 Not Found"), Some(404));
        assert_eq!(status_in(" HTTP/1.1 200 OK "), Some(200));
        assert_eq!(status_in("404"), None);
    }
}
