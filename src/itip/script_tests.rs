//! Plays testdata/itip/*.itip: people of one server and outside of it change meetings, and what they then have is
//! compared with what the script says. The format is described in testdata/itip/README.md.

use super::{
    Addresses, Change, Incoming, Intent, Limits, Message, Method, Refused, Route, ScheduleTag,
    State, Weight, incoming, outgoing,
};
use crate::ical::{Component, Property, Timestamp, parse, print};
use std::collections::{BTreeMap, VecDeque};
use std::path::Path;

pub(super) const LIMITS: Limits = Limits {
    messages: 1000,
    overrides: 1000,
    recur: crate::recur::Limits {
        instances: 10_000,
        work: 1_000_000,
    },
};

#[derive(Default)]
struct World {
    users: Vec<String>,
    objects: BTreeMap<String, Component>,
    states: BTreeMap<String, State>,
    now: i64,
    // What the last step did.
    sent: Vec<Message>,
    inbox: Vec<(String, Method)>,
    reasons: Vec<(String, String)>,
    tags: BTreeMap<String, ScheduleTag>,
    refused: Option<Refused>,
    mailed: Vec<Message>,
    countered: Option<Message>,
}

fn address(user: &str) -> String {
    if user.contains('@') {
        format!("mailto:{user}")
    } else {
        format!("mailto:{user}@example.org")
    }
}

impl World {
    fn addresses(&self, user: &str) -> Addresses {
        let alias = format!("mailto:{user}.alias@example.org");
        let mut who = Addresses::new([address(user).as_str(), alias.as_str()]);
        for other in &self.users {
            if other.contains('@') {
                who.learn(&address(other), Route::Mail);
            } else {
                who.learn(&address(other), Route::Local(other.as_str().into()));
                who.learn(
                    &format!("mailto:{other}.alias@example.org"),
                    Route::Local(other.as_str().into()),
                );
            }
        }
        who
    }

    fn user_of(&self, to: &str) -> Option<String> {
        let who = self.addresses("nobody");
        self.users
            .iter()
            .find(|user| who.person(&address(user)) == who.person(to))
            .cloned()
    }

    fn start_step(&mut self) {
        self.now += 60;
        self.sent.clear();
        self.inbox.clear();
        self.reasons.clear();
        self.tags.clear();
        self.mailed.clear();
        self.refused = None;
    }

    fn change(&mut self, user: &str, new: Option<Component>, intent: Intent) {
        let old = self.objects.get(user).cloned();
        let revived = new.as_ref().filter(|_| old.is_none()).and_then(|new| {
            let state = self.states.get(user)?;
            state.revived(new)
        });
        let new = revived.or(new);
        let who = self.addresses(user);
        let result = outgoing(
            (old.as_ref(), new.as_ref()),
            &who,
            intent,
            Timestamp(self.now),
            &LIMITS,
        );
        let result = match result {
            Ok(result) => result,
            Err(refused) => {
                self.refused = Some(refused);
                return;
            }
        };
        let told = result.declines().then_some(Timestamp(self.now));
        match (result.store.or(new), &old) {
            (Some(store), _) => {
                self.objects.insert(user.to_owned(), store);
            }
            (None, Some(old)) => {
                self.objects.remove(user);
                let state = self.states.entry(user.to_owned()).or_default();
                *state = state.deleted(old, told);
            }
            (None, None) => {}
        }
        self.deliver(result.messages);
    }

    fn deliver(&mut self, messages: Vec<Message>) {
        let mut queue: VecDeque<Message> = messages.into();
        let mut rounds = 0;
        while let Some(message) = queue.pop_front() {
            rounds += 1;
            assert!(rounds < 1000, "messages without end");
            self.sent.push(message.clone());
            match self.user_of(&message.to) {
                Some(user) if !user.contains('@') => {
                    let incoming = self.receive(&user, &message);
                    queue.extend(incoming.messages);
                }
                _ if message.weight == Weight::News => self.mailed.push(message),
                _ => panic!("a refresh was mailed to {}", message.to),
            }
        }
    }

    fn decline_counter(&mut self, user: &str, comment: &str) {
        let counter = self.countered.take().expect("a proposal");
        let existing = self.objects.get(user).expect("a meeting");
        let comment = Some(comment).filter(|comment| !comment.is_empty());
        let message = super::decline_counter(
            existing,
            &counter,
            &self.addresses(user),
            (comment, Timestamp(self.now)),
        );
        self.deliver(message.into_iter().collect());
    }

