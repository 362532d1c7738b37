//! The tables: what is supported is a row with the section that defines it.
//!
//! `Allow`, the DAV header, supported-report-set, supported-live-property-set and propname are
//! read from here; generic code sees the rows of every module because they are joined once.

use super::condition::Condition;
use super::context::Context;
use super::error::Error;
use super::kind::{Kind, Kinds};
use super::privilege::Privilege;
use super::request::{Request, Response};
use super::resource::{Place, Resource};
use crate::store::{Collection, Header, Properties, Settings};
use crate::xml::{Element, Name, Writer};
use std::collections::HashMap;
use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;

/// A future that a handler returns.
pub type Boxed<'a, T> = Pin<Box<dyn Future<Output = Result<T, Error>> + Send + 'a>>;

/// What a handler of a method or a report returns.
pub type Answer<'a> = Boxed<'a, Response>;

/// A method on kinds of resource.
#[derive(Debug, Clone, Copy)]
pub struct Method {
    /// The method.
    pub name: &'static str,
    /// Where it is defined.
    pub spec: &'static str,
    /// The kinds it works on.
    pub on: Kinds,
    /// What the viewer needs on the resource; none where the handler asks itself.
    pub privilege: Option<Privilege>,
    /// Whether it changes anything, so that its attempt has the homes' turn.
    pub mode: Mode,
    /// The handler.
    pub run: for<'a> fn(&'a mut Context, &'a Request) -> Answer<'a>,
}

/// Whether a method changes anything.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Mode {
    /// It reads.
    Reads,
    /// It may write: it is run in the turn of the homes that its URLs name.
    Writes,
}

/// A report on kinds of resource. RFC 3253 §3.6
#[derive(Debug, Clone, Copy)]
pub struct Report {
    /// The root element of its request.
    pub name: Name<'static>,
    /// Where it is defined.
    pub spec: &'static str,
    /// The kinds it works on.
    pub on: Kinds,
    /// What the viewer needs on the resource.
    pub privilege: Privilege,
    /// The handler; the element is the request's root.
    pub run: for<'a> fn(&'a mut Context, &'a Element) -> Answer<'a>,
}

/// A live property on kinds of resource. One name may have several rows, for different kinds.
#[derive(Debug, Clone, Copy)]
pub struct Property {
    /// Its name.
    pub name: Name<'static>,
    /// Where it is defined.
    pub spec: &'static str,
    /// The kinds that have it.
    pub on: Kinds,
    /// Whether DAV:allprop lists it.
    pub allprop: Listed,
    /// What has to be loaded before it can be read.
    pub needs: Needs,
    /// How it is read.
    pub get: Get,
    /// How it is changed.
    pub set: Set,
}

/// Whether DAV:allprop lists a property. RFC 4918 §9.1
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Listed {
    /// It does.
    Always,
    /// Only a request that names it gets it.
    OnRequest,
}

/// What has to be loaded before a property of an object can be read.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Needs {
    /// Nothing but the resource itself.
    Row,
    /// The object's text.
    Text,
}

/// Reads a property.
pub type GetFn = fn(&Reading<'_>, &mut Writer) -> Found;

/// How a property is read.
#[derive(Debug, Clone, Copy)]
pub enum Get {
    /// The function writes what the element contains.
    Content(GetFn),
    /// The function writes the element itself, because it has attributes.
    Element(GetFn),
    /// The element as it was stored.
    Stored,
    /// The element as it was stored; where none is, the function writes what it contains.
    StoredOr(GetFn),
}

/// What became of reading a property. Whatever was written for one not found is taken back.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Found {
    /// It is written.
    Yes,
    /// The resource has none: 404.
    No,
    /// The viewer may not read it: 403.
    Refused,
    /// It would go beyond a limit: DAV:number-of-matches-within-limits. RFC 4791 §7.8
    TooMuch,
}

impl Found {
    /// Found where the condition holds.
    pub fn when(found: bool) -> Found {
        if found { Found::Yes } else { Found::No }
    }
}

/// Changes a draft as the element says; without an element the property is removed.
pub type SetFn = fn(&Context, &mut Draft, Option<&Element>) -> Result<(), Error>;

