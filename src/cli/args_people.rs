//! The command line of people, groups, rooms and their passwords.

use clap::{Args, Subcommand, ValueEnum};
use serde::{Deserialize, Serialize};

/// `user`.
#[derive(Clone, Debug, Subcommand, Serialize, Deserialize)]
pub enum User {
    /// Make a user with a home; the password is asked for
    #[command(after_help = "\
Examples:
  kalends user add alice --name 'Alice Liddell' --address alice@example.org
  echo \"$PASSWORD\" | kalends user add alice --password-stdin")]
    Add {
        /// The login name, also the last part of the user's URL
        name: String,
        /// The name people read
        #[arg(long = "name", value_name = "TEXT", default_value = "")]
        display_name: String,
        /// A mail address or other calendar user address; may be repeated, the first is preferred
        #[arg(long = "address", value_name = "MAIL")]
        addresses: Vec<String>,
        /// Let the user read, list, repair and delete everywhere
        #[arg(long)]
        admin: bool,
        /// The password.
        #[command(flatten)]
        password: Password,
    },
    /// List the users
    List(List),
    /// Show one user
    Show(Show),
    /// Change a user
    #[command(after_help = "\
Examples:
  kalends user set alice --address alice@example.org --address a.liddell@example.org
  kalends user set alice --locale de --timezone Europe/Berlin
  kalends user set bob --disabled true")]
    Set(Set),
    /// Set a user's password; app passwords stay
    Passwd {
        /// The user
        name: String,
        /// The password.
        #[command(flatten)]
        password: Password,
    },
    /// Remove a user with all calendars; whom they invited is told
    Remove {
        /// The user
        name: String,
    },
}

/// A password that is asked for or read from standard input.
#[derive(Clone, Default, Args, Serialize, Deserialize)]
pub struct Password {
    /// Read the password from standard input, up to the first line break
    #[arg(long = "password-stdin")]
    #[serde(skip)]
    pub from_stdin: bool,
    /// The password, once it was asked for; none for an account that cannot log in with one.
    #[arg(skip)]
    pub text: Option<String>,
}

impl std::fmt::Debug for Password {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Password").finish_non_exhaustive()
    }
}

/// `list`.
#[derive(Clone, Debug, Default, Args, Serialize, Deserialize)]
pub struct List {
    /// Print JSON
    #[arg(long)]
    pub json: bool,
}

/// `show`.
#[derive(Clone, Debug, Args, Serialize, Deserialize)]
pub struct Show {
    /// The name
    pub name: String,
    /// Print JSON
    #[arg(long)]
    pub json: bool,
}

/// `set`.
#[derive(Clone, Debug, Args, Serialize, Deserialize)]
pub struct Set {
    /// The name
    pub name: String,
    /// The name people read
    #[arg(long = "name", value_name = "TEXT")]
    pub display_name: Option<String>,
    /// All addresses, the preferred one first; may be repeated
    #[arg(long = "address", value_name = "MAIL", conflicts_with = "no_addresses")]
    pub addresses: Vec<String>,
    /// Take all addresses away
    #[arg(long)]
    pub no_addresses: bool,
    /// The language, such as `en` or `pt-BR`; empty for none
    #[arg(long)]
    pub locale: Option<String>,
    /// The time zone, such as `Europe/Berlin`; empty for none
    #[arg(long)]
    pub timezone: Option<String>,
    /// Whether the user may do everything
    #[arg(long, value_name = "true|false")]
    pub admin: Option<bool>,
    /// Whether the user may not log in
    #[arg(long, value_name = "true|false")]
    pub disabled: Option<bool>,
}

/// `resource set`.
#[derive(Clone, Debug, Args, Serialize, Deserialize)]
pub struct SetResource {
    /// What is changed of it as of any principal
    #[command(flatten)]
    pub change: Set,
    /// How it is booked
    #[command(flatten)]
    pub booking: Booking,
}

/// `group`.
#[derive(Clone, Debug, Subcommand, Serialize, Deserialize)]
pub enum Group {
    /// Make a group
    #[command(
        after_help = "Example:\n  kalends group add staff --name 'All staff' --member alice --member managers"
    )]
    Add {
        /// The group's name
        name: String,
        /// The name people read
        #[arg(long = "name", value_name = "TEXT", default_value = "")]
        display_name: String,
        /// A calendar user address of the group
        #[arg(long = "address", value_name = "MAIL")]
        addresses: Vec<String>,
        /// A member: a user, resource or group; may be repeated
        #[arg(long = "member", value_name = "NAME")]
        members: Vec<String>,
    },
    /// List the groups and their members
    List(List),
    /// Change a group
    #[command(after_help = "\
