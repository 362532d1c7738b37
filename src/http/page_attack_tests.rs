//! What people do to a guest's page who mean no good, and what links do when their meeting changed: each try leaves the
//! organizer's object as it was.

use super::page_tests::{FORM, SERIES, Site, guest_line, text};
use super::world::{NOW, by, request};
use crate::auth::accounts;
use crate::dav::Response;
use crate::store::PrincipalKind;
use crate::web::Rates;

/// As often as a test likes.
const ANY: Rates = Rates {
    client: 100_000,
    link: 100_000,
};

const ACCEPTS: &str = "do=answer&answer=accepted";

/// Every answer has the headers that keep it to one guest, whatever it is.
fn assert_guarded(response: &Response, what: &str) {
    let policy = response.header("Content-Security-Policy");
    let policy = policy.unwrap_or_else(|| panic!("{what}: no policy"));
    assert!(policy.starts_with("default-src 'none'"), "{what}");
    assert!(policy.contains("frame-ancestors 'none'"), "{what}");
    for (name, value) in [
        ("Cache-Control", "no-store"),
        ("X-Content-Type-Options", "nosniff"),
        ("X-Frame-Options", "DENY"),
        ("Referrer-Policy", "same-origin"),
        ("X-Robots-Tag", "noindex, nofollow"),
    ] {
        assert_eq!(response.header(name), Some(value), "{what}: {name}");
    }
}

impl Site {
    /// Posts with these headers.
    async fn post_with(&self, headers: &[&str], body: &str) -> Response {
        let head = format!("POST {}\n{}", self.link, headers.join("\n"));
        self.ask(head.trim_end(), body, NOW).await
    }

    /// What changes when anything of alice's does.
    async fn revision(&self) -> u64 {
        let id = self.world.id("alice").await;
        let home = self.world.server.shared.store.home(id).await.unwrap();
        home.revision()
    }

    async fn put(&self, text: &str) {
        let head = "PUT /dav/calendars/alice/calendar/weekly.ics\nContent-Type: text/calendar";
        let put = self.world.ask("alice", head, text).await;
        assert_eq!(put.status, 204);
    }
}

/// The same text with the letter at this place replaced.
fn changed(text: &str, place: usize) -> String {
    let with = |c| if c == 'a' { 'b' } else { 'a' };
    let letters = text.chars().enumerate();
    letters
        .map(|(at, c)| if at == place { with(c) } else { c })
        .collect()
}

#[tokio::test]
async fn a_link_that_was_not_made_here_opens_nothing() {
    let site = Site::new(ANY).await;
    let before = site.revision().await;
    let own = site.link.strip_prefix("/rsvp/").unwrap().to_owned();
    let other = site.link_of("bob@example.org").await;
    let other = other.strip_prefix("/rsvp/").unwrap();
    let [page, until, signature] = own.split('.').collect::<Vec<_>>()[..] else {
        panic!("{own}");
    };
    let [page2, _, signature2] = other.split('.').collect::<Vec<_>>()[..] else {
        panic!("{other}");
    };
    let later = until.parse::<i64>().unwrap() + 1;
    let mut tried = vec![
        format!("{page}.{until}.{signature2}"),
        format!("{page2}.{until}.{signature}"),
        format!("{page}.{later}.{signature}"),
        format!("{page}.0{until}0.{signature}"),
        format!("{page}.9223372036854775807.{signature}"),
        format!("{page}.99999999999999999999.{signature}"),
        format!("{page}.-1.{signature}"),
        format!("{page}.{until}."),
        format!("{page}.{until}"),
        page.to_owned(),
        format!("{signature}.{until}.{page}"),
        format!("{own}.{signature}"),
        format!("{own}%00"),
        format!("%20{own}"),
        "a".repeat(5000),
        "..".to_owned(),
        "%2e%2e%2fetc%2fpasswd".to_owned(),
    ];
    tried.extend((0..26).map(|at| changed(&own, at)));
    tried.extend((0..own.len()).step_by(3).map(|cut| own[..cut].to_owned()));
    let end = own.len();
    tried.extend((end - 26..end - 1).map(|at| changed(&own, at)));
    for link in tried {
        for head in [
            format!("GET /rsvp/{link}"),
            format!("POST /rsvp/{link}\n{FORM}"),
            format!("GET /rsvp/{link}/invite.ics"),
        ] {
            let (_, path) = head.lines().next().unwrap().split_once(' ').unwrap();
            if crate::dav::Path::parse(path).is_err() {
                continue;
            }
            let response = site.ask(&head, ACCEPTS, NOW).await;
            let known = [401, 404, 405].contains(&response.status);
            assert!(known, "{head}: {}", response.status);
            if response.status == 404 {
                assert_guarded(&response, &head);
            }
        }
    }
    assert_eq!(site.revision().await, before);
    // A mail program may change the case of a link and no more.
    let loud = site.link.to_uppercase().replace("RSVP", "rsvp");
    let opened = site.ask(&format!("GET {loud}"), "", NOW).await;
    assert_eq!(opened.status, 200);
}

