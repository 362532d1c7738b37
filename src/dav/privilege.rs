//! Who may do what: one table, asked in one place.
//!
//! RFC 3744 §3 and RFC 4791 §6.1, RFC 6638 §6. Until calendars are shared there are three kinds
//! of viewer: the owner of a home, an administrator, and anybody else with an account, for whom
//! another's home does not exist.
//!
//! **Gaps**: no ACL method; access follows from ownership.

use super::kind::{Kind, Kinds};
use crate::xml::Name;

macro_rules! privileges {
    ($($variant:ident: $ns:ident $local:literal, $parent:ident, $what:literal;)*) => {
        /// A privilege.
        #[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
        #[repr(u8)]
        pub enum Privilege {
            $(#[doc = $local] $variant,)*
        }

        impl Privilege {
            /// Every privilege, those that contain others before them.
            pub const ALL: &'static [Privilege] = &[$(Privilege::$variant,)*];

            /// The element that stands for it.
            pub const fn name(self) -> Name<'static> {
                match self { $(Privilege::$variant => Name::$ns($local),)* }
            }

            /// The privilege that contains it; DAV:all contains itself. RFC 3744 §3.12
            pub const fn container(self) -> Privilege {
                match self { $(Privilege::$variant => Privilege::$parent,)* }
            }

            /// What it allows, in words. RFC 3744 §5.3
            pub const fn description(self) -> &'static str {
                match self { $(Privilege::$variant => $what,)* }
            }
        }
    };
}

privileges! {
    All: dav "all", All, "Any operation";
    Read: dav "read", All, "Read content and properties";
    ReadFreeBusy: caldav "read-free-busy", Read, "Read when the calendar is busy";
    ReadAcl: dav "read-acl", All, "Read who may do what";
    ReadCurrentUserPrivilegeSet: dav "read-current-user-privilege-set", All, "Read your own privileges";
    Write: dav "write", All, "Change content, properties and members";
    WriteProperties: dav "write-properties", Write, "Change properties";
    WriteContent: dav "write-content", Write, "Change content";
    Bind: dav "bind", Write, "Add members";
    Unbind: dav "unbind", Write, "Remove members";
    ScheduleDeliver: caldav "schedule-deliver", All, "Receive scheduling messages";
    ScheduleDeliverInvite: caldav "schedule-deliver-invite", ScheduleDeliver, "Receive invitations";
    ScheduleDeliverReply: caldav "schedule-deliver-reply", ScheduleDeliver, "Receive replies";
    ScheduleQueryFreeBusy: caldav "schedule-query-freebusy", ScheduleDeliver, "Be asked when busy";
    ScheduleSend: caldav "schedule-send", All, "Send scheduling messages";
    ScheduleSendInvite: caldav "schedule-send-invite", ScheduleSend, "Send invitations";
    ScheduleSendReply: caldav "schedule-send-reply", ScheduleSend, "Send replies";
    ScheduleSendFreeBusy: caldav "schedule-send-freebusy", ScheduleSend, "Ask when others are busy";
}

/// A set of privileges; one that contains others is in it with all of those.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Privileges(u32);

impl Privileges {
    const fn of(privileges: &[Privilege]) -> Privileges {
        let mut bits = 0;
        let mut rest = privileges;
        while let [first, tail @ ..] = rest {
            bits |= 1 << (*first as u8);
            rest = tail;
        }
        Privileges(bits)
    }

    /// Whether the privilege is in the set, itself or within one that contains it.
    pub fn contains(self, privilege: Privilege) -> bool {
        let mut asked = privilege;
        loop {
            if self.0 & (1 << (asked as u8)) != 0 {
                return true;
            }
            if asked.container() == asked {
                return false;
            }
            asked = asked.container();
        }
    }

    /// The privileges in the set, each with those it contains.
    pub fn iter(self) -> impl Iterator<Item = Privilege> {
        let all = Privilege::ALL.iter().copied();
        all.filter(move |privilege| self.contains(*privilege))
    }
}

/// Who looks, as seen from a resource.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Who {
    /// The principal whose home or principal resource it is.
    Owner,
    /// An administrator who is not the owner.
    Admin,
    /// Anybody else with an account.
    Account,
}

struct Grant {
    who: Who,
    on: Kinds,
    privileges: Privileges,
}

