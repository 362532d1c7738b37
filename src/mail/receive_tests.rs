//! Mails from outside in a store: what they do to homes, what waits, what is refused; and the door for mail servers.

use super::authenticate::{Authenticator, Checks, Envelope};
use super::held::{self, Kept, Room};
use super::lmtp::{Bounds, Door, Socket, serve};
use super::matching::Doubt;
use super::read::Limits;
use super::receive::{Done, Inbound, Refused, Treatment, release};
use super::token::{Guest, Pattern, ReplyAddress};
use crate::auth::accounts::{self, By, NewPrincipal};
use crate::caldav;
use crate::dav::{self, Outside, Shared, Tables};
use crate::ical::Timestamp;
use crate::itip::{Method, Reason};
use crate::schedule;
use crate::store::memory::Memory;
use crate::store::{
    self, Actor, Change, Component, Id, Kind, PrincipalKind, Put, Sharing, Store, Tag,
};
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::AtomicU64;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::watch;

const NOW: Timestamp = Timestamp(1_795_276_800);

static ROWS: [&dav::Table; 3] = [&dav::TABLE, &schedule::TABLE, &caldav::TABLE];

struct World {
    shared: Arc<Shared>,
    inbound: Arc<Inbound>,
    alice: Id,
}

fn file(name: &str) -> String {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("testdata/mail/in");
    let bytes = std::fs::read(folder.join(name)).unwrap();
    String::from_utf8_lossy(&bytes).into_owned()
}

impl World {
    async fn new() -> World {
        let store = Store::open(Arc::new(Memory::new()), store::Limits::default());
        let store = store.await.unwrap();
        let actor = Actor::default();
        let new = NewPrincipal {
            addresses: vec!["alice@example.org".to_owned()],
            ..NewPrincipal::named(PrincipalKind::User, "alice")
        };
        let alice = accounts::add(&store, &new, &By { actor, now: NOW })
            .await
            .unwrap();
        let shared = Arc::new(Shared {
            store,
            tables: Tables::join(&ROWS),
            limits: dav::Limits::default(),
            outside: Outside::ByMail,
            queued: tokio::sync::Notify::new(),
            to_mail: tokio::sync::Notify::new(),
            mail_now: tokio::sync::Notify::new(),
            free_bytes: AtomicU64::new(u64::MAX),
        });
        let treatment = Treatment {
            pattern: Some("calendar+{token}@example.org".parse().unwrap()),
            limits: Limits::default(),
            room: Room {
                messages: 3,
                ..Room::default()
            },
            welcome: vec!["@firma.example".to_owned()],
            rate: 10,
        };
        let checks = Checks {
            trusted: vec!["mx.example.org".to_owned()],
            ..Checks::default()
        };
        let checks = Authenticator::new(&checks).unwrap();
        let inbound = Arc::new(Inbound::new(shared.clone(), treatment, checks));
        World {
            shared,
            inbound,
            alice,
        }
    }

    /// Alice has this meeting.
    async fn has(&self, name: &str, uid: &str) {
        let turn = self.shared.store.turn(&[self.alice]).await.unwrap();
        let home = turn.home(self.alice).unwrap().clone();
        let calendar = schedule::default_calendar(&home, Component::Event)
            .unwrap()
            .id;
        let mut change = Change::new(NOW, Actor::default(), "PUT");
        change.home(&home).put(
            calendar,
            Put {
                name: "meeting.ics".to_owned(),
                text: file(name).into(),
                uid: Some(uid.to_owned()),
                component: Some(Component::Event),
                summary: Vec::new(),
                tag: Tag::Move,
                shared: Sharing::Moves,
            },
        );
        self.shared.store.commit(change, turn).await.unwrap();
    }

    async fn reply_address(&self, uid: &str, attendee: &str) -> String {
        let guest = Guest::new(self.alice, uid, attendee);
        let address = ReplyAddress::of(&self.shared.store, &guest, NOW)
            .await
            .unwrap();
        let pattern: Pattern = "calendar+{token}@example.org".parse().unwrap();
        pattern.address(address.token)
    }

