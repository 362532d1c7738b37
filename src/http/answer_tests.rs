//! The loop of a request, discovery and PROPFIND, asked as clients ask.

use super::world::{World, condition, multistatus, property, propfind};
use crate::xml::Name;

#[tokio::test]
async fn well_known_redirects_whoever_asks_and_all_else_wants_a_name() {
    let world = World::new().await;
    for method in ["GET", "PROPFIND", "OPTIONS"] {
        for path in ["/.well-known/caldav", "/.well-known/caldav/"] {
            let response = world.ask("", &format!("{method} {path}"), "").await;
            assert_eq!(response.status, 301);
            assert_eq!(response.header("Location"), Some("/dav/"));
        }
        for path in [
            "/",
            "/dav/",
            "/dav/principals/users/alice/",
            "/dav/calendars/none/",
            "/x",
        ] {
            let response = world.ask("", &format!("{method} {path}"), "").await;
            assert_eq!(response.status, 401, "{path}");
            let challenge = response.header("WWW-Authenticate");
            assert_eq!(challenge, Some("Basic realm=\"Kalends\""));
        }
    }
    assert_eq!(world.ask("alice", "BREW /dav/", "").await.status, 501);
}

#[tokio::test]
async fn time_zones_are_open_to_everybody() {
    let world = World::new().await;
    let redirect = world.ask("", "GET /.well-known/timezone", "").await;
    assert_eq!(redirect.status, 301);
    let to = redirect.header("Location").unwrap();
    let capabilities = world.ask("", &format!("GET {to}/capabilities"), "").await;
    assert_eq!(capabilities.status, 200);
    assert!(
        capabilities
            .header("Content-Type")
            .unwrap()
            .contains("json")
    );
}

#[tokio::test]
async fn discovery_goes_from_the_root_to_the_principal() {
    let world = World::new().await;
    let asked = propfind(&[
        "current-user-principal",
        "principal-URL",
        "resourcetype",
        "nonsense",
    ]);
    for path in [
        "/",
        "/dav/",
        "/dav/calendars/alice/",
        "/dav/principals/users/alice/",
    ] {
        let head = format!("PROPFIND {path}\nDepth: 0");
        let response = world.ask("alice", &head, &asked).await;
        assert!(
            response
                .header("DAV")
                .unwrap()
                .contains("1, 3, access-control")
        );
        let all = multistatus(&response);
        assert_eq!(all.len(), 1);
        let (href, answer) = &all[0];
        assert_eq!(href, path);
        let (status, principal) = property(answer, Name::dav("current-user-principal")).unwrap();
        assert_eq!(status, 200);
        let href = principal.child(Name::dav("href")).unwrap();
        assert_eq!(href.text(), "/dav/principals/users/alice/");
        assert_eq!(property(answer, Name::dav("nonsense")).unwrap().0, 404);
    }
}

#[tokio::test]
async fn hrefs_are_the_path_as_it_was_asked_for() {
    let world = World::new().await;
    let mut request = super::world::request(
        "alice",
        "PROPFIND /dav/calendars/%61lice\nDepth: 1",
        &propfind(&["displayname", "owner"]),
    );
    request.prefix = "/cal".to_owned();
    let response = super::answer(&world.server, request, super::world::NOW).await;
    let all = multistatus(&response);
    let hrefs: Vec<&str> = all.iter().map(|(href, _)| href.as_str()).collect();
    assert_eq!(
        hrefs,
        [
            "/cal/dav/calendars/%61lice/",
            "/cal/dav/calendars/%61lice/calendar/",
            "/cal/dav/calendars/%61lice/inbox/",
            "/cal/dav/calendars/%61lice/notification/",
            "/cal/dav/calendars/%61lice/outbox/",
            "/cal/dav/calendars/%61lice/tasks/",
        ]
    );
    let (_, owner) = property(&all[1].1, Name::dav("owner")).unwrap();
    let owner = owner.child(Name::dav("href")).unwrap();
    assert_eq!(owner.text(), "/cal/dav/principals/users/alice/");
}

