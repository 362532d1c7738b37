//! Whose message a mail brings, and whether it may do what it asks for: by the reply address it came to, else by the
//! sender's own address (RFC 6047 §3, RFC 5546 §6.1). Functions only.
//!
//! What is applied is never the mail's calendar as it came: of an answer only the part of the attendee who answers is
//! left, under the address the organizer invited, with the organizer the stored meeting has.
//!
//! An answer that came to the reply address of one guest but names somebody else, under an address that has nothing in
//! common with the guest's, may be the guest's own from another account, or a stranger's to whom the invitation was
//! passed on. That is for the organizer to say.

use super::classify::Scheduling;
use super::read::{Letter, Mailbox, Place};
use super::token::{Guest, Pattern};
use crate::ical::{Component, Property, address, address_key};
use crate::itip::{Addresses, Meeting, Message, Method, Weight};

/// What is known of the sender's address.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Authentic {
    /// The domain of the address in From vouches for the mail: how that was found out.
    Passed(String),
    /// It does not, or nobody could say: why.
    Doubtful(String),
}

/// What a message is judged by.
#[derive(Clone, Copy, Debug)]
pub struct Circumstances<'a> {
    /// The mail.
    pub letter: &'a Letter,
    /// Whether the address in From is the sender's.
    pub authentic: &'a Authentic,
    /// Whose reply address the mail came to.
    pub guest: Option<&'a Guest>,
    /// The person here whom it concerns.
    pub who: &'a Addresses,
    /// What this person has of the meeting.
    pub existing: Option<&'a Component>,
    /// How our reply addresses look.
    pub pattern: Option<&'a Pattern>,
    /// Whether the sender may put something new into this person's calendar.
    pub welcome: bool,
}

/// What becomes of a message.
#[derive(Clone, Debug, PartialEq)]
pub enum Verdict {
    /// It is applied.
    Apply(Message),
    /// It waits until the person here releases or drops it.
    Hold(Message, Doubt),
    /// It does nothing.
    Ignore(Ignored),
}

/// Why a message waits.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Doubt {
    /// It did not come to a reply address of this meeting, and nothing shows that the sender is who they say.
    NotAuthentic(String),
    /// Somebody who was not invited answered an invitation.
    PartyCrasher,
    /// It came to a guest's reply address but names somebody else.
    SomebodyElse,
    /// The sender answers for another guest.
    NotTheSender,
    /// The sender is not the organizer they speak for.
    NotTheOrganizer,
    /// The sender is nobody this person knows.
    UnknownSender,
    /// This person is not among those it invites.
    NotInvited,
    /// It was in a mail that the sender passed on.
    Forwarded,
    /// It has several authors.
    SeveralAuthors,
    /// A person wrote without a calendar.
    Words,
    /// Outlook packed the answer into a file that only Outlook reads.
    Packed,
}

/// Why a message does nothing.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Ignored {
    /// It is one of our own mails, come back.
    Echo,
    /// There is no such meeting.
    NoMeeting,
    /// It names another organizer than the meeting has.
    OtherOrganizer,
    /// It lacks what its method needs.
    Unreadable,
}

impl Doubt {
    /// A word for rows and scripts.
    #[must_use]
    pub fn word(&self) -> &'static str {
        match self {
            Doubt::NotAuthentic(_) => "not-authentic",
            Doubt::PartyCrasher => "party-crasher",
            Doubt::SomebodyElse => "somebody-else",
            Doubt::NotTheSender => "not-the-sender",
            Doubt::NotTheOrganizer => "not-the-organizer",
            Doubt::UnknownSender => "unknown-sender",
            Doubt::NotInvited => "not-invited",
            Doubt::Forwarded => "forwarded",
            Doubt::SeveralAuthors => "several-authors",
            Doubt::Words => "words",
            Doubt::Packed => "packed",
        }
    }

    /// A sentence for the person who decides.
    #[must_use]
    pub fn sentence(&self) -> String {
        let fixed = match self {
            Doubt::NotAuthentic(why) => {
                return format!("nothing shows that the sender is who they say: {why}");
            }
            Doubt::PartyCrasher => "the sender was not invited",
            Doubt::SomebodyElse => {
                "somebody else answered the invitation, or the guest from another address"
            }
            Doubt::NotTheSender => "the sender answers for another guest",
            Doubt::NotTheOrganizer => "the sender is not the organizer they speak for",
            Doubt::UnknownSender => "the sender is not known to you",
            Doubt::NotInvited => "you are not among those it invites",
            Doubt::Forwarded => "it was in a mail that the sender passed on",
            Doubt::SeveralAuthors => "the mail has several authors",
            Doubt::Words => "a person wrote, without a calendar",
            Doubt::Packed => {
                "Outlook packed the answer into winmail.dat, which only Outlook reads: the guest can answer on the page \
                 in the invitation, or their site can turn off Rich Text Format for mails that leave it"
            }
        };
        fixed.to_owned()
    }
}