#[tokio::test]
async fn only_a_post_answers() {
    let site = Site::new(ANY).await;
    let before = site.revision().await;
    for query in [
        "",
        "?answer=accepted",
        "?do=answer&answer=accepted",
        "?do=zone&zone=Asia/Tokyo",
    ] {
        for method in ["GET", "HEAD"] {
            let head = format!(
                "{method} {}{query}\nX-HTTP-Method-Override: POST",
                site.link
            );
            let response = site.ask(&head, ACCEPTS, NOW).await;
            assert_eq!(response.status, 200, "{head}");
            assert_guarded(&response, &head);
        }
    }
    for method in [
        "PUT", "DELETE", "PATCH", "OPTIONS", "PROPFIND", "REPORT", "MKCOL", "post", "TRACE",
    ] {
        let head = format!("{method} {}\n{FORM}", site.link);
        let response = site.ask(&head, ACCEPTS, NOW).await;
        assert_eq!(response.status, 405, "{head}");
        assert_guarded(&response, &head);
    }
    let style = site.ask("POST /rsvp/style.css", ACCEPTS, NOW).await;
    assert_eq!(
        (style.status, style.header("Allow")),
        (405, Some("GET, HEAD"))
    );
    assert_guarded(&style, "style");
    assert_eq!(site.revision().await, before);
}

#[tokio::test]
async fn another_site_cannot_answer_for_a_guest() {
    let site = Site::new(ANY).await;
    let before = site.revision().await;
    for headers in [
        &["Origin: https://evil.example"][..],
        &["Origin: null"],
        &["Origin: https://cal.example.org.evil.example"],
        &["Origin: https://evil.example/cal.example.org"],
        &["Origin: cal.example.org"],
        &["Origin: https://cal.example.org:8443"],
        &[
            "Sec-Fetch-Site: cross-site",
            "Origin: https://cal.example.org",
        ],
        &[
            "Sec-Fetch-Site: same-site",
            "Origin: https://cal.example.org",
        ],
        &["Sec-Fetch-Site: Same-Origin, cross-site"],
    ] {
        let headers = [headers, &[FORM]].concat();
        let response = site.post_with(&headers, ACCEPTS).await;
        assert_eq!(response.status, 403, "{headers:?}");
        assert_guarded(&response, "403");
    }
    // Nor can what a form of another site may send without asking, or a script of it.
    for kind in [
        "Content-Type: text/plain",
        "Content-Type: multipart/form-data; boundary=x",
        "Content-Type: application/json",
        "Content-Type: text/plain; application/x-www-form-urlencoded",
        "Accept: */*",
    ] {
        let response = site.post_with(&[kind], ACCEPTS).await;
        assert_eq!(response.status, 415, "{kind}");
        assert_guarded(&response, "415");
    }
    assert_eq!(site.revision().await, before);
    // A proxy that does not pass the host on, and browsers that say where the form is from.
    for headers in [
        &["Origin: https://cal.example.org", "Host: 127.0.0.1:8080"][..],
        &["Sec-Fetch-Site: same-origin", "Origin: null"],
        &["Content-Type: Application/X-WWW-Form-URLencoded ; charset=utf-8"],
    ] {
        let head = format!("POST {}\n{FORM}\n{}", site.link, headers.join("\n"));
        let head = head.replace(&format!("{FORM}\nContent-Type"), "Content-Type");
        let mut request = request("", &head, ACCEPTS);
        request.host = "127.0.0.1:8080".to_owned();
        let response = super::answer(&site.world.server, request, NOW).await;
        assert_eq!(response.status, 303, "{headers:?}");
    }
}

