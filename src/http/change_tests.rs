//! PROPPATCH, COPY, MOVE and DELETE, asked as clients ask.

use super::world::{Unlucky, World, condition, multistatus, property, propfind};
use crate::xml::Name;
use std::sync::Arc;
use std::sync::atomic::Ordering;

fn update(set: &str, remove: &str) -> String {
    format!(
        "<D:propertyupdate xmlns:D='DAV:' xmlns:x='urn:x' xml:lang='de'>\
         <D:set><D:prop>{set}</D:prop></D:set><D:remove><D:prop>{remove}</D:prop></D:remove></D:propertyupdate>"
    )
}

#[tokio::test]
async fn proppatch_keeps_what_it_is_given_and_all_or_nothing() {
    let world = World::new().await;
    world.put("alice", "calendar", ("a.ics", "a")).await;
    let odd = Name {
        ns: "urn:x",
        local: "odd",
    };
    for path in [
        "/dav/calendars/alice/calendar/",
        "/dav/calendars/alice/",
        "/dav/calendars/alice/inbox/",
        "/dav/calendars/alice/calendar/a.ics",
        "/dav/principals/users/alice/",
    ] {
        let patch = format!("PROPPATCH {path}");
        let value = "<x:odd a='1' x:b='2'>t<x:c/><d xmlns=''/></x:odd>";
        let done = world
            .ask("alice", &patch, &update(value, "<x:none/>"))
            .await;
        let done = multistatus(&done);
        assert_eq!(done[0].0, path);
        assert_eq!(property(&done[0].1, odd).unwrap().0, 200);

        let find = format!("PROPFIND {path}\nDepth: 0");
        let asked = "<propfind xmlns='DAV:'><prop><odd xmlns='urn:x'/></prop></propfind>";
        let found = multistatus(&world.ask("alice", &find, asked).await);
        let (status, element) = property(&found[0].1, odd).unwrap();
        assert_eq!(status, 200, "{path}");
        assert_eq!(element.lang(), Some("de"));
        assert_eq!(element.attribute("a"), Some("1"));
        assert_eq!(element.attribute_in("urn:x", "b"), Some("2"));
        assert!(element.child(Name { ns: "", local: "d" }).is_some());

        let mixed = update(
            "<x:odd>changed</x:odd><D:getetag>no</D:getetag>",
            "<D:resourcetype/>",
        );
        let refused = world.ask("alice", &patch, &mixed).await;
        let refused = multistatus(&refused);
        assert_eq!(property(&refused[0].1, odd).unwrap().0, 424);
        assert_eq!(
            property(&refused[0].1, Name::dav("resourcetype"))
                .unwrap()
                .0,
            403
        );
        let found = multistatus(&world.ask("alice", &find, asked).await);
        assert_eq!(property(&found[0].1, odd).unwrap().1.text(), "t");

        let brief = format!("{patch}\nPrefer: return=minimal");
        let gone = world.ask("alice", &brief, &update("", "<x:odd/>")).await;
        assert_eq!(gone.status, 200);
        let found = multistatus(&world.ask("alice", &find, asked).await);
        assert_eq!(property(&found[0].1, odd).unwrap().0, 404);
    }
    let other = update("<x:odd/>", "");
    let other = world
        .ask("alice", "PROPPATCH /dav/principals/users/bob/", &other)
        .await;
    assert_eq!(condition(&other), "need-privileges");
}

