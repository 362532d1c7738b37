//! Reports that look for principals.
//!
//! RFC 3744 §9.3 principal-match, §9.4 principal-property-search, §9.5
//! principal-search-property-set, §9.2 acl-principal-prop-set; Calendar Server's
//! calendarserver-principal-search. Besides RFC 3744, `match-type` (contains, starts-with,
//! ends-with, equals) and `test` (allof, anyof) are read, which Apple sends.

use super::condition::Condition;
use super::context::Context;
use super::error::Error;
use super::fields::{Depth, Return};
use super::kind::Kind;
use super::live::{mail_addresses, names};
use super::multistatus::{Multistatus, Plan};
use super::path::Path;
use super::privilege::Who;
use super::request::Response;
use super::resource::{PrincipalSet, Resource, principal_href};
use super::sync::limit;
use crate::store::{Principal, PrincipalKind};
use crate::xml::{Element, Name, Node, Writer};
use std::sync::Arc;

/// The properties that searches are advertised for, with their descriptions. RFC 3744 §9.5
const SEARCHABLE: &[(Name<'static>, &str)] = &[
    (Name::dav("displayname"), "Display name"),
    (Name::calendarserver("email-address-set"), "Mail address"),
    (Name::calendarserver("first-name"), "First name"),
    (Name::calendarserver("last-name"), "Last name"),
    (
        Name::caldav("calendar-user-address-set"),
        "Calendar user address",
    ),
    (Name::caldav("calendar-user-type"), "Kind of calendar user"),
    (Name::caldav("calendar-home-set"), "Calendar home"),
];

/// These reports are defined for Depth 0 only.
fn depth_zero(cx: &Context) -> Result<(), Error> {
    match Depth::of(&cx.request.headers)? {
        None | Some(Depth::Zero) => Ok(()),
        Some(_) => Err(Error::Status(400, "This report goes by Depth 0.")),
    }
}

/// Answers principal-search-property-set.
pub(super) async fn property_set(cx: &mut Context, _: &Element) -> Result<Response, Error> {
    depth_zero(cx)?;
    let mut w = Writer::document(Name::dav("principal-search-property-set"));
    for (name, description) in SEARCHABLE {
        if cx.shared.tables.property(*name, Kind::Principal).is_none() {
            continue;
        }
        w.raw("<D:principal-search-property><D:prop>");
        w.empty(*name);
        w.raw("</D:prop>");
        w.open_with(Name::dav("description"), &[("xml:lang", "en")]);
        w.text(description);
        w.close(Name::dav("description"));
        w.raw("</D:principal-search-property>");
    }
    Ok(Response::xml(200, w.finish()))
}

/// How a text is compared.
#[derive(Debug, Clone, Copy)]
enum Match {
    Contains,
    StartsWith,
    EndsWith,
    Equals,
}

impl Match {
    fn of(element: &Element) -> Match {
        match element.attribute("match-type") {
            Some("starts-with") => Match::StartsWith,
            Some("ends-with") => Match::EndsWith,
            Some("equals") => Match::Equals,
            _ => Match::Contains,
        }
    }

    /// Whether the text matches; `sought` is folded already.
    fn holds(self, text: &str, sought: &str) -> bool {
        let text = fold(text);
        match self {
            Match::Contains => text.contains(sought),
            Match::StartsWith => text.starts_with(sought),
            Match::EndsWith => text.ends_with(sought),
            Match::Equals => text == sought,
        }
    }
}

/// Case and outer spaces do not count.
fn fold(text: &str) -> String {
    text.trim().to_lowercase()
}

/// A DAV:property-search: each property named must match.
struct Search {
    properties: Vec<Element>,
    how: Match,
    sought: String,
}

impl Search {
    fn of(element: &Element) -> Result<Search, Error> {
        let of = |name| element.child(Name::dav(name));
        let (Some(prop), Some(sought)) = (of("prop"), of("match")) else {
            return Err(Error::Status(
                400,
                "DAV:property-search lacks DAV:prop or DAV:match.",
            ));
        };
        Ok(Search {
            properties: prop.elements().cloned().collect(),
            how: Match::of(sought),
            sought: fold(&sought.text()),
        })
    }

    async fn holds(&self, cx: &Context, principal: &Resource) -> Result<bool, Error> {
        for property in &self.properties {
            let texts = values(cx, principal, property.name()).await?;
            if !texts.iter().any(|text| self.how.holds(text, &self.sought)) {
                return Ok(false);
            }
        }
        Ok(!self.properties.is_empty())
    }
}

/// The texts in a property's value: one for each element in it that holds text. RFC 3744 §9.4.1
/// What every search asks for is taken from the principal itself.
async fn values(cx: &Context, resource: &Resource, name: Name<'_>) -> Result<Vec<String>, Error> {
    if let Resource::Principal(principal) = resource {
        if name == Name::dav("displayname") {
            return Ok(vec![principal.display_name.clone()]);
        }
        if name == Name::calendarserver("email-address-set") {
            return Ok(mail_addresses(principal).map(str::to_owned).collect());
        }
    }
    let mut flat = Multistatus::new(cx);
    let plan = Plan::of(&[name], Return::Minimal);
    flat.response("", resource, &plan).await?;
    let document = flat.finish().body;
    let root = Element::parse(&document, &cx.shared.limits.xml)?;
    let mut texts = Vec::new();
    let responses = root.elements().flat_map(Element::elements);
    for prop in responses.flat_map(|propstat| propstat.children(Name::dav("prop"))) {
        prop.elements()
            .for_each(|property| collect(property, &mut texts));
    }
    Ok(texts)
}

fn collect(element: &Element, texts: &mut Vec<String>) {
    let text = element.text();
    if !text.trim().is_empty() {
        texts.push(text.into_owned());
    }
    for node in element.nodes() {
        if let Node::Element(child) = node {
            collect(child, texts);
        }
    }
}

/// The principals that a report on the target looks at.
fn candidates(cx: &Context, everywhere: bool) -> impl Iterator<Item = &Arc<Principal>> {
    let only = match &cx.target {
        Resource::PrincipalCollection(set) if !everywhere => Some(*set),
        _ => None,
    };
    let all = cx
        .directory
        .principals()
        .filter(|principal| !principal.disabled);
    all.filter(move |principal| only.is_none_or(|set| set == PrincipalSet::of(principal.kind)))
}

/// Answers principal-property-search. Who searches for nothing in particular looks for calendars, as
/// python-caldav does: the principals are found whose home the viewer may see.
pub(super) async fn property_search(cx: &mut Context, body: &Element) -> Result<Response, Error> {
    let cx = &*cx;
    depth_zero(cx)?;
    let searches = body.children(Name::dav("property-search")).map(Search::of);
    let searches = searches.collect::<Result<Vec<_>, _>>()?;
    let properties: usize = searches.iter().map(|search| search.properties.len()).sum();
    if properties > cx.shared.limits.instructions {
        return Err(Error::Status(413, "Too many properties at once."));
    }
    let any = !searches.is_empty() && body.attribute("test") == Some("anyof");
    let set = Name::dav("apply-to-principal-collection-set");
    let mut found = Found::new(cx, body, limit(body)?);
    found.plan = asked(cx, body);
    for principal in candidates(cx, body.child(set).is_some()) {
        let resource = Resource::Principal(principal.clone());
        let mut holds = !any;
        if searches.is_empty() {
            holds = cx.who(&resource) != Who::Account && principal.kind != PrincipalKind::Group;
        }
        for search in &searches {
            holds = search.holds(cx, &resource).await?;
            if holds == any {
                break;
            }
        }
        if holds && found.add(&resource).await? == Room::None {
            break;
        }
    }
    found.finish()
}

/// The properties asked for: those in DAV:prop, and those beside it, where python-caldav puts them.
fn asked<'a>(cx: &Context, body: &'a Element) -> Plan<'a> {
    let known = [
        "property-search",
        "prop",
        "limit",
        "apply-to-principal-collection-set",
    ];
    let prop = body.child(Name::dav("prop")).into_iter();
    let beside = body
        .elements()
        .filter(|e| known.iter().all(|name| !e.is(Name::dav(name))));
    let names: Vec<Name<'_>> = prop
        .flat_map(Element::elements)
        .chain(beside)
        .map(Element::name)
        .collect();
    Plan::of(&names, Return::of(&cx.request.headers))
}

