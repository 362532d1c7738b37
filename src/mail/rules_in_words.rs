//! How often a meeting takes place, in words (RFC 5545 §3.3.10).
//!
//! **Gaps**: a rule that mixes what people do not say in one sentence (BYSETPOS over several weekdays,
//! BYWEEKNO, BYYEARDAY, other calendars) is not put into words; its next dates are listed instead.

use super::words::Words;
use crate::ical::{Component, Date, Timestamp, Weekday, When, values};
use crate::recur::{ByDay, Freq, Limits, Query, Range, Rule, Zone, compile};
use std::ops::ControlFlow;

/// Dates that are listed one by one.
const LISTED: usize = 5;

/// How often the component of this calendar without RECURRENCE-ID takes place; none if it does so once.
#[must_use]
pub fn repeats(words: &Words, calendar: &Component, now: Timestamp) -> Option<String> {
    let master = calendar
        .all_components()
        .filter(|c| c.is("VEVENT") || c.is("VTODO"))
        .find(|c| c.property("RECURRENCE-ID").is_none())?;
    let start = master
        .property("DTSTART")
        .or_else(|| master.property("DUE"))
        .and_then(values::when)?;
    let rules: Vec<_> = master.properties("RRULE").collect();
    let dates = master.properties("RDATE").flat_map(values::whens);
    let dates: Vec<String> = dates.map(|date| words.date(date.date())).collect();
    let said = match rules.as_slice() {
        [] if dates.is_empty() => return None,
        [] => {
            let mut all = vec![words.date(start.date())];
            all.extend(dates);
            let dates = words.short_list(&all, LISTED);
            return Some(words.say("rule.only-dates", &[("dates", &dates)]));
        }
        [rule] => Rule::parse(rule.value())
            .ok()
            .and_then(|(rule, _)| say(words, &rule, &start)),
        [_, _, ..] => None,
    };
    let Some(said) = said else {
        let next = next(words, calendar, now);
        return Some(words.say("rule.other", &[("dates", &next)]));
    };
    if dates.is_empty() {
        return Some(said);
    }
    let dates = words.short_list(&dates, LISTED);
    Some(words.say("rule.dates", &[("rule", &said), ("dates", &dates)]))
}

/// The next dates of a calendar's meeting.
fn next(words: &Words, calendar: &Component, now: Timestamp) -> String {
    let mut found = Vec::new();
    let floating = Zone::utc();
    let Some(range) = Range::new(now, now.add_seconds(10 * 366 * 86_400)) else {
        return String::new();
    };
    let query = Query {
        range,
        floating: &floating,
        component: None,
    };
    let seen = compile(calendar).visit(&query, &Limits::default(), &mut |instance| {
        found.extend(instance.start.as_ref().map(|s| words.date(s.date())));
        match found.len() < LISTED {
            true => ControlFlow::Continue(()),
            false => ControlFlow::Break(()),
        }
    });
    match seen {
        Ok(()) => words.list(&found),
        Err(_) => String::new(),
    }
}

/// A rule in words; none if it says more than a sentence does.
fn say(words: &Words, rule: &Rule, start: &When) -> Option<String> {
    let odd = !rule.seconds.is_empty()
        || !rule.minutes.is_empty()
        || !rule.hours.is_empty()
        || !rule.year_days.is_empty()
        || !rule.weeks.is_empty()
        || rule.scale.is_some()
        || rule.months.iter().any(|month| month.leap);
    if odd {
        return None;
    }
    let day = start.date();
    let said = match rule.freq {
        Freq::Secondly => return None,
        Freq::Minutely if plain(rule) => every(words, "rule.minutely", rule, &[]),
        Freq::Hourly if plain(rule) => every(words, "rule.hourly", rule, &[]),
        Freq::Daily if plain(rule) => every(words, "rule.daily", rule, &[]),
        // Every day, if it is one of these: every week on these.
        Freq::Daily if rule.interval == 1 => weekly(words, rule, day)?,
        Freq::Weekly => weekly(words, rule, day)?,
        Freq::Monthly if rule.months.is_empty() => {
            let on = in_month(words, rule, day)?;
            every(words, "rule.monthly", rule, &[("on", &on)])
        }
        Freq::Yearly => {
            let on = in_year(words, rule, day)?;
            every(words, "rule.yearly", rule, &[("on", &on)])
        }
        Freq::Minutely | Freq::Hourly | Freq::Daily | Freq::Monthly => return None,
    };
    Some(bounded(words, said, rule, start))
}

