//! What requests and answers may cost; the properties that advertise a limit read it here.

use crate::ical::{self, Date, Timestamp};
use crate::{recur, xml};

/// Limits of the protocol layers.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Limits {
    /// Documents in request bodies.
    pub xml: xml::Limits,
    /// A calendar object, in bytes: CALDAV:max-resource-size. RFC 4791 §5.2.5
    pub resource_bytes: usize,
    /// Texts of calendar objects.
    pub ical: ical::Limits,
    /// Recurrences.
    pub recur: recur::Limits,
    /// The first day of an object: CALDAV:min-date-time. RFC 4791 §5.2.6
    pub first_date: Date,
    /// The last day of an object: CALDAV:max-date-time. RFC 4791 §5.2.7
    pub last_date: Date,
    /// Instances of an object: CALDAV:max-instances. RFC 4791 §5.2.8
    pub instances: usize,
    /// Attendees of an instance: CALDAV:max-attendees-per-instance. RFC 4791 §5.2.9
    pub attendees: usize,
    /// Components of one meeting, those of single instances included, that answers may lead to.
    pub overrides: usize,
    /// Days that one question for busy time may be about. RFC 6638 §5
    pub free_busy_days: i64,
    /// Days after which a message leaves an inbox by itself.
    pub inbox_days: i64,
    /// A multistatus, in bytes: a longer one is refused or truncated.
    pub multistatus_bytes: usize,
    /// Principals that a search answers with.
    pub matches: usize,
    /// Properties that one answer looks at, over all its resources.
    pub lookups: usize,
    /// Properties set or removed, searches, or properties to expand, in one request.
    pub instructions: usize,
    /// Levels of DAV:property in an expand-property report. RFC 3253 §3.8
    pub expand_depth: usize,
    /// Responses within one expand-property report.
    pub expansions: usize,
    /// hrefs in one multiget.
    pub hrefs: usize,
}

impl Default for Limits {
    fn default() -> Limits {
        Limits {
            xml: xml::Limits::default(),
            resource_bytes: 10 << 20,
            ical: ical::Limits::default(),
            recur: recur::Limits::default(),
            first_date: Timestamp(-62_135_510_400).utc().date(),
            last_date: Timestamp(253_402_128_000).utc().date(),
            instances: 20_000,
            attendees: 1_000,
            overrides: 2_000,
            free_busy_days: 800,
            inbox_days: 60,
            multistatus_bytes: 256 << 20,
            matches: 500,
            lookups: 10_000_000,
            instructions: 500,
            expand_depth: 8,
            expansions: 1_000,
            hrefs: 50_000,
        }
    }
}