/// The matches of a search as they are found.
struct Found<'a> {
    cx: &'a Context,
    answer: Multistatus<'a>,
    plan: Plan<'a>,
    count: usize,
    limit: Option<usize>,
}

/// Whether more matches are wanted.
#[derive(PartialEq, Eq)]
enum Room {
    Some,
    None,
}

impl<'a> Found<'a> {
    fn new(cx: &'a Context, body: &'a Element, limit: Option<usize>) -> Found<'a> {
        let preference = Return::of(&cx.request.headers);
        let plan = match body.child(Name::dav("prop")) {
            Some(prop) => Plan::prop(prop, preference),
            None => Plan::of(&[], preference),
        };
        Found {
            cx,
            answer: Multistatus::new(cx),
            plan,
            count: 0,
            limit,
        }
    }

    async fn add(&mut self, resource: &Resource) -> Result<Room, Error> {
        if self.limit.is_some_and(|limit| self.count >= limit) {
            let own = self.cx.target.href(&self.cx.hrefs);
            self.answer.truncated(&own)?;
            return Ok(Room::None);
        }
        self.count += 1;
        if self.count > self.cx.shared.limits.matches {
            return Err(Condition::NumberOfMatchesWithinLimits.into());
        }
        let href = resource.href(&self.cx.hrefs);
        self.answer.response(&href, resource, &self.plan).await?;
        Ok(Room::Some)
    }

    fn finish(self) -> Result<Response, Error> {
        Ok(self.answer.finish())
    }
}

