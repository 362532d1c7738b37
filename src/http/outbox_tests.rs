//! What a server with groups, rooms and administrators answers to requests for busy time, and what
//! becomes of old messages.

use super::world::{NOW, World, condition, multistatus, propfind};
use crate::ical::Timestamp;
use crate::schedule;
use crate::xml::{self, Element, Name};

fn event(uid: &str, hour: u8) -> String {
    format!(
        "BEGIN:VCALENDAR\r\nVERSION:2.0\r\nPRODID:-//T//EN\r\nBEGIN:VEVENT\r\nUID:{uid}\r\n\
         DTSTAMP:20300101T000000Z\r\nDTSTART:20300102T{hour:02}0000Z\r\nDURATION:PT1H\r\n\
         END:VEVENT\r\nEND:VCALENDAR\r\n"
    )
}

fn request(organizer: &str, attendees: &[&str]) -> String {
    let attendees: String = attendees
        .iter()
        .map(|name| format!("ATTENDEE:mailto:{name}@example.org\r\n"))
        .collect();
    format!(
        "BEGIN:VCALENDAR\r\nVERSION:2.0\r\nPRODID:-//T//EN\r\nMETHOD:REQUEST\r\n\
         BEGIN:VFREEBUSY\r\nUID:1\r\nDTSTAMP:20300101T000000Z\r\nDTSTART:20300102T000000Z\r\n\
         DTEND:20300103T000000Z\r\nORGANIZER:mailto:{organizer}@example.org\r\n{attendees}\
         END:VFREEBUSY\r\nEND:VCALENDAR\r\n"
    )
}

const POST: &str = "POST /dav/calendars/bob/outbox/\nContent-Type: text/calendar";

/// Status and busy time of each recipient.
async fn busy(world: &World, attendees: &[&str]) -> Vec<(String, Vec<String>)> {
    let answer = world.ask("bob", POST, &request("bob", attendees)).await;
    assert_eq!(answer.status, 200, "{:?}", answer.body);
    let root = Element::parse(&answer.body, &xml::Limits::default()).unwrap();
    let responses = root.children(Name::caldav("response"));
    responses
        .map(|response| {
            let text = |name| response.child(Name::caldav(name)).map(Element::text);
            let data = text("calendar-data").unwrap_or_default();
            let periods = data.lines().filter(|line| line.starts_with("FREEBUSY"));
            let status = text("request-status").unwrap().into_owned();
            (status, periods.map(str::to_owned).collect())
        })
        .collect()
}

#[tokio::test]
async fn a_group_is_busy_when_a_member_is_and_a_room_when_it_is_booked() {
    let world = World::new().await;
    for (who, uid, hour) in [("alice", "a", 9), ("bob", "b", 11)] {
        let put = format!("PUT /dav/calendars/{who}/calendar/{uid}.ics");
        assert_eq!(world.ask(who, &put, &event(uid, hour)).await.status, 201);
    }
    let put = "PUT /dav/calendars/attic/calendar/c.ics";
    assert_eq!(world.ask("root", put, &event("c", 13)).await.status, 201);
    let success = |period: &str| ("2.0;Success".to_owned(), vec![format!("FREEBUSY:{period}")]);
    assert_eq!(
        busy(&world, &["staff", "attic", "bob", "alice"]).await,
        [
            success("20300102T090000Z/PT1H"),
            success("20300102T130000Z/PT1H"),
            success("20300102T110000Z/PT1H"),
            success("20300102T090000Z/PT1H"),
        ]
    );
}

#[tokio::test]
async fn an_administrator_does_not_ask_in_anothers_name() {
    let world = World::new().await;
    for organizer in ["bob", "root"] {
        let answer = world
            .ask("root", POST, &request(organizer, &["alice"]))
            .await;
        assert_eq!(answer.status, 403);
        assert_eq!(condition(&answer), "need-privileges");
    }
    let body = String::from_utf8(world.ask("root", POST, "").await.body.to_vec()).unwrap();
    assert!(body.contains("schedule-send-freebusy"), "{body}");
}

#[tokio::test]
async fn only_so_many_people_are_asked_about() {
    let world = World::new().await;
    let names: Vec<String> = (0..1_001).map(|n| format!("a{n}")).collect();
    let names: Vec<&str> = names.iter().map(String::as_str).collect();
    let answer = world.ask("bob", POST, &request("bob", &names)).await;
    assert_eq!(answer.status, 403);
    assert_eq!(condition(&answer), "max-attendees-per-instance");
}

#[tokio::test]
async fn old_messages_leave_the_inbox_and_nothing_else_goes() {
    let world = World::new().await;
    let meeting = event("m", 9).replace(
        "DURATION",
        "ORGANIZER:mailto:alice@example.org\r\nATTENDEE:mailto:bob@example.org\r\nDURATION",
    );
    let put = "PUT /dav/calendars/alice/calendar/m.ics";
    assert_eq!(world.ask("alice", put, &meeting).await.status, 201);
    let count = async |collection: &str| {
        let head = format!("PROPFIND /dav/calendars/bob/{collection}/\nDepth: 1");
        multistatus(&world.ask("bob", &head, &propfind(&["getetag"])).await).len() - 1
    };
    let days = |days: i64| Timestamp(NOW.0 + days * 86_400);
    let shared = &world.server.shared;
    for (day, removed, inbox) in [(59, 0, 1), (61, 1, 0), (61, 0, 0)] {
        let swept = schedule::sweep(shared, days(day)).await.unwrap();
        assert_eq!((swept, count("inbox").await), (removed, inbox), "{day}");
        assert_eq!(count("calendar").await, 1);
    }
}

#[tokio::test]
async fn a_request_may_be_only_so_long() {
    let world = World::new().await;
    let long = " ".repeat((10 << 20) + 1);
    let answer = world.ask("bob", POST, &long).await;
    assert_eq!(answer.status, 403);
    assert_eq!(condition(&answer), "max-resource-size");
}
