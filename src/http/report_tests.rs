//! The reports of WebDAV, asked as clients ask.

use super::world::{World, by, condition, multistatus, property, propfind};
use crate::auth::accounts::{self, Edit};
use crate::dav::Response;
use crate::store::PrincipalKind;
use crate::xml::{CALENDARSERVER, Element, Name};

fn sync(token: &str, level: &str, limit: Option<usize>) -> String {
    let limit = limit.map(|n| format!("<limit><nresults>{n}</nresults></limit>"));
    format!(
        "<sync-collection xmlns='DAV:'><sync-token>{token}</sync-token><sync-level>{level}</sync-level>{}\
         <prop><getetag/></prop></sync-collection>",
        limit.unwrap_or_default()
    )
}

/// The token, the hrefs that changed, those that are gone, and whether there is more.
fn changes(response: &Response) -> (String, Vec<String>, Vec<String>, bool) {
    let all = multistatus(response);
    let root = Element::parse(&response.body, &crate::xml::Limits::default()).unwrap();
    let token = root
        .child(Name::dav("sync-token"))
        .unwrap()
        .text()
        .into_owned();
    let status = |r: &Element| r.child(Name::dav("status")).map(|s| s.text().into_owned());
    let with = |code: &str| {
        let of = all
            .iter()
            .filter(|(_, r)| status(r).is_some_and(|s| s.contains(code)));
        of.map(|(href, _)| href.clone()).collect::<Vec<_>>()
    };
    let there = all.iter().filter(|(_, r)| status(r).is_none());
    let there = there.map(|(href, _)| href.clone()).collect();
    (token, there, with("404"), !with("507").is_empty())
}

#[tokio::test]
async fn sync_tells_what_changed_page_by_page() {
    let world = World::new().await;
    let dir = "/dav/calendars/alice/calendar/";
    for n in 0..5 {
        world
            .put("alice", "calendar", (&format!("{n}.ics"), &n.to_string()))
            .await;
    }
    let report = format!("REPORT {dir}\nDepth: 1");
    let ask = async |body: String| world.ask("alice", &report, &body).await;
    let (mut token, mut hrefs, mut more) = (String::new(), Vec::new(), true);
    while more {
        let page = changes(&ask(sync(&token, "1", Some(2))).await);
        assert!(page.1.len() <= 2 && page.2.is_empty());
        hrefs.extend(page.1);
        (token, more) = (page.0, page.3);
    }
    hrefs.sort();
    assert_eq!(
        hrefs,
        (0..5).map(|n| format!("{dir}{n}.ics")).collect::<Vec<_>>()
    );
    assert!(token.contains(':'));

    world.ask("alice", &format!("DELETE {dir}0.ics"), "").await;
    world.put("alice", "calendar", ("1.ics", "1")).await;
    let (newer, there, gone, more) = changes(&ask(sync(&token, "infinite", None)).await);
    assert_eq!(
        (there, gone, more),
        (
            vec![format!("{dir}1.ics")],
            vec![format!("{dir}0.ics")],
            false
        )
    );
    let (_, there, gone, _) = changes(&ask(sync(&newer, "1", None)).await);
    assert!(there.is_empty() && gone.is_empty());

    for bad in ["nonsense", "urn:x:1"] {
        let bad = ask(sync(bad, "1", None)).await;
        assert_eq!(
            (bad.status, condition(&bad).as_str()),
            (403, "valid-sync-token")
        );
    }
    let zero = ask(sync("", "1", Some(0))).await;
    assert_eq!(condition(&zero), "number-of-matches-within-limits");
    assert_eq!(ask(sync("", "2", None)).await.status, 400);
    let outbox = world
        .ask(
            "alice",
            "REPORT /dav/calendars/alice/outbox/",
            &sync("", "1", None),
        )
        .await;
    assert_eq!(condition(&outbox), "supported-report");
}

