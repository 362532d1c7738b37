//! One errand of the mail queue: the messages are made of the texts, composed, handed over, and the row
//! says what became of it.

use std::sync::Arc;
use std::sync::atomic::Ordering;

use bytes::Bytes;

use super::compose::{Addressing, Mail, Unmailable, compose, mail_address};
use super::queue::{Errand, Note};
use super::tidings::Occasion;
use super::token::{Guest, ReplyAddress};
use super::transport::Trouble;
use super::undelivered::undelivered;
use super::words::Words;
use super::worker::Mailer;
use super::zone::zone_of;
use crate::ical::{Component, Limits, Timestamp, address_key, parse};
use crate::itip::{Meeting, Message, Method, Weight};
use crate::recur::Zone;
use crate::schedule::journal::{self, Decision};
use crate::schedule::messages_of;
use crate::schedule::queue::MailItem;
use crate::store::{
    Actor, Change, Error, Home, Id, MailMessage, Position, Principal, Shelf, Store, again,
};

/// What somebody mailed today: home -> day and number.
const SENT: Shelf = Shelf("mail/sent");

/// The longest time between two attempts. RFC 5321 §4.5.4.1
const LONGEST_DELAY: i64 = 6 * 3_600;

const DAY: i64 = 86_400;

/// What an errand came to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Outcome {
    /// There is nothing more to do.
    Done,
    /// It is tried again then.
    Later(Timestamp),
    /// It is tried again, and nobody takes mail at all.
    Unreachable,
}

/// Why an errand ends before its mails are sent.
enum Ended {
    /// Nobody will ever take it.
    Failed(String),
    /// The store's.
    Store(Error),
}

impl From<Error> for Ended {
    fn from(error: Error) -> Ended {
        Ended::Store(error)
    }
}

/// Sends what an errand stands for.
pub(super) async fn send(
    mailer: &Mailer,
    errand: &Errand,
    now: Timestamp,
) -> Result<Outcome, Error> {
    let item = &errand.what.item;
    let store = &mailer.shared.store;
    let directory = store.directory().await?;
    let home = store.home(item.source.from).await?;
    let Some(sender) = directory
        .principal(item.source.from)
        .filter(|_| home.exists())
    else {
        tracing::info!(
            to = item.to,
            "a mail is dropped: its sender has no account any more"
        );
        return dropped(mailer, errand, None, now).await;
    };
    let mails = match mails(mailer, errand, (&home, sender), now).await {
        Ok(mails) => mails,
        Err(Ended::Failed(why)) => return failed(mailer, errand, ("3.7", &why), now).await,
        Err(Ended::Store(error)) => return Err(error),
    };
    if mails.is_empty() {
        return dropped(mailer, errand, None, now).await;
    }
    let mut used = Used::today(store, home.id(), now).await?;
    let mut note = errand.what.note.clone();
    for (place, (mail, method)) in mails.iter().enumerate().skip(note.sent) {
        if used.count >= mailer.sending.per_user_day {
            let tomorrow = Timestamp((now.0 / DAY + 1) * DAY);
            tracing::warn!(
                user = sender.name,
                sent = used.count,
                to = item.to,
                "mail.per_user_day is reached: the mail waits until tomorrow"
            );
            note.why = "mail.per_user_day is reached".to_owned();
            return postponed(mailer, errand, &note, tomorrow).await;
        }
        if let Err(trouble) = mailer.transport.send(mail).await {
            return refused(mailer, errand, (note, trouble), now).await;
        }
        mailer.counts.sent.fetch_add(1, Ordering::Relaxed);
        let (id, to) = (&mail.id, &mail.recipient);
        tracing::info!(id, to, method = %method, from = sender.name, "mailed");
        note.sent = place + 1;
        note.since = Some(errand.what.since());
        used.count += 1;
    }
    dropped(mailer, errand, Some((&used, &mails)), now).await
}

