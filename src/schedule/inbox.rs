//! What inboxes have besides what WebDAV and CalDAV give them: RFC 6638 §2.2, §6.1.
//!
//! Messages in an inbox are calendar objects: they are read, searched, synced and deleted as those
//! in calendars are, and only the server puts them there.

use crate::dav::{
    Found, Get, Kinds, Listed, Needs, Privilege, Property, Reading, Set, Who, collection_href,
    granted,
};
use crate::store::{Kind, Principal};
use crate::xml::{Name, Writer};

/// The rows of this file.
pub(super) const PROPERTIES: &[Property] = &[Property {
    name: Name::caldav("calendar-free-busy-set"),
    spec: "Apple Calendar",
    on: Kinds::INBOX,
    allprop: Listed::OnRequest,
    needs: Needs::Row,
    get: Get::Content(free_busy_set),
    set: Set::Protected,
}];

/// The calendars that count for busy time, as it was told before schedule-calendar-transp.
fn free_busy_set(reading: &Reading<'_>, out: &mut Writer) -> Found {
    let Some(place) = reading.resource.place() else {
        return Found::No;
    };
    let calendars = place.home.collections();
    let opaque = calendars.filter(|c| c.kind == Kind::Calendar && !c.settings.transparent);
    for calendar in opaque {
        let hrefs = &reading.cx.hrefs;
        out.href(&collection_href(hrefs, &place.owner, &calendar.name));
    }
    Found::Yes
}

/// Whether somebody's inbox takes from this sender what the privilege is about: invitations,
/// replies, questions for busy time. RFC 6638 §6.1
pub fn takes(owner: &Principal, sender: &Principal, privilege: Privilege) -> bool {
    let who = match sender.id == owner.id {
        true => Who::Owner,
        false => Who::Account,
    };
    granted(who, crate::dav::Kind::Inbox).contains(privilege)
}
