//! People change one meeting in any way they may, messages arrive late, twice and in any order, and in the end all copies
//! agree on time, SEQUENCE and participation. Seeded; ITIP_ROUNDS=100000 in the environment plays longer, ITIP_SEED=7 one
//! game.
//!
//! People of this server get each message once and those of one sender in order, as the queue delivers them. People outside
//! are played by the same functions at another server: what they get and send is repeated and overtakes. They hear of
//! others' answers by the next message that says more, so of them time, SEQUENCE and their own participation must agree.

use super::script_tests::LIMITS;
use super::view::View;
use super::{
    Addresses, Change, Intent, Key, Meeting, Message, Route, State, Weight, incoming, outgoing,
};
use crate::ical::{Component, Property, Timestamp, When, parse, print, values};
use crate::recur::{Range, Zone, compile};
use std::collections::BTreeMap;
use std::fmt::Write as _;

const ORGANIZER: &str = "anna";
const LOCALS: [&str; 3] = ["anna", "ben", "carl"];
const ALL: [&str; 5] = ["anna", "ben", "carl", "dora", "erik"];
const ANSWERS: [&str; 3] = ["ACCEPTED", "DECLINED", "TENTATIVE"];

struct Dice(u64);

impl Dice {
    fn next(&mut self) -> u64 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        self.0.wrapping_mul(0x2545_F491_4F6C_DD1D)
    }

    fn below(&mut self, n: usize) -> usize {
        (self.next() >> 33) as usize % n
    }

    fn of<'a, T>(&mut self, all: &'a [T]) -> &'a T {
        &all[self.below(all.len())]
    }
}

fn address(user: &str) -> String {
    format!("mailto:{user}@example.org")
}

fn is_local(user: &str) -> bool {
    LOCALS.contains(&user)
}

fn addresses(user: &str) -> Addresses {
    let mut who = Addresses::new([address(user).as_str()]);
    for other in ALL.iter().filter(|other| **other != user) {
        let route = if is_local(user) && is_local(other) {
            Route::Local((*other).into())
        } else {
            Route::Mail
        };
        who.learn(&address(other), route);
    }
    who
}

#[derive(Default)]
struct World {
    objects: BTreeMap<&'static str, Component>,
    states: BTreeMap<&'static str, State>,
    pending: Vec<(&'static str, &'static str, Message)>,
    now: i64,
    log: String,
}

fn user_of(address_of: &str) -> &'static str {
    ALL.into_iter()
        .find(|user| address(user) == address_of)
        .unwrap()
}

impl World {
    fn queue(&mut self, from: &'static str, messages: Vec<Message>) {
        for message in messages {
            let to = user_of(&message.to);
            if message.weight == Weight::Refresh {
                assert!(is_local(from) && is_local(to), "a refresh left the server");
            }
            self.pending.push((from, to, message));
        }
    }

    fn change(&mut self, user: &'static str, new: Option<Component>) {
        self.now += 7;
        let old = self.objects.get(user).cloned();
        let state = self.states.entry(user).or_default();
        let revived = new
            .as_ref()
            .filter(|_| old.is_none())
            .and_then(|new| state.revived(new));
        let new = revived.or(new);
        let change = (old.as_ref(), new.as_ref());
        let now = Timestamp(self.now);
        let result = outgoing(change, &addresses(user), Intent::Change, now, &LIMITS);
        let result = match result {
            Ok(result) => result,
            Err(why) => {
                let _ = writeln!(self.log, "  refused {why:?}");
                return;
            }
        };
        let told = result.declines().then_some(now);
        match (result.store.or(new), old) {
            (Some(object), _) => {
                self.objects.insert(user, object);
            }
            (None, Some(old)) => {
                let state = self.states.entry(user).or_default();
                *state = state.deleted(&old, told);
                self.objects.remove(user);
            }
            (None, None) => {}
        }
        self.queue(user, result.messages);
    }