#[tokio::test]
async fn objects_are_moved_copied_and_removed_on_their_conditions() {
    let world = World::new().await;
    let dir = "/dav/calendars/alice/calendar";
    world.put("alice", "calendar", ("a.ics", "a")).await;
    world.put("alice", "calendar", ("b.ics", "b")).await;
    let etag = etag(&world, &format!("{dir}/a.ics")).await;
    let send = async |head: String| world.ask("alice", &head, "").await;

    let stale = send(format!(
        "MOVE {dir}/a.ics\nDestination: {dir}/c.ics\nIf-Match: \"x\""
    ))
    .await;
    assert_eq!(stale.status, 412);
    let same = send(format!("MOVE {dir}/a.ics\nDestination: {dir}/a.ics")).await;
    assert_eq!(same.status, 403);
    let foreign = send(format!(
        "MOVE {dir}/a.ics\nDestination: http://other{dir}/c.ics"
    ))
    .await;
    assert_eq!(foreign.status, 502);
    let no_destination = send(format!("MOVE {dir}/a.ics")).await;
    assert_eq!(no_destination.status, 400);
    let kept = send(format!(
        "MOVE {dir}/a.ics\nDestination: {dir}/b.ics\nOverwrite: F"
    ))
    .await;
    assert_eq!(kept.status, 412);
    let to_inbox = send(format!(
        "COPY {dir}/a.ics\nDestination: /dav/calendars/alice/inbox/a.ics"
    ))
    .await;
    assert_eq!(to_inbox.status, 403);

    let moved = send(format!(
        "MOVE {dir}/a.ics\nDestination: http://cal.example.org{dir}/c%20d.ics\nIf-Match: {etag}"
    ))
    .await;
    assert_eq!(moved.status, 201);
    assert_eq!(
        moved.header("ETag").unwrap(),
        self::etag(&world, &format!("{dir}/c%20d.ics")).await
    );
    let gone = send(format!("DELETE {dir}/a.ics")).await;
    assert_eq!(gone.status, 404);
    let other = "/dav/calendars/alice/other";
    assert_eq!(send(format!("MKCALENDAR {other}/")).await.status, 201);
    world.put("alice", "other", ("x.ics", "a")).await;
    let to_other_uid = send(format!("MOVE {dir}/c%20d.ics\nDestination: {dir}/b.ics")).await;
    assert_eq!(condition(&to_other_uid), "no-uid-conflict");
    let over = send(format!("MOVE {dir}/c%20d.ics\nDestination: {other}/x.ics")).await;
    assert_eq!(over.status, 204);
    let twice = send(format!("COPY {other}/x.ics\nDestination: {other}/y.ics")).await;
    assert_eq!(condition(&twice), "no-uid-conflict");
    let tasks = send(format!(
        "COPY {dir}/b.ics\nDestination: /dav/calendars/alice/tasks/b.ics"
    ))
    .await;
    assert_eq!(condition(&tasks), "supported-calendar-component");
    let copied = send(format!("COPY {dir}/b.ics\nDestination: {other}/b.ics")).await;
    assert_eq!(copied.status, 201);
    let listed = send(format!("PROPFIND {dir}/\nDepth: 1")).await;
    assert_eq!(multistatus(&listed).len(), 2);

    let lists = format!(
        "(<urn:x>) ([{}])",
        self::etag(&world, &format!("{dir}/b.ics")).await
    );
    let conditional = send(format!("DELETE {dir}/b.ics\nIf: ([\"stale\"])")).await;
    assert_eq!(conditional.status, 412);
    let conditional = send(format!("DELETE {dir}/b.ics\nIf: {lists}")).await;
    assert_eq!(conditional.status, 204);
}

async fn etag(world: &World, path: &str) -> String {
    let head = format!("PROPFIND {path}\nDepth: 0");
    let found = multistatus(&world.ask("alice", &head, &propfind(&["getetag"])).await);
    let (status, element) = property(&found[0].1, Name::dav("getetag")).unwrap();
    assert_eq!(status, 200);
    element.text().into_owned()
}

#[tokio::test]
async fn calendars_are_renamed_copied_and_removed() {
    let world = World::new().await;
    for n in 0..450 {
        world
            .put("alice", "calendar", (&format!("{n}.ics"), &n.to_string()))
            .await;
    }
    let home = "/dav/calendars/alice";
    let count = async |name: &str| {
        let head = format!("PROPFIND {home}/{name}/\nDepth: 1");
        let listed = world.ask("alice", &head, &propfind(&["getetag"])).await;
        (listed.status == 207).then(|| multistatus(&listed).len() - 1)
    };
    let steps = "COPY calendar/ copy Depth:infinity 201 copy=450 calendar=450
        COPY calendar/ empty/ Depth:0 201 empty=0 calendar=450
        COPY calendar/ empty/ Depth:1 400 empty=0
        COPY calendar/ empty/ Overwrite:F 412 empty=0
        COPY calendar/ empty/ Overwrite:T 204 empty=450 calendar=450
        MOVE empty/ calendar/ Overwrite:T 403 empty=450 calendar=450
        MOVE empty/ copy/ Overwrite:T 204 empty=none copy=450
        MOVE copy/ calendar/x/ Overwrite:T 403 copy=450
        MOVE copy/ calendar/x Overwrite:T 403 copy=450
        MOVE copy %C3%BC%20%2B/ Overwrite:F 201 copy=none %C3%BC%20%2B=450
        DELETE %C3%BC%20%2B/ - Depth:0 400 %C3%BC%20%2B=450
        DELETE %C3%BC%20%2B/ - Depth:infinity 204 %C3%BC%20%2B=none calendar=450";
    for step in steps.lines() {
        let words: Vec<&str> = step.split_whitespace().collect();
        let field = words[3].replace(':', ": ");
        let head = format!(
            "{} {home}/{}\nDestination: {home}/{}\n{field}",
            words[0], words[1], words[2]
        );
        let status = world.ask("alice", &head, "").await.status;
        assert_eq!(status.to_string(), words[4], "{step}");
        for (name, expected) in words[5..].iter().filter_map(|word| word.split_once('=')) {
            assert_eq!(
                count(name).await,
                expected.parse().ok(),
                "{name} after {step}"
            );
        }
    }
}

