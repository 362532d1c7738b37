//! What the reader, the printer and edits of the tree promise together.

use super::{
    Component, Item, Limits, Parsed, ProblemKind, Property, Severity, When, parse, print, print_to,
};

fn read(text: &[u8]) -> Parsed {
    parse(text, &Limits::default())
}

fn printed(parsed: &Parsed) -> Vec<u8> {
    let mut out = Vec::new();
    for calendar in &parsed.calendars {
        print_to(&mut out, calendar);
    }
    out
}

/// The one component of a text without faults.
fn one(text: &str) -> Component {
    let mut parsed = read(text.as_bytes());
    assert_eq!(parsed.fault(), None, "{text}");
    assert_eq!(parsed.calendars.len(), 1, "{text}");
    parsed.calendars.remove(0)
}

/// The property of that line.
fn property(line: &str) -> Property {
    let component = one(&format!("BEGIN:X\r\n{line}\r\nEND:X\r\n"));
    component.all_properties().next().unwrap().clone()
}

#[test]
fn what_ends_its_lines_in_crlf_comes_back_byte_for_byte() {
    for text in [
        "BEGIN:VCALENDAR\r\nVERSION:2.0\r\nX-a;b=c:D\r\nEND:VCALENDAR\r\n",
        // Order, repeated properties and parameters, components between properties.
        "BEGIN:A\r\nB:1\r\nBEGIN:C\r\nEND:C\r\nB:2\r\nb;X=1;X=2,\"3,;:\";X=:3\r\nEND:A\r\n",
        // Folding at odd places, with tabs, inside a parameter, of nothing.
        "BEGIN:A\r\nSUM\r\n MARY;LAN\r\n\tGUAGE=en:a \r\n  b\r\n \r\nEND:A\r\n",
        // A line longer than 75 octets that is not folded.
        &format!("BEGIN:A\r\nX:{}\r\nEND:A\r\n", "long ".repeat(100)),
        "begin:vcalendar\r\nversion:2.0\r\nBegin:vEvent\r\nEnd:VEVENT\r\nend:VCALENDAR\r\n",
        "BEGIN:VCALENDAR \r\nEND:VCALENDAR\t\r\n",
        // Two calendars.
        "BEGIN:VCALENDAR\r\nEND:VCALENDAR\r\nBEGIN:VCALENDAR\r\nA:1\r\nEND:VCALENDAR\r\n",
        // Lines that are no content lines.
        "BEGIN:A\r\nX-NOTHING\r\nthis is a lost line\r\n\\nand: another\r\n=\r\n:\r\nEND:B\r\nEND:A\r\n",
    ] {
        let parsed = read(text.as_bytes());
        let out = printed(&parsed);
        assert_eq!(String::from_utf8_lossy(&out), text);
    }
}

#[test]
fn folds_inside_a_character_are_undone_and_kept() {
    let text = b"BEGIN:A\r\nX:gr\xc3\r\n \xbcn\r\nEND:A\r\n";
    let parsed = read(text);
    assert_eq!(parsed.problems, []);
    assert_eq!(parsed.calendars[0].text("X").unwrap(), "grün");
    assert_eq!(printed(&parsed), text);
}

#[test]
fn bytes_that_are_not_utf8_are_kept_and_named() {
    let text = b"BEGIN:A\r\nX:gr\xfcn\r\nEND:A\r\n";
    let parsed = read(text);
    assert_eq!(parsed.calendars[0].text("X").unwrap(), "gr\u{fffd}n");
    assert_eq!(
        parsed.fault().unwrap().to_string(),
        "line 2: the text is not UTF-8"
    );
    assert_eq!(printed(&parsed), text);
}

#[test]
fn any_line_end_is_read_and_printed_as_crlf() {
    let expected = "BEGIN:A\r\nX:1 2\r\nY:3\r\nEND:A\r\n";
    for text in [
        "BEGIN:A\nX:1 2\nY:3\nEND:A\n",
        "BEGIN:A\r\nX:1 2\nY:3\r\nEND:A",
        "\u{feff}BEGIN:A\r\nX:1\r\n  2\nY:3\r\r\nEND:A\n\n",
        "\r\n\r\nBEGIN:A\r\n\r\nX:1\n  2\n\r\nY:3\r\nEND:A\r\n\r\n",
    ] {
        let parsed = read(text.as_bytes());
        assert_eq!(parsed.fault(), None, "{text:?}");
        let normal = read(expected.as_bytes());
        assert_eq!(parsed.calendars, normal.calendars, "{text:?}");
    }
    let folded = "BEGIN:A\nX:1\n  2\nEND:A\n";
    let out = printed(&read(folded.as_bytes()));
    assert_eq!(out, b"BEGIN:A\r\nX:1 2\r\nEND:A\r\n");
}

