//! A mail from outside, from whichever way it came: read, judged, and then applied, kept waiting, or ignored. When this
//! answers, what it did is durable; a mail that is handed over again does nothing twice (RFC 6047 §3).

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, PoisonError};

use super::authenticate::{Authenticator, Envelope};
use super::classify::{Kind, Scheduling, classify};
use super::held::{Held, Kept, Room};
use super::matching::{Authentic, Circumstances, Doubt, Ignored, Verdict, judge, same_person};
use super::read::{Letter, Limits, Report, read};
use super::token::{Guest, Pattern, ReplyAddress};
use super::undelivered::undelivered;
use crate::dav::Shared;
use crate::ical::{Component, Timestamp, address_key, parse};
use crate::itip::{Addresses, Message, Method, Reason};
use crate::schedule::journal::{self, Decision, What};
use crate::schedule::{self, principal_of};
use crate::store::{self, Directory, Error, Home, Id, PrincipalKind};

/// How mails from outside are treated.
#[derive(Clone, Debug)]
pub struct Treatment {
    /// How our reply addresses look.
    pub pattern: Option<Pattern>,
    /// How much of a mail is read.
    pub limits: Limits,
    /// How many messages wait for a person.
    pub room: Room,
    /// Whose invitations go into calendars without waiting: addresses, `@domain`, or `*`.
    pub welcome: Vec<String>,
    /// Mails of one sender in an hour.
    pub rate: usize,
}

/// What takes mails from outside.
pub struct Inbound {
    shared: Arc<Shared>,
    treatment: Treatment,
    authenticator: Authenticator,
    senders: Mutex<Senders>,
}

impl std::fmt::Debug for Inbound {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Inbound")
            .field("treatment", &self.treatment)
            .finish_non_exhaustive()
    }
}

/// The mails of senders in this hour.
#[derive(Default)]
struct Senders {
    hour: i64,
    counts: BTreeMap<String, usize>,
}

/// What became of a mail, or of one message in it.
#[derive(Clone, Debug, PartialEq)]
pub enum Done {
    /// It was applied for somebody, and this came of it.
    Applied(Method, Reason),
    /// It waits, for this reason.
    Held(Kept, Doubt),
    /// One of our mails did not reach this person.
    Undelivered(String),
    /// It did nothing: why.
    Ignored(String),
}

/// Why a mail was not taken; it may be handed over again.
#[derive(Debug)]
pub enum Refused {
    /// Not now.
    Later(String),
    /// The store's answer.
    Store(Error),
}

impl std::fmt::Display for Refused {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Refused::Later(why) => f.write_str(why),
            Refused::Store(error) => write!(f, "{error}"),
        }
    }
}

impl From<Error> for Refused {
    fn from(error: Error) -> Refused {
        Refused::Store(error)
    }
}

/// Objects that are looked at to see whether a sender is known.
const LOOKED_AT: usize = 1000;

/// A mail while it is worked on.
struct Mail<'m> {
    bytes: &'m [u8],
    letter: &'m Letter,
    envelope: &'m Envelope,
    guests: &'m [Guest],
    directory: &'m Directory,
    now: Timestamp,
}

impl Inbound {
    /// What takes mails for the people of this server.
    #[must_use]
    pub fn new(shared: Arc<Shared>, treatment: Treatment, checks: Authenticator) -> Inbound {
        Inbound {
            shared,
            treatment,
            authenticator: checks,
            senders: Mutex::default(),
        }
    }

    /// The longest mail, in bytes.
    #[must_use]
    pub fn longest(&self) -> usize {
        self.treatment.limits.bytes
    }

    /// Whether mail for this address is taken: for a reply address, or somebody of this server.
    ///
    /// # Errors
    /// The store's.
    pub async fn takes(&self, address: &str) -> Result<bool, Error> {
        let token = self.treatment.pattern.as_ref();
        if let Some(token) = token.and_then(|pattern| pattern.token(address)) {
            let found = ReplyAddress::find(&self.shared.store, token).await?;
            return Ok(found.is_some());
        }
        let directory = self.shared.store.directory().await?;
        Ok(directory.by_address(&format!("mailto:{address}")).is_some())
    }