#[tokio::test]
async fn an_administrator_moves_from_home_to_home() {
    let world = World::new().await;
    let (from, to) = (
        "/dav/calendars/bob/calendar/a.ics",
        "/dav/calendars/alice/calendar/b.ics",
    );
    let put = format!("PUT {from}\nContent-Type: text/calendar");
    assert_eq!(world.ask("bob", &put, &event("a", "1")).await.status, 201);
    let mark = format!("PROPPATCH {from}");
    assert_eq!(
        world
            .ask("bob", &mark, &update("<x:a>1</x:a>", ""))
            .await
            .status,
        207
    );
    let moved = world
        .ask("root", &format!("MOVE {from}\nDestination: {to}"), "")
        .await;
    assert_eq!(moved.status, 201);
    assert_eq!(
        world.ask("bob", &format!("GET {from}"), "").await.status,
        404
    );
    let got = world.ask("alice", &format!("GET {to}"), "").await;
    assert_eq!(
        (got.header("ETag"), &*got.body),
        (moved.header("ETag"), event("a", "1").as_bytes())
    );
    let found = world
        .ask("alice", &format!("PROPFIND {to}\nDepth: 0"), "")
        .await;
    let kept = property(
        &multistatus(&found)[0].1,
        Name {
            ns: "urn:x",
            local: "a",
        },
    )
    .unwrap()
    .0;
    assert_eq!(kept, 200);
    let calendar = "MOVE /dav/calendars/alice/calendar/\nDestination: /dav/calendars/bob/other/";
    assert_eq!(world.ask("root", calendar, "").await.status, 403);
    let copied = calendar.replace("MOVE", "COPY");
    assert_eq!(world.ask("root", &copied, "").await.status, 201);
    let got = world
        .ask("bob", "GET /dav/calendars/bob/other/b.ics", "")
        .await;
    assert_eq!(&*got.body, event("a", "1").as_bytes());
}

#[tokio::test]
async fn what_was_delivered_is_read_and_removed_but_not_put() {
    let world = World::new().await;
    for folder in ["inbox", "notification"] {
        world.put("alice", folder, ("m.ics", "m")).await;
        let item = format!("/dav/calendars/alice/{folder}/m.ics");
        let got = world.ask("alice", &format!("GET {item}"), "").await;
        assert_eq!(got.status, 200, "{folder}");
        assert_eq!(
            world.ask("alice", &format!("PUT {item}"), "x").await.status,
            405
        );
        let new = format!("PUT /dav/calendars/alice/{folder}/new.ics");
        assert_eq!(world.ask("alice", &new, &event("a", "1")).await.status, 403);
        assert_eq!(
            world
                .ask("alice", &format!("DELETE {item}"), "")
                .await
                .status,
            204
        );
        assert_eq!(
            world.ask("alice", &format!("GET {item}"), "").await.status,
            404
        );
    }
}

#[tokio::test]
async fn an_unlucky_writer_tries_again_and_gives_up_politely() {
    let unlucky = Arc::new(Unlucky::default());
    let world = World::on(unlucky.clone()).await;
    let patch = update("<x:a/>", "");
    for (conflicts, status) in [(7, 207), (8, 503)] {
        unlucky.conflicts.store(conflicts, Ordering::SeqCst);
        let answer = world
            .ask("alice", "PROPPATCH /dav/calendars/alice/", &patch)
            .await;
        assert_eq!(answer.status, status);
        assert_eq!(answer.header("Retry-After").is_some(), status == 503);
    }
}

fn event(uid: &str, summary: &str) -> String {
    let lines = [
        "BEGIN:VCALENDAR",
        "VERSION:2.0",
        "PRODID:-//Test//EN",
        "BEGIN:VEVENT",
        &format!("UID:{uid}"),
        "DTSTAMP:20300101T000000Z",
        "DTSTART:20300102T100000Z",
        &format!("SUMMARY:{summary}"),
        "END:VEVENT",
        "END:VCALENDAR",
        "",
    ];
    lines.join("\r\n")
}