/// The mails of an errand, each with its method.
async fn mails(
    mailer: &Mailer,
    errand: &Errand,
    (home, sender): (&Arc<Home>, &Arc<Principal>),
    now: Timestamp,
) -> Result<Vec<(Mail, Method)>, Ended> {
    let item = &errand.what.item;
    let messages = messages_of(&mailer.shared, item).await?;
    let messages: Vec<Message> = messages
        .into_iter()
        .filter(|message| message.weight == Weight::News)
        .collect();
    if messages.is_empty() {
        return Ok(Vec::new());
    }
    let source = &item.source;
    let before = text(home, source.collection, &source.name, source.old).await?;
    let after = text(home, source.collection, &source.name, source.new).await?;
    let guest = Guest::new(home.id(), &source.uid, &item.to);
    let address = match mailer.sending.reply {
        Some(_) => Some(ReplyAddress::of(&mailer.shared.store, &guest, now).await?),
        None => None,
    };
    let zone = zone_of(&mailer.shared.store, &guest).await?;
    let mut mails = Vec::new();
    for (place, message) in messages.iter().enumerate() {
        let desk = Desk {
            mailer,
            sender,
            before: before.as_ref(),
            after: after.as_ref(),
            address: address.as_ref(),
            guest: &guest,
            zone: zone.as_ref(),
            // The time of the change, not of the attempt: the same mail is made each time.
            made: errand.what.since(),
        };
        let id = format!("{}.{place}", errand.what.row.id);
        let mail = desk
            .mail(message, &id)
            .map_err(|error| Ended::Failed(error.to_string()))?;
        mails.push((mail, message.method));
    }
    Ok(mails)
}

/// Everything one mail is made of.
struct Desk<'a> {
    mailer: &'a Mailer,
    sender: &'a Principal,
    before: Option<&'a Component>,
    after: Option<&'a Component>,
    address: Option<&'a ReplyAddress>,
    guest: &'a Guest,
    /// The zone in which the guest reads times, if they said so.
    zone: Option<&'a Zone>,
    made: Timestamp,
}

impl Desk<'_> {
    fn mail(&self, message: &Message, id: &str) -> Result<Mail, Unmailable> {
        let sending = &self.mailer.sending;
        let to = mail_address(&message.to);
        let to = to.ok_or_else(|| Unmailable::Address(message.to.clone()))?;
        let own = self.sender.addresses.iter().find_map(|a| mail_address(a));
        let locale = locale(message);
        let locales = [
            locale.as_deref().unwrap_or_default(),
            self.sender.locale.as_deref().unwrap_or_default(),
            &sending.language,
        ];
        let zone = self.sender.timezone.as_deref().and_then(Zone::named);
        let name = match self.sender.display_name.trim() {
            "" => self.sender.name.as_str(),
            name => name,
        };
        let occasion = Occasion {
            message,
            before: self.before,
            goes_on: self.goes_on(message),
            sender: name,
            sender_mail: own.as_deref(),
            words: Words::first(locales),
            reader_zone: self.zone,
            writer_zone: zone.as_ref(),
            now: self.made,
        };
        let domain = sending
            .from
            .rsplit_once('@')
            .map_or("localhost", |(_, d)| d);
        let id = format!("{id}@{domain}");
        let thread = format!("{}@{domain}", self.thread());
        let reply = self.address.zip(sending.reply.as_ref());
        let reply = reply.map(|(address, pattern)| pattern.address(address.token));
        let page = self.address.zip(sending.pages.as_ref());
        let expires = self.made.add_seconds(sending.link_seconds);
        let page = page.map(|(address, url)| format!("{url}/{}", address.link(expires)));
        compose(
            &occasion,
            &Addressing {
                from: &sending.from,
                server: &sending.name,
                to: &to,
                reply: reply.as_deref(),
                organizer: sending.organizer,
                page: page.as_deref(),
                id: &id,
                thread: &thread,
            },
        )
    }

    /// What all mails of this meeting to this guest have in common, and says nothing to others.
    fn thread(&self) -> String {
        let mut hash = blake3::Hasher::new_derive_key("kalends mail thread");
        hash.update(self.guest.home.as_bytes());
        hash.update(self.guest.uid.as_bytes());
        hash.update(b"\0");
        hash.update(self.guest.attendee.as_bytes());
        let hex = hash.finalize().to_hex();
        hex.get(..32).unwrap_or_default().to_owned()
    }

    /// Whether what is cancelled takes place all the same, without this guest.
    fn goes_on(&self, message: &Message) -> bool {
        let after = self.after.and_then(Meeting::read);
        let cancelled = Meeting::read(&message.calendar);
        let (Some(after), Some(cancelled)) = (after, cancelled) else {
            return false;
        };
        let Some((key, _)) = cancelled.components().next() else {
            return false;
        };
        let is_off = |c: &Component| {
            c.property("STATUS")
                .is_some_and(|p| p.value().eq_ignore_ascii_case("CANCELLED"))
        };
        match key {
            None => after.any().is_some_and(|component| !is_off(component)),
            Some(key) => {
                let governing = after.governing(key);
                !after.excludes(key) && governing.is_some_and(|component| !is_off(component))
            }
        }
    }
}

