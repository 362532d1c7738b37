//! The real process is killed (SIGKILL) while people invite each other, change meetings, answer and cancel, and
//! afterwards everybody has what was acknowledged, and heard of each change once.
//!
//! Six people work at once, each on meetings of their own and on the invitations of the others. After a crash the server
//! is started again; then every guest has what the organizer's calendar says, organizer and guests agree on every
//! answer, and the inboxes hold one message for each acknowledged change, no more and no less.
//!
//! 6 rounds of about 85 operations; `KALENDS_MEETING_ROUNDS=60 cargo test --release --test meetings` for more,
//! `KALENDS_MEETING_SEED` to repeat.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::indexing_slicing,
    reason = "tests"
)]

mod running;

use std::collections::BTreeMap;
use std::sync::mpsc;
use std::thread;

use fastrand::Rng;
use kalends::conform::{meaning, tree};
use running::{Client, Folder, Running, check};

const PEOPLE: usize = 6;
const PASSWORD: &str = "not so secret";

/// How often the server is asked whether what a crash left is delivered.
const PATIENCE: usize = 4_000;

/// A meeting as its organizer knows it.
#[derive(Clone, Debug)]
struct Meeting {
    /// PUTs that were acknowledged, less one.
    version: usize,
    guests: [usize; 2],
    deleted: bool,
}

/// What somebody answered to a meeting.
#[derive(Clone, Debug, Default)]
struct Answer {
    given: usize,
    last: String,
}

/// What one person knows, and the operation that was not answered.
#[derive(Clone, Debug, Default)]
struct Knowledge {
    meetings: BTreeMap<usize, Meeting>,
    answers: BTreeMap<(usize, usize), Answer>,
    pending: Option<Wish>,
}

