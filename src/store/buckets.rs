//! Which objects of a calendar may lie in a range of time: months with the objects that lie in them.
//!
//! Months are counted in each object's own local time, widened by two days on both sides, so that the
//! buckets hold whatever zone a floating time is read in and whatever zone data is new. Objects of
//! many months, among them those that repeat without end, are in one list by their first month. The
//! exact test is made on candidates only (RFC 4791 §9.9).

use crate::ical::LocalTime;
use crate::recur::{Month, Range, Summary};

use super::chunked::{Chunked, Place};

/// An object with more months than this is a long one.
const MONTHS: i32 = 12;

/// A day for zones, and one for objects whose own times are only known to a day.
const SLACK: i64 = 2 * 24 * 3600;

/// The objects of a calendar by the months they lie in.
#[derive(Clone, Debug)]
pub(super) struct Buckets {
    months: Chunked<Timed>,
    long: Chunked<Timed>,
}

/// The row with this number lies in this month, or, in the list of long ones, begins in it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
struct Timed {
    month: i32,
    slot: u32,
    /// It is the first month of that object.
    first: bool,
}

/// When an object is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Times {
    /// It has no time.
    Nowhere,
    /// It lies in these months.
    Months(i32, i32),
    /// It lies in many months, the first of which is this.
    Long(i32),
}

impl Times {
    /// The times of the object with this encoded summary; one that cannot be read may be anywhere.
    pub(super) fn of(summary: &[u8]) -> Self {
        let Some(summary) = Summary::decode(summary) else {
            return Self::Long(i32::MIN);
        };
        if summary.is_nowhere() {
            return Self::Nowhere;
        }
        let first = month(summary.first, -SLACK);
        let last = month(summary.last, SLACK);
        let (first, last) = (first.min(last), first.max(last));
        if last.saturating_sub(first) < MONTHS && first > i32::MIN {
            Self::Months(first, last)
        } else {
            Self::Long(first)
        }
    }
}

/// The month of a local time; without bounds where the time has none.
fn month(time: LocalTime, seconds: i64) -> i32 {
    if time == LocalTime::MIN {
        return i32::MIN;
    }
    if time == LocalTime::MAX {
        return i32::MAX;
    }
    Month::of(time.as_utc().add_seconds(seconds)).0
}

impl Buckets {
    /// The buckets of these rows.
    pub(super) fn collect(rows: impl Iterator<Item = (u32, Times)>) -> Self {
        let (mut months, mut long) = (Vec::new(), Vec::new());
        for (slot, times) in rows {
            match times {
                Times::Nowhere => {}
                Times::Months(first, last) => months.extend(timed(slot, first, last)),
                Times::Long(month) => long.push(Timed {
                    month,
                    slot,
                    first: true,
                }),
            }
        }
        months.sort_unstable();
        long.sort_unstable();
        Self {
            months: Chunked::from_sorted(&months),
            long: Chunked::from_sorted(&long),
        }
    }

    pub(super) fn insert(&mut self, slot: u32, times: Times) {
        match times {
            Times::Nowhere => {}
            Times::Months(first, last) => {
                for timed in timed(slot, first, last) {
                    insert(&mut self.months, timed);
                }
            }
            Times::Long(month) => insert(&mut self.long, long(slot, month)),
        }
    }

    pub(super) fn remove(&mut self, slot: u32, times: Times) {
        match times {
            Times::Nowhere => {}
            Times::Months(first, last) => {
                for timed in timed(slot, first, last) {
                    remove(&mut self.months, timed);
                }
            }
            Times::Long(month) => remove(&mut self.long, long(slot, month)),
        }
    }

    /// The rows that may lie in a range, each once.
    pub(super) fn candidates(&self, range: &Range) -> impl Iterator<Item = u32> + '_ {
        let (from, to) = (Month::of(range.start).0, Month::of(range.end).0);
        let place = place(
            &self.months,
            Timed {
                month: from,
                slot: 0,
                first: false,
            },
        );
        let short = self.months.iter_from(place);
        let short = short
            .take_while(move |timed| timed.month <= to)
            .filter(move |timed| timed.first || timed.month == from);
        let long = self.long.iter().take_while(move |timed| timed.month <= to);
        short.chain(long).map(|timed| timed.slot)
    }

    pub(super) fn size_bytes(&self) -> usize {
        self.months.size_bytes() + self.long.size_bytes()
    }
}

fn long(slot: u32, month: i32) -> Timed {
    Timed {
        month,
        slot,
        first: true,
    }
}

fn timed(slot: u32, first: i32, last: i32) -> impl Iterator<Item = Timed> {
    (first..=last).map(move |month| Timed {
        month,
        slot,
        first: month == first,
    })
}

fn place(list: &Chunked<Timed>, timed: Timed) -> Place {
    match list.find(|other| other.cmp(&timed)) {
        Ok(place) | Err(place) => place,
    }
}

fn insert(list: &mut Chunked<Timed>, timed: Timed) {
    if let Err(place) = list.find(|other| other.cmp(&timed)) {
        list.insert(place, timed);
    }
}

fn remove(list: &mut Chunked<Timed>, timed: Timed) {
    if let Ok(place) = list.find(|other| other.cmp(&timed)) {
        list.remove(place);
    }
}
