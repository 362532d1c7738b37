//! The pages of guests over a whole server: what they show, what answering does, and what they refuse.

use super::Server;
use super::answer;
use super::world::{NOW, World, request};
use crate::dav::Response;
use crate::ical::Timestamp;
use crate::mail::{Guest, ReplyAddress};
use crate::web::{Pages, Rates, Site as Setting};
use std::sync::Arc;

pub(super) const SERIES: &str = "BEGIN:VCALENDAR\r\nVERSION:2.0\r\nPRODID:-//Example Corp.//CalDAV Client//EN\r\nBEGIN:VEVENT\r\nUID:weekly\r\nDTSTAMP:20261120T090000Z\r\nDTSTART;TZID=Europe/Berlin:20270118T100000\r\nDTEND;TZID=Europe/Berlin:20270118T110000\r\nRRULE:FREQ=WEEKLY;COUNT=5\r\nSUMMARY:Planning <b>& co\r\nLOCATION:Room 1\r\nORGANIZER;CN=Alice Adams:mailto:alice@example.org\r\nATTENDEE;PARTSTAT=ACCEPTED:mailto:alice@example.org\r\nATTENDEE;CN=Guest;PARTSTAT=NEEDS-ACTION;RSVP=TRUE:mailto:guest@example.com\r\nATTENDEE;PARTSTAT=NEEDS-ACTION;RSVP=TRUE:mailto:bob@example.org\r\nEND:VEVENT\r\nEND:VCALENDAR\r\n";

pub(super) struct Site {
    pub(super) world: World,
    pub(super) link: String,
}

impl Site {
    pub(super) async fn new(rates: Rates) -> Site {
        Site::of(rates, SERIES).await
    }

    /// The site with this meeting of alice's, whose UID is "weekly".
    pub(super) async fn of(rates: Rates, meeting: &str) -> Site {
        let world = World::new().await;
        let server: &Arc<Server> = &world.server;
        let pattern = "calendar+{token}@example.org".parse().unwrap();
        let setting = Setting {
            pattern: Some(pattern),
            language: "en".to_owned(),
            origin: Some("https://cal.example.org".to_owned()),
            rates,
        };
        let pages = Pages::new(server.shared.clone(), setting);
        server.pages.set(pages).unwrap();
        let head = "PUT /dav/calendars/alice/calendar/weekly.ics\nContent-Type: text/calendar";
        assert_eq!(world.ask("alice", head, meeting).await.status, 201);
        let mut site = Site {
            world,
            link: String::new(),
        };
        site.link = site.link_of("guest@example.com").await;
        site
    }

    /// The link of another guest.
    pub(super) async fn link_of(&self, attendee: &str) -> String {
        let guest = Guest::new(self.world.id("alice").await, "weekly", attendee);
        let store = &self.world.server.shared.store;
        let address = ReplyAddress::of(store, &guest, NOW).await.unwrap();
        format!("/{}", address.link(Timestamp(NOW.0 + 86_400)))
    }

    pub(super) async fn get(&self, query: &str) -> Response {
        self.ask(&format!("GET {}{query}", self.link), "", NOW)
            .await
    }

    pub(super) async fn post(&self, body: &str) -> Response {
        let head = format!(
            "POST {}\nOrigin: https://cal.example.org\n{FORM}",
            self.link
        );
        self.ask(&head, body, NOW).await
    }

    pub(super) async fn ask(&self, head: &str, body: &str, now: Timestamp) -> Response {
        answer(&self.world.server, request("", head, body), now).await
    }

    /// The object of somebody, unfolded.
    pub(super) async fn object(&self, who: &str) -> String {
        let path = match who {
            "alice" => "GET /dav/calendars/alice/calendar/weekly.ics".to_owned(),
            _ => format!("GET /dav/calendars/{who}/calendar/weekly.ics"),
        };
        let response = self.world.ask(who, &path, "").await;
        assert_eq!(response.status, 200, "{path}");
        text(&response).replace("\r\n ", "")
    }
}

pub(super) const FORM: &str = "Content-Type: application/x-www-form-urlencoded";

pub(super) fn text(response: &Response) -> String {
    String::from_utf8(response.body.to_vec()).unwrap()
}

pub(super) fn guest_line(object: &str) -> &str {
    let mut lines = object.lines();
    lines
        .find(|line| line.contains("guest@example.com"))
        .unwrap()
}