#[tokio::test]
async fn a_home_tells_which_collections_changed() {
    let world = World::new().await;
    let report = "REPORT /dav/calendars/alice/\nDepth: 0";
    let ask = async |body: String| changes(&world.ask("alice", report, &body).await);
    let (token, there, _, _) = ask(sync("", "1", None)).await;
    assert_eq!(there.len(), 5);
    world.put("alice", "calendar", ("a.ics", "a")).await;
    world
        .ask("alice", "DELETE /dav/calendars/alice/tasks/", "")
        .await;
    let (_, there, gone, _) = ask(sync(&token, "1", None)).await;
    assert_eq!(there, ["/dav/calendars/alice/calendar/"]);
    assert_eq!(gone, ["/dav/calendars/alice/tasks/"]);
    let (_, there, _, _) = ask(sync(&token, "infinite", None)).await;
    assert!(there.contains(&"/dav/calendars/alice/calendar/a.ics".to_owned()));
}

#[tokio::test]
async fn the_sync_token_is_a_state_for_the_if_header() {
    let world = World::new().await;
    world.put("alice", "calendar", ("a.ics", "a")).await;
    let find = "PROPFIND /dav/calendars/alice/calendar/\nDepth: 0";
    let found = multistatus(
        &world
            .ask("alice", find, &propfind(&["sync-token", "CS:getctag"]))
            .await,
    );
    let token = property(&found[0].1, Name::dav("sync-token"))
        .unwrap()
        .1
        .text()
        .into_owned();
    let delete = |token: &str| {
        format!(
            "DELETE /dav/calendars/alice/calendar/a.ics\nIf: </dav/calendars/alice/calendar/> (<{token}>)"
        )
    };
    assert_eq!(
        world.ask("alice", &delete("urn:stale"), "").await.status,
        412
    );
    assert_eq!(world.ask("alice", &delete(&token), "").await.status, 204);
    let after = multistatus(
        &world
            .ask("alice", find, &propfind(&["sync-token", "CS:getctag"]))
            .await,
    );
    let ctag = Name {
        ns: CALENDARSERVER,
        local: "getctag",
    };
    let ctag_of = |r: &Element| property(r, ctag).unwrap().1.text().into_owned();
    assert_ne!(ctag_of(&found[0].1), ctag_of(&after[0].1));
}

#[tokio::test]
async fn principals_are_found() {
    let world = World::new().await;
    let search = |test: &str, how: &str, name: &str| {
        format!(
            "<principal-property-search xmlns='DAV:' test='{test}'>\
             <property-search><prop><displayname/></prop><match match-type='{how}'>{name}</match></property-search>\
             <property-search><prop><C:email-address-set xmlns:C='http://calendarserver.org/ns/'/></prop>\
             <match match-type='{how}'>{name}</match></property-search>\
             <prop><displayname/></prop></principal-property-search>"
        )
    };
    for (test, how, name, expected) in [
        ("anyof", "starts-with", "ALI", vec!["users/alice"]),
        ("allof", "contains", "ali", vec!["users/alice"]),
        ("allof", "equals", "alice@example.org", vec![]),
        ("anyof", "equals", "alice@example.org", vec!["users/alice"]),
        (
            "anyof",
            "contains",
            "example.org",
            vec![
                "users/alice",
                "resources/attic",
                "users/bob",
                "users/root",
                "groups/staff",
            ],
        ),
        ("anyof", "ends-with", "brown", vec!["users/bob"]),
        ("anyof", "contains", "zzz", vec![]),
    ] {
        let found = world
            .ask("alice", "REPORT /dav/principals/", &search(test, how, name))
            .await;
        let hrefs: Vec<_> = multistatus(&found)
            .into_iter()
            .map(|(href, _)| href)
            .collect();
        let expected: Vec<_> = expected
            .iter()
            .map(|p| format!("/dav/principals/{p}/"))
            .collect();
        assert_eq!(hrefs, expected, "{test} {how} {name}");
    }
}

