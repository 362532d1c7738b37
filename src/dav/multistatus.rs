//! Answers about many resources, written straight into one buffer. RFC 4918 §13
//!
//! A [`Plan`] is what a request asks for, worked out once for each kind of resource; then a
//! resource costs its getters and the bytes they write.

use super::condition::Condition;
use super::context::Context;
use super::error::{Error, Refusal};
use super::fields::Return;
use super::kind::Kind;
use super::path::Hrefs;
use super::request::Response;
use super::resource::{Place, Resource};
use super::tables::{Found, Get, Listed, Needs, Property, Reading, Tables};
use crate::store::{Collection, Header, Properties};
use crate::xml::{Element, Name, Writer};
use std::borrow::Cow;
use std::collections::HashSet;
use std::sync::{Arc, OnceLock};

/// What a request asks of each resource.
#[derive(Debug)]
pub struct Plan<'a> {
    asked: Asked<'a>,
    preference: Return,
    kinds: [OnceLock<Slots<'a>>; Kind::ALL.len()],
}

#[derive(Debug)]
enum Asked<'a> {
    /// These properties.
    Named(Vec<Cow<'a, Element>>),
    /// What DAV:allprop lists, and these.
    All(Vec<&'a Element>),
    /// Names only.
    Names,
}

/// What is asked of resources of one kind.
#[derive(Debug)]
struct Slots<'a> {
    list: Vec<Slot<'a>>,
    text: bool,
    stored: bool,
}

/// One property asked for.
#[derive(Debug)]
struct Slot<'a> {
    asked: Cow<'a, Element>,
    row: Option<&'static Property>,
    clark: String,
    open: String,
    close: String,
    empty: String,
}

impl<'a> Plan<'a> {
    /// The properties in a DAV:prop; one named twice is answered once. RFC 4918 §14.18
    pub fn prop(prop: &'a Element, preference: Return) -> Plan<'a> {
        let mut known = HashSet::new();
        let named = prop
            .elements()
            .filter(|element| known.insert(element.name()));
        let named = named.map(Cow::Borrowed).collect();
        Plan::new(Asked::Named(named), preference)
    }

    /// These properties, with nothing in their elements.
    pub fn of(names: &[Name<'_>], preference: Return) -> Plan<'a> {
        let mut known = HashSet::new();
        let named = names.iter().filter(|name| known.insert(**name));
        let named = named.map(|name| Cow::Owned(Element::new(*name)));
        Plan::new(Asked::Named(named.collect()), preference)
    }

    /// What DAV:allprop lists, and what DAV:include adds. RFC 4918 §9.1, §14.8
    pub fn all(include: Option<&'a Element>, preference: Return) -> Plan<'a> {
        let include = include.into_iter().flat_map(Element::elements);
        Plan::new(Asked::All(include.collect()), preference)
    }

    /// The names of all properties. RFC 4918 §9.1
    pub fn names(preference: Return) -> Plan<'a> {
        Plan::new(Asked::Names, preference)
    }

    fn new(asked: Asked<'_>, preference: Return) -> Plan<'_> {
        Plan {
            asked,
            preference,
            kinds: Default::default(),
        }
    }

    fn slots(&self, tables: &Tables, kind: Kind) -> &Slots<'a> {
        static NONE: Slots<'static> = Slots {
            list: Vec::new(),
            text: false,
            stored: false,
        };
        let Some(cell) = self.kinds.get(kind as usize) else {
            return &NONE;
        };
        cell.get_or_init(|| {
            let row_of = |e: &Element| tables.property(e.name(), kind);
            let live = tables.properties(kind);
            let list: Vec<Slot<'a>> = match &self.asked {
                Asked::Named(named) => named
                    .iter()
                    .map(|e| Slot::new(e.clone(), row_of(e)))
                    .collect(),
                Asked::All(include) => {
                    let listed = live.filter(|row| row.allprop == Listed::Always);
                    let listed =
                        listed.map(|row| Slot::new(Cow::Owned(Element::new(row.name)), Some(row)));
                    let more = include
                        .iter()
                        .map(|e| Slot::new(Cow::Borrowed(*e), row_of(e)));
                    listed.chain(more).collect()
                }
                Asked::Names => live
                    .filter(|row| row.needs != Needs::Text)
                    .map(|row| Slot::new(Cow::Owned(Element::new(row.name)), Some(row)))
                    .collect(),
            };
            Slots {
                text: list
                    .iter()
                    .any(|s| s.row.is_some_and(|row| row.needs == Needs::Text)),
                stored: !matches!(self.asked, Asked::Named(_)) || list.iter().any(Slot::is_stored),
                list,
            }
        })
    }

    /// Whether objects of this kind have to be loaded with their text.
    pub fn needs_text(&self, cx: &Context, kind: Kind) -> bool {
        self.slots(&cx.shared.tables, kind).text
    }
}

impl<'a> Slot<'a> {
    fn new(asked: Cow<'a, Element>, row: Option<&'static Property>) -> Slot<'a> {
        let name = asked.name();
        let [open, close, empty] = crate::xml::tags(name);
        Slot {
            clark: name.clark(),
            asked,
            row,
            open,
            close,
            empty,
        }
    }