/// Whether a rule has no parts that choose.
fn plain(rule: &Rule) -> bool {
    rule.days.is_empty()
        && rule.month_days.is_empty()
        && rule.months.is_empty()
        && rule.set_positions.is_empty()
}

/// `key`, or for an interval above one `key.n`.
fn every(words: &Words, key: &str, rule: &Rule, places: &[(&str, &str)]) -> String {
    match rule.interval {
        1 => words.say(key, places),
        n => words.count(&format!("{key}.n"), n, places),
    }
}

fn bounded(words: &Words, said: String, rule: &Rule, start: &When) -> String {
    if let Some(count) = rule.count {
        return words.count("rule.count", count, &[("rule", &said)]);
    }
    let Some(until) = &rule.until else {
        return said;
    };
    // UNTIL is an instant where the start has a zone, and a day in that zone is meant.
    let zone = start.tzid().and_then(Zone::of_tzid);
    let last = match (until, zone) {
        (When::Utc(instant), Some(zone)) => zone.local(*instant).date(),
        (until, _) => until.date(),
    };
    let last = words.date(last);
    words.say("rule.until", &[("rule", &said), ("date", &last)])
}

const WORKDAYS: [Weekday; 5] = [
    Weekday::Monday,
    Weekday::Tuesday,
    Weekday::Wednesday,
    Weekday::Thursday,
    Weekday::Friday,
];

/// Whether these are Monday to Friday, every one of them.
fn are_workdays(days: &[ByDay]) -> bool {
    days.len() == WORKDAYS.len()
        && WORKDAYS
            .iter()
            .all(|day| days.iter().any(|by| by.ordinal == 0 && by.weekday == *day))
}

fn weekly(words: &Words, rule: &Rule, day: Date) -> Option<String> {
    let odd = !rule.month_days.is_empty()
        || !rule.months.is_empty()
        || !rule.set_positions.is_empty()
        || rule.days.iter().any(|by| by.ordinal != 0);
    if odd {
        return None;
    }
    if are_workdays(&rule.days) && rule.interval == 1 {
        return Some(words.text("rule.workdays").to_owned());
    }
    let each = |day| words.weekday("weekdays.each", day).to_owned();
    let mut days: Vec<Weekday> = rule.days.iter().map(|by| by.weekday).collect();
    days.sort_by_key(|day| day.number());
    let mut days: Vec<String> = days.into_iter().map(each).collect();
    if days.is_empty() {
        days.push(each(day.weekday()));
    }
    let days = words.list(&days);
    Some(every(words, "rule.weekly", rule, &[("days", &days)]))
}

/// Which days of a month.
fn in_month(words: &Words, rule: &Rule, day: Date) -> Option<String> {
    if rule.days.is_empty() {
        if !rule.set_positions.is_empty() {
            return None;
        }
        return days_of_month(words, &rule.month_days, day);
    }
    if !rule.month_days.is_empty() {
        return None;
    }
    let (ordinal, weekday) = nth(rule)?;
    let Some(weekday) = weekday else {
        let ordinal = place(ordinal).map(|place| words.item("ordinals.m", place))?;
        return Some(words.say("on.nth-workday", &[("ordinal", ordinal)]));
    };
    let (ordinal, weekday) = nth_words(words, ordinal, weekday)?;
    let places = [("ordinal", ordinal), ("weekday", weekday)];
    Some(words.say("on.nth", &places))
}