    fn deliver(&mut self, index: usize, again: bool) {
        self.now += 1;
        let (from, to, message) = if again {
            self.pending[index].clone()
        } else {
            self.pending.remove(index)
        };
        let state = self.states.entry(to).or_default();
        let result = incoming(
            self.objects.get(to),
            state,
            &message,
            &addresses(to),
            (Timestamp(self.now), &LIMITS),
        );
        let _ = writeln!(
            self.log,
            "{from} -> {to} {} {:?}: {:?} {}",
            message.method,
            message.weight,
            result.reason,
            brief(&message.calendar)
        );
        self.states.insert(to, result.state);
        if let Change::Put(object) = result.object {
            self.objects.insert(to, object);
        }
        self.queue(to, result.messages);
    }

    /// What may be delivered next: of people of this server the oldest of each pair, of mails any.
    fn deliverable(&self) -> Vec<usize> {
        let first = |index: usize, from: &str, to: &str| {
            let mut before = self.pending[..index].iter();
            !before.any(|(f, t, _)| *f == from && *t == to)
        };
        let all = self.pending.iter().enumerate();
        let ready = all.filter(|(index, (from, to, _))| {
            !(is_local(from) && is_local(to)) || first(*index, from, to)
        });
        ready.map(|(index, _)| index).collect()
    }

    fn settle(&mut self, dice: &mut Dice) {
        let mut rounds = 0;
        while !self.pending.is_empty() {
            rounds += 1;
            assert!(rounds < 10_000, "messages without end\n{}", self.log);
            let ready = self.deliverable();
            let index = *dice.of(&ready);
            self.deliver(index, false);
        }
    }
}

fn event(dice: &mut Dice) -> Component {
    let people: String = ALL[1..]
        .iter()
        .filter(|_| dice.below(4) > 0)
        .map(|user| format!("ATTENDEE:{}\r\n", address(user)))
        .collect();
    let text = format!(
        "BEGIN:VCALENDAR\r\nVERSION:2.0\r\nPRODID:-//T//EN\r\nBEGIN:VEVENT\r\nUID:1\r\n\
         DTSTAMP:20260901T000000Z\r\nDTSTART:20260910T100000Z\r\nDTEND:20260910T110000Z\r\n\
         RRULE:FREQ=DAILY;COUNT=5\r\nSUMMARY:First\r\nORGANIZER:mailto:anna@example.org\r\n\
         ATTENDEE;PARTSTAT=ACCEPTED:mailto:anna@example.org\r\n{people}END:VEVENT\r\n\
         END:VCALENDAR\r\n"
    );
    let parsed = parse(text.as_bytes(), &crate::ical::Limits::default());
    parsed.calendars.into_iter().next().unwrap()
}

/// Who says what in each component of a message: SEQUENCE, and the first letters of names and answers.
fn brief(calendar: &Component) -> String {
    let component = |c: &Component| {
        let id = c
            .property("RECURRENCE-ID")
            .map_or("-", |p| &p.value()[6..8]);
        let people = c.properties("ATTENDEE").map(|a| {
            let answer = super::people::partstat(a);
            format!("{}{}", &a.value()[7..8], &answer[..1])
        });
        let people: Vec<String> = people.collect();
        format!("{id}/{} {}", super::meeting::sequence(c), people.join(","))
    };
    let all: Vec<String> = calendar.components("VEVENT").map(component).collect();
    all.join("; ")
}

/// The component of an instance, made from the series where there is none.
fn with_override(object: &Component, key: Key) -> Component {
    let mut object = object.clone();
    let meeting = Meeting::read(&object).unwrap();
    if !meeting.overrides.contains_key(&key)
        && let Some(instance) = super::view::instance(&meeting, key)
    {
        object.push_component(instance);
    }
    object
}

fn component(object: &mut Component, key: Option<Key>) -> Option<&mut Component> {
    let start = |c: &Component| {
        let id = c.property("RECURRENCE-ID").and_then(values::when)?;
        match id {
            When::Utc(at) => Some(Key::At(at)),
            _ => None,
        }
    };
    object.components_mut("VEVENT").find(|c| start(c) == key)
}

