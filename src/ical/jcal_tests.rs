//! Each `testdata/jcal/NAME.ics` and `NAME.json` are the same object.

use serde_json::Value;

use super::{Component, JcalError, Limits, from_jcal, parse, to_jcal};

fn fixture(name: &str) -> String {
    let path = format!("{}/testdata/jcal/{name}", env!("CARGO_MANIFEST_DIR"));
    std::fs::read_to_string(path).unwrap()
}

fn calendar(name: &str) -> Component {
    let mut parsed = parse(fixture(name).as_bytes(), &Limits::default());
    assert_eq!(parsed.fault(), None);
    parsed.calendars.remove(0)
}

fn read(text: &str) -> Result<Component, JcalError> {
    from_jcal(text.as_bytes(), &Limits::default())
}

fn json(text: &str) -> Value {
    serde_json::from_str(text).unwrap()
}

/// Every line of a component, with those of components inside after its own, and parameters in
/// order of their names: what jCal keeps.
fn lines(component: &Component) -> Vec<String> {
    let line = |it: &super::Property| {
        let (mut params, name) = (Vec::new(), it.name());
        for param in it.params() {
            let values: Vec<_> = param.values().collect();
            params.push(format!("{}={values:?}", param.name()));
        }
        params.sort();
        format!("{name} {params:?} {}", it.value())
    };
    let mut all = vec![format!("BEGIN:{}", component.name())];
    all.extend(component.all_properties().map(line));
    all.extend(component.all_components().flat_map(lines));
    all
}

#[test]
fn icalendar_and_jcal_are_the_same_object() {
    // In the second example of RFC 7265 §B.2 the two forms differ by mistake in four places (order
    // of VERSION and PRODID; "1SU" for -1SU; date and summary of the override; an RDATE written as
    // one string), which our file corrects to what its iCalendar form says.
    for name in ["rfc7265-b1", "rfc7265-b2", "every-type"] {
        let calendar = calendar(&format!("{name}.ics"));
        let text = fixture(&format!("{name}.json"));
        assert_eq!(json(&to_jcal(&calendar)), json(&text), "{name}");
        let back = read(&text).unwrap();
        if name != "rfc7265-b1" {
            assert_eq!(lines(&back), lines(&calendar), "{name}");
        }
        assert_eq!(json(&to_jcal(&back)), json(&text), "{name}");
    }
    // The first has a DTSTART without the VALUE=DATE it needs.
    let dates = read(&fixture("rfc7265-b1.json")).unwrap();
    let event = dates.component("VEVENT").unwrap();
    assert_eq!(
        event.property("DTSTART").unwrap().line(),
        "DTSTART;VALUE=DATE:20081006"
    );
}

#[test]
fn the_example_is_read_as_printed() {
    let calendar = read(&fixture("rfc7265-b2-as-printed.json")).unwrap();
    let event = calendar.component("VEVENT").unwrap();
    let line = event.property("RDATE").unwrap().line();
    assert_eq!(
        line,
        "RDATE;TZID=US/Eastern;VALUE=PERIOD:20060102T150000/PT2H"
    );
}

#[test]
fn texts_in_base64_become_texts() {
    let text =
        "BEGIN:A\nX-A;ENCODING=BASE64;VALUE=TEXT:SGksIHRoZXJl\nATTACH;ENCODING=BASE64:?\nEND:A\n";
    let parsed = parse(text.as_bytes(), &Limits::default());
    let jcal = to_jcal(&parsed.calendars[0]);
    assert_eq!(
        jcal,
        r#"["a",[["x-a",{},"text","Hi, there"],["attach",{"encoding":"BASE64"},"uri","?"]],[]]"#
    );
    assert_eq!(read(&jcal).unwrap().text("X-A").unwrap(), "Hi, there");
}

#[test]
fn what_is_no_jcal_is_refused() {
    for text in [
        "",
        "{}",
        "[]",
        "null",
        "[\"vcalendar\"]",
        "[\"vcalendar\",[],[]",
        "[\"vcalendar\",[],[],[]]",
        "[\"\",[],[]]",
        "[\"a\\r\\nb\",[],[]]",
        "[\"a\",[[]],[]]",
        "[\"a\",[[\"b\",{},\"text\"]],[]]",
        "[\"a\",[[\"b c\",{},\"text\",\"d\"]],[]]",
        "[\"a\",[[\"b\",[],\"text\",\"d\"]],[]]",
        "[\"a\",[[\"b\",{\"p\":1},\"text\",\"d\"]],[]]",
        "[\"a\",[[\"b\",{\"p:q\":\"\"},\"text\",\"d\"]],[]]",
        "[\"a\",[],[\"b\"]]",
    ] {
        assert!(read(text).is_err(), "{text}");
    }
    let deep = format!("{}{}", "[\"a\",[],[".repeat(60), "]]".repeat(60));
    assert_eq!(read(&deep), Err(JcalError::TooDeep));
    let deeper = "[".repeat(1_000_000);
    assert!(matches!(read(&deeper), Err(JcalError::Json(..))));
    let small = Limits {
        bytes: 3,
        ..Limits::default()
    };
    assert_eq!(from_jcal(b"[   ]", &small), Err(JcalError::TooLarge));
}

#[test]
fn values_cannot_add_lines() {
    let text = r#"["a",[["b",{"c":"d\r\nE:f"},"unknown","g\r\nH:i"],["j",{},"recur",{"freq\n":"x\ny"}],
        ["k",{},"text\r\nL:m","n"],["o",{},"text",["p\r\nq",1,null,true,{"r":"s\n"}]]],[]]"#;
    let component = read(text).unwrap();
    let parsed = parse(&super::print(&component), &Limits::default());
    assert_eq!(parsed.problems, []);
    assert_eq!(parsed.calendars, [component]);
    assert_eq!(parsed.calendars[0].all_properties().count(), 4);
}
