//! What a guest sees of a meeting, and the messages that their answers are: the same that their calendar program would
//! have sent (RFC 5546 §3.2.3, §3.2.7).

use super::form::Form;
use crate::dav::Shared;
use crate::ical::{
    Component, Limits, Property, Timestamp, When, address, address_key, empty_calendar, parse,
    values,
};
use crate::itip::{self, Key, Meeting, Message, Method, State, Weight};
use crate::mail::{
    Guest, Occasion, Words, mail_address, own_addresses, page_file, page_lines, zone_of,
};
use crate::recur::{self, Range, Zone, compile};
use crate::schedule;
use crate::store::Error;

/// Occurrences that are offered.
const OFFERED: usize = 20;

/// How far ahead they are looked for, in seconds.
const AHEAD: i64 = 366 * 86_400;

/// A meeting as one guest sees it.
#[derive(Debug)]
pub(super) struct Seen {
    /// What they would be sent if they asked.
    request: Message,
    /// What the organizer has.
    stored: Component,
    /// The guest's address as the meeting has it.
    attendee: String,
    /// The organizer's name.
    pub(super) organizer: String,
    organizer_zone: Option<Zone>,
    /// The zone that the guest chose.
    guest_zone: Option<Zone>,
    /// The languages of their mails, the likeliest first.
    pub(super) locales: Vec<String>,
    limits: recur::Limits,
    now: Timestamp,
}

/// An occurrence that can be answered by itself.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Occurrence {
    /// Its RECURRENCE-ID in UTC, or its day.
    pub(super) id: String,
    /// When it begins.
    pub(super) start: When,
    /// The instant it begins.
    pub(super) from: Timestamp,
    /// What the guest answered.
    pub(super) answer: String,
}

impl Seen {
    /// What this guest sees; none if the meeting is gone or goes on without them.
    pub(super) async fn of(
        shared: &Shared,
        guest: &Guest,
        now: Timestamp,
    ) -> Result<Option<Seen>, Error> {
        let home = shared.store.home(guest.home).await?;
        let Some((_, header)) = schedule::find_object(&home, &guest.uid).await? else {
            return Ok(None);
        };
        let text = home.text(&header).await?;
        let directory = shared.store.directory().await?;
        let stored = parse(&text, &Limits::default())
            .calendars
            .into_iter()
            .next();
        let (Some(stored), Some(owner)) = (stored, directory.principal(guest.home)) else {
            return Ok(None);
        };
        let who = own_addresses(&directory, guest.home, &[&stored]);
        let limits = itip::Limits {
            messages: 10,
            overrides: shared.limits.overrides,
            recur: shared.limits.recur,
        };
        let Some((refresh, organizer)) = refresh(&stored, guest, now) else {
            return Ok(None);
        };
        // What the guest would be sent if their program asked for it: nothing else is theirs to see.
        let asked = (now, &limits);
        let answered = itip::incoming(Some(&stored), &State::default(), &refresh, &who, asked);
        let request = answered.messages.into_iter().next();
        let guest_zone = zone_of(&shared.store, guest).await?;
        let locales = language(&stored, guest)
            .into_iter()
            .chain(owner.locale.clone());
        let locales = locales.collect();
        Ok(request.filter(takes_place).map(|request| Seen {
            attendee: refresh.from,
            organizer: organizer.unwrap_or_else(|| owner.display_name.clone()),
            organizer_zone: owner.timezone.as_deref().and_then(Zone::named),
            guest_zone,
            locales,
            limits: shared.limits.recur,
            request,
            stored,
            now,
        }))
    }

