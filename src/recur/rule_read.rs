//! Reading recurrence rules (RFC 5545 §3.3.10, RFC 7529 §4).
//!
//! Faults that programs are known to write are read and named; what cannot mean anything is
//! refused. Parts that the RFC forbids beside a FREQ are kept: as in other programs they limit.

use std::fmt;

use crate::ical::{LocalTime, Timestamp, Weekday, When};

use super::rule::{ByDay, ByMonth, Freq, Rule, Scale, Skip};

/// A fault in a rule that has a meaning all the same. It names the part.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum RuleProblem {
    /// The part stands twice; the first counts.
    Repeated(&'static str),
    /// Not a part of RFC 5545 or RFC 7529 and no X- part either; left out.
    UnknownPart,
    /// Some values of the part are out of range; left out.
    Value(&'static str),
    /// "MUST NOT be specified" with this FREQ; it limits the instances.
    NotWithFreq(&'static str),
    /// BYDAY numbers "MUST NOT be specified" with this FREQ or beside BYWEEKNO; left out.
    Ordinal,
    /// "they MUST NOT occur in the same 'recur'"; both end the rule.
    CountAndUntil,
    /// COUNT or INTERVAL is 0; read as 1.
    Zero(&'static str),
    /// SKIP "MUST NOT be present unless RSCALE is present"; obeyed.
    SkipWithoutScale,
    /// BYSETPOS "MUST only be used in conjunction with another BYxxx rule part".
    LonePosition,
    /// UNTIL is not written as RFC 5545 §3.3.4 or §3.3.5 wants.
    Until,
}

/// Why a text is no recurrence rule.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum RuleError {
    /// No FREQ, or one that does not exist.
    Freq,
    /// A part cannot be read, or none of its values is in range.
    Part(&'static str),
    /// A calendar nobody here can count in. RFC 7529 §6
    Scale,
    /// Longer than any rule can be.
    Long,
}

/// The longest rule that is read: longer than every value of every part written once.
const MAX_BYTES: usize = 16_384;

impl Rule {
    /// Reads a RECUR value, in any case and order of its parts. RFC 5545 §3.3.10
    ///
    /// # Errors
    ///
    /// When the text means no rule.
    pub fn parse(text: &str) -> Result<(Rule, Vec<RuleProblem>), RuleError> {
        if text.len() > MAX_BYTES {
            return Err(RuleError::Long);
        }
        let mut problems = Vec::new();
        let parts = split(text, &mut problems)?;
        let freq = parts
            .get("FREQ")
            .and_then(|name| Freq::ALL.iter().find(|(known, _)| same(known, name)))
            .map(|(_, freq)| *freq)
            .ok_or(RuleError::Freq)?;
        let mut rule = Rule::new(freq);
        rule.read_scale(&parts)?;
        rule.read_bounds(&parts, &mut problems)?;
        rule.read_times(&parts, &mut problems)?;
        rule.read_days(&parts, &mut problems)?;
        rule.note_misplaced(&mut problems);
        Ok((rule, problems))
    }

    fn read_scale(&mut self, parts: &Parts<'_>) -> Result<(), RuleError> {
        if let Some(name) = parts.get("RSCALE") {
            self.scale = Some(Scale::parse(name).ok_or(RuleError::Scale)?);
        }
        self.skip = match parts.get("SKIP") {
            None => Skip::Omit,
            Some(name) if same(name, "OMIT") => Skip::Omit,
            Some(name) if same(name, "BACKWARD") => Skip::Backward,
            Some(name) if same(name, "FORWARD") => Skip::Forward,
            Some(_) => return Err(RuleError::Part("SKIP")),
        };
        if let Some(day) = parts.get("WKST") {
            self.week_start = weekday(day).ok_or(RuleError::Part("WKST"))?;
        }
        Ok(())
    }

    fn read_bounds(
        &mut self,
        parts: &Parts<'_>,
        problems: &mut Vec<RuleProblem>,
    ) -> Result<(), RuleError> {
        if let Some(interval) = number(parts, "INTERVAL", problems)? {
            self.interval = interval;
        }
        self.count = number(parts, "COUNT", problems)?;
        if let Some(text) = parts.get("UNTIL") {
            let plain = When::parse(text, None);
            if plain.is_none() {
                problems.push(RuleProblem::Until);
            }
            let until = plain.or_else(|| loose_until(text));
            self.until = Some(until.ok_or(RuleError::Part("UNTIL"))?);
        }
        Ok(())
    }

    fn read_times(
        &mut self,
        parts: &Parts<'_>,
        problems: &mut Vec<RuleProblem>,
    ) -> Result<(), RuleError> {
        let mut small = |name, max| -> Result<Vec<u8>, RuleError> {
            values(parts, name, problems, |text| {
                let value: u8 = digits(text)?.parse().ok()?;
                (value <= max).then_some(value)
            })
        };
        self.seconds = small("BYSECOND", 60)?;
        self.minutes = small("BYMINUTE", 59)?;
        self.hours = small("BYHOUR", 23)?;
        // "SHOULD interpret the second 60 as equivalent to the second 59." RFC 5545 §3.3.12
        for second in &mut self.seconds {
            *second = (*second).min(59);
        }
        self.seconds.dedup();
        Ok(())
    }

    fn read_days(
        &mut self,
        parts: &Parts<'_>,
        problems: &mut Vec<RuleProblem>,
    ) -> Result<(), RuleError> {
        let other = matches!(self.scale, Some(Scale::Other(_)));
        let [month_day, year_day, week, month] = if other {
            [32, 390, 56, 13]
        } else {
            [31, 366, 53, 12]
        };
        let mut signed = |name, max: i16| -> Result<Vec<i16>, RuleError> {
            values(parts, name, problems, |text| {
                let value = signed_number(text)?;
                (value != 0 && value.abs() <= max).then_some(value)
            })
        };
        self.month_days = signed("BYMONTHDAY", month_day)?;
        self.year_days = signed("BYYEARDAY", year_day)?;
        self.weeks = signed("BYWEEKNO", week)?;
        self.set_positions = signed("BYSETPOS", 390)?;
        self.months = values(parts, "BYMONTH", problems, |text| {
            let plain = text.strip_suffix(['L', 'l']).unwrap_or(text);
            let number: u8 = digits(plain)?.parse().ok()?;
            let leap = plain.len() != text.len();
            let known = (1..=month).contains(&i16::from(number)) && (other || !leap);
            known.then_some(ByMonth { number, leap })
        })?;
        self.days = values(parts, "BYDAY", problems, |text| by_day(text, week))?;
        Ok(())
    }

    fn note_misplaced(&mut self, problems: &mut Vec<RuleProblem>) {
        let misplaced = [
            (
                "BYWEEKNO",
                !self.weeks.is_empty() && self.freq != Freq::Yearly,
            ),
            (
                "BYYEARDAY",
                !self.year_days.is_empty()
                    && matches!(self.freq, Freq::Daily | Freq::Weekly | Freq::Monthly),
            ),
            (
                "BYMONTHDAY",
                !self.month_days.is_empty() && self.freq == Freq::Weekly,
            ),
        ];
        let misplaced = misplaced.into_iter().filter(|(_, there)| *there);
        problems.extend(misplaced.map(|(name, _)| RuleProblem::NotWithFreq(name)));
        let counted =
            self.freq == Freq::Monthly || (self.freq == Freq::Yearly && self.weeks.is_empty());
        if !counted && self.days.iter().any(|day| day.ordinal != 0) {
            problems.push(RuleProblem::Ordinal);
            for day in &mut self.days {
                day.ordinal = 0;
            }
            self.days.sort_unstable();
            self.days.dedup();
        }
        if self.count.is_some() && self.until.is_some() {
            problems.push(RuleProblem::CountAndUntil);
        }
        if self.skip != Skip::Omit && self.scale.is_none() {
            problems.push(RuleProblem::SkipWithoutScale);
        }
        if !self.set_positions.is_empty() && !self.has_other_parts() {
            problems.push(RuleProblem::LonePosition);
        }
    }

    fn has_other_parts(&self) -> bool {
        let times = [&self.seconds, &self.minutes, &self.hours];
        let days = [&self.month_days, &self.year_days, &self.weeks];
        !self.days.is_empty()
            || !self.months.is_empty()
            || times.iter().any(|list| !list.is_empty())
            || days.iter().any(|list| !list.is_empty())
    }
}

/// The names of all parts; X- parts are nobody's business.
const PARTS: [&str; 16] = [
    "FREQ",
    "UNTIL",
    "COUNT",
    "INTERVAL",
    "BYSECOND",
    "BYMINUTE",
    "BYHOUR",
    "BYDAY",
    "BYMONTHDAY",
    "BYYEARDAY",
    "BYWEEKNO",
    "BYMONTH",
    "BYSETPOS",
    "WKST",
    "RSCALE",
    "SKIP",
];

/// The parts of one text, each known one at most once.
struct Parts<'a>(Vec<(&'static str, &'a str)>);

impl<'a> Parts<'a> {
    fn get(&self, name: &str) -> Option<&'a str> {
        let found = self.0.iter().find(|(known, _)| *known == name);
        found.map(|(_, value)| *value)
    }
}

fn split<'a>(text: &'a str, problems: &mut Vec<RuleProblem>) -> Result<Parts<'a>, RuleError> {
    let mut parts = Parts(Vec::new());
    for part in text
        .split(';')
        .map(str::trim)
        .filter(|part| !part.is_empty())
    {
        let (name, value) = part.split_once('=').unwrap_or((part, ""));
        let (name, value) = (name.trim_end(), value.trim());
        match PARTS.iter().find(|known| same(known, name)) {
            Some(known) if parts.get(known).is_some() => {
                problems.push(RuleProblem::Repeated(known));
            }
            Some(known) if value.is_empty() => return Err(RuleError::Part(known)),
            Some(known) => parts.0.push((known, value)),
            None if name.get(..2).is_some_and(|prefix| same(prefix, "X-")) => {}
            None => problems.push(RuleProblem::UnknownPart),
        }
    }
    problems.dedup();
    Ok(parts)
}

