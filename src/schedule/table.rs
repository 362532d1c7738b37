//! What scheduling adds to the tables. RFC 6638

use crate::dav::Table;

/// The rows of this module.
pub const TABLE: Table = Table {
    methods: &[],
    reports: &[],
    properties: &[],
    collections: &[],
    tokens: &[],
    deviations: &[],
    rules: &[],
};