/// The language the recipient is known to read. RFC 5545 §3.2.10
fn locale(message: &Message) -> Option<String> {
    let to = address_key(&message.to);
    let mut people = message.calendar.all_components().flat_map(|component| {
        let people = component.properties("ATTENDEE");
        people.chain(component.properties("ORGANIZER"))
    });
    let own = people.find(|p| address_key(p.value()) == to)?;
    own.param("LANGUAGE").map(|language| language.into_owned())
}

async fn text(
    home: &Home,
    collection: Id,
    name: &str,
    at: Option<Position>,
) -> Result<Option<Component>, Error> {
    let (Some(at), Some(collection)) = (at, home.any_collection(collection)) else {
        return Ok(None);
    };
    let Some(header) = home.header_at(collection, name, at).await? else {
        return Ok(None);
    };
    let text = home.text(&header).await?;
    let parsed = parse(&text, &Limits::default());
    Ok(parsed.calendars.into_iter().next())
}

/// How many mails somebody sent today.
struct Used {
    home: Id,
    day: i64,
    count: u32,
    row: Option<Bytes>,
}

impl Used {
    async fn today(store: &Store, home: Id, now: Timestamp) -> Result<Used, Error> {
        let row = store.kept(SENT, home.as_bytes()).await?;
        let day = now.0.div_euclid(DAY);
        let text = row.as_deref().and_then(|row| std::str::from_utf8(row).ok());
        let pair = text.and_then(|text| text.split_once(' '));
        let count = pair
            .filter(|(on, _)| on.parse() == Ok(day))
            .and_then(|(_, count)| count.parse().ok());
        Ok(Used {
            home,
            day,
            count: count.unwrap_or(0),
            row,
        })
    }

    fn keep(&self, change: &mut Change) {
        let row = format!("{} {}", self.day, self.count);
        change.expect(SENT, self.home.as_bytes(), self.row.clone());
        change.keep(SENT, self.home.as_bytes(), Some(row.into()));
    }
}

fn change(now: Timestamp) -> Change {
    let actor = Actor {
        principal: None,
        client: "mail".to_owned(),
    };
    Change::new(now, actor, "mail")
}

/// The rows are gone: what they stood for was sent, or is nothing.
async fn dropped(
    mailer: &Mailer,
    errand: &Errand,
    sent: Option<(&Used, &Vec<(Mail, Method)>)>,
    now: Timestamp,
) -> Result<Outcome, Error> {
    let store = &mailer.shared.store;
    let item = &errand.what.item;
    let mails = sent.map_or(0, |(_, mails)| mails.len());
    let _one = mailer.settling.lock().await;
    let without_rows = || {
        let mut change = change(now);
        errand.rows.iter().for_each(|row| change.take_mail(row));
        change
    };
    let taken = again(|| async {
        let mut change = without_rows();
        if let Some((used, mails)) = sent {
            let new = u32::try_from(mails.len() - errand.what.note.sent.min(mails.len()));
            let mut today = Used::today(store, used.home, now).await?;
            today.count = today.count.saturating_add(new.unwrap_or(0));
            today.keep(&mut change);
            let home = store.home(used.home).await?;
            for (mail, method) in mails {
                let why = ("Mailed", format!("the mail server took mail {}", mail.id));
                let mut decision = Decision::sent(method.to_string(), &[&item.to], &why.1);
                decision.reason.0 = why.0.to_owned();
                journal::note(&mut change, &home, &item.source.uid, now, &decision)?;
            }
        }
        let turn = store.turn(&[]).await?;
        store.commit(change, turn).await.map(|_| ())
    });
    let mut taken = taken.await;
    if let Err(Error::Conflict) = taken {
        // Whatever cannot be counted: what was sent must not be sent again.
        let turn = store.turn(&[]).await?;
        taken = store.commit(without_rows(), turn).await.map(|_| ());
    }
    match taken {
        // Somebody else took the rows: by a command, or another process of this store.
        Err(Error::Conflict) => tracing::debug!(
            to = item.to,
            mails,
            "the rows of a mail were gone before it was"
        ),
        taken => taken?,
    }
    Ok(Outcome::Done)
}

