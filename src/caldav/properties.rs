//! The properties of calendars and homes: RFC 4791 §5.2, RFC 6638 §9.1, RFC 7529 §10.1, RFC 7809 §5 and
//! draft-daboo-caldav-extensions §4.1.

use super::collation::Collation;
use super::limits::Limits;
use super::{tzdist, zone};
use crate::dav::draft::store;
use crate::dav::{Condition, Context, Draft, Error, Found, Reading, SetFn};
use crate::ical::Format;
use crate::ical::{Timestamp, When, parse};
use crate::recur::Scale;
use crate::store::{Component, Components, Timezone};
use crate::xml::{Element, Name, Writer};

/// CALDAV:supported-calendar-component-set. RFC 4791 §5.2.3
pub(super) fn components(reading: &Reading<'_>, out: &mut Writer) -> Found {
    let Some(collection) = reading.resource.collection() else {
        return Found::No;
    };
    write_components(collection.settings.components, out);
    Found::Yes
}

fn write_components(components: Components, out: &mut Writer) {
    for component in components.iter() {
        leaf(out, "comp", &[("name", component.name())]);
    }
}

/// An element with attributes and nothing in it.
fn leaf(out: &mut Writer, local: &'static str, attributes: &[(&str, &str)]) {
    out.open_with(Name::caldav(local), attributes);
    out.close(Name::caldav(local));
}

/// Sets the components a new calendar takes. Names of components that cannot be stored are passed
/// over where one remains that can. RFC 4791 §5.2.3
pub(super) const SET_COMPONENTS: SetFn = |_, draft, element| {
    let Some(element) = element else {
        draft.settings.components = Components::ALL;
        return Ok(());
    };
    let named: Vec<Component> = element
        .children(Name::caldav("comp"))
        .filter_map(|comp| Component::named(comp.attribute("name")?))
        .collect();
    if named.is_empty() {
        return Err(Condition::SupportedCalendarComponent
            .because("VEVENT, VTODO, VJOURNAL, VFREEBUSY and VAVAILABILITY can be stored."));
    }
    draft.settings.components = Components::of(&named);
    Ok(())
};

/// CALDAV:supported-calendar-component-sets: any set may be asked for, which an empty element says.
/// draft-daboo-caldav-extensions §4.1
pub(super) fn component_sets(_: &Reading<'_>, _: &mut Writer) -> Found {
    Found::Yes
}

/// CALDAV:supported-calendar-data. RFC 4791 §5.2.4
pub(super) fn data(_: &Reading<'_>, out: &mut Writer) -> Found {
    for format in Format::ALL {
        let attributes = [("content-type", format.media_type()), ("version", "2.0")];
        leaf(out, "calendar-data", &attributes);
    }
    Found::Yes
}

/// CALDAV:supported-collation-set. RFC 4791 §7.5.1
pub(super) fn collations(_: &Reading<'_>, out: &mut Writer) -> Found {
    for collation in Collation::ALL {
        out.element(Name::caldav("supported-collation"), collation.name());
    }
    Found::Yes
}

/// CALDAV:supported-rscale-set. RFC 7529 §10.1
pub(super) fn scales(_: &Reading<'_>, out: &mut Writer) -> Found {
    for name in Scale::names() {
        out.element(Name::caldav("supported-rscale"), name);
    }
    Found::Yes
}

/// CALDAV:max-resource-size. RFC 4791 §5.2.5
pub(super) fn max_size(reading: &Reading<'_>, out: &mut Writer) -> Found {
    number(reading.cx.shared.limits.resource_bytes, out)
}

/// CALDAV:max-instances. RFC 4791 §5.2.8
pub(super) fn max_instances(reading: &Reading<'_>, out: &mut Writer) -> Found {
    number(reading.cx.shared.limits.instances, out)
}

/// CALDAV:max-attendees-per-instance. RFC 4791 §5.2.9
pub(super) fn max_attendees(reading: &Reading<'_>, out: &mut Writer) -> Found {
    number(reading.cx.shared.limits.attendees, out)
}

fn number(number: usize, out: &mut Writer) -> Found {
    out.text(&number.to_string());
    Found::Yes
}

/// CALDAV:min-date-time. RFC 4791 §5.2.6
pub(super) fn min_time(reading: &Reading<'_>, out: &mut Writer) -> Found {
    time(Limits::of(&reading.cx.shared.limits).earliest(), out)
}

/// CALDAV:max-date-time. RFC 4791 §5.2.7
pub(super) fn max_time(reading: &Reading<'_>, out: &mut Writer) -> Found {
    time(Limits::of(&reading.cx.shared.limits).latest(), out)
}

fn time(instant: Timestamp, out: &mut Writer) -> Found {
    out.text(&When::Utc(instant).to_string());
    Found::Yes
}

/// CALDAV:calendar-timezone, RFC 4791 §5.2.2; of an identifier, the definition, RFC 7809 §3.1.5.
///
/// "This property SHOULD be defined on all calendar collections": one without a zone of its own
/// tells that of its owner, by which its floating times are read.
pub(super) fn timezone(reading: &Reading<'_>, out: &mut Writer) -> Found {
    let text = match own_timezone(reading) {
        Some(Timezone::Text(text)) => Some(text.clone()),
        Some(Timezone::Id(id)) => zone::definition(id),
        None => owners_timezone(reading).and_then(zone::definition),
    };
    out.text(text.as_deref().unwrap_or_default());
    Found::when(text.is_some())
}

