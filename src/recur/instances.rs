//! Which instances a calendar object has in a range (RFC 5545 §3.8.5, RFC 4791 §9.9).
//!
//! An object is compiled once: rules read, exceptions and overrides sorted. What is compiled holds
//! no text and can be kept as long as the object does not change.
//!
//! **Gaps**: instances of a rule that fall into a gap of their zone may come up to the length of
//! the gap too late in [`Compiled::visit`]; [`Compiled::instances`] sorts.

use std::borrow::Cow;
use std::collections::HashMap;
use std::ops::ControlFlow;

use crate::ical::{Component, Kind, LocalTime, Timestamp, When};

use super::expand::{Limits, TooMuch, Walk, Work};
use super::range::{Extent, Range};
use super::rule_read::{RuleError, RuleProblem};
use super::set::{Bounded, Extra, Question, Set};
use super::source::{Source, kind_of};
use super::zone::{Zone, Zones};

/// A calendar object made ready for questions about time.
#[derive(Clone, Debug)]
pub struct Compiled {
    pub(super) kind: Option<Kind>,
    pub(super) zones: Zones,
    pub(super) sets: Vec<Set>,
    problems: Vec<RecurProblem>,
}

/// One instance of a calendar object.
#[derive(Clone, Debug, PartialEq)]
pub struct Instance {
    /// Its RECURRENCE-ID in the form of the master's DTSTART; nothing where nothing recurs.
    pub id: Option<When>,
    /// Its DTSTART, or its DUE where a to-do has no DTSTART.
    pub start: Option<When>,
    /// Its DTEND or DUE, effective where a length says it, in the form of its start.
    pub end: Option<When>,
    /// The instant it starts.
    pub from: Timestamp,
    /// The instant it ends.
    pub to: Timestamp,
    /// The condition that tells whether it overlaps a range. RFC 4791 §9.9
    pub extent: Extent,
    /// The component it comes from: the position among the object's components of its kind.
    pub component: usize,
    /// How it comes from there.
    pub part: Part,
}

/// How an instance comes from its component.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Part {
    /// The component does not recur.
    Single,
    /// The master's rules and dates give it.
    Master,
    /// The component overrides this instance.
    Override,
    /// The component overrides this instance or an earlier one and all later ones.
    /// RFC 5545 §3.2.13
    Future,
}

/// A fault of a recurrence property.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct RecurProblem {
    /// The line of the property.
    pub line: u32,
    /// What is wrong.
    pub fault: RecurFault,
}

/// What is wrong with a recurrence property.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum RecurFault {
    /// The rule means nothing and is left out.
    Unreadable(RuleError),
    /// The rule is not as RFC 5545 wants it.
    Odd(RuleProblem),
}

/// A question about the instances of an object.
#[derive(Clone, Copy, Debug)]
pub struct Query<'a> {
    /// The range they must overlap.
    pub range: Range,
    /// The zone of days and floating times. RFC 4791 §7.3
    pub floating: &'a Zone,
    /// The component they must come from, or any.
    pub component: Option<usize>,
}

impl RecurProblem {
    pub(super) fn odd(line: u32, problem: RuleProblem) -> RecurProblem {
        let fault = RecurFault::Odd(problem);
        RecurProblem { line, fault }
    }

    pub(super) fn unreadable(line: u32, error: RuleError) -> RecurProblem {
        let fault = RecurFault::Unreadable(error);
        RecurProblem { line, fault }
    }
}

impl std::fmt::Display for RecurProblem {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self.fault {
            RecurFault::Unreadable(error) => write!(f, "line {}: {error}", self.line),
            RecurFault::Odd(problem) => write!(f, "line {}: {problem}", self.line),
        }
    }
}

/// Compiles a VCALENDAR. What is wrong with its rules is in [`Compiled::problems`].
#[must_use]
pub fn compile(calendar: &Component) -> Compiled {
    let zones = Zones::of(calendar);
    let kind = kind_of(calendar);
    let mut problems = Vec::new();
    let mut sets = Vec::new();
    if let Some(kind) = kind {
        let components: Vec<_> = calendar.components(kind.component_name()).collect();
        sets = sets_of(&components, kind, &zones, &mut problems);
    }
    if kind == Some(Kind::Event) && calendar.property("METHOD").is_some() {
        sets.iter_mut().for_each(Set::open);
    }
    Compiled {
        kind,
        zones,
        sets,
        problems,
    }
}

