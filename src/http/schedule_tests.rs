//! Scheduling through requests, where it depends on the directory or on what only the store shows.

use super::world::{NOW, World, by};
use crate::auth::accounts;
use crate::dav::Response;
use crate::ical;
use crate::itip::{Message, Method, Reason, Weight};
use crate::schedule::journal::{Decision, What};
use crate::schedule::queue::{Kind, Payload};
use crate::schedule::{self, receive};
use crate::store::{Change, Home, LocalMessage, PrincipalKind, UidState};
use bytes::Bytes;

fn meeting(title: &str, attendees: &str) -> String {
    format!(
        "BEGIN:VCALENDAR\r\nVERSION:2.0\r\nPRODID:-//Test//EN\r\nBEGIN:VEVENT\r\nUID:1\r\nDTSTAMP:20300101T000000Z\r\nDTSTART:20300102T100000Z\r\nDTEND:20300102T110000Z\r\nSUMMARY:{title}\r\nORGANIZER:mailto:bob@example.org\r\n{attendees}END:VEVENT\r\nEND:VCALENDAR\r\n"
    )
}

async fn put(world: &World, who: &str, name: &str, body: &str) -> Response {
    let head = format!("PUT /dav/calendars/{who}/calendar/{name}");
    world.ask(who, &head, body).await
}

async fn text(world: &World, who: &str, name: &str) -> Option<String> {
    let head = format!("GET /dav/calendars/{who}/calendar/{name}");
    let response = world.ask(who, &head, "").await;
    let text = String::from_utf8_lossy(&response.body).replace("\r\n ", "");
    (response.status == 200).then_some(text)
}

/// The decisions about the meeting in somebody's journal, oldest first.
async fn journal(world: &World, who: &str) -> Vec<Decision> {
    let id = world.id(who).await;
    let home = world.server.shared.store.home(id).await.unwrap();
    let entries = home.journal(Some("1"), 100).await.unwrap();
    let read = entries.iter().rev().map(|e| Decision::decode(&e.text));
    read.map(Option::unwrap).collect()
}

const STAFF: &str = "ATTENDEE:mailto:staff@example.org\r\n";

#[tokio::test]
async fn the_members_of_a_group_are_invited_with_it() {
    let world = World::new().await;
    let response = put(&world, "bob", "1.ics", &meeting("Lunch", STAFF)).await;
    assert_eq!(response.status, 201, "{:?}", response.body);
    let own = text(&world, "bob", "1.ics").await.unwrap();
    let alice = own
        .lines()
        .find(|l| l.ends_with(":mailto:alice@example.org"));
    let alice = alice.unwrap();
    assert!(
        alice.contains("MEMBER=\"mailto:staff@example.org\""),
        "{own}"
    );
    assert!(alice.contains("SCHEDULE-STATUS=1.2"), "{own}");
    let staff = own
        .lines()
        .find(|l| l.ends_with(":mailto:staff@example.org"));
    assert!(staff.unwrap().contains("CUTYPE=GROUP"), "{own}");
    let copy = text(&world, "alice", "1.ics").await.unwrap();
    assert!(copy.contains("SUMMARY:Lunch"), "{copy}");

    // The answer of a member is kept when the organizer's program writes its own, older list again.
    let accepted = copy.replace(";MEMBER=", ";PARTSTAT=ACCEPTED;MEMBER=");
    let response = put(&world, "alice", "1.ics", &accepted).await;
    assert_eq!(response.status, 204, "{:?}", response.body);
    put(&world, "bob", "1.ics", &meeting("Long lunch", STAFF)).await;
    let own = text(&world, "bob", "1.ics").await.unwrap();
    let alice = own
        .lines()
        .find(|l| l.ends_with(":mailto:alice@example.org"));
    assert!(alice.unwrap().contains("PARTSTAT=ACCEPTED"), "{own}");
    let copy = text(&world, "alice", "1.ics").await.unwrap();
    assert!(copy.contains("SUMMARY:Long lunch"), "{copy}");
}