fn same(one: &str, two: &str) -> bool {
    one.eq_ignore_ascii_case(two)
}

/// The values of a list, sorted and each once; an error when there is a list but no value in it.
fn values<T: Ord>(
    parts: &Parts<'_>,
    name: &'static str,
    problems: &mut Vec<RuleProblem>,
    read: impl Fn(&str) -> Option<T>,
) -> Result<Vec<T>, RuleError> {
    let Some(text) = parts.get(name) else {
        return Ok(Vec::new());
    };
    let mut list = Vec::new();
    let mut bad = false;
    for value in text.split(',').map(str::trim) {
        match read(value) {
            Some(value) => list.push(value),
            None => bad = true,
        }
    }
    if list.is_empty() {
        return Err(RuleError::Part(name));
    }
    if bad {
        problems.push(RuleProblem::Value(name));
    }
    list.sort_unstable();
    list.dedup();
    Ok(list)
}

/// A count of at least 1. What is larger than any count of instances is as good as the largest.
fn number(
    parts: &Parts<'_>,
    name: &'static str,
    problems: &mut Vec<RuleProblem>,
) -> Result<Option<u32>, RuleError> {
    let Some(text) = parts.get(name) else {
        return Ok(None);
    };
    let text = digits(text.strip_prefix('+').unwrap_or(text)).ok_or(RuleError::Part(name))?;
    let value = text.parse().unwrap_or(u32::MAX);
    if value == 0 {
        problems.push(RuleProblem::Zero(name));
    }
    Ok(Some(value.max(1)))
}

