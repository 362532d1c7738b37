//! How rooms and other resources answer: by what their principal says of bookings, for each occurrence (RFC 6638 §4.2 of
//! what then follows).
//!
//! The answer is given inside the delivery's commit, from the bookings in the room's own home at that revision: of two
//! that race, the second is delivered against the first. Only what waits for an answer is answered; what somebody in charge
//! answered by hand stays until the organizer asks again.
//!
//! **Gaps**: of a series without an end the first two years are looked at. Two such series that collide only later are both
//! accepted.

use crate::ical::{Component, Timestamp};
use crate::itip::{Addresses, Key, Meeting, unanswered};
use crate::recur::{self, BusyPeriod, Instance, Query, Range, Zone, compile};
use crate::store::{Booking, BookingAnswer};
use std::collections::BTreeMap;
use std::ops::ControlFlow;

/// How far a series is looked at.
const HORIZON_DAYS: i64 = 2 * 366;

/// Occurrences of one series that are declined one by one; with more of them the series is declined.
const DECLINED_ONE_BY_ONE: usize = 50;

const DAY: i64 = 24 * 60 * 60;

/// What a room is when it is asked.
pub(super) struct Room<'a> {
    /// How it is booked.
    pub(super) booking: &'a Booking,
    /// Whether the organizer may book it.
    pub(super) may_book: bool,
    /// Its other bookings, one by one.
    pub(super) taken: Vec<BusyPeriod>,
    /// When it is closed.
    pub(super) closed: Vec<BusyPeriod>,
    /// Now.
    pub(super) now: Timestamp,
}

/// What a room is asked for.
pub(super) struct Asked {
    instances: Vec<Instance>,
    endless: bool,
    /// The time of which the room's other bookings count.
    pub(super) range: Range,
}

/// The occurrences of a meeting that are not over; none if they are too many to look at.
pub(super) fn asked(
    object: &Component,
    now: Timestamp,
    floating: &Zone,
    limits: &recur::Limits,
) -> Option<Asked> {
    let compiled = compile(object);
    let mut range = Range {
        start: now,
        ..Range::ALL
    };
    let endless = compiled.is_endless();
    if endless {
        let mut first = now;
        let query = Query {
            range,
            floating,
            component: None,
        };
        let found = compiled.visit(&query, limits, &mut |instance| {
            first = first.max(instance.from);
            ControlFlow::Break(())
        });
        found.ok()?;
        range.end = Timestamp(first.0.saturating_add(HORIZON_DAYS * DAY));
    }
    let instances = compiled.instances(range, floating, limits).ok()?;
    let last = instances.iter().map(|instance| instance.to).max();
    range.end = last.unwrap_or(now);
    Some(Asked {
        instances,
        endless,
        range,
    })
}

/// The answers to what waits for one; `None` is the series or the only instance. RFC 5545 §3.2.12
pub(super) fn answers(
    object: &Component,
    who: &Addresses,
    asked: Option<&Asked>,
    room: &Room<'_>,
) -> BTreeMap<Option<Key>, &'static str> {
    let waiting = unanswered(object, who);
    let all = |answer: &'static str| waiting.iter().map(|key| (*key, answer)).collect();
    if !room.may_book || room.booking.answer == BookingAnswer::Never {
        return all(DECLINED);
    }
    let (Some(meeting), Some(asked)) = (Meeting::read(object), asked) else {
        return all(DECLINED);
    };
    let mut series = Tally {
        forbidden: asked.endless && room.booking.window_days.is_some(),
        ..Tally::default()
    };
    let mut answers = BTreeMap::new();
    for instance in &asked.instances {
        let key = instance.id.as_ref().map(|id| meeting.key(id));
        let verdict = room.verdict(instance);
        let own = key.is_some_and(|key| meeting.overrides.contains_key(&key));
        if !own {
            series.count(key, verdict);
        } else if waiting.contains(&key) {
            answers.extend(room.answer(verdict).map(|answer| (key, answer)));
        }
    }
    if waiting.contains(&None) {
        room.answer_series(&series, &mut answers);
    }
    answers
}

const ACCEPTED: &str = "ACCEPTED";
const DECLINED: &str = "DECLINED";