#[tokio::test]
async fn who_joins_a_group_is_invited_and_who_leaves_it_is_not_any_more() {
    let world = World::new().await;
    put(&world, "bob", "1.ics", &meeting("Lunch", STAFF)).await;
    let store = &world.server.shared.store;
    let (joins, leaves) = (["root".to_owned()], ["alice".to_owned()]);
    accounts::change_members(store, "staff", &joins, &leaves, &by())
        .await
        .unwrap();
    put(&world, "bob", "1.ics", &meeting("Long lunch", STAFF)).await;
    let own = text(&world, "bob", "1.ics").await.unwrap();
    assert!(!own.contains("mailto:alice@example.org"), "{own}");
    assert!(text(&world, "root", "1.ics").await.is_some());
    let copy = text(&world, "alice", "1.ics").await.unwrap();
    assert!(copy.contains("STATUS:CANCELLED"), "{copy}");
}

#[tokio::test]
async fn a_member_who_is_invited_alone_too_stays_without_the_group() {
    let world = World::new().await;
    let both = format!("{STAFF}ATTENDEE:mailto:ALICE@example.org\r\n");
    put(&world, "bob", "1.ics", &meeting("Lunch", &both)).await;
    let own = text(&world, "bob", "1.ics").await.unwrap();
    assert_eq!(
        own.to_lowercase().matches("mailto:alice@").count(),
        1,
        "{own}"
    );
    let alone = "ATTENDEE:mailto:ALICE@example.org\r\n";
    put(&world, "bob", "1.ics", &meeting("Lunch", alone)).await;
    let copy = text(&world, "alice", "1.ics").await.unwrap();
    assert!(!copy.contains("STATUS:CANCELLED"), "{copy}");
}

#[tokio::test]
async fn the_journals_say_what_became_of_an_invitation_and_its_answer() {
    let world = World::new().await;
    let guests = "ATTENDEE:mailto:alice@example.org\r\nATTENDEE:mailto:nobody@example.org\r\n";
    put(&world, "bob", "1.ics", &meeting("Lunch", guests)).await;
    let copy = text(&world, "alice", "1.ics").await.unwrap();
    let line = "ATTENDEE;RSVP=TRUE:mailto:alice@example.org";
    let answer = "ATTENDEE;PARTSTAT=DECLINED:mailto:alice@example.org";
    let response = put(&world, "alice", "1.ics", &copy.replace(line, answer)).await;
    assert_eq!(response.status, 204, "{copy}");
    let bob: Vec<_> = journal(&world, "bob").await;
    let told: Vec<_> = bob.iter().map(|d| (d.what, d.method.as_str())).collect();
    assert_eq!(
        told,
        [
            (What::Sent, "REQUEST"),
            (What::Sent, "REQUEST"),
            (What::Received, "REPLY")
        ]
    );
    assert!(
        bob.iter()
            .any(|d| d.reason.1 == "nobody has this address (3.7)"),
        "{bob:?}"
    );
    assert_eq!(bob.last().map(|d| d.reason.0.as_str()), Some("Answered"));
    let alice = journal(&world, "alice").await;
    let reasons: Vec<_> = alice.iter().map(|d| d.reason.0.as_str()).collect();
    assert_eq!(reasons, ["Invited", "Sent"]);
}

#[tokio::test]
async fn what_is_delivered_leaves_nothing_in_the_queue() {
    let world = World::new().await;
    let guests = "ATTENDEE:mailto:alice@example.org\r\nATTENDEE:mailto:root@example.org\r\n";
    put(&world, "bob", "1.ics", &meeting("Lunch", guests)).await;
    world
        .ask("bob", "DELETE /dav/calendars/bob/calendar/1.ics", "")
        .await;
    let store = &world.server.shared.store;
    assert_eq!(store.homes_with_messages(None, 10).await.unwrap(), []);
    schedule::worker::round(&world.server.shared, NOW)
        .await
        .unwrap();
    let copy = text(&world, "alice", "1.ics").await.unwrap();
    assert!(copy.contains("STATUS:CANCELLED"), "{copy}");
}