    fn receive(&mut self, user: &str, message: &Message) -> Incoming {
        if message.method == Method::Counter {
            self.countered = Some(message.clone());
        }
        let who = self.addresses(user);
        let state = self.states.entry(user.to_owned()).or_default().clone();
        let existing = self.objects.get(user);
        let result = incoming(
            existing,
            &state,
            message,
            &who,
            (Timestamp(self.now), &LIMITS),
        );
        if let Change::Put(calendar) = &result.object {
            self.objects.insert(user.to_owned(), calendar.clone());
            self.tags.insert(user.to_owned(), result.schedule_tag);
        }
        assert_eq!(
            State::decode(&result.state.encode()),
            Some(result.state.clone())
        );
        self.states.insert(user.to_owned(), result.state.clone());
        if result.inbox == super::Inbox::Show {
            self.inbox.push((user.to_owned(), message.method));
        }
        self.reasons
            .push((user.to_owned(), format!("{:?}", result.reason)));
        result
    }

    /// The components of a user's object that a selector means: all, `master`, or a RECURRENCE-ID value.
    fn selected(&self, user: &str, instance: Option<&str>) -> Vec<&Component> {
        let Some(calendar) = self.objects.get(user) else {
            return Vec::new();
        };
        calendar
            .all_components()
            .filter(|c| super::meeting::is_meeting(c))
            .filter(|c| match (instance, c.property("RECURRENCE-ID")) {
                (None, _) => true,
                (Some("master"), id) => id.is_none(),
                (Some(id), Some(property)) => property.value() == id,
                (Some(_), None) => false,
            })
            .collect()
    }
}

fn calendar(body: &str) -> Component {
    let text = if body.contains("BEGIN:VCALENDAR") {
        body.to_owned()
    } else {
        format!("BEGIN:VCALENDAR\nVERSION:2.0\nPRODID:-//Test//EN\n{body}END:VCALENDAR\n")
    };
    let parsed = parse(text.as_bytes(), &crate::ical::Limits::default());
    assert!(parsed.fault().is_none(), "{text}\n{:?}", parsed.problems);
    parsed.calendars.into_iter().next().expect("a calendar")
}

/// Applies an `edit`: `@ master` or `@ ID` chooses a component (an override is made from the series if there is none),
/// `- NAME` removes properties, `+ LINE` adds one, `= LINE` replaces the property, `answer PARTSTAT` is the user's own.
fn edited(world: &World, user: &str, body: &str) -> Component {
    let mut calendar = world.objects.get(user).expect("an object to edit").clone();
    let mut instance = "master".to_owned();
    for line in body.lines().filter(|l| !l.trim().is_empty()) {
        let (word, rest) = line.split_once(' ').unwrap_or((line, ""));
        if word == "@" {
            instance = rest.to_owned();
            make_override(&mut calendar, rest);
            continue;
        }
        if word == "drop" {
            calendar.retain_components(|c| {
                c.property("RECURRENCE-ID")
                    .is_none_or(|p| p.value() != rest)
            });
            continue;
        }
        let who = world.addresses(user);
        let component = calendar
            .all_components_mut()
            .filter(|c| super::meeting::is_meeting(c))
            .find(|c| match c.property("RECURRENCE-ID") {
                None => instance == "master",
                Some(id) => id.value() == instance,
            })
            .expect("the chosen component");
        edit(component, &who, (word, rest));
    }
    calendar
}

fn make_override(calendar: &mut Component, id: &str) {
    let meeting = super::Meeting::read(calendar).expect("a meeting");
    let exists = meeting
        .components()
        .any(|(_, c)| c.property("RECURRENCE-ID").is_some_and(|p| p.value() == id));
    if id == "master" || exists {
        return;
    }
    let start = meeting
        .master
        .and_then(super::meeting::start)
        .expect("a start");
    let when = crate::ical::When::parse(id, start.tzid()).expect("an id");
    let key = meeting.key(&when);
    let component = super::view::instance(&meeting, key).expect("an instance");
    calendar.push_component(component);
}