/// How a property is changed.
#[derive(Debug, Clone, Copy)]
pub enum Set {
    /// Not at all: DAV:cannot-modify-protected-property.
    Protected,
    /// What is sent is stored.
    Stored,
    /// The function checks and stores.
    Checked(SetFn),
    /// As `Checked` when a collection is made; protected afterwards.
    AtCreation(SetFn),
}

/// What a PROPPATCH or the making of a collection changes: a copy, kept only if all went well.
#[derive(Debug, Clone)]
pub struct Draft {
    /// The kind of resource.
    pub kind: Kind,
    /// Settings of a collection or home; of principals and objects only `properties` counts.
    pub settings: Settings,
}

/// What a property is read from.
#[derive(Debug, Clone, Copy)]
pub struct Reading<'a> {
    /// The request's context.
    pub cx: &'a Context,
    /// The resource.
    pub resource: &'a Resource,
    /// The properties stored with it.
    pub properties: &'a Properties,
    /// The object's text, where a property asked for needs it.
    pub text: Option<&'a str>,
    /// The element that asked: `CALDAV:calendar-data` says in it what to return.
    pub asked: &'a Element,
}

/// A kind of collection that MKCOL can make. RFC 5689 §3
#[derive(Debug, Clone, Copy)]
pub struct NewCollection {
    /// What has to be in DAV:resourcetype besides DAV:collection.
    pub resourcetype: Name<'static>,
    /// Where it is defined.
    pub spec: &'static str,
    /// What the store keeps it as.
    pub kind: crate::store::Kind,
    /// Checks the draft once all properties are set, and fills in what was left out.
    pub check: fn(&Context, &mut Draft) -> Result<(), Error>,
}

/// A token of the DAV header. RFC 4918 §10.1
#[derive(Debug, Clone, Copy)]
pub struct Token {
    /// The token.
    pub name: &'static str,
    /// Where it is defined.
    pub spec: &'static str,
}

/// A deliberate deviation: what a client needs and an RFC forbids.
#[derive(Debug, Clone, Copy)]
pub struct Deviation {
    /// What is done.
    pub what: &'static str,
    /// What says otherwise.
    pub spec: &'static str,
    /// Who needs it.
    pub client: &'static str,
    /// The cases of the conformance suite that do not hold because of it, as `file: title`.
    pub cases: &'static [&'static str],
}

/// An object that is about to enter a collection by COPY or MOVE.
#[derive(Debug, Clone, Copy)]
pub struct Entering<'a> {
    /// Where it comes from.
    pub from: (&'a Place, &'a Arc<Collection>),
    /// The object.
    pub header: &'a Header,
    /// Where it goes.
    pub to: (&'a Place, &'a Arc<Collection>),
    /// Its name there.
    pub name: &'a str,
    /// Whether it stays where it comes from too.
    pub transfer: Transfer,
}

/// Copy or move.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Transfer {
    /// The source stays.
    Copy,
    /// The source goes.
    Move,
    /// The whole collection is copied: `to` is the collection it comes from, as the new one will
    /// have the same settings.
    WithCollection,
}

/// What a module above has to say about what WebDAV's own methods do.
#[derive(Debug, Clone, Copy)]
pub struct Rules {
    /// Whether the object may enter the collection. RFC 4791 §5.3.2.1
    pub admit: for<'a> fn(&'a mut Context, Entering<'a>) -> Boxed<'a, ()>,
    /// Before the resource (an object or a collection) is removed by its viewer.
    pub remove: for<'a> fn(&'a mut Context, &'a Resource) -> Boxed<'a, ()>,
}

/// The rows of one module.
#[derive(Debug, Clone, Copy)]
pub struct Table {
    /// Methods.
    pub methods: &'static [Method],
    /// Reports.
    pub reports: &'static [Report],
    /// Live properties, file by file.
    pub properties: &'static [&'static [Property]],
    /// Kinds of collection that can be made.
    pub collections: &'static [NewCollection],
    /// Tokens of the DAV header.
    pub tokens: &'static [Token],
    /// Deliberate deviations.
    pub deviations: &'static [Deviation],
    /// What it has to say about WebDAV's own methods.
    pub rules: &'static [Rules],
}

