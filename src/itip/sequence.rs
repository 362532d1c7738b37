//! SEQUENCE and the reset of participation: which changes are a reschedule (RFC 5546 §2.1.4, RFC 6638 §3.2.5, §3.2.8).

use super::meeting::{self, Key, Meeting};
use super::view;
use crate::ical::{Component, LocalTime, Property, values};
use crate::recur::{Last, Limits, Rule, Series};
use std::collections::BTreeSet;

/// What a change means for those who answered.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Step {
    /// SEQUENCE stays.
    Stay,
    /// SEQUENCE moves; answers hold, because instances were only lost.
    Revise,
    /// SEQUENCE moves and everybody is asked again.
    Reschedule,
}

/// What the change from one component to the other means; both may be of the same instance or the same series.
pub(super) fn step(
    (old_meeting, old): (&Meeting<'_>, &Component),
    (new_meeting, new): (&Meeting<'_>, &Component),
    limits: &Limits,
) -> Step {
    if moved((old_meeting, old), (new_meeting, new)) {
        return Step::Reschedule;
    }
    let status = if text(old, "STATUS") == text(new, "STATUS") {
        Step::Stay
    } else {
        Step::Revise
    };
    let dates = |meeting: &Meeting<'_>, component: &Component, name: &str| -> BTreeSet<Key> {
        let dates = component.properties(name).flat_map(values::whens);
        dates.map(|date| meeting.key(&date)).collect()
    };
    let set = |name: &str| (dates(old_meeting, old, name), dates(new_meeting, new, name));
    let (old_added, new_added) = set("RDATE");
    let (old_excluded, new_excluded) = set("EXDATE");
    [
        status,
        rule((old_meeting, old), (new_meeting, new), limits),
        lost(&old_added, &new_added),
        // Leaving out fewer instances gives some back.
        lost(&new_excluded, &old_excluded),
    ]
    .into_iter()
    .max()
    .unwrap_or(Step::Stay)
}

/// The same, whatever single instances are left out: each of those who take part has others taken out.
pub(super) fn step_of_series(
    (old_meeting, old): (&Meeting<'_>, &Component),
    (new_meeting, new): (&Meeting<'_>, &Component),
    limits: &Limits,
) -> Step {
    let (mut old, mut new) = (old.clone(), new.clone());
    old.remove("EXDATE");
    new.remove("EXDATE");
    step((old_meeting, &old), (new_meeting, &new), limits)
}

/// Whether start or length changed in meaning.
fn moved(
    (old_meeting, old): (&Meeting<'_>, &Component),
    (new_meeting, new): (&Meeting<'_>, &Component),
) -> bool {
    let (old_start, old_length) = view::times(old_meeting, old);
    let (new_start, new_length) = view::times(new_meeting, new);
    if old_length != new_length {
        return true;
    }
    match (old_start, new_start) {
        (Some(old_start), Some(new_start)) => {
            let same_day = old_start.is_date() == new_start.is_date();
            // A series in another zone has other instances later, even if the first is at the same instant.
            let same_zone = !meeting::recurs(new) || old_start.same_form(&new_start);
            let same_time = if old_start.same_form(&new_start) {
                old_start.local() == new_start.local()
            } else {
                old_meeting.instant(&old_start) == new_meeting.instant(&new_start)
            };
            !(same_day && same_zone && same_time)
        }
        (old_start, new_start) => old_start != new_start,
    }
}

/// Of two sets of instances, whether the second lost some of the first (revise) or has others (reschedule).
fn lost(old: &BTreeSet<Key>, new: &BTreeSet<Key>) -> Step {
    if old == new {
        Step::Stay
    } else if new.is_subset(old) {
        Step::Revise
    } else {
        Step::Reschedule
    }
}

fn text(component: &Component, name: &str) -> Option<String> {
    component
        .property(name)
        .map(|p| p.value().trim().to_ascii_uppercase())
}

/// What a changed RRULE means: a rule that only ends earlier, or has fewer days, loses instances.
fn rule(
    (old_meeting, old): (&Meeting<'_>, &Component),
    (new_meeting, new): (&Meeting<'_>, &Component),
    limits: &Limits,
) -> Step {
    match (old.property("RRULE"), new.property("RRULE")) {
        (None, None) => Step::Stay,
        (Some(_), None) => Step::Revise,
        (None, Some(_)) => Step::Reschedule,
        (Some(one), Some(two)) if one.value().eq_ignore_ascii_case(two.value()) => Step::Stay,
        (Some(one), Some(two)) => {
            shortened((old_meeting, old), (new_meeting, new), (one, two), limits)
        }
    }
}

fn shortened(
    (old_meeting, old): (&Meeting<'_>, &Component),
    (new_meeting, new): (&Meeting<'_>, &Component),
    (one, two): (&Property, &Property),
    limits: &Limits,
) -> Step {
    let (Ok((one, _)), Ok((two, _))) = (Rule::parse(one.value()), Rule::parse(two.value())) else {
        return Step::Reschedule;
    };
    let (Some(old_start), Some(start)) = (meeting::start(old), meeting::start(new)) else {
        return Step::Reschedule;
    };
    let endless = |rule: &Rule| Rule {
        count: None,
        until: None,
        ..rule.clone()
    };
    let same_days = endless(&one) == endless(&two);
    let old = old_meeting.series(&one, &old_start);
    let new = new_meeting.series(&two, &start);
    let (Ok(old_end), Ok(new_end)) = (old.last(limits), new.last(limits)) else {
        return Step::Reschedule;
    };
    let Some(horizon) = start.local().add_days(COMPARED_YEARS * 366) else {
        return Step::Reschedule;
    };
    match (old_end, new_end) {
        (old, new) if same_days && old == new => Step::Stay,
        (Last::Endless, Last::At(_)) if same_days => Step::Revise,
        (Last::At(old), Last::At(new)) if same_days && new < old => Step::Revise,
        (Last::At(_), Last::Endless) => Step::Reschedule,
        (Last::At(old), Last::At(new)) if new > old && old >= horizon => Step::Reschedule,
        _ => fewer((&old, &new), (start.local(), horizon), limits),
    }
}

/// Years in which two rules are compared instance by instance: a rule that repeats itself at all does so in them.
const COMPARED_YEARS: i64 = 12;

/// Whether another rule has all its instances from the old one: nobody is asked again for what only became less.
fn fewer(
    (old, new): (&Series, &Series),
    (start, end): (LocalTime, LocalTime),
    limits: &Limits,
) -> Step {
    let between = |series: &Series| series.between(start, end, limits);
    let (Ok(old), Ok(new)) = (between(old), between(new)) else {
        return Step::Reschedule;
    };
    let old: BTreeSet<LocalTime> = old.into_iter().collect();
    let new: BTreeSet<LocalTime> = new.into_iter().collect();
    if old == new {
        Step::Stay
    } else if new.is_subset(&old) {
        Step::Revise
    } else {
        Step::Reschedule
    }
}

/// The lowest SEQUENCE that follows on this one with such a step.
pub(super) fn least(old: u64, step: Step) -> u64 {
    match step {
        Step::Stay => old,
        Step::Revise | Step::Reschedule => old.saturating_add(1),
    }
}

/// Gives a component at least this SEQUENCE; a program may have moved it already, and it never goes back.
pub(super) fn raise(component: &mut Component, least: u64) {
    let given = meeting::sequence(component);
    let number = given.max(least);
    if number != given || (number > 0 && component.property("SEQUENCE").is_none()) {
        component.set(Property::new("SEQUENCE", &number.to_string()));
    }
}
