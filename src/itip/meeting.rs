//! A meeting: the components of one UID, by instance.

use super::people::{Addresses, Person};
use crate::ical::{Component, Date, LocalTime, Property, Timestamp, When, values};
use crate::recur::{Rule, Series, Zone, Zones};
use std::collections::{BTreeMap, BTreeSet};

/// Which instance of a series a component or a date in EXDATE stands for: its RECURRENCE-ID, normalised, so that two
/// programs that write it in different zones mean the same one.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Key {
    /// A day.
    Date(Date),
    /// A floating time.
    Floating(LocalTime),
    /// An instant.
    At(Timestamp),
}

/// The components of one UID in one person's calendar.
#[derive(Debug)]
pub struct Meeting<'a> {
    /// The VCALENDAR.
    pub calendar: &'a Component,
    /// The component without RECURRENCE-ID.
    pub master: Option<&'a Component>,
    /// Those with one.
    pub overrides: BTreeMap<Key, &'a Component>,
    /// The zones its times are written in.
    pub zones: Zones,
    exceptions: BTreeSet<Key>,
}

/// Something that somebody is invited to: the instance, its component, and their ATTENDEE in it.
pub(super) type Invited<'a> = (Option<Key>, &'a Component, &'a Property);

/// The components that are scheduled. RFC 5546 §1.4
pub(super) fn is_meeting(component: &Component) -> bool {
    component.is("VEVENT") || component.is("VTODO")
}

impl<'a> Meeting<'a> {
    /// The meeting in a VCALENDAR; none if it has neither events nor to-dos.
    #[must_use]
    pub fn read(calendar: &'a Component) -> Option<Meeting<'a>> {
        let mut meeting = Meeting {
            calendar,
            master: None,
            overrides: BTreeMap::new(),
            zones: Zones::of(calendar),
            exceptions: BTreeSet::new(),
        };
        let mut components = calendar.all_components().filter(|c| is_meeting(c));
        let mut detached = Vec::new();
        for component in &mut components {
            match component.property("RECURRENCE-ID").and_then(values::when) {
                Some(id) => detached.push((id, component)),
                None => meeting.master = Some(component),
            }
        }
        if meeting.master.is_none() && detached.is_empty() {
            return None;
        }
        for (id, component) in detached {
            meeting.overrides.insert(meeting.key(&id), component);
        }
        if let Some(master) = meeting.master {
            let dates = master.properties("EXDATE").flat_map(values::whens);
            meeting.exceptions = dates.map(|date| meeting.key(&date)).collect();
        }
        Some(meeting)
    }

    /// The instance that a RECURRENCE-ID or EXDATE value names. A day against a series of times means the instance that
    /// starts on it; a floating time against a series in a zone is in that zone.
    #[must_use]
    pub fn key(&self, id: &When) -> Key {
        let start = self.start();
        let id = match (id, &start) {
            (When::Date(date), Some(start)) if !start.is_date() => {
                let days = date.days() - start.date().days();
                let local = start.local().add_days(days);
                local.map_or_else(|| id.clone(), |local| start.with_local(local))
            }
            (When::Floating(local), Some(start @ (When::Zoned(..) | When::Utc(_)))) => {
                start.with_local(*local)
            }
            (_, Some(When::Date(_))) => When::Date(id.date()),
            _ => id.clone(),
        };
        match &id {
            When::Date(date) => Key::Date(*date),
            When::Floating(local) => Key::Floating(*local),
            When::Utc(instant) => Key::At(*instant),
            When::Zoned(..) => Key::At(self.instant(&id)),
        }
    }

    /// The value that names this instance, written as the series writes its start. RFC 5545 §3.8.4.4
    #[must_use]
    pub fn id(&self, key: Key) -> When {
        match (key, self.start()) {
            (Key::Date(date), _) => When::Date(date),
            (Key::Floating(local), _) => When::Floating(local),
            (Key::At(instant), Some(When::Zoned(_, tzid))) => match self.zones.get(&tzid) {
                Some(zone) => When::Zoned(zone.local(instant), tzid),
                None => When::Utc(instant),
            },
            (Key::At(instant), _) => When::Utc(instant),
        }
    }

    fn start(&self) -> Option<When> {
        start(self.master?)
    }

    /// All components: the master first, the overrides in time order.
    pub fn components(&self) -> impl Iterator<Item = (Option<Key>, &'a Component)> + '_ {
        let master = self.master.into_iter().map(|master| (None, master));
        master.chain(self.overrides.iter().map(|(key, c)| (Some(*key), *c)))
    }

    /// Some component: what all have in common can be read from it.
    #[must_use]
    pub fn any(&self) -> Option<&'a Component> {
        self.components().next().map(|(_, component)| component)
    }

    /// The component that says how an instance is: its override, one before it that changed all that follow, else the
    /// master.
    #[must_use]
    pub fn governing(&self, key: Key) -> Option<&'a Component> {
        let change = || self.changed_from(key).map(|(_, component)| component);
        self.overrides
            .get(&key)
            .copied()
            .or_else(change)
            .or(self.master)
    }

    /// The last override at or before an instance that changes all that follow it, with where it begins. RFC 5545 §3.2.13
    #[must_use]
    pub fn changed_from(&self, key: Key) -> Option<(Key, &'a Component)> {
        let mut earlier = self.overrides.range(..=key).rev();
        earlier
            .find(|(_, component)| and_future(component))
            .map(|(first, component)| (*first, *component))
    }

    /// Whether EXDATE takes this instance out.
    #[must_use]
    pub fn excludes(&self, key: Key) -> bool {
        self.exceptions.contains(&key)
    }

