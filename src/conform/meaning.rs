//! iCalendar compared by what it means: order of properties and parameters, folding, line ends and the case of
//! names do not count (RFC 5545 §3.1, §3.2), nor that of the parts of a rule (RFC 5545 §3.3.10).
//!
//! It reads lines by itself and not with `ical`, so that a fault there cannot hide itself here.
//!
//! **Gaps**: values are compared as text; two spellings of one duration differ.

/// A component as a multiset of lines and inner components.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Default)]
pub struct Component {
    /// The name in upper case; empty for the stream itself.
    pub name: String,
    /// Normal forms of the property lines, sorted.
    pub lines: Vec<String>,
    /// The inner components, sorted.
    pub inner: Vec<Component>,
}

/// Reads an iCalendar stream; `Err` says what is wrong with it.
pub fn read(text: &str) -> Result<Component, String> {
    let mut open = vec![Component::default()];
    for line in unfold(text) {
        let upper = line.to_ascii_uppercase();
        if let Some(name) = upper.strip_prefix("BEGIN:") {
            open.push(Component {
                name: name.trim().to_owned(),
                ..Component::default()
            });
        } else if let Some(name) = upper.strip_prefix("END:") {
            let mut done = open
                .pop()
                .filter(|c| c.name == name.trim())
                .ok_or(format!("unexpected {line}"))?;
            done.lines.sort();
            done.inner.sort();
            open.last_mut().ok_or("END without BEGIN")?.inner.push(done);
        } else {
            open.last_mut()
                .ok_or("END without BEGIN")?
                .lines
                .push(normal(&line));
        }
    }
    let mut stream = open
        .pop()
        .filter(|_| open.is_empty())
        .ok_or("a component does not end")?;
    if !stream.name.is_empty() {
        return Err(format!("{} does not end", stream.name));
    }
    stream.inner.sort();
    Ok(stream)
}

/// The logical lines of a stream, without empty ones.
pub fn unfold(text: &str) -> Vec<String> {
    let mut lines: Vec<String> = Vec::new();
    for line in text.split('\n') {
        let line = line.strip_suffix('\r').unwrap_or(line);
        match (line.strip_prefix([' ', '\t']), lines.last_mut()) {
            (Some(rest), Some(last)) => last.push_str(rest),
            _ => lines.push(line.to_owned()),
        }
    }
    lines.retain(|l| !l.trim().is_empty());
    lines
}

/// A logical line with its names in upper case and its parameters sorted and without needless quotes.
pub fn normal(line: &str) -> String {
    let (name, parameters, value) = split(line);
    let parameters: String = parameters.iter().map(|p| format!(";{p}")).collect();
    format!("{name}{parameters}:{value}")
}

/// The name, the sorted parameters and the value of a logical line.
fn split(line: &str) -> (String, Vec<String>, String) {
    let mut parts = vec![String::new()];
    let mut quoted = false;
    let mut value = String::new();
    let mut characters = line.chars();
    while let Some(c) = characters.next() {
        match c {
            '"' => quoted = !quoted,
            ':' if !quoted => {
                value = characters.collect();
                break;
            }
            ';' if !quoted => {
                parts.push(String::new());
                continue;
            }
            _ => {}
        }
        if let Some(part) = parts.last_mut() {
            part.push(c);
        }
    }
    let name = parts.remove(0).to_ascii_uppercase();
    let mut parameters: Vec<String> = parts.iter().map(|p| parameter(p)).collect();
    parameters.sort();
    let value = value.trim_end();
    if matches!(name.as_str(), "RRULE" | "EXRULE") {
        return (name, parameters, rule(value));
    }
    (name, parameters, value.to_owned())
}

/// The parts of a rule in the order of their names.
fn rule(value: &str) -> String {
    let mut parts: Vec<&str> = value.split(';').collect();
    parts.sort_unstable();
    parts.join(";").to_ascii_uppercase()
}

/// Whether a normal line is one that was wanted with any further parameters, written `;*`.
fn fits(line: &str, wanted: &str) -> bool {
    let (name, parameters, value) = split(line);
    let (wanted_name, mut wanted, wanted_value) = split(wanted);
    wanted.retain(|parameter| parameter != "*=");
    (name, value) == (wanted_name, wanted_value) && wanted.iter().all(|w| parameters.contains(w))
}

fn parameter(text: &str) -> String {
    let (name, value) = text.split_once('=').unwrap_or((text, ""));
    let bare = value
        .strip_prefix('"')
        .and_then(|v| v.strip_suffix('"'))
        .unwrap_or(value);
    let value = if bare.contains(['"', ':', ';', ',']) {
        value
    } else {
        bare
    };
    let plain = [
        "VALUE",
        "PARTSTAT",
        "ROLE",
        "CUTYPE",
        "RSVP",
        "RELATED",
        "SCHEDULE-AGENT",
    ];
    let name = name.to_ascii_uppercase();
    if plain.contains(&name.as_str()) {
        return format!("{name}={}", value.to_ascii_uppercase());
    }
    format!("{name}={value}")
}

