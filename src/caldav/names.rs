//! The names a query may ask for, and where components stand: RFC 5545 §8.3, RFC 7529, RFC 7953,
//! RFC 7986, RFC 9073, RFC 9074, RFC 9253 and the prefixes of the vendors whose clients we know.

/// The components that can stand in each component. RFC 5545 §3.6
const SCOPES: &[(&str, &[&str])] = &[
    (
        "VCALENDAR",
        &[
            "VEVENT",
            "VTODO",
            "VJOURNAL",
            "VFREEBUSY",
            "VTIMEZONE",
            "VAVAILABILITY",
        ],
    ),
    (
        "VEVENT",
        &["VALARM", "PARTICIPANT", "VLOCATION", "VRESOURCE"],
    ),
    (
        "VTODO",
        &["VALARM", "PARTICIPANT", "VLOCATION", "VRESOURCE"],
    ),
    ("VJOURNAL", &["PARTICIPANT", "VLOCATION", "VRESOURCE"]),
    ("VFREEBUSY", &["PARTICIPANT", "VLOCATION", "VRESOURCE"]),
    ("VTIMEZONE", &["STANDARD", "DAYLIGHT"]),
    ("VAVAILABILITY", &["AVAILABLE"]),
    ("VALARM", &["VLOCATION"]),
    ("PARTICIPANT", &["VLOCATION", "VRESOURCE"]),
    ("STANDARD", &[]),
    ("DAYLIGHT", &[]),
    ("AVAILABLE", &[]),
    ("VLOCATION", &[]),
    ("VRESOURCE", &[]),
];

/// Properties in alphabetical order.
const PROPERTIES: &[&str] = &[
    "ACKNOWLEDGED",
    "ACTION",
    "ATTACH",
    "ATTENDEE",
    "BUSYTYPE",
    "CALENDAR-ADDRESS",
    "CALSCALE",
    "CATEGORIES",
    "CLASS",
    "COLOR",
    "COMMENT",
    "COMPLETED",
    "CONCEPT",
    "CONFERENCE",
    "CONTACT",
    "CREATED",
    "DESCRIPTION",
    "DTEND",
    "DTSTAMP",
    "DTSTART",
    "DUE",
    "DURATION",
    "EXDATE",
    "EXRULE",
    "FREEBUSY",
    "GEO",
    "IMAGE",
    "LAST-MODIFIED",
    "LINK",
    "LOCATION",
    "LOCATION-TYPE",
    "METHOD",
    "NAME",
    "ORGANIZER",
    "PARTICIPANT-TYPE",
    "PERCENT-COMPLETE",
    "PRIORITY",
    "PRODID",
    "PROXIMITY",
    "RDATE",
    "RECURRENCE-ID",
    "REFID",
    "REFRESH-INTERVAL",
    "RELATED-TO",
    "REPEAT",
    "REQUEST-STATUS",
    "RESOURCE-TYPE",
    "RESOURCES",
    "RRULE",
    "SEQUENCE",
    "SOURCE",
    "STATUS",
    "STRUCTURED-DATA",
    "STYLED-DESCRIPTION",
    "SUMMARY",
    "TRANSP",
    "TRIGGER",
    "TZID",
    "TZID-ALIAS-OF",
    "TZNAME",
    "TZOFFSETFROM",
    "TZOFFSETTO",
    "TZUNTIL",
    "TZURL",
    "UID",
    "URL",
    "VERSION",
];

/// Parameters in alphabetical order.
const PARAMETERS: &[&str] = &[
    "ALTREP",
    "CN",
    "CUTYPE",
    "DELEGATED-FROM",
    "DELEGATED-TO",
    "DERIVED",
    "DIR",
    "DISPLAY",
    "EMAIL",
    "ENCODING",
    "FBTYPE",
    "FEATURE",
    "FILENAME",
    "FMTTYPE",
    "GAP",
    "LABEL",
    "LANGUAGE",
    "LINKREL",
    "MANAGED-ID",
    "MEMBER",
    "ORDER",
    "PARTSTAT",
    "RANGE",
    "RELATED",
    "RELTYPE",
    "ROLE",
    "RSVP",
    "SCHEDULE-AGENT",
    "SCHEDULE-FORCE-SEND",
    "SCHEDULE-STATUS",
    "SCHEMA",
    "SENT-BY",
    "SIZE",
    "TZID",
    "VALUE",
];

/// Prefixes of names that clients in the field write and may ask for. RFC 4791 §7.7
const VENDORS: &[&str] = &[
    "X-APPLE-",
    "X-CALENDARSERVER-",
    "X-EVOLUTION-",
    "X-GNOME-",
    "X-KDE-",
    "X-LIC-",
    "X-MICROSOFT-",
    "X-MOZ-",
    "X-MS-",
    "X-NEXTCLOUD-",
    "X-OC-",
    "X-WR-",
];

/// Whether a query may ask for components of this name, which is in upper case.
pub fn is_component(name: &str) -> bool {
    SCOPES.iter().any(|(scope, _)| *scope == name)
}

/// Whether a component of the second name can stand in one of the first. RFC 4791 §7.8
pub fn may_hold(scope: &str, name: &str) -> bool {
    name == "*"
        || match SCOPES.iter().find(|(known, _)| *known == scope) {
            Some((_, inner)) => inner.contains(&name),
            None => name != "VCALENDAR",
        }
}

/// Whether CALDAV:time-range means something for components of this name. RFC 4791 §9.9
pub fn has_times(name: &str) -> bool {
    const TIMED: &[&str] = &[
        "*",
        "VALARM",
        "VAVAILABILITY",
        "VEVENT",
        "VFREEBUSY",
        "VJOURNAL",
        "VTODO",
    ];
    TIMED.contains(&name)
}

/// Whether a query may ask for properties of this name.
pub fn is_property(name: &str) -> bool {
    PROPERTIES.binary_search(&name).is_ok() || is_vendors(name)
}

/// Whether CALDAV:time-range means something for properties of this name. RFC 4791 §9.9
pub fn is_time(name: &str) -> bool {
    const TIMES: &[&str] = &[
        "COMPLETED",
        "CREATED",
        "DTEND",
        "DTSTAMP",
        "DTSTART",
        "DUE",
        "LAST-MODIFIED",
    ];
    TIMES.contains(&name)
}

/// Whether a query may ask for parameters of this name.
pub fn is_parameter(name: &str) -> bool {
    PARAMETERS.binary_search(&name).is_ok() || is_vendors(name)
}

fn is_vendors(name: &str) -> bool {
    VENDORS.iter().any(|prefix| name.starts_with(prefix))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_tables_are_sorted() {
        assert!(PROPERTIES.is_sorted() && PARAMETERS.is_sorted());
    }

    #[test]
    fn components_stand_where_they_may() {
        assert!(may_hold("VCALENDAR", "VTODO") && may_hold("VTODO", "VALARM"));
        assert!(may_hold("*", "VALARM") && may_hold("VEVENT", "*"));
        assert!(!may_hold("VTODO", "VEVENT") && !may_hold("VCALENDAR", "VALARM"));
    }
}