#[tokio::test]
async fn a_calendar_of_many_meetings_is_withdrawn_in_parts() {
    const MEETINGS: usize = 120;
    let world = World::new().await;
    world
        .ask("bob", "MKCALENDAR /dav/calendars/bob/work/", "")
        .await;
    let guest = "ATTENDEE:mailto:alice@example.org\r\n";
    for number in 0..MEETINGS {
        let uid = format!("UID:meeting-{number}\r\n");
        let text = meeting("Lunch", guest).replace("UID:1\r\n", &uid);
        let head = format!("PUT /dav/calendars/bob/work/{number}.ics");
        assert_eq!(world.ask("bob", &head, &text).await.status, 201);
    }
    let id = world.id("bob").await;
    let store = &world.server.shared.store;
    let before = store.home(id).await.unwrap().revision();
    let response = world
        .ask("bob", "DELETE /dav/calendars/bob/work/", "")
        .await;
    assert_eq!(response.status, 204);
    for number in 0..MEETINGS {
        let name = format!("meeting-{number}.ics");
        let copy = text(&world, "alice", &name).await.unwrap();
        assert!(copy.contains("STATUS:CANCELLED"), "{copy}");
    }
    assert_eq!(store.homes_with_messages(None, 10).await.unwrap(), []);
    // The removal itself and three parts.
    assert_eq!(store.home(id).await.unwrap().revision(), before + 4);
}

#[tokio::test]
async fn a_proposal_that_is_dismissed_is_declined() {
    let world = World::new().await;
    let guest = "ATTENDEE:mailto:alice@example.org\r\n";
    put(&world, "bob", "1.ics", &meeting("Lunch", guest)).await;
    let proposal = meeting("Lunch", guest)
        .replace("T100000Z", "T120000Z")
        .replace("T110000Z", "T130000Z")
        .replace("BEGIN:VEVENT", "METHOD:COUNTER\r\nBEGIN:VEVENT");
    let parsed = ical::parse(proposal.as_bytes(), &ical::Limits::default());
    let message = Message {
        method: Method::Counter,
        from: "mailto:alice@example.org".to_owned(),
        to: "mailto:bob@example.org".to_owned(),
        uid: "1".to_owned(),
        weight: Weight::News,
        calendar: parsed.calendars.into_iter().next().unwrap().into(),
    };
    let (shared, bob) = (&world.server.shared, world.id("bob").await);
    let reason = receive(shared, bob, &message, NOW).await.unwrap();
    assert_eq!(reason, Reason::Countered);
    let inbox = |home: std::sync::Arc<Home>| async move {
        let inbox = home.collection("inbox").unwrap().clone();
        let items: Vec<_> = home.members(&inbox).await.unwrap().iter().collect();
        let texts = home.texts(&items).await.unwrap();
        let texts = texts
            .iter()
            .map(|t| String::from_utf8_lossy(t).into_owned());
        items
            .iter()
            .map(|i| i.name().to_owned())
            .zip(texts)
            .collect::<Vec<_>>()
    };
    let items = inbox(shared.store.home(bob).await.unwrap()).await;
    let (name, text) = &items[0];
    assert!(text.contains("METHOD:COUNTER"), "{text}");
    let head = format!("DELETE /dav/calendars/bob/inbox/{name}");
    assert_eq!(world.ask("bob", &head, "").await.status, 204);
    let alice = world.id("alice").await;
    let items = inbox(shared.store.home(alice).await.unwrap()).await;
    let declined = items
        .iter()
        .find(|(_, text)| text.contains("METHOD:DECLINECOUNTER"));
    assert!(declined.is_some(), "{items:?}");
}

#[tokio::test]
async fn what_no_calendar_takes_is_rejected_and_its_sender_told() {
    let world = World::new().await;
    let response = world
        .ask("alice", "DELETE /dav/calendars/alice/tasks/", "")
        .await;
    assert_eq!(response.status, 204);
    let todo = meeting("Milk", "ATTENDEE:mailto:alice@example.org\r\n")
        .replace("VEVENT", "VTODO")
        .replace("DTEND:20300102T110000Z\r\n", "");
    let head = "PUT /dav/calendars/bob/tasks/1.ics";
    assert_eq!(world.ask("bob", head, &todo).await.status, 201);
    let own = world
        .ask("bob", "GET /dav/calendars/bob/tasks/1.ics", "")
        .await;
    let own = String::from_utf8_lossy(&own.body).replace("\r\n ", "");
    assert!(own.contains("SCHEDULE-STATUS=5.2"), "{own}");
    let reasons = journal(&world, "alice").await;
    assert!(
        reasons.iter().any(|d| d.reason.0 == "NoCalendar"),
        "{reasons:?}"
    );
}

