//! What is queued with the change of an object: a row for everybody who is told, the journal, what is known of the UID.

use super::journal::{self, Decision};
use super::known::Known;
use super::queue::{Kind, MailItem, Payload};
use super::who::{Way, way};
use crate::ical::Component;
use crate::itip::{Addresses, Message, Outgoing, Weight};
use crate::store::{Change, Error, Home, Id, LocalMessage, MailMessage, Position};
use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

/// What is queued with the object.
#[derive(Debug)]
pub(super) struct Plan {
    uid: String,
    /// The text before the change.
    pub(super) old: Option<Position>,
    homes: BTreeMap<Id, Kind>,
    mails: BTreeMap<String, Kind>,
    decisions: Vec<Decision>,
    /// What is known of the UID from now on, where that changes.
    pub(super) known: Option<Known>,
}

impl Plan {
    /// The rows that it makes.
    pub(super) fn rows(&self) -> usize {
        self.homes.len() + self.mails.len()
    }

    /// What follows from these messages.
    pub(super) fn of(outgoing: &Outgoing, who: &Addresses, uid: &str) -> Plan {
        let mut plan = Plan {
            uid: uid.to_owned(),
            old: None,
            homes: BTreeMap::new(),
            mails: BTreeMap::new(),
            decisions: decisions(&outgoing.messages, who),
            known: None,
        };
        for message in &outgoing.messages {
            match (way(who, &message.to), message.weight) {
                (Way::Home(id), _) => {
                    plan.homes.insert(id, Kind::Change);
                }
                (Way::Mail, Weight::News) => {
                    plan.mails.insert(message.to.clone(), Kind::Change);
                }
                (Way::Mail, Weight::Refresh) | (Way::Nowhere, _) => {}
            }
        }
        plan
    }

    /// What follows from one message that no text implies.
    pub(super) fn verbatim(message: &Message, kind: &Kind, who: &Addresses) -> Plan {
        let outgoing = Outgoing {
            store: None,
            messages: vec![message.clone()],
        };
        let mut plan = Plan::of(&outgoing, who, &message.uid);
        for known in plan.homes.values_mut().chain(plan.mails.values_mut()) {
            *known = kind.clone();
        }
        plan
    }

    /// Notes who was to be told in any case: the parameter that says so is not stored. RFC 6638 §7.2
    pub(super) fn force(&mut self, calendar: &Component, who: &Addresses) {
        let properties = calendar
            .all_components()
            .flat_map(Component::all_properties)
            .filter(|p| p.param("SCHEDULE-FORCE-SEND").is_some());
        let forced: BTreeSet<&str> = properties.map(|p| p.value().trim()).collect();
        for address in forced {
            match way(who, address) {
                Way::Home(id) => {
                    self.homes.entry(id).and_modify(|kind| *kind = Kind::Forced);
                }
                Way::Mail => {
                    let person = who.person(address);
                    let mails = self.mails.iter_mut();
                    mails
                        .filter(|(to, _)| who.person(to) == person)
                        .for_each(|(_, kind)| *kind = Kind::Forced);
                }
                Way::Nowhere => {}
            }
        }
    }

    /// Stages it in a change of the home, for the object of this name, whose text will have the position `new`.
    pub(super) fn stage(
        self,
        change: &mut Change,
        home: &Arc<Home>,
        (collection, name): (Id, &str),
        new: Option<Position>,
    ) -> Result<(), Error> {
        let now = change.at;
        let row = |to: Id, kind: Kind| LocalMessage {
            to,
            from: home.id(),
            uid: self.uid.clone(),
            revision: home.revision().saturating_add(1),
            collection,
            name: name.to_owned(),
            old: self.old,
            new,
            payload: Payload { kind, at: now }.encode(),
        };
        for (id, kind) in &self.homes {
            change.queue_local(&row(*id, kind.clone()));
        }
        for (to, kind) in &self.mails {
            let item = MailItem {
                source: row(home.id(), kind.clone()),
                to: to.clone(),
                note: String::new(),
            };
            change.queue_mail(&MailMessage {
                id: Id::random()?,
                due: now,
                payload: item.encode(),
            });
        }
        for decision in &self.decisions {
            journal::note(change, home, &self.uid, now, decision)?;
        }
        if let Some(known) = &self.known {
            known.keep(change.home(home), &self.uid);
        }
        Ok(())
    }
}

/// What is sent, for the journal: a row for each method and status.
fn decisions(messages: &[Message], who: &Addresses) -> Vec<Decision> {
    let mut by_kind: BTreeMap<(String, &str), Vec<&str>> = BTreeMap::new();
    for message in messages.iter().filter(|m| m.weight == Weight::News) {
        let status = who.route(&message.to).status();
        let kind = (message.method.to_string(), status);
        by_kind.entry(kind).or_default().push(&message.to);
    }
    let decisions = by_kind.into_iter();
    decisions
        .map(|((method, status), to)| Decision::sent(method, &to, status))
        .collect()
}
