//! Calendars as one iCalendar stream: many objects merged into one VCALENDAR with each VTIMEZONE
//! once, and a stream split into objects, one for each UID with the VTIMEZONEs it needs (RFC 4791
//! §4.1).

use crate::ical::{Component, Date, PRODID, Property, print_to};
use crate::recur::{Zone, vtimezone};
use std::collections::{BTreeMap, BTreeSet, HashMap};

/// One object found in a stream.
#[derive(Debug, Clone)]
pub struct Part {
    /// A VCALENDAR that holds all components of one UID and the time zones they name.
    pub calendar: Component,
    /// The UID; one is made from the content where the stream gives none.
    pub uid: String,
    /// Whether the UID was made.
    pub uid_made: bool,
    /// The line of the stream at which its first component begins.
    pub line: u32,
}

/// Objects being merged into one VCALENDAR, each time zone once and in front. Where objects define
/// one TZID differently, a zone that the server knows is written from its data, and another gets a
/// TZID of its own.
#[derive(Debug)]
pub struct Merge {
    head: Component,
    zones: BTreeMap<String, Component>,
    body: Vec<u8>,
}

impl Merge {
    /// A stream whose VCALENDAR has the properties of `head`.
    pub fn new(head: Component) -> Merge {
        Merge {
            head,
            zones: BTreeMap::new(),
            body: Vec::new(),
        }
    }

    /// Adds the components of an object.
    pub fn add(&mut self, calendar: &Component) {
        let zones = calendar.components("VTIMEZONE");
        let renamed: Vec<(String, String)> = zones.filter_map(|zone| self.zone(zone)).collect();
        for component in calendar.all_components() {
            if component.is("VTIMEZONE") {
                continue;
            }
            match renamed.is_empty() {
                true => print_to(&mut self.body, component),
                false => {
                    let mut component = component.clone();
                    rename_zones(&mut component, &renamed);
                    print_to(&mut self.body, &component);
                }
            }
        }
    }

    /// Keeps the definition of a zone; answers its old and new TZID where it needs a new one.
    fn zone(&mut self, zone: &Component) -> Option<(String, String)> {
        let id = tzid(zone);
        let Some(kept) = self.zones.get(&id) else {
            self.zones.insert(id, zone.clone());
            return None;
        };
        if kept == zone {
            return None;
        }
        if let Some(known) = Zone::of_tzid(&id) {
            self.zones
                .insert(id.clone(), vtimezone(&known, &id, Date::EPOCH, None));
            return None;
        }
        let names = (2..).map(|n: u32| format!("{id} ({n})"));
        for name in names.take(MOST_ZONES) {
            let mut zone = zone.clone();
            zone.set(Property::text_value("TZID", &name));
            let kept = self
                .zones
                .entry(name.clone())
                .or_insert_with(|| zone.clone());
            if *kept == zone {
                return Some((id, name));
            }
        }
        None
    }

    /// The text of the stream.
    pub fn finish(self) -> Vec<u8> {
        let zones = self.zones.into_values();
        let whole = zones.fold(self.head, Component::with_component);
        let mut text = Vec::with_capacity(self.body.len() + 1024);
        print_to(&mut text, &whole);
        let end = text.len().saturating_sub(END.len());
        text.truncate(end);
        text.extend_from_slice(&self.body);
        text.extend_from_slice(END);
        text
    }
}

/// The text of one VCALENDAR with the properties of `head` and the components of all calendars.
pub fn merge(head: Component, calendars: impl IntoIterator<Item = Component>) -> Vec<u8> {
    let mut merge = Merge::new(head);
    for calendar in calendars {
        merge.add(&calendar);
    }
    merge.finish()
}

/// The most definitions of one TZID that are told apart.
const MOST_ZONES: usize = 1_000;

fn rename_zones(component: &mut Component, renamed: &[(String, String)]) {
    for property in component.all_properties_mut() {
        let Some(id) = property.param("TZID") else {
            continue;
        };
        if let Some((_, name)) = renamed.iter().find(|(old, _)| *old == id) {
            property.set_param("TZID", name);
        }
    }
    for inner in component.all_components_mut() {
        rename_zones(inner, renamed);
    }
}

/// How every printed calendar ends.
const END: &[u8] = b"END:VCALENDAR\r\n";