#[tokio::test]
async fn put_goes_by_its_conditions_and_tells_what_is_there() {
    let world = World::new().await;
    let file = "/dav/calendars/alice/calendar/a%40b.ics";
    let put = async |fields: &str, body: &str| {
        world
            .ask(
                "alice",
                &format!("PUT {file}\nContent-Type: text/calendar{fields}"),
                body,
            )
            .await
    };
    assert_eq!(put("\nIf-Match: *", &event("a", "1")).await.status, 412);
    let made = put("\nIf-None-Match: *", &event("a", "1")).await;
    assert_eq!(made.status, 201);
    let first = made.header("ETag").unwrap();
    assert_eq!(
        put("\nIf-None-Match: *", &event("a", "2")).await.status,
        412
    );
    let second = put(&format!("\nIf-Match: {first}"), &event("a", "2")).await;
    assert_eq!(second.status, 204);
    let late = put(
        &format!("\nIf-Match: {first}\nPrefer: return=representation"),
        &event("a", "3"),
    )
    .await;
    assert_eq!(late.status, 412);
    assert_eq!(late.body, event("a", "2"));
    assert_eq!(late.header("ETag"), second.header("ETag"));
    assert_eq!(late.header("Content-Location"), Some(file));
    let got = world.ask("alice", &format!("HEAD {file}"), "").await;
    assert_eq!(
        (got.status, got.header("ETag")),
        (200, second.header("ETag"))
    );
    let same = format!(
        "GET {file}\nIf-None-Match: {}",
        second.header("ETag").unwrap()
    );
    assert_eq!(world.ask("alice", &same, "").await.status, 304);
}

#[tokio::test]
async fn a_request_that_asks_for_too_much_is_refused() {
    let world = World::new().await;
    let many: String = (0..501).map(|n| format!("<x:p{n}/>")).collect();
    let patch = "PROPPATCH /dav/calendars/alice/";
    let refused = world.ask("alice", patch, &update(&many, "")).await;
    assert_eq!(refused.status, 413);
    let find = "PROPFIND /dav/calendars/alice/\nDepth: 0";
    let found = multistatus(&world.ask("alice", find, "").await);
    let first = Name {
        ns: "urn:x",
        local: "p0",
    };
    assert!(property(&found[0].1, first).is_none());
}

#[tokio::test]
async fn post_adds_a_member_under_a_name_of_the_servers() {
    let world = World::new().await;
    let find = "PROPFIND /dav/calendars/alice/calendar/\nDepth: 0";
    let found = multistatus(&world.ask("alice", find, &propfind(&["add-member"])).await);
    let (_, add) = property(&found[0].1, Name::dav("add-member")).unwrap();
    let url = add.child(Name::dav("href")).unwrap().text().into_owned();
    let post = format!("POST {url}\nContent-Type: text/calendar");
    let made = world.ask("alice", &post, &event("a", "1")).await;
    assert_eq!(made.status, 201);
    let location = made.header("Location").unwrap();
    let got = world.ask("alice", &format!("GET {location}"), "").await;
    assert_eq!(got.body, event("a", "1"));
    let twice = world.ask("alice", &post, &event("a", "1")).await;
    assert_eq!(condition(&twice), "no-uid-conflict");
    let plain = world
        .ask("alice", "POST /dav/calendars/alice/calendar/", "x")
        .await;
    assert_eq!(plain.status, 400);
}

#[tokio::test]
async fn a_calendar_is_made_with_its_properties_or_not_at_all() {
    let world = World::new().await;
    let body = |set: &str| {
        format!(
            "<D:mkcol xmlns:D='DAV:' xmlns:C='urn:ietf:params:xml:ns:caldav'><D:set><D:prop>\
             <D:resourcetype><D:collection/><C:calendar/></D:resourcetype>{set}</D:prop></D:set></D:mkcol>"
        )
    };
    let make = "MKCOL /dav/calendars/alice/new%20one";
    let failed = world
        .ask(
            "alice",
            make,
            &body("<D:displayname>x</D:displayname><D:getetag/>"),
        )
        .await;
    assert_eq!(failed.status, 403);
    let response = crate::xml::Element::parse(&failed.body, &Default::default()).unwrap();
    assert!(response.is(Name::dav("mkcol-response")));
    assert_eq!(
        property(&response, Name::dav("displayname")).unwrap().0,
        424
    );
    let find = "PROPFIND /dav/calendars/alice/new%20one/\nDepth: 0";
    assert_eq!(world.ask("alice", find, "").await.status, 404);
    let made = world
        .ask("alice", make, &body("<D:displayname>x</D:displayname>"))
        .await;
    assert_eq!(made.status, 201);
    let found = multistatus(&world.ask("alice", find, "").await);
    assert_eq!(
        property(&found[0].1, Name::dav("displayname"))
            .unwrap()
            .1
            .text(),
        "x"
    );
    assert_eq!(world.ask("alice", make, &body("")).await.status, 405);
    let other = body("").replace("C:calendar", "C:other");
    let other = world
        .ask("alice", "MKCOL /dav/calendars/alice/other/", &other)
        .await;
    assert_eq!(condition(&other), "valid-resourcetype");
}