#[test]
fn problems_name_their_line() {
    use ProblemKind as P;
    for (text, expected) in [
        ("", vec![]),
        ("A:1\r\n", vec![(1, P::Outside)]),
        ("BEGIN:A\r\nB:1\r\n", vec![(1, P::MissingEnd)]),
        ("BEGIN:A\r\nBEGIN:B\r\nEND:A\r\n", vec![(2, P::MissingEnd)]),
        ("BEGIN:A\r\nEND:B\r\nEND:A\r\n", vec![(2, P::UnexpectedEnd)]),
        ("BEGIN:A\r\nEND:A\r\nEND:A\r\n", vec![(3, P::UnexpectedEnd)]),
        ("BEGIN:\r\n", vec![(1, P::NotContentLine)]),
        (
            "BEGIN:A\r\nX:1\r\n 2\r\nlost\r\nEND:A\r\n",
            vec![(4, P::NotContentLine)],
        ),
        (
            "BEGIN:A\r\nfirst: b\r\nlost in : b\r\nEND:A\r\n",
            vec![(3, P::NotContentLine)],
        ),
        ("BEGIN:A\r\nX-B\r\nEND:A\r\n", vec![(2, P::NoValue)]),
        ("BEGIN:A\r\nX_B:\r\nEND:A\r\n", vec![(2, P::Name)]),
        ("BEGIN:A\r\nX;B;C=1:\r\nEND:A\r\n", vec![]),
        ("BEGIN:A\r\nX;=1:\r\nEND:A\r\n", vec![(2, P::Parameter)]),
        (
            "BEGIN:A\r\nX;CN=\"a:b\r\nEND:A\r\n",
            vec![(2, P::Parameter)],
        ),
        (
            "BEGIN:A\r\nX:a\u{b}b\r\nEND:A\r\n",
            vec![(2, P::ControlCharacter)],
        ),
        ("BEGIN;X=1:A\r\nEND:A\r\n", vec![(1, P::Frame)]),
        ("BEGIN:A\r\n\r\nEND:A\r\n\r\n", vec![(2, P::BlankLine)]),
        ("BEGIN:A\r\nB:\nEND:A\r\n", vec![(2, P::BareLineFeed)]),
        ("\u{feff}BEGIN:A\r\nEND:A", vec![(1, P::ByteOrderMark)]),
    ] {
        let problems = read(text.as_bytes()).problems;
        let found: Vec<_> = problems.into_iter().map(|it| (it.line, it.kind)).collect();
        assert_eq!(found, expected, "{text:?}");
    }
}

#[test]
fn every_limit_holds() {
    let nested = "BEGIN:A\r\n".repeat(100_000);
    let parsed = read(nested.as_bytes());
    assert_eq!(parsed.fault().unwrap().kind, ProblemKind::MissingEnd);
    assert!(
        parsed
            .problems
            .iter()
            .any(|it| it.kind == ProblemKind::TooDeep)
    );
    assert!(parsed.problems.len() <= 2 * Limits::default().problems);

    let deep = format!(
        "{}X:1\r\n{}",
        "BEGIN:A\r\n".repeat(40),
        "END:A\r\n".repeat(40)
    );
    let parsed = read(deep.as_bytes());
    assert_eq!(parsed.problems.len(), 1);
    assert_eq!(parsed.problems[0].line, 33);
    assert_eq!(printed(&parsed), deep.as_bytes());

    let text = b"BEGIN:A\r\nX:1\r\nY:22222\r\nEND:A\r\n";
    let limits = Limits::default();
    for (limits, kind) in [
        (
            Limits {
                bytes: 29,
                ..limits
            },
            ProblemKind::TooLarge,
        ),
        (Limits { lines: 3, ..limits }, ProblemKind::TooManyLines),
        (
            Limits {
                line_bytes: 6,
                ..limits
            },
            ProblemKind::LineTooLong,
        ),
    ] {
        let parsed = parse(text, &limits);
        assert!(parsed.problems.iter().any(|it| it.kind == kind), "{kind:?}");
        assert!(parsed.fault().is_some());
    }
    assert_eq!(
        parse(
            text,
            &Limits {
                bytes: 30,
                lines: 4,
                line_bytes: 7,
                ..limits
            }
        )
        .fault(),
        None
    );

    // A fault is listed even after many notes.
    let notes = format!("BEGIN:A\r\n{}lost\r\nEND:A\r\n", "X_Y:\r\n".repeat(1000));
    assert_eq!(read(notes.as_bytes()).fault().unwrap().line, 1002);
}