/// What somebody wants.
#[derive(Clone, Debug)]
enum Wish {
    Put(usize, Meeting),
    Delete(usize),
    Answer((usize, usize), &'static str),
}

fn name(person: usize) -> String {
    format!("user{person}")
}

fn address(person: usize) -> String {
    format!("mailto:user{person}@example.org")
}

fn uid(organizer: usize, number: usize) -> String {
    format!("m{organizer}-{number}x")
}

fn path(person: usize, organizer: usize, number: usize) -> String {
    format!(
        "/dav/calendars/{}/calendar/{}.ics",
        name(person),
        uid(organizer, number)
    )
}

fn title(version: usize) -> String {
    format!("Version {version}.")
}

fn body(organizer: usize, number: usize, meeting: &Meeting) -> String {
    let guests: String = meeting
        .guests
        .iter()
        .map(|guest| format!("ATTENDEE:{}\r\n", address(*guest)))
        .collect();
    format!(
        "BEGIN:VCALENDAR\r\nVERSION:2.0\r\nPRODID:-//Crash//EN\r\nBEGIN:VEVENT\r\nUID:{}\r\nDTSTAMP:20300101T000000Z\r\nDTSTART:20300102T100000Z\r\nDTEND:20300102T110000Z\r\nSUMMARY:{}\r\nORGANIZER:{}\r\n{guests}END:VEVENT\r\nEND:VCALENDAR\r\n",
        uid(organizer, number),
        title(meeting.version),
        address(organizer)
    )
}

/// What somebody answers in an object.
fn answer_in(text: &str, person: usize) -> Option<String> {
    let lines = meaning::unfold(text);
    let line = lines
        .iter()
        .find(|l| l.starts_with("ATTENDEE") && l.ends_with(&address(person)))?;
    let (_, rest) = line
        .split_once("PARTSTAT=")
        .unwrap_or(("", "NEEDS-ACTION:"));
    rest.split([';', ':']).next().map(str::to_owned)
}

fn has(text: &str, line: &str) -> bool {
    meaning::unfold(text).iter().any(|l| l == line)
}

/// An operation, the headers of its request and its body.
type Asked = (Wish, Vec<(String, String)>, String);

/// The next operation by chance; none if what was thought of is not there.
fn wish(me: usize, http: &Client, known: &Knowledge, numbers: &mut Rng) -> Option<Asked> {
    let mine: Vec<usize> = known
        .meetings
        .iter()
        .filter(|(_, m)| !m.deleted)
        .map(|(n, _)| *n)
        .collect();
    match numbers.usize(..10) {
        0 => {
            let guests = [
                (me + 1 + numbers.usize(..2)) % PEOPLE,
                (me + 3 + numbers.usize(..3)) % PEOPLE,
            ];
            let meeting = Meeting {
                version: 0,
                guests,
                deleted: false,
            };
            let number = known.meetings.len();
            let text = body(me, number, &meeting);
            Some((Wish::Put(number, meeting), Vec::new(), text))
        }
        1..=2 if !mine.is_empty() => {
            let number = mine[numbers.usize(..mine.len())];
            let meeting = Meeting {
                version: known.meetings[&number].version + 1,
                ..known.meetings[&number].clone()
            };
            let text = body(me, number, &meeting);
            Some((Wish::Put(number, meeting), Vec::new(), text))
        }
        3 if mine.len() > 2 => Some((
            Wish::Delete(mine[numbers.usize(..mine.len())]),
            Vec::new(),
            String::new(),
        )),
        _ => {
            let organizer = numbers.usize(..PEOPLE);
            let number = numbers.usize(..known.meetings.len() + 2);
            if organizer == me {
                return None;
            }
            let copy = http
                .try_ask("GET", &path(me, organizer, number), &[], "")
                .ok()?;
            let text = copy.text();
            if copy.status != 200 || has(&text, "STATUS:CANCELLED") {
                return None;
            }
            let before = answer_in(&text, me)?;
            let choices = ["ACCEPTED", "TENTATIVE", "DECLINED"];
            let answer = *choices
                .iter()
                .cycle()
                .skip(numbers.usize(..3))
                .find(|a| **a != before)?;
            let lines = meaning::unfold(&text).into_iter().map(|line| {
                match line.starts_with("ATTENDEE") && line.ends_with(&address(me)) {
                    true => format!("ATTENDEE;PARTSTAT={answer}:{}\r\n", address(me)),
                    false => format!("{line}\r\n"),
                }
            });
            let tag = copy.header("Schedule-Tag").unwrap_or_default();
            let condition = vec![("If-Schedule-Tag-Match".to_owned(), tag)];
            Some((
                Wish::Answer((organizer, number), answer),
                condition,
                lines.collect(),
            ))
        }
    }
}

/// One person works until the server is gone.
fn work(
    me: usize,
    http: &Client,
    mut known: Knowledge,
    mut numbers: Rng,
    acks: &mpsc::Sender<()>,
) -> Knowledge {
    loop {
        if http.try_ask("OPTIONS", "/dav/", &[], "").is_err() {
            return known;
        }
        let Some((wish, headers, text)) = wish(me, http, &known, &mut numbers) else {
            continue;
        };
        let headers: Vec<(&str, &str)> = headers
            .iter()
            .map(|(n, v)| (n.as_str(), v.as_str()))
            .collect();
        let (method, at) = match &wish {
            Wish::Put(number, _) => ("PUT", path(me, me, *number)),
            Wish::Delete(number) => ("DELETE", path(me, me, *number)),
            Wish::Answer((organizer, number), _) => ("PUT", path(me, *organizer, *number)),
        };
        known.pending = Some(wish.clone());
        let Ok(answer) = http.try_ask(method, &at, &headers, &text) else {
            return known;
        };
        known.pending = None;
        match answer.status {
            // Somebody was faster.
            412 | 503 => continue,
            status => assert!(
                (200..300).contains(&status),
                "{method} {at}: {status}\n{}\n{text}",
                answer.text()
            ),
        }
        known.happened(wish);
        if acks.send(()).is_err() {
            return known;
        }
    }
}

impl Knowledge {
    fn happened(&mut self, wish: Wish) {
        match wish {
            Wish::Put(number, meeting) => {
                self.meetings.insert(number, meeting);
            }
            Wish::Delete(number) => self.meetings.get_mut(&number).unwrap().deleted = true,
            Wish::Answer(meeting, answer) => {
                let known = self.answers.entry(meeting).or_default();
                known.given += 1;
                known.last = answer.to_owned();
            }
        }
    }