    fn occasion<'a>(&'a self, words: &'static Words, zone: Option<&'a Zone>) -> Occasion<'a> {
        Occasion {
            message: &self.request,
            before: None,
            goes_on: false,
            sender: &self.organizer,
            sender_mail: None,
            words,
            reader_zone: zone,
            writer_zone: self.organizer_zone.as_ref(),
            now: self.now,
        }
    }

    /// The lines that tell what it is, in the guest's zone if they chose one.
    pub(super) fn lines(&self, words: &'static Words, form: &Form) -> Vec<(&'static str, String)> {
        page_lines(&self.occasion(words, self.chosen(form).as_ref()))
    }

    /// The zone that the guest chose, now or before.
    fn chosen(&self, form: &Form) -> Option<Zone> {
        let asked = form.zone.as_deref().and_then(Zone::named);
        asked.or_else(|| self.guest_zone.clone())
    }

    /// The file for the guest's calendar.
    pub(super) fn file(
        &self,
        reply: Option<&str>,
        words: &'static Words,
        now: Timestamp,
    ) -> Vec<u8> {
        let mut occasion = self.occasion(words, None);
        occasion.now = now;
        let to = mail_address(&self.attendee).unwrap_or_default();
        page_file(&occasion, &to, reply)
    }

    fn meeting(&self) -> Option<Meeting<'_>> {
        Meeting::read(&self.request.calendar)
    }

    /// Its title.
    pub(super) fn title(&self) -> String {
        let component = self.meeting().and_then(|meeting| meeting.any());
        let title = component.and_then(|c| c.text("SUMMARY").map(|title| title.into_owned()));
        title.unwrap_or_default()
    }

    /// The zone in which times are told: the one the guest chose, else the meeting's.
    pub(super) fn zone(&self, form: &Form) -> Zone {
        let own = || {
            let meeting = self.meeting()?;
            let start = start(meeting.any()?)?;
            meeting.zones.get(start.tzid()?).cloned()
        };
        let organizers = || self.organizer_zone.clone();
        self.chosen(form)
            .or_else(own)
            .or_else(organizers)
            .unwrap_or_else(Zone::utc)
    }

    /// Whether it takes place on whole days.
    pub(super) fn is_all_day(&self) -> bool {
        let component = self.meeting().and_then(|meeting| meeting.any());
        component
            .and_then(start)
            .is_some_and(|start| start.is_date())
    }

    /// The instant of a time as the meeting writes it.
    pub(super) fn instant(&self, when: &When) -> Timestamp {
        let meeting = self.meeting();
        meeting.map_or(Timestamp(0), |meeting| meeting.instant(when))
    }

    /// Start and end as the organizer has them: of an occurrence, or the first.
    pub(super) fn span(&self, occurrence: Option<&Occurrence>) -> Option<(When, When)> {
        let meeting = self.meeting()?;
        let component = self.component(&meeting, occurrence)?;
        let (first, length) = (start(component)?, length(component, &meeting));
        let start = occurrence.map_or(first, |it| it.start.clone());
        let end = match &start {
            When::Date(day) => When::Date(day.add_days((length / 86_400).max(1))?),
            _ => When::Utc(meeting.instant(&start).add_seconds(length)),
        };
        Some((start, end))
    }

    fn component<'m>(
        &self,
        meeting: &Meeting<'m>,
        occurrence: Option<&Occurrence>,
    ) -> Option<&'m Component> {
        match occurrence.and_then(|it| key(&it.id)) {
            Some(key) => meeting.governing(key),
            None => meeting.any(),
        }
    }

    /// The occurrences to come, if it is a series.
    pub(super) fn occurrences(&self) -> Vec<Occurrence> {
        let Some(meeting) = self.meeting() else {
            return Vec::new();
        };
        let series = meeting.master.is_none_or(|master| {
            master.property("RRULE").is_some() || master.property("RDATE").is_some()
        });
        let range = Range::new(self.now, self.now.add_seconds(AHEAD));
        let (Some(range), true) = (range, series) else {
            return Vec::new();
        };
        let mut calendar = Component::clone(&self.request.calendar);
        calendar.remove("METHOD");
        let zone = Zone::utc();
        let found = compile(&calendar).instances(range, &zone, &self.limits);
        let stored = Meeting::read(&self.stored);
        let found = found
            .unwrap_or_default()
            .into_iter()
            .filter_map(|instance| {
                let key = meeting.key(&instance.id?);
                let component = stored.as_ref().and_then(|meeting| meeting.governing(key));
                Some(Occurrence {
                    id: id(key).to_string(),
                    start: instance.start?,
                    from: instance.from,
                    answer: self.answer_in(component?)?,
                })
            });
        found.take(OFFERED).collect()
    }

    /// What the guest answered for the meeting, or the series, and their comment.
    pub(super) fn answered(&self) -> (String, Option<String>) {
        let stored = Meeting::read(&self.stored);
        let component = stored.as_ref().and_then(|meeting| {
            let mut components = meeting.components().map(|(_, component)| component);
            components.find(|component| self.own(component).is_some())
        });
        let own = component.and_then(|component| self.own(component));
        let comment = own.and_then(|own| own.param("X-RESPONSE-COMMENT"));
        let comment = comment.map(|comment| comment.into_owned());
        let answer = component.and_then(|component| self.answer_in(component));
        (
            answer.unwrap_or_default(),
            comment.filter(|it| !it.is_empty()),
        )
    }

    fn own<'c>(&self, component: &'c Component) -> Option<&'c Property> {
        let key = address_key(&self.attendee);
        let mut attendees = component.properties("ATTENDEE");
        attendees.find(|attendee| address_key(attendee.value()) == key)
    }

    fn answer_in(&self, component: &Component) -> Option<String> {
        Some(address(self.own(component)?).partstat().to_lowercase())
    }

    /// The answer that a form is; none if it says nothing, or of an occurrence there is not.
    pub(super) fn reply(&self, form: &Form, now: Timestamp) -> Option<Message> {
        let answer = form.answer?.to_uppercase();
        let meeting = self.meeting()?;
        let chosen = match &form.occurrence {
            None => None,
            Some(id) => Some(self.known(&meeting, id)?),
        };
        let components: Vec<(Option<Key>, &Component)> = match chosen {
            Some(key) => vec![(Some(key), meeting.governing(key)?)],
            // Who answers for the series answers for what was changed in it.
            None => meeting.components().collect(),
        };
        let components = components.into_iter().filter_map(|(key, component)| {
            let own = self.own(component)?.clone();
            let mut own = own.with_param("PARTSTAT", &answer);
            own.remove_param("RSVP");
            let mut reply = self.head(&meeting, (key, component), form, now);
            reply.push(own);
            Some(reply)
        });
        self.message(Method::Reply, components.collect())
    }

    /// The proposal that a form is.
    pub(super) fn counter(&self, form: &Form, now: Timestamp) -> Option<Message> {
        let proposal = form.proposal(&self.zone(form))?;
        if self.is_all_day() != proposal.start.is_date() {
            return None;
        }
        let meeting = self.meeting()?;
        let key = match &form.occurrence {
            None => None,
            Some(id) => Some(self.known(&meeting, id)?),
        };
        let component = match key {
            Some(key) => meeting.governing(key)?,
            None => meeting.any()?,
        };
        // A series stays in its zone, so that summer and winter do not move it.
        let written = |when: &When| match (start(component), when) {
            (Some(When::Zoned(_, tzid)), When::Utc(instant)) => match meeting.zones.get(&tzid) {
                Some(zone) => When::Zoned(zone.local(*instant), tzid),
                None => when.clone(),
            },
            _ => when.clone(),
        };
        let mut counter = self.head(&meeting, (key, component), form, now);
        counter.set(Property::when_value("DTSTART", &written(&proposal.start)));
        counter.set(Property::when_value("DTEND", &written(&proposal.end)));
        for name in ["LOCATION", "DESCRIPTION", "RRULE"] {
            let of_series = name == "RRULE" && key.is_some();
            if let Some(property) = component.property(name).filter(|_| !of_series) {
                counter.push(property.clone());
            }
        }
        counter.push(
            self.own(component)?
                .clone()
                .with_param("PARTSTAT", "TENTATIVE"),
        );
        self.message(Method::Counter, vec![counter])
    }

    /// The occurrence of this name, if there is one.
    fn known(&self, meeting: &Meeting<'_>, id: &str) -> Option<Key> {
        let key = key(id)?;
        // Named as the page names it: a local time is no name of an occurrence that has a zone.
        let own = meeting.key(&start(meeting.any()?)?);
        let fits = std::mem::discriminant(&own) == std::mem::discriminant(&key);
        let has = fits && meeting.has(key, &self.limits) && !meeting.excludes(key);
        has.then_some(key)
    }

    /// What answers and proposals have in common.
    fn head(
        &self,
        meeting: &Meeting<'_>,
        (key, component): (Option<Key>, &Component),
        form: &Form,
        now: Timestamp,
    ) -> Component {
        let mut head =
            Component::new(component.name()).with(Property::when_value("DTSTAMP", &When::Utc(now)));
        for name in ["UID", "SEQUENCE", "ORGANIZER", "SUMMARY"] {
            if let Some(property) = component.property(name) {
                head.push(property.clone());
            }
        }
        if let Some(key) = key {
            head.push(Property::when_value("RECURRENCE-ID", &id(key)));
        }
        let begins = match (key, component.property("RECURRENCE-ID")) {
            (Some(key), None) => Some(id(key)),
            _ => start(component).map(|start| match start {
                When::Zoned(..) => When::Utc(meeting.instant(&start)),
                other => other,
            }),
        };
        if let Some(begins) = begins {
            head.push(Property::when_value("DTSTART", &begins));
        }
        let comment = form.comment();
        if !comment.is_empty() {
            head.push(Property::text_value("COMMENT", &comment));
        }
        head
    }

    fn message(&self, method: Method, components: Vec<Component>) -> Option<Message> {
        if components.is_empty() {
            return None;
        }
        let mut calendar = empty_calendar();
        calendar.push(Property::new("METHOD", &method.to_string()));
        for component in components {
            calendar.push_component(component);
        }
        recur::add_timezones(&mut calendar);
        Some(Message {
            method,
            from: self.attendee.clone(),
            to: self.request.from.clone(),
            uid: self.request.uid.clone(),
            weight: Weight::News,
            calendar: calendar.into(),
        })
    }
}

