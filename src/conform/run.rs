//! Plays cases against a server.

use std::collections::{BTreeMap, BTreeSet};

use super::case::{Case, Exchange, Expectation};
use super::expect::{self, Scope};
use super::target::{Server, User};
use super::wire::{self, Answer, Question};
use super::words;

/// The roles that cases know, in the order of the target's users.
pub const ROLES: &[&str] = &["alice", "bob", "carol", "dave"];

/// What became of a case.
#[derive(Debug)]
pub enum Outcome {
    /// Every expectation held.
    Passed,
    /// One did not.
    Failed(Failure),
    /// The server does not offer what the case needs.
    NotOffered(String),
    /// It failed, as the target file says, for this reason.
    Known(String, Failure),
    /// It passed though the target file says that it does not.
    Healed(String),
}

/// The expectation that did not hold.
#[derive(Debug, Clone)]
pub struct Failure {
    /// The file of the line.
    pub file: String,
    /// The line.
    pub line: u32,
    /// What the line says.
    pub expected: String,
    /// What came.
    pub got: String,
}

/// A case with its outcome and the exchange behind it.
#[derive(Debug)]
pub struct Played {
    /// The case.
    pub case: Case,
    /// What became of it.
    pub outcome: Outcome,
    /// The requests and answers.
    pub exchange: Vec<(Question, Answer)>,
}

impl Played {
    /// Whether the run has to be called failed because of this case.
    pub fn is_bad(&self) -> bool {
        matches!(self.outcome, Outcome::Failed(_) | Outcome::Healed(_))
    }
}

/// Plays cases one after the other with one server.
pub struct Player {
    server: Server,
    users: Vec<User>,
    users_of: String,
}

impl Player {
    /// A player for a discovered server.
    pub fn new(server: Server) -> Player {
        Player {
            server,
            users: Vec::new(),
            users_of: String::new(),
        }
    }

    /// The server.
    pub fn server(&self) -> &Server {
        &self.server
    }

    /// Plays one case and judges it by the target's known differences.
    pub fn play(&mut self, case: &Case) -> Played {
        let mut exchange = Vec::new();
        let outcome = match self.prepare(case) {
            Err(Unplayed::NotOffered(what)) => Outcome::NotOffered(what),
            Err(Unplayed::Broken(got)) => {
                let expected = "the case can be prepared".to_owned();
                Outcome::Failed(Failure {
                    file: case.file.clone(),
                    line: case.line,
                    expected,
                    got,
                })
            }
            Ok(mut stage) => {
                let failure = exchanges(&self.server, case, &mut stage, &mut exchange).err();
                self.clean(&stage);
                self.judge(case, failure)
            }
        };
        Played {
            case: case.clone(),
            outcome,
            exchange,
        }
    }

    fn judge(&self, case: &Case, failure: Option<Failure>) -> Outcome {
        match (failure, self.server.target.difference(&case.id())) {
            (None, None) => Outcome::Passed,
            (Some(failure), None) => Outcome::Failed(failure),
            (Some(failure), Some(reason)) => Outcome::Known(reason.to_owned(), failure),
            (None, Some(reason)) => Outcome::Healed(reason.to_owned()),
        }
    }

    fn prepare(&mut self, case: &Case) -> Result<Stage, Unplayed> {
        let text = case.all_text();
        self.seat(case, roles(&text))?;
        let users: BTreeMap<String, User> = ROLES
            .iter()
            .map(|r| (*r).to_owned())
            .zip(self.users.iter().cloned())
            .collect();
        let first = self
            .users
            .first()
            .cloned()
            .ok_or_else(|| Unplayed::Broken("no user".to_owned()))?;
        if text.contains(" as nobody\n") && first.password.is_none() {
            return Err(Unplayed::NotOffered("credentials".to_owned()));
        }
        for need in &case.needs {
            if !self
                .server
                .offered(&first, need)
                .map_err(Unplayed::Broken)?
            {
                return Err(Unplayed::NotOffered(need.clone()));
            }
        }
        let mut stage = Stage {
            users,
            variables: BTreeMap::new(),
            made: Vec::new(),
            sweeps: false,
        };
        self.variables(&text, &mut stage)?;
        self.bookable(&text, &mut stage)?;
        stage.variables.extend(case.texts.clone());
        Ok(stage)
    }