    async fn receive(&self, mail: &str, to: &[&str]) -> Result<Vec<Done>, Refused> {
        let envelope = Envelope {
            recipients: to.iter().map(|it| (*it).to_owned()).collect(),
            sender: Some("someone@example.com".to_owned()),
            client: None,
        };
        self.inbound.receive(mail.as_bytes(), &envelope, NOW).await
    }

    /// What alice has of a meeting, and the items of her inbox.
    async fn object(&self, uid: &str) -> (String, u64) {
        let home = self.shared.store.home(self.alice).await.unwrap();
        let inbox = home.collections().find(|c| c.kind == Kind::Inbox).unwrap();
        let items = home.members(inbox).await.unwrap().len();
        let found = schedule::find_object(&home, uid).await.unwrap();
        let Some((_, header)) = found else {
            return (String::new(), items);
        };
        let text = home.text(&header).await.unwrap();
        let text = String::from_utf8(text.to_vec()).unwrap();
        (text.replace("\r\n ", ""), items)
    }

    async fn waiting(&self) -> Vec<held::Held> {
        held::rows(&self.shared.store, self.alice, 100)
            .await
            .unwrap()
    }
}

const WEEKLY: &str = "weekly@example.org";

#[tokio::test]
async fn an_answer_at_the_reply_address_is_entered_once() {
    let world = World::new().await;
    world.has("weekly.ics", WEEKLY).await;
    let to = world.reply_address(WEEKLY, "bob@example.com").await;
    let mail = file("exchange-accepted.eml");
    let done = world.receive(&mail, &[&to]).await.unwrap();
    assert_eq!(done, [Done::Applied(Method::Reply, Reason::Answered)]);
    let (object, items) = world.object(WEEKLY).await;
    let line = object
        .lines()
        .find(|line| line.contains("bob@example.com"))
        .unwrap();
    assert!(line.contains("PARTSTAT=ACCEPTED"), "{line}");
    assert_eq!(items, 1);
    let again = world.receive(&mail, &[&to.to_uppercase()]).await.unwrap();
    assert_eq!(again, [Done::Applied(Method::Reply, Reason::Known)]);
    assert_eq!(world.object(WEEKLY).await, (object, 1));
    // Without an envelope the header says where it came to.
    let mail = file("thunderbird-declined.eml");
    let (start, rest) = mail.split_once("\nTo: ").unwrap();
    let rest = rest.split_once('\n').unwrap().1;
    let mail =
        format!("{start}\nTo: <{to}>\n{rest}").replace("20261121T100000Z", "20261121T120000Z");
    let done = world.receive(&mail, &[]).await;
    assert!(
        done.is_ok_and(|done| matches!(done.as_slice(), [Done::Ignored(_) | Done::Applied(..)]))
    );
}

#[tokio::test]
async fn what_is_doubtful_waits_once_until_it_is_released() {
    let world = World::new().await;
    world.has("weekly.ics", WEEKLY).await;
    let forged = file("own-address-forged.eml");
    let done = world
        .receive(&forged, &["alice@example.org"])
        .await
        .unwrap();
    let [Done::Held(Kept::Waits(name), Doubt::NotAuthentic(_))] = done.as_slice() else {
        panic!("{done:?}");
    };
    world
        .receive(&forged, &["alice@example.org"])
        .await
        .unwrap();
    let waiting = world.waiting().await;
    assert_eq!(waiting.len(), 1);
    assert_eq!(
        (waiting[0].name, waiting[0].doubt.0.as_str()),
        (*name, "not-authentic")
    );
    assert_eq!(
        waiting[0].sender,
        "not proven: no mail server we trust says so"
    );
    assert!(
        !world
            .object(WEEKLY)
            .await
            .0
            .contains("PARTSTAT=ACCEPTED;RSVP")
    );
    let reason = release(&world.shared, &waiting[0], NOW).await.unwrap();
    assert_eq!(reason, Some(Reason::Answered));
    assert!(world.waiting().await.is_empty());
    let (object, _) = world.object(WEEKLY).await;
    assert!(
        object
            .lines()
            .any(|l| l.contains("bob@") && l.contains("PARTSTAT=ACCEPTED"))
    );
    // A mail server that is trusted says whose it is.
    let results = "Authentication-Results: mx.example.org; dmarc=pass header.from=example.net\n";
    let mail = format!("{results}{}", file("proton-accepted.eml"));
    let done = world.receive(&mail, &["alice@example.org"]).await.unwrap();
    assert_eq!(done, [Done::Applied(Method::Reply, Reason::Answered)]);
}

