//! The server under test: its target file, what it offers, its users and their calendars.
//!
//! Everything but URL, users and known differences is discovered the way a client does it (RFC 6764 §6, RFC 5397
//! §3, RFC 4791 §6.2.1, RFC 6638 §2).

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::{Path, PathBuf};

use serde::Deserialize;

use super::people;
use super::tls::Trust;
use super::tree::{self, Node};
use super::wire::{self, Answer, Origin, Question};
use super::words;

/// An object that every server takes.
const PROBE: &str = "BEGIN:VCALENDAR\nVERSION:2.0\nPRODID:-//Conformance//EN\nBEGIN:VEVENT\nUID:probe@conformance.example\nDTSTAMP:20300101T000000Z\nDTSTART:20300102T100000Z\nDURATION:PT1H\nSUMMARY:Probe\nEND:VEVENT\nEND:VCALENDAR\n";

/// A target file.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub struct Target {
    /// What the server is called in reports.
    pub name: String,
    /// The URL that a person would type into a client.
    pub url: String,
    /// For `https` URLs: a file of certificates (PEM) that the server's may be signed by.
    #[serde(default)]
    pub ca: Option<PathBuf>,
    /// For `https` URLs: whether any certificate will do.
    #[serde(default)]
    pub insecure: bool,
    /// Users that exist, in the order of the roles alice, bob, carol, dave.
    #[serde(default, rename = "user")]
    pub users: Vec<Account>,
    /// A command that makes a user: `{name}` is replaced, the password comes on standard input.
    #[serde(default)]
    pub make_user: Vec<String>,
    /// A command that makes a room: `{name}`, `{address}` and `{bob}`, who is in charge of it, are replaced.
    #[serde(default)]
    pub make_room: Vec<String>,
    /// A command that makes a group: `{name}`, `{address}` and its members `{bob}` and `{carol}` are replaced.
    #[serde(default)]
    pub make_group: Vec<String>,
    /// A folder in which the server puts one file per mail it sends.
    #[serde(default)]
    pub mail: Option<String>,
    /// Known differences.
    #[serde(default)]
    pub differs: Vec<Difference>,
}

/// A user of the target.
#[derive(Debug, Clone, Deserialize, Default)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub struct Account {
    /// The name to log in with.
    pub name: String,
    /// The password; without one no credentials are sent.
    #[serde(default)]
    pub password: Option<String>,
}

/// Cases that are known not to hold, and why.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub struct Difference {
    /// Cases as `file: title`.
    pub cases: Vec<String>,
    /// The reason; it names the sentence that the server reads differently.
    pub reason: String,
}

impl Target {
    /// Reads a target file.
    pub fn read(path: &Path) -> Result<Target, String> {
        let text = fs::read_to_string(path).map_err(|e| format!("{}: {e}", path.display()))?;
        toml::from_str(&text).map_err(|e| format!("{}: {e}", path.display()))
    }

    fn trust(&self) -> Result<Option<Trust>, String> {
        match &self.ca {
            _ if self.insecure => Trust::anybody().map(Some),
            Some(file) => Trust::signed_by(file).map(Some),
            None => Ok(None),
        }
    }

    /// The reason why a case is known to differ.
    pub fn difference(&self, id: &str) -> Option<&str> {
        self.differs
            .iter()
            .find(|d| d.cases.iter().any(|c| c == id))
            .map(|d| d.reason.as_str())
    }
}

/// A user whose places were discovered.
#[derive(Debug, Clone, Default)]
pub struct User {
    /// The name to log in with.
    pub name: String,
    /// The password.
    pub password: Option<String>,
    /// Paths by name: `principal`, `home`, `inbox`, `outbox`, `notification`.
    pub places: BTreeMap<String, String>,
    /// The first `mailto:` address.
    pub address: Option<String>,
}

/// A server that answers, with what it offers.
#[derive(Debug)]
pub struct Server {
    /// The target file.
    pub target: Target,
    /// Where it is asked.
    pub origin: Origin,
    /// What it offers: tokens of DAV headers, `method X`, `report D:x`, `property D:x`, `component VTODO`.
    pub offers: BTreeSet<String>,
    users_made: usize,
    names_used: usize,
}

