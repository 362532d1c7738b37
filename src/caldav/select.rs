//! The objects of a calendar that match a filter: by the index where it can tell, by the instances
//! where only those are asked for, by the texts else. RFC 4791 §7.8

use super::filter::Filter;
use super::limits::Limits;
use super::matching::{Subject, matches};
use super::quick::{self, Facts, decide};
use super::shape::read;
use crate::recur::{Compiled, Range, Summary, TooMuch, Verdict, Zone, compile};
use crate::store::{self, Collection, Component, Header, Home, Members};
use std::cell::Cell;

/// What is asked of objects.
pub struct Question<'a> {
    /// The filter.
    pub filter: &'a Filter,
    /// Where floating times lie. RFC 4791 §7.3
    pub floating: &'a Zone,
    /// How far it may go.
    pub limits: &'a Limits,
}

/// Why there is no answer.
#[derive(Debug)]
pub enum Error {
    /// The store could not read.
    Store(store::Error),
    /// An expansion met its limit: there is no partial answer.
    TooMuch(TooMuch),
}

impl From<store::Error> for Error {
    fn from(error: store::Error) -> Error {
        Error::Store(error)
    }
}

impl From<TooMuch> for Error {
    fn from(error: TooMuch) -> Error {
        Error::TooMuch(error)
    }
}

/// An object, and what is known of it so far.
type Candidate = (Header, Verdict);

/// How many texts are read at once.
const BATCH: usize = 256;

/// The objects of a calendar that match, in the order of their names.
pub async fn select(
    home: &Home,
    collection: &Collection,
    question: &Question<'_>,
) -> Result<Vec<Header>, Error> {
    let members = home.members(collection).await?;
    let candidates = question.candidates(&members);
    question.decided(home, candidates).await
}

/// Whether one object matches.
pub async fn selects(home: &Home, header: &Header, question: &Question<'_>) -> Result<bool, Error> {
    let candidate = vec![(header.clone(), Verdict::Maybe)];
    Ok(!question.decided(home, candidate).await?.is_empty())
}

impl Question<'_> {
    /// What may match, by the index: what is in the filter's window, as far as it is not decided.
    fn candidates(&self, members: &Members) -> Vec<Candidate> {
        let window = quick::window(self.filter);
        let component = window.component.as_deref().map(Component::named);
        let judged = |(header, verdict): Candidate| {
            let known = window.range.map(|range| (range, verdict));
            let verdict = self.judge(&header, known);
            (verdict != Verdict::No).then_some((header, verdict))
        };
        match (component, window.range) {
            (Some(None), _) => Vec::new(),
            (component, Some(range)) => {
                let found = members.overlapping(&range, self.floating, component.flatten());
                found.into_iter().filter_map(judged).collect()
            }
            (_, None) => {
                let all = members.iter().map(|header| (header, Verdict::Maybe));
                all.filter_map(judged).collect()
            }
        }
    }

    /// What the header says of an object; `known` is what the index said of a range.
    fn judge(&self, header: &Header, known: Option<(Range, Verdict)>) -> Verdict {
        let summary = || Summary::decode(header.summary());
        let overlaps = |range: &Range| match known {
            Some((asked, verdict)) if asked == *range => verdict,
            _ => summary().map_or(Verdict::Maybe, |s| s.verdict(range, self.floating)),
        };
        let alarms = |range: &Range| match summary() {
            Some(summary) if !summary.may_alarm(range, self.floating) => Verdict::No,
            _ => Verdict::Maybe,
        };
        decide(self.filter, &facts(header, &overlaps, &alarms))
    }

    /// The headers that match.
    async fn decided(&self, home: &Home, found: Vec<Candidate>) -> Result<Vec<Header>, Error> {
        let found = self.refined(home, found).await?;
        let undecided = undecided(&found);
        let mut exact = Vec::with_capacity(undecided.len());
        for batch in undecided.chunks(BATCH) {
            for text in home.texts(batch).await? {
                exact.push(self.matches(&text)?);
            }
        }
        let mut exact = exact.into_iter();
        let matching = |(header, verdict)| match verdict {
            Verdict::Maybe => exact.next().unwrap_or(false).then_some(header),
            Verdict::Yes => Some(header),
            Verdict::No => None,
        };
        Ok(found.into_iter().filter_map(matching).collect())
    }

    /// Decides by the instances of the objects what the index left open of ranges.
    async fn refined(
        &self,
        home: &Home,
        mut found: Vec<Candidate>,
    ) -> Result<Vec<Candidate>, Error> {
        if self.filter.ranges().is_empty() {
            return Ok(found);
        }
        let compiled = home.compiled(&undecided(&found)).await?;
        let mut compiled = compiled.iter();
        for (header, verdict) in &mut found {
            if *verdict == Verdict::Maybe
                && let Some(compiled) = compiled.next()
            {
                *verdict = self.by_instances(header, compiled)?;
            }
        }
        Ok(found)
    }

    fn by_instances(&self, header: &Header, compiled: &Compiled) -> Result<Verdict, TooMuch> {
        let limits = &self.limits.recur;
        let too_much = Cell::new(None);
        let verdict = |overlaps: Result<bool, TooMuch>| match overlaps {
            Ok(true) => Verdict::Yes,
            Ok(false) => Verdict::No,
            Err(error) => {
                too_much.set(Some(error));
                Verdict::Maybe
            }
        };
        let overlaps = |range: &Range| verdict(compiled.overlaps(*range, self.floating, limits));
        let alarms =
            |range: &Range| verdict(compiled.alarms_overlap(*range, self.floating, limits));
        let decided = decide(self.filter, &facts(header, &overlaps, &alarms));
        too_much.take().map_or(Ok(decided), Err)
    }

    /// The exact test. Instances are of no interest where no range is asked for.
    fn matches(&self, text: &[u8]) -> Result<bool, TooMuch> {
        let calendar = read(&String::from_utf8_lossy(text), &self.limits.ical);
        let compiled = match self.filter.ranges().is_empty() {
            true => compile(&crate::ical::Component::new("VCALENDAR")),
            false => compile(&calendar),
        };
        let subject = Subject {
            calendar: &calendar,
            compiled: &compiled,
            floating: self.floating,
            limits: &self.limits.recur,
        };
        matches(self.filter, &subject)
    }
}

fn facts<'a>(
    header: &'a Header,
    overlaps: &'a dyn Fn(&Range) -> Verdict,
    alarms: &'a dyn Fn(&Range) -> Verdict,
) -> Facts<'a> {
    Facts {
        component: header.component.map(Component::name),
        uid: header.uid(),
        overlaps,
        alarms,
    }
}

/// The headers that are not decided yet.
fn undecided(found: &[Candidate]) -> Vec<Header> {
    let open = found
        .iter()
        .filter(|(_, verdict)| *verdict == Verdict::Maybe);
    open.map(|(header, _)| header.clone()).collect()
}
