//! Invitations by mail (RFC 6047): what scheduling sends to people outside, and what comes back from
//! them.
//!
//! Outward: `token` gives each guest of a meeting an address of their own that takes their answers.
//!
//! **Gaps**: VJOURNAL is mailed by nobody, as `itip` does not send it.

mod token;

pub use token::{Guest, LinkFault, NotAToken, Pattern, ReplyAddress, Token};