fn start(component: &Component) -> Option<When> {
    component.property("DTSTART").and_then(values::when)
}

/// How long a component lasts, in seconds.
fn length(component: &Component, meeting: &Meeting<'_>) -> i64 {
    let end = component.property("DTEND").and_then(values::when);
    match (start(component), end) {
        (Some(start), Some(end)) => meeting.instant(&end).0 - meeting.instant(&start).0,
        _ => {
            let length = component.property("DURATION").and_then(values::duration);
            length.map_or(3600, |it| it.days() * 86_400 + it.seconds())
        }
    }
}

/// Whether anything of it still takes place.
fn takes_place(request: &Message) -> bool {
    let mut components = request
        .calendar
        .all_components()
        .filter(|c| !c.is("VTIMEZONE"));
    components.any(|component| {
        component
            .text("STATUS")
            .is_none_or(|status| !status.eq_ignore_ascii_case("CANCELLED"))
    })
}

/// An instance as forms and messages name it.
fn id(key: Key) -> When {
    match key {
        Key::Date(date) => When::Date(date),
        Key::Floating(local) => When::Floating(local),
        Key::At(instant) => When::Utc(instant),
    }
}

fn key(id: &str) -> Option<Key> {
    match When::parse(id, None)? {
        When::Date(date) => Some(Key::Date(date)),
        When::Floating(local) => Some(Key::Floating(local)),
        When::Utc(instant) => Some(Key::At(instant)),
        When::Zoned(..) => None,
    }
}

