//! Properties of access control, read from the table in `privilege`. RFC 3744 §4, §5
//!
//! **Gaps**: the ACL method and what it sets; DAV:inherited-acl-set, as nothing is inherited.

use super::kind::Kinds;
use super::privilege::{Privilege, Privileges, Who, granted};
use super::resource::{Resource, principal_href};
use super::tables::{Found, Get, GetFn, Listed, Needs, Property, Reading, Set};
use crate::store::PrincipalKind;
use crate::xml::{Name, Writer};

const fn row(name: &'static str, spec: &'static str, on: Kinds, get: GetFn) -> Property {
    Property {
        name: Name::dav(name),
        spec,
        on,
        allprop: Listed::OnRequest,
        needs: Needs::Row,
        get: Get::Content(get),
        set: Set::Protected,
    }
}

/// The rows.
#[rustfmt::skip]
pub(super) const PROPERTIES: &[Property] = &[
    row("alternate-URI-set", "RFC 3744 §4.1", Kinds::PRINCIPAL, alternate_uri_set),
    row("principal-URL", "RFC 3744 §4.2", Kinds::PRINCIPAL, principal_url),
    row("group-member-set", "RFC 3744 §4.3", Kinds::PRINCIPAL, group_member_set),
    row("group-membership", "RFC 3744 §4.4", Kinds::PRINCIPAL, group_membership),
    row("owner", "RFC 3744 §5.1", Kinds::EXISTING, owner),
    row("group", "RFC 3744 §5.2", Kinds::EXISTING, group),
    row("supported-privilege-set", "RFC 3744 §5.3", Kinds::EXISTING, supported_privilege_set),
    row("current-user-privilege-set", "RFC 3744 §5.4", Kinds::EXISTING, current_user_privilege_set),
    row("acl", "RFC 3744 §5.5", Kinds::EXISTING, acl),
    row("acl-restrictions", "RFC 3744 §5.6", Kinds::EXISTING, acl_restrictions),
    row("inherited-acl-set", "RFC 3744 §5.7", Kinds::EXISTING, inherited_acl_set),
    row("principal-collection-set", "RFC 3744 §5.8", Kinds::EXISTING, principal_collection_set),
];

fn alternate_uri_set(r: &Reading<'_>, w: &mut Writer) -> Found {
    let Resource::Principal(principal) = r.resource else {
        return Found::No;
    };
    for address in &principal.addresses {
        w.href(address);
    }
    Found::Yes
}

fn principal_url(r: &Reading<'_>, w: &mut Writer) -> Found {
    w.href(&r.resource.href(&r.cx.hrefs));
    Found::Yes
}

fn group_member_set(r: &Reading<'_>, w: &mut Writer) -> Found {
    let Resource::Principal(group) = r.resource else {
        return Found::No;
    };
    if group.kind != PrincipalKind::Group {
        return Found::Yes;
    }
    for id in r.cx.directory.members_of(group.id) {
        if let Some(member) = r.cx.directory.principal(*id) {
            w.href(&principal_href(&r.cx.hrefs, member));
        }
    }
    Found::Yes
}

/// The groups that it is in directly. RFC 3744 §4.4
fn group_membership(r: &Reading<'_>, w: &mut Writer) -> Found {
    let Resource::Principal(member) = r.resource else {
        return Found::No;
    };
    for id in r.cx.directory.groups_of(member.id) {
        let direct = r.cx.directory.members_of(id).contains(&member.id);
        if let Some(group) = r.cx.directory.principal(id).filter(|_| direct) {
            w.href(&principal_href(&r.cx.hrefs, group));
        }
    }
    Found::Yes
}

/// What the server itself is made of has an owner that nobody is: "return an empty DAV:owner element as property value in
/// case no owner information is available". RFC 3744 §5.1
fn owner(r: &Reading<'_>, w: &mut Writer) -> Found {
    if let Some(owner) = r.resource.owner() {
        w.href(&principal_href(&r.cx.hrefs, owner));
    }
    Found::Yes
}

