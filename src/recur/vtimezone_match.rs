//! From a VTIMEZONE to a zone: the IANA zone it describes under another name, such as
//! "Customized Time Zone", else its own rules (RFC 5545 §3.6.5).

use std::collections::HashMap;
use std::sync::{Arc, LazyLock, Mutex, PoisonError};

use jiff::tz::TimeZone;

use crate::ical::{Component, Date, Timestamp, print};

use super::vtimezone::Table;
use super::zone::Zone;
use super::zone_data::{lookup, zone_names};
use super::zone_names::{preferred, resolve};

/// The first and the last year for which a zone must be right.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(super) struct Years {
    pub(super) first: i32,
    pub(super) last: i32,
}

/// What was found for a VTIMEZONE and some years. Objects of one client share a handful of
/// VTIMEZONEs, and matching one costs a pass over all zones.
type Memo = HashMap<(Box<[u8]>, Years), Option<Zone>>;
static MEMO: LazyLock<Mutex<Memo>> = LazyLock::new(Mutex::default);
const MEMO_ENTRIES: usize = 256;
const MEMO_TEXT_BYTES: usize = 16 << 10;

/// The zone of a VTIMEZONE whose TZID names none: by X-LIC-LOCATION, by the offsets of the years,
/// or by its own rules.
pub(super) fn zone_of(vtimezone: &Component, years: Years) -> Option<Zone> {
    let text = print(vtimezone);
    if text.len() > MEMO_TEXT_BYTES {
        return find(vtimezone, years);
    }
    let key = (text.into_boxed_slice(), years);
    let known = MEMO
        .lock()
        .unwrap_or_else(PoisonError::into_inner)
        .get(&key)
        .cloned();
    if let Some(zone) = known {
        return zone;
    }
    let zone = find(vtimezone, years);
    let mut memo = MEMO.lock().unwrap_or_else(PoisonError::into_inner);
    if memo.len() >= MEMO_ENTRIES {
        memo.clear();
    }
    memo.insert(key, zone.clone());
    zone
}

fn find(vtimezone: &Component, years: Years) -> Option<Zone> {
    let named = ["X-LIC-LOCATION", "TZID-ALIAS-OF"];
    let named = named.iter().flat_map(|name| vtimezone.properties(name));
    if let Some(zone) = named.filter_map(|it| resolve(&it.text())).next() {
        return Zone::of_data(zone);
    }
    let tzid = vtimezone.text("TZID").unwrap_or_default();
    let table = Table::of(vtimezone)?;
    if let Some(zone) = matching(&table, years, &tzid) {
        return Zone::of_data(zone);
    }
    Some(Zone::of_table(tzid.trim(), Arc::new(table)))
}

/// The IANA zone with the same offsets in those years: one whose city the TZID names, else the
/// preferred one. A zone that never changes its offset is left to its own rules, because too many
/// are like it.
fn matching(table: &Table, years: Years, tzid: &str) -> Option<TimeZone> {
    let year = |year: i32| {
        let day = Date::new(year.clamp(1, 9999), 1, 1).unwrap_or(Date::EPOCH);
        day.midnight().as_utc()
    };
    let (from, to) = (year(years.first), year(years.last + 1));
    let changes: Vec<(i64, i64)> = table.between(from, to).collect();
    if changes.is_empty() {
        return None;
    }
    let fits = |zone: &TimeZone| fits(zone, table.offset(from), &changes, (from, to));
    let names = preferred().map(str::to_owned).chain(zone_names());
    let mut found = None;
    for name in names {
        let named = names_city(tzid, &name);
        if found.is_some() && !named {
            continue;
        }
        if let Some(zone) = lookup(&name).filter(fits) {
            if named {
                return Some(zone);
            }
            found = Some(zone);
        }
    }
    found
}

/// Whether a TZID such as "(UTC+01:00) Amsterdam, Berlin, Bern" names the city of a zone.
fn names_city(tzid: &str, zone: &str) -> bool {
    let Some((area, city)) = zone.rsplit_once('/') else {
        return false;
    };
    // Canada/Eastern and the like name no city.
    if ["US", "Canada", "Etc", "Brazil", "Chile", "Mexico"].contains(&area) {
        return false;
    }
    let city = city.replace('_', " ").to_lowercase();
    city.len() > 3 && tzid.to_lowercase().contains(&city)
}

fn fits(zone: &TimeZone, first: i64, changes: &[(i64, i64)], span: (Timestamp, Timestamp)) -> bool {
    let Ok(from) = jiff::Timestamp::from_second(span.0.0) else {
        return false;
    };
    let mut offset = i64::from(zone.to_offset(from).seconds());
    if offset != first {
        return false;
    }
    let mut rest = changes.iter();
    for change in zone.following(from) {
        let (at, after) = (
            change.timestamp().as_second(),
            i64::from(change.offset().seconds()),
        );
        if at >= span.1.0 {
            break;
        }
        if after == offset {
            continue;
        }
        if rest.next() != Some(&(at, after)) {
            return false;
        }
        offset = after;
    }
    rest.next().is_none()
}
