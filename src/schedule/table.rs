//! What scheduling adds to the tables. RFC 6638

use super::{default_calendar, free_busy, inbox, tag};
use crate::dav::{Table, Token};

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
    deviations: &[],
    rules: &[default_calendar::RULES, tag::RULES],
};

const TOKENS: &[Token] = &[Token {
    name: "calendar-auto-schedule",
    spec: "RFC 6638 §2",
}];
