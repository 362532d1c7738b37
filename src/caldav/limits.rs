//! What this module may be asked for: the server's limits, and those that follow from them.

use crate::ical::{self, Date, Timestamp};
use crate::{dav, recur};

/// Limits of calendars and their objects.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Limits {
    /// An object in bytes: CALDAV:max-resource-size. RFC 4791 §5.2.5
    pub resource_bytes: usize,
    /// CALDAV:max-attendees-per-instance. RFC 4791 §5.2.9
    pub attendees: usize,
    /// The day that no written date may be before: CALDAV:min-date-time. RFC 4791 §5.2.6
    pub first: Date,
    /// The day that no written date may be after: CALDAV:max-date-time. RFC 4791 §5.2.7
    pub last: Date,
    /// What is read of iCalendar.
    pub ical: ical::Limits,
    /// How far instances are followed; its number of instances is CALDAV:max-instances.
    /// RFC 4791 §5.2.8
    pub recur: recur::Limits,
}

impl Limits {
    /// The limits that follow from the server's. A day in the time zones of the earth stays within
    /// four digits of a year, so the first and the last of all days are left out.
    pub fn of(limits: &dav::Limits) -> Limits {
        Limits {
            resource_bytes: limits.resource_bytes,
            attendees: limits.attendees,
            first: Date::MIN.add_days(1).unwrap_or(Date::MIN),
            last: Date::MAX.add_days(-1).unwrap_or(Date::MAX),
            ical: ical::Limits {
                bytes: limits.resource_bytes,
                ..ical::Limits::default()
            },
            recur: recur::Limits {
                instances: limits.instances,
                ..recur::Limits::default()
            },
        }
    }

    /// The first instant: CALDAV:min-date-time. RFC 4791 §5.2.6
    pub fn earliest(&self) -> Timestamp {
        self.first.midnight().as_utc()
    }

    /// The last instant: CALDAV:max-date-time. RFC 4791 §5.2.7
    pub fn latest(&self) -> Timestamp {
        let next = self.last.add_days(1).unwrap_or(self.last);
        next.midnight().as_utc().add_seconds(-1)
    }
}