#[tokio::test]
async fn who_asks_for_the_newest_state_gets_it() {
    let world = World::new().await;
    let guest = "ATTENDEE:mailto:alice@example.org\r\n";
    put(&world, "bob", "1.ics", &meeting("Lunch", guest)).await;
    // Her copy is gone, and its end is told to nobody.
    let head = "DELETE /dav/calendars/alice/calendar/1.ics\nSchedule-Reply: F";
    assert_eq!(world.ask("alice", head, "").await.status, 204);
    let asked = meeting("Lunch", guest).replace("BEGIN:VEVENT", "METHOD:REFRESH\r\nBEGIN:VEVENT");
    let parsed = ical::parse(asked.as_bytes(), &ical::Limits::default());
    let message = Message {
        method: Method::Refresh,
        from: "mailto:alice@example.org".to_owned(),
        to: "mailto:bob@example.org".to_owned(),
        uid: "1".to_owned(),
        weight: Weight::News,
        calendar: parsed.calendars.into_iter().next().unwrap().into(),
    };
    let (shared, bob) = (&world.server.shared, world.id("bob").await);
    let reason = receive(shared, bob, &message, NOW).await.unwrap();
    assert_eq!(reason, Reason::Asked);
    let reasons = journal(&world, "alice").await;
    let last = reasons.last().map(|d| (d.method.as_str(), d.what));
    assert_eq!(last, Some(("REQUEST", What::Received)), "{reasons:?}");
    let waiting = shared.store.homes_with_messages(None, 10).await.unwrap();
    assert_eq!(waiting, []);
}

#[tokio::test]
async fn each_of_many_answers_within_a_second_arrives() {
    let world = World::new().await;
    let guest = "ATTENDEE:mailto:alice@example.org\r\n";
    put(&world, "bob", "1.ics", &meeting("Lunch", guest)).await;
    let answers = ["ACCEPTED", "TENTATIVE", "DECLINED", "ACCEPTED", "TENTATIVE"];
    for (number, answer) in answers.iter().enumerate() {
        let copy = text(&world, "alice", "1.ics").await.unwrap();
        let lines = copy.lines().map(|line| {
            if line.ends_with(":mailto:alice@example.org") {
                format!("ATTENDEE;PARTSTAT={answer}:mailto:alice@example.org\r\n")
            } else {
                format!("{line}\r\n")
            }
        });
        let response = put(&world, "alice", "1.ics", &lines.collect::<String>()).await;
        assert_eq!(response.status, 204, "{:?}", response.body);
        let own = text(&world, "bob", "1.ics").await.unwrap();
        assert!(
            own.contains(&format!("PARTSTAT={answer}")),
            "{answer}: {own}"
        );
        if number % 2 == 1 {
            let title = format!("Lunch {number}");
            let response = put(&world, "bob", "1.ics", &meeting(&title, guest)).await;
            assert_eq!(response.status, 204, "{:?}", response.body);
        }
    }
}

/// Takes somebody from the directory, and tells nobody.
async fn gone(world: &World, who: &str) {
    let store = &world.server.shared.store;
    accounts::remove(store, &[PrincipalKind::User], who, &by())
        .await
        .unwrap();
}

#[tokio::test]
async fn who_leaves_the_server_withdraws_their_meetings_and_declines_the_others() {
    let world = World::new().await;
    put(
        &world,
        "bob",
        "1.ics",
        &meeting("Lunch", "ATTENDEE:mailto:alice@example.org\r\n"),
    )
    .await;
    let own = "ATTENDEE:mailto:bob@example.org\r\n";
    let hers = meeting("Talk", own)
        .replace("UID:1", "UID:2")
        .replace("ORGANIZER:mailto:bob", "ORGANIZER:mailto:alice");
    assert_eq!(put(&world, "alice", "2.ics", &hers).await.status, 201);
    let alice = world.id("alice").await;
    let shared = &world.server.shared;
    schedule::leave(shared, alice, NOW).await.unwrap();
    gone(&world, "alice").await;
    let own = text(&world, "bob", "1.ics").await.unwrap();
    assert!(own.contains("PARTSTAT=DECLINED"), "{own}");
    let copy = text(&world, "bob", "2.ics").await.unwrap();
    assert!(copy.contains("STATUS:CANCELLED"), "{copy}");
    let waiting = shared.store.homes_with_messages(None, 10).await.unwrap();
    assert_eq!(waiting, []);
}

