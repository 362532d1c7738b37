//! CALDAV:calendar-query: RFC 4791 §7.8.
//!
//! Which calendars are searched follows from RFC 4791 §7.2: a calendar that is the target at any
//! depth, and those in a home that is the target with a depth of 1 or infinity. What
//! matches is found by `select`.

use super::filter::{self, Filter};
use super::limits::Limits;
use super::select::{self, Question, select, selects};
use super::{report, zone};
use crate::dav::multistatus::{Multistatus, Plan, member_href};
use crate::dav::{
    Answer, Condition, Context, Depth, Ending, Error, Place, Resource, Response, Return,
};
use crate::recur::Zone;
use crate::store::{self, Collection, Header};
use crate::xml::{Element, Name};
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
        let question = self.question(&zone);
        let found = select(&place.home, collection, &question).await;
        let hrefs = &self.cx.hrefs;
        let found = found.map_err(no_answer)?.into_iter().map(|header| {
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
        let selected = selects(&place.home, header, &self.question(&zone)).await;
        if !selected.map_err(no_answer)? {
            return Ok(());
        }
        let href = self.cx.hrefs.own(&self.cx.request.path, Ending::Nothing);
        out.response(&href, &self.cx.target, &self.plan).await
    }

    fn question<'a>(&'a self, floating: &'a Zone) -> Question<'a> {
        Question {
            filter: &self.filter,
            floating,
            limits: &self.limits,
        }
    }
}

fn no_answer(error: select::Error) -> Error {
    match error {
        select::Error::Store(error) => error.into(),
        select::Error::TooMuch(error) => report::too_much(error),
    }
}