/// It was not taken: another time, or never.
async fn refused(
    mailer: &Mailer,
    errand: &Errand,
    (mut note, trouble): (Note, Trouble),
    now: Timestamp,
) -> Result<Outcome, Error> {
    let since = errand.what.since();
    let old = since.add_seconds(mailer.sending.keep_trying_seconds) <= now;
    if matches!(trouble, Trouble::Final(_)) || old {
        return failed(mailer, errand, ("5.1", trouble.why()), now).await;
    }
    let doubled = mailer.sending.retry_seconds << note.tries.min(16);
    let delay = doubled.clamp(1, LONGEST_DELAY);
    // The last attempt is when it is given up, not hours later.
    let last = since.add_seconds(mailer.sending.keep_trying_seconds);
    let due = now.add_seconds(delay).min(last.max(now.add_seconds(1)));
    note.tries = note.tries.saturating_add(1);
    note.since = Some(since);
    note.why = trouble.why().chars().take(300).collect();
    let (to, why, tries) = (&errand.what.item.to, &note.why, note.tries);
    tracing::warn!(to, why, tries, again = %due.rfc3339(), "a mail was not taken");
    let outcome = postponed(mailer, errand, &note, due).await?;
    Ok(match trouble {
        Trouble::Unreachable(_) => Outcome::Unreachable,
        Trouble::Final(_) | Trouble::ForNow(_) => outcome,
    })
}

/// The rows become one that is due later.
async fn postponed(
    mailer: &Mailer,
    errand: &Errand,
    note: &Note,
    due: Timestamp,
) -> Result<Outcome, Error> {
    mailer.counts.postponed.fetch_add(1, Ordering::Relaxed);
    let mut note = note.clone();
    note.since = Some(errand.what.since());
    // Tried or not: it waits for its time, not for more edits.
    note.tries = note.tries.max(1);
    let item = MailItem {
        note: note.to_string(),
        ..errand.what.item.clone()
    };
    let row = MailMessage {
        id: errand.what.row.id,
        due,
        payload: item.encode(),
    };
    let mut change = change(errand.what.since());
    errand.rows.iter().for_each(|row| change.take_mail(row));
    change.queue_mail(&row);
    let turn = mailer.shared.store.turn(&[]).await?;
    mailer.shared.store.commit(change, turn).await?;
    Ok(Outcome::Later(due))
}

/// Nobody will take it: its sender is told, and the rows are gone.
async fn failed(
    mailer: &Mailer,
    errand: &Errand,
    (status, why): (&str, &str),
    now: Timestamp,
) -> Result<Outcome, Error> {
    mailer.counts.failed.fetch_add(1, Ordering::Relaxed);
    let item = &errand.what.item;
    tracing::warn!(
        to = item.to,
        why,
        "a mail cannot be delivered; its sender is told"
    );
    let guest = Guest::new(item.source.from, &item.source.uid, &item.to);
    undelivered(&mailer.shared, &guest, (status, why), now).await?;
    let home = mailer.shared.store.home(item.source.from).await?;
    let mut change = change(now);
    errand.rows.iter().for_each(|row| change.take_mail(row));
    let decision = Decision::failed("MAIL".to_owned(), item.to.clone(), ("Undelivered", why));
    journal::note(&mut change, &home, &item.source.uid, now, &decision)?;
    let turn = mailer.shared.store.turn(&[]).await?;
    mailer.shared.store.commit(change, turn).await?;
    Ok(Outcome::Done)
}