#[test]
fn parameters_are_found_and_decoded() {
    let line = r#"ATTENDEE;CN="Babe ^'R^', Jr.";member="mailto:a@b","mailto:c@d";MEMBER=x;RSVP=TRUE:mailto:e@f"#;
    let it = property(line);
    assert_eq!(it.name(), "ATTENDEE");
    assert!(it.is("attendee") && !it.is("ATTENDE") && !it.is("ATTENDEES"));
    assert_eq!(it.value(), "mailto:e@f");
    assert_eq!(it.param("cn").unwrap(), "Babe \"R\", Jr.");
    assert_eq!(it.param_values("MEMBER"), ["mailto:a@b", "mailto:c@d", "x"]);
    assert_eq!(it.param("MEMBE"), None);
    assert_eq!(it.line(), line);
    let names: Vec<_> = it.params().map(|param| param.name()).collect();
    assert_eq!(names, ["CN", "member", "MEMBER", "RSVP"]);

    for (line, name, param, value) in [
        ("X:a:b;c=d", "X", None, "a:b;c=d"),
        ("X;A=:b", "X", Some(""), "b"),
        ("X;A:b", "X", Some(""), "b"),
        ("X;A=\"b:c", "X", Some("\"b"), "c"),
        ("X;A=\"b\":c\"d\"", "X", Some("b"), "c\"d\""),
        ("X;A=\"b;c\":d", "X", Some("b;c"), "d"),
        ("X;;A=b:d", "X", Some("b"), "d"),
        ("X-Y;A=b", "X-Y", Some("b"), ""),
    ] {
        let it = property(line);
        let found = (it.name(), it.param("A"), it.value());
        assert_eq!(found, (name, param.map(Into::into), value), "{line}");
    }
}

#[test]
fn edits_change_what_they_name_and_nothing_else() {
    fn edit(line: &str, edit: impl Fn(&mut Property)) -> String {
        let mut it = property(line);
        edit(&mut it);
        let out = print(&Component::new("X").with(it));
        let out = String::from_utf8(out).unwrap();
        out["BEGIN:X\r\n".len()..out.len() - "\r\nEND:X\r\n".len()].to_owned()
    }
    let line = "A;x=1;Y=\"2\",3;X=4:old";
    for (found, expected) in [
        (
            edit(line, |it| it.set_value("new")),
            "A;x=1;Y=\"2\",3;X=4:new",
        ),
        (
            edit(line, |it| it.set_text("a,b\nc")),
            r#"A;x=1;Y="2",3;X=4:a\,b\nc"#,
        ),
        (
            edit(line, |it| it.set_param("X", "a:b")),
            "A;x=1;Y=\"2\",3;X=4:old"
                .replace("x=1", "X=\"a:b\"")
                .replace(";X=4", "")
                .as_str(),
        ),
        (
            edit(line, |it| it.set_param("Z", "^")),
            "A;x=1;Y=\"2\",3;X=4;Z=^^:old",
        ),
        (
            edit(line, |it| it.set_param_values("Y", &["a", "b,"])),
            "A;x=1;Y=a,\"b,\";X=4:old",
        ),
        (
            edit(line, |it| assert!(it.remove_param("x"))),
            "A;Y=\"2\",3:old",
        ),
        (edit(line, |it| assert!(!it.remove_param("Q"))), line),
        (edit("X-A", |it| it.set_value("v")), "X-A:v"),
        (edit("X-A;B", |it| it.set_param("C", "d")), "X-A;B;C=d:"),
        (edit("X:ab\r\n c", |it| it.set_value("abc")), "X:ab\r\n c"),
        (edit("X:ab\r\n c", |it| it.set_value("abd")), "X:abd"),
    ] {
        assert_eq!(found, expected);
    }
}

