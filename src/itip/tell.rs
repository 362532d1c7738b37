//! Who hears what of the organizer's change (RFC 6638 §3.2.1.1-3, §3.2.5).
//!
//! What is compared and what is sent depends on the instances somebody was and is invited to, not on who they are: it is
//! worked out once for all who see the same, and their messages share one calendar.

use super::compare::{self, Difference};
use super::force;
use super::meeting::{self, Invited, Key, Meeting};
use super::message::{self, Message, Method, Weight};
use super::outgoing::{Change, Intent};
use super::people::{Person, partstat, served};
use super::sequence::Step;
use super::view::{self, View};
use crate::ical::{Component, Property, values};
use std::borrow::Cow;
use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

/// What everybody but the organizer is sent.
pub(super) fn messages(
    change: &Change<'_, '_>,
    after: Option<&Meeting<'_>>,
    steps: &BTreeMap<Option<Key>, Step>,
) -> Vec<Message> {
    let mut messages = Vec::new();
    if change.intent == Intent::Silence {
        return messages;
    }
    let old = change
        .before
        .map(|m| m.guests(change.who))
        .unwrap_or_default();
    let new = after.map(|m| m.guests(change.who)).unwrap_or_default();
    let mut people: BTreeSet<&Person> = old.keys().chain(new.keys()).collect();
    // RFC 6638 §3.2.1: "the server MUST NOT send a scheduling message to the "Attendee" that matches the "Organizer"".
    people.remove(&Person::Owner);
    let told = Told {
        change,
        after,
        steps,
    };
    let mut audiences = BTreeMap::new();
    for person in people {
        let recipient = Recipient {
            person,
            was: old.get(person).map_or(&[], Vec::as_slice),
            is: new.get(person).map_or(&[], Vec::as_slice),
        };
        let views = told.views(&recipient);
        let audience = audiences
            .entry((views.0.id(), views.1.id()))
            .or_insert_with(|| told.audience(&views));
        messages.extend(told.messages(&views, audience, &recipient));
    }
    messages
}

/// Somebody who was or is invited, with what to.
struct Recipient<'r> {
    person: &'r Person,
    was: &'r [Invited<'r>],
    is: &'r [Invited<'r>],
}

impl Recipient<'_> {
    /// The newest address they were invited under.
    fn address(&self) -> &str {
        let newest = self.is.first().or(self.was.first());
        newest.map_or("", |(_, _, own)| own.value().trim())
    }
}

/// What a person saw of the meeting and sees now.
type Views<'v> = (View<'v>, View<'v>);

/// What all hear of a change who saw and see the same.
struct Audience {
    /// The instances they were invited to and are no more.
    gone: BTreeSet<Option<Key>>,
    /// Whether they are asked, and how loud.
    asked: Asked,
    /// What they are shown.
    request: Option<Arc<Component>>,
}

/// Whether those who see the same are sent a REQUEST.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Asked {
    /// They are.
    All(Weight),
    /// They are, and it is news to those whose participation the organizer set back.
    ByAnswer,
    /// They are not.
    None,
}

/// A change that people are told of.
struct Told<'t> {
    change: &'t Change<'t, 't>,
    after: Option<&'t Meeting<'t>>,
    steps: &'t BTreeMap<Option<Key>, Step>,
}