impl Server {
    /// Finds out what the server offers, with its first user.
    pub fn discover(target: Target) -> Result<Server, String> {
        let origin = Origin::trusting(&target.url, target.trust()?)?;
        let mut server = Server {
            target,
            origin,
            offers: BTreeSet::new(),
            users_made: 0,
            names_used: 0,
        };
        let mut users = server.users(1)?;
        let user = users.pop().ok_or("the target file names no user")?;
        let probe = server.fresh_calendar(&user, None)?;
        let places = user
            .places
            .values()
            .cloned()
            .chain([server.origin.path.clone(), probe.clone()]);
        for place in places.collect::<Vec<_>>() {
            server.look_at(&user, &place)?;
        }
        server.remove(&user, &probe);
        if server
            .fresh_calendar(&user, Some("VTODO"))
            .map(|path| server.remove(&user, &path))
            .is_ok()
        {
            server.offers.insert("component VTODO".to_owned());
        }
        Ok(server)
    }

    /// Users for `count` roles; new ones where the target can make them.
    pub fn users(&mut self, count: usize) -> Result<Vec<User>, String> {
        let accounts: Vec<Account> = if self.target.make_user.is_empty() {
            self.target.users.iter().take(count).cloned().collect()
        } else {
            (0..count)
                .map(|_| self.make_user())
                .collect::<Result<_, _>>()?
        };
        accounts.iter().map(|a| self.discover_user(a)).collect()
    }

    fn make_user(&mut self) -> Result<Account, String> {
        self.users_made += 1;
        let name = format!("user{}", self.users_made);
        let password = format!("correct horse {name}");
        people::make(&self.target.make_user, &[("name", &name)], &password)?;
        Ok(Account {
            name,
            password: Some(password),
        })
    }

    /// The address of a new room or group, none if the target cannot make them. Bob is in charge of the room; bob and
    /// carol are in the group.
    pub fn make_bookable(&mut self, kind: &str, users: &[User]) -> Result<Option<String>, String> {
        let command = match kind {
            "room" => self.target.make_room.clone(),
            _ => self.target.make_group.clone(),
        };
        let [alice, bob, rest @ ..] = users else {
            return Ok(None);
        };
        let domain = alice.address.as_deref().and_then(|a| a.split_once('@'));
        let (false, Some((_, domain))) = (command.is_empty(), domain) else {
            return Ok(None);
        };
        let name = self.unique();
        let address = format!("{name}@{domain}");
        let carol = rest.first().map_or("", |user| &user.name);
        let values = [
            ("name", name.as_str()),
            ("address", &address),
            ("bob", &bob.name),
            ("carol", carol),
        ];
        people::make(&command, &values, "")?;
        Ok(Some(format!("mailto:{address}")))
    }

    /// Asks as a user, with the body's type guessed where none is given.
    pub fn ask(&self, user: &User, question: &Question) -> Result<Answer, String> {
        let mut question = question.clone();
        let named = question
            .headers
            .iter()
            .any(|(n, _)| n.eq_ignore_ascii_case("authorization"));
        if let (Some(password), false) = (&user.password, named) {
            question.headers.push((
                "Authorization".to_owned(),
                wire::basic(&user.name, password),
            ));
        }
        wire::ask(&self.origin, &question)
            .map_err(|e| format!("{} {}: {e}", question.method, question.target))
    }

    /// A PROPFIND of `depth` for properties written as XML.
    pub fn propfind(
        &self,
        user: &User,
        path: &str,
        depth: &str,
        properties: &str,
    ) -> Result<Node, String> {
        let body = format!(
            "<D:propfind {}><D:prop>{properties}</D:prop></D:propfind>",
            words::declarations()
        );
        let headers = [
            ("Depth", depth),
            ("Content-Type", "application/xml; charset=utf-8"),
        ];
        let question = Question {
            method: "PROPFIND".to_owned(),
            target: path.to_owned(),
            headers: headers.map(|(n, v)| (n.to_owned(), v.to_owned())).to_vec(),
            body: Some(body.into_bytes()),
        };
        let answer = self.ask(user, &question)?;
        if answer.status != 207 {
            return Err(format!("PROPFIND {path}: {}", answer.status));
        }
        tree::parse(&answer.text()).map_err(|e| format!("PROPFIND {path}: {e}"))
    }

