//! Invitations by mail (RFC 6047): what scheduling sends to people outside, and what comes back from
//! them.
//!
//! Outward: `token` gives each guest of a meeting an address of their own that takes their answers;
//! `compose` makes a mail of a message: `tidings` what it tells, `text` and `html` how, `copy` the calendar
//! object in it; `words` are what mails say in ten languages, `rules_in_words` how often a meeting takes place, `zone`
//! where its reader is. `queue` and `worker` see that it leaves, by `transport` or `pipe`.
//!
//! Inward: [`lmtp`], [`imap`] and a command bring mails to [`Inbound`]: `read` and `classify` say what a mail is,
//! `authenticate` whose it is, `matching` what it may do; what is doubtful waits as [`held`].
//!
//! **Gaps**: VJOURNAL is mailed by nobody, as `itip` does not send it.

mod authenticate;
mod classify;
mod compose;
mod copy;
mod dkim;
mod forget;
pub mod held;
mod html;
pub mod imap;
#[cfg(test)]
mod in_tests;
mod lint;
mod lint_calendar;
pub mod lmtp;
mod matching;
#[cfg(test)]
mod out_tests;
mod page;
mod pipe;
mod queue;
mod read;
mod receive;
#[cfg(test)]
mod receive_tests;
mod rules_in_words;
mod send;
mod span;
mod text;
mod tidings;
mod token;
mod transport;
mod undelivered;
mod words;
mod worker;
mod zone;

pub use authenticate::{Authenticator, Checks, Client, Envelope, Later, Own};
pub use classify::{Kind, Scheduling, classify};
pub use compose::{Addressing, Mail, Organizer, Unmailable, compose, mail_address};
pub use dkim::{Signer, signing};
pub use forget::forget;
pub use lint::{Finding, Rule, lint, rules};
pub use matching::{Authentic, Circumstances, Doubt, Ignored, Verdict, judge};
pub use page::{file as page_file, lines as page_lines};
pub use pipe::sendmail;
pub use queue::{Bundle, Errand, Note, Waiting, bundles};
pub use read::{Found, Letter, Limits, Mailbox, Place, Report, Undelivered, Unreadable, read};
pub use receive::{Done, Inbound, Refused, Treatment, drop_held, own_addresses, release};
pub use rules_in_words::repeats;
pub use tidings::Occasion;
pub use token::{Guest, LinkFault, NotAToken, Pattern, ReplyAddress, Token};
pub use transport::{Relay, Security, Sent, Transport, Trouble, smtp};
pub use undelivered::undelivered;
pub use words::Words;
pub use worker::{Counts, Mailer, Round, Sending};
pub use zone::{choose_zone, zone_of};