#[tokio::test]
async fn invitations_go_in_from_those_who_are_known_and_wait_from_others() {
    let world = World::new().await;
    let proven = "Authentication-Results: mx.example.org; dmarc=pass header.from=firma.example\n";
    let mail = format!("{proven}{}", file("invitation.eml"));
    let done = world.receive(&mail, &["alice@example.org"]).await.unwrap();
    assert_eq!(done, [Done::Applied(Method::Request, Reason::Invited)]);
    let (object, items) = world.object("jour-fixe@firma.example").await;
    assert!(object.contains("PARTSTAT=NEEDS-ACTION"), "{object}");
    assert_eq!(items, 1);
    // Somebody in a meeting of hers is known; others wait, and only so many.
    let from = |who: &str, uid: &str| {
        let domain = who.split_once('@').unwrap().1;
        let mail = file("publish.eml").replace("news@firma.example", who);
        let mail = mail.replace("Content-Transfer-Encoding: base64\n", "");
        let body = format!(
            "BEGIN:VCALENDAR\nMETHOD:REQUEST\nBEGIN:VEVENT\nUID:{uid}\nDTSTAMP:20261119T100000Z\nDTSTART:20261208T130000Z\nSUMMARY:x\nORGANIZER:mailto:{who}\nATTENDEE:mailto:alice@example.org\nEND:VEVENT\nEND:VCALENDAR\n"
        );
        let head = mail.split_once("Content-Type").unwrap().0;
        format!(
            "Authentication-Results: mx.example.org; dmarc=pass header.from={domain}\n{head}Content-Type: text/calendar; method=REQUEST\n\n{body}"
        )
    };
    world.has("weekly.ics", WEEKLY).await;
    let known = world
        .receive(&from("bob@example.com", "a"), &["alice@example.org"])
        .await;
    assert_eq!(
        known.unwrap(),
        [Done::Applied(Method::Request, Reason::Invited)]
    );
    for (uid, kept) in [("b", true), ("c", true), ("d", true), ("e", false)] {
        let done = world
            .receive(&from("x@other.example", uid), &["alice@example.org"])
            .await;
        let done = done.unwrap();
        let [Done::Held(found, Doubt::UnknownSender)] = done.as_slice() else {
            panic!("{done:?}");
        };
        assert_eq!(matches!(found, Kept::Waits(_)), kept, "{uid}");
    }
    let waiting = world.waiting().await;
    assert_eq!(
        release(&world.shared, &waiting[0], NOW).await.unwrap(),
        Some(Reason::Invited)
    );
}

#[tokio::test]
async fn a_bounce_is_shown_in_the_meeting_and_a_person_s_words_wait() {
    let world = World::new().await;
    world.has("weekly.ics", WEEKLY).await;
    let to = world.reply_address(WEEKLY, "bob@example.com").await;
    let done = world.receive(&file("bounce.eml"), &[&to]).await.unwrap();
    assert_eq!(
        done,
        [Done::Undelivered("mailto:bob@example.com".to_owned())]
    );
    let (object, items) = world.object(WEEKLY).await;
    let line = object
        .lines()
        .find(|line| line.contains("bob@example.com"))
        .unwrap();
    assert!(
        line.contains("SCHEDULE-STATUS=5.1") && line.contains("NEEDS-ACTION"),
        "{line}"
    );
    assert!(
        !object
            .lines()
            .any(|l| l.contains("carol") && l.contains("SCHEDULE-STATUS"))
    );
    assert_eq!(items, 1);
    let done = world
        .receive(&file("a-person-writes.eml"), &[&to])
        .await
        .unwrap();
    assert!(
        matches!(done.as_slice(), [Done::Held(_, Doubt::Words)]),
        "{done:?}"
    );
    let waiting = world.waiting().await;
    assert_eq!(waiting[0].text, "I will be ten minutes late.");
    assert_eq!(
        release(&world.shared, &waiting[0], NOW).await.unwrap(),
        None
    );
}

