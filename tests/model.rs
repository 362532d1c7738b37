//! Random operations against the whole server in memory, each answer compared with that of a naive model of homes,
//! calendars, sync and history.
//!
//! The model is a map of names to texts, copied at every step; it knows nothing of revisions, logs or indexes. The
//! numbers are seeded and the seed is in every message.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::indexing_slicing,
    reason = "tests"
)]

use std::collections::BTreeMap;
use std::sync::Arc;

use fastrand::Rng;
use kalends::auth::accounts::{self, By, NewPrincipal};
use kalends::auth::password::{self, Cost};
use kalends::auth::{self, Auth};
use kalends::conform::{tree, wire};
use kalends::dav::{self, Path, Request, Response};
use kalends::http::{Server, answer};
use kalends::ical::Timestamp;
use kalends::store::memory::{Memory, Mischief};
use kalends::store::{self, Actor, Id, Moment, Past, PrincipalKind, Store, Target};

const START: i64 = 1_900_000_000;
const STEPS: i64 = 1500;
const USERS: [&str; 2] = ["alice", "bob"];
const CALENDARS: [&str; 4] = ["calendar", "work", "play", "b%20c"];
const NAMES: [&str; 6] = ["a.ics", "b.ics", "c.ics", "%C3%A4.ics", "e", "f%20f.ics"];
const UIDS: u64 = 8;

#[derive(Clone, Debug, PartialEq)]
struct Object {
    uid: u64,
    text: String,
    /// The change that made this text; two objects are the same version if it is the same.
    version: u64,
}

#[derive(Clone, Debug, Default, PartialEq)]
struct Calendar {
    /// Which calendar of this name it is.
    life: u64,
    title: Option<String>,
    objects: BTreeMap<String, Object>,
}

impl Calendar {
    /// The names of its objects without percent encoding, sorted.
    fn names(&self) -> Vec<String> {
        sorted(self.objects.keys().map(|n| plain(n)).collect())
    }
}

type Home = BTreeMap<String, Calendar>;
type Model = BTreeMap<&'static str, Home>;

/// A token that was handed out, with the calendar as it was then.
struct Token {
    user: &'static str,
    calendar: String,
    text: String,
    then: Calendar,
}

struct World {
    server: Arc<Server>,
    model: Model,
    past: Vec<(Timestamp, Model)>,
    tokens: Vec<Token>,
    numbers: Rng,
    seed: u64,
    step: i64,
    count: u64,
}

fn text_of(uid: u64, version: u64) -> String {
    format!(
        "BEGIN:VCALENDAR\r\nVERSION:2.0\r\nPRODID:-//Model//EN\r\nBEGIN:VEVENT\r\nUID:u{uid}\r\nDTSTAMP:20300101T000000Z\r\nDTSTART:20300102T100000Z\r\nSUMMARY:{version}\r\nEND:VEVENT\r\nEND:VCALENDAR\r\n"
    )
}

impl World {
    async fn new(seed: u64) -> World {
        let kv = Memory::with_mischief(Mischief {
            seed,
            yields: 2,
            conflicts_per_mille: 20,
        });
        let store = Store::open(Arc::new(kv), store::Limits::default())
            .await
            .unwrap();
        let by = By {
            actor: Actor {
                principal: None,
                client: "model".to_owned(),
            },
            now: Timestamp(START),
        };
        for name in USERS {
            let password = Some(password::hash(name, Cost::LEAST).unwrap());
            let new = NewPrincipal {
                password,
                ..NewPrincipal::named(PrincipalKind::User, name)
            };
            accounts::add(&store, &new, &by).await.unwrap();
        }
        let limits = auth::Limits {
            cost: Cost::LEAST,
            ..auth::Limits::default()
        };
        let auth = Arc::new(Auth::new(store.clone(), &limits).unwrap());
        let server = Server::new(store, auth, dav::Limits::default(), "Kalends");
        let home = BTreeMap::from([(
            "calendar".to_owned(),
            Calendar {
                title: None,
                ..Calendar::default()
            },
        )]);
        let model = USERS.iter().map(|u| (*u, home.clone())).collect();
        let numbers = Rng::with_seed(seed);
        World {
            server,
            model,
            past: Vec::new(),
            tokens: Vec::new(),
            numbers,
            seed,
            step: 0,
            count: 1,
        }
    }

