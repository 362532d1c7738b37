//! The zone in which somebody outside reads times: the one they chose on a page. Nothing in a mail tells it, and a
//! browser tells it to scripts only, so it is asked for once and kept for all mails and pages of one person here.

use bytes::Bytes;

use super::token::Guest;
use crate::ical::Timestamp;
use crate::recur::Zone;
use crate::store::{Actor, Change, Error, Shelf, Store};

/// home, attendee -> the zone, and when it was chosen
const ZONES: Shelf = Shelf("mail/zone");

/// Seconds after which a choice is forgotten: two years.
const KEEP: i64 = 730 * 86_400;

fn key(guest: &Guest) -> Vec<u8> {
    let mut key = guest.home.as_bytes().to_vec();
    key.extend_from_slice(guest.attendee.as_bytes());
    key
}

fn read(row: &[u8]) -> Option<(Zone, Timestamp)> {
    let (zone, chosen) = std::str::from_utf8(row).ok()?.split_once(' ')?;
    Some((Zone::named(zone)?, Timestamp(chosen.parse().ok()?)))
}

/// The zone that a guest chose, if they did.
///
/// # Errors
/// The store's.
pub async fn zone_of(store: &Store, guest: &Guest) -> Result<Option<Zone>, Error> {
    let row = store.kept(ZONES, &key(guest)).await?;
    Ok(row.as_deref().and_then(read).map(|(zone, _)| zone))
}

/// Keeps the zone that a guest chose.
///
/// # Errors
/// The store's.
pub async fn choose_zone(
    store: &Store,
    guest: &Guest,
    zone: &Zone,
    now: Timestamp,
) -> Result<(), Error> {
    let mut change = Change::new(now, Actor::default(), "a guest's zone");
    let row = format!("{} {}", zone.id(), now.0);
    change.keep(ZONES, &key(guest), Some(Bytes::from(row)));
    let turn = store.turn(&[]).await?;
    store.commit(change, turn).await?;
    Ok(())
}

/// Forgets what was chosen long ago, of so many choices behind the key; answers the last key looked at.
///
/// # Errors
/// The store's.
pub(super) async fn forget_old(
    store: &Store,
    after: Option<&[u8]>,
    (now, most): (Timestamp, usize),
) -> Result<Option<Vec<u8>>, Error> {
    let rows = store.kept_from(ZONES, &[], after, most).await?;
    let mut change = Change::new(now, Actor::default(), "zones of guests are forgotten");
    let mut forgotten = 0;
    for row in &rows {
        let chosen = read(&row.value).map_or(0, |(_, chosen)| chosen.0);
        if chosen.saturating_add(KEEP) < now.0 {
            change.keep(ZONES, &row.key, None);
            forgotten += 1;
        }
    }
    if forgotten > 0 {
        let turn = store.turn(&[]).await?;
        store.commit(change, turn).await?;
    }
    Ok(rows.last().map(|row| row.key.to_vec()))
}
