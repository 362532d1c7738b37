//! What a component says about being busy: STATUS and TRANSP of an event, the periods of a
//! VFREEBUSY, the BUSYTYPE and AVAILABLE parts of a VAVAILABILITY (RFC 4791 §7.10,
//! RFC 5545 §3.2.9, RFC 7953 §3).

use std::sync::Arc;

use crate::ical::values::{self, Period};
use crate::ical::{Component, Kind, address};

use super::instances::sets_of;
use super::set::Set;
use super::zone::Zones;

/// A free/busy time type. RFC 5545 §3.2.9
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum FbType {
    /// BUSY.
    Busy,
    /// BUSY-TENTATIVE.
    Tentative,
    /// BUSY-UNAVAILABLE.
    Unavailable,
    /// FREE.
    Free,
    /// A type of somebody's own, which means BUSY to those who do not know it.
    Other(Arc<str>),
}

/// What one component contributes.
#[derive(Clone, Debug)]
pub(super) enum Busy {
    /// Nothing: to-dos and journals.
    Nothing,
    /// Every instance of an event is of that type, but not for those who declined.
    Event {
        kind: FbType,
        declined: Box<[String]>,
    },
    /// The periods of a VFREEBUSY.
    Periods(Vec<(Period, FbType)>),
    /// A VAVAILABILITY.
    Availability(Box<Availability>),
}

/// A VAVAILABILITY: its time is of one type, but for the instances of its AVAILABLE parts.
#[derive(Clone, Debug)]
pub(super) struct Availability {
    pub(super) kind: FbType,
    /// 1 is the highest; 0, which is no priority, comes after 9.
    pub(super) priority: u8,
    pub(super) available: Vec<Set>,
}

impl FbType {
    /// The type of that name. RFC 5545 §3.2.9
    #[must_use]
    pub fn parse(name: &str) -> FbType {
        let upper = name.trim().to_ascii_uppercase();
        match upper.as_str() {
            "" | "BUSY" => FbType::Busy,
            "BUSY-TENTATIVE" => FbType::Tentative,
            "BUSY-UNAVAILABLE" => FbType::Unavailable,
            "FREE" => FbType::Free,
            _ => FbType::Other(upper.into()),
        }
    }

    /// Its name.
    #[must_use]
    pub fn name(&self) -> &str {
        match self {
            FbType::Busy => "BUSY",
            FbType::Tentative => "BUSY-TENTATIVE",
            FbType::Unavailable => "BUSY-UNAVAILABLE",
            FbType::Free => "FREE",
            FbType::Other(name) => name,
        }
    }
}

impl Busy {
    pub(super) fn read(component: &Component, kind: Kind, zones: &Zones) -> Busy {
        match kind {
            Kind::Event => Busy::Event {
                kind: event_type(component),
                declined: declined(component),
            },
            Kind::FreeBusy => {
                let typed = component.properties("FREEBUSY").flat_map(|property| {
                    let kind = property.param("FBTYPE");
                    let kind = FbType::parse(kind.as_deref().unwrap_or_default());
                    let periods = values::periods(property).into_iter();
                    periods.map(move |period| (period, kind.clone()))
                });
                Busy::Periods(typed.collect())
            }
            Kind::Availability => {
                let kind = component.text("BUSYTYPE").map(|name| FbType::parse(&name));
                let priority = component.text("PRIORITY");
                let priority = priority.and_then(|text| text.trim().parse().ok());
                let parts: Vec<_> = component.components("AVAILABLE").collect();
                Busy::Availability(Box::new(Availability {
                    kind: kind.unwrap_or(FbType::Unavailable),
                    priority: priority.filter(|it| (1..=9).contains(it)).unwrap_or(10),
                    available: sets_of(&parts, Kind::Event, zones, &mut Vec::new()),
                }))
            }
            Kind::Todo | Kind::Journal => Busy::Nothing,
        }
    }
}

/// The type of an event's time: the table of RFC 4791 §7.10.
fn event_type(component: &Component) -> FbType {
    let is = |name: &str, value: &str| {
        component
            .text(name)
            .is_some_and(|text| text.trim().eq_ignore_ascii_case(value))
    };
    if is("TRANSP", "TRANSPARENT") || is("STATUS", "CANCELLED") {
        FbType::Free
    } else if is("STATUS", "TENTATIVE") {
        FbType::Tentative
    } else {
        FbType::Busy
    }
}

/// The keys of the attendees who will not come: they declined or sent somebody else.
/// RFC 5545 §3.2.12
fn declined(component: &Component) -> Box<[String]> {
    let attendees = component.properties("ATTENDEE").map(address);
    let absent = |partstat: &str| matches!(partstat, "DECLINED" | "DELEGATED");
    attendees
        .filter(|attendee| absent(&attendee.partstat()))
        .map(|attendee| attendee.key())
        .collect()
}
