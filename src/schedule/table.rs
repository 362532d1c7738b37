//! What scheduling adds to the tables. RFC 6638

use super::{default_calendar, free_busy, inbox, tag};
use crate::dav::{Deviation, Table, Token};

/// The rows of this module.
pub const TABLE: Table = Table {
    methods: free_busy::METHODS,
    reports: &[],
    properties: &[
        default_calendar::PROPERTIES,
        inbox::PROPERTIES,
        tag::PROPERTIES,
    ],
    collections: &[],
    tokens: TOKENS,
    deviations: DEVIATIONS,
    rules: &[default_calendar::RULES, tag::RULES],
};

const TOKENS: &[Token] = &[Token {
    name: "calendar-auto-schedule",
    spec: "RFC 6638 §2",
}];

const DEVIATIONS: &[Deviation] = &[Deviation {
    what: "a request for busy time may have local times, which are taken in their zone or the asker's",
    spec: "RFC 5546 §3.3.2",
    client: "python-caldav",
    cases: &[],
}];
