//! The mail queue of a server in memory: people outside are invited, edits are merged, refusals are tried again, and
//! what cannot be delivered is told. The mail server is a fake whose answers each test chooses; the clock is a number.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::indexing_slicing,
    reason = "tests"
)]

use std::collections::VecDeque;
use std::sync::{Arc, Mutex};

use base64::Engine as _;
use kalends::auth::accounts::{self, By, NewPrincipal};
use kalends::auth::password::{self, Cost};
use kalends::auth::{self, Auth};
use kalends::dav::{self, Outside, Path, Request};
use kalends::http::{Server, answer};
use kalends::ical::Timestamp;
use kalends::mail::{
    Counts, Guest, Mail, Mailer, Organizer, Sending, Sent, Transport, Trouble, choose_zone,
};
use kalends::recur::Zone;
use kalends::schedule;
use kalends::store::memory::Memory;
use kalends::store::{self, Actor, Kind, PrincipalKind, Store};

const NOW: i64 = 1_800_000_000;
const SETTLE: i64 = 30;

/// A mail server that answers as it is told to, then takes everything.
#[derive(Default)]
struct Fake {
    answers: Mutex<VecDeque<Result<(), Trouble>>>,
    taken: Mutex<Vec<Mail>>,
    refused: Mutex<Vec<Mail>>,
}

impl Transport for Fake {
    fn send<'a>(&'a self, mail: &'a Mail) -> Sent<'a> {
        let answer = self.answers.lock().unwrap().pop_front().unwrap_or(Ok(()));
        let seen = match answer {
            Ok(()) => &self.taken,
            Err(_) => &self.refused,
        };
        seen.lock().unwrap().push(mail.clone());
        Box::pin(std::future::ready(answer))
    }
}

impl Fake {
    fn will_answer(&self, answers: impl IntoIterator<Item = Trouble>) {
        let answers = answers.into_iter().map(Err);
        self.answers.lock().unwrap().extend(answers);
    }

    /// The mails taken since this was last asked.
    fn taken(&self) -> Vec<Mail> {
        std::mem::take(&mut *self.taken.lock().unwrap())
    }

    fn refused(&self) -> Vec<Mail> {
        std::mem::take(&mut *self.refused.lock().unwrap())
    }
}

struct World {
    server: Arc<Server>,
    mailer: Arc<Mailer>,
    fake: Arc<Fake>,
}

fn sending() -> Sending {
    Sending {
        from: "calendar@cal.example.org".to_owned(),
        name: "Example".to_owned(),
        reply: "calendar+{token}@cal.example.org".parse().ok(),
        organizer: Organizer::Reply,
        language: "en".to_owned(),
        pages: Some("https://cal.example.org".to_owned()),
        link_seconds: 1000,
        settle_seconds: SETTLE,
        retry_seconds: 60,
        keep_trying_seconds: 86_400,
        per_user_day: 100,
        per_domain: 2,
        per_domain_minute: 100,
        at_once: 4,
    }
}

impl World {
    async fn new(sending: Sending) -> World {
        let kv = Arc::new(Memory::new());
        let store = Store::open(kv, store::Limits::default()).await.unwrap();
        let by = By {
            actor: Actor::default(),
            now: Timestamp(NOW),
        };
        let alice = NewPrincipal {
            display_name: "Alice Adams".to_owned(),
            addresses: vec!["alice@example.org".to_owned()],
            password: Some(password::hash("alice", Cost::LEAST).unwrap()),
            ..NewPrincipal::named(PrincipalKind::User, "alice")
        };
        accounts::add(&store, &alice, &by).await.unwrap();
        let limits = auth::Limits {
            cost: Cost::LEAST,
            ..auth::Limits::default()
        };
        let auth = Arc::new(Auth::new(store.clone(), &limits).unwrap());
        let limits = dav::Limits::default();
        let server = Server::reaching(store, auth, limits, "Kalends", Outside::ByMail);
        let fake = Arc::new(Fake::default());
        let counts = Arc::new(Counts::default());
        let mailer = Mailer::new(server.shared.clone(), sending, fake.clone(), counts);
        World {
            server,
            mailer,
            fake,
        }
    }

    async fn ask(&self, method: &str, name: &str, body: &str, at: i64) -> dav::Response {
        let path = format!("/dav/calendars/alice/calendar/{name}");
        let mut request = Request::new(method, Path::parse(&path).unwrap());
        request.host = "cal.example.org".to_owned();
        let pair = base64::engine::general_purpose::STANDARD.encode("alice:alice");
        request
            .headers
            .push("Authorization", format!("Basic {pair}"));
        request
            .headers
            .push("Content-Type", "text/calendar".to_owned());
        request.body = body.to_owned().into();
        answer(&self.server, request, Timestamp(at)).await
    }