    fn discover_user(&self, account: &Account) -> Result<User, String> {
        let mut user = User {
            name: account.name.clone(),
            password: account.password.clone(),
            ..User::default()
        };
        let base = self.propfind(&user, &self.origin.path, "0", "<D:current-user-principal/>")?;
        let principal = href_in(&base, "D:current-user-principal/D:href")
            .ok_or_else(|| format!("{}: no current-user-principal", self.origin.path))?;
        let found = self.propfind(
            &user,
            &principal,
            "0",
            "<C:calendar-home-set/><C:schedule-inbox-URL/><C:schedule-outbox-URL/><CS:notification-URL/><C:calendar-user-address-set/>",
        )?;
        let places = [
            ("home", "C:calendar-home-set/D:href"),
            ("inbox", "C:schedule-inbox-URL/D:href"),
            ("outbox", "C:schedule-outbox-URL/D:href"),
            ("notification", "CS:notification-URL/D:href"),
        ];
        user.places = places
            .iter()
            .filter_map(|(n, p)| Some(((*n).to_owned(), as_folder(href_in(&found, p)?))))
            .collect();
        user.places
            .insert("principal".to_owned(), as_folder(principal));
        user.address = found
            .at("C:calendar-user-address-set/D:href")
            .iter()
            .map(|n| n.full_text().trim().to_owned())
            .find(|t| t.to_ascii_lowercase().starts_with("mailto:"));
        if !user.places.contains_key("home") {
            return Err(format!("{}: no calendar-home-set", account.name));
        }
        Ok(user)
    }

    fn look_at(&mut self, user: &User, path: &str) -> Result<(), String> {
        let options = Question {
            method: "OPTIONS".to_owned(),
            target: path.to_owned(),
            ..Question::default()
        };
        let answer = self.ask(user, &options)?;
        for (header, prefix) in [("dav", ""), ("allow", "method ")] {
            for value in answer.header(header).unwrap_or_default().split(',') {
                self.offers.insert(format!("{prefix}{}", value.trim()));
            }
        }
        let Ok(found) = self.propfind(user, path, "0", "<D:supported-report-set/>") else {
            return Ok(());
        };
        for report in found.at("D:supported-report-set/D:supported-report/D:report") {
            for (prefix, namespace) in words::PREFIXES {
                for kind in report.children.iter().filter(|c| c.namespace == *namespace) {
                    self.offers.insert(format!("report {prefix}:{}", kind.name));
                }
            }
        }
        Ok(())
    }

    /// Whether the server offers what a case needs.
    pub fn offered(&mut self, user: &User, need: &str) -> Result<bool, String> {
        let asked = self.offers.contains(need) || self.offers.contains(&format!("no {need}"));
        if let (Some((kind, name)), false) = (need.split_once(' '), asked) {
            let found = match kind {
                "property" => self.has_property(user, name)?,
                "media" => self.takes_media(user, name)?,
                "preference" => self.applies(user, name)?,
                _ => false,
            };
            let prefix = if found { "" } else { "no " };
            self.offers.insert(format!("{prefix}{need}"));
        }
        Ok(self.offers.contains(need))
    }

    fn has_property(&mut self, user: &User, name: &str) -> Result<bool, String> {
        let calendar = self.fresh_calendar(user, None)?;
        let places = user.places.values().cloned().chain([calendar.clone()]);
        let mut known = false;
        for place in places.collect::<Vec<_>>() {
            let Ok(found) = self.propfind(user, &place, "0", &format!("<{name}/>")) else {
                continue;
            };
            let good = |p: &&Node| p.child("D:status").is_some_and(|s| s.text.contains(" 200"));
            known |= found
                .at("D:response/D:propstat")
                .iter()
                .filter(|p| good(p))
                .any(|p| {
                    p.child("D:prop")
                        .is_some_and(|prop| prop.child(name).is_some())
                });
        }
        self.remove(user, &calendar);
        Ok(known)
    }

