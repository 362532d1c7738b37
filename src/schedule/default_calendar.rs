//! The calendar in which the server puts what is new to somebody: RFC 6638 §4.3, §9.2.
//!
//! The inbox keeps the calendar's id, so that it may be renamed. Where none was chosen, or the one
//! chosen is gone or does not take the component, it is the oldest calendar that takes it.

use crate::dav::{
    Boxed, Condition, Context, Draft, Error, Found, Get, Kinds, Listed, Needs, Property, Reading,
    Resource, Rules, Set, SetFn, collection_href,
};
use crate::store::{Collection, Component, Home, Id, Kind};
use crate::xml::{Element, Name, Writer};
use std::sync::Arc;

/// The name of the property, and under which the inbox keeps the id.
const NAME: Name<'static> = Name::caldav("schedule-default-calendar-URL");

/// The rows of this file.
pub(super) const PROPERTIES: &[Property] = &[Property {
    name: NAME,
    spec: "RFC 6638 §9.2",
    on: Kinds::INBOX,
    allprop: Listed::OnRequest,
    needs: Needs::Row,
    get: Get::Content(get),
    set: Set::Checked(SET),
}];

/// What is to be kept while it is the default.
pub(super) const RULES: Rules = Rules {
    admit: |_, _| Box::pin(async { Ok(()) }),
    remove,
};

/// The calendar in which a new object of this component is put for the owner of the home; none
/// where no calendar takes it, and then it cannot be delivered. RFC 6638 §4.3
pub fn default_calendar(home: &Home, component: Component) -> Option<&Arc<Collection>> {
    let takes = |calendar: &&Arc<Collection>| {
        calendar.kind == Kind::Calendar && calendar.settings.components.contains(component)
    };
    let oldest = || {
        let calendars = home.collections().filter(takes);
        calendars.min_by_key(|calendar| calendar.age())
    };
    chosen(home).filter(takes).or_else(oldest)
}

/// The calendar that the owner chose, if it is there.
fn chosen(home: &Home) -> Option<&Arc<Collection>> {
    let inbox = home.collections().find(|c| c.kind == Kind::Inbox)?;
    let kept = inbox.settings.properties.get(&NAME.clark())?;
    home.collection_by_id(kept.parse::<Id>().ok()?)
}

fn get(reading: &Reading<'_>, out: &mut Writer) -> Found {
    let Some(place) = reading.resource.place() else {
        return Found::No;
    };
    if let Some(calendar) = default_calendar(&place.home, Component::Event) {
        let hrefs = &reading.cx.hrefs;
        out.href(&collection_href(hrefs, &place.owner, &calendar.name));
    }
    Found::Yes
}

/// Chooses: one of the owner's own calendars, and one that takes events. There is always a default
/// calendar, so the property cannot be removed. RFC 6638 §4.3.1
const SET: SetFn = |cx: &Context, draft: &mut Draft, element| {
    let href = element.and_then(|element| element.child(Name::dav("href")));
    let href = href.ok_or(Condition::DefaultCalendarNeeded)?;
    let calendar = named(cx, href).ok_or_else(|| {
        Condition::ValidScheduleDefaultCalendarUrl
            .because("A calendar of the inbox's owner that takes events is wanted.")
    })?;
    let kept = &mut draft.settings.properties;
    kept.insert(NAME.clark(), calendar.id.to_string());
    Ok(())
};

/// The calendar in the target's home that an href names, if it may be the default.
fn named<'a>(cx: &'a Context, href: &Element) -> Option<&'a Arc<Collection>> {
    let place = cx.target.place()?;
    let wanted = cx.path_of(href.text().trim())?;
    let is_it = |calendar: &&Arc<Collection>| {
        let href = collection_href(&cx.hrefs, &place.owner, &calendar.name);
        let path = cx.path_of(&href);
        path.is_some_and(|path| path.segments() == wanted.segments())
    };
    let calendar = place.home.collections().find(is_it)?;
    let takes = calendar.settings.components.contains(Component::Event);
    (takes && calendar.kind == Kind::Calendar).then_some(calendar)
}

/// "Servers MUST reject any attempt to delete the default calendar collection." RFC 6638 §4.3
fn remove<'a>(_: &'a mut Context, resource: &'a Resource) -> Boxed<'a, ()> {
    Box::pin(async move {
        let Resource::Collection(place, collection) = resource else {
            return Ok(());
        };
        let default = default_calendar(&place.home, Component::Event);
        match default.is_some_and(|default| default.id == collection.id) {
            true => Err(Error::from(Condition::DefaultCalendarNeeded)),
            false => Ok(()),
        }
    })
}