    async fn put(&self, name: &str, body: &str, at: i64) {
        let response = self.ask("PUT", name, body, at).await;
        assert!(response.status < 300, "{:?}", response.body);
    }

    async fn round(&self, at: i64) -> Option<i64> {
        let round = self.mailer.round(Timestamp(at)).await.unwrap();
        round.next.map(|next| next.0)
    }

    async fn waiting(&self) -> usize {
        let far = Timestamp(i64::MAX);
        let rows = self.server.shared.store.mail_due(far, 1000).await.unwrap();
        rows.len()
    }

    /// The texts of the objects in one of alice's collections.
    async fn texts(&self, kind: Kind) -> Vec<String> {
        let store = &self.server.shared.store;
        let directory = store.directory().await.unwrap();
        let home = store
            .home(directory.by_name("alice").unwrap().id)
            .await
            .unwrap();
        let mut texts = Vec::new();
        for collection in home.collections().filter(|c| c.kind == kind) {
            for header in home.members(collection).await.unwrap().iter() {
                let text = home.text(&header).await.unwrap();
                let text = String::from_utf8(text.to_vec()).unwrap();
                texts.push(text.replace("\r\n ", ""));
            }
        }
        texts
    }
}

fn meeting(uid: &str, summary: &str, guests: &[&str]) -> String {
    let guests: String = guests
        .iter()
        .map(|guest| format!("ATTENDEE;PARTSTAT=NEEDS-ACTION:mailto:{guest}\r\n"))
        .collect();
    format!(
        "BEGIN:VCALENDAR\r\nVERSION:2.0\r\nPRODID:-//Test//EN\r\nBEGIN:VEVENT\r\nUID:{uid}\r\n\
         DTSTAMP:20270101T000000Z\r\nDTSTART:20270201T100000Z\r\nDTEND:20270201T110000Z\r\n\
         SUMMARY:{summary}\r\nORGANIZER:mailto:alice@example.org\r\n\
         ATTENDEE;PARTSTAT=ACCEPTED:mailto:alice@example.org\r\n{guests}\
         END:VEVENT\r\nEND:VCALENDAR\r\n"
    )
}

fn text(mail: &Mail) -> String {
    String::from_utf8(mail.bytes.clone()).unwrap()
}

/// The calendar object in a mail.
fn calendar(mail: &Mail) -> String {
    let text = text(mail);
    let part = text.split("Content-Type: text/calendar").nth(1).unwrap();
    let body = part.split("\r\n\r\n").nth(1).unwrap();
    let body: String = body
        .lines()
        .take_while(|line| !line.starts_with("--"))
        .collect();
    let bytes = base64::engine::general_purpose::STANDARD
        .decode(body)
        .unwrap();
    String::from_utf8(bytes).unwrap().replace("\r\n ", "")
}

#[tokio::test]
async fn a_guest_is_invited_by_mail_once_the_meeting_is_settled() {
    let world = World::new(sending()).await;
    let guests = ["bob@example.net", "carol@example.com"];
    world
        .put("a.ics", &meeting("a", "Plan", &guests), NOW)
        .await;
    let stored = world.texts(Kind::Calendar).await.concat();
    assert!(stored.contains("SCHEDULE-STATUS=1."), "{stored}");
    assert_eq!(world.round(NOW).await, Some(NOW + SETTLE));
    assert!(world.fake.taken().is_empty());
    world.round(NOW + SETTLE).await;
    let mails = world.fake.taken();
    let mut to: Vec<_> = mails.iter().map(|mail| mail.recipient.as_str()).collect();
    to.sort_unstable();
    assert_eq!(to, guests);
    assert_ne!(
        mails[0].sender, mails[1].sender,
        "each guest has an address"
    );
    for mail in &mails {
        assert!(mail.sender.starts_with("calendar+"), "{}", mail.sender);
        let ics = calendar(mail);
        assert!(ics.contains(&format!("mailto:{}", mail.sender)), "{ics}");
        assert!(ics.contains("DTSTAMP:20270115T080000Z"), "{ics}");
        assert!(
            text(mail).contains("From: \"Alice Adams via Example\" <calendar@cal.example.org>")
        );
        assert!(text(mail).contains("https://cal.example.org/rsvp/"));
    }
    assert_eq!(world.waiting().await, 0);
    world.round(NOW + 1000).await;
    assert!(world.fake.taken().is_empty());
}