fn digits(text: &str) -> Option<&str> {
    (!text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit())).then_some(text)
}

fn signed_number(text: &str) -> Option<i16> {
    let (negative, plain) = match text.as_bytes().first()? {
        b'-' => (true, text.get(1..)?),
        b'+' => (false, text.get(1..)?),
        _ => (false, text),
    };
    let value: i16 = digits(plain)?.parse().ok()?;
    Some(if negative { -value } else { value })
}

fn weekday(text: &str) -> Option<Weekday> {
    Weekday::parse(&text.to_ascii_uppercase())
}

fn by_day(text: &str, max: i16) -> Option<ByDay> {
    let (ordinal, day) = text.split_at_checked(text.len().checked_sub(2)?)?;
    let weekday = weekday(day)?;
    let ordinal = match ordinal.trim_end() {
        "" => 0,
        number => {
            let number = signed_number(number)?;
            (number != 0 && number.abs() <= max).then_some(number)?
        }
    };
    Some(ByDay { ordinal, weekday })
}

/// An UNTIL with separators, a short or an odd time: `2026-01-31T10:00:00Z`, `20260131T1000Z`,
/// `20260131T240000Z`, `20260131Z`.
fn loose_until(text: &str) -> Option<When> {
    let mut plain: String = text.to_ascii_uppercase();
    plain.retain(|c| !matches!(c, '-' | ':' | ' '));
    let utc = plain.ends_with('Z');
    let body = plain.trim_end_matches('Z');
    let (day, time) = body.split_at_checked(8)?;
    let date = crate::ical::Date::parse(day)?;
    let time = time.strip_prefix('T').unwrap_or(time);
    let local = match time.len() {
        0 => return Some(When::Date(date)),
        4 => LocalTime::parse(&format!("{day}T{time}00"))?,
        6 if time == "240000" => date.midnight().add_days(1)?,
        6 => LocalTime::parse(&format!("{day}T{time}"))?,
        _ => return None,
    };
    Some(if utc {
        When::Utc(Timestamp(local.seconds()))
    } else {
        When::Floating(local)
    })
}

