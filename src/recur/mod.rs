//! Which instances a calendar object has in a time range, and when somebody is busy
//! (RFC 5545 §3.8.5, RFC 7529, RFC 4791 §9.9).
//!
//! No clock, no IO: the same object and range give the same answer.

mod alarms;
mod busy;
mod busy_source;
mod busy_write;
mod days;
mod expand;
mod instances;
mod period;
mod range;
mod rule;
mod rule_read;
mod season;
mod set;
mod source;
mod summary;
mod summary_bytes;
mod times;
mod vtimezone;
mod vtimezone_match;
mod vtimezone_write;
mod year;
mod zone;
mod zone_data;
mod zone_names;
#[cfg(test)]
mod zone_tests;

#[cfg(test)]
mod object_tests;
#[cfg(test)]
mod oracle_tests;
#[cfg(test)]
mod rule_props;
#[cfg(test)]
mod summary_tests;
#[cfg(test)]
mod tests;

pub use alarms::AlarmTime;
pub use busy::{BusyPeriod, Timeline, busy, merge};
pub use busy_source::FbType;
pub use busy_write::free_busy;
pub use expand::{Last, Limits, Series, TooMuch};
pub use instances::{Compiled, Instance, Part, Query, RecurFault, RecurProblem, compile};
pub use range::{Extent, Range};
pub use rule::{ByDay, ByMonth, Freq, Rule, Scale, Skip};
pub use rule_read::{RuleError, RuleProblem};
pub use season::Season;
pub use summary::{BusyKinds, Form, Month, Summary, Verdict, summary};
pub use vtimezone::lone_vtimezone;
pub use vtimezone_write::{add_timezones, strip_timezones, vtimezone};
pub use zone::{Transition, Zone, Zones};
pub use zone_data::{install_tzdata, tzdata_version, zone_names};