#[tokio::test]
async fn a_guest_reads_times_in_the_zone_they_chose() {
    let world = World::new(sending()).await;
    let guests = ["bob@example.net", "carol@example.com"];
    world
        .put("a.ics", &meeting("a", "Plan", &guests), NOW)
        .await;
    let store = &world.server.shared.store;
    let alice = store
        .directory()
        .await
        .unwrap()
        .by_name("alice")
        .unwrap()
        .id;
    let guest = Guest::new(alice, "an earlier one", "bob@example.net");
    let zone = Zone::named("Asia/Tokyo").unwrap();
    choose_zone(store, &guest, &zone, Timestamp(NOW))
        .await
        .unwrap();
    world.round(NOW + SETTLE).await;
    for mail in world.fake.taken() {
        let told = text(&mail).replace("=\r\n", "");
        let tokyo = told.contains("7:00 pm") && told.contains("(Asia/Tokyo, UTC+9)");
        assert_eq!(tokyo, mail.recipient.starts_with("bob"), "{told}");
    }
}

#[tokio::test]
async fn edits_that_follow_each_other_are_one_mail() {
    let world = World::new(sending()).await;
    let guest = ["bob@example.net"];
    for (at, summary) in [(0, "One"), (10, "Two"), (20, "Three")] {
        world
            .put("a.ics", &meeting("a", summary, &guest), NOW + at)
            .await;
    }
    world.round(NOW + SETTLE).await;
    assert!(
        world.fake.taken().is_empty(),
        "there was an edit in between"
    );
    world.round(NOW + 20 + SETTLE).await;
    let mails = world.fake.taken();
    assert_eq!(mails.len(), 1);
    assert!(text(&mails[0]).contains("Subject: Invitation: Three"));

    // What was there for a moment is nobody's business.
    world
        .put("b.ics", &meeting("b", "Oops", &guest), NOW + 100)
        .await;
    assert_eq!(
        world.ask("DELETE", "b.ics", "", NOW + 105).await.status,
        204
    );
    world.round(NOW + 200).await;
    assert!(world.fake.taken().is_empty());
    assert_eq!(world.waiting().await, 0);

    // A change after that is an update, and the address the guest answers to stays.
    world
        .put("a.ics", &meeting("a", "Four", &guest), NOW + 300)
        .await;
    world.round(NOW + 400).await;
    let update = world.fake.taken();
    assert_eq!(update[0].sender, mails[0].sender);
    assert_ne!(update[0].id, mails[0].id);
    assert!(text(&update[0]).contains("Subject: Updated invitation: Four"));
    let thread = |mail: &Mail| {
        let text = text(mail);
        let line = text.lines().find(|line| line.starts_with("References: "));
        line.unwrap().to_owned()
    };
    assert_eq!(thread(&update[0]), thread(&mails[0]));
    world.ask("DELETE", "a.ics", "", NOW + 500).await;
    world.round(NOW + 600).await;
    let cancel = world.fake.taken();
    assert_eq!(cancel[0].sender, mails[0].sender);
    assert!(calendar(&cancel[0]).contains("METHOD:CANCEL"));
}

#[tokio::test]
async fn guests_are_told_of_the_end_of_meetings_whose_organizer_leaves() {
    let world = World::new(sending()).await;
    let guest = ["bob@example.net"];
    world.put("a.ics", &meeting("a", "Plan", &guest), NOW).await;
    world.round(NOW + SETTLE).await;
    assert!(calendar(&world.fake.taken()[0]).contains("METHOD:REQUEST"));
    let shared = &world.server.shared;
    let directory = shared.store.directory().await.unwrap();
    let alice = directory.by_name("alice").unwrap().id;
    let at = NOW + 100;
    schedule::leave(shared, alice, Timestamp(at)).await.unwrap();
    assert_eq!(world.waiting().await, 1, "the account waits for it");
    world.round(at + SETTLE).await;
    let cancel = world.fake.taken();
    assert!(calendar(&cancel[0]).contains("METHOD:CANCEL"));
    assert_eq!(world.waiting().await, 0);
}

#[tokio::test]
async fn what_is_refused_for_now_is_the_same_mail_the_next_time() {
    let world = World::new(sending()).await;
    world
        .put("a.ics", &meeting("a", "Plan", &["bob@example.net"]), NOW)
        .await;
    world.fake.will_answer([
        Trouble::ForNow("450 busy".to_owned()),
        Trouble::Unreachable("nobody there".to_owned()),
    ]);
    let at = NOW + SETTLE;
    assert_eq!(world.round(at).await, Some(at + 60));
    world.round(at + 59).await;
    assert_eq!(world.fake.refused.lock().unwrap().len(), 1);
    let round = world.mailer.round(Timestamp(at + 60)).await.unwrap();
    assert!(!round.reachable);
    assert_eq!(world.round(at + 61).await, Some(at + 60 + 120));
    world.round(at + 60 + 120).await;
    let (taken, refused) = (world.fake.taken(), world.fake.refused());
    assert_eq!(refused.len(), 2);
    assert_eq!(taken, [refused[0].clone()]);
    assert_eq!(taken, [refused[1].clone()]);
    assert_eq!(world.waiting().await, 0);
}