    /// Whether the operation that was not answered happened.
    fn settle(&mut self, me: usize, http: &Client) {
        let Some(wish) = self.pending.take() else {
            return;
        };
        let happened = match &wish {
            Wish::Put(number, meeting) => {
                let now = http.ask("GET", &path(me, me, *number), &[], "");
                has(&now.text(), &format!("SUMMARY:{}", title(meeting.version)))
            }
            Wish::Delete(number) => http.ask("GET", &path(me, me, *number), &[], "").status == 404,
            Wish::Answer((organizer, number), answer) => {
                let now = http.ask("GET", &path(me, *organizer, *number), &[], "");
                answer_in(&now.text(), me).as_deref() == Some(*answer)
            }
        };
        if happened {
            self.happened(wish);
        }
    }
}

/// Asks until it is so: what a crash left is delivered in the background.
fn eventually(what: &str, mut look: impl FnMut() -> Result<(), String>) {
    let mut last = String::new();
    for _ in 0..PATIENCE {
        match look() {
            Ok(()) => return,
            Err(why) => last = why,
        }
    }
    panic!("{what}: {last}");
}

/// Everybody has what the organizer's calendar says.
fn copies_agree(http: &[Client], known: &[Knowledge]) {
    for (organizer, knowledge) in known.iter().enumerate() {
        for (number, meeting) in &knowledge.meetings {
            let what = format!("{} ({meeting:?})", uid(organizer, *number));
            let own = http[organizer].ask("GET", &path(organizer, organizer, *number), &[], "");
            if meeting.deleted {
                assert_eq!(own.status, 404, "{what} came back");
            } else {
                let line = format!("SUMMARY:{}", title(meeting.version));
                assert!(has(&own.text(), &line), "{what}: {}", own.text());
            }
            eventually(&what, || copies_of(http, known, (organizer, *number)));
        }
    }
}

fn copies_of(http: &[Client], known: &[Knowledge], at: (usize, usize)) -> Result<(), String> {
    let (organizer, number) = at;
    let meeting = &known[organizer].meetings[&number];
    let own = http[organizer]
        .ask("GET", &path(organizer, organizer, number), &[], "")
        .text();
    for guest in meeting.guests {
        let copy = http[guest].ask("GET", &path(guest, organizer, number), &[], "");
        let text = copy.text();
        if meeting.deleted {
            if copy.status != 404 && !has(&text, "STATUS:CANCELLED") {
                return Err(format!("user{guest} was not told of the end: {text}"));
            }
            continue;
        }
        if !has(&text, &format!("SUMMARY:{}", title(meeting.version))) {
            return Err(format!("user{guest} has {text}"));
        }
        let given = known[guest]
            .answers
            .get(&at)
            .map_or("NEEDS-ACTION", |a| a.last.as_str());
        if answer_in(&text, guest).as_deref() != Some(given) {
            return Err(format!("user{guest} answered {given}: {text}"));
        }
        for other in meeting.guests {
            if answer_in(&own, other) != answer_in(&text, other) {
                return Err(format!(
                    "user{other}'s answer: the organizer has {own}, user{guest} {text}"
                ));
            }
        }
    }
    Ok(())
}

const ALL: &str = "<C:calendar-query xmlns:D='DAV:' xmlns:C='urn:ietf:params:xml:ns:caldav'><D:prop><C:calendar-data/></D:prop><C:filter><C:comp-filter name='VCALENDAR'/></C:filter></C:calendar-query>";

/// Everybody heard of each change once.
fn messages_were_applied_once(http: &[Client], known: &[Knowledge]) {
    for (person, client) in http.iter().enumerate() {
        let inbox = format!("/dav/calendars/{}/inbox/", name(person));
        let answer = client.ask("REPORT", &inbox, &[("Depth", "1")], ALL);
        assert_eq!(answer.status, 207, "{}", answer.text());
        let root = tree::parse(&answer.text()).unwrap();
        let items: Vec<String> = root
            .at("D:response/D:propstat/D:prop/C:calendar-data")
            .iter()
            .map(|node| node.text.clone())
            .collect();
        let count = |method: &str, uid: &str, from: Option<usize>| {
            let of = |item: &&String| {
                has(item, &format!("METHOD:{method}"))
                    && has(item, &format!("UID:{uid}"))
                    && from.is_none_or(|from| answer_in(item, from).is_some())
            };
            items.iter().filter(of).count()
        };
        for (organizer, knowledge) in known.iter().enumerate() {
            for (number, meeting) in &knowledge.meetings {
                let uid = uid(organizer, *number);
                if meeting.guests.contains(&person) {
                    let told = (count("REQUEST", &uid, None), count("CANCEL", &uid, None));
                    let expected = (meeting.version + 1, usize::from(meeting.deleted));
                    assert_eq!(told, expected, "user{person} heard of {uid} ({meeting:?})");
                }
                if organizer == person && !meeting.deleted {
                    for guest in meeting.guests {
                        let given = known[guest]
                            .answers
                            .get(&(organizer, *number))
                            .map_or(0, |a| a.given);
                        let told = count("REPLY", &uid, Some(guest));
                        assert_eq!(told, given, "answers of user{guest} to {uid}");
                    }
                }
            }
        }
    }
}

#[allow(
    clippy::disallowed_methods,
    reason = "how long a test runs is no setting of the server"
)]
fn number_from_environment(name: &str, otherwise: u64) -> u64 {
    std::env::var(name)
        .ok()
        .and_then(|v| v.parse().ok())
        .unwrap_or(otherwise)
}

