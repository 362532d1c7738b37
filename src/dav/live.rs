//! Live properties that every kind of resource may have, calendars or not.
//!
//! RFC 4918 §15, RFC 4331, RFC 5397, RFC 5842 §3.1, RFC 5995 §3.2.1, RFC 6578 §4, Apple's CTag
//! (caldav-ctag §4.1). Those of access control are in `acl`, those that list what is supported
//! in `supported`.
//!
//! **Gaps**: no DAV:supportedlock and DAV:lockdiscovery, as class 2 is not claimed.

use super::date;
use super::kind::Kind;
use super::kind::Kinds;
use super::resource::{Resource, principal_href};
use super::tables::Set::{Protected, Stored};
use super::tables::{Found, Get, Listed, Needs, Property, Reading, Set};
use crate::store::{self, Component, PrincipalKind, Viewer};
use crate::xml::{Name, Writer};
use std::sync::atomic::Ordering;

/// Where creationdate, getlastmodified and quotas are kept.
const STORED: Kinds = Kinds::HOME.and(Kinds::IN_HOME).and(Kinds::OBJECTS);
/// Homes and what is in them, as far as they are collections.
const HOLDING: Kinds = Kinds::HOME.and(Kinds::IN_HOME);
const TAGGED: Kinds = Kinds::OBJECTS.and(Kinds::CALENDAR);
const PRINCIPAL: Kinds = Kinds::PRINCIPAL;

const fn row(
    name: Name<'static>,
    spec: &'static str,
    on: Kinds,
    (allprop, get, set): (Listed, Get, Set),
) -> Property {
    Property {
        name,
        spec,
        on,
        allprop,
        needs: Needs::Row,
        get,
        set,
    }
}

use Get::{Content, StoredOr};
use Listed::{Always, OnRequest};

/// The rows.
#[rustfmt::skip]
pub(super) const PROPERTIES: &[Property] = &[
    row(Name::dav("creationdate"), "RFC 4918 §15.1", STORED.and(PRINCIPAL), (Always, Content(creationdate), Protected)),
    row(Name::dav("displayname"), "RFC 4918 §15.2", HOLDING, (Always, StoredOr(no), Stored)),
    row(Name::dav("displayname"), "RFC 3744 §4", Kinds::STRUCTURE, (Always, Content(displayname), Protected)),
    row(Name::dav("getcontentlength"), "RFC 4918 §15.4", Kinds::OBJECTS, (Always, Content(getcontentlength), Protected)),
    row(Name::dav("getcontenttype"), "RFC 4918 §15.5", Kinds::OBJECTS, (Always, Content(getcontenttype), Protected)),
    row(Name::dav("getetag"), "RFC 4918 §15.6", TAGGED, (Always, Content(getetag), Protected)),
    row(Name::dav("getlastmodified"), "RFC 4918 §15.7", STORED, (Always, Content(getlastmodified), Protected)),
    row(Name::dav("resourcetype"), "RFC 4918 §15.9", Kinds::EXISTING, (Always, Content(resourcetype), Protected)),
    row(Name::dav("quota-available-bytes"), "RFC 4331 §3", HOLDING, (OnRequest, Content(quota_available), Protected)),
    row(Name::dav("quota-used-bytes"), "RFC 4331 §4", HOLDING, (OnRequest, Content(quota_used), Protected)),
    row(Name::dav("current-user-principal"), "RFC 5397 §3", Kinds::EXISTING, (OnRequest, Content(current_user_principal), Protected)),
    row(Name::dav("resource-id"), "RFC 5842 §3.1", HOLDING.and(PRINCIPAL), (OnRequest, Content(resource_id), Protected)),
    row(Name::dav("add-member"), "RFC 5995 §3.2.1", Kinds::CALENDAR, (OnRequest, Content(add_member), Protected)),
    row(Name::dav("sync-token"), "RFC 6578 §4", Kinds::SYNCED, (OnRequest, Content(sync_token), Protected)),
    row(Name::calendarserver("getctag"), "caldav-ctag §4.1", Kinds::SYNCED.and(Kinds::OUTBOX), (Always, Content(getctag), Protected)),
    row(Name::calendarserver("email-address-set"), "RFC 3744 §4.1", PRINCIPAL, (OnRequest, Content(email_address_set), Protected)),
    row(Name::calendarserver("first-name"), "RFC 3744 §4", PRINCIPAL, (OnRequest, Content(first_name), Protected)),
    row(Name::calendarserver("last-name"), "RFC 3744 §4", PRINCIPAL, (OnRequest, Content(last_name), Protected)),
    row(Name::calendarserver("notification-URL"), "caldav-notifications §4.1.1", PRINCIPAL, (OnRequest, Content(notification_url), Protected)),
    row(Name::calendarserver("calendar-proxy-read-for"), "caldav-proxy §5.3.1", PRINCIPAL, (OnRequest, Content(nobody), Protected)),
    row(Name::calendarserver("calendar-proxy-write-for"), "caldav-proxy §5.3.2", PRINCIPAL, (OnRequest, Content(nobody), Protected)),
];