impl Ignored {
    /// A sentence for the journal.
    #[must_use]
    pub fn sentence(self) -> &'static str {
        match self {
            Ignored::Echo => "it is one of our own mails",
            Ignored::NoMeeting => "there is no such meeting",
            Ignored::OtherOrganizer => "it names another organizer than the meeting has",
            Ignored::Unreadable => "it lacks what its method needs",
        }
    }
}

/// What becomes of a message that a mail brought.
#[must_use]
pub fn judge(scheduling: &Scheduling, cx: &Circumstances<'_>) -> Verdict {
    let verdict = match scheduling.method {
        Method::Reply | Method::Counter | Method::Refresh => answer(scheduling, cx),
        Method::Request
        | Method::Publish
        | Method::Add
        | Method::Cancel
        | Method::DeclineCounter => word(scheduling, cx),
    };
    match verdict {
        Verdict::Apply(message) if scheduling.place == Place::Forwarded => {
            Verdict::Hold(message, Doubt::Forwarded)
        }
        verdict => verdict,
    }
}

/// The organizer's side: REPLY, COUNTER, REFRESH.
fn answer(scheduling: &Scheduling, cx: &Circumstances<'_>) -> Verdict {
    let Some(existing) = cx.existing.and_then(Meeting::read) else {
        return Verdict::Ignore(Ignored::NoMeeting);
    };
    let Some(organizer) = existing.organizer().filter(|o| cx.who.is_own(o.value())) else {
        return Verdict::Ignore(Ignored::OtherOrganizer);
    };
    let guest = cx.guest.filter(|guest| guest.uid == scheduling.uid);
    let named = values(&scheduling.calendar, "ORGANIZER");
    let ours = |value: &String| {
        cx.who.is_own(value) || cx.pattern.is_some_and(|p| p.token(value).is_some())
    };
    // Exchange leaves it out: then it is the stored one. Another one is refused.
    if !named.iter().all(ours) {
        return Verdict::Ignore(Ignored::OtherOrganizer);
    }
    let (sender, doubt) = match guest {
        Some(guest) => by_token(scheduling, cx, (&existing, guest)),
        None => by_sender(scheduling, cx, &existing),
    };
    let Some(sender) = sender else {
        return Verdict::Ignore(Ignored::Unreadable);
    };
    let message = Message {
        method: scheduling.method,
        from: sender.clone(),
        to: organizer.value().trim().to_owned(),
        uid: scheduling.uid.clone(),
        weight: Weight::News,
        calendar: narrowed(scheduling, &sender, organizer).into(),
    };
    match doubt {
        Some(doubt) => Verdict::Hold(message, doubt),
        None => Verdict::Apply(message),
    }
}

/// Who answers, and what is doubtful about it.
type Answering = (Option<String>, Option<Doubt>);

