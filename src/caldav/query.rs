//! CALDAV:calendar-query: RFC 4791 §7.8.
//!
//! Which calendars are searched follows from RFC 4791 §7.2: a calendar that is the target at any
//! depth, and those in a home that is the target with a depth of 1 or infinity. The index answers
//! for most objects (`quick`); texts are read of those it cannot decide.

use super::filter::{self, Filter};
use super::limits::Limits;
use super::matching::{Subject, matches};
use super::quick::{self, Facts, decide};
use super::shape::read;
use super::{report, zone};
use crate::dav::multistatus::{Multistatus, Plan, member_href};
use crate::dav::{
    Answer, Condition, Context, Depth, Ending, Error, Place, Resource, Response, Return,
};
use crate::recur::{Compiled, Range, Summary, TooMuch, Verdict, Zone, compile};
use crate::store::{self, Collection, Component, Header};
use crate::xml::{Element, Name};
use std::cell::Cell;
use std::sync::Arc;

/// Runs the report.
pub(super) fn run<'a>(cx: &'a mut Context, query: &'a Element) -> Answer<'a> {
    Box::pin(answer(cx, query))
}

async fn answer(cx: &Context, query: &Element) -> Result<Response, Error> {
    let limits = Limits::of(&cx.shared.limits);
    let plan = report::plan(query, Return::of(&cx.request.headers), &limits)?;
    let filter = query.child(Name::caldav("filter"));
    let filter = filter.ok_or_else(|| Condition::ValidFilter.because("A filter is missing."))?;
    let filter = filter::read(filter).map_err(report::bad_filter)?;
    for range in filter.ranges() {
        report::within(&range, &limits)?;
    }
    let floating = zone::of_query(query, &limits.ical)?;
    let search = Search {
        cx,
        filter,
        floating,
        plan,
        limits,
    };
    let mut out = Multistatus::new(cx);
    match &cx.target {
        Resource::Collection(place, collection) => {
            let base = cx.hrefs.own(&cx.request.path, Ending::Slash);
            search
                .calendar(&mut out, (place, collection), &base)
                .await?;
        }
        Resource::Home(place) if reaches_members(cx)? => {
            for collection in calendars(place) {
                let base = crate::dav::collection_href(&cx.hrefs, &place.owner, &collection.name);
                search
                    .calendar(&mut out, (place, collection), &base)
                    .await?;
            }
        }
        Resource::Object(place, collection, header) => {
            search.object(&mut out, (place, collection), header).await?;
        }
        _ => {}
    }
    Ok(out.finish())
}

/// Whether the request reaches the calendars in a home: none does without Depth, as RFC 4791 §7.8
/// takes 0 for granted.
pub(super) fn reaches_members(cx: &Context) -> Result<bool, Error> {
    let depth = Depth::of(&cx.request.headers)?;
    Ok(matches!(depth, Some(Depth::One | Depth::Infinity)))
}

/// The calendars in a home.
pub(super) fn calendars(place: &Place) -> impl Iterator<Item = &Arc<Collection>> {
    let collections = place.home.collections();
    collections.filter(|collection| collection.kind == store::Kind::Calendar)
}

/// What is searched for, and what is returned of it.
struct Search<'a> {
    cx: &'a Context,
    filter: Filter,
    /// The zone that the request names. RFC 4791 §9.8
    floating: Option<Zone>,
    plan: Plan<'a>,
    limits: Limits,
}