#[tokio::test]
async fn the_organizer_sees_of_whom_nothing_is_left_to_deliver_to() {
    let world = World::new().await;
    let guests = "ATTENDEE:mailto:alice@example.org\r\n";
    put(&world, "bob", "1.ics", &meeting("Lunch", guests)).await;
    let (bob, alice) = (world.id("bob").await, world.id("alice").await);
    let store = &world.server.shared.store;
    gone(&world, "alice").await;
    // As a crash leaves it: the row waits, and its recipient is removed meanwhile.
    let turn = store.turn(&[]).await.unwrap();
    let home = store.home(bob).await.unwrap();
    let calendar = home.collection("calendar").unwrap().clone();
    let header = home.header(&calendar, "1.ics").await.unwrap().unwrap();
    let mut change = Change::new(NOW, by().actor, "a row that waits");
    change.queue_local(&LocalMessage {
        to: alice,
        from: bob,
        uid: "1".to_owned(),
        revision: home.revision(),
        collection: calendar.id,
        name: "1.ics".to_owned(),
        old: None,
        new: Some(header.text),
        payload: Payload {
            kind: Kind::Change,
            at: NOW,
        }
        .encode(),
    });
    store.commit(change, turn).await.unwrap();
    let shared = &world.server.shared;
    schedule::worker::round(shared, NOW).await.unwrap();
    assert_eq!(store.homes_with_messages(None, 10).await.unwrap(), []);
    let own = text(&world, "bob", "1.ics").await.unwrap();
    assert!(own.contains("SCHEDULE-STATUS=3.7"), "{own}");
    let reasons = journal(&world, "bob").await;
    assert!(
        reasons.iter().any(|d| d.reason.0 == "Undeliverable"),
        "{reasons:?}"
    );
}

#[tokio::test]
async fn the_organizer_sees_who_cannot_be_delivered_to() {
    let world = World::new().await;
    let store = &world.server.shared.store;
    let alice = world.id("alice").await;
    // What alice's home knows of the meeting is damaged.
    let turn = store.turn(&[alice]).await.unwrap();
    let home = turn.home(alice).unwrap().clone();
    let mut change = Change::new(NOW, by().actor, "damage");
    let damaged = UidState {
        payload: Bytes::from_static(b"\xff\xff\xff"),
        gone: false,
    };
    change.home(&home).set_uid_state("1", damaged);
    store.commit(change, turn).await.unwrap();

    let guests = "ATTENDEE:mailto:alice@example.org\r\n";
    let response = put(&world, "bob", "1.ics", &meeting("Lunch", guests)).await;
    assert_eq!(response.status, 201, "{:?}", response.body);
    let own = text(&world, "bob", "1.ics").await.unwrap();
    assert!(own.contains("SCHEDULE-STATUS=5.1"), "{own}");
    assert!(
        own.contains("PARTSTAT=NEEDS-ACTION") || !own.contains("PARTSTAT="),
        "{own}"
    );
    assert_eq!(store.homes_with_messages(None, 10).await.unwrap(), []);
    let inbox = world
        .ask("bob", "PROPFIND /dav/calendars/bob/inbox/", "")
        .await;
    let inbox = String::from_utf8_lossy(&inbox.body).into_owned();
    assert!(inbox.contains(".ics"), "no notice: {inbox}");
    assert_eq!(text(&world, "alice", "1.ics").await, None);
    let reasons = journal(&world, "bob").await;
    assert!(
        reasons.iter().any(|d| d.reason.0 == "Undeliverable"),
        "{reasons:?}"
    );
}