    fn is_stored(&self) -> bool {
        !matches!(
            self.row.map(|row| row.get),
            Some(Get::Content(_) | Get::Element(_))
        )
    }

    fn write(&self, w: &mut Writer, from: &From<'_>) -> Found {
        let stored = || from.properties.get(&self.clark);
        match self.row.map_or(Get::Stored, |row| row.get) {
            Get::Content(get) => self.content(w, from, get),
            Get::Element(get) => {
                let mark = w.len();
                let found = get(&self.reading(from), w);
                if found != Found::Yes {
                    w.rewind(mark);
                }
                found
            }
            Get::Stored => match stored() {
                Some(xml) => {
                    w.raw(xml);
                    Found::Yes
                }
                None => Found::No,
            },
            Get::StoredOr(get) => match stored() {
                Some(xml) => {
                    w.raw(xml);
                    Found::Yes
                }
                None => self.content(w, from, get),
            },
        }
    }

    fn content(&self, w: &mut Writer, from: &From<'_>, get: super::tables::GetFn) -> Found {
        let mark = w.len();
        w.raw(&self.open);
        let inside = w.len();
        let found = get(&self.reading(from), w);
        if found != Found::Yes {
            w.rewind(mark);
        } else if w.len() == inside {
            w.rewind(mark);
            w.raw(&self.empty);
        } else {
            w.raw(&self.close);
        }
        found
    }

    fn reading<'b>(&'b self, from: &From<'b>) -> Reading<'b> {
        Reading {
            cx: from.cx,
            resource: from.resource,
            properties: from.properties,
            text: from.text,
            asked: &self.asked,
        }
    }
}

/// A resource with what has been loaded of it.
#[derive(Debug, Clone, Copy)]
struct From<'a> {
    cx: &'a Context,
    resource: &'a Resource,
    properties: &'a Properties,
    text: Option<&'a str>,
}

/// A DAV:multistatus being written.
#[derive(Debug)]
pub struct Multistatus<'c> {
    cx: &'c Context,
    w: Writer,
    limit: usize,
    lookups: usize,
    preference: Return,
    missing: Vec<usize>,
    refused: Vec<usize>,
    too_much: Vec<usize>,
}

/// How many texts are read at once.
const BATCH: usize = 100;

/// About how long the response for an object is.
const RESPONSE: usize = 360;

static NOTHING_STORED: Properties = Properties::new();