    /// Makes sure that there are users for `count` roles.
    fn seat(&mut self, case: &Case, count: usize) -> Result<(), Unplayed> {
        let fresh = !self.server.target.make_user.is_empty()
            && (case.fresh_users || self.users_of != case.file);
        if fresh {
            self.users.clear();
        }
        if self.users.len() < count {
            let all = if self.server.target.make_user.is_empty() {
                count
            } else {
                count - self.users.len()
            };
            let made = self.server.users(all).map_err(Unplayed::Broken)?;
            if self.server.target.make_user.is_empty() {
                self.users = made;
            } else {
                self.users.extend(made);
            }
        }
        self.users_of = if case.fresh_users {
            String::new()
        } else {
            case.file.clone()
        };
        if self.users.len() < count {
            return Err(Unplayed::NotOffered(format!("{count} users")));
        }
        Ok(())
    }

    fn variables(&mut self, text: &str, stage: &mut Stage) -> Result<(), Unplayed> {
        let names = names_in(text);
        let unique = self.server.unique();
        let mut all = BTreeMap::from([
            ("base".to_owned(), self.server.origin.path.clone()),
            ("origin".to_owned(), self.server.origin.url()),
            ("ns".to_owned(), words::declarations()),
            ("uid".to_owned(), format!("{unique}@conformance.example")),
            ("new".to_owned(), format!("{unique}n")),
        ]);
        stage.sweeps = names.contains("new");
        for (role, user) in &stage.users {
            let prefixes = if role == "alice" {
                vec![String::new(), "alice.".to_owned()]
            } else {
                vec![format!("{role}.")]
            };
            let wanted = |name: &str| {
                prefixes
                    .iter()
                    .any(|p| names.contains(&format!("{p}{name}")))
            };
            let mut values = user.places.clone();
            values.insert("user".to_owned(), user.name.clone());
            values.extend(user.address.clone().map(|a| ("address".to_owned(), a)));
            let mail = user
                .address
                .as_deref()
                .and_then(|a| a.get("mailto:".len()..));
            values.extend(mail.map(|m| ("mail".to_owned(), m.to_owned())));
            for (name, component) in [
                ("calendar", None),
                ("other", None),
                ("tasks", Some("VTODO")),
            ] {
                if wanted(name) {
                    let path = self
                        .server
                        .fresh_calendar(user, component)
                        .map_err(Unplayed::Broken)?;
                    stage.made.push((role.clone(), path.clone()));
                    values.insert(name.to_owned(), path);
                }
            }
            for optional in ["inbox", "outbox", "notification", "address", "mail"] {
                if wanted(optional) && !values.contains_key(optional) {
                    return Err(Unplayed::NotOffered(optional.to_owned()));
                }
            }
            for (name, value) in values {
                all.extend(
                    prefixes
                        .iter()
                        .map(|p| (format!("{p}{name}"), value.clone())),
                );
            }
        }
        stage.variables = all;
        Ok(())
    }

    /// A room and a group of its own for each case that names them.
    fn bookable(&mut self, text: &str, stage: &mut Stage) -> Result<(), Unplayed> {
        for kind in ["room", "group"] {
            let name = format!("{kind}.address");
            if !text.contains(&format!("{{{name}}}")) {
                continue;
            }
            let made = self.server.make_bookable(kind, &self.users);
            let address = made
                .map_err(Unplayed::Broken)?
                .ok_or_else(|| Unplayed::NotOffered(format!("make-{kind}")))?;
            stage.variables.insert(name, address);
        }
        Ok(())
    }

    fn clean(&self, stage: &Stage) {
        for (role, path) in &stage.made {
            if let Some(user) = stage.users.get(role) {
                self.server.remove(user, path);
            }
        }
        let (Some(alice), true) = (stage.users.get("alice"), stage.sweeps) else {
            return;
        };
        let (Some(home), Some(new)) = (alice.places.get("home"), stage.variables.get("new")) else {
            return;
        };
        let Ok(listing) = self.server.propfind(alice, home, "1", "<D:resourcetype/>") else {
            return;
        };
        for href in listing.at("D:response/D:href") {
            let path = wire::path_of(&href.text);
            if path.contains(new.as_str()) {
                self.server.remove(alice, path);
            }
        }
    }
}

