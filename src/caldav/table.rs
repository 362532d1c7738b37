//! What CalDAV adds to the tables: methods, reports, properties, kinds of collection, DAV tokens.

use super::{data_row, freebusy, get, mkcalendar, multiget, people, properties, put, query, rules};
use crate::dav::{
    Deviation, Get, Kinds, Listed, Method, Mode, Needs, NewCollection, Privilege, Property, Report,
    Set, SetFn, Table, Token,
};
use crate::xml::Name;

/// The rows of this module.
pub const TABLE: Table = Table {
    methods: METHODS,
    reports: REPORTS,
    properties: &[PROPERTIES],
    collections: COLLECTIONS,
    tokens: TOKENS,
    deviations: DEVIATIONS,
    rules: rules::RULES,
};

const METHODS: &[Method] = &[
    Method {
        name: "GET",
        spec: "RFC 4791 §5.3.4",
        on: Kinds::ICALENDAR.and(Kinds::CALENDAR),
        privilege: Some(Privilege::Read),
        mode: Mode::Reads,
        run: get::run,
    },
    Method {
        name: "PUT",
        spec: "RFC 4791 §5.3.2",
        on: Kinds::OBJECT,
        privilege: Some(Privilege::WriteContent),
        mode: Mode::Writes,
        run: put::run,
    },
    Method {
        name: "PUT",
        spec: "RFC 4791 §5.3.2",
        on: Kinds::FREE_OBJECT,
        privilege: Some(Privilege::Bind),
        mode: Mode::Writes,
        run: put::run,
    },
    Method {
        name: "MKCALENDAR",
        spec: "RFC 4791 §5.3.1",
        on: Kinds::EXISTING.and(Kinds::NOTHING_THERE),
        privilege: None,
        mode: Mode::Writes,
        run: mkcalendar::run,
    },
];

/// Where calendar data is searched for.
const SEARCHED: Kinds = Kinds::CALENDAR
    .and(Kinds::HOME)
    .and(Kinds::INBOX)
    .and(Kinds::ICALENDAR);

const REPORTS: &[Report] = &[
    Report {
        name: Name::caldav("calendar-query"),
        spec: "RFC 4791 §7.8",
        on: SEARCHED,
        privilege: Privilege::Read,
        run: query::run,
    },
    Report {
        name: Name::caldav("calendar-multiget"),
        spec: "RFC 4791 §7.9",
        on: SEARCHED,
        privilege: Privilege::Read,
        run: multiget::run,
    },
    Report {
        name: Name::caldav("free-busy-query"),
        spec: "RFC 4791 §7.10",
        on: Kinds::CALENDAR.and(Kinds::HOME),
        privilege: Privilege::ReadFreeBusy,
        run: freebusy::run,
    },
];

const COLLECTIONS: &[NewCollection] = &[mkcalendar::CALENDAR];

const TOKENS: &[Token] = &[
    Token {
        name: "calendar-access",
        spec: "RFC 4791 §5.1",
    },
    Token {
        name: "calendar-query-extended",
        spec: "draft-daboo-caldav-extensions §3",
    },
    Token {
        name: "calendar-no-timezone",
        spec: "RFC 7809 §3.1.1",
    },
    Token {
        name: "calendar-availability",
        spec: "RFC 7953 §7.2.1",
    },
];

/// A property that is written by a function and cannot be set.
const fn computed(
    name: &'static str,
    spec: &'static str,
    on: Kinds,
    get: crate::dav::GetFn,
) -> Property {
    Property {
        name: Name::caldav(name),
        spec,
        on,
        allprop: Listed::OnRequest,
        needs: Needs::Row,
        get: Get::Content(get),
        set: Set::Protected,
    }
}

/// The same property with another way to set it.
const fn settable(property: Property, set: SetFn) -> Property {
    Property {
        set: Set::Checked(set),
        ..property
    }
}

/// A property that is kept as it was sent.
const fn stored(name: Name<'static>, spec: &'static str, on: Kinds) -> Property {
    Property {
        name,
        spec,
        on,
        allprop: Listed::OnRequest,
        needs: Needs::Row,
        get: Get::Stored,
        set: Set::Stored,
    }
}

const CALENDAR: Kinds = Kinds::CALENDAR;
const PRINCIPAL: Kinds = Kinds::PRINCIPAL;
/// Calendars and the inbox, which is one to Apple.
const CALENDARS: Kinds = Kinds::CALENDAR.and(Kinds::INBOX);
/// What objects are put into or submitted to. RFC 6638 §2.1
const SUBMITTED: Kinds = CALENDARS.and(Kinds::OUTBOX);
/// Where default alarms are kept: Apple sets them on the home, and on each calendar.
const ALARMED: Kinds = Kinds::CALENDAR.and(Kinds::HOME);
const APPLE: &str = "Apple Calendar";