impl<'c> Multistatus<'c> {
    /// An empty one.
    pub fn new(cx: &'c Context) -> Multistatus<'c> {
        Multistatus {
            cx,
            w: Writer::document(Name::dav("multistatus")),
            limit: cx.shared.limits.multistatus_bytes,
            lookups: cx.shared.limits.lookups,
            preference: Return::of(&cx.request.headers),
            missing: Vec::new(),
            refused: Vec::new(),
            too_much: Vec::new(),
        }
    }

    /// The response for one resource; loads of it what the plan needs.
    pub async fn response(
        &mut self,
        href: &str,
        resource: &Resource,
        plan: &Plan<'_>,
    ) -> Result<(), Error> {
        let Resource::Object(place, _, header) = resource else {
            return self.loaded(href, (resource, None), plan);
        };
        let bytes = match plan.needs_text(self.cx, resource.kind()) {
            true => Some(place.home.text(header).await?),
            false => None,
        };
        let text = bytes.as_deref().map(as_text).transpose()?;
        self.object(href, (resource, text), plan).await
    }

    /// The responses for members of one collection; texts are read many at once.
    pub async fn members(
        &mut self,
        (place, collection): (&Place, &Arc<Collection>),
        members: impl Iterator<Item = (String, Header)> + Send,
        plan: &Plan<'_>,
    ) -> Result<(), Error> {
        let (count, _) = members.size_hint();
        self.w.reserve(count.saturating_mul(RESPONSE));
        let mut members = members.peekable();
        let resource = |header| Resource::Object(place.clone(), collection.clone(), header);
        while let Some((_, first)) = members.peek() {
            let kind = resource(first.clone()).kind();
            let slots = plan.slots(&self.cx.shared.tables, kind);
            if !slots.text {
                for (href, header) in members.by_ref() {
                    let stored = slots.stored && header.has_properties;
                    let resource = resource(header);
                    match stored {
                        true => self.object(&href, (&resource, None), plan).await?,
                        false => self.loaded(&href, (&resource, None), plan)?,
                    }
                }
                break;
            }
            let batch: Vec<(String, Header)> = members.by_ref().take(BATCH).collect();
            let headers: Vec<Header> = batch.iter().map(|(_, header)| header.clone()).collect();
            let texts = place.home.texts(&headers).await?;
            for ((href, header), bytes) in batch.into_iter().zip(texts) {
                let text = Some(as_text(&bytes)?);
                self.object(&href, (&resource(header), text), plan).await?;
            }
        }
        Ok(())
    }

    async fn object(
        &mut self,
        href: &str,
        (resource, text): (&Resource, Option<&str>),
        plan: &Plan<'_>,
    ) -> Result<(), Error> {
        let stored = plan.slots(&self.cx.shared.tables, resource.kind()).stored;
        if let Resource::Object(place, _, header) = resource
            && stored
            && header.has_properties
        {
            let properties = place.home.object_properties(header).await?;
            let from = From {
                cx: self.cx,
                resource,
                properties: &properties,
                text,
            };
            return self.write(href, &from, plan);
        }
        self.loaded(href, (resource, text), plan)
    }

    /// The response for a resource, with its text, of which everything the plan needs is at hand.
    pub fn loaded(
        &mut self,
        href: &str,
        (resource, text): (&Resource, Option<&str>),
        plan: &Plan<'_>,
    ) -> Result<(), Error> {
        let properties = match resource {
            Resource::Home(place) => &place.home.row().settings.properties,
            Resource::Collection(_, collection) => &collection.settings.properties,
            Resource::Principal(principal) => &principal.properties,
            _ => &NOTHING_STORED,
        };
        let from = From {
            cx: self.cx,
            resource,
            properties,
            text,
        };
        self.write(href, &from, plan)
    }

    fn write(&mut self, href: &str, from: &From<'_>, plan: &Plan<'_>) -> Result<(), Error> {
        let tables = &from.cx.shared.tables;
        let kind = from.resource.kind();
        let slots = plan.slots(tables, kind);
        let left = self.lookups.checked_sub(slots.list.len());
        self.lookups = left.ok_or(Condition::NumberOfMatchesWithinLimits)?;
        self.w.raw("<D:response>");
        self.w.href(href);
        let before = self.w.len();
        self.w.raw("<D:propstat><D:prop>");
        let inside = self.w.len();
        self.missing.clear();
        self.refused.clear();
        self.too_much.clear();
        let names = matches!(plan.asked, Asked::Names);
        for (at, slot) in slots.list.iter().enumerate() {
            let mark = self.w.len();
            match slot.write(&mut self.w, from) {
                Found::Yes if names => {
                    self.w.rewind(mark);
                    self.w.raw(&slot.empty);
                }
                Found::Yes => {}
                Found::No => self.missing.push(at),
                Found::Refused => self.refused.push(at),
                Found::TooMuch => self.too_much.push(at),
            }
        }
        if !matches!(plan.asked, Asked::Named(_)) {
            self.dead(from, kind, names);
            self.missing
                .retain(|at| slots.list.get(*at).is_some_and(|slot| slot.row.is_none()));
        }
        if plan.preference == Return::Minimal {
            self.missing.clear();
        }
        let others = [&self.missing, &self.refused, &self.too_much];
        if self.w.len() == inside && others.iter().any(|which| !which.is_empty()) {
            self.w.rewind(before);
        } else {
            self.w
                .raw("</D:prop><D:status>HTTP/1.1 200 OK</D:status></D:propstat>");
        }
        empty(
            &mut self.w,
            &self.refused,
            slots,
            "403 Forbidden</D:status>",
        );
        empty(&mut self.w, &self.too_much, slots, TOO_MUCH);
        empty(
            &mut self.w,
            &self.missing,
            slots,
            "404 Not Found</D:status>",
        );
        self.w.raw("</D:response>\n");
        self.check()
    }

    /// The dead properties of a resource: those stored that no row reads.
    fn dead(&mut self, from: &From<'_>, kind: Kind, names: bool) {
        for (clark, xml) in from.properties {
            let Some(name) = Name::from_clark(clark) else {
                continue;
            };
            if from.cx.shared.tables.property(name, kind).is_some() {
                continue;
            }
            match names {
                true => self.w.empty(name),
                false => self.w.raw(xml),
            }
        }
    }

    fn check(&self) -> Result<(), Error> {
        match self.w.len() > self.limit {
            true => Err(Condition::NumberOfMatchesWithinLimits.into()),
            false => Ok(()),
        }
    }

    /// A response that is a status. RFC 4918 §14.24
    pub fn status(&mut self, href: &str, status: u16) -> Result<(), Error> {
        self.answer(href, status, None)
    }

    /// A response that is a refusal.
    pub fn refused(&mut self, href: &str, refusal: &Refusal) -> Result<(), Error> {
        self.answer(href, refusal.condition.row().status, Some(refusal))
    }

    fn answer(&mut self, href: &str, status: u16, why: Option<&Refusal>) -> Result<(), Error> {
        self.w.raw("<D:response>");
        self.w.href(href);
        write_status(&mut self.w, status);
        if let Some(refusal) = why {
            self.w.open(Name::dav("error"));
            write_refusal(&mut self.w, refusal);
            self.w.close(Name::dav("error"));
        }
        self.w.raw("</D:response>\n");
        self.check()
    }

    /// The end of an answer that had to be cut: the rest has to be asked for again.
    /// RFC 6578 §3.6
    pub fn truncated(&mut self, href: &str) -> Result<(), Error> {
        self.refused(href, &Condition::NumberOfMatchesWithinLimits.into())
    }

    /// How many bytes are written.
    pub fn len(&self) -> usize {
        self.w.len()
    }

    /// Whether nothing is written: never, the document begins with its root.
    pub fn is_empty(&self) -> bool {
        self.w.is_empty()
    }

    /// The writer, for what follows the responses.
    pub fn writer(&mut self) -> &mut Writer {
        &mut self.w
    }

    /// The answer.
    pub fn finish(self) -> Response {
        let response = Response::xml(207, self.w.finish());
        match self.preference {
            Return::Minimal => response.with("Preference-Applied", "return=minimal"),
            Return::Unsaid | Return::Representation => response,
        }
    }
}

/// How a propstat ends that a limit forbids to fill. RFC 4918 §14.22
const TOO_MUCH: &str = "507 Insufficient Storage</D:status>\
     <D:error><D:number-of-matches-within-limits/></D:error>";

/// A propstat of empty elements; `end` is its status and what follows.
fn empty(w: &mut Writer, which: &[usize], slots: &Slots<'_>, end: &str) {
    if which.is_empty() {
        return;
    }
    w.raw("<D:propstat><D:prop>");
    for slot in which.iter().filter_map(|at| slots.list.get(*at)) {
        w.raw(&slot.empty);
    }
    w.raw("</D:prop><D:status>HTTP/1.1 ");
    w.raw(end);
    w.raw("</D:propstat>");
}

/// A DAV:status. RFC 4918 §14.28
pub(super) fn write_status(w: &mut Writer, status: u16) {
    w.raw("<D:status>HTTP/1.1 ");
    w.number(u64::from(status));
    w.raw(" ");
    w.raw(reason(status));
    w.raw("</D:status>");
}

/// The element of a condition with what it holds. RFC 4918 §16
pub fn write_refusal(w: &mut Writer, refusal: &Refusal) {
    use super::error::Detail;
    let name = refusal.condition.row().name;
    w.open(name);
    match &refusal.detail {
        Detail::None => {}
        Detail::Text(text) => w.text(text),
        Detail::Href(href) => w.href(href),
        Detail::Xml(xml) => w.raw(xml),
        Detail::Privilege(href, privilege) => {
            w.open(Name::dav("resource"));
            w.href(href);
            w.open(Name::dav("privilege"));
            w.empty(privilege.name());
            w.close(Name::dav("privilege"));
            w.close(Name::dav("resource"));
        }
    }
    w.close(name);
}

/// The words that go with a status in a multistatus.
fn reason(status: u16) -> &'static str {
    match status {
        200 => "OK",
        201 => "Created",
        204 => "No Content",
        400 => "Bad Request",
        401 => "Unauthorized",
        403 => "Forbidden",
        404 => "Not Found",
        405 => "Method Not Allowed",
        409 => "Conflict",
        412 => "Precondition Failed",
        413 => "Content Too Large",
        415 => "Unsupported Media Type",
        423 => "Locked",
        424 => "Failed Dependency",
        502 => "Bad Gateway",
        507 => "Insufficient Storage",
        _ => "Error",
    }
}

fn as_text(bytes: &[u8]) -> Result<&str, Error> {
    std::str::from_utf8(bytes).map_err(|_| Error::Status(500, "A stored text is not UTF-8."))
}

/// The hrefs of members below a collection's: `base` ends in a slash.
pub fn member_href(hrefs: &Hrefs, base: &str, name: &str) -> String {
    let mut href = String::with_capacity(base.len() + name.len() + 8);
    href.push_str(base);
    hrefs.push(&mut href, name);
    href
}
