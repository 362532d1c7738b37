//! The pages on which guests answer: no account, no script, nothing from elsewhere (RFC 5546 §3.2.3, §3.2.7 by hand).
//!
//! A page is opened by the signed link in the mail. Fetching it changes nothing, because mail scanners fetch links;
//! answering is a POST to the same link, which no other site knows. What a guest answers goes the way of an answer by
//! mail: `schedule::receive`.
//!
//! **Gaps**: the guest's zone is the meeting's until they choose another on the page, since no script tells it.

mod form;
mod guest;
mod html;
mod throttle;

use std::sync::Arc;

use crate::dav::{Request, Response, Shared};
use crate::ical::Timestamp;
use crate::mail::{LinkFault, Pattern, ReplyAddress, Words};
use crate::recur::Zone;
use crate::store::Error;

use form::{Form, Wish};
use guest::Seen;
use html::{Notice, Page};
use throttle::Throttle;

/// The pages and what they need.
#[derive(Debug)]
pub struct Pages {
    shared: Arc<Shared>,
    pattern: Option<Pattern>,
    /// Requests of one client in a minute.
    clients: Throttle,
    /// Answers by one link in an hour.
    links: Throttle,
}

/// How often pages are asked for and answered.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Rates {
    /// Requests of one client in a minute.
    pub client: usize,
    /// Answers by one link in an hour.
    pub link: usize,
}

impl Default for Rates {
    fn default() -> Rates {
        Rates {
            client: 120,
            link: 30,
        }
    }
}

/// Where the pages are, below the server's prefix.
const PLACE: &str = "rsvp";

/// What the browser may do with a page: show it with our style, and send its form back here.
const POLICY: &str = "default-src 'none'; style-src 'self'; form-action 'self'; \
     base-uri 'none'; frame-ancestors 'none'";

impl Pages {
    /// The pages of this server's guests. `pattern` is how reply addresses look.
    #[must_use]
    pub fn new(shared: Arc<Shared>, pattern: Option<Pattern>, rates: Rates) -> Pages {
        Pages {
            shared,
            pattern,
            clients: Throttle::new(rates.client, 60),
            links: Throttle::new(rates.link, 3600),
        }
    }

    /// Answers a request whose path is that of a page; none for all others.
    pub async fn answer(&self, request: &Request, now: Timestamp) -> Option<Response> {
        let segments: Vec<&str> = request.path.segments().iter().map(String::as_str).collect();
        let (link, part) = match segments.as_slice() {
            [PLACE, "style.css"] => return Some(style(request)),
            [PLACE, link] => (*link, Part::Page),
            [PLACE, link, "invite.ics"] => (*link, Part::File),
            [PLACE, ..] => ("", Part::Page),
            _ => return None,
        };
        let words = words(request);
        let client = request
            .peer
            .map_or_else(String::new, |peer| peer.to_string());
        if !self.clients.lets(&client, now) {
            return Some(plain(429, words, "page.busy").with("Retry-After", "60"));
        }
        let answered = match (request.method.as_str(), part) {
            ("GET" | "HEAD", _) => self.show(request, (link, part), words, now).await,
            ("POST", Part::Page) => self.take(request, link, words, now).await,
            _ => {
                let allow = match part {
                    Part::Page => "GET, HEAD, POST",
                    Part::File => "GET, HEAD",
                };
                Ok(plain(405, words, "page.wrong").with("Allow", allow))
            }
        };
        Some(answered.unwrap_or_else(|error| {
            tracing::error!(%error, "a guest's page cannot be shown");
            plain(503, words, "page.busy").with("Retry-After", "10")
        }))
    }

    /// Whom a link is for, or the page that says why it does not open.
    async fn opened(
        &self,
        link: &str,
        words: &'static Words,
        now: Timestamp,
    ) -> Result<Result<ReplyAddress, Response>, Error> {
        let opened = ReplyAddress::of_link(&self.shared.store, link, now).await?;
        Ok(opened.map_err(|fault| match fault {
            LinkFault::Unknown => plain(404, words, "page.unknown"),
            LinkFault::Expired(at) => {
                let date = words.date(at.utc().date());
                let text = words.say("page.expired", &[("date", &date)]);
                document(410, words, html::sentence(words, &text))
            }
        }))
    }

    async fn show(
        &self,
        request: &Request,
        (link, part): (&str, Part),
        words: &'static Words,
        now: Timestamp,
    ) -> Result<Response, Error> {
        let address = match self.opened(link, words, now).await? {
            Ok(address) => address,
            Err(response) => return Ok(response),
        };
        let Some(seen) = Seen::of(&self.shared, &address.guest, now).await? else {
            return Ok(plain(410, words, "page.gone"));
        };
        if part == Part::File {
            let reply = self.pattern.as_ref().map(|it| it.address(address.token));
            let file = seen.file(reply.as_deref(), words, now);
            let response = Response::status(200).body("text/calendar; charset=utf-8", file);
            let name = "attachment; filename=\"invite.ics\"";
            return Ok(guarded(response.with("Content-Disposition", name)));
        }
        let form = Form::of_query(request.query.as_deref().unwrap_or_default());
        let notice = match form.done.as_deref() {
            Some("answer") => Some(Notice::good(words.text("page.thanks").to_owned())),
            Some("proposal") => {
                let places = [("person", seen.organizer.as_str())];
                Some(Notice::good(words.say("page.proposed", &places)))
            }
            _ => None,
        };
        let page = Page {
            words,
            link,
            seen: &seen,
            form: &form,
            notice,
            now,
        };
        Ok(document(200, words, html::page(&page)))
    }