fn no(_: &Reading<'_>, _: &mut Writer) -> Found {
    Found::No
}

/// A property whose value is that there is nobody.
fn nobody(_: &Reading<'_>, _: &mut Writer) -> Found {
    Found::Yes
}

fn creationdate(r: &Reading<'_>, w: &mut Writer) -> Found {
    let at = match r.resource {
        Resource::Object(_, _, header) => header.created,
        Resource::Principal(principal) => principal.created,
        other => match other.collection() {
            Some(collection) => collection.created,
            None => return Found::No,
        },
    };
    w.text(&date::internet(at));
    Found::Yes
}

fn displayname(r: &Reading<'_>, w: &mut Writer) -> Found {
    match r.resource {
        Resource::Principal(principal) => w.text(&principal.display_name),
        Resource::PrincipalCollection(set) => w.text(set.segment()),
        Resource::PrincipalRoot => w.text("principals"),
        Resource::HomeRoot => w.text("calendars"),
        _ => w.text("Kalends"),
    }
    Found::Yes
}

fn getcontentlength(r: &Reading<'_>, w: &mut Writer) -> Found {
    let Some(header) = r.resource.header() else {
        return Found::No;
    };
    w.number(u64::from(header.size_bytes));
    Found::Yes
}

/// The media type of an object, as GET answers it too.
pub fn media_type(resource: &Resource) -> &'static str {
    let component = resource.header().and_then(|header| header.component);
    match (resource.kind(), component) {
        (Kind::Notification, _) => "application/xml; charset=utf-8",
        (_, Some(Component::Event)) => "text/calendar; charset=utf-8; component=VEVENT",
        (_, Some(Component::Todo)) => "text/calendar; charset=utf-8; component=VTODO",
        (_, Some(Component::Journal)) => "text/calendar; charset=utf-8; component=VJOURNAL",
        (_, Some(Component::FreeBusy)) => "text/calendar; charset=utf-8; component=VFREEBUSY",
        (_, Some(Component::Availability)) => {
            "text/calendar; charset=utf-8; component=VAVAILABILITY"
        }
        (_, None) => "text/calendar; charset=utf-8",
    }
}

fn getcontenttype(r: &Reading<'_>, w: &mut Writer) -> Found {
    w.raw(media_type(r.resource));
    Found::Yes
}

fn getetag(r: &Reading<'_>, w: &mut Writer) -> Found {
    match r.resource {
        // An ETag of ours holds nothing that XML would have escaped.
        Resource::Object(_, _, header) => w.raw(&header.etag()),
        Resource::Collection(_, collection) => {
            w.text("\"");
            w.text(&collection.ctag());
            w.text("\"");
        }
        _ => return Found::No,
    }
    Found::Yes
}

fn getlastmodified(r: &Reading<'_>, w: &mut Writer) -> Found {
    let at = match (r.resource.header(), r.resource.collection()) {
        (Some(header), _) => header.modified,
        (None, Some(collection)) => collection.modified(),
        (None, None) => return Found::No,
    };
    w.text(&date::http(at));
    Found::Yes
}

fn resourcetype(r: &Reading<'_>, w: &mut Writer) -> Found {
    let kind = r.resource.kind();
    if kind == Kind::Principal {
        w.empty(Name::dav("principal"));
    } else if kind.is_collection() {
        w.empty(Name::dav("collection"));
    }
    match kind {
        Kind::Calendar => w.empty(Name::caldav("calendar")),
        Kind::Inbox => w.empty(Name::caldav("schedule-inbox")),
        Kind::Outbox => w.empty(Name::caldav("schedule-outbox")),
        Kind::Notifications => w.empty(Name::calendarserver("notification")),
        _ => {}
    }
    Found::Yes
}