#[tokio::test]
async fn a_search_may_ask_beside_its_prop_and_for_nobody_in_particular() {
    let world = World::new().await;
    let search =
        "<property-search><prop><displayname/></prop><match>alice</match></property-search>";
    for (search, count) in [(search, 1), ("", 1)] {
        let body = format!(
            "<principal-property-search xmlns='DAV:'>{search}<prop/><displayname/></principal-property-search>"
        );
        let found = multistatus(&world.ask("alice", "REPORT /", &body).await);
        assert_eq!(found.len(), count);
        let (status, name) = property(&found[0].1, Name::dav("displayname")).unwrap();
        assert_eq!((status, &*name.text()), (200, "Alice Adams"));
    }
}

#[tokio::test]
async fn principals_are_found_by_words() {
    let world = World::new().await;
    let tokens = |context: &str, token: &str| {
        format!(
            "<calendarserver-principal-search xmlns='{CALENDARSERVER}' xmlns:D='DAV:' context='{context}'>\
             <search-token>{token}</search-token><D:prop><D:displayname/></D:prop></calendarserver-principal-search>"
        )
    };
    for (context, token, expected) in [
        ("attendee", "ad", 1),
        ("attendee", "a", 2),
        ("location", "a", 1),
        ("user", "", 0),
    ] {
        let found = world
            .ask("bob", "REPORT /dav/principals/", &tokens(context, token))
            .await;
        assert_eq!(multistatus(&found).len(), expected, "{context} {token}");
    }
}

#[tokio::test]
async fn a_viewer_is_matched() {
    let world = World::new().await;
    let set = "<principal-search-property-set xmlns='DAV:'/>";
    let set = world.ask("alice", "REPORT /dav/principals/", set).await;
    assert_eq!(set.status, 200);
    let me = "<principal-match xmlns='DAV:'><self/></principal-match>";
    let me = world.ask("alice", "REPORT /dav/principals/", me).await;
    let me: Vec<_> = multistatus(&me).into_iter().map(|(href, _)| href).collect();
    assert_eq!(
        me,
        [
            "/dav/principals/users/alice/",
            "/dav/principals/groups/staff/"
        ]
    );
    let mine = "<principal-match xmlns='DAV:'><principal-property><owner/></principal-property></principal-match>";
    let mine = world
        .ask("alice", "REPORT /dav/calendars/alice/", mine)
        .await;
    assert_eq!(multistatus(&mine).len(), 5);
    let acl =
        "<acl-principal-prop-set xmlns='DAV:'><prop><displayname/></prop></acl-principal-prop-set>";
    let acl = world
        .ask("alice", "REPORT /dav/calendars/alice/", acl)
        .await;
    assert_eq!(multistatus(&acl)[0].0, "/dav/principals/users/alice/");
}

#[tokio::test]
async fn expand_property_puts_responses_for_hrefs() {
    let world = World::new().await;
    let body = "<D:expand-property xmlns:D='DAV:'><D:property name='owner'><D:property name='displayname'/>\
                <D:property name='group-membership'><D:property name='displayname'/></D:property></D:property>\
                <D:property name='calendar-proxy-read-for' namespace='http://calendarserver.org/ns/'>\
                <D:property name='displayname'/></D:property></D:expand-property>";
    let found = world
        .ask("alice", "REPORT /dav/calendars/alice/calendar/", body)
        .await;
    let found = multistatus(&found);
    let (status, owner) = property(&found[0].1, Name::dav("owner")).unwrap();
    assert_eq!(status, 200);
    let alice = owner.child(Name::dav("response")).unwrap();
    assert_eq!(
        property(alice, Name::dav("displayname")).unwrap().1.text(),
        "Alice Adams"
    );
    let (_, groups) = property(alice, Name::dav("group-membership")).unwrap();
    let staff = groups.child(Name::dav("response")).unwrap();
    assert_eq!(
        property(staff, Name::dav("displayname")).unwrap().1.text(),
        "The Staff"
    );
    assert_eq!(
        staff.child(Name::dav("href")).unwrap().text(),
        "/dav/principals/groups/staff/"
    );
}