    /// Whether calendars name a media type in CALDAV:supported-calendar-data. RFC 4791 §5.2.4
    fn takes_media(&mut self, user: &User, media: &str) -> Result<bool, String> {
        let calendar = self.fresh_calendar(user, None)?;
        let found = self.propfind(user, &calendar, "0", "<C:supported-calendar-data/>");
        self.remove(user, &calendar);
        let types = found.map(|node| {
            let all = node.at("C:supported-calendar-data/C:calendar-data");
            let named = |n: &&Node| n.attributes.iter().any(|(_, value)| value == media);
            all.iter().any(named)
        });
        Ok(types.unwrap_or(false))
    }

    /// Whether an answer says that it has applied a preference: one to PUT for `return=representation`, else one to
    /// PROPFIND. RFC 7240 §3
    fn applies(&mut self, user: &User, preference: &str) -> Result<bool, String> {
        let calendar = self.fresh_calendar(user, None)?;
        let (method, target, body) = match preference {
            "return=representation" => ("PUT", format!("{calendar}probe.ics"), PROBE),
            _ => ("PROPFIND", calendar.clone(), ""),
        };
        let header = |name: &str, value: &str| (name.to_owned(), value.to_owned());
        let question = Question {
            method: method.to_owned(),
            target,
            headers: vec![
                header("Depth", "0"),
                header("Prefer", preference),
                header("Content-Type", "text/calendar; charset=utf-8"),
            ],
            body: (!body.is_empty()).then(|| body.replace('\n', "\r\n").into_bytes()),
        };
        let answer = self.ask(user, &question);
        self.remove(user, &calendar);
        let applied = answer?.header("preference-applied").unwrap_or_default();
        Ok(applied.contains(preference))
    }

    /// Makes a calendar under a name nobody used; `component` restricts it.
    pub fn fresh_calendar(
        &mut self,
        user: &User,
        component: Option<&str>,
    ) -> Result<String, String> {
        let home = user.places.get("home").cloned().unwrap_or_default();
        let body = component.map(|name| {
            let set = format!("<C:supported-calendar-component-set><C:comp name=\"{name}\"/></C:supported-calendar-component-set>");
            format!("<C:mkcalendar {}><D:set><D:prop>{set}</D:prop></D:set></C:mkcalendar>", words::declarations())
        });
        for _ in 0..1000 {
            let path = format!("{}/{}/", home.trim_end_matches('/'), self.unique());
            let mut question = Question {
                method: "MKCALENDAR".to_owned(),
                target: path.clone(),
                ..Question::default()
            };
            if let Some(body) = &body {
                question.headers.push((
                    "Content-Type".to_owned(),
                    "application/xml; charset=utf-8".to_owned(),
                ));
                question.body = Some(body.clone().into_bytes());
            }
            let answer = self.ask(user, &question)?;
            match answer.status {
                201 => return Ok(path),
                405 | 409 => {}
                status => return Err(format!("MKCALENDAR {path}: {status}\n{}", answer.text())),
            }
        }
        Err("no free name for a calendar".to_owned())
    }

    /// A word that no earlier call gave.
    pub fn unique(&mut self) -> String {
        self.names_used += 1;
        format!("case{}-{}", std::process::id(), self.names_used)
    }

    /// Removes what a case made; what is gone already is fine.
    pub fn remove(&self, user: &User, path: &str) {
        let question = Question {
            method: "DELETE".to_owned(),
            target: path.to_owned(),
            ..Question::default()
        };
        // The next case makes a calendar of another name; what stays behind cannot change its answer.
        let _ = self.ask(user, &question);
    }
}

/// Collections are named with a final slash (RFC 4918 §5.2).
fn as_folder(path: String) -> String {
    if path.ends_with('/') {
        path
    } else {
        format!("{path}/")
    }
}

fn href_in(node: &Node, path: &str) -> Option<String> {
    let text = node.at(path).first()?.full_text();
    let path = wire::path_of(&text).to_owned();
    path.starts_with('/').then_some(path)
}