fn quota_available(r: &Reading<'_>, w: &mut Writer) -> Found {
    let free = r.cx.shared.free_bytes.load(Ordering::Relaxed);
    if free == u64::MAX {
        return Found::No;
    }
    w.number(free);
    Found::Yes
}

fn quota_used(r: &Reading<'_>, w: &mut Writer) -> Found {
    let Some(place) = r.resource.place() else {
        return Found::No;
    };
    w.number(place.home.bytes_used());
    Found::Yes
}

fn current_user_principal(r: &Reading<'_>, w: &mut Writer) -> Found {
    w.href(&principal_href(&r.cx.hrefs, &r.cx.viewer.principal));
    Found::Yes
}

/// The id by which the store knows it. A principal and its home share one; theirs differ in the
/// scheme, because two resources never have the same.
fn resource_id(r: &Reading<'_>, w: &mut Writer) -> Found {
    let (scheme, id) = match r.resource {
        Resource::Principal(principal) => ("urn:uuid:", principal.id),
        Resource::Home(place) => ("urn:kalends:home:", place.home.id()),
        other => match other.collection() {
            Some(collection) => ("urn:uuid:", collection.id),
            None => return Found::No,
        },
    };
    let hex = id.to_string();
    let mut uri = String::from(scheme);
    for (at, digit) in hex.chars().enumerate() {
        if [8, 12, 16, 20].contains(&at) {
            uri.push('-');
        }
        uri.push(digit);
    }
    w.href(&uri);
    Found::Yes
}

fn add_member(r: &Reading<'_>, w: &mut Writer) -> Found {
    let mut href = r.resource.href(&r.cx.hrefs);
    href.push_str("?add-member");
    w.href(&href);
    Found::Yes
}

fn sync_token(r: &Reading<'_>, w: &mut Writer) -> Found {
    match r.resource {
        Resource::Home(place) => w.text(&place.home.token(Viewer::Owner)),
        Resource::Collection(_, collection) => w.text(&collection.token(Viewer::Owner)),
        _ => return Found::No,
    }
    Found::Yes
}

fn getctag(r: &Reading<'_>, w: &mut Writer) -> Found {
    match r.resource {
        Resource::Home(place) => w.text(&place.home.ctag()),
        Resource::Collection(_, collection) => w.text(&collection.ctag()),
        _ => return Found::No,
    }
    Found::Yes
}

fn email_address_set(r: &Reading<'_>, w: &mut Writer) -> Found {
    let Resource::Principal(principal) = r.resource else {
        return Found::No;
    };
    for address in mail_addresses(principal) {
        w.element(Name::calendarserver("email-address"), address);
    }
    Found::Yes
}

/// The principal's mail addresses in order.
pub(super) fn mail_addresses(principal: &store::Principal) -> impl Iterator<Item = &str> {
    principal.addresses.iter().filter_map(|address| {
        let (scheme, rest) = address.split_at_checked(7)?;
        scheme.eq_ignore_ascii_case("mailto:").then_some(rest)
    })
}

/// First and last name in a person's display name: the last word is the last name.
pub(super) fn names(principal: &store::Principal) -> Option<(&str, &str)> {
    if principal.kind != PrincipalKind::User {
        return None;
    }
    let name = principal.display_name.trim();
    Some(name.rsplit_once(' ').unwrap_or((name, "")))
}

fn first_name(r: &Reading<'_>, w: &mut Writer) -> Found {
    name_part(r, w, |(first, _)| first)
}

fn last_name(r: &Reading<'_>, w: &mut Writer) -> Found {
    name_part(r, w, |(_, last)| last)
}

fn name_part(
    r: &Reading<'_>,
    w: &mut Writer,
    part: for<'a> fn((&'a str, &'a str)) -> &'a str,
) -> Found {
    let Resource::Principal(principal) = r.resource else {
        return Found::No;
    };
    let Some(names) = names(principal) else {
        return Found::No;
    };
    w.text(part(names));
    Found::Yes
}

/// Only one's own: a client would go and look at another's. An administrator's client too.
fn notification_url(r: &Reading<'_>, w: &mut Writer) -> Found {
    let Resource::Principal(principal) = r.resource else {
        return Found::No;
    };
    if principal.id != r.cx.viewer.principal.id {
        return Found::No;
    }
    let href = super::resource::collection_href(&r.cx.hrefs, principal, "notification");
    w.href(&href);
    Found::Yes
}
