//! The pages on which guests answer: no account, no script, nothing from elsewhere (RFC 5546 §3.2.3, §3.2.7 by hand).
//!
//! A page is opened by the signed link in the mail. Fetching it changes nothing, because mail scanners fetch links;
//! answering is a POST to the same link, which no other site knows. What a guest answers goes the way of an answer by
//! mail: `schedule::receive`.
//!
//! Times are told in the guest's zone once they chose one on any page of a person here; until then in the meeting's, with
//! its name, since nothing but a script could tell.

mod form;
mod guest;
mod html;
mod throttle;

use std::net::IpAddr;
use std::sync::Arc;

use crate::dav::{Request, Response, Shared};
use crate::ical::Timestamp;
use crate::mail::{LinkFault, Pattern, ReplyAddress, Words, choose_zone};
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
    site: Site,
    /// Requests of one client in a minute.
    clients: Throttle,
    /// Answers by one link in an hour.
    links: Throttle,
}

/// What the pages are told of the site.
#[derive(Clone, Debug)]
pub struct Site {
    /// How reply addresses look.
    pub pattern: Option<Pattern>,
    /// The language of guests of whom nothing is known.
    pub language: String,
    /// Scheme, host and port under which guests reach the pages; none if only the server's own are known.
    pub origin: Option<String>,
    /// How often pages may be asked for.
    pub rates: Rates,
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
    /// The pages of this server's guests.
    #[must_use]
    pub fn new(shared: Arc<Shared>, site: Site) -> Pages {
        Pages {
            clients: Throttle::new(site.rates.client, 60),
            links: Throttle::new(site.rates.link, 3600),
            shared,
            site,
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
        let asked = asked(request);
        let words = asked.unwrap_or_else(|| Words::first([self.site.language.as_str()]));
        if let Err(wait) = self.clients.lets(&client(request), now) {
            return Some(busy(words, wait));
        }
        let tongue = Tongue { asked, words };
        let answered = match (request.method.as_str(), part) {
            ("GET" | "HEAD", _) => self.show(request, (link, part), tongue, now).await,
            ("POST", Part::Page) => self.take(request, link, tongue, now).await,
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
        tongue: Tongue,
        now: Timestamp,
    ) -> Result<Response, Error> {
        let address = match self.opened(link, tongue.words, now).await? {
            Ok(address) => address,
            Err(response) => return Ok(response),
        };
        let Some(seen) = Seen::of(&self.shared, &address.guest, now).await? else {
            return Ok(plain(410, tongue.words, "page.gone"));
        };
        let words = tongue.of(&seen);
        if part == Part::File {
            let reply = self
                .site
                .pattern
                .as_ref()
                .map(|it| it.address(address.token));
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

    /// Takes an answer, a proposal or a choice of zone, and shows the page again.
    async fn take(
        &self,
        request: &Request,
        link: &str,
        tongue: Tongue,
        now: Timestamp,
    ) -> Result<Response, Error> {
        if !self.is_from_here(request) {
            return Ok(plain(403, tongue.words, "page.wrong"));
        }
        if !is_form(request) {
            return Ok(plain(415, tongue.words, "page.wrong"));
        }
        let address = match self.opened(link, tongue.words, now).await? {
            Ok(address) => address,
            Err(response) => return Ok(response),
        };
        if let Err(wait) = self.links.lets(&address.token.to_string(), now) {
            return Ok(busy(tongue.words, wait));
        }
        let Some(seen) = Seen::of(&self.shared, &address.guest, now).await? else {
            return Ok(plain(410, tongue.words, "page.gone"));
        };
        let form = Form::of_body(&request.body);
        let Some(done) = self.done(&address, &seen, &form, now).await? else {
            let words = tongue.of(&seen);
            let page = Page {
                words,
                link,
                seen: &seen,
                form: &form,
                notice: Some(Notice::bad(words.text("page.wrong").to_owned())),
                now,
            };
            return Ok(document(422, words, html::page(&page)));
        };
        // Whoever reloads the page that follows answers nothing a second time.
        let target = format!("{}/{PLACE}/{link}{done}", request.prefix);
        Ok(guarded(Response::status(303).with("Location", target)))
    }

    /// Does what a form wants; answers the query of the page that says so, none if it wants nothing that there is.
    async fn done(
        &self,
        address: &ReplyAddress,
        seen: &Seen,
        form: &Form,
        now: Timestamp,
    ) -> Result<Option<&'static str>, Error> {
        let (message, done) = match form.wish {
            Some(Wish::Answer) => (seen.reply(form, now), "?done=answer"),
            Some(Wish::Propose) => (seen.counter(form, now), "?done=proposal"),
            Some(Wish::Zone) => {
                let Some(zone) = form.zone.as_deref().and_then(Zone::named) else {
                    return Ok(None);
                };
                choose_zone(&self.shared.store, &address.guest, &zone, now).await?;
                return Ok(Some(""));
            }
            None => (None, ""),
        };
        let Some(message) = message else {
            return Ok(None);
        };
        let home = address.guest.home;
        let reason = crate::schedule::receive(&self.shared, home, &message, now).await?;
        tracing::info!(?reason, method = %message.method, "a guest answered on the page");
        Ok(Some(done))
    }

    /// Whether a form was sent from our own page: browsers say where from, if they say anything. Behind a proxy that
    /// does not pass the host on, the page is where the settings say.
    fn is_from_here(&self, request: &Request) -> bool {
        if let Some(site) = request.headers.get("Sec-Fetch-Site") {
            return site == "same-origin" || site == "none";
        }
        let Some(origin) = request.headers.get("Origin") else {
            return true;
        };
        let host = origin.split_once("://").map(|(_, host)| host);
        host == Some(request.host.as_str()) || self.site.origin.as_deref() == Some(origin)
    }
}

/// The language in which a page speaks.
#[derive(Clone, Copy)]
struct Tongue {
    /// The one the browser asks for.
    asked: Option<&'static Words>,
    /// The one for somebody of whom nothing else is known.
    words: &'static Words,
}

impl Tongue {
    /// The one for the guest of a meeting: as the browser asks, else as the mail was written.
    fn of(self, seen: &Seen) -> &'static Words {
        let mail = || seen.locales.iter().find_map(|locale| Words::of(locale));
        self.asked.or_else(mail).unwrap_or(self.words)
    }
}

/// What of a page is asked for.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Part {
    Page,
    File,
}

/// Who asks, as far as it can be told: an address, or the network that a provider gives one customer.
fn client(request: &Request) -> String {
    match request.peer {
        None => String::new(),
        Some(IpAddr::V4(peer)) => peer.to_string(),
        Some(IpAddr::V6(peer)) => {
            let [a, b, c, d, ..] = peer.segments();
            format!("{a:x}:{b:x}:{c:x}:{d:x}")
        }
    }
}

/// Whether a body is what our form sends.
fn is_form(request: &Request) -> bool {
    let kind = request.headers.get("Content-Type").unwrap_or_default();
    let kind = kind.split(';').next().unwrap_or_default().trim();
    kind.eq_ignore_ascii_case("application/x-www-form-urlencoded")
}

/// The words of the first language in Accept-Language that there are some for.
fn asked(request: &Request) -> Option<&'static Words> {
    let accepted = request.headers.list("Accept-Language").unwrap_or_default();
    let mut languages: Vec<(u16, &str)> = accepted.split(',').take(20).map(weighed).collect();
    languages.sort_by_key(|(weight, _)| std::cmp::Reverse(*weight));
    languages
        .into_iter()
        .filter(|(weight, _)| *weight > 0)
        .find_map(|(_, language)| Words::of(language))
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
        return guarded(Response::text(405, "").with("Allow", "GET, HEAD"));
    }
    Response::status(200)
        .body("text/css; charset=utf-8", include_str!("style.css"))
        .with("Cache-Control", "public, max-age=86400")
        .with("Content-Security-Policy", POLICY)
        .with("X-Content-Type-Options", "nosniff")
}

/// The page for somebody who asks too often, and may again after so many seconds.
fn busy(words: &'static Words, wait: i64) -> Response {
    plain(429, words, "page.busy").with("Retry-After", wait.to_string())
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