    /// Takes a mail. When this answers, everything that follows from it is durable.
    ///
    /// # Errors
    /// The mail was not taken, or not as a whole: hand it over again later.
    pub async fn receive(
        &self,
        bytes: &[u8],
        envelope: &Envelope,
        now: Timestamp,
    ) -> Result<Vec<Done>, Refused> {
        let letter = match read(bytes, &self.treatment.limits) {
            Ok(letter) => letter,
            Err(unreadable) => {
                return Ok(vec![ignored(&format!("it cannot be read: {unreadable:?}"))]);
            }
        };
        let author = letter.from.first().map(|from| from.address.clone());
        let author = author
            .or_else(|| envelope.sender.clone())
            .unwrap_or_default();
        if !self.may_send(&author, now) {
            return Err(Refused::Later(format!(
                "{author} sent too many mails in this hour"
            )));
        }
        let guests = self.guests(&letter, envelope).await?;
        for guest in &guests {
            // Who has a guest's reply address may call themselves anything.
            let of_guest = format!("{} {} {}", guest.home, guest.uid, guest.attendee);
            if !self.may_send(&of_guest, now) {
                let why = format!("too many mails for the answers of {}", guest.attendee);
                return Err(Refused::Later(why));
            }
        }
        let directory = self.shared.store.directory().await?;
        let mail = Mail {
            bytes,
            letter: &letter,
            envelope,
            guests: &guests,
            directory: &directory,
            now,
        };
        let done = match classify(&letter, self.treatment.limits.messages) {
            Kind::Bounce(report) => self.bounce(&mail, &report).await?,
            Kind::Automatic(why) => vec![ignored(&format!("a machine answered by itself: {why}"))],
            Kind::Nothing(why) => self.words(&mail, why).await?,
            Kind::Scheduling(messages) => {
                let mut done = Vec::new();
                for message in &messages {
                    done.extend(self.scheduling(&mail, message).await?);
                }
                done
            }
        };
        for done in &done {
            tracing::info!(from = author, id = letter.message_id, "mail: {done}");
        }
        Ok(done)
    }

    /// Whether a sender has mails left in this hour.
    fn may_send(&self, author: &str, now: Timestamp) -> bool {
        let mut senders = self.senders.lock().unwrap_or_else(PoisonError::into_inner);
        let hour = now.0.div_euclid(3600);
        if senders.hour != hour || senders.counts.len() > 100_000 {
            *senders = Senders {
                hour,
                counts: BTreeMap::new(),
            };
        }
        let count = senders.counts.entry(address_key(author)).or_default();
        *count = count.saturating_add(1);
        *count <= self.treatment.rate
    }

    /// Whose reply addresses a mail came to.
    async fn guests(&self, letter: &Letter, envelope: &Envelope) -> Result<Vec<Guest>, Error> {
        let addresses = match envelope.recipients.is_empty() {
            true => &letter.recipients,
            false => &envelope.recipients,
        };
        self.guests_at(addresses).await
    }

    async fn guests_at(&self, addresses: &[String]) -> Result<Vec<Guest>, Error> {
        let Some(pattern) = &self.treatment.pattern else {
            return Ok(Vec::new());
        };
        let mut guests = Vec::new();
        for token in addresses.iter().filter_map(|it| pattern.token(it)).take(10) {
            if let Some(found) = ReplyAddress::find(&self.shared.store, token).await? {
                guests.push(found.guest);
            }
        }
        Ok(guests)
    }

    /// One of our mails came back. RFC 3464
    async fn bounce(&self, mail: &Mail<'_>, report: &Report) -> Result<Vec<Done>, Refused> {
        let mut guests = mail.guests.to_vec();
        if guests.is_empty() {
            guests = self.guests_at(&report.senders).await?;
        }
        let mut done = Vec::new();
        for guest in guests {
            let theirs = |it: &&super::read::Undelivered| {
                same_person(&it.recipient, &guest.attendee)
                    || same_person(&it.finally, &guest.attendee)
            };
            // Who forwards their mail has it refused under another address than we sent it to.
            let failed = report.failed.iter().find(theirs);
            let Some(failed) = failed.or(report.failed.first()) else {
                continue;
            };
            let why = format!("{} {}", failed.status, failed.diagnostic);
            undelivered(&self.shared, &guest, ("5.1", why.trim()), mail.now).await?;
            done.push(Done::Undelivered(guest.attendee));
        }
        if done.is_empty() {
            done.push(ignored("it reports a mail that we do not know"));
        }
        Ok(done)
    }