#[tokio::test]
async fn a_sender_has_so_many_mails_in_an_hour() {
    let world = World::new().await;
    for _ in 0..10 {
        world.receive(&file("absence-note.eml"), &[]).await.unwrap();
    }
    let refused = world.receive(&file("absence-note.eml"), &[]).await;
    assert!(matches!(refused, Err(Refused::Later(_))), "{refused:?}");
    world.receive(&file("invitation.eml"), &[]).await.unwrap();
}

#[tokio::test]
async fn who_has_a_reply_address_has_so_many_mails_in_an_hour_under_any_name() {
    let world = World::new().await;
    world.has("weekly.ics", WEEKLY).await;
    let to = world.reply_address(WEEKLY, "bob@example.com").await;
    let mail = |n: usize| file("a-person-writes.eml").replace("bob@", &format!("bob{n}@"));
    for n in 0..10 {
        world.receive(&mail(n), &[&to]).await.unwrap();
    }
    let refused = world.receive(&mail(10), &[&to]).await;
    assert!(matches!(refused, Err(Refused::Later(_))), "{refused:?}");
    let other = world.reply_address(WEEKLY, "carol@example.net").await;
    world.receive(&mail(11), &[&other]).await.unwrap();
}

#[tokio::test]
async fn an_answer_that_only_outlook_reads_waits_with_what_helps() {
    let world = World::new().await;
    world.has("weekly.ics", WEEKLY).await;
    let to = world.reply_address(WEEKLY, "bob@example.com").await;
    let mail = file("outlook-packed.eml");
    let done = world.receive(&mail, &[&to]).await.unwrap();
    assert!(
        matches!(done.as_slice(), [Done::Held(_, Doubt::Packed)]),
        "{done:?}"
    );
    assert!(world.waiting().await[0].doubt.1.contains("winmail.dat"));
    // To somebody else's address any mail may have such a file.
    let done = world.receive(&mail, &["alice@example.org"]).await.unwrap();
    assert!(matches!(done.as_slice(), [Done::Ignored(_)]), "{done:?}");
}

#[tokio::test]
async fn a_reply_address_ends_long_after_its_meeting_and_not_before() {
    const DAY: i64 = 86_400;
    let world = World::new().await;
    let store = &world.shared.store;
    let weekly = file("weekly.ics");
    let text = |rule: &str| {
        let lines = weekly
            .split_inclusive('\n')
            .filter(|line| !line.starts_with("RRULE"));
        lines
            .collect::<String>()
            .replace("SUMMARY", &format!("{rule}SUMMARY"))
    };
    let meetings = [
        ("ends", text("RRULE:FREQ=WEEKLY;COUNT=3\r\n")),
        ("endless", text("RRULE:FREQ=WEEKLY\r\n")),
        ("once", text("")),
    ];
    let turn = store.turn(&[world.alice]).await.unwrap();
    let home = turn.home(world.alice).unwrap().clone();
    let calendar = schedule::default_calendar(&home, Component::Event)
        .unwrap()
        .id;
    let mut change = Change::new(NOW, Actor::default(), "PUT");
    for (uid, text) in &meetings {
        let parsed = crate::ical::parse(text.as_bytes(), &crate::ical::Limits::default());
        change.home(&home).put(
            calendar,
            Put {
                name: format!("{uid}.ics"),
                text: text.clone().into(),
                uid: Some((*uid).to_owned()),
                component: Some(Component::Event),
                summary: crate::recur::summary(&parsed.calendars[0]).encode(),
                tag: Tag::Move,
                shared: Sharing::Moves,
            },
        );
    }
    store.commit(change, turn).await.unwrap();
    let mut tokens = Vec::new();
    for uid in ["ends", "endless", "once", "never-stored"] {
        let guest = Guest::new(world.alice, uid, "bob@example.com");
        tokens.push(ReplyAddress::of(store, &guest, NOW).await.unwrap().token);
    }
    let gone = Guest::new(Id::from_bytes([3; 16]), "ends", "bob@example.com");
    tokens.push(ReplyAddress::of(store, &gone, NOW).await.unwrap().token);
    let left = async |now: i64| {
        let forgotten = super::forget(&world.shared, Timestamp(now)).await.unwrap();
        let mut left = Vec::new();
        for token in &tokens {
            left.push(ReplyAddress::find(store, *token).await.unwrap().is_some());
        }
        (forgotten, left)
    };
    assert_eq!(left(NOW.0).await, (0, vec![true; 5]));
    // What cannot be brought back goes with the history.
    assert_eq!(
        left(NOW.0 + 31 * DAY).await,
        (2, vec![true, true, true, false, false])
    );
    assert_eq!(left(NOW.0 + 360 * DAY).await.0, 0);
    assert_eq!(
        left(NOW.0 + 500 * DAY).await,
        (2, vec![false, true, false, false, false])
    );
}