impl fmt::Display for RuleProblem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            RuleProblem::Repeated(part) => write!(f, "{part} stands more than once"),
            RuleProblem::UnknownPart => f.write_str("a part is not known"),
            RuleProblem::Value(part) => write!(f, "{part} has values out of range"),
            RuleProblem::NotWithFreq(part) => write!(f, "{part} must not stand with this FREQ"),
            RuleProblem::Ordinal => f.write_str("BYDAY must not have numbers with this FREQ"),
            RuleProblem::CountAndUntil => f.write_str("COUNT and UNTIL must not stand together"),
            RuleProblem::Zero(part) => write!(f, "{part} is 0"),
            RuleProblem::SkipWithoutScale => f.write_str("SKIP must not stand without RSCALE"),
            RuleProblem::LonePosition => f.write_str("BYSETPOS stands without another BY part"),
            RuleProblem::Until => f.write_str("UNTIL is not written as a date or date-time"),
        }
    }
}

impl fmt::Display for RuleError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            RuleError::Freq => f.write_str("the rule has no FREQ that exists"),
            RuleError::Part(part) => write!(f, "{part} of the rule cannot be read"),
            RuleError::Scale => f.write_str("the rule's RSCALE is not supported"),
            RuleError::Long => f.write_str("the rule is too long"),
        }
    }
}

impl std::error::Error for RuleError {}

#[cfg(test)]
mod tests {
    use super::{Rule, RuleError, RuleProblem};