    /// The instances EXDATE takes out.
    #[must_use]
    pub fn exceptions(&self) -> &BTreeSet<Key> {
        &self.exceptions
    }

    /// Whether the series has this instance, or had it before EXDATE.
    #[must_use]
    pub fn has(&self, key: Key, limits: &crate::recur::Limits) -> bool {
        if self.overrides.contains_key(&key) {
            return true;
        }
        let Some(master) = self.master else {
            return false;
        };
        let Some(start) = start(master).filter(|_| recurs(master)) else {
            return false;
        };
        if self.key(&start) == key {
            return true;
        }
        let mut dates = master.properties("RDATE").flat_map(|p| {
            let periods = values::periods(p).into_iter().map(|period| period.start);
            values::whens(p).into_iter().chain(periods)
        });
        if dates.any(|date| self.key(&date) == key) {
            return true;
        }
        let local = self.id(key).local();
        let Some(after) = local.add_seconds(1) else {
            return false;
        };
        master.properties("RRULE").any(|rule| {
            let Ok((rule, _)) = Rule::parse(rule.value()) else {
                return false;
            };
            let series = self.series(&rule, &start);
            series
                .between(local, after, limits)
                .is_ok_and(|found| !found.is_empty())
        })
    }

    /// A rule bound to the series' start, with an UNTIL in another zone brought into the start's.
    pub(super) fn series(&self, rule: &Rule, start: &When) -> Series {
        let series = Series::new(rule, start);
        match (&rule.until, start) {
            (Some(until @ When::Utc(_)), When::Zoned(_, tzid)) => match self.zones.get(tzid) {
                Some(zone) => series.with_until(zone.local(self.instant(until))),
                None => series,
            },
            _ => series,
        }
    }

    /// The instant of a value; a day or a floating time is read as UTC, which serves to compare two of them.
    #[must_use]
    pub fn instant(&self, when: &When) -> Timestamp {
        self.zones.instant(when, &Zone::utc())
    }

    /// The ORGANIZER; the first component that has one speaks for all.
    #[must_use]
    pub fn organizer(&self) -> Option<&'a Property> {
        self.components()
            .find_map(|(_, component)| component.property("ORGANIZER"))
    }

    /// Whether all components that name an organizer name the same one. RFC 6638 §3.2.4.2
    #[must_use]
    pub fn one_organizer(&self, who: &Addresses) -> bool {
        let mut people = self
            .components()
            .filter_map(|(_, c)| c.property("ORGANIZER"))
            .map(|o| who.person(o.value()));
        let first = people.next();
        people.all(|person| Some(person) == first)
    }

    /// Everybody invited to any instance, with one of the addresses each was invited under.
    #[must_use]
    pub fn invited(&self, who: &Addresses) -> BTreeMap<Person, String> {
        let guests = self.guests(who).into_iter();
        let address = |guest: &[Invited<'_>]| {
            guest
                .first()
                .map(|(_, _, own)| own.value().trim().to_owned())
        };
        guests
            .map(|(person, guest)| (person, address(&guest).unwrap_or_default()))
            .collect()
    }

    /// Everybody invited to any instance, with what each is invited to.
    pub(super) fn guests(&self, who: &Addresses) -> BTreeMap<Person, Vec<Invited<'a>>> {
        let mut all: BTreeMap<Person, Vec<Invited<'a>>> = BTreeMap::new();
        for (key, component) in self.components() {
            for attendee in component.properties("ATTENDEE") {
                let guest = all.entry(who.person(attendee.value())).or_default();
                // Of two addresses of one person the first counts.
                if guest.last().is_none_or(|(last, _, _)| *last != key) {
                    guest.push((key, component, attendee));
                }
            }
        }
        all
    }
}

/// DTSTART, or DUE for a to-do that has no start.
pub(super) fn start(component: &Component) -> Option<When> {
    let property = component
        .property("DTSTART")
        .or_else(|| component.property("DUE"))?;
    values::when(property)
}

/// Whether it is about an instance and all that follow it. RFC 5545 §3.2.13
pub(super) fn and_future(component: &Component) -> bool {
    component
        .property("RECURRENCE-ID")
        .and_then(|id| id.param("RANGE"))
        .is_some_and(|range| range.eq_ignore_ascii_case("THISANDFUTURE"))
}

/// Whether a component is a series.
pub(super) fn recurs(component: &Component) -> bool {
    component.property("RRULE").is_some() || component.property("RDATE").is_some()
}

/// This person's ATTENDEE in a component.
pub(super) fn attendee<'c>(
    component: &'c Component,
    person: &Person,
    who: &Addresses,
) -> Option<&'c Property> {
    component.properties("ATTENDEE").find(|a| match person {
        Person::Owner => who.is_own(a.value()),
        _ => who.person(a.value()) == *person,
    })
}

/// Whether the organizer cancelled it. RFC 5545 §3.8.1.11
pub(super) fn is_cancelled(component: &Component) -> bool {
    component
        .property("STATUS")
        .is_some_and(|status| status.value().trim().eq_ignore_ascii_case("CANCELLED"))
}

/// SEQUENCE; 0 where there is none. RFC 5545 §3.8.7.4
pub(super) fn sequence(component: &Component) -> u64 {
    component
        .property("SEQUENCE")
        .and_then(|p| p.value().trim().parse().ok())
        .unwrap_or(0)
}

/// DTSTAMP; the earliest time where there is none. RFC 5545 §3.8.7.2
pub(super) fn stamp(component: &Component) -> Timestamp {
    match component.property("DTSTAMP").and_then(values::when) {
        Some(When::Utc(instant)) => instant,
        _ => Timestamp(i64::MIN),
    }
}