/// Nothing belongs to a group: the property is there and empty. RFC 3744 §5.2
fn group(_: &Reading<'_>, _: &mut Writer) -> Found {
    Found::Yes
}

/// The privileges as a tree, the same everywhere but for those of inboxes and outboxes.
fn supported_privilege_set(r: &Reading<'_>, w: &mut Writer) -> Found {
    let kind = r.resource.kind();
    supported(w, Privilege::All, &|privilege| match top(privilege) {
        Privilege::ScheduleDeliver => Kinds::INBOX.contains(kind),
        Privilege::ScheduleSend => Kinds::OUTBOX.contains(kind),
        _ => {
            let busy = Kinds::CALENDAR.and(Kinds::HOME).and(Kinds::OBJECT);
            privilege != Privilege::ReadFreeBusy || busy.contains(kind)
        }
    });
    Found::Yes
}

/// The outermost privilege but DAV:all that contains it.
fn top(privilege: Privilege) -> Privilege {
    match privilege.container() {
        Privilege::All => privilege,
        container => top(container),
    }
}

fn supported(w: &mut Writer, privilege: Privilege, here: &dyn Fn(Privilege) -> bool) {
    w.raw("<D:supported-privilege>");
    element(w, privilege);
    if privilege == Privilege::All {
        w.empty(Name::dav("abstract"));
    }
    w.open_with(Name::dav("description"), &[("xml:lang", "en")]);
    w.text(privilege.description());
    w.close(Name::dav("description"));
    let within = Privilege::ALL.iter().copied();
    for inner in within.filter(|p| p.container() == privilege && *p != privilege && here(*p)) {
        supported(w, inner, here);
    }
    w.raw("</D:supported-privilege>");
}

fn element(w: &mut Writer, privilege: Privilege) {
    w.raw("<D:privilege>");
    w.empty(privilege.name());
    w.raw("</D:privilege>");
}

fn current_user_privilege_set(r: &Reading<'_>, w: &mut Writer) -> Found {
    let privileges = r.cx.privileges(r.resource);
    if !privileges.contains(Privilege::ReadCurrentUserPrivilegeSet) {
        return Found::Refused;
    }
    list(w, privileges);
    Found::Yes
}

fn list(w: &mut Writer, privileges: Privileges) {
    for privilege in privileges.iter() {
        element(w, privilege);
    }
}

/// The rows of the table as access control entries, all of them the server's own. Who is an
/// administrator is nobody's business but theirs, so their entry is not told.
fn acl(r: &Reading<'_>, w: &mut Writer) -> Found {
    if !r.cx.privileges(r.resource).contains(Privilege::ReadAcl) {
        return Found::Refused;
    }
    let kind = r.resource.kind();
    let owned = r.resource.owner().is_some();
    let entries = [
        (Name::dav("authenticated"), granted(Who::Account, kind)),
        (Name::dav("owner"), granted(Who::Owner, kind)),
    ];
    for (principal, privileges) in entries {
        let is_owner = principal == Name::dav("owner");
        if privileges == Privileges::default() || (is_owner && !owned) {
            continue;
        }
        w.raw("<D:ace><D:principal>");
        match is_owner {
            true => w.raw("<D:property><D:owner/></D:property>"),
            false => w.empty(principal),
        }
        w.raw("</D:principal><D:grant>");
        list(w, privileges);
        w.raw("</D:grant><D:protected/></D:ace>");
    }
    Found::Yes
}

fn acl_restrictions(_: &Reading<'_>, w: &mut Writer) -> Found {
    w.raw("<D:grant-only/><D:no-invert/>");
    Found::Yes
}

/// Nothing inherits: each kind of resource has its own entries.
fn inherited_acl_set(_: &Reading<'_>, _: &mut Writer) -> Found {
    Found::Yes
}

/// The one that holds all others.
fn principal_collection_set(r: &Reading<'_>, w: &mut Writer) -> Found {
    w.href(&Resource::PrincipalRoot.href(&r.cx.hrefs));
    Found::Yes
}