#[tokio::test]
async fn a_page_shows_the_meeting_and_changes_nothing() {
    let site = Site::new(Rates::default()).await;
    let before = site.object("alice").await;
    let page = site.get("?answer=accepted").await;
    assert_eq!(page.status, 200);
    let html = text(&page);
    for part in [
        "<html lang=\"en\">",
        "Planning &lt;b&gt;&amp; co",
        "Room 1",
        "Alice Adams",
        "10:00 am",
        "Europe/Berlin",
        "value=\"accepted\" checked",
        "You have not answered yet.",
        "<option value=\"20270118T090000Z\">",
        "maxlength=\"500\"",
        "type=\"datetime-local\" value=\"2027-01-18T10:00\"",
    ] {
        assert!(html.contains(part), "{part}\n{html}");
    }
    for absent in ["<script", "http://", "https://", "<b>& co", " style="] {
        assert!(!html.contains(absent), "{absent}\n{html}");
    }
    let policy = page.header("Content-Security-Policy").unwrap();
    assert!(policy.starts_with("default-src 'none'; style-src 'self'"));
    assert_eq!(page.header("Cache-Control"), Some("no-store"));
    assert_eq!(page.header("X-Robots-Tag"), Some("noindex, nofollow"));
    // In the guest's own language.
    let head = format!(
        "GET {}\nAccept-Language: xx, en;q=0.3, de-AT;q=0.8",
        site.link
    );
    let german = site.ask(&head, "", NOW).await;
    assert_eq!(german.header("Content-Language"), Some("de"));
    assert!(text(&german).contains("Sie haben noch nicht geantwortet."));
    let head = format!("HEAD {}", site.link);
    assert_eq!(site.ask(&head, "", NOW).await.status, 200);
    let style = site.ask("GET /rsvp/style.css", "", NOW).await;
    assert_eq!(
        style.header("Content-Type"),
        Some("text/css; charset=utf-8")
    );
    assert_eq!(site.object("alice").await, before);
}

#[tokio::test]
async fn a_guests_zone_is_asked_for_once() {
    let site = Site::new(Rates::default()).await;
    assert!(text(&site.get("").await).contains("10:00 am – 11:00 am (Europe/Berlin, UTC+1)"));
    let done = site.post("do=zone&zone=America%2FNew_York").await;
    assert_eq!(done.status, 303);
    assert_eq!(done.header("Location"), Some(site.link.as_str()));
    let html = text(&site.get("").await);
    for part in [
        "4:00 am – 5:00 am (America/New_York, UTC-5)",
        "<option value=\"America/New_York\" selected>",
        "name=\"zone\" value=\"America/New_York\"",
        "type=\"datetime-local\" value=\"2027-01-18T04:00\"",
    ] {
        assert!(html.contains(part), "{part}\n{html}");
    }
    // It is this guest's own, and in the mails that follow too.
    let other = site.link_of("bob@example.org").await;
    let html = text(&site.ask(&format!("GET {other}"), "", NOW).await);
    assert!(html.contains("10:00 am"), "{html}");
    let store = &site.world.server.shared.store;
    let guest = Guest::new(site.world.id("alice").await, "another", "guest@example.com");
    let zone = crate::mail::zone_of(store, &guest).await.unwrap();
    assert_eq!(zone.unwrap().id(), "America/New_York");
}

#[tokio::test]
async fn a_page_speaks_as_the_mail_did_where_the_browser_does_not_say() {
    let meeting = SERIES.replace(";CN=Guest;", ";CN=Guest;LANGUAGE=pl;");
    let site = Site::of(Rates::default(), &meeting).await;
    for (accepted, code) in [("", "pl"), ("sv, fi", "pl"), ("sv, it;q=0.2", "it")] {
        let head = format!("GET {}\nAccept-Language: {accepted}", site.link);
        let page = site.ask(&head, "", NOW).await;
        assert_eq!(page.header("Content-Language"), Some(code), "{accepted}");
        assert!(text(&page).contains(&format!("<html lang=\"{code}\">")));
    }
}

#[tokio::test]
async fn an_answer_is_seen_by_the_organizer_and_the_others_at_once() {
    let site = Site::new(Rates::default()).await;
    let done = site
        .post("do=answer&answer=accepted&which=&comment=See+you")
        .await;
    assert_eq!(done.status, 303, "{}", text(&done));
    let target = done.header("Location").unwrap().to_owned();
    assert_eq!(target, format!("{}?done=answer", site.link));
    for who in ["alice", "bob"] {
        let object = site.object(who).await;
        let line = guest_line(&object);
        assert!(line.contains("PARTSTAT=ACCEPTED"), "{who}: {line}");
    }
    let html = text(&site.get("?done=answer").await);
    for part in [
        "Thank you",
        "Your answer so far: Yes",
        "Your comment: See you",
    ] {
        assert!(html.contains(part), "{part}\n{html}");
    }
    // One occurrence: the others stay as they were answered.
    let done = site
        .post("do=answer&answer=declined&which=20270125T090000Z")
        .await;
    assert_eq!(done.status, 303);
    let object = site.object("alice").await;
    assert!(
        object.contains("RECURRENCE-ID;TZID=Europe/Berlin:20270125T100000"),
        "{object}"
    );
    let answers: Vec<bool> = object
        .lines()
        .filter(|line| line.contains("guest@example.com"))
        .map(|line| line.contains("PARTSTAT=DECLINED"))
        .collect();
    assert_eq!(answers, [false, true], "{object}");
    let html = text(&site.get("").await);
    assert!(html.contains("25 January 2027, 10:00 am: No"), "{html}");
    // And then all of them.
    site.post("do=answer&answer=tentative&which=").await;
    let object = site.object("alice").await;
    let guests = object
        .lines()
        .filter(|line| line.contains("guest@example.com"));
    assert!(
        guests.clone().count() == 2 && guests.clone().all(|l| l.contains("TENTATIVE")),
        "{object}"
    );
}