/// Answers calendarserver-principal-search: each token begins a word of the name or an address.
pub(super) async fn token_search(cx: &mut Context, body: &Element) -> Result<Response, Error> {
    let cx = &*cx;
    let tokens = body.children(Name::calendarserver("search-token"));
    let tokens = tokens.take(cx.shared.limits.instructions);
    let tokens: Vec<String> = tokens.map(|token| fold(&token.text())).collect();
    let context = body.attribute("context").unwrap_or("attendee");
    let wanted = |kind: PrincipalKind| match context {
        "user" => kind == PrincipalKind::User,
        "group" => kind == PrincipalKind::Group,
        "location" => kind == PrincipalKind::Room,
        "resource" => kind == PrincipalKind::Resource,
        _ => true,
    };
    let asked = body.child(Name::calendarserver("limit"));
    let asked = asked.and_then(|limit| limit.child(Name::calendarserver("nresults")));
    let asked = asked.and_then(|n| n.text().trim().parse::<usize>().ok());
    let most = asked.unwrap_or(usize::MAX).min(cx.shared.limits.matches);
    let mut found = Found::new(cx, body, None);
    if tokens.iter().all(String::is_empty) {
        return found.finish();
    }
    let matching = candidates(cx, true).filter(|p| wanted(p.kind) && all_tokens(p, &tokens));
    for principal in matching.take(most) {
        found.add(&Resource::Principal(principal.clone())).await?;
    }
    found.finish()
}

fn all_tokens(principal: &Principal, tokens: &[String]) -> bool {
    let display = fold(&principal.display_name);
    let (first, last) = names(principal).unwrap_or_default();
    let mut fields = vec![fold(first), fold(last), fold(&principal.name)];
    fields.extend(display.split_whitespace().map(str::to_owned));
    fields.extend(mail_addresses(principal).map(fold));
    fields.push(display);
    let begins = |token: &String| fields.iter().any(|field| field.starts_with(token.as_str()));
    tokens.iter().filter(|token| !token.is_empty()).all(begins)
}

/// Answers principal-match: among principals the viewer and its groups, among other resources
/// those whose property names the viewer.
pub(super) async fn principal_match(cx: &mut Context, body: &Element) -> Result<Response, Error> {
    let cx = &*cx;
    depth_zero(cx)?;
    let mut found = Found::new(cx, body, None);
    let property = body.child(Name::dav("principal-property"));
    let property = property.and_then(|element| element.elements().next());
    match (property, body.child(Name::dav("self"))) {
        (None, Some(_)) => {
            for principal in candidates(cx, false).filter(|p| is_me(cx, p)) {
                found.add(&Resource::Principal(principal.clone())).await?;
            }
        }
        (Some(property), None) => {
            let mine = my_paths(cx);
            let names_me = |text: &String| {
                let path = cx.path_of(text.trim());
                path.is_some_and(|p| mine.iter().any(|m| m.segments() == p.segments()))
            };
            for resource in below(cx).await? {
                let texts = values(cx, &resource, property.name()).await?;
                if texts.iter().any(names_me) {
                    found.add(&resource).await?;
                }
            }
        }
        _ => {
            return Err(Error::Status(
                400,
                "Either DAV:self or DAV:principal-property.",
            ));
        }
    }
    found.finish()
}

fn is_me(cx: &Context, principal: &Principal) -> bool {
    let me = cx.viewer.principal.id;
    principal.id == me || cx.directory.is_member(me, principal.id)
}

/// The paths of the viewer and of the groups it is in.
fn my_paths(cx: &Context) -> Vec<Path> {
    let mine = candidates(cx, true).filter(|principal| is_me(cx, principal));
    let hrefs = mine.map(|principal| principal_href(&cx.hrefs, principal));
    hrefs.filter_map(|href| cx.path_of(&href)).collect()
}

/// What is below the target, as far as it is collections or principals.
async fn below(cx: &Context) -> Result<Vec<Resource>, Error> {
    Ok(match &cx.target {
        Resource::Home(place) => {
            let all = place.home.collections();
            all.map(|collection| Resource::Collection(place.clone(), collection.clone()))
                .collect()
        }
        Resource::Collection(place, collection) => {
            let members = place.home.members(collection).await?;
            let object = |header| Resource::Object(place.clone(), collection.clone(), header);
            members.iter().map(object).collect()
        }
        _ => candidates(cx, false)
            .cloned()
            .map(Resource::Principal)
            .collect(),
    })
}

/// Answers acl-principal-prop-set: the only principal that an ACL of ours names is the owner.
pub(super) async fn acl_principals(cx: &mut Context, body: &Element) -> Result<Response, Error> {
    let cx = &*cx;
    depth_zero(cx)?;
    let mut found = Found::new(cx, body, None);
    if let Some(owner) = cx.target.owner() {
        found.add(&Resource::Principal(owner.clone())).await?;
    }
    found.finish()
}
