//! What one person may see of a meeting, and how a single instance of a series looks (RFC 6638 §3.2.6).

use super::meeting::{self, Invited, Key, Meeting};
use super::people::is_private_param;
use crate::ical::{Component, Item, Property, When, values};
use std::collections::{BTreeMap, BTreeSet};

/// The instances a person is invited to. Those whose views are equal see the same.
#[derive(Clone, Debug)]
pub(super) struct View<'a> {
    /// The series, if they are invited to it as a whole.
    pub(super) master: Option<&'a Component>,
    /// The overrides they are invited to.
    pub(super) overrides: BTreeMap<Key, &'a Component>,
    /// Instances of the series they are not invited to, or that an override gives to others alone.
    pub(super) excluded: BTreeSet<Key>,
}

/// What tells one view of a meeting from another.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct ViewId {
    master: bool,
    overrides: Vec<Key>,
    excluded: Vec<Key>,
}

impl<'a> View<'a> {
    /// What somebody who is invited to this sees of the meeting: an instance that its organizer cancelled is there for
    /// nobody.
    pub(super) fn of(meeting: &Meeting<'a>, guest: &[Invited<'a>]) -> View<'a> {
        let mut view = View::none();
        for (key, component, _) in guest.iter().filter(|(_, c, _)| !meeting::is_cancelled(c)) {
            match key {
                None => view.master = Some(component),
                Some(key) => {
                    view.overrides.insert(*key, component);
                }
            }
        }
        if view.master.is_some() {
            let unseen = meeting
                .overrides
                .keys()
                .filter(|key| !view.overrides.contains_key(key));
            view.excluded = unseen.copied().collect();
        }
        view
    }

    /// What tells it from other views of the same meeting.
    pub(super) fn id(&self) -> ViewId {
        ViewId {
            master: self.master.is_some(),
            overrides: self.overrides.keys().copied().collect(),
            excluded: self.excluded.iter().copied().collect(),
        }
    }

    /// Nothing of it.
    pub(super) fn none() -> View<'a> {
        View {
            master: None,
            overrides: BTreeMap::new(),
            excluded: BTreeSet::new(),
        }
    }

    /// Whether they are invited to nothing.
    pub(super) fn is_empty(&self) -> bool {
        self.master.is_none() && self.overrides.is_empty()
    }

    /// The components as they are shown to others: the master without the instances that are not theirs, then the
    /// overrides, each by its instance.
    pub(super) fn shown(&self, meeting: &Meeting<'_>) -> BTreeMap<Option<Key>, Component> {
        let mut shown = BTreeMap::new();
        if let Some(master) = self.master {
            let mut master = public(master);
            for key in self.excluded.iter().filter(|key| !meeting.excludes(**key)) {
                master.push(Property::when_value("EXDATE", &meeting.id(*key)));
            }
            shown.insert(None, master);
        }
        for (key, component) in &self.overrides {
            shown.insert(Some(*key), public(component));
        }
        shown
    }
}

/// Non-standard properties that recipients' programs can use; all others are between the organizer and their program.
const SHARED_EXTENSIONS: [&str; 11] = [
    "X-ALT-DESC",
    "X-APPLE-STRUCTURED-LOCATION",
    "X-GOOGLE-CONFERENCE",
    "X-MICROSOFT-CDO-ALLDAYEVENT",
    "X-MICROSOFT-CDO-BUSYSTATUS",
    "X-MICROSOFT-CDO-IMPORTANCE",
    "X-MICROSOFT-CDO-INTENDEDSTATUS",
    "X-MICROSOFT-DISALLOW-COUNTER",
    "X-MICROSOFT-ONLINEMEETINGCONFLINK",
    "X-MICROSOFT-ONLINEMEETINGEXTERNALLINK",
    "X-MICROSOFT-SKYPETEAMSMEETINGURL",
];

/// Whether this is a non-standard property that stays with whoever wrote it.
pub(super) fn is_private(property: &Property) -> bool {
    let extension = property
        .name()
        .get(..2)
        .is_some_and(|x| x.eq_ignore_ascii_case("X-"));
    extension && !SHARED_EXTENSIONS.iter().any(|name| property.is(name))
}

/// A component without what is its owner's alone: alarms, private properties and parameters.
pub(super) fn public(component: &Component) -> Component {
    public_of(component, |_| true)
}

/// The same of a component with some of its properties only.
pub(super) fn public_of(component: &Component, keep: impl Fn(&Property) -> bool) -> Component {
    let mut component = component.filtered(|item| match item {
        Item::Property(property) => !is_private(property) && keep(property),
        Item::Component(inner) => !inner.is("VALARM"),
        Item::Junk(_) => true,
    });
    for property in component.all_properties_mut() {
        if property.is("ATTENDEE") || property.is("ORGANIZER") {
            property.retain_params(|param| !is_private_param(param.name()));
        }
    }
    component
}

/// One instance of the series as a component of its own, with nothing changed: what an override starts from.
pub(super) fn instance(meeting: &Meeting<'_>, key: Key) -> Option<Component> {
    let Some((first, change)) = meeting.changed_from(key) else {
        return instance_of(meeting, meeting.master?, key);
    };
    let (from, to) = (meeting.id(first), meeting.id(key));
    Some(moved(meeting, change, (&from, &to)))
}

/// The same of a master that is shown to somebody.
pub(super) fn instance_of(
    meeting: &Meeting<'_>,
    master: &Component,
    key: Key,
) -> Option<Component> {
    let start = meeting::start(master)?;
    Some(moved(meeting, master, (&start, &meeting.id(key))))
}

/// A component moved from one instance to another.
fn moved(meeting: &Meeting<'_>, component: &Component, (from, to): (&When, &When)) -> Component {
    let mut component = component.clone();
    for name in ["RRULE", "RDATE", "EXDATE", "EXRULE", "RECURRENCE-ID"] {
        component.remove(name);
    }
    for name in ["DTSTART", "DTEND", "DUE"] {
        let moved = component
            .property(name)
            .and_then(values::when)
            .and_then(|when| shifted(meeting, &when, (from, to)));
        if let (Some(moved), Some(property)) = (moved, component.property_mut(name)) {
            property.set_when(&moved);
        }
    }
    component.push(Property::when_value("RECURRENCE-ID", to));
    component
}

/// `when` moved by as much as lies between `from` and `to`, on the clock of its own zone.
fn shifted(meeting: &Meeting<'_>, when: &When, (from, to): (&When, &When)) -> Option<When> {
    let seconds = if when.same_form(from) {
        to.local().seconds() - from.local().seconds()
    } else {
        meeting.instant(to).0 - meeting.instant(from).0
    };
    Some(when.with_local(when.local().add_seconds(seconds)?))
}

/// Where a component starts and how long it lasts, by meaning: the same whichever of DTEND and DURATION says it.
pub(super) fn times(meeting: &Meeting<'_>, component: &Component) -> (Option<When>, Option<i64>) {
    let when = |name| component.property(name).and_then(values::when);
    let start = when("DTSTART");
    let end = when("DTEND").or_else(|| when("DUE"));
    let length = match (&start, &end) {
        (Some(start), Some(end)) if start.same_form(end) => {
            Some(end.local().seconds() - start.local().seconds())
        }
        (Some(start), Some(end)) => Some(meeting.instant(end).0 - meeting.instant(start).0),
        (None, Some(_)) => None,
        (_, None) => component
            .property("DURATION")
            .and_then(values::duration)
            .map(|duration| duration.nominal_seconds()),
    };
    (start.or(end), length)
}