/// The recurrence sets of some components: one for each UID, and for each further master.
pub(super) fn sets_of(
    components: &[&Component],
    kind: Kind,
    zones: &Zones,
    problems: &mut Vec<RecurProblem>,
) -> Vec<Set> {
    let mut groups: Vec<Vec<(usize, &Component)>> = Vec::new();
    let mut latest: HashMap<Option<Cow<'_, str>>, (usize, bool)> = HashMap::new();
    for (index, component) in components.iter().enumerate() {
        let is_master = component.property("RECURRENCE-ID").is_none();
        let (group, has_master) = latest
            .entry(component.text("UID"))
            .or_insert((groups.len(), false));
        if is_master && *has_master {
            *group = groups.len();
        }
        *has_master |= is_master;
        match groups.get_mut(*group) {
            Some(group) => group.push((index, component)),
            None => groups.push(vec![(index, component)]),
        }
    }
    let set = |group: &Vec<(usize, &Component)>| Set::new(group, kind, zones, problems);
    groups.iter().map(set).collect()
}

impl Compiled {
    /// The kind of its components.
    #[must_use]
    pub fn kind(&self) -> Option<Kind> {
        self.kind
    }

    /// The zones its TZIDs mean.
    #[must_use]
    pub fn zones(&self) -> &Zones {
        &self.zones
    }

    /// What is wrong with its recurrence properties.
    #[must_use]
    pub fn problems(&self) -> &[RecurProblem] {
        &self.problems
    }

    /// Roughly how many bytes it takes.
    #[must_use]
    pub fn size(&self) -> usize {
        let sets = self.sets.iter().map(|set| {
            let alarms = set.sources().map(|source| source.alarms.len() * 64);
            let master = set.master.as_ref().map_or(0, |master| master.size());
            256 + master + set.overrides.len() * 320 + alarms.sum::<usize>()
        });
        self.zones.size() + sets.sum::<usize>()
    }

    /// Whether a rule of it has neither COUNT nor UNTIL.
    #[must_use]
    pub fn is_endless(&self) -> bool {
        self.sets.iter().any(Set::is_endless)
    }

    /// Whether it has rules, dates or overrides.
    #[must_use]
    pub fn recurs(&self) -> bool {
        self.sets.iter().any(Set::recurs)
    }

    /// Shows the instances that overlap the range one by one, of each UID earlier ones first, until
    /// the visitor breaks off.
    ///
    /// # Errors
    ///
    /// When it meets the limit on work.
    pub fn visit(
        &self,
        query: &Query<'_>,
        limits: &Limits,
        visitor: &mut dyn FnMut(&Instance) -> ControlFlow<()>,
    ) -> Result<(), TooMuch> {
        let mut work = Work::new(limits);
        let range = query.range;
        let mut show = |instance: &Instance, _: &Source| {
            if instance.extent.overlaps(&range) {
                visitor(instance)
            } else {
                ControlFlow::Continue(())
            }
        };
        for set in &self.sets {
            if self.visit_set(set, query, &mut work, &mut show)?.is_break() {
                break;
            }
        }
        Ok(())
    }

    /// Every instance that overlaps the range, sorted by its start.
    ///
    /// # Errors
    ///
    /// When it meets a limit.
    pub fn instances(
        &self,
        range: Range,
        floating: &Zone,
        limits: &Limits,
    ) -> Result<Vec<Instance>, TooMuch> {
        let mut found = Vec::new();
        let mut full = false;
        let query = Query {
            range,
            floating,
            component: None,
        };
        self.visit(&query, limits, &mut |instance| {
            full = found.len() == limits.instances;
            if full {
                return ControlFlow::Break(());
            }
            found.push(instance.clone());
            ControlFlow::Continue(())
        })?;
        if full {
            return Err(TooMuch::Instances);
        }
        found.sort_by_key(|instance| (instance.from, instance.to));
        Ok(found)
    }

    /// Whether any instance overlaps the range. RFC 4791 §9.9
    ///
    /// # Errors
    ///
    /// When it meets the limit on work.
    pub fn overlaps(
        &self,
        range: Range,
        floating: &Zone,
        limits: &Limits,
    ) -> Result<bool, TooMuch> {
        let mut found = false;
        let query = Query {
            range,
            floating,
            component: None,
        };
        self.visit(&query, limits, &mut |_| {
            found = true;
            ControlFlow::Break(())
        })?;
        Ok(found)
    }

    /// The number of its instances, or nothing when they never end.
    ///
    /// # Errors
    ///
    /// When it meets a limit.
    pub fn count(&self, limits: &Limits) -> Result<Option<usize>, TooMuch> {
        if self.is_endless() {
            return Ok(None);
        }
        let floating = Zone::utc();
        let query = Query {
            range: Range::ALL,
            floating: &floating,
            component: None,
        };
        let mut count = 0;
        self.visit(&query, limits, &mut |_| {
            count += 1;
            if count > limits.instances {
                return ControlFlow::Break(());
            }
            ControlFlow::Continue(())
        })?;
        if count > limits.instances {
            return Err(TooMuch::Instances);
        }
        Ok(Some(count))
    }