#[test]
fn components_are_edited_in_place() {
    let mut it = one("BEGIN:E\r\nA:1\r\nB:1\r\nBEGIN:F\r\nEND:F\r\na:2\r\nEND:E\r\n");
    it.set(Property::new("A", "9"));
    it.set(Property::new("C", "3"));
    it.push(Property::new("B", "2"));
    it.push_component(Component::new("G"));
    let expected =
        "BEGIN:E\r\nA:9\r\nB:1\r\nC:3\r\nB:2\r\nBEGIN:F\r\nEND:F\r\nBEGIN:G\r\nEND:G\r\nEND:E\r\n";
    assert_eq!(String::from_utf8(print(&it)).unwrap(), expected);
    assert_eq!(it.properties("b").count(), 2);
    assert_eq!(it.remove("b"), 2);
    it.retain_components(|inner| inner.is("g"));
    it.retain_properties(|inner| !inner.is("C"));
    assert_eq!(
        print(&it),
        b"BEGIN:E\r\nA:9\r\nBEGIN:G\r\nEND:G\r\nEND:E\r\n"
    );
}

#[test]
fn long_values_are_folded_between_characters() {
    for text in [
        "x".repeat(500),
        "ü".repeat(300),
        "€a".repeat(200),
        "𝄞".repeat(100),
    ] {
        let it = Component::new("A").with(Property::text_value("SUMMARY", &text));
        let out = print(&it);
        for line in out.split(|byte| *byte == b'\n') {
            assert!(line.len() <= 76, "75 octets and a carriage return");
            assert!(std::str::from_utf8(line).is_ok());
        }
        let parsed = read(&out);
        assert_eq!(parsed.problems, []);
        assert_eq!(parsed.calendars, [it]);
    }
}

#[test]
fn values_set_by_code_cannot_add_lines() {
    let evil = "a\r\nATTACH:b\nEND:A\r\0\u{7f}";
    let mut it = Property::new(evil, evil).with_param(evil, evil);
    it.set_param_values("P", &[evil, "\"", ";:,"]);
    it.set_value(evil);
    let text = Property::text_value("SUMMARY", evil);
    let component = Component::new(evil).with(it).with(text);
    let parsed = read(&print(&component));
    assert_eq!(parsed.problems, []);
    assert_eq!(parsed.calendars.first(), Some(&component));
    assert_eq!(component.all_properties().count(), 2);
    assert_eq!(component.text("SUMMARY").unwrap(), "a\nATTACH:b\nEND:A\n");
    assert_eq!(Property::new("", "").name(), "X-NAMELESS");
}

#[test]
fn times_bring_the_parameters_they_need() {
    let mut it = Property::new("DTSTART", "");
    for (text, tzid, line) in [
        ("20260102", None, "DTSTART;VALUE=DATE:20260102"),
        (
            "20260102T030405",
            Some("Europe/Vienna"),
            "DTSTART;TZID=Europe/Vienna:20260102T030405",
        ),
        ("20260102T030405Z", None, "DTSTART:20260102T030405Z"),
        ("20260102T030405", None, "DTSTART:20260102T030405"),
        (
            "20260102T030405",
            Some("A: b"),
            "DTSTART;TZID=\"A: b\":20260102T030405",
        ),
    ] {
        it.set_when(&When::parse(text, tzid).unwrap());
        assert_eq!(it.line(), line);
    }
}

#[test]
fn reading_is_linear_for_long_and_many_lines() {
    // Quadratic work on these would take minutes.
    let quotes = format!("BEGIN:A\nX;A={}\nEND:A\n", "\";\";;".repeat(100_000));
    let folds = format!("BEGIN:A\nX:{}\nEND:A\n", "\n a".repeat(200_000));
    let junk = format!("BEGIN:A\n{}END:A\n", "x\n".repeat(300_000));
    let blanks = "\n \n".repeat(150_000);
    let value = format!("BEGIN:A\nX:{}\nEND:A\n", "a,b;c".repeat(300_000));
    for text in [quotes, folds, junk, blanks, value] {
        let parsed = read(text.as_bytes());
        let out = printed(&parsed);
        assert_eq!(read(&out).calendars, parsed.calendars);
        for item in parsed.calendars.iter().flat_map(|it| &it.items).take(10) {
            if let Item::Property(it) = item {
                assert!(it.param_values("A").len() < 2_000_000);
            }
        }
    }
    let severities = [Severity::Note, Severity::Fault];
    assert!(severities.is_sorted());
}
