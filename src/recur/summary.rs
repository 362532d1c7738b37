//! What the store's index keeps of a calendar object: enough to tell without its text whether it
//! can have an instance in a range, and for most objects whether it has (RFC 4791 §9.9).
//!
//! Times are local with the name of their zone, so that newer zone data needs no new summary.
//! Where the times of one object are of different zones they are kept as instants and widened by a
//! day.

use std::sync::Arc;

use crate::ical::values::Trigger;
use crate::ical::{Component, Kind, LocalTime, Timestamp, When};

use super::alarms::reach;
use super::busy_source::{Busy, FbType};
use super::expand::{Last, Limits, TooMuch};
use super::instances::{Compiled, compile};
use super::range::{DAY, Extent, Range};
use super::season::Season;
use super::set::{Axis, Set};
use super::source::{Source, later};
use super::zone::Zone;

/// What the index keeps of an object.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Summary {
    /// The kind of its components; nothing where none is known.
    pub kind: Option<Kind>,
    /// What its instances can be to a free-busy query.
    pub busy: BusyKinds,
    /// What its times are relative to.
    pub form: Form,
    /// No instance begins earlier; [`LocalTime::MIN`] where there is no bound.
    pub first: LocalTime,
    /// No instance ends later; [`LocalTime::MAX`] where there is no bound.
    pub last: LocalTime,
    /// Where there are overrides or dates apart from a rule: the spans all instances lie in, sorted,
    /// at most 64. Empty when first to last is all.
    pub spans: Vec<(LocalTime, LocalTime)>,
    /// Whether first and last are the one instance there is, and not only bounds.
    pub exact: bool,
    /// Whether a range that ends at `first` overlaps.
    pub starts_inside: bool,
    /// Whether a range that starts at `last` overlaps.
    pub ends_inside: bool,
    /// Whether it has rules, dates or overrides.
    pub recurring: bool,
    /// Whether a rule never ends.
    pub endless: bool,
    /// The months of the year its instances can lie in.
    pub season: Season,
    /// Whether it has alarms.
    pub alarms: bool,
    /// How many seconds before an instance starts an alarm may go off; [`u32::MAX`] where one has a
    /// time of its own.
    pub alarm_lead: u32,
    /// How many seconds after an instance ends an alarm may go off.
    pub alarm_lag: u32,
    /// Whether every component has STATUS:CANCELLED.
    pub cancelled: bool,
    /// Whether every component has TRANSP:TRANSPARENT.
    pub transparent: bool,
}

/// The most spans a summary keeps apart.
const MOST_SPANS: usize = 64;

/// What the times of a summary are relative to.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum Form {
    /// Whole days, in the zone of who asks.
    AllDay,
    /// Local time in the zone of who asks.
    Floating,
    /// UTC; also objects whose zones travel with them.
    Utc,
    /// The zone of that IANA name.
    Zoned(Arc<str>),
    /// Several zones: UTC, up to a day off.
    Mixed,
}

/// A set of free/busy types. RFC 4791 §7.10
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub struct BusyKinds(pub(super) u8);

/// Whether an object overlaps a range.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Verdict {
    /// It does not.
    No,
    /// It does.
    Yes,
    /// Its text decides.
    Maybe,
}

impl BusyKinds {
    /// BUSY, or a type that means BUSY.
    pub const BUSY: BusyKinds = BusyKinds(1);
    /// BUSY-TENTATIVE.
    pub const TENTATIVE: BusyKinds = BusyKinds(2);
    /// BUSY-UNAVAILABLE.
    pub const UNAVAILABLE: BusyKinds = BusyKinds(4);
    /// FREE.
    pub const FREE: BusyKinds = BusyKinds(8);

    /// Whether one of the types is among them.
    #[must_use]
    pub fn has(self, kinds: BusyKinds) -> bool {
        self.0 & kinds.0 != 0
    }

    /// Whether the object can take part in the answer to a free-busy query. An availability that
    /// makes time free does so inside its own busy time only.
    #[must_use]
    pub fn blocks(self) -> bool {
        self.0 & !BusyKinds::FREE.0 != 0
    }

    fn add(&mut self, kind: &FbType) {
        self.0 |= match kind {
            FbType::Busy | FbType::Other(_) => BusyKinds::BUSY.0,
            FbType::Tentative => BusyKinds::TENTATIVE.0,
            FbType::Unavailable => BusyKinds::UNAVAILABLE.0,
            FbType::Free => BusyKinds::FREE.0,
        };
    }
}