    /// Shows the instances of one set that may touch the range, whatever their condition is.
    pub(super) fn visit_set(
        &self,
        set: &Set,
        query: &Query<'_>,
        work: &mut Work,
        show: &mut dyn FnMut(&Instance, &Source) -> ControlFlow<()>,
    ) -> Result<ControlFlow<()>, TooMuch> {
        let question = Question {
            from: query.range.start,
            to: query.range.end,
            floating: query.floating,
            zones: &self.zones,
            component: query.component,
        };
        for source in set
            .sources()
            .filter(|it| query.component.is_none_or(|i| i == it.index))
        {
            for extent in source.fixed(&self.zones, query.floating) {
                work.spend(1)?;
                if show(&fixed_instance(source, extent), source).is_break() {
                    return Ok(ControlFlow::Break(()));
                }
            }
        }
        let mut overrides = set.overrides_in(&question).into_iter().peekable();
        work.spend(set.overrides.len())?;
        let mut streams = Streams::new(set, &question, work)?;
        loop {
            let next = streams.next(work)?;
            let from = next
                .as_ref()
                .map_or(Timestamp::MAX, |(instance, _)| instance.from);
            while let Some((instance, source)) =
                overrides.next_if(|(instance, _)| next.is_none() || instance.from <= from)
            {
                if show(&instance, source).is_break() {
                    return Ok(ControlFlow::Break(()));
                }
            }
            let Some((instance, source)) = next else {
                return Ok(ControlFlow::Continue(()));
            };
            if show(&instance, source).is_break() {
                return Ok(ControlFlow::Break(()));
            }
        }
    }
}

fn fixed_instance(source: &Source, extent: Extent) -> Instance {
    Instance {
        id: None,
        start: source.start.clone(),
        end: None,
        from: extent.start,
        to: extent.end,
        extent,
        component: source.index,
        part: Part::Single,
    }
}

/// The rules and dates of a master, merged.
struct Streams<'a> {
    set: &'a Set,
    question: &'a Question<'a>,
    rules: Vec<Head<'a>>,
    extras: std::iter::Peekable<std::slice::Iter<'a, Extra>>,
    last: Option<LocalTime>,
}

/// A rule and its next instance.
struct Head<'a> {
    walk: Walk<'a>,
    rule: &'a Bounded,
    next: Option<LocalTime>,
}

impl Head<'_> {
    fn advance(&mut self, zone: &Zone, work: &mut Work) -> Result<(), TooMuch> {
        self.next = None;
        while let Some(seconds) = self.walk.next(work)? {
            let local = LocalTime::from_seconds(seconds);
            if let Some(local) = local.filter(|local| self.rule.allows(*local, zone)) {
                self.next = Some(local);
                break;
            }
        }
        Ok(())
    }
}

impl<'a> Streams<'a> {
    fn new(
        set: &'a Set,
        question: &'a Question<'a>,
        work: &mut Work,
    ) -> Result<Streams<'a>, TooMuch> {
        let master = set.master.as_ref();
        let window = set.window(question);
        let wanted = |index: usize| {
            let future = |source: &Source| source.future && source.index == index;
            let masters = master.is_some_and(|master| master.source.index == index);
            masters || set.sources().any(future)
        };
        let asked = question.component.is_none_or(wanted);
        let mut rules = Vec::new();
        for rule in master
            .iter()
            .filter(|_| asked)
            .flat_map(|master| &master.series)
        {
            let mut head = Head {
                walk: rule.series.walk(window, work)?,
                rule,
                next: None,
            };
            head.advance(set.axis.zone(question.floating), work)?;
            rules.push(head);
        }
        let extras = master
            .filter(|_| asked)
            .map_or(&[][..], |master| &master.extras);
        Ok(Streams {
            set,
            question,
            rules,
            extras: extras.iter().peekable(),
            last: None,
        })
    }

    fn next(&mut self, work: &mut Work) -> Result<Option<(Instance, &'a Source)>, TooMuch> {
        let (set, question) = (self.set, self.question);
        let zone = set.axis.zone(question.floating);
        loop {
            let rule = self.rules.iter().filter_map(|head| head.next).min();
            let extra = self.extras.peek().map(|extra| extra.local);
            let Some(local) = rule.into_iter().chain(extra).min() else {
                return Ok(None);
            };
            work.spend(1)?;
            for head in self
                .rules
                .iter_mut()
                .filter(|head| head.next == Some(local))
            {
                head.advance(zone, work)?;
            }
            let extra = self.extras.next_if(|extra| extra.local == local);
            if self.last == Some(local) {
                continue;
            }
            self.last = Some(local);
            if extra.is_none() && set.is_repeated(local, work)? {
                continue;
            }
            let at = (local, extra.and_then(|extra| extra.length));
            if let Some(found) = set.instance_at(at, question, work)? {
                return Ok(Some(found));
            }
        }
    }
}