    /// A person wrote instead of answering.
    async fn words(&self, mail: &Mail<'_>, why: &str) -> Result<Vec<Done>, Refused> {
        let letter = mail.letter;
        let says = letter.packed || !letter.text.is_empty();
        let Some(guest) = mail.guests.first().filter(|_| says) else {
            return Ok(vec![ignored(why)]);
        };
        let doubt = if letter.packed {
            Doubt::Packed
        } else {
            Doubt::Words
        };
        let held = Held::new(guest.home, None, &doubt);
        Ok(vec![self.hold(mail, held, doubt, None).await?])
    }

    async fn hold(
        &self,
        mail: &Mail<'_>,
        mut held: Held,
        doubt: Doubt,
        authentic: Option<&Authentic>,
    ) -> Result<Done, Refused> {
        held.at = mail.now;
        held.sender = match authentic {
            Some(Authentic::Passed(how)) => format!("proven: {how}"),
            Some(Authentic::Doubtful(why)) => format!("not proven: {why}"),
            None => "not checked".to_owned(),
        };
        held.from = mail.letter.from.first().map_or_else(String::new, |from| {
            format!("{} <{}>", from.name, from.address)
                .trim()
                .to_owned()
        });
        held.subject.clone_from(&mail.letter.subject);
        held.text.clone_from(&mail.letter.text);
        let kept = held.keep(&self.shared.store, &self.treatment.room).await?;
        Ok(Done::Held(kept, doubt))
    }

    /// One message, for everybody of this server whom it concerns.
    async fn scheduling(
        &self,
        mail: &Mail<'_>,
        scheduling: &Scheduling,
    ) -> Result<Vec<Done>, Refused> {
        let mut done = Vec::new();
        for (home, guest) in concerned(mail, scheduling) {
            done.push(self.for_home(mail, scheduling, (home, guest)).await?);
        }
        if done.is_empty() {
            done.push(ignored("it concerns nobody here"));
        }
        Ok(done)
    }

    async fn for_home(
        &self,
        mail: &Mail<'_>,
        scheduling: &Scheduling,
        (id, guest): (Id, Option<&Guest>),
    ) -> Result<Done, Refused> {
        let home = self.shared.store.home(id).await?;
        let existing = meeting(&home, &scheduling.uid, &self.shared).await?;
        let calendars = std::iter::once(&scheduling.calendar).chain(existing.as_ref());
        let calendars: Vec<&Component> = calendars.collect();
        let who = own_addresses(mail.directory, id, &calendars);
        let unchecked = Authentic::Doubtful("it was not checked".to_owned());
        let mut cx = Circumstances {
            letter: mail.letter,
            authentic: &unchecked,
            guest,
            who: &who,
            existing: existing.as_ref(),
            pattern: self.treatment.pattern.as_ref(),
            welcome: existing.is_some() || self.is_welcome(mail, &home).await?,
        };
        // A mail to a reply address needs no name server.
        let mut verdict = judge(scheduling, &cx);
        let mut authentic = None;
        if matches!(verdict, Verdict::Hold(..)) {
            let check = self
                .authenticator
                .check(mail.bytes, mail.letter, mail.envelope);
            let found = check.await.map_err(|later| Refused::Later(later.0))?;
            let found = authentic.insert(found);
            cx.authentic = found;
            verdict = judge(scheduling, &cx);
        }
        match verdict {
            Verdict::Apply(message) => {
                let reason = schedule::receive(&self.shared, id, &message, mail.now).await?;
                Ok(Done::Applied(message.method, reason))
            }
            Verdict::Hold(message, doubt) => {
                let held = Held::new(id, Some(message), &doubt);
                self.hold(mail, held, doubt, authentic.as_ref()).await
            }
            Verdict::Ignore(why) => {
                self.note(mail, scheduling, (&home, why)).await?;
                Ok(ignored(why.sentence()))
            }
        }
    }