/// The rows of all modules.
#[derive(Debug)]
pub struct Tables {
    rows: &'static [&'static Table],
    methods: HashMap<&'static str, Vec<&'static Method>>,
    reports: HashMap<Name<'static>, Vec<&'static Report>>,
    properties: HashMap<Name<'static>, Vec<&'static Property>>,
    dav: String,
}

impl Tables {
    /// The tables joined.
    pub fn join(rows: &'static [&'static Table]) -> Tables {
        let mut tables = Tables {
            rows,
            methods: HashMap::new(),
            reports: HashMap::new(),
            properties: HashMap::new(),
            dav: String::new(),
        };
        for table in rows {
            for row in table.methods {
                tables.methods.entry(row.name).or_default().push(row);
            }
            for row in table.reports {
                tables.reports.entry(row.name).or_default().push(row);
            }
            for row in table.properties.iter().copied().flatten() {
                tables.properties.entry(row.name).or_default().push(row);
            }
        }
        let tokens: Vec<_> = rows.iter().flat_map(|t| t.tokens).map(|t| t.name).collect();
        tables.dav = tokens.join(", ");
        tables
    }

    /// The row for a method on a kind of resource.
    pub fn method(&self, name: &str, kind: Kind) -> Option<&'static Method> {
        let rows = self.methods.get(name)?;
        rows.iter().copied().find(|row| row.on.contains(kind))
    }

    /// Whether any resource has the method: else 501.
    pub fn knows_method(&self, name: &str) -> bool {
        self.methods.contains_key(name)
    }

    /// Whether the method changes any kind of resource.
    pub fn writes(&self, name: &str) -> bool {
        let rows = self.methods.get(name).into_iter().flatten();
        rows.into_iter().any(|row| row.mode == Mode::Writes)
    }

    /// The methods on a kind of resource; HEAD is wherever GET is.
    pub fn methods(&self, kind: Kind) -> impl Iterator<Item = &'static str> {
        let rows = self.rows.iter().flat_map(|table| table.methods);
        let names = rows
            .filter(move |row| row.on.contains(kind))
            .map(|row| row.name);
        names
            .flat_map(|name| [Some(name), (name == "GET").then_some("HEAD")])
            .flatten()
    }

    /// The methods on a kind of resource, as `Allow` lists them. RFC 9110 §10.2.1
    pub fn allow(&self, kind: Kind) -> String {
        self.methods(kind).collect::<Vec<_>>().join(", ")
    }

    /// The value of the DAV header. RFC 4918 §10.1
    pub fn dav(&self) -> &str {
        &self.dav
    }

    /// The row for a report on a kind of resource. RFC 3253 §3.6
    pub fn report(&self, name: Name<'_>, kind: Kind) -> Result<&'static Report, Error> {
        let rows = self.reports.get(&name).into_iter().flatten();
        let mut fit = rows.copied().filter(|row| row.on.contains(kind));
        fit.next().ok_or(Condition::SupportedReport.into())
    }

    /// The reports on a kind of resource.
    pub fn reports(&self, kind: Kind) -> impl Iterator<Item = &'static Report> {
        let rows = self.rows.iter().flat_map(|table| table.reports);
        rows.filter(move |row| row.on.contains(kind))
    }

    /// The row for a property of a kind of resource.
    pub fn property(&self, name: Name<'_>, kind: Kind) -> Option<&'static Property> {
        let rows = self.properties.get(&name)?;
        rows.iter().copied().find(|row| row.on.contains(kind))
    }

    /// The live properties of a kind of resource.
    pub fn properties(&self, kind: Kind) -> impl Iterator<Item = &'static Property> {
        let files = self.rows.iter().flat_map(|table| table.properties);
        let rows = files.flat_map(|file| file.iter());
        rows.filter(move |row| row.on.contains(kind))
    }

    /// The kind of collection that has this resource type.
    pub fn collection(&self, resourcetype: Name<'_>) -> Option<&'static NewCollection> {
        let mut rows = self.rows.iter().flat_map(|table| table.collections);
        rows.find(|row| row.resourcetype == resourcetype)
    }

    /// What the modules above have to say.
    pub fn rules(&self) -> impl Iterator<Item = &'static Rules> + use<> {
        self.rows.iter().flat_map(|table| table.rules)
    }

    /// Every table, for what lists all rows.
    pub fn rows(&self) -> &'static [&'static Table] {
        self.rows
    }
}
