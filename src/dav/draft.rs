//! Changes of properties as values: PROPPATCH, and the making of collections, run every change
//! on a [`Draft`] and keep it only if all of them went well.
//!
//! RFC 4918 §9.2 ("either all executed or none"), RFC 5689 §3, RFC 4791 §5.3.1.

use super::condition::Condition;
use super::context::Context;
use super::error::{Detail, Error, Refusal};
use super::multistatus::{write_refusal, write_status};
use super::tables::{Draft, Property, Set};
use crate::xml::{Element, Name, Writer};

/// When properties are set.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Occasion {
    /// A collection is being made: what is fixed later can be set now.
    Creation,
    /// It is there.
    Change,
}

/// One instruction: the property's element, and whether it is set or removed.
#[derive(Debug, Clone, Copy)]
struct Instruction<'a> {
    property: &'a Element,
    verb: Verb,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Verb {
    Set,
    Remove,
}

/// What became of the properties, in the order in which they were named.
#[derive(Debug)]
pub struct Outcome<'a> {
    properties: Vec<(Name<'a>, Option<Error>)>,
}

/// Runs the DAV:set and DAV:remove in the request on the draft, in order. RFC 4918 §14.19
/// DAV:resourcetype is the business of who makes the collection.
pub fn apply<'a>(
    cx: &Context,
    draft: &mut Draft,
    request: &'a Element,
    occasion: Occasion,
) -> Result<Outcome<'a>, Error> {
    let mut outcome = Outcome {
        properties: Vec::new(),
    };
    let most = cx.shared.limits.instructions;
    if instructions(request).nth(most).is_some() {
        return Err(Error::Status(413, "Too many properties at once."));
    }
    for instruction in instructions(request) {
        let name = instruction.property.name();
        if occasion == Occasion::Creation && name == Name::dav("resourcetype") {
            continue;
        }
        let done = one(cx, draft, instruction, occasion);
        outcome
            .properties
            .retain(|(known, error)| *known != name || error.is_some());
        if !outcome.properties.iter().any(|(known, _)| *known == name) {
            outcome.properties.push((name, done.err()));
        }
    }
    Ok(outcome)
}

fn instructions(request: &Element) -> impl Iterator<Item = Instruction<'_>> {
    request.elements().flat_map(|block| {
        let verb = match block.name() {
            name if name == Name::dav("set") => Some(Verb::Set),
            name if name == Name::dav("remove") => Some(Verb::Remove),
            _ => None,
        };
        let properties = block
            .children(Name::dav("prop"))
            .flat_map(Element::elements);
        properties.filter_map(move |property| {
            Some(Instruction {
                property,
                verb: verb?,
            })
        })
    })
}

fn one(
    cx: &Context,
    draft: &mut Draft,
    instruction: Instruction<'_>,
    occasion: Occasion,
) -> Result<(), Error> {
    let element = instruction.property;
    let value = (instruction.verb == Verb::Set).then_some(element);
    let row = cx.shared.tables.property(element.name(), draft.kind);
    match (row.map(|row: &Property| row.set), occasion) {
        (Some(Set::Checked(set)), _) | (Some(Set::AtCreation(set)), Occasion::Creation) => {
            set(cx, draft, value)
        }
        (Some(Set::Protected), _) | (Some(Set::AtCreation(_)), Occasion::Change) => {
            Err(Condition::CannotModifyProtectedProperty.into())
        }
        (Some(Set::Stored) | None, _) => {
            store(draft, element.name(), value);
            Ok(())
        }
    }
}

/// Stores the element as it is, or removes what was stored.
pub fn store(draft: &mut Draft, name: Name<'_>, value: Option<&Element>) {
    match value {
        Some(element) => draft
            .settings
            .properties
            .insert(name.clark(), element.to_xml()),
        None => draft.settings.properties.remove(&name.clark()),
    };
}

impl Outcome<'_> {
    /// Whether every instruction was carried out.
    pub fn is_success(&self) -> bool {
        self.properties.iter().all(|(_, error)| error.is_none())
    }

    /// The status of the first instruction that failed; 200 where none did.
    pub fn status(&self) -> u16 {
        let mut errors = self
            .properties
            .iter()
            .filter_map(|(_, error)| error.as_ref());
        errors.next().map_or(200, status_of)
    }

    /// Takes the first error of the store out of it: that one is the whole request's.
    pub fn fatal(&mut self) -> Option<Error> {
        let fatal = |error: &Option<Error>| matches!(error, Some(Error::Store(_)));
        let at = self.properties.iter().position(|(_, error)| fatal(error))?;
        self.properties.swap_remove(at).1
    }

    /// The outcome as DAV:propstat elements: what did not fail by itself failed with the rest.
    /// RFC 4918 §9.2.1, §11.4
    pub fn write(&self, w: &mut Writer) {
        if self.is_success() {
            return propstat(
                w,
                200,
                None,
                &mut self.properties.iter().map(|(name, _)| *name),
            );
        }
        for (name, error) in &self.properties {
            let Some(error) = error else {
                continue;
            };
            let refusal = match error {
                Error::Refused(refusal) => Some(&**refusal),
                Error::Status(..) | Error::Store(_) => None,
            };
            let status = status_of(error);
            propstat(w, status, refusal, &mut std::iter::once(*name));
        }
        let spared = self.properties.iter().filter(|(_, error)| error.is_none());
        let mut spared = spared.map(|(name, _)| *name).peekable();
        if spared.peek().is_some() {
            propstat(w, 424, None, &mut spared);
        }
    }
}

fn status_of(error: &Error) -> u16 {
    match error {
        Error::Refused(refusal) => refusal.condition.row().status,
        Error::Status(status, _) => *status,
        Error::Store(_) => 500,
    }
}

fn propstat(
    w: &mut Writer,
    status: u16,
    refusal: Option<&Refusal>,
    names: &mut dyn Iterator<Item = Name<'_>>,
) {
    w.raw("<D:propstat><D:prop>");
    for name in names {
        w.empty(name);
    }
    w.raw("</D:prop>");
    write_status(w, status);
    if let Some(refusal) = refusal {
        w.open(Name::dav("error"));
        write_refusal(w, refusal);
        w.close(Name::dav("error"));
        if let Detail::Text(text) = &refusal.detail {
            w.element(Name::dav("responsedescription"), text);
        }
    }
    w.raw("</D:propstat>");
}