#[tokio::test]
async fn another_home_is_like_none() {
    let world = World::new().await;
    world.put("bob", "calendar", ("a.ics", "a")).await;
    world.put("alice", "calendar", ("a.ics", "a")).await;
    let tails = [
        "",
        "calendar/",
        "calendar/a.ics",
        "inbox/",
        "new/",
        "calendar/new.ics",
    ];
    let sync = "<sync-collection xmlns='DAV:'><sync-token/><sync-level>1</sync-level><prop/></sync-collection>";
    for tail in tails {
        for (method, body) in [
            ("GET", ""),
            ("OPTIONS", ""),
            ("PROPFIND", ""),
            ("DELETE", ""),
            ("REPORT", sync),
            ("PROPPATCH", "<propertyupdate xmlns='DAV:'/>"),
            ("PUT", "x"),
            ("MKCOL", ""),
            ("COPY", ""),
            ("MOVE", ""),
            ("POST", ""),
            ("LOCK", ""),
        ] {
            let there = format!(
                "{method} /dav/calendars/bob/{tail}\nDestination: /dav/calendars/alice/x/y"
            );
            let gone = format!(
                "{method} /dav/calendars/nobody/{tail}\nDestination: /dav/calendars/alice/x/y"
            );
            let there = world.ask("alice", &there, body).await;
            let gone = world.ask("alice", &gone, body).await;
            assert_eq!(there, gone, "{method} {tail}");
            assert!(
                (400..500).contains(&there.status) || there.status == 501,
                "{method} {tail}"
            );
        }
        for method in ["COPY", "MOVE"] {
            let to = |name: &str| {
                format!(
                    "{method} /dav/calendars/alice/calendar/a.ics\nDestination: /dav/calendars/{name}/{tail}"
                )
            };
            let there = world.ask("alice", &to("bob"), "").await;
            assert_eq!(there, world.ask("alice", &to("nobody"), "").await, "{tail}");
            assert_eq!(there.status, 409);
        }
    }
    let seen = world
        .ask("alice", "PROPFIND /dav/calendars/\nDepth: 1", "")
        .await;
    let seen = multistatus(&seen);
    assert_eq!(seen.len(), 2);
    assert_eq!(seen[1].0, "/dav/calendars/alice/");
    let all = world
        .ask("root", "PROPFIND /dav/calendars/\nDepth: 1", "")
        .await;
    assert_eq!(multistatus(&all).len(), 5);
    let read = world
        .ask("root", "PROPFIND /dav/calendars/bob/inbox/\nDepth: 0", "")
        .await;
    assert_eq!(read.status, 207);
    let gone = world
        .ask("root", "DELETE /dav/calendars/bob/calendar/a.ics", "")
        .await;
    assert_eq!(gone.status, 204);
}

#[tokio::test]
async fn what_has_no_place_is_refused_and_made_nowhere() {
    let world = World::new().await;
    for (head, status) in [
        ("PUT /\nIf-Match: *", 405),
        ("PUT /dav/principals/users/alice/", 405),
        ("PUT /dav/principals/users/new", 409),
        ("PUT /new", 409),
        ("PUT /dav/calendars/alice/new", 405),
        ("PUT /dav/calendars/alice/new/a.ics", 409),
        ("DELETE /", 405),
        ("DELETE /dav/principals/users/alice/", 405),
        ("DELETE /dav/calendars/alice/", 405),
        ("DELETE /dav/calendars/alice/inbox/", 405),
        ("DELETE /dav/calendars/alice/none/", 404),
        ("MKCOL /", 405),
        ("MKCOL /dav/principals/users/alice/", 405),
        ("MKCOL /dav/principals/users/new/", 403),
        ("MKCOL /dav/calendars/alice/plain/", 403),
        (
            "MOVE /dav/calendars/alice/inbox/\nDestination: /dav/calendars/alice/x/",
            405,
        ),
        ("GET /dav/calendars/alice/none/", 404),
        ("PROPPATCH /dav/", 405),
        ("LOCK /dav/calendars/alice/", 501),
    ] {
        let response = world.ask("alice", head, "").await;
        assert_eq!(response.status, status, "{head}");
        if status == 405 {
            assert!(response.header("Allow").is_some(), "{head}");
        }
    }
    let plain = world
        .ask("alice", "MKCOL /dav/calendars/alice/plain/", "")
        .await;
    assert_eq!(condition(&plain), "valid-resourcetype");
}

