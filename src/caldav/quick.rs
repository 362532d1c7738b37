//! What the index can say about a filter, so that most objects are answered without their text.
//!
//! A filter is decided in three values: yes and no are certain, maybe wants the exact test of
//! `matching`. And a filter has a window: a kind of component and a time range outside of which
//! nothing can match.

use super::filter::{
    CompFilter, CompMatch, CompTest, Filter, Join, PropFilter, PropTest, ValueTest,
};
use crate::recur::{Range, Verdict};

/// What is known of an object without its text.
pub struct Facts<'a> {
    /// The name of its main components, where it is known.
    pub component: Option<&'a str>,
    /// The UID they share.
    pub uid: &'a str,
    /// Whether an instance overlaps a range.
    pub overlaps: &'a dyn Fn(&Range) -> Verdict,
    /// Whether an alarm goes off in a range.
    pub alarms: &'a dyn Fn(&Range) -> Verdict,
}

/// What every match of a filter has in common.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct Window {
    /// The name of its components.
    pub component: Option<String>,
    /// A range that one of its instances overlaps.
    pub range: Option<Range>,
}

/// Whether an object of which only this is known matches the filter.
pub fn decide(filter: &Filter, facts: &Facts<'_>) -> Verdict {
    match &filter.calendar.test {
        CompTest::Absent => Verdict::No,
        CompTest::Present(test) => {
            let props = test.props.iter().map(|_| Verdict::Maybe);
            let comps = test.comps.iter().map(|f| main(f, facts));
            joined(test.join, props.chain(comps))
        }
    }
}

/// The window of a filter. RFC 4791 §9.7.1
pub fn window(filter: &Filter) -> Window {
    let CompTest::Present(calendar) = &filter.calendar.test else {
        return Window::default();
    };
    let alone = calendar.join == Join::All || calendar.comps.len() + calendar.props.len() == 1;
    let needed = calendar.comps.iter().filter(|_| alone);
    let mut mains = needed.filter_map(|f| match &f.test {
        CompTest::Present(test) if f.name != "*" && f.name != "VTIMEZONE" => Some((f, test)),
        _ => None,
    });
    match mains.next() {
        Some((f, test)) => Window {
            component: Some(f.name.clone()),
            range: test.range.filter(|_| needs_range(test)),
        },
        None => Window::default(),
    }
}

fn needs_range(test: &CompMatch) -> bool {
    test.join == Join::All || test.props.len() + test.comps.len() == 0
}

fn joined(join: Join, verdicts: impl Iterator<Item = Verdict>) -> Verdict {
    let mut verdicts = verdicts.peekable();
    if verdicts.peek().is_none() {
        return Verdict::Yes;
    }
    let (decisive, neutral) = match join {
        Join::All => (Verdict::No, Verdict::Yes),
        Join::Any => (Verdict::Yes, Verdict::No),
    };
    let mut joined = neutral;
    for verdict in verdicts {
        if verdict == decisive {
            return decisive;
        }
        if verdict == Verdict::Maybe {
            joined = Verdict::Maybe;
        }
    }
    joined
}

/// A comp-filter in that of the VCALENDAR.
fn main(filter: &CompFilter, facts: &Facts<'_>) -> Verdict {
    let Some(component) = facts.component else {
        return Verdict::Maybe;
    };
    if filter.name == "VTIMEZONE" {
        return Verdict::Maybe;
    }
    let named = filter.name == "*" || filter.name == component;
    match &filter.test {
        CompTest::Absent if named => Verdict::No,
        CompTest::Absent => Verdict::Yes,
        CompTest::Present(_) if !named => Verdict::No,
        // A VTIMEZONE matches `*` too, whatever the object's own component does.
        CompTest::Present(test) => match main_matches(test, facts) {
            Verdict::No if filter.name == "*" => Verdict::Maybe,
            verdict => verdict,
        },
    }
}

/// What is true of every component of an object may be joined; a range is true of one of them, so
/// that beside something undecided it leaves the whole undecided.
fn main_matches(test: &CompMatch, facts: &Facts<'_>) -> Verdict {
    let range = test.range.iter().map(|range| (facts.overlaps)(range));
    let props = test.props.iter().map(|f| property(f, facts));
    let comps = test.comps.iter().map(|f| inner(f, facts));
    joined(test.join, range.chain(props).chain(comps))
}

fn property(filter: &PropFilter, facts: &Facts<'_>) -> Verdict {
    match &filter.test {
        PropTest::Present {
            value: Some(ValueTest::Text(text)),
            params,
            ..
        } if filter.name == "UID" && params.is_empty() => verdict(text.matches([facts.uid])),
        _ => Verdict::Maybe,
    }
}

/// An alarm filter that asks for nothing but a range says no where no alarm can go off.
fn inner(filter: &CompFilter, facts: &Facts<'_>) -> Verdict {
    match &filter.test {
        CompTest::Present(test) if filter.name == "VALARM" && needs_range(test) => {
            match test.range.map(|range| (facts.alarms)(&range)) {
                Some(Verdict::No) => Verdict::No,
                _ => Verdict::Maybe,
            }
        }
        _ => Verdict::Maybe,
    }
}

fn verdict(certain: bool) -> Verdict {
    if certain { Verdict::Yes } else { Verdict::No }
}