/// `Ok` if both streams mean the same, else the first differences.
pub fn same(expected: &str, got: &str) -> Result<(), String> {
    let wanted = read(expected).map_err(|e| format!("the expected text: {e}"))?;
    let got = read(got).map_err(|e| format!("not iCalendar: {e}"))?;
    if wanted == got {
        return Ok(());
    }
    let (wanted, got) = (flat(&wanted, ""), flat(&got, ""));
    let missing = minus(&wanted, &got);
    let surplus = minus(&got, &wanted);
    Err(format!("missing: {missing:?}; not expected: {surplus:?}"))
}

fn flat(component: &Component, path: &str) -> Vec<String> {
    let path = format!("{path}{}/", component.name);
    let own = component.lines.iter().map(|l| format!("{path}{l}"));
    own.chain(component.inner.iter().flat_map(|c| flat(c, &path)))
        .collect()
}

fn minus(all: &[String], without: &[String]) -> Vec<String> {
    let mut rest = without.to_vec();
    let mut left = Vec::new();
    for item in all {
        match rest.iter().position(|r| r == item) {
            Some(index) => {
                rest.swap_remove(index);
            }
            None => left.push(item.clone()),
        }
    }
    left
}

/// Whether some component holds `line`; a name without `:` asks for any property of that name, and a parameter `*`
/// stands for any others.
pub fn has(text: &str, line: &str) -> Result<bool, String> {
    let stream = read(text)?;
    let wanted = normal(line);
    let name = line.to_ascii_uppercase();
    let only_name = !line.contains(':');
    let open = line.contains(";*");
    Ok(all(&stream).iter().any(|component| {
        if name == format!("BEGIN:{}", component.name) {
            return true;
        }
        component.lines.iter().any(|l| {
            if only_name {
                l.split([';', ':']).next() == Some(name.as_str())
            } else if open {
                fits(l, line)
            } else {
                *l == wanted
            }
        })
    }))
}

/// How many components have this name.
pub fn count(text: &str, name: &str) -> Result<usize, String> {
    Ok(all(&read(text)?)
        .iter()
        .filter(|c| c.name.eq_ignore_ascii_case(name))
        .count())
}

fn all(component: &Component) -> Vec<&Component> {
    std::iter::once(component)
        .chain(component.inner.iter().flat_map(all))
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    const ONE: &str = "BEGIN:VCALENDAR\r\nBEGIN:VEVENT\r\nUID:1\r\nDTSTART;VALUE=date;X=\"y\":20300101\r\nSUM\r\n MARY:Hi\r\nEND:VEVENT\r\nEND:VCALENDAR\r\n";

    #[test]
    fn order_folding_and_quotes_do_not_count() {
        let other = "begin:VCALENDAR\nBEGIN:VEVENT\nSUMMARY:Hi\ndtstart;X=y;VALUE=DATE:20300101\nUID:1\nEND:VEVENT\nEND:VCALENDAR\n";
        assert_eq!(same(ONE, other), Ok(()));
    }

    #[test]
    fn the_parts_of_a_rule_may_be_in_any_order() {
        let rule = |value: &str| format!("BEGIN:VEVENT\nRRULE:{value}\nEND:VEVENT\n");
        let one = rule("FREQ=YEARLY;BYMONTH=3;BYDAY=-1SU");
        assert_eq!(
            same(&one, &rule("BYDAY=-1SU;BYMONTH=3;FREQ=YEARLY")),
            Ok(())
        );
        assert!(same(&one, &rule("BYDAY=1SU;BYMONTH=3;FREQ=YEARLY")).is_err());
    }

    #[test]
    fn a_missing_or_doubled_line_is_a_difference() {
        assert!(same(ONE, &ONE.replace("UID:1\r\n", "")).is_err());
        assert!(same(ONE, &ONE.replace("UID:1\r\n", "UID:1\r\nUID:1\r\n")).is_err());
        assert!(same(ONE, &ONE.replace("UID:1", "UID:2")).is_err());
        assert!(same(ONE, &ONE.replace("END:VEVENT\r\n", "")).is_err());
    }

    #[test]
    fn lines_and_components_are_found() {
        assert_eq!(has(ONE, "SUMMARY:Hi"), Ok(true));
        assert_eq!(has(ONE, "SUMMARY"), Ok(true));
        assert_eq!(has(ONE, "BEGIN:VEVENT"), Ok(true));
        assert_eq!(has(ONE, "SUMMARY:Ho"), Ok(false));
        assert_eq!(has(ONE, "SUMMAR"), Ok(false));
        assert_eq!(has(ONE, "SUMMARY;*:Hi"), Ok(true));
        assert_eq!(has(ONE, "SUMMARY;X=1;*:Hi"), Ok(false));
        assert!(fits("A;B=1;C=2:x", "a;*;c=2:x") && !fits("A;B=1;C=2:x", "A;*;C=2:y"));
        assert_eq!(count(ONE, "VEVENT"), Ok(1));
    }
}
