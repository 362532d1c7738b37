//! What a URL names, with the views of the store that answer for it.
//!
//! The layout: `/dav/` the root, `/dav/principals/users|groups|resources/NAME/` principals,
//! `/dav/calendars/NAME/` the home of the principal of that name, in it its collections, in them
//! objects.

use super::kind::Kind;
use super::path::{Ending, Hrefs};
use crate::store;
use crate::store::{Collection, Header, Home, Principal, PrincipalKind};
use std::sync::Arc;

/// The collection of principals that a principal's URL is in.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum PrincipalSet {
    /// People.
    Users,
    /// Groups.
    Groups,
    /// Rooms and other resources.
    Resources,
}

impl PrincipalSet {
    /// Every set.
    pub const ALL: [PrincipalSet; 3] = [
        PrincipalSet::Users,
        PrincipalSet::Groups,
        PrincipalSet::Resources,
    ];

    /// Its name in URLs.
    pub fn segment(self) -> &'static str {
        match self {
            PrincipalSet::Users => "users",
            PrincipalSet::Groups => "groups",
            PrincipalSet::Resources => "resources",
        }
    }

    /// The set that principals of this kind are in.
    pub fn of(kind: PrincipalKind) -> PrincipalSet {
        match kind {
            PrincipalKind::User => PrincipalSet::Users,
            PrincipalKind::Group => PrincipalSet::Groups,
            PrincipalKind::Room | PrincipalKind::Resource => PrincipalSet::Resources,
        }
    }
}

/// A home and whose it is.
#[derive(Debug, Clone)]
pub struct Place {
    /// Whose home it is.
    pub owner: Arc<Principal>,
    /// The home at one revision.
    pub home: Arc<Home>,
}

/// A resource, closed over its kinds so that every match is exhaustive.
#[derive(Debug, Clone)]
pub enum Resource {
    /// The server's root.
    Root,
    /// The collection of collections of principals.
    PrincipalRoot,
    /// A collection of principals.
    PrincipalCollection(PrincipalSet),
    /// A principal.
    Principal(Arc<Principal>),
    /// The collection of homes.
    HomeRoot,
    /// A home.
    Home(Place),
    /// A calendar, inbox, outbox or notification collection.
    Collection(Place, Arc<Collection>),
    /// A member of one.
    Object(Place, Arc<Collection>, Header),
    /// A name in a home that is free.
    FreeCalendar(Place, String),
    /// A name in a collection that is free.
    FreeObject(Place, Arc<Collection>, String),
    /// Nothing, and nothing can be made there; or nothing that the viewer may know of.
    Missing,
}

impl Resource {
    /// Its kind, as the tables name it.
    pub fn kind(&self) -> Kind {
        match self {
            Resource::Root => Kind::Root,
            Resource::PrincipalRoot => Kind::PrincipalRoot,
            Resource::PrincipalCollection(_) => Kind::PrincipalCollection,
            Resource::Principal(_) => Kind::Principal,
            Resource::HomeRoot => Kind::HomeRoot,
            Resource::Home(_) => Kind::Home,
            Resource::Collection(_, collection) => match collection.kind {
                store::Kind::Home => Kind::Home,
                store::Kind::Calendar => Kind::Calendar,
                store::Kind::Inbox => Kind::Inbox,
                store::Kind::Outbox => Kind::Outbox,
                store::Kind::Notifications => Kind::Notifications,
            },
            Resource::Object(_, collection, _) => match collection.kind {
                store::Kind::Home | store::Kind::Calendar => Kind::Object,
                store::Kind::Inbox | store::Kind::Outbox => Kind::InboxItem,
                store::Kind::Notifications => Kind::Notification,
            },
            Resource::FreeCalendar(..) => Kind::FreeCalendar,
            Resource::FreeObject(_, collection, _) => match collection.kind {
                store::Kind::Calendar => Kind::FreeObject,
                _ => Kind::Missing,
            },
            Resource::Missing => Kind::Missing,
        }
    }

    /// The home it is in or is.
    pub fn place(&self) -> Option<&Place> {
        match self {
            Resource::Home(place)
            | Resource::Collection(place, _)
            | Resource::Object(place, _, _)
            | Resource::FreeCalendar(place, _)
            | Resource::FreeObject(place, _, _) => Some(place),
            _ => None,
        }
    }

    /// The collection it is in or is; a home is its own row.
    pub fn collection(&self) -> Option<&Arc<Collection>> {
        match self {
            Resource::Home(place) => Some(place.home.row()),
            Resource::Collection(_, collection)
            | Resource::Object(_, collection, _)
            | Resource::FreeObject(_, collection, _) => Some(collection),
            _ => None,
        }
    }

    /// The header of the object it is.
    pub fn header(&self) -> Option<&Header> {
        match self {
            Resource::Object(_, _, header) => Some(header),
            _ => None,
        }
    }

    /// Whose resource it is: the owner of the home, or the principal itself.
    pub fn owner(&self) -> Option<&Arc<Principal>> {
        match self {
            Resource::Principal(principal) => Some(principal),
            _ => self.place().map(|place| &place.owner),
        }
    }

    /// Its href, as this request's answer writes it.
    pub fn href(&self, hrefs: &Hrefs) -> String {
        match self {
            Resource::Root | Resource::Missing => hrefs.of(&[ROOT], Ending::Slash),
            Resource::PrincipalRoot => hrefs.of(&[ROOT, PRINCIPALS], Ending::Slash),
            Resource::PrincipalCollection(set) => {
                hrefs.of(&[ROOT, PRINCIPALS, set.segment()], Ending::Slash)
            }
            Resource::Principal(principal) => principal_href(hrefs, principal),
            Resource::HomeRoot => hrefs.of(&[ROOT, CALENDARS], Ending::Slash),
            Resource::Home(place) => home_href(hrefs, &place.owner),
            Resource::Collection(place, collection) => {
                collection_href(hrefs, &place.owner, &collection.name)
            }
            Resource::FreeCalendar(place, name) => collection_href(hrefs, &place.owner, name),
            Resource::Object(place, collection, header) => {
                let mut href = collection_href(hrefs, &place.owner, &collection.name);
                hrefs.push(&mut href, header.name());
                href
            }
            Resource::FreeObject(place, collection, name) => {
                let mut href = collection_href(hrefs, &place.owner, &collection.name);
                hrefs.push(&mut href, name);
                href
            }
        }
    }
}

/// The first segment of everything but well-known URLs.
pub(super) const ROOT: &str = "dav";
/// Where principals are.
pub(super) const PRINCIPALS: &str = "principals";
/// Where homes are.
pub(super) const CALENDARS: &str = "calendars";

/// The href of a principal.
pub fn principal_href(hrefs: &Hrefs, principal: &Principal) -> String {
    let set = PrincipalSet::of(principal.kind).segment();
    hrefs.of(&[ROOT, PRINCIPALS, set, &principal.name], Ending::Slash)
}

/// The href of a principal's home.
pub fn home_href(hrefs: &Hrefs, owner: &Principal) -> String {
    hrefs.of(&[ROOT, CALENDARS, &owner.name], Ending::Slash)
}

/// The href of a collection in a principal's home.
pub fn collection_href(hrefs: &Hrefs, owner: &Principal, name: &str) -> String {
    hrefs.of(&[ROOT, CALENDARS, &owner.name, name], Ending::Slash)
}
