//! The sync-collection report. RFC 6578 §3
//!
//! On calendars, inboxes and notification collections it tells of members; on a home of its
//! collections, and with sync-level infinite of their members too. Apple syncs homes.

use super::condition::Condition;
use super::context::Context;
use super::error::Error;
use super::fields::{Depth, Return};
use super::multistatus::{Multistatus, Plan, member_href};
use super::propfind::own_href;
use super::request::Response;
use super::resource::{Place, Resource};
use crate::store::{self, Collection, HomeEntry};
use crate::xml::{Element, Name};
use std::sync::Arc;

/// What a DAV:sync-collection asks for.
struct Asked<'a> {
    token: Option<String>,
    level: store::Depth,
    limit: Option<usize>,
    plan: Plan<'a>,
}

/// Answers sync-collection.
pub(super) async fn run(cx: &mut Context, body: &Element) -> Result<Response, Error> {
    let cx = &*cx;
    let asked = asked(cx, body)?;
    let own = own_href(cx, &cx.request);
    let mut answer = Multistatus::new(cx);
    let (token, truncated) = match &cx.target {
        Resource::Home(place) => home(cx, place, &asked, (&own, &mut answer)).await?,
        Resource::Collection(place, collection) => {
            members(cx, (place, collection), &asked, (&own, &mut answer)).await?
        }
        _ => return Err(Condition::SupportedReport.into()),
    };
    if truncated {
        answer.truncated(&own)?;
    }
    answer.writer().element(Name::dav("sync-token"), &token);
    Ok(answer.finish())
}

/// Without sync-level the Depth header says it, as in drafts of the RFC; else 1 is as
/// good as 0, the only one that RFC 6578 §3.2 wants: Thunderbird sends it.
fn asked<'a>(cx: &Context, body: &'a Element) -> Result<Asked<'a>, Error> {
    let of = |name| body.child(Name::dav(name));
    let depth = Depth::of(&cx.request.headers)?;
    if depth == Some(Depth::Infinity) && of("sync-level").is_some() {
        return Err(Error::Status(400, "sync-collection goes by Depth 0."));
    }
    let level = match of("sync-level").map(|level| level.text().trim().to_owned()) {
        Some(level) if level == "1" => store::Depth::Members,
        Some(level) if level == "infinite" || level == "infinity" => store::Depth::All,
        None if depth == Some(Depth::One) => store::Depth::Members,
        None if depth == Some(Depth::Infinity) => store::Depth::All,
        _ => {
            return Err(Error::Status(
                400,
                "DAV:sync-level is neither 1 nor infinite.",
            ));
        }
    };
    let token = of("sync-token").map(|token| token.text().trim().to_owned());
    let prop = of("prop").ok_or(Error::Status(400, "DAV:prop is missing."))?;
    Ok(Asked {
        token: token.filter(|token| !token.is_empty()),
        level,
        limit: limit(body)?,
        plan: Plan::prop(prop, Return::of(&cx.request.headers)),
    })
}

/// The DAV:limit in a report. RFC 5323 §5.17; none can be honoured that is 0. RFC 6578 §3.7
pub fn limit(body: &Element) -> Result<Option<usize>, Error> {
    let Some(limit) = body.child(Name::dav("limit")) else {
        return Ok(None);
    };
    let number = limit.child(Name::dav("nresults")).map(|n| n.text());
    match number.and_then(|n| n.trim().parse::<usize>().ok()) {
        Some(0) => Err(Condition::NumberOfMatchesWithinLimits.into()),
        Some(number) => Ok(Some(number)),
        None => Err(Error::Status(400, "DAV:limit holds no DAV:nresults.")),
    }
}

async fn members(
    cx: &Context,
    (place, collection): (&Place, &Arc<Collection>),
    asked: &Asked<'_>,
    (own, answer): (&str, &mut Multistatus<'_>),
) -> Result<(String, bool), Error> {
    let members = place.home.members(collection).await?;
    let changes = members
        .changes(asked.token.as_deref(), asked.limit)
        .map_err(|_| Condition::ValidSyncToken)?;
    let href = |name: &str| member_href(&cx.hrefs, own, name);
    for gone in changes
        .entries
        .iter()
        .filter(|entry| entry.header.is_none())
    {
        answer.status(&href(&gone.name), 404)?;
    }
    let entries = changes.entries.into_iter();
    let there = entries.filter_map(|entry| Some((href(&entry.name), entry.header?)));
    answer
        .members((place, collection), there, &asked.plan)
        .await?;
    Ok((changes.token, changes.truncated))
}

async fn home(
    cx: &Context,
    place: &Place,
    asked: &Asked<'_>,
    (own, answer): (&str, &mut Multistatus<'_>),
) -> Result<(String, bool), Error> {
    let token = asked.token.as_deref();
    let changes = place.home.changes(token, asked.level, asked.limit).await?;
    let changes = changes.map_err(|_| Condition::ValidSyncToken)?;
    let base = |name: &str| {
        let mut href = member_href(&cx.hrefs, own, name);
        href.push('/');
        href
    };
    for entry in changes.entries {
        match entry {
            HomeEntry::Collection(collection) => {
                let href = base(&collection.name);
                let resource = Resource::Collection(place.clone(), collection);
                answer.response(&href, &resource, &asked.plan).await?;
            }
            HomeEntry::NoSync(collection) => {
                answer.refused(&base(&collection.name), &Condition::SupportedReport.into())?;
            }
            HomeEntry::CollectionGone(name) => answer.status(&base(&name), 404)?,
            HomeEntry::Object(collection, header) => {
                let href = member_href(&cx.hrefs, &base(&collection.name), header.name());
                let resource = Resource::Object(place.clone(), collection, header);
                answer.response(&href, &resource, &asked.plan).await?;
            }
            HomeEntry::ObjectGone(collection, name) => {
                answer.status(&member_href(&cx.hrefs, &base(&collection.name), &name), 404)?;
            }
        }
    }
    Ok((changes.token, changes.truncated))
}