/// The mail came to a guest's reply address: whoever has that has the guest's invitation.
fn by_token(
    scheduling: &Scheduling,
    cx: &Circumstances<'_>,
    (existing, guest): (&Meeting<'_>, &Guest),
) -> Answering {
    let guests = invited(existing, &guest.attendee);
    let invited_as = match guests.first() {
        Some(attendee) => attendee.value().trim().to_owned(),
        None => guest.attendee.clone(),
    };
    let named = values(&scheduling.calendar, "ATTENDEE");
    let theirs = |value: &String| {
        same_person(value, &guest.attendee) || guests.iter().any(|it| goes_by(it, value))
    };
    if named.is_empty() || named.iter().any(theirs) {
        return (Some(invited_as), None);
    }
    let [other] = named.as_slice() else {
        return (Some(invited_as), Some(Doubt::SomebodyElse));
    };
    let delegated = guests.iter().any(|guest| {
        let to = guest.param_values("DELEGATED-TO");
        to.iter().any(|to| same_person(to, other))
    }) || delegated_by(scheduling, &guest.attendee);
    if delegated {
        return (Some(other.clone()), None);
    }
    if let Some(own) = invited(existing, other).first() {
        // Another guest's answer, sent to the wrong address: it counts if it is theirs.
        let (_, doubt) = by_sender(scheduling, cx, existing);
        return (Some(own.value().trim().to_owned()), doubt);
    }
    let from = cx.letter.from.first();
    let alias = from.is_some_and(|from| theirs(&from.address))
        || guests.iter().any(|guest| alike(guest, other, from));
    (Some(invited_as), (!alias).then_some(Doubt::SomebodyElse))
}

/// The mail came to the organizer's own address: the address in From must be the guest's, and be proven.
fn by_sender(scheduling: &Scheduling, cx: &Circumstances<'_>, existing: &Meeting<'_>) -> Answering {
    let named = values(&scheduling.calendar, "ATTENDEE");
    let fallback = || {
        let from = cx.letter.from.first().map(|from| mailto(&from.address));
        named.first().cloned().or(from)
    };
    let [from] = cx.letter.from.as_slice() else {
        return (fallback(), Some(Doubt::SeveralAuthors));
    };
    let sender = invited(existing, &from.address);
    let spoken_for = named.iter().find(|value| same_person(value, &from.address));
    let answers = spoken_for.or(named.first().filter(|_| named.len() == 1));
    let (person, doubt) = match (sender.first(), answers) {
        (Some(own), Some(answers)) => {
            let theirs = goes_by(own, answers) || invited(existing, answers).is_empty();
            let doubt = (!theirs).then_some(Doubt::NotTheSender);
            let person = if theirs { own.value().trim() } else { answers };
            (Some(person.to_owned()), doubt)
        }
        (Some(own), None) => (Some(own.value().trim().to_owned()), None),
        (None, Some(answers)) => {
            let listed = invited(existing, answers);
            let delegate = existing.components().any(|(_, c)| {
                c.properties("ATTENDEE").any(|a| {
                    let to = a.param_values("DELEGATED-TO");
                    to.iter().any(|to| same_person(to, &from.address))
                })
            });
            match (listed.first(), delegate) {
                (_, true) => (Some(mailto(&from.address)), None),
                (Some(own), false) => {
                    let person = own.value().trim().to_owned();
                    (Some(person), Some(Doubt::NotTheSender))
                }
                (None, false) => (Some(answers.clone()), Some(Doubt::PartyCrasher)),
            }
        }
        (None, None) => (Some(mailto(&from.address)), Some(Doubt::PartyCrasher)),
    };
    match (doubt, cx.authentic) {
        (Some(doubt), _) => (person, Some(doubt)),
        (None, Authentic::Passed(_)) => (person, None),
        (None, Authentic::Doubtful(why)) => (person, Some(Doubt::NotAuthentic(why.clone()))),
    }
}

/// The attendee's side: what an organizer outside says.
fn word(scheduling: &Scheduling, cx: &Circumstances<'_>) -> Verdict {
    let named = values(&scheduling.calendar, "ORGANIZER");
    let ours = |value: &String| {
        cx.who.is_own(value) || cx.pattern.is_some_and(|p| p.token(value).is_some())
    };
    if named.iter().any(ours) {
        return Verdict::Ignore(Ignored::Echo);
    }
    let existing = cx.existing.and_then(Meeting::read);
    let stored = existing.as_ref().and_then(Meeting::organizer);
    let from = cx.letter.from.first().map(|from| mailto(&from.address));
    let organizer = match (named.first(), stored, scheduling.method) {
        (Some(named), _, _) => Some(named.clone()),
        (None, Some(stored), _) => Some(stored.value().trim().to_owned()),
        (None, None, Method::Publish) => from,
        (None, None, _) => None,
    };
    let Some(organizer) = organizer else {
        return Verdict::Ignore(Ignored::Unreadable);
    };
    let news = matches!(scheduling.method, Method::Request | Method::Publish);
    match (&existing, stored) {
        (None, _) if !news => return Verdict::Ignore(Ignored::NoMeeting),
        (Some(_), None) => return Verdict::Ignore(Ignored::OtherOrganizer),
        (Some(_), Some(stored)) if !same_person(stored.value(), &organizer) => {
            return Verdict::Ignore(Ignored::OtherOrganizer);
        }
        _ => {}
    }
    let calendar = requested(scheduling, cx, &organizer);
    let own = values(&calendar, "ATTENDEE");
    let own = own.iter().find(|value| cx.who.is_own(value));
    let message = Message {
        method: scheduling.method,
        from: organizer.clone(),
        to: own.cloned().unwrap_or_default(),
        uid: scheduling.uid.clone(),
        weight: Weight::News,
        calendar: calendar.into(),
    };
    let doubt = doubt_of_word(scheduling, cx, (&organizer, stored));
    let uninvited = own.is_none() && existing.is_none() && scheduling.method == Method::Request;
    match doubt {
        Some(doubt) => Verdict::Hold(message, doubt),
        None if uninvited => Verdict::Hold(message, Doubt::NotInvited),
        None if existing.is_none() && !cx.welcome => Verdict::Hold(message, Doubt::UnknownSender),
        None => Verdict::Apply(message),
    }
}

/// What speaks against the mail being the organizer's.
fn doubt_of_word(
    scheduling: &Scheduling,
    cx: &Circumstances<'_>,
    (organizer, stored): (&str, Option<&Property>),
) -> Option<Doubt> {
    let fits = cx.guest.is_some_and(|guest| {
        guest.uid == scheduling.uid && same_person(&guest.attendee, organizer)
    });
    if fits {
        return None;
    }
    let [from] = cx.letter.from.as_slice() else {
        return Some(Doubt::SeveralAuthors);
    };
    let in_meeting = stored.is_some_and(|stored| {
        goes_by(stored, &from.address)
            || stored
                .param("SENT-BY")
                .is_some_and(|by| same_person(&by, &from.address))
    });
    // SENT-BY of the message itself proves nothing: who forges the organizer forges it too.
    if !in_meeting && !same_person(organizer, &from.address) {
        return Some(Doubt::NotTheOrganizer);
    }
    match cx.authentic {
        Authentic::Passed(_) => None,
        Authentic::Doubtful(why) => Some(Doubt::NotAuthentic(why.clone())),
    }
}

/// An answer's calendar, cut down to what the sender may say: their own part, and whom they delegate to.
fn narrowed(scheduling: &Scheduling, sender: &str, organizer: &Property) -> Component {
    let mut calendar = scheduling.calendar.clone();
    let organizer = organizer.value().trim();
    for component in calendar.all_components_mut() {
        if component.is("VTIMEZONE") {
            continue;
        }
        let all: Vec<Property> = component.properties("ATTENDEE").cloned().collect();
        let own = all
            .iter()
            .find(|a| same_person(a.value(), sender))
            .or(all.first())
            .cloned();
        let mut own = own.unwrap_or_else(|| Property::new("ATTENDEE", sender));
        own.set_value(sender);
        let to: Vec<String> = own
            .param_values("DELEGATED-TO")
            .iter()
            .map(|to| address_key(to))
            .take(DELEGATES)
            .collect();
        component.remove("ATTENDEE");
        component.remove("ORGANIZER");
        component.push(Property::new("ORGANIZER", organizer));
        component.push(own);
        for delegate in all {
            let key = address_key(delegate.value());
            if to.contains(&key) && !same_person(&key, sender) {
                component.push(delegate);
            }
        }
    }
    calendar
}

/// Delegates of one answer that are taken in.
const DELEGATES: usize = 10;

/// An organizer's calendar. In a meeting that is new to this person, their answer is still to be given, whatever the
/// sender says.
fn requested(scheduling: &Scheduling, cx: &Circumstances<'_>, organizer: &str) -> Component {
    let mut calendar = scheduling.calendar.clone();
    for component in calendar.all_components_mut() {
        if component.is("VTIMEZONE") {
            continue;
        }
        if component.property("ORGANIZER").is_none() && scheduling.method != Method::Publish {
            component.push(Property::new("ORGANIZER", organizer));
        }
        let asks = scheduling.method == Method::Request && cx.existing.is_none();
        for attendee in component.properties_mut("ATTENDEE") {
            if asks && cx.who.is_own(attendee.value()) {
                attendee.set_param("PARTSTAT", "NEEDS-ACTION");
            }
        }
    }
    calendar
}

/// The values of a property over all components, each person once.
fn values(calendar: &Component, name: &str) -> Vec<String> {
    let mut all: Vec<String> = Vec::new();
    for component in calendar.all_components().filter(|c| !c.is("VTIMEZONE")) {
        for property in component.properties(name) {
            let value = property.value().trim();
            if !value.is_empty() && !all.iter().any(|known| same_person(known, value)) {
                all.push(value.to_owned());
            }
        }
    }
    all
}

/// The ATTENDEEs of the meeting who go by this address: exactly so, else without what mail systems do not look at.
fn invited<'m>(existing: &Meeting<'m>, value: &str) -> Vec<&'m Property> {
    let components = existing.components().map(|(_, component)| component);
    let all: Vec<&Property> = components
        .flat_map(|component| component.properties("ATTENDEE"))
        .collect();
    let key = address_key(value);
    let exact = |attendee: &&&Property| address_key(attendee.value()) == key;
    let found: Vec<&Property> = all.iter().filter(exact).copied().collect();
    if found.is_empty() {
        return all.into_iter().filter(|it| goes_by(it, value)).collect();
    }
    found
}

