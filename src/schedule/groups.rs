//! Groups as attendees: the members of a group are invited with it, and go when it goes (RFC 5545 §3.2.11).
//!
//! The stored object keeps the group's ATTENDEE, and has one for each member with the group in MEMBER. Whoever joins the
//! group is invited at the organizer's next change of the meeting, and whoever left it is taken off the list.

use super::who::principal_of;
use crate::ical::{Component, Property, address_key};
use crate::store::{Directory, Id, Principal, PrincipalKind};
use std::collections::BTreeSet;

/// The organizer's object with the members of its groups; none if nothing changes.
pub(super) fn expanded(
    calendar: &Component,
    directory: &Directory,
    organizer: Id,
) -> Option<Component> {
    let mut expanded = calendar.clone();
    for component in expanded.all_components_mut() {
        if component.property("ATTENDEE").is_some() {
            expand(component, directory, organizer);
        }
    }
    (expanded != *calendar).then_some(expanded)
}

fn expand(component: &mut Component, directory: &Directory, organizer: Id) {
    let groups: Vec<(String, Id)> = component
        .properties("ATTENDEE")
        .filter(|a| crate::ical::address(a).schedule_agent() == "SERVER")
        .filter_map(|a| Some((a.value().trim().to_owned(), group(directory, a.value())?)))
        .collect();
    component.retain_properties(|p| !p.is("ATTENDEE") || stays(p, directory, &groups));
    let mut invited: BTreeSet<Id> = component
        .properties("ATTENDEE")
        .filter_map(|a| Some(principal_of(directory, a.value())?.id))
        .collect();
    for (address, group) in &groups {
        for attendee in component.properties_mut("ATTENDEE") {
            if attendee.value().trim() == address && attendee.param("CUTYPE").is_none() {
                attendee.set_param("CUTYPE", "GROUP");
            }
        }
        for id in directory.expand(*group) {
            if id != organizer
                && invited.insert(id)
                && let Some(member) = directory.principal(id)
            {
                component.push(attendee(member, address));
            }
        }
    }
}

fn group(directory: &Directory, address: &str) -> Option<Id> {
    let principal = principal_of(directory, address)?;
    (principal.kind == PrincipalKind::Group).then_some(principal.id)
}

/// Whether an attendee is invited otherwise than by groups that they are not in, or that are not invited any more.
fn stays(attendee: &Property, directory: &Directory, groups: &[(String, Id)]) -> bool {
    let named = crate::ical::address(attendee).addresses("MEMBER");
    let by: Vec<Id> = named.iter().filter_map(|a| group(directory, a)).collect();
    if by.is_empty() || by.len() < named.len() {
        return true;
    }
    let id = principal_of(directory, attendee.value()).map(|p| p.id);
    by.iter().any(|by| {
        groups.iter().any(|(_, group)| group == by)
            && id.is_none_or(|id| directory.is_member(id, *by))
    })
}

/// The ATTENDEE of a member. It has no PARTSTAT: a written NEEDS-ACTION would ask again who has answered.
fn attendee(member: &Principal, group: &str) -> Property {
    let address = match member.addresses.first() {
        Some(address) => address.clone(),
        None => format!("urn:uuid:{}", member.id),
    };
    let kind = match member.kind {
        PrincipalKind::User => "INDIVIDUAL",
        PrincipalKind::Group => "GROUP",
        PrincipalKind::Room => "ROOM",
        PrincipalKind::Resource => "RESOURCE",
    };
    let mut attendee = Property::new("ATTENDEE", &written(&address));
    if !member.display_name.is_empty() {
        attendee.set_param("CN", &member.display_name);
    }
    attendee
        .with_param("CUTYPE", kind)
        .with_param("MEMBER", group)
        .with_param("RSVP", "TRUE")
}

/// An address as iCalendar has it: mail addresses are kept with their scheme or without.
fn written(address: &str) -> String {
    match address.contains(':') {
        true => address.to_owned(),
        false => address_key(address),
    }
}