/// How many roles play in a case with this text.
fn roles(text: &str) -> usize {
    let last = ROLES.iter().rposition(|role| {
        text.contains(&format!(" as {role}\n"))
            || text.contains(&format!("{{{role}."))
            || text.contains(&format!("Inbox(\"{role}\""))
    });
    let named = last.map_or(1, |index| index + 1);
    // Somebody is in charge of a room, and two are in a group.
    let kinds = [("{room.", 2), ("{group.", 3)];
    let more = kinds.iter().filter(|(kind, _)| text.contains(kind));
    more.map(|(_, count)| *count).fold(named, usize::max)
}

enum Unplayed {
    NotOffered(String),
    Broken(String),
}

struct Stage {
    users: BTreeMap<String, User>,
    variables: BTreeMap<String, String>,
    made: Vec<(String, String)>,
    sweeps: bool,
}

/// The names of all variables in a text.
fn names_in(text: &str) -> BTreeSet<String> {
    let parts = text.split('{').skip(1);
    parts
        .filter_map(|p| p.split_once('}'))
        .map(|(name, _)| name.to_owned())
        .collect()
}

fn exchanges(
    server: &Server,
    case: &Case,
    stage: &mut Stage,
    record: &mut Vec<(Question, Answer)>,
) -> Result<(), Failure> {
    for exchange in &case.exchanges {
        let failure = |line: u32, expected: &str, got: String| Failure {
            file: exchange.file.clone(),
            line,
            expected: expected.to_owned(),
            got,
        };
        let request = format!("{} {}", exchange.method, exchange.path);
        let question = question(exchange, &stage.variables)
            .map_err(|e| failure(exchange.line, &request, e))?;
        let nobody = User::default();
        let user = if exchange.user == "nobody" {
            Some(&nobody)
        } else {
            stage.users.get(&exchange.user)
        };
        let user = user.ok_or_else(|| {
            failure(
                exchange.line,
                &request,
                format!("no user {}", exchange.user),
            )
        })?;
        let answer = server
            .ask(user, &question)
            .map_err(|e| failure(exchange.line, &request, e))?;
        record.push((question, answer.clone()));
        if !exchange.statuses.iter().any(|s| s.holds(answer.status)) {
            let expected = format!("{request}: {}", statuses(exchange));
            return Err(failure(exchange.line, &expected, answer.status.to_string()));
        }
        let mut scope = Scope {
            server,
            users: &stage.users,
            variables: &mut stage.variables,
            answer: &answer,
            current: None,
        };
        let about = |e: &&Expectation| e.is_about(answer.status);
        for expectation in exchange.expectations.iter().filter(about) {
            scope
                .check(expectation)
                .map_err(|got| failure(expectation.line, &expectation.text, got))?;
        }
    }
    Ok(())
}

fn statuses(exchange: &Exchange) -> String {
    let one = |low: u16, high: u16| {
        if low == high {
            low.to_string()
        } else {
            format!("{low}-{high}")
        }
    };
    exchange
        .statuses
        .iter()
        .map(|s| one(s.low, s.high))
        .collect::<Vec<_>>()
        .join(" or ")
}

/// The request of an exchange with its variables filled in.
fn question(exchange: &Exchange, variables: &BTreeMap<String, String>) -> Result<Question, String> {
    let fill = |text: &str| words::expand(text, variables);
    let target = fill(&exchange.path)?;
    let body = exchange
        .body
        .as_deref()
        .map(fill)
        .transpose()?
        .map(|b| expect::outgoing(&b));
    let mut headers = Vec::new();
    for (name, value) in &exchange.headers {
        headers.push((name.clone(), fill(value)?));
    }
    if let (Some(body), false) = (
        &body,
        headers
            .iter()
            .any(|(n, _)| n.eq_ignore_ascii_case("content-type")),
    ) {
        let kind = if body.starts_with("BEGIN:") {
            "text/calendar; charset=utf-8"
        } else if body.starts_with('<') {
            "application/xml; charset=utf-8"
        } else {
            "text/plain; charset=utf-8"
        };
        headers.push(("Content-Type".to_owned(), kind.to_owned()));
    }
    headers.retain(|(_, value)| !value.is_empty());
    let target = wire::path_of(&target).replace(' ', "%20");
    Ok(Question {
        method: exchange.method.clone(),
        target,
        headers,
        body: body.map(String::into_bytes),
    })
}