Examples:
  kalends group set staff --add bob --drop alice
  kalends group set staff --name 'Everybody'")]
    Set {
        /// The group's name
        name: String,
        /// The name people read
        #[arg(long = "name", value_name = "TEXT")]
        display_name: Option<String>,
        /// All addresses of the group
        #[arg(long = "address", value_name = "MAIL")]
        addresses: Vec<String>,
        /// A member to add; may be repeated
        #[arg(long = "add", value_name = "NAME")]
        add: Vec<String>,
        /// A member to drop; may be repeated
        #[arg(long = "drop", value_name = "NAME")]
        remove: Vec<String>,
    },
    /// Remove a group; its members stay
    Remove {
        /// The group's name
        name: String,
    },
}

/// The two kinds of things that can be booked.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum, Serialize, Deserialize)]
pub enum ResourceType {
    /// A room
    Room,
    /// Any other thing
    Resource,
}

/// Whether a room or resource answers invitations by itself.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum, Serialize, Deserialize)]
pub enum Policy {
    /// It accepts what is free and declines what is not
    WhenFree,
    /// It accepts, also what collides
    Always,
    /// Somebody in charge answers
    ByHand,
    /// It declines
    Never,
}

/// How a room or resource is booked.
#[derive(Clone, Debug, Default, Args, Serialize, Deserialize)]
pub struct Booking {
    /// Whether it answers by itself; `when-free` if nothing is said
    #[arg(long, value_enum)]
    pub policy: Option<Policy>,
    /// How far ahead it may be booked, such as `90 days`; `none` for any time
    #[arg(long, value_name = "TIME")]
    pub window: Option<String>,
    /// The longest booking, such as `8 h`; `none` for any length
    #[arg(long, value_name = "TIME")]
    pub longest: Option<String>,
    /// A user or group who may book it, all of them; may be repeated; `everybody` for everybody
    #[arg(long, value_name = "NAME")]
    pub bookable_by: Vec<String>,
    /// How many bookings it takes at one time
    #[arg(long, value_name = "NUMBER", value_parser = clap::value_parser!(u32).range(1..=1000))]
    pub capacity: Option<u32>,
    /// A user or group who sees its calendar and may answer for it; may be repeated; `nobody` for nobody
    #[arg(long, value_name = "NAME")]
    pub in_charge: Vec<String>,
}

/// `resource`.
#[derive(Clone, Debug, Subcommand, Serialize, Deserialize)]
pub enum Resource {
    /// Make a room or resource with a calendar
    #[command(
        after_help = "Example:\n  kalends resource add blue-room --type room --name 'Blue Room' --address blue@example.org"
    )]
    Add {
        /// The name
        name: String,
        /// What it is
        #[arg(long = "type", value_enum)]
        kind: ResourceType,
        /// The name people read
        #[arg(long = "name", value_name = "TEXT", default_value = "")]
        display_name: String,
        /// A calendar user address; may be repeated
        #[arg(long = "address", value_name = "MAIL")]
        addresses: Vec<String>,
        /// How it is booked
        #[command(flatten)]
        booking: Booking,
    },
    /// List rooms and resources
    List(List),
    /// Show a room or resource and how it is booked
    Show(Show),
    /// Change a room or resource
    #[command(after_help = "\
Examples:
  kalends resource set blue-room --policy by-hand --in-charge reception
  kalends resource set bikes --capacity 3 --longest '8 h' --window '30 days' --bookable-by staff
  kalends resource set bikes --longest none --bookable-by everybody")]
    Set(SetResource),
    /// Remove a room or resource
    Remove {
        /// The name
        name: String,
    },
}

/// Whose things are listed, and how.
#[derive(Clone, Debug, Args, Serialize, Deserialize)]
pub struct OfUser {
    /// The user
    pub user: String,
    /// Print JSON
    #[arg(long)]
    pub json: bool,
}

/// `app-password`.
#[derive(Clone, Debug, Subcommand, Serialize, Deserialize)]
pub enum AppPassword {
    /// Make a random password for one device and print it once
    #[command(after_help = "Example:\n  kalends app-password add alice 'Alice phone'")]
    Add {
        /// The user
        user: String,
        /// What it is for
        label: String,
    },
    /// List a user's app passwords with their last use
    List(OfUser),
    /// Remove an app password
    Remove {
        /// The user
        user: String,
        /// The label it was made with
        label: String,
    },
}
