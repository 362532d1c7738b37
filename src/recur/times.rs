//! The times of day a rule chooses, and the hours, minutes and seconds it lets pass
//! (RFC 5545 §3.3.10: BYHOUR, BYMINUTE, BYSECOND).

use super::rule::{Freq, Rule};

/// Every combination of some hours, minutes and seconds, in order: seconds after the beginning of
/// the day, hour or minute they expand. The lists are sorted and never empty.
#[derive(Clone, Debug)]
pub(super) struct Times {
    hours: Vec<u8>,
    minutes: Vec<u8>,
    seconds: Vec<u8>,
}

impl Times {
    /// What a rule expands each of its periods by, when its series begins at that second of the day.
    /// A series of whole days has no times: "These rule parts MUST be ignored".
    pub(super) fn expanding(rule: &Rule, start: i64, dates: bool) -> Times {
        let list = |part: &[u8], unit: i64, since: Freq| {
            if rule.freq < since {
                vec![0]
            } else if part.is_empty() || dates {
                vec![u8::try_from(start.rem_euclid(unit * 60) / unit).unwrap_or(0)]
            } else {
                part.to_vec()
            }
        };
        Times {
            hours: list(&rule.hours, 3600, Freq::Daily),
            minutes: list(&rule.minutes, 60, Freq::Hourly),
            seconds: list(&rule.seconds, 1, Freq::Minutely),
        }
    }

    /// How many there are.
    pub(super) fn len(&self) -> usize {
        self.hours.len() * self.minutes.len() * self.seconds.len()
    }

    /// One of them, by position.
    pub(super) fn get(&self, index: usize) -> i64 {
        let (index, second) = pick(&self.seconds, index);
        let (index, minute) = pick(&self.minutes, index);
        let (_, hour) = pick(&self.hours, index);
        hour * 3600 + minute * 60 + second
    }
}

fn pick(list: &[u8], index: usize) -> (usize, i64) {
    let length = list.len().max(1);
    let value = list.get(index % length).copied().unwrap_or(0);
    (index / length, i64::from(value))
}

/// The hours, minutes and seconds at which the ticks of an HOURLY, MINUTELY or SECONDLY rule pass;
/// an empty list lets all pass.
#[derive(Clone, Debug)]
pub(super) struct Gates {
    hours: Vec<u8>,
    minutes: Vec<u8>,
    seconds: Vec<u8>,
}

impl Gates {
    pub(super) fn new(rule: &Rule, dates: bool) -> Gates {
        let list = |part: &[u8], below: Freq| {
            if rule.freq >= below {
                Vec::new()
            } else if dates {
                vec![0]
            } else {
                part.to_vec()
            }
        };
        Gates {
            hours: list(&rule.hours, Freq::Daily),
            minutes: list(&rule.minutes, Freq::Hourly),
            seconds: list(&rule.seconds, Freq::Minutely),
        }
    }

    pub(super) fn is_free(&self) -> bool {
        self.hours.is_empty() && self.minutes.is_empty() && self.seconds.is_empty()
    }

    /// The same second of the day when it passes, else the first later one that may; 86,400 or more
    /// when the day has none.
    pub(super) fn next(&self, second_of_day: i64) -> i64 {
        let (hour, minute) = (second_of_day / 3600, second_of_day / 60 % 60);
        match at_or_after(&self.hours, hour) {
            None => return 86_400,
            Some(next) if next > hour => return next * 3600,
            Some(_) => {}
        }
        match at_or_after(&self.minutes, minute) {
            None => return (hour + 1) * 3600,
            Some(next) if next > minute => return hour * 3600 + next * 60,
            Some(_) => {}
        }
        let second = second_of_day % 60;
        match at_or_after(&self.seconds, second) {
            None => hour * 3600 + (minute + 1) * 60,
            Some(next) => hour * 3600 + minute * 60 + next,
        }
    }

    /// Whether a tick of so many seconds that begins at that second of the day ever passes: its
    /// seconds of the day are those that are equal modulo what the step and the day share.
    pub(super) fn ever_open(&self, base: i64, step: i64) -> bool {
        let common = gcd(step, 86_400);
        let mut second = 0;
        while second < 86_400 {
            let next = self.next(second);
            if next >= 86_400 {
                return false;
            }
            if next != second {
                second = next;
                continue;
            }
            let off = (base - second).rem_euclid(common);
            if off == 0 {
                return true;
            }
            second += off;
        }
        false
    }
}

fn at_or_after(list: &[u8], value: i64) -> Option<i64> {
    if list.is_empty() {
        return Some(value);
    }
    list.iter()
        .map(|one| i64::from(*one))
        .find(|one| *one >= value)
}

fn gcd(one: i64, two: i64) -> i64 {
    if two == 0 { one } else { gcd(two, one % two) }
}