impl Told<'_> {
    /// What somebody saw and sees, of which only what the server sends for counts. RFC 6638 §7.1
    fn views<'v>(&'v self, recipient: &Recipient<'v>) -> Views<'v> {
        let view = |meeting: Option<&'v Meeting<'v>>, guest: &'v [Invited<'v>]| {
            meeting.map_or_else(View::none, |meeting| served_view(meeting, guest))
        };
        (
            view(self.change.before, recipient.was),
            view(self.after, recipient.is),
        )
    }

    fn audience(&self, views: &Views<'_>) -> Audience {
        let (old, new) = views;
        let gone = self
            .change
            .before
            .map(|before| cancelled(before, old, self.after, new));
        let asked = match self.after.filter(|_| !new.is_empty()) {
            Some(after) => self.asked(views, after),
            None => Asked::None,
        };
        Audience {
            gone: gone.unwrap_or_default(),
            asked,
            request: None,
        }
    }

    /// What one of them is sent. RFC 6638 §3.2.1.1-3
    fn messages(
        &self,
        (old, new): &Views<'_>,
        audience: &mut Audience,
        recipient: &Recipient<'_>,
    ) -> Vec<Message> {
        let mut messages = Vec::new();
        if let Some(before) = self.change.before {
            let gone = audience.gone.iter();
            let components =
                gone.filter_map(|key| self.cancellation((before, old), *key, recipient));
            let components: Vec<Component> = components.collect();
            if !components.is_empty() {
                let calendar = self.calendar(before, Method::Cancel, components);
                let what = (Method::Cancel, Weight::News);
                messages.extend(message(before, what, recipient, &calendar));
            }
        }
        let weight = match audience.asked {
            _ if forced(recipient) => Some(Weight::News),
            Asked::All(weight) => Some(weight),
            Asked::ByAnswer if self.asked_again(new, recipient) => Some(Weight::News),
            Asked::ByAnswer => Some(Weight::Refresh),
            Asked::None => None,
        };
        // What others answered, and who else is invited, is brought up to date on this server; it is no reason for a mail.
        let reaches = |weight: &Weight| {
            *weight == Weight::News || matches!(recipient.person, Person::Local(_))
        };
        if let Some(after) = self.after.filter(|_| !new.is_empty())
            && let Some(weight) = weight.filter(reaches)
        {
            let request = audience.request.get_or_insert_with(|| {
                let components = new.shown(after).into_values().collect();
                self.calendar(after, Method::Request, components)
            });
            messages.extend(message(
                after,
                (Method::Request, weight),
                recipient,
                request,
            ));
        }
        messages
    }

    fn calendar(
        &self,
        source: &Meeting<'_>,
        method: Method,
        components: Vec<Component>,
    ) -> Arc<Component> {
        let stamped = components.into_iter();
        let stamped = stamped.map(|c| message::stamped(c, self.change.now));
        message::envelope(source.calendar, method, stamped.collect())
    }

    /// Whether those of these views are sent a REQUEST, and how loud.
    fn asked(&self, (old, new): &Views<'_>, after: &Meeting<'_>) -> Asked {
        let Some(before) = self.change.before.filter(|_| !old.is_empty()) else {
            return Asked::All(Weight::News);
        };
        let shown_before = old.shown(before);
        let shown = new.shown(after);
        let stepped = |least: Step| {
            let mut steps = shown.keys().filter_map(|key| self.steps.get(key));
            steps.any(|step| *step >= least)
        };
        if stepped(Step::Reschedule) {
            return Asked::All(Weight::News);
        }
        let only_lost = only_lost_instances((before, &shown_before), (after, &shown));
        match compare::difference((before, &shown_before), (after, &shown)) {
            // RFC 6638 §3.2.5: nothing but SEQUENCE moved.
            Difference::None if stepped(Step::Revise) => Asked::All(Weight::Refresh),
            Difference::None => Asked::None,
            Difference::Participation | Difference::Attendance => Asked::ByAnswer,
            // The CANCEL of the instances has said it all but the SEQUENCE of the series.
            Difference::Substance if only_lost => Asked::All(Weight::Refresh),
            Difference::Substance => Asked::All(Weight::News),
        }
    }

    /// A component of a CANCEL: what the recipient had.
    ///
    /// RFC 5546 §3.2.5 of STATUS: "MUST be set to CANCELLED to cancel the entire event. If uninviting specific Attendees,
    /// then MUST NOT be included."
    fn cancellation(
        &self,
        (before, old): (&Meeting<'_>, &View<'_>),
        key: Option<Key>,
        recipient: &Recipient<'_>,
    ) -> Option<Component> {
        let had = match key {
            None => Cow::Borrowed(old.master?),
            Some(key) => match old.overrides.get(&key) {
                Some(component) => Cow::Borrowed(*component),
                None => Cow::Owned(view::instance(before, key)?),
            },
        };
        let mut component = view::public_of(&had, |p| {
            !p.is("ATTENDEE") || self.change.who.person(p.value()) == *recipient.person
        });
        for attendee in component.properties_mut("ATTENDEE") {
            attendee.remove_param("RSVP");
        }
        let newest = self.after.and_then(|after| match key {
            Some(key) => after.governing(key),
            None => after.master,
        });
        let excluded = key.is_some_and(|key| self.after.is_some_and(|after| after.excludes(key)));
        let takes_place = newest.is_some_and(|c| !meeting::is_cancelled(c)) && !excluded;
        if takes_place {
            component.remove("STATUS");
        } else {
            component.set(Property::new("STATUS", "CANCELLED"));
        }
        let number = meeting::sequence(&had).saturating_add(1);
        let number = newest.map_or(number, |c| meeting::sequence(c).max(number));
        component.set(Property::new("SEQUENCE", &number.to_string()));
        Some(component)
    }

    /// Whether the organizer set the recipient's own participation back to ask again. RFC 6638 §3.2.8
    fn asked_again(&self, new: &View<'_>, recipient: &Recipient<'_>) -> bool {
        let Some(before) = self.change.before else {
            return false;
        };
        let governed = |key: Option<Key>| match key {
            None => before.master,
            Some(key) => before.governing(key),
        };
        let answered = |key: Option<Key>| {
            let governing = governed(key);
            let was = recipient.was.iter();
            let mut was = was.filter(|(_, c, _)| governing.is_some_and(|it| std::ptr::eq(it, *c)));
            was.any(|(_, _, own)| partstat(own) != "NEEDS-ACTION")
        };
        let sees = |key: &Option<Key>| match key {
            None => new.master.is_some(),
            Some(key) => new.overrides.contains_key(key),
        };
        let mut open = recipient.is.iter().filter(|(key, _, _)| sees(key));
        open.any(|(key, _, own)| partstat(own) == "NEEDS-ACTION" && answered(*key))
    }
}

