//! Cutting recurring objects to a time range: CALDAV:expand (RFC 4791 §9.6.5), limit-recurrence-set
//! (RFC 4791 §9.6.6) and limit-freebusy-set (RFC 4791 §9.6.7).

use super::matching::Subject;
use crate::ical::values::PeriodEnd;
use crate::ical::{Component, Duration, Property, When, values};
use crate::recur::{Extent, Instance, Range, TooMuch};
use std::ops::ControlFlow;

/// Properties that an expanded component does not have. RFC 4791 §9.6.5
const RECURRENCE: [&str; 4] = ["RRULE", "RDATE", "EXDATE", "EXRULE"];

/// The calendar with one component for each instance in the range, times in UTC and no VTIMEZONE.
/// DATEs and floating times stay what they are. RFC 4791 §9.6.5
///
/// Each instance of a recurring component gets a RECURRENCE-ID, the first one too: RFC 4791 §9.6.5
/// exempts it, and clients that tell instances apart by RECURRENCE-ID need it.
pub fn expand(subject: &Subject<'_>, range: &Range) -> Result<Component, TooMuch> {
    let mains: Vec<&Component> = subject.mains().collect();
    let mut expanded = subject.calendar.without_components();
    let instances = subject
        .compiled
        .instances(*range, subject.floating, subject.limits)?;
    let mut patterns: Vec<Option<Component>> = mains.iter().map(|_| None).collect();
    for instance in &instances {
        let source = mains.get(instance.component).copied();
        if let (Some(source), Some(pattern)) = (source, patterns.get_mut(instance.component)) {
            let pattern = pattern.get_or_insert_with(|| pattern_of(source, subject));
            expanded.push_component(one_instance(pattern, instance, subject));
        }
    }
    Ok(expanded)
}

/// What all instances of a component have in common.
fn pattern_of(source: &Component, subject: &Subject<'_>) -> Component {
    let mut pattern = source.clone();
    pattern.retain_properties(|property| !RECURRENCE.iter().any(|name| property.is(name)));
    times_in_utc(&mut pattern, subject);
    pattern
}

fn one_instance(pattern: &Component, instance: &Instance, subject: &Subject<'_>) -> Component {
    let mut component = pattern.clone();
    let start = instance.start.as_ref().map(|start| in_utc(start, subject));
    let end = instance.end.as_ref().map(|end| in_utc(end, subject));
    if let Some(id) = &instance.id {
        let same = start
            .as_ref()
            .filter(|_| instance.start.as_ref() == Some(id));
        let id = same.cloned().unwrap_or_else(|| in_utc(id, subject));
        component.set(Property::when_value("RECURRENCE-ID", &id));
    }
    set_time(&mut component, "DTSTART", start.as_ref());
    set_time(&mut component, "DTEND", end.as_ref());
    set_time(&mut component, "DUE", end.as_ref());
    exact_duration(&mut component, instance, subject);
    component
}

/// Sets the time of an instance where its component writes one.
fn set_time(component: &mut Component, name: &str, when: Option<&When>) {
    if let (Some(property), Some(when)) = (component.property_mut(name), when) {
        property.set_when(when);
    }
}

/// A DURATION in days has another length in UTC where a change of offset falls into it.
fn exact_duration(component: &mut Component, instance: &Instance, subject: &Subject<'_>) {
    let (Some(start), Some(end)) = (&instance.start, &instance.end) else {
        return;
    };
    let zoned = matches!(start, When::Zoned(..));
    if let Some(property) = component.property_mut("DURATION").filter(|_| zoned) {
        let exact = subject.instant(end).0 - subject.instant(start).0;
        let written = values::duration(property).map(|d| d.nominal_seconds());
        if written != Some(exact) {
            property.set_value(&Duration::of_seconds(exact).to_string());
        }
    }
}