fn shifted(component: &mut Component, seconds: i64) {
    for name in ["DTSTART", "DTEND"] {
        let property = component.property_mut(name).unwrap();
        let Some(When::Utc(at)) = values::when(property) else {
            panic!("a time");
        };
        property.set_when(&When::Utc(Timestamp(at.0 + seconds)));
    }
}

/// The instances that take place: start, SEQUENCE and title of each, and who said what.
fn instances(object: &Component) -> BTreeMap<Key, Component> {
    let meeting = Meeting::read(object).unwrap();
    let found = compile(object)
        .instances(Range::ALL, &Zone::utc(), &LIMITS.recur)
        .unwrap();
    let mut all = BTreeMap::new();
    for instance in found {
        let Some(id) = &instance.id else { continue };
        let key = meeting.key(id);
        let component = match meeting.overrides.get(&key) {
            Some(component) => (*component).clone(),
            None => super::view::instance(&meeting, key).unwrap(),
        };
        if !super::meeting::is_cancelled(&component) {
            all.insert(key, component);
        }
    }
    all
}

#[expect(clippy::too_many_lines, reason = "a table of changes")]
fn organizer_step(world: &mut World, dice: &mut Dice) {
    let Some(old) = world.objects.get(ORGANIZER).cloned() else {
        let new = event(dice);
        let _ = writeln!(world.log, "anna makes it");
        world.change(ORGANIZER, Some(new));
        return;
    };
    let keys: Vec<Key> = instances(&old).into_keys().collect();
    let key = (!keys.is_empty()).then(|| *dice.of(&keys));
    let who = *dice.of(&ALL[1..]);
    let what = dice.below(12);
    let in_override = dice.below(2) == 0;
    let mut new = match key.filter(|_| in_override || what == 4) {
        Some(key) if what != 5 => with_override(&old, key),
        _ => old.clone(),
    };
    let target = key.filter(|_| in_override || what == 4);
    let _ = writeln!(world.log, "anna {what} {target:?} {who}");
    if what == 11 {
        // Somebody outside may answer what was deleted after it was made anew, and nobody could tell them.
        let outside = ["dora", "erik"]
            .iter()
            .any(|user| world.objects.contains_key(user));
        let waiting = world.pending.iter().any(|(_, to, _)| !is_local(to));
        if dice.below(4) == 0 && !outside && !waiting {
            world.change(ORGANIZER, None);
        }
        return;
    }
    if what == 6 {
        // An override is given back.
        let drop = When::Utc(match key {
            Some(Key::At(at)) => at,
            _ => return,
        });
        new = old;
        new.retain_components(|c| {
            c.property("RECURRENCE-ID").and_then(values::when) != Some(drop.clone())
        });
        world.change(ORGANIZER, Some(new));
        return;
    }
    let number = world.now;
    let Some(edited) = component(&mut new, target) else {
        return;
    };
    match what {
        0 => edited.set(Property::new("SUMMARY", &format!("Title {number}"))),
        1 | 2 => {
            let hours = [-2, -1, 1, 3][dice.below(4)];
            shifted(edited, hours * 3600);
            if target.is_none() {
                edited.remove("EXDATE");
                new.retain_components(|c| c.property("RECURRENCE-ID").is_none());
            }
        }
        3 if target.is_none() => {
            let count = 2 + dice.below(6);
            edited.set(Property::new("RRULE", &format!("FREQ=DAILY;COUNT={count}")));
        }
        4 => edited.set(Property::new(
            "STATUS",
            ["CANCELLED", "CONFIRMED"][dice.below(2)],
        )),
        5 => {
            let Some(key @ Key::At(at)) = key else { return };
            let master = component(&mut new, None).unwrap();
            if dice.below(3) == 0 {
                master.remove("EXDATE");
            } else {
                master.push(Property::when_value("EXDATE", &When::Utc(at)));
                let id = When::Utc(at);
                new.retain_components(|c| {
                    c.property("RECURRENCE-ID").and_then(values::when).as_ref() != Some(&id)
                });
            }
            let _ = key;
        }
        7 | 8 => edited.retain_properties(|p| !p.is("ATTENDEE") || p.value() != address(who)),
        9 => {
            let there = edited
                .properties("ATTENDEE")
                .any(|a| a.value() == address(who));
            if !there {
                edited.push(Property::new("ATTENDEE", &address(who)));
            }
        }
        _ => {
            for attendee in edited.properties_mut("ATTENDEE") {
                if attendee.value() == address(who) {
                    attendee.set_param("PARTSTAT", "NEEDS-ACTION");
                }
            }
        }
    }
    world.change(ORGANIZER, Some(new));
}