#[tokio::test]
async fn a_form_that_is_not_ours_does_nothing() {
    let site = Site::new(ANY).await;
    let before = site.revision().await;
    let long = format!("{ACCEPTS}&comment={}", "x".repeat(17_000));
    let fields = format!("{ACCEPTS}{}", "&f=1".repeat(5000));
    for body in [
        long.as_str(),
        &fields,
        "do=answer&answer=accepted&answer=declined",
        "do=answer&do=propose&answer=accepted",
        "do=answer&answer=accepted%00",
        "do=answer&answer=ACCEPTED",
        "do%00=answer&answer=accepted",
        "do=answer;answer=accepted",
        "\u{0}\u{1}\u{2}",
        "&&&&===",
        "%",
        "do=answer&answer=%ff%fe",
        // Occurrences that there are not.
        "do=answer&answer=accepted&which=20270118T090001Z",
        "do=answer&answer=accepted&which=20270118",
        "do=answer&answer=accepted&which=20270118T100000",
        "do=answer&answer=accepted&which=20270222T090000Z",
        "do=answer&answer=accepted&which=19700101T000000Z",
        "do=answer&answer=accepted&which=99991231T235959Z",
        "do=answer&answer=accepted&which=x",
        "do=answer&answer=accepted&which=20270118T090000Z%0D%0AATTENDEE:mailto:eve@evil.example",
        // Proposals that are none.
        "do=propose&start=2027-01-18T10:00%0D%0ASUMMARY:x&end=2027-01-18T11:00",
        "do=propose&start=2027-01-18T10:00&end=9999-12-31T23:59",
        "do=propose&start=-0001-01-01T00:00&end=2027-01-18T10:00",
        "do=propose&start=2027-02-30T10:00&end=2027-02-30T11:00",
        "do=propose&start=2027-01-25T10:00&end=2027-01-25T11:00&which=20270126T090000Z",
        // Zones that are none.
        "do=zone",
        "do=zone&zone=",
        "do=zone&zone=Nowhere/At_All",
        "do=zone&zone=../../etc/passwd",
        "do=zone&zone=Europe/Berlin%0D%0ASet-Cookie:%20a=b",
        "do=zone&zone=Europe/Berlin%00",
    ] {
        let response = site.post(body).await;
        let shown: String = body.chars().take(80).collect();
        assert_eq!(response.status, 422, "{shown}");
        assert_guarded(&response, &shown);
    }
    assert_eq!(site.revision().await, before);
}

#[tokio::test]
async fn texts_of_others_are_texts_on_the_page_and_in_the_object() {
    let evil = "\"><script>alert(1)</script><img src=x onerror=alert(1)>'";
    let meeting = SERIES
        .replace(
            "SUMMARY:Planning <b>& co",
            &format!("SUMMARY:{evil}\r\nDESCRIPTION:{evil}\r\nURL:javascript:alert(1)"),
        )
        .replace("LOCATION:Room 1", &format!("LOCATION:{evil}"))
        .replace("CN=Alice Adams", "CN=\"<script>alert(2)</script>\"")
        .replace("CN=Guest", "CN=\"</title><svg onload=alert(3)>\"");
    let site = Site::of(ANY, &meeting).await;
    let comment = "%22%3E%3Cscript%3Ealert(4)%3C%2Fscript%3E%0D%0AATTENDEE;PARTSTAT=ACCEPTED:mailto:eve%40evil.example%0D%0AEND:VEVENT%00%1b%07";
    let done = site.post(&format!("{ACCEPTS}&comment={comment}")).await;
    assert_eq!(done.status, 303, "{}", text(&done));
    let target = format!("{}?done=answer", site.link);
    assert_eq!(done.header("Location"), Some(target.as_str()));
    let object = site.object("alice").await;
    assert!(
        guest_line(&object).contains("PARTSTAT=ACCEPTED"),
        "{object}"
    );
    let lines = |start: &str| object.lines().filter(|l| l.starts_with(start)).count();
    assert_eq!((lines("ATTENDEE"), lines("END:VEVENT")), (3, 1), "{object}");
    assert!(!object.contains(['\u{0}', '\u{1b}', '\u{7}']), "{object}");
    let failed =
        format!("do=answer&answer=x&which=%22%3E%3Cb%3E&zone=%22%3E%3Cb%3E&comment={comment}");
    for page in [
        site.get("").await,
        site.post(&failed).await,
        site.get("?done=%3Cb%3E&zone=%22%3E%3Cb%3E").await,
    ] {
        let html = text(&page);
        for raw in [
            "<script",
            "<img",
            "<svg",
            "onerror=alert(1)>'",
            "\"><b>",
            "href=\"javascript",
            "</title><",
        ] {
            assert!(!html.contains(raw), "{raw}\n{html}");
        }
        assert!(html.contains("&lt;script&gt;alert(1)"), "{html}");
    }
}

