//! Invitations by mail (RFC 6047): what scheduling sends to people outside, and what comes back from
//! them.
//!
//! Outward: `token` gives each guest of a meeting an address of their own that takes their answers;
//! `words` are what mails say in ten languages, `rules_in_words` how often a meeting takes place.
//!
//! **Gaps**: VJOURNAL is mailed by nobody, as `itip` does not send it.

mod classify;
#[cfg(test)]
mod in_tests;
mod matching;
mod read;
mod rules_in_words;
mod token;
mod words;

pub use classify::{Kind, Scheduling, classify};
pub use matching::{Authentic, Circumstances, Doubt, Ignored, Verdict, judge};
pub use read::{Found, Letter, Limits, Mailbox, Place, Report, Undelivered, Unreadable, read};
pub use rules_in_words::repeats;
pub use token::{Guest, LinkFault, NotAToken, Pattern, ReplyAddress, Token};
pub use words::Words;