/// The summary of a VCALENDAR.
#[must_use]
pub fn summary(calendar: &Component) -> Summary {
    compile(calendar).summary(calendar)
}

impl Compiled {
    /// The summary of the VCALENDAR it was compiled from.
    #[must_use]
    pub fn summary(&self, calendar: &Component) -> Summary {
        let (form, zone) = self.form();
        let pieces = self.pieces();
        let local = |instant: Timestamp| match instant {
            Timestamp::MIN => LocalTime::MIN,
            Timestamp::MAX => LocalTime::MAX,
            instant => zone.local(instant),
        };
        let spans = pieces
            .iter()
            .map(|piece| (local(piece.start), local(piece.end)));
        let mut spans: Vec<_> = spans.collect();
        spans.sort_unstable();
        let first = spans
            .iter()
            .map(|(start, _)| *start)
            .min()
            .unwrap_or(LocalTime::MAX);
        let last = spans
            .iter()
            .map(|(_, end)| *end)
            .max()
            .unwrap_or(LocalTime::MIN);
        let returns = |instant: Timestamp| {
            let open = instant == Timestamp::MIN || instant == Timestamp::MAX;
            open || zone.instant(zone.local(instant)) == instant
        };
        let single = pieces
            .first()
            .filter(|_| pieces.len() == 1 && !self.recurs());
        let single = single.filter(|piece| returns(piece.start) && returns(piece.end));
        let exact = single.filter(|_| form != Form::Mixed);
        if spans.len() == 1 || spans.len() > MOST_SPANS {
            spans.clear();
        }
        let (lead, lag) = self.alarm_reach();
        let all = |name: &str, value: &str| self.all_say(calendar, name, value);
        Summary {
            kind: self.kind,
            busy: self.busy_kinds(),
            form,
            first,
            last,
            spans,
            exact: exact.is_some() || pieces.is_empty(),
            starts_inside: single.is_some_and(|piece| piece.starts_inside),
            ends_inside: single.is_none_or(|piece| piece.ends_inside),
            recurring: self.recurs(),
            endless: self.is_endless(),
            season: self.season(),
            alarms: self.has_alarms(),
            alarm_lead: lead,
            alarm_lag: lag,
            cancelled: all("STATUS", "CANCELLED"),
            transparent: all("TRANSP", "TRANSPARENT"),
        }
    }

    /// What its times are relative to, and the zone its summary is written in.
    fn form(&self) -> (Form, Zone) {
        let mut forms: Vec<Form> = Vec::new();
        for source in self.sets.iter().flat_map(Set::sources) {
            let form = match &source.start {
                None | Some(When::Utc(_)) => Form::Utc,
                Some(When::Date(_)) => Form::AllDay,
                Some(When::Floating(_)) => Form::Floating,
                Some(When::Zoned(_, tzid)) => match self.zones.get(tzid) {
                    None => Form::Floating,
                    Some(zone) if zone.is_named() => Form::Zoned(zone.id().into()),
                    Some(_) => Form::Utc,
                },
            };
            if !forms.contains(&form) && forms.len() < 3 {
                forms.push(form);
            }
        }
        let form = match forms.as_slice() {
            [] => Form::Utc,
            [one] => one.clone(),
            [Form::AllDay, Form::Floating] | [Form::Floating, Form::AllDay] => Form::Floating,
            _ => Form::Mixed,
        };
        let zone = match &form {
            Form::Zoned(id) => Zone::named(id).unwrap_or_else(Zone::utc),
            _ => Zone::utc(),
        };
        (form, zone)
    }

    /// The spans its instances lie in, days and floating times read as UTC. A single instance is
    /// exact, a series has a day to spare.
    fn pieces(&self) -> Vec<Extent> {
        let utc = Zone::utc();
        if !self.recurs() {
            let found = self.instances(Range::ALL, &utc, &Limits::default());
            return match found {
                Ok(found) => found.into_iter().map(|instance| instance.extent).collect(),
                Err(_) => vec![Extent::ALL, Extent::ALL],
            };
        }
        let mut pieces = Vec::new();
        for set in &self.sets {
            for source in set.sources() {
                pieces.extend(source.fixed(&self.zones, &utc));
            }
            for other in &set.overrides {
                if let Some(start) = &other.source.start {
                    let from = self.zones.instant(start, &utc);
                    let zone = self.zones.zone_of(start, &utc).unwrap_or(&utc);
                    let to = other.source.end(start.local(), zone);
                    pieces.push(other.source.extent(from, to));
                }
            }
            pieces.extend(series_piece(set, &utc));
        }
        pieces
    }