const PROPERTIES: &[Property] = &[
    computed(
        "calendar-home-set",
        "RFC 4791 §6.2.1",
        PRINCIPAL,
        people::home,
    ),
    computed(
        "calendar-user-address-set",
        "RFC 6638 §2.4.1",
        PRINCIPAL,
        people::addresses,
    ),
    computed(
        "calendar-user-type",
        "RFC 6638 §2.4.2",
        PRINCIPAL,
        people::user_type,
    ),
    computed(
        "schedule-inbox-URL",
        "RFC 6638 §2.2.1",
        PRINCIPAL,
        people::inbox,
    ),
    computed(
        "schedule-outbox-URL",
        "RFC 6638 §2.1.1",
        PRINCIPAL,
        people::outbox,
    ),
    stored(
        Name::caldav("calendar-description"),
        "RFC 4791 §5.2.1",
        CALENDAR,
    ),
    settable(
        computed(
            "calendar-timezone",
            "RFC 4791 §5.2.2",
            CALENDARS,
            properties::timezone,
        ),
        properties::SET_TIMEZONE,
    ),
    settable(
        computed(
            "calendar-timezone-id",
            "RFC 7809 §5.2",
            CALENDARS,
            properties::timezone_id,
        ),
        properties::SET_TIMEZONE_ID,
    ),
    computed(
        "timezone-service-set",
        "RFC 7809 §5.1",
        Kinds::HOME,
        properties::timezone_services,
    ),
    Property {
        set: Set::Checked(properties::SET_AVAILABILITY),
        ..stored(
            Name::caldav("calendar-availability"),
            "RFC 7953 §7.2.2",
            Kinds::INBOX,
        )
    },
    Property {
        set: Set::AtCreation(properties::SET_COMPONENTS),
        ..computed(
            "supported-calendar-component-set",
            "RFC 4791 §5.2.3",
            CALENDAR,
            properties::components,
        )
    },
    computed(
        "supported-calendar-component-sets",
        "draft-daboo-caldav-extensions §4.1",
        Kinds::HOME,
        properties::component_sets,
    ),
    computed(
        "supported-calendar-data",
        "RFC 4791 §5.2.4",
        SUBMITTED,
        properties::data,
    ),
    computed(
        "max-resource-size",
        "RFC 4791 §5.2.5",
        SUBMITTED,
        properties::max_size,
    ),
    computed(
        "min-date-time",
        "RFC 4791 §5.2.6",
        SUBMITTED,
        properties::min_time,
    ),
    computed(
        "max-date-time",
        "RFC 4791 §5.2.7",
        SUBMITTED,
        properties::max_time,
    ),
    computed(
        "max-instances",
        "RFC 4791 §5.2.8",
        CALENDARS,
        properties::max_instances,
    ),
    computed(
        "max-attendees-per-instance",
        "RFC 4791 §5.2.9",
        SUBMITTED,
        properties::max_attendees,
    ),
    computed(
        "supported-collation-set",
        "RFC 4791 §7.5.1",
        SEARCHED,
        properties::collations,
    ),
    computed(
        "supported-rscale-set",
        "RFC 7529 §10.1",
        CALENDARS,
        properties::scales,
    ),
    settable(
        computed(
            "schedule-calendar-transp",
            "RFC 6638 §9.1",
            CALENDAR,
            properties::transparency,
        ),
        properties::SET_TRANSPARENCY,
    ),
    stored(Name::apple("calendar-color"), APPLE, CALENDARS),
    stored(Name::apple("calendar-order"), APPLE, CALENDARS),
    stored(
        Name::caldav("default-alarm-vevent-datetime"),
        APPLE,
        ALARMED,
    ),
    stored(Name::caldav("default-alarm-vevent-date"), APPLE, ALARMED),
    stored(Name::caldav("default-alarm-vtodo-datetime"), APPLE, ALARMED),
    stored(Name::caldav("default-alarm-vtodo-date"), APPLE, ALARMED),
    data_row::CALENDAR_DATA,
];

const DEVIATIONS: &[Deviation] = &[
    Deviation {
        what: "an object may use a time zone that nobody defines; its times float then",
        spec: "RFC 4791 §4.1",
        client: "mail programs that send invitations without VTIMEZONE",
        cases: &["rfc4791/put.dav: an object that uses a time zone nobody defines is refused"],
    },
    Deviation {
        what: "an event may end before it starts; it ends as it starts then",
        spec: "RFC 5545 §3.8.2.2",
        client: "whoever moves calendars here that another server took",
        cases: &["rfc4791/put.dav: an event that ends before it starts is refused"],
    },
];