fn tzid(zone: &Component) -> String {
    zone.text("TZID").unwrap_or_default().into_owned()
}

/// The objects in a stream, in the order in which their first components stand there.
pub fn split(calendars: &[Component]) -> Vec<Part> {
    let mut parts: Vec<Part> = Vec::new();
    let mut known: HashMap<String, usize> = HashMap::new();
    let mut zones: BTreeMap<String, &Component> = BTreeMap::new();
    for calendar in calendars {
        for zone in calendar.components("VTIMEZONE") {
            zones.entry(tzid(zone)).or_insert(zone);
        }
        let empty = frame(calendar);
        let mains = calendar
            .all_components()
            .filter(|component| !component.is("VTIMEZONE"));
        for component in mains {
            let mut component = component.clone();
            let (uid, uid_made) = uid_of(&mut component);
            let index = *known.entry(uid.clone()).or_insert(parts.len());
            if index == parts.len() {
                parts.push(Part {
                    calendar: empty.clone(),
                    uid,
                    uid_made,
                    line: component.line_number(),
                });
            }
            if let Some(part) = parts.get_mut(index) {
                part.calendar.push_component(component);
            }
        }
    }
    for part in &mut parts {
        add_zones(&mut part.calendar, &zones);
    }
    parts
}

/// The UID of a component; where it has none, one that is the same for the same content.
fn uid_of(component: &mut Component) -> (String, bool) {
    if let Some(uid) = component.text("UID").filter(|uid| !uid.is_empty()) {
        return (uid.into_owned(), false);
    }
    let mut text = Vec::new();
    print_to(&mut text, component);
    let uid = format!("{:032x}@import.invalid", fingerprint(&text));
    component.set(Property::text_value("UID", &uid));
    (uid, true)
}

/// FNV-1a with 128 bits: it names what has no name, and guards nothing.
pub(super) fn fingerprint(bytes: &[u8]) -> u128 {
    const PRIME: u128 = 0x0000_0000_0100_0000_0000_0000_0000_013b;
    bytes
        .iter()
        .fold(0x6c62_272e_07bb_0142_62b8_2175_6295_c58d, |hash, byte| {
            (hash ^ u128::from(*byte)).wrapping_mul(PRIME)
        })
}

/// The calendar's own properties that an object keeps. A METHOD may not be stored (RFC 4791 §4.1),
/// and names and colours are the calendar's.
fn frame(calendar: &Component) -> Component {
    let mut frame = calendar.without_components();
    frame.retain_properties(|p| ["VERSION", "PRODID", "CALSCALE"].iter().any(|n| p.is(n)));
    if frame.property("VERSION").is_none() {
        frame.push(Property::new("VERSION", "2.0"));
    }
    if frame.property("PRODID").is_none() {
        frame.push(Property::new("PRODID", PRODID));
    }
    frame
}

/// Puts the definitions of the time zones an object names in front of its components.
fn add_zones(calendar: &mut Component, zones: &BTreeMap<String, &Component>) {
    let mut named = BTreeSet::new();
    for component in calendar.all_components() {
        named_zones(component, &mut named);
    }
    let mut mains = Vec::new();
    calendar.retain_components(|component| {
        mains.push(component.clone());
        false
    });
    let defined = named.iter().filter_map(|tzid| zones.get(tzid));
    for component in defined.map(|zone| (*zone).clone()).chain(mains) {
        calendar.push_component(component);
    }
}

/// Collects the TZIDs that the properties of a component and those in it name.
fn named_zones(component: &Component, named: &mut BTreeSet<String>) {
    for property in component.all_properties() {
        if let Some(tzid) = property.param("TZID") {
            named.insert(tzid.into_owned());
        }
    }
    for inner in component.all_components() {
        named_zones(inner, named);
    }
}