/// How one occurrence fits.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Verdict {
    /// It does.
    Fits,
    /// The room is taken or closed then.
    Taken,
    /// It may not be booked so.
    Forbidden,
}

/// How the occurrences of a series fit that have no component of their own.
#[derive(Default)]
struct Tally {
    fit: usize,
    taken: Vec<Option<Key>>,
    forbidden: bool,
}

impl Tally {
    fn count(&mut self, key: Option<Key>, verdict: Verdict) {
        match verdict {
            Verdict::Fits => self.fit += 1,
            Verdict::Taken => self.taken.push(key),
            Verdict::Forbidden => self.forbidden = true,
        }
    }
}

impl Room<'_> {
    fn verdict(&self, instance: &Instance) -> Verdict {
        let (from, to) = (instance.from.0, instance.to.0);
        let beyond = |days: u32| from > self.now.0.saturating_add(i64::from(days) * DAY);
        let too_long = |minutes: u32| to - from > i64::from(minutes) * 60;
        if self.booking.window_days.is_some_and(beyond)
            || self.booking.longest_minutes.is_some_and(too_long)
        {
            return Verdict::Forbidden;
        }
        if self.booking.answer == BookingAnswer::Always {
            return Verdict::Fits;
        }
        let overlaps = |period: &&BusyPeriod| period.start.0 < to && from < period.end.0;
        let closed = self.closed.iter().any(|period| overlaps(&period));
        let taken: Vec<&BusyPeriod> = self.taken.iter().filter(overlaps).collect();
        if closed || most_at_once(&taken) >= self.booking.capacity as usize {
            Verdict::Taken
        } else {
            Verdict::Fits
        }
    }

    fn answer(&self, verdict: Verdict) -> Option<&'static str> {
        match (verdict, self.booking.answer) {
            (Verdict::Forbidden, _) => Some(DECLINED),
            (_, BookingAnswer::ByHand) => None,
            (Verdict::Taken, _) => Some(DECLINED),
            (Verdict::Fits, _) => Some(ACCEPTED),
        }
    }

    /// A series that fits but for a few occurrences is accepted without these.
    fn answer_series(&self, series: &Tally, answers: &mut BTreeMap<Option<Key>, &'static str>) {
        let by_hand = self.booking.answer == BookingAnswer::ByHand;
        if series.forbidden {
            answers.insert(None, DECLINED);
            return;
        }
        if by_hand {
            return;
        }
        let few = series.taken.len() <= DECLINED_ONE_BY_ONE && series.taken.len() < series.fit;
        let single = series.taken.contains(&None);
        if series.taken.is_empty() || few && !single {
            answers.insert(None, ACCEPTED);
            answers.extend(series.taken.iter().map(|key| (*key, DECLINED)));
        } else {
            answers.insert(None, DECLINED);
        }
    }
}

