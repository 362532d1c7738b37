//! WebDAV's own rows: methods, reports, tokens of the DAV header, deviations.

use super::kind::{Kind, Kinds};
use super::privilege::Privilege;
use super::tables::{Answer, Deviation, Method, Mode, Report, Table, Token};
use super::{acl, add_member, delete, expand, live, mkcol, options, page, propfind, proppatch};
use super::{report, search, supported, sync, transfer};
use crate::xml::Name;

/// What this module supports.
pub const TABLE: Table = Table {
    methods: METHODS,
    reports: REPORTS,
    properties: &[live::PROPERTIES, acl::PROPERTIES, supported::PROPERTIES],
    collections: &[],
    tokens: TOKENS,
    deviations: DEVIATIONS,
    rules: &[],
};

/// What can be deleted.
const REMOVABLE: Kinds = Kinds::CALENDAR.and(Kinds::OBJECTS);
/// What can be copied and moved.
const MOVABLE: Kinds = Kinds::CALENDAR.and(Kinds::OBJECT);
/// What answers GET with a page.
const PAGES: Kinds = Kinds::STRUCTURE
    .and(Kinds::HOME)
    .and(Kinds::INBOX)
    .and(Kinds::OUTBOX)
    .and(Kinds::NOTIFICATIONS);
/// What keeps properties.
const KEEPING: Kinds = Kinds::EXISTING.without(Kinds::of(&[
    Kind::Root,
    Kind::PrincipalRoot,
    Kind::PrincipalCollection,
    Kind::HomeRoot,
]));

const METHODS: &[Method] = &[
    Method {
        name: "OPTIONS",
        spec: "RFC 9110 §9.3.7",
        on: Kinds::EXISTING,
        privilege: None,
        mode: Mode::Reads,
        run: |cx, request| Box::pin(options::run(cx, request)),
    },
    Method {
        name: "GET",
        spec: "RFC 4918 §9.4",
        on: PAGES,
        privilege: Some(Privilege::Read),
        mode: Mode::Reads,
        run: |cx, request| Box::pin(page::run(cx, request)),
    },
    Method {
        name: "GET",
        spec: "RFC 9110 §9.3.1",
        on: Kinds::of(&[Kind::Notification]),
        privilege: Some(Privilege::Read),
        mode: Mode::Reads,
        run: |cx, request| Box::pin(page::notification(cx, request)),
    },
    Method {
        name: "PROPFIND",
        spec: "RFC 4918 §9.1",
        on: Kinds::EXISTING,
        privilege: Some(Privilege::Read),
        mode: Mode::Reads,
        run: |cx, request| Box::pin(propfind::run(cx, request)),
    },
    Method {
        name: "PROPPATCH",
        spec: "RFC 4918 §9.2",
        on: KEEPING,
        privilege: Some(Privilege::WriteProperties),
        mode: Mode::Writes,
        run: |cx, request| Box::pin(proppatch::run(cx, request)),
    },
    Method {
        name: "MKCOL",
        spec: "RFC 5689 §3",
        on: Kinds::NOTHING_THERE,
        privilege: None,
        mode: Mode::Writes,
        run: |cx, request| Box::pin(mkcol::run(cx, request)),
    },
    Method {
        name: "DELETE",
        spec: "RFC 4918 §9.6",
        on: REMOVABLE,
        privilege: Some(Privilege::Unbind),
        mode: Mode::Writes,
        run: |cx, request| Box::pin(delete::run(cx, request)),
    },
    Method {
        name: "COPY",
        spec: "RFC 4918 §9.8",
        on: MOVABLE,
        privilege: Some(Privilege::Read),
        mode: Mode::Writes,
        run: |cx, request| Box::pin(transfer::copy(cx, request)),
    },
    Method {
        name: "MOVE",
        spec: "RFC 4918 §9.9",
        on: MOVABLE,
        privilege: Some(Privilege::Unbind),
        mode: Mode::Writes,
        run: |cx, request| Box::pin(transfer::relocate(cx, request)),
    },
    Method {
        name: "REPORT",
        spec: "RFC 3253 §3.6",
        on: Kinds::EXISTING,
        privilege: None,
        mode: Mode::Reads,
        run: |cx, request| Box::pin(report::run(cx, request)),
    },
    Method {
        name: "POST",
        spec: "RFC 5995 §3",
        on: Kinds::CALENDAR,
        privilege: Some(Privilege::Bind),
        mode: Mode::Writes,
        run: |cx, request| Box::pin(add_member::run(cx, request)),
    },
];

