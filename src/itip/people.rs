//! Who is who: the owner of a calendar, and how the others are reached.

use crate::ical::{Property, address_key};
use std::collections::{BTreeSet, HashMap};
use std::sync::Arc;

/// How a calendar user is reached.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Route {
    /// Somebody of this server, by an identity that all their addresses share.
    Local(Arc<str>),
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

/// The owner's calendar user addresses, and the routes to everybody the object names. A copy shares what was learnt.
#[derive(Clone, Debug, Default)]
pub struct Addresses {
    /// The owner's, normalised.
    own: BTreeSet<String>,
    /// The identity that leads to the owner.
    owner: Option<Arc<str>>,
    book: Arc<Book>,
}

/// What was learnt of addresses.
#[derive(Clone, Debug, Default)]
struct Book {
    /// By normalised address.
    routes: HashMap<Arc<str>, Route>,
    /// The same by addresses as they were written: a meeting names the same ones again and again.
    written: HashMap<String, (Arc<str>, Route)>,
}

impl Addresses {
    /// The owner's addresses; anything the address forms allow.
    pub fn new<'a>(own: impl IntoIterator<Item = &'a str>) -> Addresses {
        Addresses {
            own: own.into_iter().map(address_key).collect(),
            ..Addresses::default()
        }
    }

    /// The same people seen by the one with this identity.
    #[must_use]
    pub fn seen_by(&self, identity: &str) -> Addresses {
        Addresses {
            own: BTreeSet::new(),
            owner: Some(identity.into()),
            book: self.book.clone(),
        }
    }

    /// Learns how an address is reached.
    pub fn learn(&mut self, address: &str, route: Route) {
        let address = address.trim();
        let key: Arc<str> = address_key(address).into();
        let book = Arc::make_mut(&mut self.book);
        let before = book.routes.insert(key.clone(), route.clone());
        if before.is_some_and(|before| before != route) {
            let forms = book.written.values_mut().filter(|(known, _)| *known == key);
            forms.for_each(|(_, known)| *known = route.clone());
        }
        book.written.insert(address.to_owned(), (key, route));
    }

    /// The route that was learnt of an address in this very form.
    #[must_use]
    pub fn learnt(&self, address: &str) -> Option<&Route> {
        self.book
            .written
            .get(address.trim())
            .map(|(_, route)| route)
    }

    /// Whether this is the owner.
    #[must_use]
    pub fn is_own(&self, address: &str) -> bool {
        matches!(self.found(address), Found::Owner)
    }

    /// How this address is reached; an address nobody taught us is unknown.
    #[must_use]
    pub fn route(&self, address: &str) -> Route {
        match self.found(address) {
            Found::Known(_, route) => route.clone(),
            Found::Owner | Found::New(_) => Route::Unknown,
        }
    }

    /// What is equal for all addresses of one person: the owner, a local user, or the address itself.
    #[must_use]
    pub fn person(&self, address: &str) -> Person {
        match self.found(address) {
            Found::Owner => Person::Owner,
            Found::Known(_, Route::Local(id)) => Person::Local(id.clone()),
            Found::Known(key, Route::Mail | Route::Unknown | Route::Forbidden) => {
                Person::Other(key.clone())
            }
            Found::New(key) => Person::Other(key),
        }
    }

    fn found(&self, address: &str) -> Found<'_> {
        let address = address.trim();
        if let Some((key, route)) = self.book.written.get(address) {
            return self.known(key, route);
        }
        let key = address_key(address);
        match self.book.routes.get_key_value(key.as_str()) {
            Some((key, route)) => self.known(key, route),
            None if self.own.contains(&key) => Found::Owner,
            None => Found::New(key.into()),
        }
    }

    fn known<'a>(&self, key: &'a Arc<str>, route: &'a Route) -> Found<'a> {
        let is_owner = match route {
            Route::Local(id) => self.owner.as_ref() == Some(id),
            Route::Mail | Route::Unknown | Route::Forbidden => false,
        };
        if is_owner || !self.own.is_empty() && self.own.contains(&**key) {
            return Found::Owner;
        }
        Found::Known(key, route)
    }
}

/// Who an address is of.
enum Found<'a> {
    Owner,
    /// Somebody with this normalised address and this route.
    Known(&'a Arc<str>, &'a Route),
    /// Somebody with this normalised address.
    New(Arc<str>),
}

/// A person, whichever of their addresses was written.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Person {
    /// The owner of the calendar.
    Owner,
    /// A user of this server.
    Local(Arc<str>),
    /// Somebody else, by normalised address.
    Other(Arc<str>),
}

/// The parameters that are between one program and its server, never for others. RFC 6638 §7
const PRIVATE_PARAMS: [&str; 5] = [
    "SCHEDULE-AGENT",
    "SCHEDULE-STATUS",
    "SCHEDULE-FORCE-SEND",
    "RECEIVED-SEQUENCE",
    "RECEIVED-DTSTAMP",
];

/// Whether a parameter of ATTENDEE or ORGANIZER is one of those that are between a program and its server. RFC 6638 §7
#[must_use]
pub fn is_scheduling_param(name: &str) -> bool {
    PRIVATE_PARAMS
        .iter()
        .any(|known| name.eq_ignore_ascii_case(known))
}

/// What an attendee said to the organizer, and nobody else, beside the answer.
pub(super) const COMMENT_PARAM: &str = "X-RESPONSE-COMMENT";

/// Whether a parameter of ATTENDEE or ORGANIZER stays between one program and its server: those of scheduling, and all
/// extensions but the number of guests somebody brings.
#[must_use]
pub fn is_private_param(name: &str) -> bool {
    let extension = name.get(..2).is_some_and(|x| x.eq_ignore_ascii_case("X-"));
    extension && !name.eq_ignore_ascii_case("X-NUM-GUESTS") || is_scheduling_param(name)
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
