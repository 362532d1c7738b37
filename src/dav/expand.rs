//! The expand-property report. RFC 3253 §3.8

use super::condition::Condition;
use super::context::Context;
use super::error::Error;
use super::fields::Return;
use super::multistatus::{Multistatus, Plan};
use super::propfind::own_href;
use super::request::Response;
use super::resource::Resource;
use super::tables::Boxed;
use crate::xml::{DAV, Element, Name, Node, Writer};

/// Answers expand-property.
pub(super) async fn run(cx: &mut Context, body: &Element) -> Result<Response, Error> {
    let cx = &*cx;
    let own = own_href(cx, &cx.request);
    let mut left = cx.shared.limits.expansions;
    let mut w = Writer::document(Name::dav("multistatus"));
    let depth = cx.shared.limits.expand_depth;
    let level = Level { body, depth };
    response(cx, (&own, &cx.target), level, (&mut w, &mut left)).await?;
    Ok(Response::xml(207, w.finish()))
}

/// The DAV:property elements that apply to a resource, and how many levels may follow.
#[derive(Clone, Copy)]
struct Level<'a> {
    body: &'a Element,
    depth: usize,
}

const PROPERTY: Name<'static> = Name::dav("property");

/// Writes the response for one resource; `left` counts down what the report may cost.
fn response<'a>(
    cx: &'a Context,
    (href, resource): (&'a str, &'a Resource),
    level: Level<'a>,
    (w, left): (&'a mut Writer, &'a mut usize),
) -> Boxed<'a, ()> {
    Box::pin(async move {
        *left = left
            .checked_sub(1)
            .ok_or(Condition::NumberOfMatchesWithinLimits)?;
        let asked: Vec<&Element> = level.body.children(PROPERTY).collect();
        if asked.len() > cx.shared.limits.instructions {
            return Err(Error::Status(413, "Too many properties at once."));
        }
        let names: Vec<Name<'_>> = asked.iter().filter_map(|e| name(e)).collect();
        let plan = Plan::of(&names, Return::Unsaid);
        let mut flat = Multistatus::new(cx);
        flat.response(href, resource, &plan).await?;
        let document = String::from_utf8_lossy(&flat.finish().body).into_owned();
        let flat = Element::parse(document.as_bytes(), &cx.shared.limits.xml)?;
        let Some(answer) = flat.child(Name::dav("response")) else {
            return Ok(());
        };
        w.open(Name::dav("response"));
        for part in answer.elements() {
            if !part.is(Name::dav("propstat")) {
                w.raw(&part.to_xml());
                continue;
            }
            w.open(Name::dav("propstat"));
            for within in part.elements() {
                if !within.is(Name::dav("prop")) {
                    w.raw(&within.to_xml());
                    continue;
                }
                w.open(Name::dav("prop"));
                for property in within.elements() {
                    let nested = asked.iter().find(|e| name(e) == Some(property.name()));
                    let body = nested.filter(|e| e.child(PROPERTY).is_some());
                    match (body, level.depth.checked_sub(1)) {
                        (Some(body), Some(depth)) => {
                            let level = Level { body, depth };
                            expanded(cx, property, level, (w, left)).await?;
                        }
                        _ => w.raw(&property.to_xml()),
                    }
                }
                w.close(Name::dav("prop"));
            }
            w.close(Name::dav("propstat"));
        }
        w.close(Name::dav("response"));
        Ok(())
    })
}

/// The name that a DAV:property element speaks of.
fn name(property: &Element) -> Option<Name<'_>> {
    Some(Name {
        ns: property.attribute("namespace").unwrap_or(DAV),
        local: property.attribute("name")?,
    })
}

/// Writes a property with a response in place of each DAV:href in it.
fn expanded<'a>(
    cx: &'a Context,
    property: &'a Element,
    level: Level<'a>,
    (w, left): (&'a mut Writer, &'a mut usize),
) -> Boxed<'a, ()> {
    Box::pin(async move {
        w.open(property.name());
        for node in property.nodes() {
            match node {
                Node::Text(text) => w.text(text),
                Node::Element(child) if child.is(Name::dav("href")) => {
                    let reference = child.text();
                    match cx.readable(reference.trim()).await? {
                        Some(resource) => {
                            let at = (reference.trim(), &resource);
                            response(cx, at, level, (w, left)).await?;
                        }
                        None => {
                            w.open(Name::dav("response"));
                            w.href(reference.trim());
                            w.raw("<D:status>HTTP/1.1 404 Not Found</D:status>");
                            w.close(Name::dav("response"));
                        }
                    }
                }
                Node::Element(child) => expanded(cx, child, level, (w, left)).await?,
            }
        }
        w.close(property.name());
        Ok(())
    })
}