#[tokio::test]
async fn who_asks_too_often_is_told_when_to_come_back() {
    let site = Site::new(Rates { client: 3, link: 2 }).await;
    let ask = async |peer: &str, now: i64| {
        let mut request = request("", &format!("GET {}", site.link), "");
        request.peer = Some(peer.parse().unwrap());
        let now = crate::ical::Timestamp(now);
        super::answer(&site.world.server, request, now).await
    };
    for _ in 0..3 {
        assert_eq!(ask("192.0.2.1", NOW.0 + 10).await.status, 200);
    }
    let busy = ask("192.0.2.1", NOW.0 + 10).await;
    assert_eq!((busy.status, busy.header("Retry-After")), (429, Some("50")));
    assert_guarded(&busy, "429");
    assert_eq!(ask("192.0.2.2", NOW.0 + 10).await.status, 200);
    // The addresses of one customer's network are one client.
    for last in 1..4 {
        let peer = format!("2001:db8:1:2::{last}");
        assert_eq!(ask(&peer, NOW.0 + 10).await.status, 200);
    }
    assert_eq!(ask("2001:db8:1:2:3:4:5:6", NOW.0 + 10).await.status, 429);
    assert_eq!(ask("2001:db8:1:3::1", NOW.0 + 10).await.status, 200);
    assert_eq!(ask("192.0.2.1", NOW.0 + 60).await.status, 200);
    // One guest is one guest, from wherever they ask; another guest has their own count.
    let answered = async |link: &str, last: u8| {
        let mut request = request("", &format!("POST {link}\n{FORM}"), ACCEPTS);
        request.peer = Some(format!("198.51.100.{last}").parse().unwrap());
        super::answer(&site.world.server, request, NOW).await
    };
    assert_eq!(answered(&site.link, 1).await.status, 303);
    assert_eq!(answered(&site.link, 2).await.status, 303);
    let busy = answered(&site.link, 3).await;
    assert_eq!(
        (busy.status, busy.header("Retry-After")),
        (429, Some("3600"))
    );
    assert_guarded(&busy, "429");
    let other = site.link_of("bob@example.org").await;
    assert_eq!(answered(&other, 4).await.status, 303);
}

#[tokio::test]
async fn a_link_goes_the_way_of_its_meeting() {
    let site = Site::new(ANY).await;
    let closed = async |what: &str| {
        for response in [
            site.get("").await,
            site.get("/invite.ics").await,
            site.post(ACCEPTS).await,
        ] {
            assert_eq!(response.status, 410, "{what}");
            assert_guarded(&response, what);
        }
    };
    // The guest is no longer invited, and is again.
    let alone: Vec<&str> = SERIES
        .split_inclusive("\r\n")
        .filter(|l| !l.contains("guest@"))
        .collect();
    site.put(&alone.concat()).await;
    let before = site.object("alice").await;
    closed("the guest was removed").await;
    assert_eq!(site.object("alice").await, before);
    site.put(SERIES).await;
    assert_eq!(site.post(ACCEPTS).await.status, 303);
    // It is called off.
    let off = SERIES.replace("SUMMARY:", "STATUS:CANCELLED\r\nSUMMARY:");
    site.put(&off).await;
    closed("it is called off").await;
    site.put(SERIES).await;
    assert_eq!(site.get("").await.status, 200);
    // An occurrence that is called off cannot be answered.
    let without = SERIES.replace(
        "RRULE",
        "EXDATE;TZID=Europe/Berlin:20270125T100000\r\nRRULE",
    );
    site.put(&without).await;
    let gone = site
        .post(&format!("{ACCEPTS}&which=20270125T090000Z"))
        .await;
    assert_eq!(gone.status, 422);
    // The organizer has no account any more.
    let store = &site.world.server.shared.store;
    accounts::remove(store, &[PrincipalKind::User], "alice", &by())
        .await
        .unwrap();
    closed("the organizer is gone").await;
}
