//! Preconditions and postconditions: one row each, the only place that knows their status.
//!
//! RFC 4918 §16. A row's status is what its RFC names; where it names none, 403 if repeating the
//! request cannot help, 409 if the user can resolve it (RFC 4791 §1.3), 507 for quotas and
//! limits of results. 412 is for conditional headers only and never a condition's.

use crate::xml::Name;

/// The row of a [`Condition`].
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Row {
    /// The status of an answer that names it.
    pub status: u16,
    /// The element in DAV:error.
    pub name: Name<'static>,
    /// Where it is defined.
    pub spec: &'static str,
}

macro_rules! conditions {
    ($($variant:ident: $status:literal, $ns:ident $local:literal, $spec:literal;)*) => {
        /// What a request had to find or to leave, and did not.
        #[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
        pub enum Condition {
            $(#[doc = concat!($local, ", ", $spec)] $variant,)*
        }

        impl Condition {
            /// Every condition, for the tables of README and the tests.
            pub const ALL: &'static [Condition] = &[$(Condition::$variant,)*];

            /// Status, element and section.
            pub const fn row(self) -> Row {
                match self {
                    $(Condition::$variant => Row {
                        status: $status,
                        name: Name::$ns($local),
                        spec: $spec,
                    },)*
                }
            }
        }
    };
}

conditions! {
    NoExternalEntities: 403, dav "no-external-entities", "RFC 4918 §16";
    PropfindFiniteDepth: 403, dav "propfind-finite-depth", "RFC 4918 §16";
    CannotModifyProtectedProperty: 403, dav "cannot-modify-protected-property", "RFC 4918 §16";
    SupportedReport: 403, dav "supported-report", "RFC 3253 §3.6";
    NeedPrivileges: 403, dav "need-privileges", "RFC 3744 §7.1.1";
    NumberOfMatchesWithinLimits: 507, dav "number-of-matches-within-limits", "RFC 3744 §9.2";
    SufficientDiskSpace: 507, dav "sufficient-disk-space", "RFC 4331 §6";
    ResourceMustBeNull: 403, dav "resource-must-be-null", "RFC 4791 §5.3.1.1";
    ValidResourcetype: 403, dav "valid-resourcetype", "RFC 5689 §3.3";
    ValidSyncToken: 403, dav "valid-sync-token", "RFC 6578 §3.2";
    CalendarCollectionLocationOk: 403, caldav "calendar-collection-location-ok", "RFC 4791 §5.3.1.1";
    SupportedCalendarData: 403, caldav "supported-calendar-data", "RFC 4791 §5.3.2.1";
    ValidCalendarData: 403, caldav "valid-calendar-data", "RFC 4791 §5.3.2.1";
    ValidCalendarObjectResource: 403, caldav "valid-calendar-object-resource", "RFC 4791 §5.3.2.1";
    SupportedCalendarComponent: 403, caldav "supported-calendar-component", "RFC 4791 §5.3.2.1";
    NoUidConflict: 403, caldav "no-uid-conflict", "RFC 4791 §5.3.2.1";
    MaxResourceSize: 403, caldav "max-resource-size", "RFC 4791 §5.3.2.1";
    MinDateTime: 403, caldav "min-date-time", "RFC 4791 §5.3.2.1";
    MaxDateTime: 403, caldav "max-date-time", "RFC 4791 §5.3.2.1";
    MaxInstances: 403, caldav "max-instances", "RFC 4791 §5.3.2.1";
    MaxAttendeesPerInstance: 403, caldav "max-attendees-per-instance", "RFC 4791 §5.3.2.1";
    SupportedRscale: 403, caldav "supported-rscale", "RFC 7529 §10";
    ValidFilter: 403, caldav "valid-filter", "RFC 4791 §7.8";
    SupportedFilter: 403, caldav "supported-filter", "RFC 4791 §7.8";
    SupportedCollation: 403, caldav "supported-collation", "RFC 4791 §7.5.1";
    ValidTimezone: 403, caldav "valid-timezone", "RFC 7809 §3.1.4";
    UniqueSchedulingObjectResource: 403, caldav "unique-scheduling-object-resource", "RFC 6638 §3.2.4.1";
    SameOrganizerInAllComponents: 403, caldav "same-organizer-in-all-components", "RFC 6638 §3.2.4.2";
    AllowedOrganizerSchedulingObjectChange: 403, caldav "allowed-organizer-scheduling-object-change", "RFC 6638 §3.2.4.3";
    AllowedAttendeeSchedulingObjectChange: 403, caldav "allowed-attendee-scheduling-object-change", "RFC 6638 §3.2.4.4";
    DefaultCalendarNeeded: 403, caldav "default-calendar-needed", "RFC 6638 §4.3.1.1";
    ValidScheduleDefaultCalendarUrl: 403, caldav "valid-schedule-default-calendar-URL", "RFC 6638 §4.3.1.2";
    ValidSchedulingMessage: 400, caldav "valid-scheduling-message", "RFC 6638 §5.2.1";
    ValidOrganizer: 403, caldav "valid-organizer", "RFC 6638 §5.2.2";
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::HashSet;

    #[test]
    fn each_condition_is_one_element_with_an_error_status_that_is_not_412() {
        let names: HashSet<_> = Condition::ALL.iter().map(|c| c.row().name).collect();
        assert_eq!(names.len(), Condition::ALL.len());
        for condition in Condition::ALL {
            let row = condition.row();
            assert!([400, 403, 409, 507].contains(&row.status), "{row:?}");
        }
    }
}
