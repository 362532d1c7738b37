//! Zones of whole objects: which zone a TZID means, and the instants that follow.

use std::fmt::Write;

use super::vtimezone::Table;
use super::{Zone, Zones, add_timezones, strip_timezones, vtimezone, zone_names};
use crate::ical::{Component, Date, Limits, LocalTime, Timestamp, When, parse};

/// A calendar of that VTIMEZONE body and an event that begins there.
fn calendar(vtimezone: &str, tzid: &str, start: &str) -> Component {
    let text = format!(
        "BEGIN:VCALENDAR\nBEGIN:VTIMEZONE\nTZID:{tzid}\n{vtimezone}\nEND:VTIMEZONE\n\
         BEGIN:VEVENT\nDTSTART;TZID=\"{tzid}\":{start}\nEND:VEVENT\nEND:VCALENDAR\n"
    );
    let mut parsed = parse(text.as_bytes(), &Limits::default());
    assert_eq!(parsed.fault(), None, "{text}");
    parsed.calendars.remove(0)
}

fn observance(kind: &str, start: &str, offsets: (&str, &str), more: &str) -> String {
    let (from, to) = offsets;
    let more = if more.is_empty() {
        String::new()
    } else {
        format!("{more}\n")
    };
    format!(
        "BEGIN:{kind}\nDTSTART:{start}\nTZOFFSETFROM:{from}\nTZOFFSETTO:{to}\n{more}END:{kind}\n"
    )
}

/// What Outlook sends for Central Europe.
fn outlook() -> String {
    let summer = "RRULE:FREQ=YEARLY;BYDAY=-1SU;BYMONTH=3";
    let winter = "RRULE:FREQ=YEARLY;BYDAY=-1SU;BYMONTH=10";
    observance("STANDARD", "16010101T030000", ("+0200", "+0100"), winter)
        + &observance("DAYLIGHT", "16010101T020000", ("+0100", "+0200"), summer)
}

fn date(text: &str) -> Date {
    Date::parse(text).unwrap()
}

fn instant(zone: &Zone, local: &str) -> String {
    zone.instant(LocalTime::parse(local).unwrap()).to_string()
}

#[test]
fn a_custom_zone_is_the_iana_zone_with_its_offsets() {
    let new_york = observance(
        "DAYLIGHT",
        "20070311T020000",
        ("-0500", "-0400"),
        "RRULE:FREQ=YEARLY;BYMONTH=3;BYDAY=2SU",
    ) + &observance(
        "STANDARD",
        "20071104T020000",
        ("-0400", "-0500"),
        "RRULE:FREQ=YEARLY;BYMONTH=11;BYDAY=1SU",
    );
    let located = format!("X-LIC-LOCATION:Asia/Tokyo\n{}", outlook());
    // Central Europe, but on the first Sundays: no zone is like it.
    let invented = outlook().replace("-1SU", "1SU");
    let fixed = observance("STANDARD", "16010101T000000", ("+0100", "+0100"), "");
    for (vtimezone, tzid, start, id) in [
        (
            outlook(),
            "Customized Time Zone",
            "20260701T120000",
            "Europe/Berlin",
        ),
        (
            outlook(),
            "(UTC+01:00) Amsterdam, Bern, Rome, Stockholm, Vienna",
            "20260701T120000",
            "Europe/Amsterdam",
        ),
        (
            outlook(),
            "(UTC+01:00) Brussels, Copenhagen, Madrid, Paris",
            "20260701T120000",
            "Europe/Paris",
        ),
        // The TZID decides where it names a zone, whatever the VTIMEZONE says.
        (outlook(), "Asia/Tokyo", "20260701T120000", "Asia/Tokyo"),
        (
            outlook(),
            "W. Europe Standard Time",
            "20260701T120000",
            "Europe/Berlin",
        ),
        (
            outlook(),
            "/mozilla.org/20050126_1/Europe/Rome",
            "20260701T120000",
            "Europe/Rome",
        ),
        (located, "Custom", "20260701T120000", "Asia/Tokyo"),
        (new_york, "Eastern", "20260701T120000", "America/New_York"),
        // Central European summer time did not end in October before 1996 (and in other zones
        // that have the same rules today it did).
        (outlook(), "Custom", "19900701T120000", "Custom"),
        (invented, "Invented", "20260701T120000", "Invented"),
        (fixed, "Fixed", "20260701T120000", "Fixed"),
    ] {
        let calendar = calendar(&vtimezone, tzid, start);
        let zones = Zones::of(&calendar);
        assert_eq!(zones.get(tzid).unwrap().id(), id, "{tzid}");
    }
}