#[tokio::test]
async fn options_says_what_the_tables_have() {
    let world = World::new().await;
    let response = world
        .ask("alice", "OPTIONS /dav/calendars/alice/", "")
        .await;
    assert_eq!(response.status, 200);
    let allow = response.header("Allow").unwrap();
    assert!(allow.contains("PROPFIND") && allow.contains("HEAD") && !allow.contains("DELETE"));
    assert!(response.header("DAV").unwrap().contains("extended-mkcol"));
    let page = world.ask("alice", "GET /dav/", "").await;
    assert_eq!(page.status, 200);
    assert!(
        page.header("Content-Type")
            .unwrap()
            .starts_with("text/html")
    );
}

#[tokio::test]
async fn propfind_answers_names_allprop_and_depth() {
    let world = World::new().await;
    world.put("alice", "calendar", ("ä b@c+%.ics", "u1")).await;
    let calendar = "/dav/calendars/alice/calendar/";
    let infinity = world
        .ask("alice", "PROPFIND /dav/\nDepth: infinity", "")
        .await;
    assert_eq!(infinity.status, 403);
    assert_eq!(condition(&infinity), "propfind-finite-depth");

    let all = world
        .ask("alice", &format!("PROPFIND {calendar}\nDepth: 1"), "")
        .await;
    let all = multistatus(&all);
    assert_eq!(all[1].0, format!("{calendar}%C3%A4%20b@c%2B%25.ics"));
    let (_, kind) = property(&all[1].1, Name::dav("getcontenttype")).unwrap();
    assert!(kind.text().starts_with("text/calendar"));
    assert!(property(&all[0].1, Name::dav("sync-token")).is_none());

    let names = "<propfind xmlns='DAV:'><propname/></propfind>";
    let names = world
        .ask("alice", &format!("PROPFIND {calendar}\nDepth: 0"), names)
        .await;
    let names = multistatus(&names);
    let (_, token) = property(&names[0].1, Name::dav("sync-token")).unwrap();
    assert_eq!(token.text(), "");
    assert!(property(&names[0].1, Name::dav("getcontentlength")).is_none());

    let include =
        "<propfind xmlns='DAV:'><allprop/><include><sync-token/><x/></include></propfind>";
    let include = world
        .ask("alice", &format!("PROPFIND {calendar}\nDepth: 0"), include)
        .await;
    let include = multistatus(&include);
    assert_eq!(
        property(&include[0].1, Name::dav("sync-token")).unwrap().0,
        200
    );
    assert_eq!(property(&include[0].1, Name::dav("x")).unwrap().0, 404);

    let minimal = format!("PROPFIND {calendar}\nDepth: 0\nBrief: t");
    let minimal = world
        .ask("alice", &minimal, &propfind(&["x", "resourcetype"]))
        .await;
    assert!(property(&multistatus(&minimal)[0].1, Name::dav("x")).is_none());

    for bad in [
        "<propfind xmlns='DAV:'/>",
        "<propfind xmlns='DAV:'>",
        "<other/>",
    ] {
        let bad = world.ask("alice", "PROPFIND /dav/\nDepth: 0", bad).await;
        assert_eq!(bad.status, 400);
    }
    let external = "<!DOCTYPE a [<!ENTITY b SYSTEM 'file:///etc/passwd'>]><a>&b;</a>";
    let external = world
        .ask("alice", "PROPFIND /dav/\nDepth: 0", external)
        .await;
    assert_eq!(condition(&external), "no-external-entities");
}