fn clients_of(server: &Running) -> Vec<Client> {
    (0..PEOPLE)
        .map(|person| Client::new(&server.origin, &name(person), PASSWORD))
        .collect()
}

/// A server with all people, and a client for each.
fn with_people(folder: &Folder) -> (Running, Vec<Client>) {
    let server = Running::start(&folder.data());
    (0..PEOPLE).for_each(|person| server.add_user(&name(person), PASSWORD));
    let clients = clients_of(&server);
    (server, clients)
}

#[test]
fn meetings_survive_the_death_of_the_process() {
    let rounds = number_from_environment("KALENDS_MEETING_ROUNDS", 6);
    let seed = number_from_environment("KALENDS_MEETING_SEED", 20_261_120);
    eprintln!("{rounds} rounds, seed {seed}");
    let folder = Folder::new("meetings");
    let data = folder.data();
    let mut numbers = Rng::with_seed(seed);
    let mut server = Running::start(&data);
    for person in 0..PEOPLE {
        server.add_user(&name(person), PASSWORD);
    }
    let mut known = vec![Knowledge::default(); PEOPLE];
    for round in 0..rounds {
        let enough = 60 + numbers.usize(..50);
        let clients = clients_of(&server);
        let (send, acks) = mpsc::channel();
        let mut threads = Vec::new();
        for (person, known) in known.into_iter().enumerate() {
            let (http, send, numbers) = (clients[person].clone(), send.clone(), numbers.fork());
            threads.push(thread::spawn(move || {
                work(person, &http, known, numbers, &send)
            }));
        }
        drop(send);
        for _ in 0..enough {
            acks.recv().expect("somebody ended early");
        }
        server.kill();
        known = threads
            .into_iter()
            .map(|thread| thread.join().expect("somebody failed"))
            .collect();
        server = Running::start(&data);
        let clients = clients_of(&server);
        for (person, known) in known.iter_mut().enumerate() {
            known.settle(person, &clients[person]);
        }
        copies_agree(&clients, &known);
        messages_were_applied_once(&clients, &known);
        check(&data);
        let meetings: usize = known.iter().map(|k| k.meetings.len()).sum();
        let answers: usize = known
            .iter()
            .flat_map(|k| k.answers.values())
            .map(|a| a.given)
            .sum();
        eprintln!("round {round}: {meetings} meetings, {answers} answers");
    }
    assert_eq!(server.stop(), Some(0));
    check(&data);
}