#[test]
fn a_vtimezone_is_evaluated_as_written() {
    let rules = "RRULE:FREQ=YEARLY;BYDAY=1SU;BYMONTH=10";
    let until = "RRULE:FREQ=YEARLY;BYDAY=1SU;BYMONTH=3;UNTIL=20270307T010000Z";
    // A zone of its own: summer time from the first Sunday of March until 2027 (the last onset is
    // just UNTIL), and once more in 2030.
    let body = observance("STANDARD", "20200101T030000", ("+0200", "+0100"), rules)
        + &observance("DAYLIGHT", "20200301T020000", ("+0100", "+0200"), until)
        + &observance(
            "DAYLIGHT",
            "20300303T020000",
            ("+0100", "+0200"),
            "RDATE:20310302T020000",
        );
    let calendar = calendar(&body, "Own", "20260701T120000");
    let zones = Zones::of(&calendar);
    let zone = zones.get("Own").unwrap();
    assert!(!zone.is_named());
    for (local, utc) in [
        ("20260115T120000", "20260115T110000Z"),
        ("20260715T120000", "20260715T100000Z"),
        ("20270307T120000", "20270307T100000Z"),
        ("20280715T120000", "20280715T110000Z"),
        ("20300715T120000", "20300715T100000Z"),
        ("20310715T120000", "20310715T100000Z"),
        ("20320715T120000", "20320715T110000Z"),
        // Before the earliest observance its TZOFFSETFROM is what we know.
        ("19900715T120000", "19900715T100000Z"),
        ("00010101T000000", "00010101T000000Z"),
        ("99991231T235959", "99991231T225959Z"),
        // A gap (2026-03-01 02:00 to 03:00) and an overlap (2026-10-04 02:00 to 03:00).
        ("20260301T015959", "20260301T005959Z"),
        ("20260301T023000", "20260301T013000Z"),
        ("20260301T030000", "20260301T010000Z"),
        ("20261004T015959", "20261003T235959Z"),
        ("20261004T023000", "20261004T003000Z"),
        ("20261004T030000", "20261004T020000Z"),
    ] {
        assert_eq!(instant(zone, local), utc, "{local}");
    }
}

#[test]
fn iana_zones_and_their_own_vtimezones_agree() {
    // The table's arithmetic against the zone data, hour by hour around all changes of some years.
    let body = outlook();
    let table = calendar(
        &body.replace("16010101", "16010102"),
        "T",
        "19000101T000000",
    );
    let written = Zones::of(&table);
    let (written, named) = (
        written.get("T").unwrap(),
        Zone::named("Europe/Berlin").unwrap(),
    );
    assert!(!written.is_named());
    let (from, to) = ("20000101T000000Z", "20300101T000000Z");
    let (from, to) = (
        Timestamp::parse(from).unwrap(),
        Timestamp::parse(to).unwrap(),
    );
    let changes = named.transitions(from, to, 1000);
    assert_eq!(changes.len(), 60);
    for change in &changes {
        for step in -60..60 {
            let at = change.at.add_seconds(step * 300);
            assert_eq!(written.offset(at), named.offset(at), "{at}");
            assert_eq!(written.local(at), named.local(at));
            let local = named.local(at);
            assert_eq!(written.instant(local), named.instant(local), "{local}");
            let local = at.utc();
            assert_eq!(written.instant(local), named.instant(local), "{local}");
        }
    }
    let strip = |it: &super::Transition| (it.at, it.before, it.after);
    let own: Vec<_> = written
        .transitions(from, to, 1000)
        .iter()
        .map(strip)
        .collect();
    assert_eq!(own, changes.iter().map(strip).collect::<Vec<_>>());
}