fn in_utc(when: &When, subject: &Subject<'_>) -> When {
    match when {
        When::Zoned(..) => When::Utc(subject.instant(when)),
        When::Date(_) | When::Floating(_) | When::Utc(_) => when.clone(),
    }
}

/// Turns every time that names a zone into UTC. RFC 4791 §9.6.5
fn times_in_utc(component: &mut Component, subject: &Subject<'_>) {
    for property in component.all_properties_mut() {
        if property.param("TZID").is_some()
            && let Some(when) = values::when(property)
        {
            property.set_when(&in_utc(&when, subject));
        }
    }
    for inner in component.all_components_mut() {
        times_in_utc(inner, subject);
    }
}

/// The calendar without the overrides that do not touch the range. RFC 4791 §9.6.6
pub fn limit_recurrence(subject: &Subject<'_>, range: &Range) -> Result<Component, TooMuch> {
    let mut kept = Vec::new();
    for (index, component) in subject.mains().enumerate() {
        kept.push(impacts(component, index, range, subject)?);
    }
    let mut limited = subject.calendar.clone();
    let mut kept = kept.into_iter();
    limited.retain_components(|c| !subject.is_main(c) || kept.next().unwrap_or(true));
    Ok(limited)
}

/// Whether a component is a master, or an override that now or originally touches the range.
fn impacts(
    component: &Component,
    index: usize,
    range: &Range,
    subject: &Subject<'_>,
) -> Result<bool, TooMuch> {
    let Some(id) = component.property("RECURRENCE-ID") else {
        return Ok(true);
    };
    let from = values::when(id).map(|when| subject.instant(&when));
    if id.param("RANGE").is_some() {
        // It changes every later instance, so it matters as soon as it stands before the end.
        return Ok(from.is_none_or(|from| from < range.end));
    }
    let length = original_length(subject)?;
    if from.is_some_and(|from| Extent::span(from, from.add_seconds(length)).overlaps(range)) {
        return Ok(true);
    }
    let mut now = false;
    let mut seen = |_: &Instance| {
        now = true;
        ControlFlow::Break(())
    };
    let query = subject.query(index, range);
    subject.compiled.visit(&query, subject.limits, &mut seen)?;
    Ok(now)
}

/// How long an instance is that nothing overrides, in seconds.
fn original_length(subject: &Subject<'_>) -> Result<i64, TooMuch> {
    let master = subject
        .mains()
        .position(|component| component.property("RECURRENCE-ID").is_none());
    let Some(master) = master else {
        return Ok(0);
    };
    let mut length = 0;
    let query = subject.query(master, &Range::ALL);
    subject
        .compiled
        .visit(&query, subject.limits, &mut |instance| {
            length = instance.to.0.saturating_sub(instance.from.0);
            ControlFlow::Break(())
        })?;
    Ok(length)
}

/// Leaves in each VFREEBUSY the FREEBUSY periods that touch the range. RFC 4791 §9.6.7
pub fn limit_busy(calendar: &mut Component, subject: &Subject<'_>, range: &Range) {
    for component in calendar.components_mut("VFREEBUSY") {
        for property in component.properties_mut("FREEBUSY") {
            let kept: Vec<&str> = property
                .value()
                .split(',')
                .filter(|period| touches(period, subject, range))
                .collect();
            let kept = kept.join(",");
            property.set_value(&kept);
        }
        component.retain_properties(|p| !p.is("FREEBUSY") || !p.value().is_empty());
    }
}

/// Whether a written period overlaps the range; one that cannot be read stays.
fn touches(period: &str, subject: &Subject<'_>, range: &Range) -> bool {
    let periods = values::periods(&Property::new("FREEBUSY", period));
    periods.first().is_none_or(|period| {
        let start = subject.instant(&period.start);
        let end = match &period.end {
            PeriodEnd::At(end) => subject.instant(end),
            PeriodEnd::For(length) => start.add_seconds(length.nominal_seconds()),
        };
        Extent::span(start, end).overlaps(range)
    })
}