/// The language that the meeting says the guest reads. RFC 5545 §3.2.10
fn language(stored: &Component, guest: &Guest) -> Option<String> {
    let mut attendees = stored
        .all_components()
        .flat_map(|component| component.properties("ATTENDEE"));
    let own = attendees.find(|attendee| address_key(attendee.value()) == guest.attendee)?;
    own.param("LANGUAGE").map(|language| language.into_owned())
}

/// What the guest's program would send to be told the newest state, and the organizer's name. RFC 5546 §3.2.6
fn refresh(stored: &Component, guest: &Guest, now: Timestamp) -> Option<(Message, Option<String>)> {
    let meeting = Meeting::read(stored)?;
    let organizer = meeting.organizer()?;
    let component = meeting.any()?;
    let mut attendees = meeting
        .components()
        .flat_map(|(_, c)| c.properties("ATTENDEE"));
    let own = attendees.find(|attendee| address_key(attendee.value()) == guest.attendee)?;
    let from = own.value().trim().to_owned();
    let mut calendar = empty_calendar();
    calendar.push(Property::new("METHOD", "REFRESH"));
    calendar.push_component(
        Component::new(component.name())
            .with(Property::new("UID", &guest.uid))
            .with(Property::when_value("DTSTAMP", &When::Utc(now)))
            .with(Property::new("ORGANIZER", organizer.value()))
            .with(Property::new("ATTENDEE", &from)),
    );
    let message = Message {
        method: Method::Refresh,
        from,
        to: organizer.value().trim().to_owned(),
        uid: guest.uid.clone(),
        weight: Weight::News,
        calendar: calendar.into(),
    };
    let name = address(organizer)
        .common_name()
        .map(|name| name.into_owned());
    Some((message, name))
}