#[test]
fn broken_vtimezones_do_no_harm() {
    let mut all = String::new();
    for body in [
        String::new(),
        "BEGIN:STANDARD\nEND:STANDARD".to_owned(),
        observance("STANDARD", "20260101T000000", ("+9900", "+0100"), ""),
        observance("STANDARD", "tomorrow", ("+0100", "+0100"), ""),
        observance(
            "STANDARD",
            "20260101T000000",
            ("+0200", "+0100"),
            "RRULE:FREQ=SECONDLY",
        ),
        observance(
            "STANDARD",
            "20260101T000000",
            ("+0200", "+0100"),
            "RRULE:nonsense",
        ),
        observance(
            "STANDARD",
            "00010101T000000",
            ("+2359", "-2359"),
            "RRULE:FREQ=DAILY",
        ),
        observance(
            "STANDARD",
            "99991231T235959",
            ("-2359", "+2359"),
            "RRULE:FREQ=YEARLY",
        ),
    ] {
        let calendar = calendar(&body, "Bad", "20260701T120000");
        let zones = Zones::of(&calendar);
        let id = zones.get("Bad").map(Zone::id);
        let when = When::parse("20260701T120000", Some("Bad")).unwrap();
        let instant = zones.instant(&when, &Zone::utc());
        writeln!(all, "{id:?} {instant}").unwrap();
    }
    let expected = "None 20260701T120000Z\nNone 20260701T120000Z\nNone 20260701T120000Z\n\
                    None 20260701T120000Z\nSome(\"Bad\") 20260701T110000Z\n\
                    Some(\"Bad\") 20260701T110000Z\nSome(\"Bad\") 20260702T115900Z\n\
                    Some(\"Bad\") 20260702T115900Z\n";
    assert_eq!(all, expected);
}

#[test]
fn all_zones_are_named() {
    let names = zone_names();
    assert!(names.len() > 200);
    for name in &names {
        let zone = Zone::named(name).unwrap_or_else(|| panic!("{name}"));
        assert_eq!(Zone::named(&name.to_uppercase()), Some(zone.clone()));
        assert!(zone.is_named());
    }
    assert!(super::tzdata_version() >= "2026a");
    // Older data than the bundled is not taken.
    assert!(!super::install_tzdata("2020a", []));
}

fn text(component: &Component) -> String {
    String::from_utf8(crate::ical::print(component))
        .unwrap()
        .replace("\r\n", "\n")
}

#[test]
fn a_vtimezone_says_what_is_needed_and_no_more() {
    let zone = Zone::named("Europe/Vienna").unwrap();
    let written = vtimezone(&zone, "Europe/Vienna", date("20260701"), None);
    assert_eq!(
        text(&written),
        "BEGIN:VTIMEZONE\nTZID:Europe/Vienna\n\
         BEGIN:DAYLIGHT\nDTSTART:20260329T020000\nTZOFFSETFROM:+0100\nTZOFFSETTO:+0200\n\
         TZNAME:CEST\nRRULE:FREQ=YEARLY;BYMONTH=3;BYDAY=-1SU\nEND:DAYLIGHT\n\
         BEGIN:STANDARD\nDTSTART:20261025T030000\nTZOFFSETFROM:+0200\nTZOFFSETTO:+0100\n\
         TZNAME:CET\nRRULE:FREQ=YEARLY;BYMONTH=10;BYDAY=-1SU\nEND:STANDARD\n\
         END:VTIMEZONE\n"
    );
    let zone = Zone::named("America/New_York").unwrap();
    let written = text(&vtimezone(
        &zone,
        "NY",
        date("20060101"),
        Some(date("20071231")),
    ));
    assert!(written.contains("DTSTART:20051030T020000"), "{written}");
    assert!(
        written.contains("RRULE:FREQ=YEARLY;BYMONTH=3;BYDAY=2SU\n"),
        "{written}"
    );
    let zone = Zone::named("Asia/Tokyo").unwrap();
    let written = text(&vtimezone(&zone, "Asia/Tokyo", date("20260101"), None));
    assert_eq!(written.matches("BEGIN:STANDARD").count(), 1, "{written}");
    assert!(written.contains("TZOFFSETTO:+0900"));
    let written = text(&vtimezone(&Zone::utc(), "UTC", date("20260101"), None));
    assert!(
        written.contains("TZOFFSETFROM:+0000\nTZOFFSETTO:+0000\nTZNAME:UTC\n"),
        "{written}"
    );
    // Announced changes that follow no rule are listed.
    let zone = Zone::named("Asia/Gaza").unwrap();
    let written = text(&vtimezone(&zone, "Asia/Gaza", date("20260101"), None));
    assert!(written.matches("RDATE").count() > 20, "{written}");
}