#[tokio::test]
async fn the_zone_a_guest_chose_is_kept_for_two_years() {
    let world = World::new().await;
    let store = &world.shared.store;
    let guest = Guest::new(world.alice, "once", "bob@example.com");
    let zone = crate::recur::Zone::named("Asia/Tokyo").unwrap();
    super::choose_zone(store, &guest, &zone, NOW).await.unwrap();
    for (days, kept) in [(729, true), (731, false)] {
        let now = Timestamp(NOW.0 + days * 86_400);
        super::forget(&world.shared, now).await.unwrap();
        let zone = super::zone_of(store, &guest).await.unwrap();
        assert_eq!(zone.is_some(), kept, "after {days} days");
    }
}

/// What a client that says these lines is answered, in one connection.
async fn said(world: &World, bounds: Bounds, pieces: &[&str]) -> Vec<String> {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    let door = Door {
        inbound: world.inbound.clone(),
        host: "cal.example.org".to_owned(),
        bounds,
        clock: || NOW,
    };
    let (stop, stopped) = watch::channel(false);
    let task = tokio::spawn(serve(Arc::new(door), Socket::Tcp(listener), stopped));
    let mut stream = TcpStream::connect(address).await.unwrap();
    let mut answers = Vec::new();
    for piece in pieces {
        stream.write_all(piece.as_bytes()).await.unwrap();
        stream.flush().await.unwrap();
        tokio::task::yield_now().await;
    }
    // The server ends the connection after QUIT, or by its own limits.
    let mut bytes = Vec::new();
    stream.read_to_end(&mut bytes).await.unwrap();
    for line in String::from_utf8(bytes).unwrap().lines() {
        answers.push(line.to_owned());
    }
    stop.send(true).unwrap();
    task.await.unwrap();
    answers
}

fn codes(lines: &[String]) -> Vec<&str> {
    let last = lines.iter().filter(|line| line.get(3..4) == Some(" "));
    last.map(|line| &line[..3]).collect()
}

#[tokio::test]
async fn the_door_takes_what_is_for_us_and_answers_when_it_is_durable() {
    let world = World::new().await;
    world.has("weekly.ics", WEEKLY).await;
    let to = world.reply_address(WEEKLY, "bob@example.com").await;
    let mail = file("google-accepted.eml")
        .replace("\r\n", "\n")
        .replace('\n', "\r\n");
    let talk = format!(
        "LHLO mx.example.org\r\nMAIL FROM:<bob@example.com> SIZE={}\r\nRCPT TO:<{to}>\r\nRCPT TO:<nobody@example.org>\r\nRCPT TO:<alice@example.org>\r\nDATA\r\n{mail}\r\n.\r\nQUIT\r\n",
        mail.len()
    );
    let all = said(&world, Bounds::default(), &[&talk]).await;
    // Two recipients were taken: LMTP answers for each. RFC 2033 §4.2
    let expected = [
        "220", "250", "250", "250", "550", "250", "354", "250", "250", "221",
    ];
    assert_eq!(codes(&all), expected, "{all:?}");
    assert!(world.object(WEEKLY).await.0.contains("PARTSTAT=ACCEPTED;"));
    // Byte by byte it is the same; SMTP answers once.
    let smtp = talk.replace("LHLO", "EHLO");
    let bytes: Vec<&str> = smtp.split_inclusive(|_| true).collect();
    let all = said(&world, Bounds::default(), &bytes).await;
    let expected = [
        "220", "250", "250", "250", "550", "250", "354", "250", "221",
    ];
    assert_eq!(codes(&all), expected, "{all:?}");
}

