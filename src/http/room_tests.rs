//! Rooms that answer invitations: what organizers see of it, and who looks after a room.

use super::world::{World, by};
use crate::auth::accounts::{self, Edit, NewPrincipal};
use crate::auth::password::{self, Cost};
use crate::store::{Booking, BookingAnswer, PrincipalKind};

fn meeting(uid: &str, organizer: &str, more: &str) -> String {
    format!(
        "BEGIN:VCALENDAR\r\nVERSION:2.0\r\nPRODID:-//T//EN\r\nBEGIN:VEVENT\r\nUID:{uid}\r\n\
         DTSTAMP:20270101T000000Z\r\nDTSTART:20270202T090000Z\r\nDURATION:PT1H\r\n\
         ORGANIZER:mailto:{organizer}@example.org\r\n\
         ATTENDEE;CUTYPE=ROOM:mailto:attic@example.org\r\n{more}\
         END:VEVENT\r\nEND:VCALENDAR\r\n"
    )
}

async fn invite(world: &World, organizer: &str, uid: &str, more: &str) {
    let put = format!("PUT /dav/calendars/{organizer}/calendar/{uid}.ics");
    let body = meeting(uid, organizer, more);
    let answer = world.ask(organizer, &put, &body).await;
    assert_eq!(answer.status, 201, "{:?}", answer.body);
}

async fn text(world: &World, who: &str, path: &str) -> String {
    let answer = world.ask(who, &format!("GET {path}"), "").await;
    assert_eq!(answer.status, 200, "{path} {:?}", answer.body);
    let text = String::from_utf8(answer.body.to_vec()).unwrap();
    text.replace("\r\n ", "")
}

/// What the organizer's object says of the room, component by component.
async fn room_says(world: &World, organizer: &str, uid: &str) -> Vec<String> {
    let path = format!("/dav/calendars/{organizer}/calendar/{uid}.ics");
    let text = text(world, organizer, &path).await;
    let lines = text.lines().filter(|line| line.contains("attic@"));
    lines
        .map(|line| {
            let (_, rest) = line.split_once("PARTSTAT=").unwrap_or(("", "NEEDS-ACTION"));
            rest.split([';', ':']).next().unwrap().to_owned()
        })
        .collect()
}

async fn booked(world: &World, change: impl FnOnce(&mut Booking)) {
    let mut booking = Booking::default();
    change(&mut booking);
    let edit = Edit {
        booking: Some(booking),
        ..Edit::default()
    };
    let store = &world.server.shared.store;
    accounts::edit(store, &[PrincipalKind::Room], "attic", &edit, &by())
        .await
        .unwrap();
}

#[tokio::test]
async fn a_room_accepts_what_is_free_and_declines_what_is_not() {
    let world = World::new().await;
    invite(&world, "alice", "a", "").await;
    assert_eq!(room_says(&world, "alice", "a").await, ["ACCEPTED"]);
    invite(&world, "bob", "b", "").await;
    assert_eq!(room_says(&world, "bob", "b").await, ["DECLINED"]);
    // Free again, it is not asked again by itself; a new booking finds it free.
    let gone = world.ask("alice", "DELETE /dav/calendars/alice/calendar/a.ics", "");
    assert_eq!(gone.await.status, 204);
    invite(&world, "bob", "c", "").await;
    assert_eq!(room_says(&world, "bob", "c").await, ["ACCEPTED"]);
}

#[tokio::test]
async fn a_series_is_booked_but_for_the_occurrences_that_are_taken() {
    let world = World::new().await;
    invite(&world, "alice", "a", "").await;
    let put = "PUT /dav/calendars/bob/calendar/s.ics";
    let series = meeting("s", "bob", "RRULE:FREQ=DAILY;COUNT=5\r\n")
        .replace("DTSTART:20270202", "DTSTART:20270201");
    assert_eq!(world.ask("bob", put, &series).await.status, 201);
    let said = room_says(&world, "bob", "s").await;
    assert_eq!(said, ["ACCEPTED", "DECLINED"]);
    let text = text(&world, "bob", "/dav/calendars/bob/calendar/s.ics").await;
    assert!(text.contains("RECURRENCE-ID:20270202T090000Z"), "{text}");
}

#[tokio::test]
async fn fifty_organizers_at_once_book_a_room_once() {
    let world = World::new().await;
    let store = &world.server.shared.store;
    let names: Vec<String> = (0..50).map(|n| format!("u{n}")).collect();
    for name in &names {
        let new = NewPrincipal {
            addresses: vec![format!("{name}@example.org")],
            password: Some(password::hash(name, Cost::LEAST).unwrap()),
            ..NewPrincipal::named(PrincipalKind::User, name)
        };
        accounts::add(store, &new, &by()).await.unwrap();
    }
    let world = std::sync::Arc::new(world);
    let mut running = tokio::task::JoinSet::new();
    for name in names.clone() {
        let world = world.clone();
        running.spawn(async move { invite(&world, &name, &format!("m-{name}"), "").await });
    }
    while let Some(done) = running.join_next().await {
        done.unwrap();
    }
    let mut accepted = 0;
    for name in &names {
        match room_says(&world, name, &format!("m-{name}"))
            .await
            .as_slice()
        {
            [said] if said == "ACCEPTED" => accepted += 1,
            [said] => assert_eq!(said, "DECLINED", "{name}"),
            said => panic!("{name} {said:?}"),
        }
    }
    assert_eq!(accepted, 1);
}

#[tokio::test]
async fn who_may_book_is_said_by_name_or_group() {
    let world = World::new().await;
    let staff = world.id("staff").await;
    booked(&world, |booking| booking.bookable_by = vec![staff]).await;
    invite(&world, "bob", "b", "").await;
    assert_eq!(room_says(&world, "bob", "b").await, ["DECLINED"]);
    let own = text(&world, "bob", "/dav/calendars/bob/calendar/b.ics").await;
    assert!(own.contains("SCHEDULE-STATUS=3.8"), "{own}");
    invite(&world, "alice", "a", "").await;
    assert_eq!(room_says(&world, "alice", "a").await, ["ACCEPTED"]);
}

#[tokio::test]
async fn who_is_in_charge_answers_for_the_room_and_others_do_not_see_it() {
    let world = World::new().await;
    let staff = world.id("staff").await;
    booked(&world, |booking| {
        booking.answer = BookingAnswer::ByHand;
        booking.in_charge = vec![staff];
    })
    .await;
    invite(&world, "bob", "b", "").await;
    assert_eq!(room_says(&world, "bob", "b").await, ["NEEDS-ACTION"]);
    let copy = "/dav/calendars/attic/calendar/b.ics";
    assert_eq!(
        world.ask("bob", &format!("GET {copy}"), "").await.status,
        404
    );
    let answered = text(&world, "alice", copy).await;
    let answered = answered.replace("CUTYPE=ROOM;", "CUTYPE=ROOM;PARTSTAT=ACCEPTED;");
    let put = world.ask("alice", &format!("PUT {copy}"), &answered).await;
    assert_eq!(put.status, 204, "{:?}", put.body);
    assert_eq!(room_says(&world, "bob", "b").await, ["ACCEPTED"]);
    let body = "<propfind xmlns='DAV:'><prop><resourcetype/></prop></propfind>";
    let homes = world
        .ask("alice", "PROPFIND /dav/calendars/\nDepth: 1", body)
        .await;
    let homes = String::from_utf8(homes.body.to_vec()).unwrap();
    assert!(homes.contains("/dav/calendars/attic/"), "{homes}");
    assert!(!homes.contains("/dav/calendars/bob/"), "{homes}");
}
