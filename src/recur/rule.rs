//! Recurrence rules as values: the parts of a RECUR and how it is printed (RFC 5545 §3.3.10,
//! RFC 7529 §4).
//!
//! Reading is in `rule_read`, what a rule means is in `expand`.

use std::cmp::Ordering;
use std::fmt;

use icu_calendar::{AnyCalendar, AnyCalendarKind};

use crate::ical::{Weekday, When};

/// A recurrence rule: every part of a RECUR. The lists are sorted and hold no value twice; an empty
/// list is a part that is not there. RFC 5545 §3.3.10
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Rule {
    /// FREQ.
    pub freq: Freq,
    /// INTERVAL, at least 1.
    pub interval: u32,
    /// COUNT, at least 1.
    pub count: Option<u32>,
    /// UNTIL: a day, a local time or an instant, as it was written.
    pub until: Option<When>,
    /// BYSECOND, 0 to 59; 60 is read as 59. RFC 5545 §3.3.12
    pub seconds: Vec<u8>,
    /// BYMINUTE.
    pub minutes: Vec<u8>,
    /// BYHOUR.
    pub hours: Vec<u8>,
    /// BYDAY.
    pub days: Vec<ByDay>,
    /// BYMONTHDAY.
    pub month_days: Vec<i16>,
    /// BYYEARDAY.
    pub year_days: Vec<i16>,
    /// BYWEEKNO.
    pub weeks: Vec<i16>,
    /// BYMONTH.
    pub months: Vec<ByMonth>,
    /// BYSETPOS.
    pub set_positions: Vec<i16>,
    /// WKST.
    pub week_start: Weekday,
    /// RSCALE, when it was written. RFC 7529 §4
    pub scale: Option<Scale>,
    /// SKIP. RFC 7529 §4.1
    pub skip: Skip,
}

/// FREQ, from the shortest to the longest. RFC 5545 §3.3.10
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Freq {
    /// SECONDLY.
    Secondly,
    /// MINUTELY.
    Minutely,
    /// HOURLY.
    Hourly,
    /// DAILY.
    Daily,
    /// WEEKLY.
    Weekly,
    /// MONTHLY.
    Monthly,
    /// YEARLY.
    Yearly,
}

/// A BYDAY value: a day of the week, and which of them within the month or year; 0 for every one.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct ByDay {
    /// 1 is the first, -1 the last, 0 every one.
    pub ordinal: i16,
    /// The day of the week.
    pub weekday: Weekday,
}

/// A BYMONTH value. `5L` is the leap month after the fifth. RFC 7529 §4.2
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct ByMonth {
    /// The month's number, from 1.
    pub number: u8,
    /// Whether it is the leap month that follows the month of that number.
    pub leap: bool,
}

/// SKIP: what becomes of a date that does not exist. RFC 7529 §4.1
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Skip {
    /// It is no instance.
    Omit,
    /// The valid month or day before it.
    Backward,
    /// The valid month or day after it.
    Forward,
}

/// RSCALE: the calendar a rule counts years, months and days in. RFC 7529 §5
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Scale {
    /// The calendar of RFC 5545.
    Gregorian,
    /// Another calendar of the Unicode registry.
    Other(AnyCalendarKind),
}

/// Every calendar a rule may count in, by its name in the Unicode registry.
const SCALES: &[(&str, Scale)] = &[
    ("GREGORIAN", Scale::Gregorian),
    ("BUDDHIST", Scale::Other(AnyCalendarKind::Buddhist)),
    ("CHINESE", Scale::Other(AnyCalendarKind::Chinese)),
    ("COPTIC", Scale::Other(AnyCalendarKind::Coptic)),
    ("DANGI", Scale::Other(AnyCalendarKind::Dangi)),
    ("ETHIOPIC", Scale::Other(AnyCalendarKind::Ethiopian)),
    (
        "ETHIOPIC-AMETE-ALEM",
        Scale::Other(AnyCalendarKind::EthiopianAmeteAlem),
    ),
    ("HEBREW", Scale::Other(AnyCalendarKind::Hebrew)),
    ("INDIAN", Scale::Other(AnyCalendarKind::Indian)),
    (
        "ISLAMIC-CIVIL",
        Scale::Other(AnyCalendarKind::HijriTabularTypeIIFriday),
    ),
    (
        "ISLAMIC-TBLA",
        Scale::Other(AnyCalendarKind::HijriTabularTypeIIThursday),
    ),
    (
        "ISLAMIC-UMALQURA",
        Scale::Other(AnyCalendarKind::HijriUmmAlQura),
    ),
    ("JAPANESE", Scale::Other(AnyCalendarKind::Japanese)),
    ("PERSIAN", Scale::Other(AnyCalendarKind::Persian)),
    ("ROC", Scale::Other(AnyCalendarKind::Roc)),
];

/// Other names of the same calendars: aliases and deprecated names of the registry.
const SCALE_ALIASES: &[(&str, &str)] = &[
    ("GREGORY", "GREGORIAN"),
    ("ISO8601", "GREGORIAN"),
    ("ETHIOAA", "ETHIOPIC-AMETE-ALEM"),
    ("ISLAMICC", "ISLAMIC-CIVIL"),
    ("ISLAMIC", "ISLAMIC-CIVIL"),
];