    /// Takes an answer, or a proposal, and shows the page again.
    async fn take(
        &self,
        request: &Request,
        link: &str,
        words: &'static Words,
        now: Timestamp,
    ) -> Result<Response, Error> {
        if !from_here(request) {
            return Ok(plain(403, words, "page.wrong"));
        }
        let address = match self.opened(link, words, now).await? {
            Ok(address) => address,
            Err(response) => return Ok(response),
        };
        if !self.links.lets(&address.token.to_string(), now) {
            return Ok(plain(429, words, "page.busy").with("Retry-After", "600"));
        }
        let Some(seen) = Seen::of(&self.shared, &address.guest, now).await? else {
            return Ok(plain(410, words, "page.gone"));
        };
        let form = Form::of_body(&request.body);
        let message = match &form.wish {
            Some(Wish::Answer) => seen.reply(&form, now),
            Some(Wish::Propose) => seen.counter(&form, now),
            None => None,
        };
        let Some(message) = message else {
            let notice = Some(Notice::bad(words.text("page.wrong").to_owned()));
            let page = Page {
                words,
                link,
                seen: &seen,
                form: &form,
                notice,
                now,
            };
            return Ok(document(422, words, html::page(&page)));
        };
        let home = address.guest.home;
        let reason = crate::schedule::receive(&self.shared, home, &message, now).await?;
        tracing::info!(?reason, method = %message.method, "a guest answered on the page");
        let done = match form.wish {
            Some(Wish::Propose) => "proposal",
            Some(Wish::Answer) | None => "answer",
        };
        let zone = form.zone.as_deref().and_then(Zone::named);
        let zone = zone.map_or_else(String::new, |zone| format!("&zone={}", zone.id()));
        // Whoever reloads the page that follows answers nothing a second time.
        let target = format!("{}/{PLACE}/{link}?done={done}{zone}", request.prefix);
        Ok(guarded(Response::status(303).with("Location", target)))
    }
}

/// What of a page is asked for.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Part {
    Page,
    File,
}

/// Whether a form was sent from our own page: browsers say where from, if they say anything.
fn from_here(request: &Request) -> bool {
    let site = request.headers.get("Sec-Fetch-Site");
    let origin = request.headers.get("Origin");
    let here = |origin: &str| {
        origin
            .split_once("://")
            .is_some_and(|(_, it)| it == request.host)
    };
    site.is_none_or(|site| site == "same-origin" || site == "none") && origin.is_none_or(here)
}

/// The words of the first language in Accept-Language that there are some for.
fn words(request: &Request) -> &'static Words {
    let accepted = request.headers.list("Accept-Language").unwrap_or_default();
    let mut languages: Vec<(u16, &str)> = accepted.split(',').take(20).map(weighed).collect();
    languages.sort_by_key(|(weight, _)| std::cmp::Reverse(*weight));
    Words::first(
        languages
            .into_iter()
            .filter(|(weight, _)| *weight > 0)
            .map(|(_, it)| it),
    )
}

/// A language with its weight in thousandths. RFC 9110 §12.5.4
fn weighed(language: &str) -> (u16, &str) {
    let (name, rest) = language.split_once(';').unwrap_or((language, ""));
    let weight = rest.trim().strip_prefix("q=");
    let digits = weight.map_or("1", str::trim);
    let (whole, part) = digits.split_once('.').unwrap_or((digits, ""));
    let part: String = part.chars().chain("000".chars()).take(3).collect();
    let thousandths = match whole {
        "0" | "" => part.parse().unwrap_or(0),
        _ => 1000,
    };
    (thousandths, name.trim())
}

fn style(request: &Request) -> Response {
    if request.method != "GET" && request.method != "HEAD" {
        return Response::text(405, "").with("Allow", "GET, HEAD");
    }
    Response::status(200)
        .body("text/css; charset=utf-8", include_str!("style.css"))
        .with("Cache-Control", "public, max-age=86400")
        .with("X-Content-Type-Options", "nosniff")
}

/// A page that says one thing.
fn plain(status: u16, words: &'static Words, key: &str) -> Response {
    document(status, words, html::sentence(words, words.text(key)))
}

fn document(status: u16, words: &'static Words, text: String) -> Response {
    guarded(
        Response::status(status)
            .body("text/html; charset=utf-8", text)
            .with("Content-Language", words.code())
            .with("Vary", "Accept-Language"),
    )
}

/// The headers of everything that belongs to one guest alone.
fn guarded(response: Response) -> Response {
    response
        .with("Content-Security-Policy", POLICY)
        .with("Cache-Control", "no-store")
        .with("Referrer-Policy", "same-origin")
        .with("X-Content-Type-Options", "nosniff")
        .with("X-Frame-Options", "DENY")
        .with("X-Robots-Tag", "noindex, nofollow")
}

/// Reads what a page is asked with, as the pages do: for those who try to break it.
pub fn read_parameters(text: &[u8]) {
    let body = Form::of_body(text);
    let query = Form::of_query(&String::from_utf8_lossy(text));
    for form in [body, query] {
        let zone = form.zone.as_deref().and_then(Zone::named);
        // Both may be anything; what comes of them must not matter.
        let _ = (
            form.proposal(&zone.unwrap_or_else(Zone::utc)),
            form.comment(),
        );
    }
}
