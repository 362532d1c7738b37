//! What kind of resource a URL names, and sets of kinds as the tables use them.

/// The kind of a [`super::Resource`].
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[repr(u8)]
pub enum Kind {
    /// `/` and `/dav/`.
    Root,
    /// `/dav/principals/`.
    PrincipalRoot,
    /// `/dav/principals/users/` and its like.
    PrincipalCollection,
    /// A principal. RFC 3744 §2
    Principal,
    /// `/dav/calendars/`.
    HomeRoot,
    /// A calendar home. RFC 4791 §6.2.1
    Home,
    /// A calendar collection. RFC 4791 §4.2
    Calendar,
    /// A scheduling inbox. RFC 6638 §2.2
    Inbox,
    /// A scheduling outbox. RFC 6638 §2.1
    Outbox,
    /// Apple's collection of notifications.
    Notifications,
    /// A calendar object resource in a calendar. RFC 4791 §4.1
    Object,
    /// A scheduling message in an inbox.
    InboxItem,
    /// A notification.
    Notification,
    /// A URL in a home that names nothing: a calendar can be made there.
    FreeCalendar,
    /// A URL in a collection that names nothing: an object can be put there.
    FreeObject,
    /// A URL that names nothing and where nothing can be made, or nothing that the viewer may
    /// know of.
    Missing,
}

impl Kind {
    /// Every kind.
    pub const ALL: [Kind; 16] = [
        Kind::Root,
        Kind::PrincipalRoot,
        Kind::PrincipalCollection,
        Kind::Principal,
        Kind::HomeRoot,
        Kind::Home,
        Kind::Calendar,
        Kind::Inbox,
        Kind::Outbox,
        Kind::Notifications,
        Kind::Object,
        Kind::InboxItem,
        Kind::Notification,
        Kind::FreeCalendar,
        Kind::FreeObject,
        Kind::Missing,
    ];

    /// Whether something is there.
    pub fn exists(self) -> bool {
        Kinds::EXISTING.contains(self)
    }

    /// Whether the resource is a collection: its href ends in a slash. RFC 4918 §5.2
    pub fn is_collection(self) -> bool {
        Kinds::COLLECTIONS.contains(self)
    }
}

/// A set of kinds.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Kinds(u32);

impl Kinds {
    /// No kind.
    pub const NONE: Kinds = Kinds(0);
    /// Everything that is there.
    pub const EXISTING: Kinds = Kinds::COLLECTIONS.and(Kinds::OBJECTS);
    /// Everything whose href ends in a slash; principals too, because Apple needs that.
    pub const COLLECTIONS: Kinds = Kinds::STRUCTURE.and(Kinds::IN_HOME).and(Kinds::HOME);
    /// What the server itself is made of.
    pub const STRUCTURE: Kinds = Kinds::of(&[
        Kind::Root,
        Kind::PrincipalRoot,
        Kind::PrincipalCollection,
        Kind::Principal,
        Kind::HomeRoot,
    ]);
    /// Where principals are listed and searched for.
    pub const PRINCIPAL_COLLECTIONS: Kinds =
        Kinds::of(&[Kind::PrincipalRoot, Kind::PrincipalCollection]);
    /// Principals.
    pub const PRINCIPAL: Kinds = Kinds::of(&[Kind::Principal]);
    /// Homes.
    pub const HOME: Kinds = Kinds::of(&[Kind::Home]);
    /// Calendars.
    pub const CALENDAR: Kinds = Kinds::of(&[Kind::Calendar]);
    /// Inboxes.
    pub const INBOX: Kinds = Kinds::of(&[Kind::Inbox]);
    /// Outboxes.
    pub const OUTBOX: Kinds = Kinds::of(&[Kind::Outbox]);
    /// Notification collections.
    pub const NOTIFICATIONS: Kinds = Kinds::of(&[Kind::Notifications]);
    /// The collections in a home.
    pub const IN_HOME: Kinds = Kinds::of(&[
        Kind::Calendar,
        Kind::Inbox,
        Kind::Outbox,
        Kind::Notifications,
    ]);
    /// What has a sync token. RFC 6578 §4
    pub const SYNCED: Kinds =
        Kinds::of(&[Kind::Home, Kind::Calendar, Kind::Inbox, Kind::Notifications]);
    /// Members of the collections in a home.
    pub const OBJECTS: Kinds = Kinds::of(&[Kind::Object, Kind::InboxItem, Kind::Notification]);
    /// Calendar objects and scheduling messages: what holds iCalendar.
    pub const ICALENDAR: Kinds = Kinds::of(&[Kind::Object, Kind::InboxItem]);
    /// Calendar object resources in calendars.
    pub const OBJECT: Kinds = Kinds::of(&[Kind::Object]);
    /// URLs where a calendar can be made.
    pub const FREE_CALENDAR: Kinds = Kinds::of(&[Kind::FreeCalendar]);
    /// URLs where an object can be put.
    pub const FREE_OBJECT: Kinds = Kinds::of(&[Kind::FreeObject]);

    /// URLs that name nothing.
    pub const NOTHING_THERE: Kinds =
        Kinds::of(&[Kind::FreeCalendar, Kind::FreeObject, Kind::Missing]);

    /// The set of these kinds.
    pub const fn of(kinds: &[Kind]) -> Kinds {
        let mut bits = 0;
        let mut rest = kinds;
        while let [first, tail @ ..] = rest {
            bits |= 1 << (*first as u8);
            rest = tail;
        }
        Kinds(bits)
    }

    /// Both sets.
    #[must_use]
    pub const fn and(self, other: Kinds) -> Kinds {
        Kinds(self.0 | other.0)
    }

    /// The set without the other's kinds.
    #[must_use]
    pub const fn without(self, other: Kinds) -> Kinds {
        Kinds(self.0 & !other.0)
    }

    /// Whether the kind is in the set.
    pub const fn contains(self, kind: Kind) -> bool {
        self.0 & (1 << (kind as u8)) != 0
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sets_hold_what_was_put_in() {
        let free = [Kind::FreeCalendar, Kind::FreeObject, Kind::Missing];
        for kind in Kind::ALL {
            assert!(Kinds::of(&[kind]).contains(kind));
            assert_eq!(kind.exists(), !free.contains(&kind), "{kind:?}");
        }
        assert!(Kind::Principal.is_collection());
        assert!(!Kind::Object.is_collection());
        assert!(
            !Kinds::EXISTING
                .without(Kinds::OBJECTS)
                .contains(Kind::Object)
        );
    }
}