    #[test]
    fn rules_are_read_and_printed() {
        use RuleProblem as P;
        for (text, printed, problems) in [
            ("FREQ=DAILY", "FREQ=DAILY", vec![]),
            (
                "until=20260102;freq=weekly;byday=we,MO,mo;wkst=su;x-part=1;",
                "FREQ=WEEKLY;UNTIL=20260102;BYDAY=MO,WE;WKST=SU",
                vec![],
            ),
            (
                "FREQ=MONTHLY;BYDAY=+1MO,-2fr;BYSETPOS=-1;INTERVAL=02",
                "FREQ=MONTHLY;INTERVAL=2;BYDAY=-2FR,1MO;BYSETPOS=-1",
                vec![],
            ),
            (
                "RSCALE=hebrew;FREQ=YEARLY;BYMONTH=5L,5;SKIP=FORWARD",
                "RSCALE=HEBREW;FREQ=YEARLY;BYMONTH=5,5L;SKIP=FORWARD",
                vec![],
            ),
            (
                "FREQ=DAILY;INTERVAL=0;COUNT=0;COUNT=5",
                "FREQ=DAILY;COUNT=1",
                vec![P::Repeated("COUNT"), P::Zero("INTERVAL"), P::Zero("COUNT")],
            ),
            (
                "FREQ=DAILY;UNTIL=2026-01-31T10:00:00Z",
                "FREQ=DAILY;UNTIL=20260131T100000Z",
                vec![P::Until],
            ),
            (
                "FREQ=DAILY;UNTIL=20260131T240000",
                "FREQ=DAILY;UNTIL=20260201T000000",
                vec![P::Until],
            ),
            (
                "FREQ=WEEKLY;BYDAY=1MO,MO;BYMONTHDAY=3,32",
                "FREQ=WEEKLY;BYDAY=MO;BYMONTHDAY=3",
                vec![
                    P::Value("BYMONTHDAY"),
                    P::NotWithFreq("BYMONTHDAY"),
                    P::Ordinal,
                ],
            ),
            (
                "FREQ=DAILY;COUNT=3;UNTIL=20260101;BYSETPOS=1;BYEASTER=1",
                "FREQ=DAILY;UNTIL=20260101;COUNT=3;BYSETPOS=1",
                vec![P::UnknownPart, P::CountAndUntil, P::LonePosition],
            ),
            (
                "FREQ=MINUTELY;BYSECOND=60,0",
                "FREQ=MINUTELY;BYSECOND=0,59",
                vec![],
            ),
            (
                "FREQ=DAILY;COUNT=99999999999",
                "FREQ=DAILY;COUNT=4294967295",
                vec![],
            ),
        ] {
            let (rule, found) = Rule::parse(text).unwrap();
            assert_eq!(rule.to_string(), printed, "{text}");
            assert_eq!(found, problems, "{text}");
            assert_eq!(Rule::parse(printed).unwrap().0, rule, "{text}");
        }
    }

    #[test]
    fn nonsense_is_no_rule() {
        for (text, error) in [
            ("", RuleError::Freq),
            ("FREQ=FORTNIGHTLY", RuleError::Freq),
            ("FREQ=", RuleError::Part("FREQ")),
            ("FREQ=DAILY;INTERVAL=-1", RuleError::Part("INTERVAL")),
            ("FREQ=DAILY;UNTIL=tomorrow", RuleError::Part("UNTIL")),
            ("FREQ=DAILY;UNTIL=éééé", RuleError::Part("UNTIL")),
            ("FREQ=YEARLY;BYMONTH=13", RuleError::Part("BYMONTH")),
            ("FREQ=YEARLY;BYMONTH=5L", RuleError::Part("BYMONTH")),
            ("FREQ=WEEKLY;BYDAY=XX", RuleError::Part("BYDAY")),
            ("FREQ=WEEKLY;BYDAY=é", RuleError::Part("BYDAY")),
            ("FREQ=DAILY;BYHOUR=", RuleError::Part("BYHOUR")),
            ("RSCALE=MAYAN;FREQ=DAILY", RuleError::Scale),
        ] {
            assert_eq!(
                Rule::parse(text).map(|(rule, _)| rule),
                Err(error),
                "{text}"
            );
        }
        assert_eq!(
            Rule::parse(&"X-A=1;".repeat(9999)).err(),
            Some(RuleError::Long)
        );
    }
}