    fn season(&self) -> Season {
        let utc = Zone::utc();
        if !self.recurs() {
            return Season::ALL;
        }
        let mut season = Season::NONE;
        for set in &self.sets {
            let open = |source: &Source| !source.fixed(&self.zones, &utc).is_empty();
            if set.shift > 0 || set.sources().any(open) {
                return Season::ALL;
            }
            for source in set.overrides.iter().map(|other| &other.source) {
                if let Some(start) = &source.start {
                    let from = self.zones.instant(start, &utc);
                    let zone = self.zones.zone_of(start, &utc).unwrap_or(&utc);
                    let to = source.end(start.local(), zone).max(from);
                    season = season.with(Season::of_span(from.utc(), to.utc()));
                }
            }
            for bounded in set.master.iter().flat_map(|master| &master.series) {
                season = season.with(bounded.season);
            }
            for extra in set.master.iter().flat_map(|master| &master.extras) {
                let end = later(extra.local, set.longest);
                season = season.with(Season::of_span(extra.local, end));
            }
        }
        season
    }

    fn alarm_reach(&self) -> (u32, u32) {
        let reaches = self.sets.iter().filter_map(reach);
        let most = reaches.fold((0, 0), |most, reach| {
            (most.0.max(reach.0), most.1.max(reach.1))
        });
        let small = |seconds: i64| u32::try_from(seconds).unwrap_or(u32::MAX);
        let mut alarms = self
            .sets
            .iter()
            .flat_map(Set::sources)
            .flat_map(|it| &it.alarms);
        if alarms.any(|alarm| matches!(alarm.trigger, Trigger::At(_))) {
            return (u32::MAX, u32::MAX);
        }
        (small(most.0), small(most.1))
    }

    fn busy_kinds(&self) -> BusyKinds {
        let mut kinds = BusyKinds::default();
        for source in self.sets.iter().flat_map(Set::sources) {
            match &source.busy {
                Busy::Nothing => {}
                Busy::Event { kind, .. } => kinds.add(kind),
                Busy::Periods(periods) => periods.iter().for_each(|(_, kind)| kinds.add(kind)),
                Busy::Availability(availability) => kinds.add(&availability.kind),
            }
        }
        kinds
    }

    fn all_say(&self, calendar: &Component, name: &str, value: &str) -> bool {
        let Some(kind) = self.kind else {
            return false;
        };
        let says = |component: &Component| {
            let text = component.text(name);
            text.is_some_and(|text| text.trim().eq_ignore_ascii_case(value))
        };
        calendar.components(kind.component_name()).all(says)
    }

    /// The months within a horizon in which an instance may lie, both ends included.
    ///
    /// # Errors
    ///
    /// When it meets the limit on work.
    pub fn months(
        &self,
        horizon: (Month, Month),
        floating: &Zone,
        limits: &Limits,
    ) -> Result<Vec<Month>, TooMuch> {
        let mut found = Vec::new();
        for month in (horizon.0.0..=horizon.1.0).map(Month) {
            let Some(range) = Range::new(month.start(), Month(month.0 + 1).start()) else {
                continue;
            };
            if self.overlaps(range, floating, limits)? {
                found.push(month);
            }
        }
        Ok(found)
    }
}

/// The span of a master's rules and dates.
fn series_piece(set: &Set, floating: &Zone) -> Option<Extent> {
    let master = set.master.as_ref()?;
    let start = master.source.start.as_ref()?.local();
    let zone = match &set.axis {
        Axis::Floating => floating,
        Axis::Fixed(zone) => zone,
    };
    let mut first = start;
    let mut last = Some(start);
    for bounded in &master.series {
        last = match bounded.series.last(&Limits::default()) {
            Ok(Last::At(at)) => last.map(|last| last.max(at)),
            Ok(Last::Endless) | Err(_) => None,
        };
    }
    for extra in &master.extras {
        first = first.min(extra.local);
        last = last.map(|last| last.max(extra.local));
    }
    if master.series.is_empty() && master.extras.is_empty() {
        return None;
    }
    let slack = set.shift.saturating_add(DAY);
    let end = last.map(|last| later(last, set.longest.saturating_add(slack)));
    Some(Extent {
        start: zone.instant(later(first, slack.saturating_neg())),
        starts_inside: true,
        end: end.map_or(Timestamp::MAX, |end| zone.instant(end)),
        ends_inside: true,
    })
}

