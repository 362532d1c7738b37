//! What one decision of scheduling may cost, as it follows from the server's limits.

use crate::{dav, itip};

/// The limits of iTIP that follow from the server's.
pub(super) fn of(limits: &dav::Limits) -> itip::Limits {
    itip::Limits {
        // Everybody may be cancelled from some instances and invited to others.
        messages: limits.attendees.saturating_mul(2),
        overrides: limits.overrides,
        recur: limits.recur,
    }
}