#[tokio::test]
async fn a_proposal_reaches_the_organizers_inbox_and_changes_nothing() {
    let site = Site::new(Rates::default()).await;
    let before = site.object("alice").await;
    let body = "do=propose&which=20270125T090000Z&zone=America%2FNew_York&start=2027-01-25T08:30&end=2027-01-25T09%3A30&comment=later";
    let done = site.post(body).await;
    assert_eq!(done.status, 303, "{}", text(&done));
    let target = done.header("Location").unwrap();
    assert!(target.ends_with("?done=proposal"), "{target}");
    assert_eq!(site.object("alice").await, before);
    let head = "PROPFIND /dav/calendars/alice/inbox/\nDepth: 1";
    let listing = text(&site.world.ask("alice", head, "").await);
    let href = listing
        .split(['<', '>'])
        .find(|it| it.ends_with(".ics"))
        .unwrap();
    let item = site.world.ask("alice", &format!("GET {href}"), "").await;
    let item = text(&item).replace("\r\n ", "");
    for part in [
        "METHOD:COUNTER",
        "DTSTART;TZID=Europe/Berlin:20270125T143000",
        "DTEND;TZID=Europe/Berlin:20270125T153000",
        "COMMENT:later",
        "BEGIN:VTIMEZONE",
    ] {
        assert!(item.contains(part), "{part}\n{item}");
    }
    assert!(!item.contains("RRULE:FREQ=WEEKLY"), "{item}");
}

#[tokio::test]
async fn the_file_is_the_guests_copy_with_the_reply_address() {
    let site = Site::new(Rates::default()).await;
    let head = format!("GET {}/invite.ics", site.link);
    let file = site.ask(&head, "", NOW).await;
    assert_eq!(
        file.header("Content-Type"),
        Some("text/calendar; charset=utf-8")
    );
    let file = text(&file).replace("\r\n ", "");
    assert!(
        file.contains("METHOD:REQUEST") && file.contains("mailto:calendar+"),
        "{file}"
    );
    let head = format!("POST {}/invite.ics", site.link);
    assert_eq!(site.ask(&head, "", NOW).await.status, 405);
}

#[tokio::test]
async fn what_is_not_a_guests_own_form_is_refused() {
    let site = Site::new(Rates {
        client: 1000,
        link: 8,
    })
    .await;
    let before = site.object("alice").await;
    for (path, status) in [
        ("/rsvp".to_owned(), 404),
        ("/rsvp/x".to_owned(), 404),
        (format!("{}x", site.link), 404),
        (format!("{}/more", site.link), 404),
    ] {
        let page = site.ask(&format!("GET {path}"), "", NOW).await;
        assert_eq!(page.status, status, "{path}");
    }
    let late = Timestamp(NOW.0 + 86_401);
    let expired = site.ask(&format!("GET {}", site.link), "", late).await;
    assert_eq!(expired.status, 410);
    let expired = site
        .ask(
            &format!("POST {}\n{FORM}", site.link),
            "do=answer&answer=declined",
            late,
        )
        .await;
    assert_eq!(expired.status, 410);
    for header in [
        "Origin: https://evil.example",
        "Origin: null",
        "Sec-Fetch-Site: cross-site",
        "Sec-Fetch-Site: same-site",
    ] {
        let head = format!("POST {}\n{FORM}\n{header}", site.link);
        let refused = site.ask(&head, "do=answer&answer=declined", NOW).await;
        assert_eq!(refused.status, 403, "{header}");
    }
    let put = site.ask(&format!("PUT {}", site.link), "", NOW).await;
    assert_eq!(
        (put.status, put.header("Allow")),
        (405, Some("GET, HEAD, POST"))
    );
    for body in [
        "",
        "do=answer",
        "do=answer&answer=DELEGATED",
        "do=answer&answer=accepted&which=20270119T090000Z",
        "do=propose&start=x&end=y",
        "do=propose&start=2027-01-25&end=2027-01-26",
        "do=propose&start=2027-01-25T10:00&end=2027-01-25T09:00",
    ] {
        assert_eq!(site.post(body).await.status, 422, "{body}");
    }
    assert_eq!(site.object("alice").await, before);
    // The eighth answer in this hour is the last.
    assert_eq!(site.post("do=answer&answer=accepted").await.status, 303);
    let busy = site.post("do=answer&answer=declined").await;
    assert_eq!(
        (busy.status, busy.header("Retry-After")),
        (429, Some("3600"))
    );
    // A meeting that is gone.
    let gone = site
        .world
        .ask(
            "alice",
            "DELETE /dav/calendars/alice/calendar/weekly.ics",
            "",
        )
        .await;
    assert_eq!(gone.status, 204);
    assert_eq!(site.get("").await.status, 410);
}
