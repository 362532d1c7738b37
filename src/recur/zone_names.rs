//! What a TZID names: IANA zones, their aliases, Windows names, names with a vendor's prefix.
//!
//! RFC 5545 §3.2.19 leaves the form of a TZID to whoever writes it.

use std::collections::HashMap;
use std::sync::OnceLock;

use jiff::tz::TimeZone;

use super::zone_data::lookup;

/// Windows names with the IANA names they mean, in order of preference.
static WINDOWS: &str = include_str!("windows_zones.txt");

/// The IANA zones that Windows names mean, the preferred first.
pub(super) fn preferred() -> impl Iterator<Item = &'static str> {
    rows().map(|(_, name)| name)
}

fn rows() -> impl Iterator<Item = (&'static str, &'static str)> {
    let rows = WINDOWS.lines().filter(|line| !line.starts_with('#'));
    rows.filter_map(|line| line.split_once('='))
}

/// The zone that a TZID names without its VTIMEZONE being looked at: an IANA name or alias in any
/// case, a Windows name, or either behind a vendor's prefix such as
/// `/freeassociation.sourceforge.net/Tzfile/`, `/mozilla.org/20050126_1/`,
/// `/citadel.org/20190914_1/` or `tzone://Microsoft/`.
pub(super) fn resolve(tzid: &str) -> Option<TimeZone> {
    let tzid = tzid.trim().trim_matches('"');
    if let Some(zone) = known(tzid) {
        return Some(zone);
    }
    let path = tzid.strip_prefix("tzone:/").unwrap_or(tzid);
    let mut rest = path.strip_prefix('/')?;
    while let Some((_, after)) = rest.split_once('/') {
        if let Some(zone) = known(after) {
            return Some(zone);
        }
        rest = after;
    }
    None
}

fn known(name: &str) -> Option<TimeZone> {
    // A name that begins like a path is none, and "posixrules" and the like are no zones.
    if name.is_empty() || name.len() > 64 {
        return None;
    }
    if name.eq_ignore_ascii_case("Z") {
        return lookup("UTC");
    }
    lookup(name).or_else(|| lookup(windows().get(&name.to_ascii_lowercase())?))
}

fn windows() -> &'static HashMap<String, &'static str> {
    static BY_NAME: OnceLock<HashMap<String, &'static str>> = OnceLock::new();
    BY_NAME.get_or_init(|| {
        rows()
            .map(|(name, zone)| (name.to_ascii_lowercase(), zone))
            .collect()
    })
}

#[cfg(test)]
mod tests {
    use super::{lookup, resolve, rows};

    #[test]
    fn every_windows_name_means_a_zone() {
        assert!(rows().count() > 130);
        for (windows, iana) in rows() {
            assert!(lookup(iana).is_some(), "{iana}");
            assert!(resolve(windows).is_some(), "{windows}");
        }
    }

    #[test]
    fn names_are_found_in_every_dress() {
        for (tzid, expected) in [
            ("Europe/Vienna", "Europe/Vienna"),
            ("EUROPE/vienna ", "Europe/Vienna"),
            ("US/Eastern", "US/Eastern"),
            ("Asia/Calcutta", "Asia/Calcutta"),
            ("UTC", "UTC"),
            ("Z", "UTC"),
            ("Etc/UTC", "Etc/UTC"),
            ("GMT", "GMT"),
            ("W. Europe Standard Time", "Europe/Berlin"),
            ("w. europe standard time", "Europe/Berlin"),
            ("Eastern Standard Time", "America/New_York"),
            ("UTC-11", "Etc/GMT+11"),
            (
                "/freeassociation.sourceforge.net/Tzfile/Europe/Vienna",
                "Europe/Vienna",
            ),
            (
                "/freeassociation.sourceforge.net/America/Argentina/Buenos_Aires",
                "America/Argentina/Buenos_Aires",
            ),
            ("/mozilla.org/20050126_1/Europe/Berlin", "Europe/Berlin"),
            ("/mozilla.org/20070129_1/UTC", "UTC"),
            ("/citadel.org/20190914_1/Europe/Berlin", "Europe/Berlin"),
            (
                "/softwarestudio.org/Olson_20011030_5/Asia/Tokyo",
                "Asia/Tokyo",
            ),
            ("tzone://Microsoft/Utc", "UTC"),
            ("/example.com/Pacific Standard Time", "America/Los_Angeles"),
        ] {
            let zone = resolve(tzid).unwrap_or_else(|| panic!("{tzid} is not found"));
            assert_eq!(zone.iana_name(), Some(expected), "{tzid}");
        }
        for tzid in [
            "",
            "/",
            "//",
            "Customized Time Zone",
            "tzone://Microsoft/Custom",
            "Europe/Nowhere",
            "/mozilla.org/20050126_1/Europe/Nowhere",
            "../Europe/Vienna",
            "(UTC+01:00) Amsterdam, Berlin, Bern, Rome, Stockholm, Vienna",
        ] {
            assert!(resolve(tzid).is_none(), "{tzid}");
        }
    }
}