    fn now(&self) -> Timestamp {
        Timestamp(START + 1 + self.step)
    }

    fn place(&self) -> String {
        format!("seed {}, step {}", self.seed, self.step)
    }

    async fn ask(
        &self,
        user: &str,
        (method, path): (&str, &str),
        headers: &[(&str, &str)],
        body: &str,
    ) -> Response {
        let mut request = Request::new(method, Path::parse(path).unwrap());
        request.host = "model.example".to_owned();
        request
            .headers
            .push("Authorization", wire::basic(user, user));
        for (name, value) in headers {
            request.headers.push(*name, *value);
        }
        if !body.is_empty() {
            let kind = if body.starts_with('<') {
                "application/xml"
            } else {
                "text/calendar; charset=utf-8"
            };
            request.headers.push("Content-Type", kind);
        }
        request.body = body.to_owned().into();
        answer(&self.server, request, self.now()).await
    }

    fn expect(&self, what: &str, response: &Response, wanted: &[u16]) {
        let body = String::from_utf8_lossy(&response.body);
        assert!(
            wanted.contains(&response.status),
            "{}: {what}: {} {body}, not {wanted:?}",
            self.place(),
            response.status
        );
    }

    fn one_of<'a>(&mut self, all: &[&'a str]) -> &'a str {
        self.numbers.choice(all).unwrap()
    }

    fn calendar(&self, user: &str, name: &str) -> Option<&Calendar> {
        self.model[user].get(name)
    }

    fn calendar_mut(&mut self, user: &str, name: &str) -> &mut Calendar {
        self.model.get_mut(user).unwrap().get_mut(name).unwrap()
    }

    async fn etag(&self, user: &str, path: &str) -> Option<String> {
        let response = self.ask(user, ("HEAD", path), &[], "").await;
        header(&response, "ETag")
    }

    /// PUT at a random place, sometimes with a condition.
    async fn put(&mut self) {
        let (user, calendar, name) = (
            self.one_of(&USERS),
            self.one_of(&CALENDARS),
            self.one_of(&NAMES),
        );
        let (uid, version) = (self.numbers.u64(..UIDS), self.count);
        self.count += 1;
        let path = format!("/dav/calendars/{user}/{calendar}/{name}");
        let there = self
            .calendar(user, calendar)
            .and_then(|c| c.objects.get(name))
            .cloned();
        let (condition, holds) = match self.numbers.usize(..5) {
            0 => (Some(("If-None-Match", "*".to_owned())), there.is_none()),
            1 => (Some(("If-Match", "\"wrong\"".to_owned())), false),
            2 => match self.etag(user, &path).await {
                Some(tag) => (Some(("If-Match", tag)), there.is_some()),
                None => (Some(("If-Match", "*".to_owned())), false),
            },
            _ => (None, true),
        };
        let headers: Vec<(&str, &str)> = condition.iter().map(|(n, v)| (*n, v.as_str())).collect();
        let text = text_of(uid, version);
        let response = self.ask(user, ("PUT", &path), &headers, &text).await;
        let Some(now) = self.calendar(user, calendar) else {
            return self.expect(
                &format!("PUT {path} without a calendar"),
                &response,
                &[403, 404, 409, 412],
            );
        };
        let holder = now
            .objects
            .iter()
            .find(|(_, o)| o.uid == uid)
            .map(|(n, _)| n.as_str());
        let conflict =
            holder.is_some_and(|n| n != name) || there.as_ref().is_some_and(|o| o.uid != uid);
        let wanted: &[u16] = match (holds, conflict, there.is_some()) {
            (false, ..) => &[412],
            (true, true, _) => &[403, 409],
            (true, false, true) => &[200, 204],
            (true, false, false) => &[201],
        };
        self.expect(&format!("PUT {path} {condition:?}"), &response, wanted);
        if holds && !conflict {
            self.calendar_mut(user, calendar)
                .objects
                .insert(name.to_owned(), Object { uid, text, version });
        }
    }

    async fn delete(&mut self) {
        let (user, calendar, name) = (
            self.one_of(&USERS),
            self.one_of(&CALENDARS),
            self.one_of(&NAMES),
        );
        let path = format!("/dav/calendars/{user}/{calendar}/{name}");
        let there = self
            .calendar(user, calendar)
            .is_some_and(|c| c.objects.contains_key(name));
        let response = self.ask(user, ("DELETE", &path), &[], "").await;
        self.expect(
            &format!("DELETE {path}"),
            &response,
            if there { &[200, 204] } else { &[404] },
        );
        if there {
            self.calendar_mut(user, calendar).objects.remove(name);
        }
    }

    /// COPY or MOVE of an object.
    async fn transfer(&mut self, method: &str) {
        let user = self.one_of(&USERS);
        let (from, to) = (self.one_of(&CALENDARS), self.one_of(&CALENDARS));
        let (old, new) = (self.one_of(&NAMES), self.one_of(&NAMES));
        let overwrite = if self.numbers.usize(..2) == 0 {
            "T"
        } else {
            "F"
        };
        let path = format!("/dav/calendars/{user}/{from}/{old}");
        let destination = format!("/dav/calendars/{user}/{to}/{new}");
        let headers = [
            ("Destination", destination.as_str()),
            ("Overwrite", overwrite),
        ];
        let response = self.ask(user, (method, &path), &headers, "").await;
        let what = format!("{method} {path} to {destination} Overwrite: {overwrite}");
        let source = self
            .calendar(user, from)
            .and_then(|c| c.objects.get(old))
            .cloned();
        let Some(source) = source else {
            return self.expect(&what, &response, &[404]);
        };
        let Some(target) = self.calendar(user, to) else {
            return self.expect(&what, &response, &[403, 409]);
        };
        if path == destination {
            return self.expect(&what, &response, &[403]);
        }
        let there = target.objects.get(new).cloned();
        if there.is_some() && overwrite == "F" {
            return self.expect(&what, &response, &[412]);
        }
        let leaves = method == "MOVE" && from == to;
        let mut others = target
            .objects
            .iter()
            .filter(|(n, _)| !(leaves && n.as_str() == old));
        let taken = others.any(|(n, o)| n != new && o.uid == source.uid);
        if taken || there.as_ref().is_some_and(|o| o.uid != source.uid) {
            return self.expect(&what, &response, &[403, 409]);
        }
        self.expect(
            &what,
            &response,
            if there.is_some() { &[204] } else { &[201] },
        );
        if method == "MOVE" {
            self.calendar_mut(user, from).objects.remove(old);
        }
        let version = self.count;
        self.count += 1;
        self.calendar_mut(user, to)
            .objects
            .insert(new.to_owned(), Object { version, ..source });
    }

    async fn make_or_remove_calendar(&mut self) {
        let (user, name) = (self.one_of(&USERS), self.one_of(&CALENDARS));
        let path = format!("/dav/calendars/{user}/{name}/");
        let there = self.calendar(user, name).is_some();
        if self.numbers.usize(..3) == 0 && name != "calendar" {
            let response = self.ask(user, ("DELETE", &path), &[], "").await;
            self.expect(
                &format!("DELETE {path}"),
                &response,
                if there { &[200, 204] } else { &[404] },
            );
            self.model.get_mut(user).unwrap().remove(name);
            return;
        }
        let response = self.ask(user, ("MKCALENDAR", &path), &[], "").await;
        self.expect(
            &format!("MKCALENDAR {path}"),
            &response,
            if there { &[403, 405, 409] } else { &[201] },
        );
        if !there {
            let life = self.count;
            self.count += 1;
            self.model.get_mut(user).unwrap().insert(
                name.to_owned(),
                Calendar {
                    life,
                    ..Calendar::default()
                },
            );
        }
    }

    async fn rename_calendar(&mut self) {
        let user = self.one_of(&USERS);
        let (old, new) = (self.one_of(&CALENDARS), self.one_of(&CALENDARS));
        if old == "calendar" || new == "calendar" || old == new {
            return;
        }
        let (path, destination) = (
            format!("/dav/calendars/{user}/{old}/"),
            format!("/dav/calendars/{user}/{new}/"),
        );
        let headers = [("Destination", destination.as_str()), ("Overwrite", "F")];
        let response = self.ask(user, ("MOVE", &path), &headers, "").await;
        let what = format!("MOVE {path} to {destination}");
        match (
            self.calendar(user, old).is_some(),
            self.calendar(user, new).is_some(),
        ) {
            (false, _) => self.expect(&what, &response, &[404]),
            (true, true) => self.expect(&what, &response, &[412]),
            (true, false) => {
                self.expect(&what, &response, &[201]);
                let home = self.model.get_mut(user).unwrap();
                let calendar = home.remove(old).unwrap();
                home.insert(new.to_owned(), calendar);
            }
        }
    }

    async fn entitle(&mut self) {
        let (user, name) = (self.one_of(&USERS), self.one_of(&CALENDARS));
        let title = format!("Title {}", self.count);
        let body = format!(
            "<propertyupdate xmlns='DAV:'><set><prop><displayname>{title}</displayname></prop></set></propertyupdate>"
        );
        let path = format!("/dav/calendars/{user}/{name}/");
        let response = self.ask(user, ("PROPPATCH", &path), &[], &body).await;
        let there = self.calendar(user, name).is_some();
        self.expect(
            &format!("PROPPATCH {path}"),
            &response,
            if there { &[207] } else { &[404] },
        );
        if there {
            self.calendar_mut(user, name).title = Some(title);
        }
    }

    /// A calendar is taken back to an earlier moment.
    async fn rewind(&mut self) {
        let (user, name) = (self.one_of(&USERS), self.one_of(&CALENDARS));
        if self.past.is_empty() {
            return;
        }
        let chosen = self.numbers.usize(..self.past.len());
        let (moment, then) = &self.past[chosen];
        let (Some(now), Some(past)) = (self.calendar(user, name), then[user].get(name)) else {
            return;
        };
        let permutes = past
            .objects
            .iter()
            .any(|(n, o)| now.objects.iter().any(|(m, p)| n != m && o.uid == p.uid));
        if now.life != past.life || permutes {
            return;
        }
        let (moment, objects, title) = (*moment, past.objects.clone(), past.title.clone());
        let id = self.id(user).await;
        let store = &self.server.shared.store;
        let home = store.home(id).await.unwrap();
        let collection = home.collection(&plain(name)).unwrap().id;
        let actor = Actor {
            principal: None,
            client: "model".to_owned(),
        };
        let moment = Moment {
            past: Past::Time(moment),
            now: self.now(),
            actor,
        };
        let restored = store
            .restore(id, &Target::Collection(collection), &moment)
            .await
            .unwrap_or_else(|e| panic!("{}: {e:?}", self.place()));
        assert!(
            restored.clashes.is_empty(),
            "{}: {:?}",
            self.place(),
            restored.clashes
        );
        let mut restored = objects;
        let before = self.calendar(user, name).unwrap().objects.clone();
        for (name, object) in &mut restored {
            if before.get(name).map(|o| &o.text) != Some(&object.text) {
                object.version = self.count;
                self.count += 1;
            }
        }
        let calendar = self.calendar_mut(user, name);
        (calendar.objects, calendar.title) = (restored, title);
    }

    async fn id(&self, user: &str) -> Id {
        self.server
            .shared
            .store
            .directory()
            .await
            .unwrap()
            .by_name(user)
            .unwrap()
            .id
    }

    /// Compares a calendar with the model: listing, texts, properties; and keeps a token.
    async fn look(&mut self) {
        let (user, name) = (self.one_of(&USERS), self.one_of(&CALENDARS));
        let path = format!("/dav/calendars/{user}/{name}/");
        let body = "<propfind xmlns='DAV:'><prop><displayname/><getetag/></prop></propfind>";
        let response = self
            .ask(user, ("PROPFIND", &path), &[("Depth", "1")], body)
            .await;
        let Some(calendar) = self.calendar(user, name).cloned() else {
            return self.expect(&format!("PROPFIND {path}"), &response, &[404]);
        };
        self.expect(&format!("PROPFIND {path}"), &response, &[207]);
        let root = tree::parse(&String::from_utf8_lossy(&response.body)).unwrap();
        let names: Vec<String> = root
            .at("D:response/D:href")
            .iter()
            .map(|h| last(&h.text))
            .collect();
        let members = calendar.names();
        let wanted = std::iter::once(String::new())
            .chain(members.clone())
            .collect();
        assert_eq!(
            sorted(names),
            sorted(wanted),
            "{}: members of {path}",
            self.place()
        );
        if let Some(title) = &calendar.title {
            let found = root.at("D:propstat/D:prop/D:displayname");
            assert!(
                found.iter().any(|n| n.text == *title),
                "{}: the title of {path}",
                self.place()
            );
        }
        self.read_all(user, &path, &calendar).await;
        let (entries, token) = self
            .sync(user, &path, "")
            .await
            .expect("an initial sync is answered");
        assert!(
            entries.values().all(|there| *there),
            "{}: a first sync of {path} lists removed ones",
            self.place()
        );
        assert_eq!(
            entries.into_keys().collect::<Vec<_>>(),
            members,
            "{}: sync of {path}",
            self.place()
        );
        self.tokens.push(Token {
            user,
            calendar: name.to_owned(),
            text: token,
            then: calendar,
        });
    }

    async fn read_all(&self, user: &str, path: &str, calendar: &Calendar) {
        for (name, object) in &calendar.objects {
            let response = self
                .ask(user, ("GET", &format!("{path}{name}")), &[], "")
                .await;
            assert_eq!(
                String::from_utf8_lossy(&response.body),
                object.text,
                "{}: GET {path}{name}",
                self.place()
            );
        }
    }

    /// Names with whether they are there, and the new token; `None` if the token is refused.
    async fn sync(
        &self,
        user: &str,
        path: &str,
        token: &str,
    ) -> Option<(BTreeMap<String, bool>, String)> {
        let body = format!(
            "<sync-collection xmlns='DAV:'><sync-token>{token}</sync-token><sync-level>1</sync-level><prop><getetag/></prop></sync-collection>"
        );
        let response = self
            .ask(user, ("REPORT", path), &[("Depth", "0")], &body)
            .await;
        let text = String::from_utf8_lossy(&response.body).into_owned();
        if response.status == 403 && text.contains("valid-sync-token") {
            return None;
        }
        self.expect(&format!("sync of {path} from {token}"), &response, &[207]);
        let root = tree::parse(&text).unwrap();
        let mut entries = BTreeMap::new();
        for one in root.all("D:response") {
            let name = last(&one.child("D:href").unwrap().text);
            let there = one.child("D:status").is_none();
            assert!(
                entries.insert(name.clone(), there).is_none(),
                "{}: {path}{name} is listed twice",
                self.place()
            );
        }
        Some((
            entries,
            root.child("D:sync-token").unwrap().text.trim().to_owned(),
        ))
    }

    /// A token from before gives the difference to now, or is refused where the calendar is another one.
    async fn redeem(&mut self) {
        if self.tokens.is_empty() {
            return;
        }
        let chosen = self.numbers.usize(..self.tokens.len());
        let token = &self.tokens[chosen];
        let path = format!("/dav/calendars/{}/{}/", token.user, token.calendar);
        let Some(now) = self.calendar(token.user, &token.calendar) else {
            return;
        };
        let answer = self.sync(token.user, &path, &token.text).await;
        if now.life != token.then.life {
            assert!(
                answer.is_none(),
                "{}: {path} takes the token of another calendar",
                self.place()
            );
            return;
        }
        let (entries, _) =
            answer.unwrap_or_else(|| panic!("{}: {path} refuses its own token", self.place()));
        for (name, there) in &entries {
            let exists = now.objects.keys().any(|n| plain(n) == *name);
            assert_eq!(
                *there,
                exists,
                "{}: {path}{name} in a difference",
                self.place()
            );
        }
        let names = token.then.objects.keys().chain(now.objects.keys());
        for name in names {
            let version = |c: &Calendar| c.objects.get(name).map(|o| o.version);
            let changed = version(&token.then) != version(now);
            assert!(
                !changed || entries.contains_key(&plain(name)),
                "{}: {path}{name} changed unsaid",
                self.place()
            );
        }
    }

    /// What the store says was there at an earlier moment is what was there.
    async fn remember(&mut self) {
        if self.past.is_empty() {
            return;
        }
        let chosen = self.numbers.usize(..self.past.len());
        let (moment, model) = &self.past[chosen];
        for user in USERS {
            let home = self
                .server
                .shared
                .store
                .home(self.id(user).await)
                .await
                .unwrap();
            let revision = home.revision_at(*moment, self.now()).await.unwrap();
            for (name, now) in &self.model[user] {
                let Some(then) = model[user].get(name).filter(|c| c.life == now.life) else {
                    continue;
                };
                let collection = home.collection(&plain(name)).unwrap();
                let found = home.objects_at(collection, revision).await.unwrap();
                let wanted = then.names();
                let names: Vec<String> = found.keys().map(ToString::to_string).collect();
                assert_eq!(
                    sorted(names),
                    wanted,
                    "{}: {user}/{name} at {moment:?}",
                    self.place()
                );
                for (name, object) in &then.objects {
                    let header = found
                        .iter()
                        .find(|(n, _)| n.to_string() == plain(name))
                        .unwrap()
                        .1;
                    let text = home.text(header).await.unwrap();
                    assert_eq!(
                        String::from_utf8_lossy(&text),
                        object.text,
                        "{}: old text of {name}",
                        self.place()
                    );
                }
            }
        }
    }

    /// Nobody sees what is another's.
    async fn trespass(&mut self) {
        let (calendar, name) = (self.one_of(&CALENDARS), self.one_of(&NAMES));
        let path = format!("/dav/calendars/bob/{calendar}/{name}");
        for method in ["GET", "DELETE", "PROPFIND"] {
            let response = self
                .ask("alice", (method, &path), &[("Depth", "0")], "")
                .await;
            self.expect(&format!("{method} {path} by alice"), &response, &[403, 404]);
        }
    }

    async fn run(&mut self) {
        for step in 0..STEPS {
            self.step = step;
            match self.numbers.usize(..32) {
                0..=11 => self.put().await,
                12..=14 => self.delete().await,
                15..=16 => self.transfer("MOVE").await,
                17..=18 => self.transfer("COPY").await,
                19..=20 => self.make_or_remove_calendar().await,
                21 => self.rename_calendar().await,
                22 => self.entitle().await,
                23 => self.rewind().await,
                24..=26 => self.look().await,
                27..=29 => self.redeem().await,
                30 => self.remember().await,
                _ => self.trespass().await,
            }
            self.past.push((self.now(), self.model.clone()));
        }
    }
}

fn header(response: &Response, name: &str) -> Option<String> {
    response
        .headers
        .iter()
        .find(|(n, _)| n.eq_ignore_ascii_case(name))
        .map(|(_, v)| v.clone())
}

/// The last segment of a path, decoded.
fn last(href: &str) -> String {
    plain(href.rsplit('/').next().unwrap())
}

/// A name without percent encoding.
fn plain(name: &str) -> String {
    wire::same_path(name)
}

fn sorted(mut names: Vec<String>) -> Vec<String> {
    names.sort();
    names
}

#[test]
fn every_answer_is_that_of_a_naive_model() {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .unwrap();
    for seed in [1, 2, 3, 4] {
        eprintln!("seed {seed}");
        runtime.block_on(async { World::new(seed).await.run().await });
    }
}