/// Days of a month by number; the last day is the only one counted from the end that people say.
fn days_of_month(words: &Words, days: &[i16], day: Date) -> Option<String> {
    let numbers = match days {
        [] => vec![i16::from(day.day())],
        [-1] => return Some(words.text("on.last-day").to_owned()),
        days if days.iter().all(|day| *day > 0) => days.to_vec(),
        _ => return None,
    };
    let number = |day: &i16| words.say("on.day", &[("n", &words.day(*day))]);
    let numbers: Vec<String> = numbers.iter().map(number).collect();
    let days = words.list(&numbers);
    Some(words.say("on.days", &[("days", &days)]))
}

/// Which days of a year.
fn in_year(words: &Words, rule: &Rule, day: Date) -> Option<String> {
    let month = match rule.months.as_slice() {
        [] => None,
        [month] => Some(month.number),
        [_, _, ..] => return None,
    };
    if rule.days.is_empty() {
        if !rule.set_positions.is_empty() {
            return None;
        }
        let number = match (rule.month_days.as_slice(), month) {
            ([], _) => day.day(),
            ([number], Some(_)) => u8::try_from(*number).ok()?,
            _ => return None,
        };
        // A leap year, so that 29 February is a day of it.
        let date = Date::new(2000, month.unwrap_or(day.month()), number)?;
        let date = words.day_of_year(date);
        return Some(words.say("on.date", &[("date", &date)]));
    }
    if !rule.month_days.is_empty() {
        return None;
    }
    let month = words.month("months.of", month?);
    let (ordinal, weekday) = nth(rule)?;
    let (ordinal, weekday) = nth_words(words, ordinal, weekday?)?;
    let places = [("ordinal", ordinal), ("weekday", weekday), ("month", month)];
    Some(words.say("on.nth-of-month", &places))
}

/// The one day that BYDAY, or BYDAY with BYSETPOS, chooses; no weekday stands for Monday to Friday.
fn nth(rule: &Rule) -> Option<(i16, Option<Weekday>)> {
    match (rule.days.as_slice(), rule.set_positions.as_slice()) {
        ([by], []) if by.ordinal != 0 => Some((by.ordinal, Some(by.weekday))),
        ([by], [position]) if by.ordinal == 0 => Some((*position, Some(by.weekday))),
        (days, [position]) if are_workdays(days) => Some((*position, None)),
        _ => None,
    }
}

/// Where an ordinal stands in the lists of ordinals.
fn place(ordinal: i16) -> Option<usize> {
    match ordinal {
        1..=5 => usize::try_from(ordinal - 1).ok(),
        -1 => Some(5),
        -2 => Some(6),
        _ => None,
    }
}

fn nth_words(
    words: &Words,
    ordinal: i16,
    weekday: Weekday,
) -> Option<(&'static str, &'static str)> {
    let list = match words.weekday("genders", weekday) {
        "f" => "ordinals.f",
        _ => "ordinals.m",
    };
    let ordinal = words.item(list, place(ordinal)?);
    Some((ordinal, words.weekday("weekdays.nth", weekday)))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ical::{Limits as Bounds, parse};

    fn said(code: &str, properties: &str) -> String {
        let text = format!(
            "BEGIN:VCALENDAR\r\nBEGIN:VEVENT\r\nDTSTART;TZID=Europe/Vienna:20261124T090000\r\n{}\
             END:VEVENT\r\nEND:VCALENDAR\r\n",
            properties
                .split_whitespace()
                .map(|line| format!("{line}\r\n"))
                .collect::<String>()
        );
        let calendar = parse(text.as_bytes(), &Bounds::default()).calendars;
        let words = Words::of(code).unwrap();
        let now = Timestamp::parse("20261120T000000Z").unwrap();
        repeats(words, &calendar[0], now).unwrap_or_default()
    }

    #[test]
    fn rules_are_said_as_people_say_them() {
        let cases = include_str!("../../testdata/mail/rules.txt");
        let mut checked = 0;
        for block in cases.split("\n\n") {
            let mut lines = block.lines().filter(|line| !line.starts_with('#'));
            let Some(properties) = lines.next() else {
                continue;
            };
            for line in lines {
                let (code, expected) = line.split_once(": ").unwrap();
                assert_eq!(said(code, properties), expected, "{properties}");
                checked += 1;
            }
        }
        assert!(checked > 40, "{checked}");
    }
}