fn own_timezone<'a>(reading: &Reading<'a>) -> Option<&'a Timezone> {
    reading.resource.collection()?.settings.timezone.as_ref()
}

/// The zone of the owner of a calendar.
fn owners_timezone<'a>(reading: &Reading<'a>) -> Option<&'a str> {
    reading.resource.owner()?.timezone.as_deref()
}

/// Sets CALDAV:calendar-timezone. RFC 4791 §5.2.10
pub(super) const SET_TIMEZONE: SetFn = |cx, draft, element| {
    let Some(element) = element else {
        draft.settings.timezone = None;
        return Ok(());
    };
    let text = element.text();
    zone::of_text(&text, &Limits::of(&cx.shared.limits).ical).ok_or_else(|| {
        Condition::ValidCalendarData.because("An iCalendar object with one VTIMEZONE is wanted.")
    })?;
    draft.settings.timezone = Some(Timezone::Text(text.into_owned()));
    Ok(())
};

/// CALDAV:calendar-timezone-id. RFC 7809 §5.2
pub(super) fn timezone_id(reading: &Reading<'_>, out: &mut Writer) -> Found {
    let limits = Limits::of(&reading.cx.shared.limits).ical;
    let id = match own_timezone(reading) {
        Some(Timezone::Id(id)) => Some(id.clone()),
        Some(Timezone::Text(text)) => zone::id_of_text(text, &limits),
        None => owners_timezone(reading)
            .filter(|id| zone::named(id).is_some())
            .map(str::to_owned),
    };
    out.text(id.as_deref().unwrap_or_default());
    Found::when(id.is_some())
}

/// Sets CALDAV:calendar-timezone-id. RFC 7809 §3.1.5
pub(super) const SET_TIMEZONE_ID: SetFn = |_, draft, element| {
    let Some(element) = element else {
        draft.settings.timezone = None;
        return Ok(());
    };
    let id = element.text().trim().to_owned();
    if zone::named(&id).is_none() {
        return Err(Condition::ValidTimezone.because("The server does not know this time zone."));
    }
    draft.settings.timezone = Some(Timezone::Id(id));
    Ok(())
};

/// CALDAV:timezone-service-set. RFC 7809 §5.1
pub(super) fn timezone_services(reading: &Reading<'_>, out: &mut Writer) -> Found {
    out.href(&format!("{}{}", reading.cx.hrefs.prefix(), tzdist::SERVICE));
    Found::Yes
}

/// Sets CALDAV:calendar-availability: VAVAILABILITY components and their time zones, nothing else.
/// RFC 7953 §7.2.2
pub(super) const SET_AVAILABILITY: SetFn = |cx, draft, element| {
    if let Some(element) = element {
        let limits = Limits::of(&cx.shared.limits).ical;
        let parsed = parse(element.text().trim().as_bytes(), &limits);
        let sound = parsed.fault().is_none();
        let known = ["VAVAILABILITY", "VTIMEZONE"];
        let fits = |c: &crate::ical::Component| known.iter().any(|name| c.is(name));
        let only = |calendar: &crate::ical::Component| calendar.all_components().all(fits);
        if !sound || parsed.calendars.is_empty() || !parsed.calendars.iter().all(only) {
            return Err(Condition::ValidCalendarData
                .because("An iCalendar object with VAVAILABILITY components is wanted."));
        }
    }
    store(draft, Name::caldav("calendar-availability"), element);
    Ok(())
};

/// CALDAV:schedule-calendar-transp. RFC 6638 §9.1
pub(super) fn transparency(reading: &Reading<'_>, out: &mut Writer) -> Found {
    let Some(collection) = reading.resource.collection() else {
        return Found::No;
    };
    out.empty(match collection.settings.transparent {
        true => TRANSPARENT,
        false => OPAQUE,
    });
    Found::Yes
}

/// Sets CALDAV:schedule-calendar-transp. RFC 6638 §9.1
pub(super) const SET_TRANSPARENCY: SetFn = |_: &Context, draft: &mut Draft, element| {
    let has = |element: &Element, name| element.child(name).is_some();
    draft.settings.transparent = match element {
        None => false,
        Some(element) if has(element, TRANSPARENT) => true,
        Some(element) if has(element, OPAQUE) => false,
        Some(_) => return Err(Error::Status(409, "opaque or transparent is wanted")),
    };
    Ok(())
};

const TRANSPARENT: Name<'static> = Name::caldav("transparent");
const OPAQUE: Name<'static> = Name::caldav("opaque");

/// Fills in what a new calendar was not told: it takes every component. RFC 4791 §5.2.3
pub(super) fn complete(_: &Context, draft: &mut Draft) -> Result<(), Error> {
    if draft.settings.components.is_empty() {
        draft.settings.components = Components::ALL;
    }
    Ok(())
}