fn edit(component: &mut Component, who: &Addresses, (word, rest): (&str, &str)) {
    let line = |text: &str| -> Property {
        let wrapped = calendar(&format!("BEGIN:VEVENT\n{text}\nEND:VEVENT\n"));
        let event = wrapped.component("VEVENT").expect("an event").clone();
        event.all_properties().next().expect("a line").clone()
    };
    match word {
        "-" => component.retain_properties(|p| {
            !p.is(rest) && p.line() != rest && !(p.is("ATTENDEE") && p.value() == rest)
        }),
        "+" => component.push(line(rest)),
        "=" => component.set(line(rest)),
        "answer" => {
            for attendee in component.properties_mut("ATTENDEE") {
                if who.is_own(attendee.value()) {
                    attendee.set_param("PARTSTAT", rest);
                }
            }
        }
        "force" => {
            for attendee in component.properties_mut("ATTENDEE") {
                if attendee.value() == rest {
                    attendee.set_param("SCHEDULE-FORCE-SEND", "REQUEST");
                }
            }
        }
        other => panic!("unknown edit {other}"),
    }
}

fn step(world: &mut World, head: &str, body: &str) {
    let words: Vec<&str> = head.split_whitespace().collect();
    world.start_step();
    match words.as_slice() {
        [user, "put"] => world.change(user, Some(calendar(body)), Intent::Change),
        [user, "import"] => world.change(user, Some(calendar(body)), Intent::Import),
        [user, "edit"] => {
            let new = edited(world, user, body);
            world.change(user, Some(new), Intent::Change);
        }
        [user, "delete"] => world.change(user, None, Intent::Change),
        [user, "declines", comment @ ..] => world.decline_counter(user, &comment.join(" ")),
        [user, "delete", "silently"] => world.change(user, None, Intent::Silence),
        [user, "receive", "from", sender] => {
            let calendar = calendar(body);
            let method = calendar
                .property("METHOD")
                .expect("METHOD")
                .value()
                .to_owned();
            let uid = calendar
                .all_components()
                .find_map(|c| c.text("UID").map(std::borrow::Cow::into_owned))
                .unwrap_or_default();
            let message = Message {
                method: Method::parse(&method).expect("a method"),
                from: address(sender),
                to: address(user),
                uid,
                weight: Weight::News,
                calendar: calendar.into(),
            };
            world.deliver(vec![message]);
            world.sent.remove(0);
        }
        _ => panic!("unknown step {head}"),
    }
}

fn describe(world: &World) -> String {
    let mut text = String::new();
    for (user, object) in &world.objects {
        text.push_str(&format!(
            "--- {user}\n{}",
            String::from_utf8_lossy(&print(object))
        ));
    }
    for message in &world.sent {
        text.push_str(&format!(
            "--- sent {} {:?} to {}\n{}",
            message.method,
            message.weight,
            message.to,
            String::from_utf8_lossy(&print(&message.calendar))
        ));
    }
    text.push_str(&format!("--- {:?} {:?}\n", world.reasons, world.refused));
    text
}

fn sent(world: &World) -> Vec<String> {
    let mut list: Vec<String> = world
        .sent
        .iter()
        .map(|m| {
            let to = world.user_of(&m.to).unwrap_or_else(|| m.to.clone());
            let quiet = if m.weight == Weight::Refresh {
                " quietly"
            } else {
                ""
            };
            format!("{} to {to}{quiet}", m.method)
        })
        .collect();
    list.sort();
    list
}

/// `USER` or `USER@INSTANCE`; an outside address has its instance after a second `@`.
fn subject(word: &str) -> (&str, Option<&str>) {
    match word.split_once('@') {
        Some((user, instance)) => (user, Some(instance)),
        None => (word, None),
    }
}

fn holds(world: &World, expectation: &str) -> bool {
    let (first, rest) = expectation.split_once(' ').unwrap_or((expectation, ""));
    if first == "sends" {
        let mut wanted: Vec<String> = match rest {
            "nothing" => Vec::new(),
            list => list.split(", ").map(str::to_owned).collect(),
        };
        wanted.sort();
        return sent(world) == wanted;
    }
    if first == "inbox" {
        let mut wanted: Vec<&str> = rest.split(", ").filter(|w| *w != "nothing").collect();
        wanted.sort_unstable();
        let mut found: Vec<String> = world
            .inbox
            .iter()
            .map(|(user, method)| format!("{user} {method}"))
            .collect();
        found.sort();
        return found == wanted;
    }
    if first == "refused" {
        return match world.refused {
            Some(Refused::SameOrganizer) => rest == "same-organizer",
            Some(Refused::OrganizerChange(_)) => rest == "organizer",
            Some(Refused::AttendeeChange(_)) => rest == "attendee",
            Some(Refused::TooMany) => rest == "too-many",
            None => rest == "nothing",
        };
    }
    if first == "message" {
        let (to, line) = rest.split_once(' ').unwrap_or((rest, ""));
        let (negated, line) = line
            .strip_prefix("lacks ")
            .map_or((false, line), |l| (true, l));
        let line = line.strip_prefix("has ").unwrap_or(line);
        let mine = world
            .sent
            .iter()
            .filter(|m| world.user_of(&m.to).as_deref() == Some(to));
        let found = mine
            .flat_map(|m| m.calendar.all_components())
            .any(|c| has_line(c, line));
        return found != negated;
    }
    let (user, instance) = subject(first);
    let components = world.selected(user, instance);
    match rest.split_once(' ').unwrap_or((rest, "")) {
        ("has", line) => components.iter().any(|c| has_line(c, line)),
        ("lacks", line) => !components.iter().any(|c| has_line(c, line)),
        ("none", "") => components.is_empty(),
        ("count", n) => components.len().to_string() == n,
        ("answer", text) => text.split_once(" of ").map_or_else(
            || partstat(&components, &address(user)) == Some(text.to_owned()),
            |(answer, other)| partstat(&components, &address(other)) == Some(answer.to_owned()),
        ),
        ("reason", text) => world.reasons.iter().any(|(u, r)| u == user && r == text),
        ("tag", "moved") => world.tags.get(user) == Some(&ScheduleTag::Move),
        ("tag", "kept") => world.tags.get(user) != Some(&ScheduleTag::Move),
        _ => panic!("unknown expectation {expectation}"),
    }
}