/// How many of these periods there are at one time, at most.
fn most_at_once(periods: &[&BusyPeriod]) -> usize {
    let mut edges: Vec<(i64, i32)> = Vec::with_capacity(periods.len() * 2);
    for period in periods {
        edges.push((period.start.0, 1));
        edges.push((period.end.0, -1));
    }
    // One that ends when another begins makes place for it.
    edges.sort_unstable();
    let (mut now, mut most) = (0, 0);
    for (_, step) in edges {
        now += step;
        most = most.max(now);
    }
    usize::try_from(most).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ical::parse;
    use crate::recur::{FbType, Limits};

    const LIMITS: Limits = Limits {
        instances: 5_000,
        work: 1_000_000,
    };

    fn busy(start: &str, end: &str) -> BusyPeriod {
        BusyPeriod {
            start: Timestamp::parse(start).unwrap(),
            end: Timestamp::parse(end).unwrap(),
            kind: FbType::Busy,
        }
    }

    /// `-` for a series or single event, else the start of an occurrence: `- ACCEPTED 20260912T100000Z DECLINED`.
    fn check(event: &str, booking: &Booking, taken: &[BusyPeriod], expected: &str) {
        let text = format!(
            "BEGIN:VCALENDAR\r\nVERSION:2.0\r\nBEGIN:VEVENT\r\nUID:1\r\n{event}\r\nORGANIZER:mailto:a@b\r\nATTENDEE:mailto:room@b\r\nEND:VEVENT\r\nEND:VCALENDAR\r\n"
        );
        let parsed = parse(text.as_bytes(), &crate::ical::Limits::default());
        let object = parsed.calendars.first().unwrap();
        let who = Addresses::new(["mailto:room@b"]);
        let floating = Zone::utc();
        let room = Room {
            booking,
            may_book: true,
            taken: taken.to_vec(),
            closed: Vec::new(),
            now: Timestamp::parse("20260901T000000Z").unwrap(),
        };
        let asked = asked(object, room.now, &floating, &LIMITS);
        let given: Vec<String> = answers(object, &who, asked.as_ref(), &room)
            .into_iter()
            .map(|(key, answer)| match key {
                None => format!("- {answer}"),
                Some(Key::At(at)) => format!("{at} {answer}"),
                Some(other) => format!("{other:?} {answer}"),
            })
            .collect();
        assert_eq!(given.join(" "), expected, "{event} {booking:?}");
    }

    #[test]
    fn a_room_answers_as_it_is_told() {
        let with = |answer| Booking {
            answer,
            ..Booking::default()
        };
        let free = with(BookingAnswer::WhenFree);
        let one = "DTSTART:20260910T100000Z\r\nDTEND:20260910T110000Z";
        let taken = [busy("20260910T103000Z", "20260910T120000Z")];
        check(one, &free, &[], "- ACCEPTED");
        check(one, &free, &taken, "- DECLINED");
        let after = [busy("20260910T110000Z", "20260910T120000Z")];
        check(one, &free, &after, "- ACCEPTED");
        check(one, &with(BookingAnswer::Always), &taken, "- ACCEPTED");
        check(one, &with(BookingAnswer::Never), &[], "- DECLINED");
        check(one, &with(BookingAnswer::ByHand), &[], "");
    }

    #[test]
    fn what_may_not_be_booked_is_declined_whoever_answers() {
        let one = "DTSTART:20260910T100000Z\r\nDTEND:20260910T110000Z";
        for answer in [BookingAnswer::ByHand, BookingAnswer::Always] {
            let short = Booking {
                answer,
                longest_minutes: Some(30),
                ..Booking::default()
            };
            check(one, &short, &[], "- DECLINED");
            let soon = Booking {
                answer,
                window_days: Some(5),
                ..Booking::default()
            };
            check(one, &soon, &[], "- DECLINED");
        }
        let window = Booking {
            window_days: Some(30),
            ..Booking::default()
        };
        check(one, &window, &[], "- ACCEPTED");
        let endless = format!("{one}\r\nRRULE:FREQ=DAILY");
        check(&endless, &window, &[], "- DECLINED");
        check(&endless, &Booking::default(), &[], "- ACCEPTED");
    }

    #[test]
    fn a_series_is_answered_occurrence_by_occurrence() {
        let series =
            "DTSTART:20260910T100000Z\r\nDTEND:20260910T110000Z\r\nRRULE:FREQ=DAILY;COUNT=5";
        let free = Booking::default();
        let one = [busy("20260912T093000Z", "20260912T103000Z")];
        let expected = "- ACCEPTED 20260912T100000Z DECLINED";
        check(series, &free, &one, expected);
        let most = [busy("20260910T000000Z", "20260913T000000Z")];
        check(series, &free, &most, "- DECLINED");
    }

    #[test]
    fn a_resource_takes_as_many_bookings_as_there_are_of_it() {
        let one = "DTSTART:20260910T100000Z\r\nDTEND:20260910T120000Z";
        let two = Booking {
            capacity: 2,
            ..Booking::default()
        };
        let in_turn = [
            busy("20260910T100000Z", "20260910T110000Z"),
            busy("20260910T110000Z", "20260910T120000Z"),
        ];
        check(one, &two, &in_turn, "- ACCEPTED");
        let at_once = [
            busy("20260910T100000Z", "20260910T113000Z"),
            busy("20260910T110000Z", "20260910T120000Z"),
        ];
        check(one, &two, &at_once, "- DECLINED");
    }
}
