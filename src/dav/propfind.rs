//! PROPFIND. RFC 4918 §9.1
//!
//! The tables know the properties; this knows which resources, and writes nothing itself.

use super::condition::Condition;
use super::context::Context;
use super::error::Error;
use super::fields::{Depth, Return};
use super::multistatus::{Multistatus, Plan, member_href};
use super::path::Ending;
use super::request::{Request, Response};
use super::resource::{Place, PrincipalSet, Resource};
use crate::store::Principal;
use crate::xml::{Element, Name};
use std::sync::Arc;

/// Answers PROPFIND on what is there.
pub(super) async fn run(cx: &mut Context, request: &Request) -> Result<Response, Error> {
    let cx = &*cx;
    let depth = depth(cx, request)?;
    let body = match request.body.iter().all(u8::is_ascii_whitespace) {
        true => None,
        false => Some(Element::parse(&request.body, &cx.shared.limits.xml)?),
    };
    let plan = plan(body.as_ref(), Return::of(&request.headers))?;
    let mut answer = Multistatus::new(cx);
    let own = own_href(cx, request);
    answer.response(&own, &cx.target, &plan).await?;
    if depth == Depth::One {
        children(cx, &own, &mut answer, &plan).await?;
    }
    Ok(answer.finish().with("DAV", cx.shared.tables.dav()))
}

/// The href of the request's own resource, as it was asked for.
pub(super) fn own_href(cx: &Context, request: &Request) -> String {
    let ending = match cx.target.kind().is_collection() {
        true => Ending::Slash,
        false => Ending::Nothing,
    };
    cx.hrefs.own(&request.path, ending)
}

/// No Depth is read as 1, where the RFC has infinity: tsdav sends none and needs an answer.
fn depth(cx: &Context, request: &Request) -> Result<Depth, Error> {
    match Depth::of(&request.headers)? {
        None => Ok(Depth::One),
        Some(Depth::Infinity) if cx.target.kind().is_collection() => {
            Err(Condition::PropfindFiniteDepth.into())
        }
        Some(Depth::Infinity) => Ok(Depth::Zero),
        Some(depth) => Ok(depth),
    }
}

/// What a DAV:propfind asks for; no body asks for allprop. RFC 4918 §14.20
fn plan(body: Option<&Element>, preference: Return) -> Result<Plan<'_>, Error> {
    let Some(body) = body else {
        return Ok(Plan::all(None, preference));
    };
    if !body.is(Name::dav("propfind")) {
        return Err(Error::Status(400, "The body is not a DAV:propfind."));
    }
    let of = |name| body.child(Name::dav(name));
    match (of("prop"), of("allprop"), of("propname")) {
        (Some(prop), None, None) => Ok(Plan::prop(prop, preference)),
        (None, Some(_), None) => Ok(Plan::all(of("include"), preference)),
        (None, None, Some(_)) => Ok(Plan::names(preference)),
        _ => Err(Error::Status(
            400,
            "A DAV:propfind asks for one thing: prop, allprop or propname.",
        )),
    }
}

/// The members of the target that the viewer may know of.
async fn children(
    cx: &Context,
    own: &str,
    answer: &mut Multistatus<'_>,
    plan: &Plan<'_>,
) -> Result<(), Error> {
    match &cx.target {
        Resource::Root => {
            for child in [Resource::PrincipalRoot, Resource::HomeRoot] {
                let href = child.href(&cx.hrefs);
                answer.response(&href, &child, plan).await?;
            }
        }
        Resource::PrincipalRoot => {
            for set in PrincipalSet::ALL {
                let child = Resource::PrincipalCollection(set);
                let href = slashed(cx, own, set.segment());
                answer.response(&href, &child, plan).await?;
            }
        }
        Resource::PrincipalCollection(set) => {
            let all = cx.directory.principals();
            for principal in all.filter(|p| PrincipalSet::of(p.kind) == *set) {
                let href = slashed(cx, own, &principal.name);
                let child = Resource::Principal(principal.clone());
                answer.response(&href, &child, plan).await?;
            }
        }
        Resource::HomeRoot => homes(cx, own, answer, plan).await?,
        Resource::Home(place) => {
            for collection in place.home.collections() {
                let href = slashed(cx, own, &collection.name);
                let child = Resource::Collection(place.clone(), collection.clone());
                answer.response(&href, &child, plan).await?;
            }
        }
        Resource::Collection(place, collection) => {
            let members = place.home.members(collection).await?;
            let headers: Vec<_> = members.iter().collect();
            let named = headers.into_iter();
            let named = named.map(|h| (member_href(&cx.hrefs, own, h.name()), h));
            answer.members((place, collection), named, plan).await?;
        }
        Resource::Principal(_)
        | Resource::Object(..)
        | Resource::FreeCalendar(..)
        | Resource::FreeObject(..)
        | Resource::Missing => {}
    }
    Ok(())
}

/// One's own home and those one looks after; an administrator sees every home.
async fn homes(
    cx: &Context,
    own: &str,
    answer: &mut Multistatus<'_>,
    plan: &Plan<'_>,
) -> Result<(), Error> {
    let viewer = &cx.viewer.principal;
    let sees =
        |owner: &&Arc<Principal>| owner.id == viewer.id || cx.directory.may_keep(viewer, owner.id);
    let seen: Vec<_> = cx.directory.principals().filter(sees).cloned().collect();
    for owner in seen {
        let home = cx.home(owner.id).await?;
        if !home.exists() {
            continue;
        }
        let href = slashed(cx, own, &owner.name);
        let child = Resource::Home(Place { owner, home });
        answer.response(&href, &child, plan).await?;
    }
    Ok(())
}

fn slashed(cx: &Context, base: &str, name: &str) -> String {
    let mut href = member_href(&cx.hrefs, base, name);
    href.push('/');
    href
}