/// Whether an answer names this person as the one who delegated it.
fn delegated_by(scheduling: &Scheduling, delegator: &str) -> bool {
    scheduling.calendar.all_components().any(|component| {
        component.properties("ATTENDEE").any(|attendee| {
            let from = attendee.param_values("DELEGATED-FROM");
            from.iter().any(|from| same_person(from, delegator))
        })
    })
}

/// Whether this is one of the addresses an ATTENDEE or ORGANIZER is known by. RFC 7986 §6.2
fn goes_by(property: &Property, value: &str) -> bool {
    let email = property.param("EMAIL");
    same_person(property.value(), value) || email.is_some_and(|email| same_person(&email, value))
}

/// Whether a guest and the one who answered have the same name, or the same name before the `@`.
fn alike(guest: &Property, other: &str, from: Option<&Mailbox>) -> bool {
    let local = |value: &str| {
        let key = person_key(value);
        key.split_once('@').map(|(local, _)| local.to_owned())
    };
    let name = address(guest).common_name().map(|name| folded(&name));
    let called = from.map(|from| folded(&from.name));
    let same_name = name.is_some_and(|name| !name.contains('@') && Some(name) == called);
    same_name || local(guest.value()) == local(other)
}

fn folded(name: &str) -> String {
    let words: Vec<String> = name.split_whitespace().map(str::to_lowercase).collect();
    words.join(" ")
}

fn mailto(address: &str) -> String {
    format!("mailto:{address}")
}

/// Whether two addresses are one person's: equal, or equal without what mail systems do not look at.
pub(super) fn same_person(one: &str, two: &str) -> bool {
    let (one, two) = (address_key(one), address_key(two));
    one == two || one.contains('@') && person_key(&one) == person_key(&two)
}

/// An address without its `+tag`; of Gmail without dots, and under one of its two names.
fn person_key(address: &str) -> String {
    let key = address_key(address);
    let mail = key.strip_prefix("mailto:").unwrap_or(&key);
    let Some((local, domain)) = mail.rsplit_once('@') else {
        return key;
    };
    let local = local.split('+').next().filter(|it| !it.is_empty());
    let local = local.unwrap_or_default();
    match domain {
        "gmail.com" | "googlemail.com" => {
            format!("mailto:{}@gmail.com", local.replace('.', ""))
        }
        _ => format!("mailto:{local}@{domain}"),
    }
}