impl Summary {
    /// Where its instances lie in time: for [`Summary::exact`] ones the condition of RFC 4791 §9.9,
    /// for others bounds that are never too narrow.
    #[must_use]
    pub fn extent(&self, floating: &Zone) -> Extent {
        let (start, end) = self.bounds((self.first, self.last), &self.zone(floating));
        Extent {
            start,
            starts_inside: self.starts_inside || !self.exact,
            end,
            ends_inside: self.ends_inside || !self.exact,
        }
    }

    /// Whether it overlaps a range, as far as it can tell.
    #[must_use]
    pub fn verdict(&self, range: &Range, floating: &Zone) -> Verdict {
        if self.is_nowhere() {
            return Verdict::No;
        }
        if self.exact {
            return if self.extent(floating).overlaps(range) {
                Verdict::Yes
            } else {
                Verdict::No
            };
        }
        if self.may_overlap(range, floating) {
            Verdict::Maybe
        } else {
            Verdict::No
        }
    }

    /// Whether it can have an instance that overlaps the range. It is never wrong about "no".
    #[must_use]
    pub fn may_overlap(&self, range: &Range, floating: &Zone) -> bool {
        let (first, last) = (Month::of(range.start).0, Month::of(range.end).0);
        if self.is_nowhere() || self.recurring && !self.season.meets(first, last - first + 1) {
            return false;
        }
        if !self.extent(floating).overlaps(range) {
            return false;
        }
        let zone = self.zone(floating);
        self.spans.is_empty()
            || self.spans.iter().any(|span| {
                let (start, end) = self.bounds(*span, &zone);
                start <= range.end && range.start <= end
            })
    }

    /// Whether one of its alarms can go off in the range. It is never wrong about "no".
    #[must_use]
    pub fn may_alarm(&self, range: &Range, floating: &Zone) -> bool {
        let (lead, lag) = (i64::from(self.alarm_lead), i64::from(self.alarm_lag));
        let wide = range.widened(lag + DAY, lead + DAY);
        let anywhere = self.alarm_lead == u32::MAX;
        self.alarms && (anywhere || self.may_overlap(&wide, floating))
    }

    /// The months within a horizon in which it lies, both ends included; nothing for what recurs,
    /// see [`Compiled::months`].
    #[must_use]
    pub fn months(&self, horizon: (Month, Month), floating: &Zone) -> Option<Vec<Month>> {
        if self.recurring {
            return None;
        }
        if self.is_nowhere() {
            return Some(Vec::new());
        }
        let extent = self.extent(floating);
        let first = Month::of(extent.start.min(extent.end)).max(horizon.0);
        let last = Month::of(extent.end.max(extent.start)).min(horizon.1);
        Some((first.0..=last.0).map(Month).collect())
    }

    /// Whether it has no instance at all, such as a journal without DTSTART.
    #[must_use]
    pub fn is_nowhere(&self) -> bool {
        self.first == LocalTime::MAX && self.last == LocalTime::MIN
    }

    fn zone(&self, floating: &Zone) -> Zone {
        match &self.form {
            Form::AllDay | Form::Floating => floating.clone(),
            Form::Utc | Form::Mixed => Zone::utc(),
            Form::Zoned(id) => Zone::named(id).unwrap_or_else(Zone::utc),
        }
    }

    fn bounds(&self, span: (LocalTime, LocalTime), zone: &Zone) -> (Timestamp, Timestamp) {
        let lost = matches!(&self.form, Form::Zoned(id) if zone.id() != &**id);
        let slack = if self.form == Form::Mixed || lost {
            DAY
        } else {
            0
        };
        let start = match span.0 {
            LocalTime::MIN => Timestamp::MIN,
            start => zone.instant(start).add_seconds(-slack),
        };
        let end = match span.1 {
            LocalTime::MAX => Timestamp::MAX,
            end => zone.instant(end).add_seconds(slack),
        };
        (start, end)
    }
}

/// A month in UTC: months since January 1970.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Month(pub i32);

impl Month {
    /// The month of an instant, within the years 1 to 9999.
    #[must_use]
    pub fn of(instant: Timestamp) -> Month {
        let date = instant.utc().date();
        Month((date.year() - 1970) * 12 + i32::from(date.month()) - 1)
    }

    /// Its first instant.
    #[must_use]
    pub fn start(self) -> Timestamp {
        let (year, month) = (1970 + self.0.div_euclid(12), self.0.rem_euclid(12) + 1);
        let month = u8::try_from(month).unwrap_or(1);
        match crate::ical::Date::new(year, month, 1) {
            Some(date) => date.midnight().as_utc(),
            None if year < 1 => Timestamp::MIN,
            None => Timestamp::MAX,
        }
    }
}