/// The view of a person, of which only what the server sends for counts. RFC 6638 §7.1
fn served_view<'v>(meeting: &Meeting<'v>, guest: &[Invited<'v>]) -> View<'v> {
    let mut view = View::of(meeting, guest);
    for (key, _, _) in guest.iter().filter(|(_, _, own)| !served(own)) {
        match key {
            None => {
                view.master = None;
                view.excluded.clear();
            }
            Some(key) => {
                view.overrides.remove(key);
            }
        }
    }
    view
}

/// SCHEDULE-FORCE-SEND=REQUEST on any of the recipient's ATTENDEEs in what was sent in. RFC 6638 §7.2
fn forced(recipient: &Recipient<'_>) -> bool {
    let mut own = recipient.is.iter().map(|(_, _, own)| own);
    own.any(|own| force::asks(own, "REQUEST"))
}

fn message(
    source: &Meeting<'_>,
    (method, weight): (Method, Weight),
    recipient: &Recipient<'_>,
    calendar: &Arc<Component>,
) -> Option<Message> {
    Some(Message {
        method,
        from: source.organizer()?.value().trim().to_owned(),
        to: recipient.address().to_owned(),
        uid: source.any()?.text("UID")?.into_owned(),
        weight,
        calendar: calendar.clone(),
    })
}

/// The instances that somebody was invited to and is no more; `None` is the whole series or the only instance.
fn cancelled(
    before: &Meeting<'_>,
    old: &View<'_>,
    after: Option<&Meeting<'_>>,
    new: &View<'_>,
) -> BTreeSet<Option<Key>> {
    let mut gone = BTreeSet::new();
    if old.master.is_some() && new.master.is_none() {
        gone.insert(None);
        return gone;
    }
    let lost = |key: &Key| match after {
        None => true,
        Some(after) => after.excludes(*key) || new.excluded.contains(key) || new.master.is_none(),
    };
    for key in old.overrides.keys() {
        if !new.overrides.contains_key(key) && lost(key) {
            gone.insert(Some(*key));
        }
    }
    if old.master.is_some() {
        let excluded = after
            .map(|after| after.exceptions().clone())
            .unwrap_or_default();
        let now_gone = excluded.iter().chain(&new.excluded);
        let was = |key: &&Key| {
            !before.excludes(**key)
                && !old.excluded.contains(key)
                && !old.overrides.contains_key(key)
        };
        gone.extend(now_gone.filter(was).map(|key| Some(*key)));
    }
    gone
}

/// Whether the only difference is that EXDATE takes out more instances.
fn only_lost_instances(
    (before, old): compare::Shown<'_, '_>,
    (after, new): compare::Shown<'_, '_>,
) -> bool {
    let taken_out = |meeting: &Meeting<'_>, shown: &BTreeMap<Option<Key>, Component>| {
        let dates = shown
            .get(&None)
            .into_iter()
            .flat_map(|master| master.properties("EXDATE").flat_map(values::whens));
        dates.map(|date| meeting.key(&date)).collect()
    };
    let was_out: BTreeSet<Key> = taken_out(before, old);
    let out: BTreeSet<Key> = taken_out(after, new);
    let bare = |shown: &BTreeMap<Option<Key>, Component>| -> BTreeMap<_, _> {
        let kept = shown
            .iter()
            .filter(|(key, _)| key.is_none_or(|key| !out.contains(&key)));
        kept.map(|(key, c)| (*key, without_exceptions(c))).collect()
    };
    was_out.is_subset(&out)
        && old.contains_key(&None)
        && new.contains_key(&None)
        && compare::difference((before, &bare(old)), (after, &bare(new))) == Difference::None
}

fn without_exceptions(component: &Component) -> Component {
    let mut component = component.clone();
    component.remove("EXDATE");
    component
}