fn partstat(components: &[&Component], address: &str) -> Option<String> {
    let mut answers = components
        .iter()
        .filter_map(|c| {
            c.properties("ATTENDEE")
                .find(|a| crate::ical::same_address(a.value(), address))
        })
        .map(super::people::partstat);
    let first = answers.next()?;
    answers.all(|other| other == first).then_some(first)
}

fn has_line(component: &Component, line: &str) -> bool {
    let (prefix, exact) = line.strip_suffix('*').map_or((line, true), |p| (p, false));
    let here = component.all_properties().any(|p| {
        if exact {
            p.line() == prefix
        } else {
            p.line().starts_with(prefix)
        }
    });
    here || component.all_components().any(|c| has_line(c, line))
}

struct Script<'a> {
    name: String,
    lines: std::iter::Peekable<std::iter::Enumerate<std::str::Lines<'a>>>,
}

fn play(script: &mut Script<'_>) -> (usize, Vec<String>) {
    let mut world = World::default();
    let mut users: Vec<String> = Vec::new();
    let (mut title, mut cases, mut failures) = (String::new(), 0, Vec::new());
    while let Some((number, line)) = script.lines.next() {
        if let Some(list) = line.strip_prefix("users ") {
            users = list.split_whitespace().map(str::to_owned).collect();
        } else if let Some(text) = line.strip_prefix("=== ") {
            title = text.to_owned();
            cases += 1;
            world = World {
                users: users.clone(),
                now: 1_790_000_000,
                ..World::default()
            };
        } else if let Some(head) = line.strip_prefix("--> ") {
            let mut body = String::new();
            while let Some((_, line)) = script.lines.next_if(|(_, l)| *l != "<--") {
                body.push_str(line);
                body.push('\n');
            }
            script.lines.next();
            step(&mut world, head, &body);
        } else if !line.is_empty()
            && !line.starts_with('#')
            && !line.starts_with("spec ")
            && !holds(&world, line)
        {
            failures.push(format!(
                "{}:{}: {title}\n  expected: {line}\n  sent: {:?} inbox: {:?}\n{}",
                script.name,
                number + 1,
                sent(&world),
                world.inbox,
                describe(&world)
            ));
        }
    }
    (cases, failures)
}

#[test]
fn every_script_ends_as_it_says() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("testdata/itip");
    let mut names: Vec<_> = std::fs::read_dir(&folder)
        .expect("testdata/itip")
        .filter_map(|e| Some(e.ok()?.path()))
        .filter(|p| p.extension().is_some_and(|e| e == "itip"))
        .collect();
    names.sort();
    assert!(!names.is_empty());
    let (mut cases, mut failures) = (0, Vec::new());
    for path in names {
        let text = std::fs::read_to_string(&path).expect("a script");
        let mut script = Script {
            name: path
                .file_name()
                .unwrap_or_default()
                .to_string_lossy()
                .into_owned(),
            lines: text.lines().enumerate().peekable(),
        };
        let (played, failed) = play(&mut script);
        assert!(played > 0, "{} has no case", script.name);
        cases += played;
        failures.extend(failed);
    }
    assert!(cases >= 150, "{cases} cases");
    assert!(failures.is_empty(), "{}", failures.join("\n\n"));
}