#[tokio::test]
async fn the_door_is_closed_to_who_says_too_much_or_too_little() {
    let world = World::new().await;
    let all = said(&world, Bounds::default(), &["MAIL FROM:<a@b.example>\r\nDATA\r\nRCPT TO:<a@b.example>\r\nLHLO x\r\nMAIL FROM:<a@b.example> SIZE=99999999999\r\nWHAT\r\nQUIT\r\n"]).await;
    assert_eq!(
        codes(&all),
        ["220", "503", "503", "503", "250", "552", "501", "221"],
        "{all:?}"
    );
    let few = Bounds {
        faults: 2,
        ..Bounds::default()
    };
    let all = said(&world, few, &["NO\r\nNO\r\nNO\r\nNO\r\n"]).await;
    assert_eq!(codes(&all), ["220", "501", "501", "501", "421"], "{all:?}");
    let short = Bounds {
        idle: std::time::Duration::from_millis(20),
        ..Bounds::default()
    };
    let all = said(&world, short, &["LHLO x\r\n"]).await;
    assert_eq!(codes(&all), ["220", "250", "421"], "{all:?}");
    let long = "x".repeat(20_000);
    let all = said(&world, Bounds::default(), &[&long]).await;
    assert_eq!(codes(&all), ["220", "421"], "{all:?}");
    // Who guesses addresses is sent away, as is who names too many.
    let guessed = "RCPT TO:<calendar+aaaaaaaaaaaaaaaaaaaaaaaaaa@example.org>\r\n".repeat(30);
    let all = said(
        &world,
        Bounds::default(),
        &[&format!("LHLO x\r\nMAIL FROM:<>\r\n{guessed}")],
    )
    .await;
    assert_eq!(codes(&all).len(), 3 + 21 + 1, "{all:?}");
    assert!(
        all[9..29].iter().all(|line| line.starts_with("550 5.1.1")),
        "{all:?}"
    );
    assert_eq!(codes(&all).last(), Some(&"421"), "{all:?}");
    let few = Bounds {
        recipients: 2,
        ..Bounds::default()
    };
    let named = "RCPT TO:<alice@example.org>\r\n".repeat(3);
    let all = said(
        &world,
        few,
        &[&format!(
            "LHLO x\r\nMAIL FROM:<a@b.example> BODY=8BITMIME\r\n{named}RSET\r\nQUIT\r\n"
        )],
    )
    .await;
    assert_eq!(
        codes(&all),
        ["220", "250", "250", "250", "250", "452", "250", "221"],
        "{all:?}"
    );
    // A dot that a line begins with is one more on the way; NULs and bare line ends break nothing.
    let all = said(&world, Bounds::default(), &["LHLO x\r\nMAIL FROM:<a@b.example>\r\nRCPT TO:<alice@example.org>\r\nDATA\r\nSubject: x\u{0}\n.\n\r\n..\r\nQUIT\r\n.\r\nQUIT\r\n"]).await;
    assert_eq!(
        codes(&all),
        ["220", "250", "250", "250", "354", "250", "221"],
        "{all:?}"
    );
}

#[tokio::test]
async fn a_mail_that_is_too_long_is_read_to_its_end_and_refused() {
    let world = World::new().await;
    let line = format!("{}\r\n", "x".repeat(1000)).repeat(11_000);
    let talk = format!(
        "LHLO x\r\nMAIL FROM:<a@b.example>\r\nRCPT TO:<alice@example.org>\r\nDATA\r\n{line}.\r\nNOOP\r\nQUIT\r\n"
    );
    let all = said(&world, Bounds::default(), &[&talk]).await;
    assert_eq!(
        codes(&all),
        ["220", "250", "250", "250", "354", "552", "250", "221"],
        "{all:?}"
    );
}
