//! What becomes of a meeting when somebody cannot be reached by mail: the sender learns it.

use std::sync::Arc;

use super::token::Guest;
use crate::dav::Shared;
use crate::ical::Timestamp;
use crate::schedule::{self, Unreached};
use crate::store::Error;

/// Notes that a guest, or the organizer to whom an answer went, cannot be reached. `status` is a code such as `5.1`.
/// RFC 6638 §3.2.9
///
/// Answers whether the meeting still was there.
///
/// # Errors
/// The store's.
pub async fn undelivered(
    shared: &Arc<Shared>,
    guest: &Guest,
    (status, why): (&str, &str),
    now: Timestamp,
) -> Result<bool, Error> {
    let lost = Unreached {
        home: guest.home,
        uid: &guest.uid,
        to: &guest.attendee,
        status,
        why: &super::tidings::one_line(why),
    };
    schedule::undelivered(shared, &lost, now).await
}
