//! Who is who: the owner of a calendar, and how the others are reached.

use crate::ical::{Property, address_key};
use std::collections::{BTreeMap, BTreeSet};

/// How a calendar user is reached.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Route {
    /// Somebody of this server, by an identity that all their addresses share.
    Local(String),
    /// By mail.
    Mail,
    /// Not at all: no such calendar user. RFC 6638 §3.2.9, code 3.7
    Unknown,
    /// Not at all: they may not be scheduled with. RFC 6638 §3.2.9, code 5.3
    Forbidden,
}

impl Route {
    /// The SCHEDULE-STATUS of a message just handed over. RFC 6638 §3.2.9
    #[must_use]
    pub fn status(&self) -> &'static str {
        match self {
            Route::Local(_) => "1.2",
            Route::Mail => "1.0",
            Route::Unknown => "3.7",
            Route::Forbidden => "5.3",
        }
    }
}

/// The owner's calendar user addresses, and the routes to everybody the object names.
#[derive(Clone, Debug, Default)]
pub struct Addresses {
    own: BTreeSet<String>,
    routes: BTreeMap<String, Route>,
}

impl Addresses {
    /// The owner's addresses; anything the address forms allow.
    pub fn new<'a>(own: impl IntoIterator<Item = &'a str>) -> Addresses {
        Addresses {
            own: own.into_iter().map(address_key).collect(),
            routes: BTreeMap::new(),
        }
    }

    /// Learns how an address is reached.
    pub fn learn(&mut self, address: &str, route: Route) {
        self.routes.insert(address_key(address), route);
    }

    /// Whether this is the owner.
    #[must_use]
    pub fn is_own(&self, address: &str) -> bool {
        self.own.contains(&address_key(address))
    }

    /// How this address is reached; an address nobody taught us is unknown.
    #[must_use]
    pub fn route(&self, address: &str) -> Route {
        self.routes
            .get(&address_key(address))
            .cloned()
            .unwrap_or(Route::Unknown)
    }

    /// What is equal for all addresses of one person: the owner, a local user, or the address itself.
    #[must_use]
    pub fn person(&self, address: &str) -> Person {
        let key = address_key(address);
        if self.own.contains(&key) {
            return Person::Owner;
        }
        match self.routes.get(&key) {
            Some(Route::Local(id)) => Person::Local(id.clone()),
            _ => Person::Other(key),
        }
    }
}

/// A person, whichever of their addresses was written.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Person {
    /// The owner of the calendar.
    Owner,
    /// A user of this server.
    Local(String),
    /// Somebody else, by normalised address.
    Other(String),
}

/// The parameters that are between one program and its server, never for others. RFC 6638 §7
const PRIVATE_PARAMS: [&str; 5] = [
    "SCHEDULE-AGENT",
    "SCHEDULE-STATUS",
    "SCHEDULE-FORCE-SEND",
    "RECEIVED-SEQUENCE",
    "RECEIVED-DTSTAMP",
];

/// What an attendee said to the organizer, and nobody else, beside the answer.
pub(super) const COMMENT_PARAM: &str = "X-RESPONSE-COMMENT";

/// Whether a parameter of ATTENDEE or ORGANIZER stays between one program and its server: those of scheduling, and all
/// extensions but the number of guests somebody brings.
pub(super) fn is_private_param(name: &str) -> bool {
    let extension = name.get(..2).is_some_and(|x| x.eq_ignore_ascii_case("X-"));
    extension && !name.eq_ignore_ascii_case("X-NUM-GUESTS")
        || PRIVATE_PARAMS
            .iter()
            .any(|known| name.eq_ignore_ascii_case(known))
}

/// Whether the server sends the messages for this ATTENDEE or ORGANIZER. RFC 6638 §7.1
///
/// "Clients and servers MUST treat x-name or iana-token values they do not recognize the same way as they would the
/// "NONE" value."
pub(super) fn served(property: &Property) -> bool {
    property
        .param("SCHEDULE-AGENT")
        .is_none_or(|agent| agent.is_empty() || agent.eq_ignore_ascii_case("SERVER"))
}

/// PARTSTAT in upper case. RFC 5545 §3.2.12
pub(super) fn partstat(property: &Property) -> String {
    crate::ical::address(property).partstat()
}