    /// Notes in the scheduling journal why a message did nothing.
    async fn note(
        &self,
        mail: &Mail<'_>,
        scheduling: &Scheduling,
        (home, why): (&Home, Ignored),
    ) -> Result<(), Error> {
        let from = mail.letter.from.first();
        let decision = Decision {
            what: What::Received,
            method: scheduling.method.to_string(),
            with: from.map_or_else(String::new, |from| from.address.clone()),
            reason: (format!("{why:?}"), why.sentence().to_owned()),
        };
        let mut change =
            store::Change::new(mail.now, store::Actor::default(), "a mail did nothing");
        journal::note(&mut change, home, &scheduling.uid, mail.now, &decision)?;
        let turn = self.shared.store.turn(&[]).await?;
        self.shared.store.commit(change, turn).await?;
        Ok(())
    }

    /// Whether somebody may put new meetings into a person's calendar: the settings say so, or the person has a meeting
    /// with them already.
    async fn is_welcome(&self, mail: &Mail<'_>, home: &Arc<Home>) -> Result<bool, Error> {
        let [from] = mail.letter.from.as_slice() else {
            return Ok(false);
        };
        let domain = from.address.rsplit_once('@').map(|(_, domain)| domain);
        let listed = |entry: &String| {
            let entry = entry.trim().to_lowercase();
            entry == "*"
                || entry
                    .strip_prefix('@')
                    .map_or(entry == from.address, |it| Some(it) == domain)
        };
        if self.treatment.welcome.iter().any(listed)
            || principal_of(mail.directory, &format!("mailto:{}", from.address)).is_some()
        {
            return Ok(true);
        }
        let mut left = LOOKED_AT;
        for collection in home
            .collections()
            .filter(|c| c.kind == store::Kind::Calendar)
        {
            let members = home.members(collection).await?;
            let headers: Vec<_> = members.iter().take(left).collect();
            left = left.saturating_sub(headers.len());
            let texts = home.texts(&headers).await?;
            if texts.iter().any(|text| names(text, &from.address)) {
                return Ok(true);
            }
        }
        Ok(false)
    }
}

/// Whether an object has this address as that of somebody.
fn names(text: &[u8], address: &str) -> bool {
    let calendars = parse(text, &crate::ical::Limits::default()).calendars;
    let mut components = calendars.iter().flat_map(Component::all_components);
    components.any(|component| {
        let mut people = component.all_properties();
        people.any(|p| (p.is("ATTENDEE") || p.is("ORGANIZER")) && same_person(p.value(), address))
    })
}

fn ignored(why: &str) -> Done {
    Done::Ignored(why.to_owned())
}

impl std::fmt::Display for Done {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Done::Applied(method, reason) => write!(f, "{method} was taken: {reason:?}"),
            Done::Held(Kept::Waits(name), doubt) => {
                write!(f, "waits as {name}: {}", doubt.sentence())
            }
            Done::Held(Kept::Full, doubt) => {
                write!(f, "dropped, too many wait already: {}", doubt.sentence())
            }
            Done::Undelivered(to) => write!(f, "a mail did not reach {to}"),
            Done::Ignored(why) => write!(f, "ignored: {why}"),
        }
    }
}