fn attendee_step(world: &mut World, dice: &mut Dice) {
    let user = *dice.of(&ALL[1..]);
    let Some(old) = world.objects.get(user).cloned() else {
        return;
    };
    let keys: Vec<Key> = instances(&old).into_keys().collect();
    if keys.is_empty() {
        return;
    }
    let key = *dice.of(&keys);
    let what = dice.below(8);
    let answer = *dice.of(&ANSWERS);
    let _ = writeln!(world.log, "{user} {what} {key:?} {answer}");
    let mut new = old.clone();
    match what {
        0 => {
            world.change(user, None);
            return;
        }
        1 => {
            let Some(master) = component(&mut new, None) else {
                return;
            };
            let Key::At(at) = key else { return };
            let id = When::Utc(at);
            master.push(Property::when_value("EXDATE", &id));
            new.retain_components(|c| {
                c.property("RECURRENCE-ID").and_then(values::when).as_ref() != Some(&id)
            });
        }
        2 => {
            let all = new.components_mut("VEVENT");
            all.for_each(|c| c.set(Property::new("X-NOTE", "mine")));
        }
        3 | 4 => {
            new = with_override(&old, key);
            let Some(edited) = component(&mut new, Some(key)) else {
                return;
            };
            say(edited, user, answer);
        }
        _ => {
            let Some(master) = component(&mut new, None) else {
                return;
            };
            if super::meeting::is_cancelled(master) {
                return;
            }
            say(master, user, answer);
        }
    }
    world.change(user, Some(new));
}

fn say(component: &mut Component, user: &str, answer: &str) {
    for attendee in component.properties_mut("ATTENDEE") {
        if attendee.value() == address(user) {
            attendee.set_param("PARTSTAT", answer);
        }
    }
}

fn answer_of(component: &Component, user: &str) -> Option<String> {
    let mut attendees = component.properties("ATTENDEE");
    let own = attendees.find(|a| a.value() == address(user))?;
    Some(super::people::partstat(own))
}

/// What differs between the organizer's copy and somebody's.
fn differences(world: &World, user: &'static str) -> Vec<String> {
    let mut found = Vec::new();
    let theirs = world.objects.get(user).map(instances).unwrap_or_default();
    let Some(object) = world.objects.get(ORGANIZER) else {
        found.extend(
            theirs
                .keys()
                .map(|key| format!("{key:?} takes place for {user}")),
        );
        return found;
    };
    let who = addresses(ORGANIZER);
    let meeting = Meeting::read(object).unwrap();
    let guests = meeting.guests(&who);
    let guest = guests.get(&who.person(&address(user)));
    let view = View::of(&meeting, guest.map_or(&[], Vec::as_slice));
    let organized = instances(object);
    for (key, component) in &organized {
        let invited = match view.overrides.get(key) {
            Some(_) => true,
            None => view.master.is_some() && !view.excluded.contains(key),
        };
        let told = answer_of(component, user).filter(|_| invited);
        match (told, theirs.get(key)) {
            (Some(told), Some(copy)) => {
                let mut differ = |what: &str, one: String, two: String| {
                    if one != two {
                        found.push(format!("{key:?} {what} of {user}: {one} / {two}"));
                    }
                };
                let text = |c: &Component, name: &str| {
                    c.property(name)
                        .map(|p| p.value().to_owned())
                        .unwrap_or_default()
                };
                for name in ["DTSTART", "DTEND", "SUMMARY"] {
                    differ(name, text(component, name), text(copy, name));
                }
                let own = answer_of(copy, user).unwrap_or_default();
                differ("participation", told, own);
                if is_local(user) {
                    let number = |c: &Component| super::meeting::sequence(c).to_string();
                    differ("SEQUENCE", number(component), number(copy));
                    for other in ALL {
                        let says = |c: &Component| answer_of(c, other).unwrap_or_default();
                        differ(other, says(component), says(copy));
                    }
                }
            }
            (Some(told), None) if told != "DECLINED" => {
                found.push(format!("{key:?} is not there for {user}, who said {told}"));
            }
            (None, Some(_)) => found.push(format!("{key:?} takes place for {user}")),
            _ => {}
        }
    }
    for key in theirs.keys().filter(|key| !organized.contains_key(key)) {
        found.push(format!("{key:?} takes place for {user} alone"));
    }
    found
}

