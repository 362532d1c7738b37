//! The command line of `mail`: what waits to leave, what waits to be let in.

use std::path::PathBuf;

use clap::{Args, Subcommand};
use serde::{Deserialize, Serialize};

use super::args::List;

/// `mail`.
#[derive(Clone, Debug, Subcommand, Serialize, Deserialize)]
pub enum Mail {
    /// List the mails that wait, the next one first
    List(List),
    /// Show a mail that waits
    Show {
        /// The mail, by the beginning of its id
        id: String,
    },
    /// Try mails again now, or all of them
    Retry {
        /// The mail, by the beginning of its id
        #[arg(required_unless_present = "all", conflicts_with = "all")]
        id: Option<String>,
        /// All mails that wait
        #[arg(long)]
        all: bool,
    },
    /// Say what is wrong with an invitation, whoever wrote it
    #[command(after_help = "\
Examples:
  kalends mail lint invitation.eml
  kalends mail lint - < invitation.eml

The mail as it is sent, header and all. Each line names a rule, what breaks without
it, and where the mail breaks it; the exit code is 6 then.")]
    Lint {
        /// The mail; - for standard input
        file: PathBuf,
    },
    /// Drop a mail that waits: it is never sent, and nobody is told
    Drop {
        /// The mail, by the beginning of its id
        id: String,
    },
    /// Messages from outside that wait for the person they are for
    #[command(
        subcommand,
        after_help = "\
Examples:
  kalends mail held list --user alice
  kalends mail held show 3f9c
  kalends mail held release 3f9c

A message waits if nothing shows that its sender is who they say, if its sender
was not invited, or is not known. It is shown with what was found out of it."
    )]
    Held(Held),
    /// Take a mail from standard input: for pipes and aliases of a mail server
    #[command(after_help = "\
Examples:
  kalends mail receive --to \"$ORIGINAL_RECIPIENT\" < message
  calendar: \"|/usr/bin/kalends --config /etc/kalends/server.toml mail receive\"     (/etc/aliases)

Exit code 0 means that everything that follows from the mail is durable, 75 that
it shall be handed over again later.")]
    Receive(ReceiveMail),
}

/// `mail held`.
#[derive(Clone, Debug, Subcommand, Serialize, Deserialize)]
pub enum Held {
    /// List what waits, the oldest first
    List {
        /// Only what waits for this user
        #[arg(long)]
        user: Option<String>,
        /// Print JSON
        #[arg(long)]
        json: bool,
    },
    /// Show a message that waits
    Show {
        /// The message, by the beginning of its id
        id: String,
    },
    /// Let a message do what it asks for
    Release {
        /// The message, by the beginning of its id
        id: String,
    },
    /// Drop a message: it does nothing, and its sender is not told
    Drop {
        /// The message, by the beginning of its id
        id: String,
    },
}

/// `mail receive`.
#[derive(Clone, Debug, Args, Serialize, Deserialize)]
pub struct ReceiveMail {
    /// An address it was delivered to, instead of those in its header; may be repeated
    #[arg(long, value_name = "ADDRESS")]
    pub to: Vec<String>,
    /// Its return address
    #[arg(long, value_name = "ADDRESS")]
    pub from: Option<String>,
    /// The mail, as base64.
    #[arg(skip)]
    pub text: String,
}