/// RFC 4791 §5.2.2: "This property SHOULD be defined on all calendar collections."
#[tokio::test]
async fn a_calendar_without_a_zone_tells_its_owners() {
    let world = World::new().await;
    let calendar = "/dav/calendars/alice/calendar/";
    let ask = format!("PROPFIND {calendar}\nDepth: 0");
    let names = propfind(&["C:calendar-timezone", "C:calendar-timezone-id"]);
    let zones = async || {
        let answer = world.ask("alice", &ask, &names).await;
        let (_, response) = multistatus(&answer).into_iter().next().unwrap();
        ["calendar-timezone", "calendar-timezone-id"].map(|name| {
            let (status, element) = property(&response, Name::caldav(name)).unwrap();
            (status == 200).then(|| element.text().into_owned())
        })
    };
    assert_eq!(zones().await, [None, None]);
    let edit = Edit {
        timezone: Some("Europe/Vienna".to_owned()),
        ..Edit::default()
    };
    let kinds = [PrincipalKind::User];
    accounts::edit(&world.server.shared.store, &kinds, "alice", &edit, &by())
        .await
        .unwrap();
    let [definition, id] = zones().await;
    assert_eq!(id.as_deref(), Some("Europe/Vienna"));
    assert!(definition.unwrap().contains("TZID:Europe/Vienna\r\n"));
    let set = |which: &str| {
        format!(
            "<propertyupdate xmlns='DAV:'><{which}><prop><C:calendar-timezone-id xmlns:C='{}'>Asia/Tokyo\
             </C:calendar-timezone-id></prop></{which}></propertyupdate>",
            crate::xml::CALDAV
        )
    };
    let patch = format!("PROPPATCH {calendar}");
    assert_eq!(world.ask("alice", &patch, &set("set")).await.status, 207);
    let [definition, id] = zones().await;
    assert_eq!(id.as_deref(), Some("Asia/Tokyo"));
    assert!(definition.unwrap().contains("TZID:Asia/Tokyo"));
    world.ask("alice", &patch, &set("remove")).await;
    assert_eq!(zones().await[1].as_deref(), Some("Europe/Vienna"));
}

/// No part of it is given as if it were all: 86,400 instances a day are more than the limit.
#[tokio::test]
async fn an_expansion_beyond_the_limits_says_so() {
    let world = World::new().await;
    let put = "PUT /dav/calendars/alice/calendar/tick.ics\nContent-Type: text/calendar";
    let text = "BEGIN:VCALENDAR\r\nVERSION:2.0\r\nPRODID:t\r\nBEGIN:VEVENT\r\nUID:tick\r\nDTSTAMP:20260101T000000Z\r\n\
                DTSTART:20260101T000000Z\r\nRRULE:FREQ=SECONDLY\r\nEND:VEVENT\r\nEND:VCALENDAR\r\n";
    assert_eq!(world.ask("alice", put, text).await.status, 201);
    let report = "REPORT /dav/calendars/alice/calendar/\nDepth: 1";
    let multiget = format!(
        "<C:calendar-multiget xmlns='DAV:' xmlns:C='{}'><prop><getetag/><C:calendar-data><C:expand \
         start='20260901T000000Z' end='20260902T000000Z'/></C:calendar-data></prop>\
         <href>/dav/calendars/alice/calendar/tick.ics</href></C:calendar-multiget>",
        crate::xml::CALDAV
    );
    let answer = world.ask("alice", report, &multiget).await;
    assert_eq!(answer.status, 207);
    let (_, response) = multistatus(&answer).into_iter().next().unwrap();
    let (status, data) = property(&response, Name::caldav("calendar-data")).unwrap();
    assert_eq!((status, data.text().as_ref()), (507, ""));
    assert_eq!(property(&response, Name::dav("getetag")).unwrap().0, 200);
    let said = std::str::from_utf8(&answer.body).unwrap();
    assert!(said.contains("<D:error><D:number-of-matches-within-limits/></D:error>"));
}