#[test]
fn every_zone_is_written_so_that_it_reads_the_same() {
    for name in zone_names() {
        let zone = Zone::named(&name).unwrap();
        for (from, to) in [
            ("19000101", None),
            ("19700101", None),
            ("20240101", Some("20261231")),
        ] {
            let written = vtimezone(&zone, &name, date(from), to.map(date));
            assert_eq!(crate::ical::rules::check(&written), [], "{name}");
            let table = Table::of(&written).unwrap();
            let end = to.map_or("20991231", |to| to);
            let (start, end) = (
                date(from).midnight().as_utc(),
                date(end).midnight().as_utc(),
            );
            assert_eq!(table.offset(start), zone.offset(start), "{name}");
            let own: Vec<_> = table.between(start, end).collect();
            let changes = zone.transitions(start, end, 10_000);
            let changes: Vec<_> = changes.iter().map(|it| (it.at.0, it.after)).collect();
            assert_eq!(own, changes, "{name} from {from}");
        }
    }
}

#[test]
fn calendars_get_the_vtimezones_they_lack() {
    let mut calendar = calendar(&outlook(), "Here", "20260701T120000");
    let event = calendar.component_mut("VEVENT").unwrap();
    for tzid in ["Europe/Vienna", "Asia/Tokyo", "Nowhere"] {
        let when = When::parse("20260801T120000", Some(tzid)).unwrap();
        event.push(crate::ical::Property::when_value("RDATE", &when));
    }
    let before = calendar.clone();
    add_timezones(&mut calendar);
    let tzids: Vec<_> = calendar
        .all_components()
        .map(|it| it.text("TZID").unwrap_or_default().into_owned())
        .collect();
    assert_eq!(tzids, ["Europe/Vienna", "Asia/Tokyo", "Here", ""]);
    let again = calendar.clone();
    add_timezones(&mut calendar);
    assert_eq!(calendar, again);
    strip_timezones(&mut calendar);
    assert_eq!(calendar, before);
}

/// `testdata/zones/NAME.ics` is the VTIMEZONE we write for a zone from 2020 on, NAME.txt what
/// libical makes of it (`libical.py` asked it).
#[test]
fn libical_reads_our_vtimezones_as_we_do() {
    for name in [
        "Africa/Cairo",
        "America/New_York",
        "America/Santiago",
        "America/St_Johns",
        "Asia/Gaza",
        "Asia/Kathmandu",
        "Australia/Lord_Howe",
        "Europe/Dublin",
        "Europe/Vienna",
        "Pacific/Auckland",
        "UTC",
    ] {
        let zone = Zone::named(name).unwrap();
        let file = name.replace('/', "-");
        let path = format!("{}/testdata/zones/{file}", env!("CARGO_MANIFEST_DIR"));
        let stored = std::fs::read_to_string(format!("{path}.ics")).unwrap();
        let written = vtimezone(&zone, name, date("20200101"), None);
        assert_eq!(
            text(&written),
            stored.replace("\r\n", "\n"),
            "{name}: run libical.py again"
        );
        let answers = std::fs::read_to_string(format!("{path}.txt")).unwrap();
        assert!(answers.lines().count() > 500, "{name}");
        for line in answers.lines() {
            let (local, offset) = line.split_once(' ').unwrap();
            let local = LocalTime::parse(local).unwrap();
            let ours = local.seconds() - zone.instant(local).0;
            assert_eq!(ours.to_string(), offset, "{name} {local}");
        }
    }
}