const LOOK: Privileges = Privileges::of(&[Privilege::Read, Privilege::ReadCurrentUserPrivilegeSet]);
const KEEP: Privileges = Privileges::of(&[
    Privilege::Read,
    Privilege::ReadAcl,
    Privilege::ReadCurrentUserPrivilegeSet,
    Privilege::Write,
]);
const HOMES: Kinds = Kinds::HOME
    .and(Kinds::CALENDAR)
    .and(Kinds::OBJECT)
    .and(Kinds::FREE_CALENDAR)
    .and(Kinds::FREE_OBJECT);
/// Messages are delivered by the server: their reader may mark and remove them, not make them.
const READ_AND_REMOVE: Privileges = Privileges::of(&[
    Privilege::Read,
    Privilege::ReadAcl,
    Privilege::ReadCurrentUserPrivilegeSet,
    Privilege::WriteProperties,
    Privilege::Unbind,
]);
const POST_BOXES: Kinds =
    Kinds::NOTIFICATIONS.and(Kinds::of(&[Kind::InboxItem, Kind::Notification]));

/// The whole of access control: the first row that fits counts.
const GRANTS: &[Grant] = &[
    Grant {
        who: Who::Owner,
        on: HOMES,
        privileges: KEEP,
    },
    Grant {
        who: Who::Admin,
        on: HOMES,
        privileges: KEEP,
    },
    Grant {
        who: Who::Owner,
        on: POST_BOXES,
        privileges: READ_AND_REMOVE,
    },
    Grant {
        who: Who::Owner,
        on: Kinds::INBOX,
        privileges: Privileges(READ_AND_REMOVE.0 | Privileges::of(&[Privilege::ScheduleDeliver]).0),
    },
    Grant {
        who: Who::Owner,
        on: Kinds::OUTBOX,
        privileges: Privileges(READ_AND_REMOVE.0 | Privileges::of(&[Privilege::ScheduleSend]).0),
    },
    Grant {
        who: Who::Admin,
        on: POST_BOXES.and(Kinds::OUTBOX),
        privileges: READ_AND_REMOVE,
    },
    Grant {
        who: Who::Admin,
        on: Kinds::INBOX,
        privileges: Privileges(READ_AND_REMOVE.0 | Privileges::of(&[Privilege::ScheduleDeliver]).0),
    },
    Grant {
        who: Who::Account,
        on: Kinds::INBOX,
        privileges: Privileges::of(&[Privilege::ScheduleDeliver]),
    },
    Grant {
        who: Who::Owner,
        on: Kinds::PRINCIPAL,
        privileges: READ_AND_REMOVE,
    },
    Grant {
        who: Who::Admin,
        on: Kinds::STRUCTURE,
        privileges: Privileges(LOOK.0 | Privileges::of(&[Privilege::ReadAcl]).0),
    },
    Grant {
        who: Who::Account,
        on: Kinds::STRUCTURE,
        privileges: LOOK,
    },
];

/// What the viewer may do with a resource of this kind: nothing where no row fits, and then the
/// resource is to be answered like one that is not there.
pub fn granted(who: Who, kind: Kind) -> Privileges {
    GRANTS
        .iter()
        .find(|grant| grant.who == who && grant.on.contains(kind))
        .map_or(Privileges::default(), |grant| grant.privileges)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nobody_sees_anothers_home() {
        for kind in Kind::ALL {
            let seen = granted(Who::Account, kind);
            let structure = Kinds::STRUCTURE.contains(kind);
            assert_eq!(seen.contains(Privilege::Read), structure, "{kind:?}");
            assert!(!seen.contains(Privilege::WriteProperties), "{kind:?}");
        }
    }

    #[test]
    fn an_owner_and_an_admin_may_read_what_there_is() {
        for kind in Kind::ALL.into_iter().filter(|kind| kind.exists()) {
            for who in [Who::Owner, Who::Admin] {
                let has = granted(who, kind).contains(Privilege::Read);
                let structure = Kinds::STRUCTURE.without(Kinds::PRINCIPAL).contains(kind);
                assert!(has || structure, "{who:?} {kind:?}");
            }
        }
    }

    #[test]
    fn what_contains_a_privilege_grants_it() {
        let keep = granted(Who::Owner, Kind::Calendar);
        assert!(keep.contains(Privilege::ReadFreeBusy) && keep.contains(Privilege::Bind));
        assert!(!keep.contains(Privilege::All) && !keep.contains(Privilege::ScheduleSend));
        assert!(!granted(Who::Owner, Kind::Inbox).contains(Privilege::Bind));
        assert!(granted(Who::Owner, Kind::Outbox).contains(Privilege::ScheduleSendFreeBusy));
    }
}
