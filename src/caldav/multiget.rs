//! CALDAV:calendar-multiget: RFC 4791 §7.9.
//!
//! hrefs are answered as they were written; what they name outside of the request's collection is
//! not there. Depth is ignored.

use super::limits::Limits;
use super::report;
use crate::dav::multistatus::{Multistatus, Plan};
use crate::dav::{Answer, Condition, Context, Ending, Error, Resource, Response, Return};
use crate::store::{Collection, Header, Members};
use crate::xml::{Element, Name};
use std::collections::{HashMap, HashSet};
use std::sync::Arc;

/// Runs the report.
pub(super) fn run<'a>(cx: &'a mut Context, multiget: &'a Element) -> Answer<'a> {
    Box::pin(answer(cx, multiget))
}

async fn answer(cx: &Context, multiget: &Element) -> Result<Response, Error> {
    let limits = &cx.shared.limits;
    let preference = Return::of(&cx.request.headers);
    let plan = report::plan(multiget, preference, &Limits::of(limits))?;
    let hrefs: Vec<_> = multiget
        .children(Name::dav("href"))
        .map(Element::text)
        .collect();
    if hrefs.len() > limits.hrefs {
        return Err(Condition::NumberOfMatchesWithinLimits.into());
    }
    let mut found = Found::default();
    let mut seen = HashSet::new();
    for href in &hrefs {
        if seen.insert(href.trim()) {
            found.look_up(cx, href.trim()).await?;
        }
    }
    let mut out = Multistatus::new(cx);
    found.write(cx, &plan, &mut out).await?;
    Ok(out.finish())
}

/// What the hrefs name, by collection; and what is missing.
#[derive(Default)]
struct Found {
    calendars: Vec<Calendar>,
    by_name: HashMap<String, usize>,
    missing: Vec<String>,
}

/// A calendar with those of its members that are asked for.
struct Calendar {
    collection: Arc<Collection>,
    members: Arc<Members>,
    headers: Vec<(String, Header)>,
}

impl Found {
    /// Adds what an href names.
    async fn look_up(&mut self, cx: &Context, reference: &str) -> Result<(), Error> {
        let Some(path) = cx.path_of(reference) else {
            self.missing.push(reference.to_owned());
            return Ok(());
        };
        let href = cx.hrefs.own(&path, Ending::Nothing);
        let names = below(cx, path.segments()).filter(|_| !path.slash());
        let Some((collection, object)) = names else {
            self.missing.push(href);
            return Ok(());
        };
        let header = match self.calendar(cx, &collection).await? {
            Some(calendar) => calendar.members.header(object),
            None => None,
        };
        match (header, self.by_name.get(&collection)) {
            (Some(header), Some(index)) => {
                if let Some(calendar) = self.calendars.get_mut(*index) {
                    calendar.headers.push((href, header));
                }
            }
            _ => self.missing.push(href),
        }
        Ok(())
    }

    /// The calendar of this name in the target's home.
    async fn calendar(&mut self, cx: &Context, name: &str) -> Result<Option<&Calendar>, Error> {
        if let Some(index) = self.by_name.get(name) {
            return Ok(self.calendars.get(*index));
        }
        let home = cx.target.place().map(|place| &place.home);
        let found = home.and_then(|home| Some((home, home.collection(name)?)));
        let Some((home, collection)) = found else {
            return Ok(None);
        };
        self.by_name.insert(name.to_owned(), self.calendars.len());
        self.calendars.push(Calendar {
            collection: collection.clone(),
            members: home.members(collection).await?,
            headers: Vec::new(),
        });
        Ok(self.calendars.last())
    }

    async fn write(
        self,
        cx: &Context,
        plan: &Plan<'_>,
        out: &mut Multistatus<'_>,
    ) -> Result<(), Error> {
        if let Some(place) = cx.target.place() {
            for calendar in self.calendars {
                let collection = (place, &calendar.collection);
                out.members(collection, calendar.headers.into_iter(), plan)
                    .await?;
            }
        }
        self.missing
            .iter()
            .try_for_each(|href| out.status(href, 404))
    }
}

/// The names of collection and object in a path that lies below the request's, or is it.
fn below<'a>(cx: &Context, path: &'a [String]) -> Option<(String, &'a str)> {
    let target = cx.request.path.segments();
    let scope = match &cx.target {
        Resource::Object(..) => path == target,
        _ => path.starts_with(target),
    };
    let [.., collection, object] = path else {
        return None;
    };
    let depth = match &cx.target {
        Resource::Home(_) => 2,
        Resource::Collection(..) => 1,
        _ => 0,
    };
    (scope && path.len() == target.len() + depth).then(|| (collection.clone(), object.as_str()))
}