impl Search<'_> {
    fn zone(&self, place: &Place, collection: &Collection) -> Zone {
        let own = || zone::of_collection(place, collection, &self.limits.ical);
        self.floating.clone().unwrap_or_else(own)
    }

    async fn calendar(
        &self,
        out: &mut Multistatus<'_>,
        (place, collection): (&Place, &Arc<Collection>),
        base: &str,
    ) -> Result<(), Error> {
        let zone = self.zone(place, collection);
        let members = place.home.members(collection).await?;
        let candidates = self.candidates(&members, &zone);
        let found = self.decided(place, candidates, &zone).await?;
        let hrefs = &self.cx.hrefs;
        let found = found.into_iter().map(|header| {
            let href = member_href(hrefs, base, header.name());
            (href, header)
        });
        out.members((place, collection), found, &self.plan).await
    }

    async fn object(
        &self,
        out: &mut Multistatus<'_>,
        (place, collection): (&Place, &Arc<Collection>),
        header: &Header,
    ) -> Result<(), Error> {
        let zone = self.zone(place, collection);
        let candidate = vec![(header.clone(), Verdict::Maybe)];
        if self.decided(place, candidate, &zone).await?.is_empty() {
            return Ok(());
        }
        let href = self.cx.hrefs.own(&self.cx.request.path, Ending::Nothing);
        out.response(&href, &self.cx.target, &self.plan).await
    }

    /// What may match, by the index: those in the filter's window, as far as they are not decided.
    fn candidates(&self, members: &store::Members, zone: &Zone) -> Vec<(Header, Verdict)> {
        let window = quick::window(&self.filter);
        let component = window.component.as_deref().map(Component::named);
        let judged = |(header, verdict): (Header, Verdict)| {
            let known = window.range.map(|range| (range, verdict));
            let verdict = self.judge(&header, known, zone);
            (verdict != Verdict::No).then_some((header, verdict))
        };
        match (component, window.range) {
            (Some(None), _) => Vec::new(),
            (component, Some(range)) => {
                let found = members.overlapping(&range, zone, component.flatten());
                found.into_iter().filter_map(judged).collect()
            }
            (_, None) => members
                .iter()
                .map(|header| (header, Verdict::Maybe))
                .filter_map(judged)
                .collect(),
        }
    }

    /// What the header says of an object; `known` is what the index said of a range.
    fn judge(&self, header: &Header, known: Option<(Range, Verdict)>, zone: &Zone) -> Verdict {
        let summary = || Summary::decode(header.summary());
        let overlaps = |range: &Range| match known {
            Some((asked, verdict)) if asked == *range => verdict,
            _ => summary().map_or(Verdict::Maybe, |s| s.verdict(range, zone)),
        };
        let alarms = |range: &Range| match summary() {
            Some(summary) if !summary.may_alarm(range, zone) => Verdict::No,
            _ => Verdict::Maybe,
        };
        let facts = Facts {
            component: header.component.map(Component::name),
            uid: header.uid(),
            overlaps: &overlaps,
            alarms: &alarms,
        };
        decide(&self.filter, &facts)
    }

    /// The headers that match: where the index could not decide, by their texts.
    async fn decided(
        &self,
        place: &Place,
        candidates: Vec<(Header, Verdict)>,
        zone: &Zone,
    ) -> Result<Vec<Header>, Error> {
        let candidates = self.refined(place, candidates, zone).await?;
        let undecided = undecided(&candidates);
        let mut exact = Vec::with_capacity(undecided.len());
        for batch in undecided.chunks(BATCH) {
            for text in place.home.texts(batch).await? {
                exact.push(self.matches(&text, zone)?);
            }
        }
        let mut exact = exact.into_iter();
        let matching = |(header, verdict)| match verdict {
            Verdict::Maybe => exact.next().unwrap_or(false).then_some(header),
            Verdict::Yes => Some(header),
            Verdict::No => None,
        };
        Ok(candidates.into_iter().filter_map(matching).collect())
    }

    /// Decides by the instances of the objects, without their texts, what the index left open of
    /// ranges.
    async fn refined(
        &self,
        place: &Place,
        mut candidates: Vec<(Header, Verdict)>,
        zone: &Zone,
    ) -> Result<Vec<(Header, Verdict)>, Error> {
        if self.filter.ranges().is_empty() {
            return Ok(candidates);
        }
        let compiled = place.home.compiled(&undecided(&candidates)).await?;
        let mut compiled = compiled.iter();
        for (header, verdict) in &mut candidates {
            if *verdict == Verdict::Maybe
                && let Some(compiled) = compiled.next()
            {
                *verdict = self.by_instances(header, compiled, zone)?;
            }
        }
        Ok(candidates)
    }

    fn by_instances(
        &self,
        header: &Header,
        compiled: &Compiled,
        zone: &Zone,
    ) -> Result<Verdict, Error> {
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
        let facts = Facts {
            component: header.component.map(Component::name),
            uid: header.uid(),
            overlaps: &|range| verdict(compiled.overlaps(*range, zone, limits)),
            alarms: &|range| verdict(compiled.alarms_overlap(*range, zone, limits)),
        };
        let decided = decide(&self.filter, &facts);
        too_much
            .take()
            .map_or(Ok(decided), |error| Err(report::too_much(error)))
    }

    fn matches(&self, text: &[u8], zone: &Zone) -> Result<bool, Error> {
        let limits = &self.limits;
        let calendar = read(&String::from_utf8_lossy(text), &limits.ical);
        let compiled = compile(&calendar);
        let subject = Subject {
            calendar: &calendar,
            compiled: &compiled,
            floating: zone,
            limits: &limits.recur,
        };
        matches(&self.filter, &subject).map_err(report::too_much)
    }
}

/// The headers that are not decided yet.
fn undecided(candidates: &[(Header, Verdict)]) -> Vec<Header> {
    let open = candidates
        .iter()
        .filter(|(_, verdict)| *verdict == Verdict::Maybe);
    open.map(|(header, _)| header.clone()).collect()
}

/// How many texts are read at once.
const BATCH: usize = 256;