fn play(seed: u64) -> Result<(), String> {
    let mut dice = Dice(seed.wrapping_mul(0x9E37_79B9_7F4A_7C15) | 1);
    let mut world = World {
        now: 1_790_000_000,
        ..World::default()
    };
    for _ in 0..dice.below(28) + 2 {
        match dice.below(5) {
            0 => organizer_step(&mut world, &mut dice),
            1 => attendee_step(&mut world, &mut dice),
            _ => {
                let ready = world.deliverable();
                if !ready.is_empty() {
                    let index = *dice.of(&ready);
                    let (from, to, _) = world.pending[index];
                    let mail = !(is_local(from) && is_local(to));
                    world.deliver(index, mail && dice.below(4) == 0);
                }
            }
        }
    }
    world.settle(&mut dice);
    // Somebody outside whose copy asks them answers: their answer may have crossed a revision.
    for user in ["dora", "erik"] {
        let Some(mut object) = world.objects.get(user).cloned() else {
            continue;
        };
        let mut asked = false;
        for component in object.components_mut("VEVENT") {
            let open = answer_of(component, user).as_deref() == Some("NEEDS-ACTION");
            if open && !super::meeting::is_cancelled(component) {
                say(component, user, "TENTATIVE");
                asked = true;
            }
        }
        if asked {
            let _ = writeln!(world.log, "{user} is asked and answers");
            world.change(user, Some(object));
        }
    }
    world.settle(&mut dice);
    let found: Vec<String> = ALL[1..]
        .iter()
        .flat_map(|user| differences(&world, user))
        .collect();
    if found.is_empty() {
        return Ok(());
    }
    let mut text = format!("seed {seed}\n{}\n{}", found.join("\n"), world.log);
    for (user, object) in &world.objects {
        let printed = String::from_utf8_lossy(&print(object)).into_owned();
        let _ = write!(text, "--- {user}\n{printed}");
    }
    Err(text)
}

/// A number that the tester may give in the environment.
fn given(name: &str) -> Option<u64> {
    #[allow(
        clippy::disallowed_methods,
        reason = "how long to play is the tester's choice"
    )]
    let text = std::env::var(name);
    text.ok()?.parse().ok()
}

#[test]
fn all_copies_agree_in_the_end() {
    let seeds = match given("ITIP_SEED") {
        Some(seed) => seed..=seed,
        None => 1..=given("ITIP_ROUNDS").unwrap_or(700),
    };
    let failures: Vec<(u64, String)> = seeds
        .filter_map(|seed| Some((seed, play(seed).err()?)))
        .collect();
    let failed: Vec<u64> = failures.iter().map(|(seed, _)| *seed).collect();
    let shortest = failures
        .iter()
        .map(|(_, text)| text)
        .min_by_key(|text| text.len());
    assert!(
        failures.is_empty(),
        "seeds {failed:?}\n{}",
        shortest.map_or("", String::as_str)
    );
}