/// A file name for an object: its UID where that is plain, else a fingerprint of it.
pub fn file_name(uid: &str) -> String {
    let plain = |b: u8| b.is_ascii_alphanumeric() || b"@._-+".contains(&b);
    let usable = !uid.is_empty() && uid.len() <= 200 && !uid.starts_with('.');
    if usable && uid.bytes().all(plain) {
        format!("{uid}.ics")
    } else {
        format!("{:032x}.ics", fingerprint(uid.as_bytes()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ical::empty_calendar;
    use crate::ical::{Limits, parse, print};

    const STREAM: &str = "BEGIN:VCALENDAR\r\nVERSION:2.0\r\nPRODID:x\r\nMETHOD:PUBLISH\r\n\
        X-WR-CALNAME:all\r\n\
        BEGIN:VTIMEZONE\r\nTZID:A\r\nEND:VTIMEZONE\r\n\
        BEGIN:VTIMEZONE\r\nTZID:B\r\nEND:VTIMEZONE\r\n\
        BEGIN:VEVENT\r\nUID:1\r\nDTSTART;TZID=A:20260101T000000\r\nEND:VEVENT\r\n\
        BEGIN:VTODO\r\nSUMMARY:no name\r\nEND:VTODO\r\n\
        BEGIN:VEVENT\r\nUID:1\r\nRECURRENCE-ID;TZID=B:20260101T000000\r\nEND:VEVENT\r\n\
        END:VCALENDAR\r\n";

    fn read(text: &[u8]) -> Vec<Component> {
        parse(text, &Limits::default()).calendars
    }

    #[test]
    fn a_stream_is_split_by_uid_with_the_zones_each_needs() {
        let parts = split(&read(STREAM.as_bytes()));
        let names: Vec<Vec<&str>> = parts
            .iter()
            .map(|p| p.calendar.all_components().map(Component::name).collect())
            .collect();
        assert_eq!(
            names,
            [
                vec!["VTIMEZONE", "VTIMEZONE", "VEVENT", "VEVENT"],
                vec!["VTODO"]
            ]
        );
        assert!(
            parts
                .iter()
                .all(|p| p.calendar.property("METHOD").is_none())
        );
        assert_eq!(parts[0].uid, "1");
        assert!(!parts[0].uid_made && parts[1].uid_made);
        assert_eq!(parts[1].uid, split(&read(STREAM.as_bytes()))[1].uid);
    }

    #[test]
    fn a_merged_stream_has_each_zone_once_and_in_front() {
        let parts = split(&read(STREAM.as_bytes()));
        let twice = parts.iter().chain(&parts).map(|p| p.calendar.clone());
        let merged = read(&merge(empty_calendar(), twice));
        let names: Vec<&str> = merged[0].all_components().map(Component::name).collect();
        assert_eq!(names[..2], ["VTIMEZONE", "VTIMEZONE"]);
        assert_eq!(names.len(), 8);
        assert!(names[2..].iter().all(|name| *name != "VTIMEZONE"));
    }

    #[test]
    fn zones_that_differ_keep_their_meaning() {
        let object = |tzid: &str, offset: &str| {
            let text = STREAM.replace("TZID:A", &format!("TZID:{tzid}\r\nX-OFFSET:{offset}"));
            read(text.replace("TZID=A", &format!("TZID={tzid}")).as_bytes()).remove(0)
        };
        let merged = |tzid: &str| {
            let objects = ["1", "2", "1", "2"].map(|offset| object(tzid, offset));
            String::from_utf8(merge(empty_calendar(), objects)).unwrap()
        };
        let own = merged("Own");
        assert_eq!(own.matches("BEGIN:VTIMEZONE").count(), 3, "{own}");
        assert_eq!(own.matches("DTSTART;TZID=Own (2):").count(), 2);
        assert_eq!(own.matches("DTSTART;TZID=Own:").count(), 2);
        let known = merged("Europe/Berlin");
        assert_eq!(known.matches("TZID:Europe/Berlin").count(), 1);
        assert!(!known.contains("X-OFFSET") && known.contains("TZOFFSETTO:+0200"));
    }

    #[test]
    fn an_empty_calendar_is_a_calendar() {
        let merged = merge(empty_calendar(), []);
        assert_eq!(merged, print(&empty_calendar()));
    }

    #[test]
    fn a_file_name_cannot_leave_its_folder() {
        assert_eq!(file_name("a-1@b.example"), "a-1@b.example.ics");
        for odd in ["", "../x", "a/b", ".hidden", "ü", &"x".repeat(300)] {
            assert_eq!(file_name(odd).len(), 36, "{odd}");
        }
    }
}