/// The people of this server whom a message concerns, and the reply address it came to, if it did.
fn concerned<'m>(mail: &Mail<'m>, scheduling: &Scheduling) -> Vec<(Id, Option<&'m Guest>)> {
    if !mail.guests.is_empty() {
        let fits = |guest: &&Guest| guest.uid == scheduling.uid;
        let guest = mail.guests.iter().find(fits).or(mail.guests.first());
        return guest
            .map(|guest| (guest.home, Some(guest)))
            .into_iter()
            .collect();
    }
    let person = |address: &str| {
        let principal = principal_of(mail.directory, address)?;
        (principal.kind != PrincipalKind::Group).then_some(principal.id)
    };
    let named = |name: &str| {
        let components = scheduling.calendar.all_components();
        let all = components.flat_map(|component| component.properties(name));
        all.filter_map(|p| person(p.value())).collect::<Vec<Id>>()
    };
    let answers = matches!(
        scheduling.method,
        Method::Reply | Method::Counter | Method::Refresh
    );
    let to = match mail.envelope.recipients.is_empty() {
        true => &mail.letter.recipients,
        false => &mail.envelope.recipients,
    };
    let recipients = to.iter().filter_map(|it| person(&format!("mailto:{it}")));
    let recipients: Vec<Id> = recipients.collect();
    // Who answers names the organizer, and may have written to another address of theirs. An invitation is for those
    // the mail went to, not for everybody of this server whom it names: each of them gets a mail.
    let mut homes = if answers {
        named("ORGANIZER")
    } else {
        Vec::new()
    };
    if homes.is_empty() {
        homes = recipients;
    }
    if homes.is_empty() && !answers {
        homes = named("ATTENDEE");
    }
    homes.sort_unstable();
    homes.dedup();
    homes.truncate(50);
    homes.into_iter().map(|home| (home, None)).collect()
}

/// What somebody has of a meeting.
async fn meeting(home: &Home, uid: &str, shared: &Shared) -> Result<Option<Component>, Error> {
    let Some((_, header)) = schedule::find_object(home, uid).await? else {
        return Ok(None);
    };
    let text = home.text(&header).await?;
    Ok(parse(&text, &shared.limits.ical)
        .calendars
        .into_iter()
        .next())
}

/// The addresses in these calendars that are one person's, and those the directory has.
#[must_use]
pub fn own_addresses(directory: &Directory, id: Id, calendars: &[&Component]) -> Addresses {
    let mut own = Vec::new();
    if let Some(principal) = directory.principal(id) {
        own.extend(principal.addresses.iter().cloned());
    }
    for calendar in calendars {
        for component in calendar.all_components() {
            for property in component.all_properties() {
                let value = property.value();
                let person = property.is("ATTENDEE") || property.is("ORGANIZER");
                if person && principal_of(directory, value).is_some_and(|it| it.id == id) {
                    own.push(value.to_owned());
                }
            }
        }
    }
    Addresses::new(own.iter().map(String::as_str))
}

/// Applies a message that waited, because the person it is for says so, and takes it from those that wait.
///
/// # Errors
/// The store's; then it still waits.
pub async fn release(
    shared: &Arc<Shared>,
    held: &Held,
    now: Timestamp,
) -> Result<Option<Reason>, Error> {
    let mut reason = None;
    if let Some(message) = &held.message {
        let message = invited(shared, held.home, message).await?;
        reason = Some(schedule::receive(shared, held.home, &message, now).await?);
    }
    drop_held(shared, held, now).await?;
    Ok(reason)
}

/// Takes a message from those that wait.
///
/// # Errors
/// The store's.
pub async fn drop_held(shared: &Shared, held: &Held, now: Timestamp) -> Result<(), Error> {
    let mut change = store::Change::new(now, store::Actor::default(), "a message waits no more");
    held.forget(&mut change);
    let turn = shared.store.turn(&[]).await?;
    shared.store.commit(change, turn).await?;
    Ok(())
}

/// An invitation that names only a list the person is on, with the person named.
async fn invited(shared: &Shared, home: Id, message: &Message) -> Result<Message, Error> {
    let mut message = message.clone();
    let directory = shared.store.directory().await?;
    let Some(principal) = directory.principal(home) else {
        return Ok(message);
    };
    let (Some(address), Method::Request) = (principal.addresses.first(), message.method) else {
        return Ok(message);
    };
    if message.to.is_empty() {
        message.to = address_key(address);
        let calendar = Arc::make_mut(&mut message.calendar);
        for component in calendar.all_components_mut() {
            if !component.is("VTIMEZONE") {
                let attendee = crate::ical::Property::new("ATTENDEE", &message.to)
                    .with_param("PARTSTAT", "NEEDS-ACTION")
                    .with_param("RSVP", "TRUE");
                component.push(attendee);
            }
        }
    }
    Ok(message)
}