const PRINCIPALS: Kinds = Kinds::PRINCIPAL_COLLECTIONS.and(Kinds::PRINCIPAL);

const REPORTS: &[Report] = &[
    Report {
        name: Name::dav("expand-property"),
        spec: "RFC 3253 §3.8",
        on: Kinds::EXISTING,
        privilege: Privilege::Read,
        run: |cx, body| -> Answer<'_> { Box::pin(expand::run(cx, body)) },
    },
    Report {
        name: Name::dav("acl-principal-prop-set"),
        spec: "RFC 3744 §9.2",
        on: Kinds::EXISTING,
        privilege: Privilege::ReadAcl,
        run: |cx, body| Box::pin(search::acl_principals(cx, body)),
    },
    Report {
        name: Name::dav("principal-match"),
        spec: "RFC 3744 §9.3",
        on: PRINCIPALS.and(Kinds::HOME).and(Kinds::IN_HOME),
        privilege: Privilege::Read,
        run: |cx, body| Box::pin(search::principal_match(cx, body)),
    },
    Report {
        name: Name::dav("principal-property-search"),
        spec: "RFC 3744 §9.4",
        on: Kinds::EXISTING.without(Kinds::OBJECTS),
        privilege: Privilege::Read,
        run: |cx, body| Box::pin(search::property_search(cx, body)),
    },
    Report {
        name: Name::dav("principal-search-property-set"),
        spec: "RFC 3744 §9.5",
        on: Kinds::EXISTING.without(Kinds::OBJECTS),
        privilege: Privilege::Read,
        run: |cx, body| Box::pin(search::property_set(cx, body)),
    },
    Report {
        name: Name::calendarserver("calendarserver-principal-search"),
        spec: "RFC 3744 §9.4",
        on: Kinds::STRUCTURE,
        privilege: Privilege::Read,
        run: |cx, body| Box::pin(search::token_search(cx, body)),
    },
    Report {
        name: Name::dav("sync-collection"),
        spec: "RFC 6578 §3.2",
        on: Kinds::SYNCED,
        privilege: Privilege::Read,
        run: |cx, body| Box::pin(sync::run(cx, body)),
    },
];

const TOKENS: &[Token] = &[
    Token {
        name: "1",
        spec: "RFC 4918 §18.1",
    },
    Token {
        name: "3",
        spec: "RFC 4918 §18.3",
    },
    Token {
        name: "access-control",
        spec: "RFC 3744 §7.2",
    },
    Token {
        name: "extended-mkcol",
        spec: "RFC 5689 §3.1",
    },
    Token {
        name: "calendarserver-principal-search",
        spec: "RFC 3744 §9.4",
    },
    Token {
        name: "calendarserver-principal-property-search",
        spec: "RFC 3744 §9.4",
    },
];

const DEVIATIONS: &[Deviation] = &[
    Deviation {
        what: "PROPFIND without Depth is read as Depth: 1, not infinity",
        spec: "RFC 4918 §9.1",
        client: "tsdav",
        cases: &["rfc4918/propfind.dav: PROPFIND without Depth is one with Depth infinity"],
    },
    Deviation {
        what: "sync-collection takes Depth: 1, not only 0",
        spec: "RFC 6578 §3.2",
        client: "Thunderbird",
        cases: &[],
    },
    Deviation {
        what: "principal-property-search takes what is asked beside DAV:prop, and without DAV:property-search finds whose home is seen",
        spec: "RFC 3744 §9.4",
        client: "python-caldav",
        cases: &[],
    },
    Deviation {
        what: "principals are no collections, but their URLs end in a slash",
        spec: "RFC 4918 §5.2",
        client: "Apple",
        cases: &[],
    },
    Deviation {
        what: "If-Match takes ETags without quotes and with escaped quotes",
        spec: "RFC 9110 §8.8.3",
        client: "Evolution",
        cases: &[],
    },
    Deviation {
        what: "Digest authentication is not offered: passwords are kept as argon2id, which it cannot be computed from",
        spec: "RFC 4918 §20.1",
        client: "all, which take Basic over TLS",
        cases: &["rfc4918/authentication.dav: Digest authentication is offered"],
    },
];
