//! iCalendar text: it is read and printed without loss, every view answers, edits stay in place.

use kalends::ical::{
    CalendarObject, Component, Item, Limits, ProblemKind, Property, address, from_jcal, parse,
    print, rules, to_jcal, values,
};

const LIMITS: Limits = Limits {
    bytes: 1 << 20,
    lines: 20_000,
    line_bytes: 1 << 19,
    depth: 16,
    problems: 50,
};

/// What is read is printed so that it is read the same, every view answers, edits print, and lines
/// are where a naive reader finds them.
pub(crate) fn check(data: &[u8]) {
    let parsed = parse(data, &LIMITS);
    let mut printed = Vec::new();
    for calendar in &parsed.calendars {
        printed.extend(print(calendar));
    }
    let deep = parsed
        .problems
        .iter()
        .any(|it| it.kind == ProblemKind::TooDeep);
    let cut = parsed
        .problems
        .iter()
        .any(|it| it.kind == ProblemKind::TooManyLines);
    let large = printed.len() > LIMITS.bytes;
    if !deep && !cut && !large {
        assert_eq!(parse(&printed, &LIMITS).calendars, parsed.calendars);
    }
    if parsed.fault().is_none() && !data.starts_with(b"\xef\xbb\xbf") {
        assert_eq!(logical_lines(&printed), logical_lines(data));
    }
    for calendar in &parsed.calendars {
        let _ = rules::check(calendar);
        look(calendar);
        edit(calendar.clone());
        let jcal = to_jcal(calendar);
        if let Ok(back) = from_jcal(jcal.as_bytes(), &LIMITS) {
            let _ = print(&back);
        }
    }
    if let Ok(object) = CalendarObject::read(data, &LIMITS) {
        assert!(object.components().count() > 0 && !object.uid.is_empty());
        let _ = object.dates();
        let again = CalendarObject::read(&object.text(), &LIMITS);
        assert_eq!(again.map(|it| it.calendar), Ok(object.calendar));
    }
}

/// Lines that are not blank, unfolded, without the carriage returns at line ends.
fn logical_lines(data: &[u8]) -> Vec<Vec<u8>> {
    let mut lines: Vec<Vec<u8>> = Vec::new();
    for mut line in data.split(|byte| *byte == b'\n') {
        while let [rest @ .., b'\r'] = line {
            line = rest;
        }
        match (line, lines.last_mut()) {
            ([b' ' | b'\t', rest @ ..], Some(last)) => last.extend(rest),
            _ => lines.push(line.to_vec()),
        }
    }
    lines.retain(|line| !line.iter().all(u8::is_ascii_whitespace));
    lines
}

/// Calls every view of every property.
fn look(component: &Component) {
    for it in component.all_properties() {
        let _ = (
            it.text(),
            it.texts(),
            values::when(it),
            values::whens(it),
            values::periods(it),
        );
        let _ = (
            values::duration(it),
            values::trigger(it),
            values::request_status(it),
        );
        let _ = (values::geo(it), values::utc_offset(it), it.line_number());
        let view = address(it);
        let _ = (
            view.key(),
            view.mail(),
            view.partstat(),
            view.addresses("MEMBER"),
        );
        for param in it.params() {
            assert!(it.param(param.name()).is_some());
        }
        if let Some(when) = values::when(it) {
            let mut copy = Property::new("DTSTART", "");
            copy.set_when(&when);
            assert_eq!(values::when(&copy).map(|it| it.local()), Some(when.local()));
        }
    }
    component.all_components().for_each(look);
}

/// Edits every property and reads what is printed.
fn edit(mut component: Component) {
    let count = component.all_properties().count();
    for it in component.all_properties_mut() {
        let (text, value) = (it.text().into_owned(), it.value().to_owned());
        it.set_param("X-FUZZ", &text);
        it.set_text(&value);
        assert_eq!(it.text().replace('\n', ""), clean(&value).replace('\n', ""));
        assert_eq!(
            it.param("X-FUZZ").map(|it| it.replace('\n', "")),
            Some(clean(&text).replace('\n', ""))
        );
    }
    component
        .items
        .retain(|item| matches!(item, Item::Property(_)));
    let printed = print(&component);
    let parsed = parse(&printed, &LIMITS);
    if printed.len() <= LIMITS.bytes
        && let [only] = parsed.calendars.as_slice()
    {
        assert_eq!(only.all_properties().count(), count);
    }
}

/// A text without what no value may hold, in the form that is read back.
fn clean(text: &str) -> String {
    let text = text.replace("\r\n", "\n").replace('\r', "\n");
    text.replace(
        |char: char| char.is_ascii_control() && char != '\n' && char != '\t',
        "",
    )
}