#[test]
fn what_is_imported_is_sent_to_nobody_and_its_changes_are() {
    let folder = Folder::new("imported-meetings");
    let (_server, clients) = with_people(&folder);
    let mut meeting = Meeting {
        version: 0,
        guests: [1, 2],
        deleted: false,
    };
    let file = folder.0.join("old.ics");
    std::fs::write(&file, body(0, 0, &meeting)).unwrap();
    let output = running::kalends(&folder.data())
        .args(["import", &name(0)])
        .arg(&file)
        .output()
        .unwrap();
    assert!(output.status.success(), "{output:?}");
    let calendar = format!("/dav/calendars/{}/calendar/", name(0));
    let listed = clients[0].ask("REPORT", &calendar, &[("Depth", "1")], LIST);
    let root = tree::parse(&listed.text()).unwrap();
    let href = root.at("D:response/D:href")[0].text.clone();
    let tags = root.at("D:response/D:propstat/D:prop/C:schedule-tag");
    assert!(tags[0].text.starts_with('"'), "{}", listed.text());
    let guest = path(1, 0, 0);
    assert_eq!(clients[1].ask("GET", &guest, &[], "").status, 404);
    // Nobody has been told of it, so the change is an invitation.
    meeting.version = 1;
    let answer = clients[0].ask("PUT", &href, &[], &body(0, 0, &meeting));
    assert_eq!(answer.status, 204, "{}", answer.text());
    let copy = clients[1].ask("GET", &guest, &[], "").text();
    assert!(has(&copy, "SUMMARY:Version 1."), "{copy}");
    // What changes nothing for guests is told to nobody, and a restore never is.
    let output = running::kalends(&folder.data())
        .args(["history", "restore", &name(0), "calendar", "--at", "1 day"])
        .output()
        .unwrap();
    assert!(output.status.code().is_some(), "{output:?}");
    let copy = clients[1].ask("GET", &guest, &[], "").text();
    assert!(!has(&copy, "STATUS:CANCELLED"), "{copy}");
}

#[test]
fn calendars_and_people_that_are_removed_by_command_take_their_meetings_with_them() {
    let folder = Folder::new("removed-meetings");
    let (server, clients) = with_people(&folder);
    let meeting = Meeting {
        version: 0,
        guests: [1, 2],
        deleted: false,
    };
    let command = |words: &[&str]| {
        let output = running::kalends(&folder.data()).args(words).output();
        let output = output.unwrap();
        assert!(output.status.success(), "{words:?}: {output:?}");
    };
    command(&["calendar", "add", &name(0), "work"]);
    let work = format!("/dav/calendars/{}/work/0.ics", name(0));
    let answer = clients[0].ask("PUT", &work, &[], &body(0, 0, &meeting));
    assert_eq!(answer.status, 201, "{}", answer.text());
    let answer = clients[0].ask("PUT", &path(0, 0, 1), &[], &body(0, 1, &meeting));
    assert_eq!(answer.status, 201, "{}", answer.text());
    let copy = |number| clients[1].ask("GET", &path(1, 0, number), &[], "").text();

    command(&["calendar", "remove", &name(0), "work"]);
    eventually("the removed calendar's meeting is cancelled", || {
        let copy = copy(0);
        has(&copy, "STATUS:CANCELLED").then_some(()).ok_or(copy)
    });
    assert!(!has(&copy(1), "STATUS:CANCELLED"), "{}", copy(1));

    command(&["user", "remove", &name(0)]);
    assert!(has(&copy(1), "STATUS:CANCELLED"), "{}", copy(1));
    // Who leaves declines what others invited them to.
    let mut other = meeting;
    other.guests = [1, 3];
    let answer = clients[2].ask("PUT", &path(2, 2, 0), &[], &body(2, 0, &other));
    assert_eq!(answer.status, 201, "{}", answer.text());
    command(&["user", "remove", &name(1)]);
    let own = clients[2].ask("GET", &path(2, 2, 0), &[], "").text();
    assert_eq!(answer_in(&own, 1).as_deref(), Some("DECLINED"), "{own}");
    assert_eq!(server.stop(), Some(0));
    check(&folder.data());
}

const LIST: &str = "<C:calendar-query xmlns:D='DAV:' xmlns:C='urn:ietf:params:xml:ns:caldav'><D:prop><C:schedule-tag/></D:prop><C:filter><C:comp-filter name='VCALENDAR'/></C:filter></C:calendar-query>";
