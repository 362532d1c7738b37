//! Who is meant by a calendar user address: the owner of a home, somebody of this server, a group, somebody outside.
//!
//! An address is a `mailto:` of the directory in any case, also an alias; the URL of a principal, written as a path or
//! with any host in front (it only says who is meant and opens nothing); or the `urn:uuid:` of a principal's id, which
//! is in CALDAV:calendar-user-address-set as well. RFC 6638 §2.4.1

use crate::dav::{Outside, PrincipalSet};
use crate::ical::{Component, Property, address, address_key};
use crate::itip::{Addresses, Message, Route};
use crate::store::{Directory, Id, Principal, PrincipalKind};
use std::sync::Arc;

/// The principal that an address means.
pub fn principal_of<'d>(directory: &'d Directory, address: &str) -> Option<&'d Arc<Principal>> {
    if let Some(principal) = directory.by_address(address) {
        return Some(principal);
    }
    let key = address_key(address);
    if let Some(uuid) = key.strip_prefix("urn:uuid:") {
        let digits: String = uuid.chars().filter(|c| *c != '-').collect();
        return directory.principal(digits.parse().ok()?);
    }
    let mut segments = key.trim_end_matches('/').rsplit('/');
    let (name, set) = (segments.next()?, segments.next()?);
    if (segments.next()?, segments.next()?) != ("principals", "dav") {
        return None;
    }
    let principal = directory.by_name(name)?;
    (PrincipalSet::of(principal.kind).segment() == set).then_some(principal)
}

/// What iTIP is told of the addresses that calendars name, seen from the owner of a home.
#[derive(Debug)]
pub(super) struct People<'d> {
    directory: &'d Directory,
    outside: Outside,
    known: Addresses,
}

impl<'d> People<'d> {
    /// Nobody yet.
    pub(super) fn of(directory: &'d Directory, owner: Id, outside: Outside) -> People<'d> {
        Self::among(directory, owner, (outside, &Addresses::default()))
    }

    /// Everybody who was looked up before, for another home: the directory says the same of them.
    pub(super) fn among(
        directory: &'d Directory,
        owner: Id,
        (outside, before): (Outside, &Addresses),
    ) -> People<'d> {
        People {
            directory,
            outside,
            known: before.seen_by(&owner.to_string()),
        }
    }

    /// And everybody whom this calendar names.
    #[must_use]
    pub(super) fn in_calendar(mut self, calendar: Option<&Component>) -> People<'d> {
        let components = calendar.into_iter().flat_map(Component::all_components);
        for component in components {
            for property in component.all_properties() {
                if property.is("ATTENDEE") || property.is("ORGANIZER") {
                    self.name(property);
                }
            }
        }
        self
    }

    /// And the two people of a message.
    #[must_use]
    pub(super) fn in_message(mut self, message: &Message) -> People<'d> {
        for address in [&message.from, &message.to] {
            self.add(address, || is_mail(address));
        }
        self.in_calendar(Some(&message.calendar))
    }

    fn name(&mut self, property: &Property) {
        let user = address(property);
        self.add(user.uri(), || user.mail().is_some());
        for param in property.params() {
            if PEOPLE_PARAMS.iter().any(|name| param.is(name)) {
                for other in param.values() {
                    self.add(&other, || is_mail(&other));
                }
            }
        }
    }

    fn add(&mut self, address: &str, by_mail: impl Fn() -> bool) {
        // Only one of the properties that name somebody may say what their mail address is.
        if (self.known.learnt(address)).is_some_and(|route| *route != Route::Unknown) {
            return;
        }
        let route = match principal_of(self.directory, address) {
            Some(principal) => Route::Local(identity(principal).into()),
            None if self.outside == Outside::ByMail && by_mail() => Route::Mail,
            None => Route::Unknown,
        };
        if self.known.learnt(address) != Some(&route) {
            self.known.learn(address, route);
        }
    }

    /// The addresses with their routes.
    pub(super) fn addresses(&self) -> Addresses {
        self.known.clone()
    }
}

/// Parameters of ATTENDEE and ORGANIZER that name others. RFC 5545 §3.2
const PEOPLE_PARAMS: [&str; 3] = ["SENT-BY", "DELEGATED-TO", "DELEGATED-FROM"];

fn is_mail(address: &str) -> bool {
    let key = address_key(address);
    key.strip_prefix("mailto:")
        .is_some_and(|mail| mail.contains('@'))
}

/// What a group's identity begins with: it is told apart from those who have a home.
const GROUP: &str = "group:";

/// The identity that all addresses of a principal share.
fn identity(principal: &Principal) -> String {
    match principal.kind {
        PrincipalKind::Group => format!("{GROUP}{}", principal.id),
        PrincipalKind::User | PrincipalKind::Room | PrincipalKind::Resource => {
            principal.id.to_string()
        }
    }
}

/// Where a message goes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Way {
    /// To the home of somebody of this server.
    Home(Id),
    /// By mail.
    Mail,
    /// Nowhere: a group has no home, its members are told; or nobody has this address.
    Nowhere,
}

/// Where a message to this address goes.
pub(super) fn way(who: &Addresses, address: &str) -> Way {
    match who.route(address) {
        Route::Local(id) => id.parse().map_or(Way::Nowhere, Way::Home),
        Route::Mail => Way::Mail,
        Route::Unknown | Route::Forbidden => Way::Nowhere,
    }
}