/// What the organizer sees of a guest who cannot be reached.
async fn assert_told(world: &World, why: &str) {
    let stored = world.texts(Kind::Calendar).await.concat();
    let line = stored.lines().find(|line| line.contains("bob@example.net"));
    let line = line.unwrap();
    assert!(
        line.contains("SCHEDULE-STATUS=5.1") || line.contains("SCHEDULE-STATUS=\"5.1\""),
        "{line}"
    );
    assert!(line.contains("PARTSTAT=NEEDS-ACTION"), "{line}");
    let inbox = world.texts(Kind::Inbox).await;
    assert_eq!(inbox.len(), 1, "{inbox:?}");
    assert!(
        inbox[0].contains(&format!("REQUEST-STATUS:5.1;{why}")),
        "{}",
        inbox[0]
    );
    assert_eq!(world.waiting().await, 0);
}

#[tokio::test]
async fn what_is_refused_for_good_is_told_to_the_organizer() {
    let world = World::new(sending()).await;
    world
        .put("a.ics", &meeting("a", "Plan", &["bob@example.net"]), NOW)
        .await;
    world
        .fake
        .will_answer([Trouble::Final("550 no such user".to_owned())]);
    world.round(NOW + SETTLE).await;
    assert_told(&world, "550 no such user").await;
    world.round(NOW + 100_000).await;
    assert!(world.fake.taken().is_empty());
}

#[tokio::test]
async fn what_nobody_takes_for_days_has_failed() {
    let world = World::new(sending()).await;
    world
        .put("a.ics", &meeting("a", "Plan", &["bob@example.net"]), NOW)
        .await;
    world
        .fake
        .will_answer((0..50).map(|_| Trouble::ForNow("451 later".to_owned())));
    let mut at = NOW + SETTLE;
    let mut attempts = 0;
    while let Some(next) = world.round(at).await {
        at = next;
        attempts += 1;
        assert!(attempts < 50);
    }
    assert!(attempts > 5, "{attempts}");
    assert!(
        (86_400..=86_400 + 7 * 3600).contains(&(at - NOW)),
        "{}",
        at - NOW
    );
    assert_told(&world, "451 later").await;
}

#[tokio::test]
async fn the_second_mail_of_a_change_does_not_repeat_the_first() {
    let world = World::new(sending()).await;
    let series = |more: &str| {
        meeting("a", "Series", &["bob@example.net"]).replace(
            "SUMMARY:Series\r\n",
            &format!("SUMMARY:Series\r\nRRULE:FREQ=DAILY;COUNT=5\r\n{more}"),
        )
    };
    world.put("a.ics", &series(""), NOW).await;
    world.round(NOW + SETTLE).await;
    world.fake.taken();
    // An instance goes, and the rest changes: a CANCEL and a REQUEST.
    let changed = series("EXDATE:20270203T100000Z\r\nLOCATION:Attic\r\n");
    world.put("a.ics", &changed, NOW + 100).await;
    world
        .fake
        .answers
        .lock()
        .unwrap()
        .extend([Ok(()), Err(Trouble::ForNow("450 busy".to_owned()))]);
    let next = world.round(NOW + 200).await.unwrap();
    assert_eq!(world.fake.taken().len(), 1);
    world.round(next).await;
    let rest = world.fake.taken();
    assert_eq!(rest.len(), 1);
    assert_eq!(rest, world.fake.refused());
}

#[tokio::test]
async fn a_person_mails_so_much_a_day() {
    let world = World::new(Sending {
        per_user_day: 2,
        at_once: 1,
        ..sending()
    })
    .await;
    let guests = ["a@example.net", "b@example.net", "c@example.net"];
    world
        .put("a.ics", &meeting("a", "Plan", &guests), NOW)
        .await;
    let tomorrow = (NOW / 86_400 + 1) * 86_400;
    assert_eq!(world.round(NOW + SETTLE).await, Some(tomorrow));
    assert_eq!(world.fake.taken().len(), 2);
    world.round(tomorrow).await;
    assert_eq!(world.fake.taken().len(), 1);
}

#[tokio::test]
async fn a_domain_gets_so_much_a_minute() {
    let world = World::new(Sending {
        per_domain_minute: 2,
        ..sending()
    })
    .await;
    let guests = [
        "a@example.net",
        "b@example.net",
        "c@example.net",
        "d@example.com",
    ];
    world
        .put("a.ics", &meeting("a", "Plan", &guests), NOW)
        .await;
    let at = NOW + SETTLE;
    assert_eq!(world.round(at).await, Some(at + 5));
    assert_eq!(world.fake.taken().len(), 3);
    world.round(at + 61).await;
    assert_eq!(world.fake.taken().len(), 1);
}