impl Scale {
    /// The names of every scale, for CALDAV:supported-rscale-set. RFC 7529 §10.1
    pub fn names() -> impl Iterator<Item = &'static str> {
        SCALES.iter().map(|(name, _)| *name)
    }

    /// The scale of that name or alias, in any case. RFC 7529 §5
    #[must_use]
    pub fn parse(name: &str) -> Option<Scale> {
        let name = SCALE_ALIASES
            .iter()
            .find(|(alias, _)| alias.eq_ignore_ascii_case(name))
            .map_or(name, |(_, name)| name);
        SCALES
            .iter()
            .find(|(known, _)| known.eq_ignore_ascii_case(name))
            .map(|(_, scale)| *scale)
    }

    /// The scale's name in the registry.
    #[must_use]
    pub fn name(self) -> &'static str {
        SCALES
            .iter()
            .find(|(_, scale)| *scale == self)
            .map_or("GREGORIAN", |(name, _)| name)
    }

    /// The arithmetic of a calendar other than the Gregorian.
    pub(super) fn calendar(self) -> Option<AnyCalendar> {
        match self {
            Scale::Gregorian => None,
            Scale::Other(kind) => Some(AnyCalendar::new(kind)),
        }
    }
}

impl Freq {
    /// Every frequency with its name.
    pub(super) const ALL: [(&'static str, Freq); 7] = [
        ("SECONDLY", Freq::Secondly),
        ("MINUTELY", Freq::Minutely),
        ("HOURLY", Freq::Hourly),
        ("DAILY", Freq::Daily),
        ("WEEKLY", Freq::Weekly),
        ("MONTHLY", Freq::Monthly),
        ("YEARLY", Freq::Yearly),
    ];

    /// The name in a RECUR.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Freq::Secondly => "SECONDLY",
            Freq::Minutely => "MINUTELY",
            Freq::Hourly => "HOURLY",
            Freq::Daily => "DAILY",
            Freq::Weekly => "WEEKLY",
            Freq::Monthly => "MONTHLY",
            Freq::Yearly => "YEARLY",
        }
    }
}

impl Rule {
    /// A rule with FREQ alone.
    #[must_use]
    pub fn new(freq: Freq) -> Rule {
        Rule {
            freq,
            interval: 1,
            count: None,
            until: None,
            seconds: Vec::new(),
            minutes: Vec::new(),
            hours: Vec::new(),
            days: Vec::new(),
            month_days: Vec::new(),
            year_days: Vec::new(),
            weeks: Vec::new(),
            months: Vec::new(),
            set_positions: Vec::new(),
            week_start: Weekday::Monday,
            scale: None,
            skip: Skip::Omit,
        }
    }

    /// Whether neither COUNT nor UNTIL ends it.
    #[must_use]
    pub fn is_endless(&self) -> bool {
        self.count.is_none() && self.until.is_none()
    }
}

/// First those without a number, then by number; Monday is the first day.
impl Ord for ByDay {
    fn cmp(&self, other: &ByDay) -> Ordering {
        let key = |day: &ByDay| (day.ordinal, day.weekday.number());
        key(self).cmp(&key(other))
    }
}

impl PartialOrd for ByDay {
    fn partial_cmp(&self, other: &ByDay) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

impl fmt::Display for ByDay {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.ordinal != 0 {
            write!(f, "{}", self.ordinal)?;
        }
        write!(f, "{}", self.weekday)
    }
}

impl fmt::Display for ByMonth {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}{}", self.number, if self.leap { "L" } else { "" })
    }
}

/// The RECUR value; FREQ or RSCALE stands first. RFC 5545 §3.3.10
impl fmt::Display for Rule {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if let Some(scale) = self.scale {
            write!(f, "RSCALE={};", scale.name())?;
        }
        write!(f, "FREQ={}", self.freq.name())?;
        if let Some(until) = &self.until {
            write!(f, ";UNTIL={until}")?;
        }
        if let Some(count) = self.count {
            write!(f, ";COUNT={count}")?;
        }
        if self.interval != 1 {
            write!(f, ";INTERVAL={}", self.interval)?;
        }
        list(f, "BYSECOND", &self.seconds)?;
        list(f, "BYMINUTE", &self.minutes)?;
        list(f, "BYHOUR", &self.hours)?;
        list(f, "BYDAY", &self.days)?;
        list(f, "BYMONTHDAY", &self.month_days)?;
        list(f, "BYYEARDAY", &self.year_days)?;
        list(f, "BYWEEKNO", &self.weeks)?;
        list(f, "BYMONTH", &self.months)?;
        list(f, "BYSETPOS", &self.set_positions)?;
        if self.week_start != Weekday::Monday {
            write!(f, ";WKST={}", self.week_start)?;
        }
        match self.skip {
            Skip::Omit => Ok(()),
            Skip::Backward => f.write_str(";SKIP=BACKWARD"),
            Skip::Forward => f.write_str(";SKIP=FORWARD"),
        }
    }
}

fn list<T: fmt::Display>(f: &mut fmt::Formatter<'_>, name: &str, values: &[T]) -> fmt::Result {
    for (index, value) in values.iter().enumerate() {
        if index == 0 {
            write!(f, ";{name}={value}")?;
        } else {
            write!(f, ",{value}")?;
        }
    }
    Ok(())
}
