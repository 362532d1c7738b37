//! The time zone in which the floating times and dates of a collection lie.

use super::{Collection, Principal, Timezone};
use crate::ical::Limits;
use crate::recur::{Zone, lone_vtimezone};

/// The collection's own zone, else its owner's, else UTC. RFC 4791 §7.3
pub fn floating_zone(owner: &Principal, collection: &Collection, limits: &Limits) -> Zone {
    let own = match &collection.settings.timezone {
        Some(Timezone::Id(id)) => Zone::named(id),
        Some(Timezone::Text(text)) => {
            lone_vtimezone(text, limits).and_then(|zone| Zone::of_vtimezone(&zone))
        }
        None => None,
    };
    own.or_else(|| Zone::named(owner.timezone.as_deref()?))
        .unwrap_or_else(Zone::utc)
}
