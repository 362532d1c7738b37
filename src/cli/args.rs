//! The command line: what can be asked, and the help that teaches it.
//!
//! Commands on the store are plain data that also travel to a running server.

use std::path::PathBuf;

use clap::{Args, Parser, Subcommand};
use serde::{Deserialize, Serialize};

pub use super::args_mail::{Held, Mail, ReceiveMail};
pub use super::args_people::{
    AppPassword, Booking, Group, List, OfUser, Password, Policy, Resource, ResourceType, Set,
    SetResource, Show, User,
};

/// Kalends, a calendar server for CalDAV clients.
#[derive(Debug, Parser)]
#[command(name = "kalends", version, arg_required_else_help = true, after_help = EXAMPLES)]
pub struct Program {
    /// The settings file [default: ./server.toml, else the shipped settings]
    #[arg(long, global = true, value_name = "FILE")]
    pub config: Option<PathBuf>,
    /// The data directory, instead of the one in the settings
    #[arg(long, global = true, value_name = "DIR")]
    pub data: Option<PathBuf>,
    /// What to do.
    #[command(subcommand)]
    pub action: Action,
}

const EXAMPLES: &str = "\
Examples:
  kalends serve                              run the server; the first run makes `admin`
  kalends user add alice --name 'Alice Liddell' --address alice@example.org
  kalends app-password add alice phone       a password for one device
  kalends group add staff --member alice --member bob
  kalends resource add blue-room --type room --name 'Blue Room'
  kalends export alice backup/               all calendars of alice as .ics files
  kalends import alice old-calendar.ics
  kalends history restore alice calendar --at '2 h'
  kalends backup /var/backups/kalends.backup

Commands work while the server runs, and without it. Passwords are asked for, or
read from standard input; never give them as an argument.

Exit codes:
  0  done                     4  refused: taken, in conflict, or no room
  1  failed                   5  the store is in use, damaged or not there
  2  wrong usage or settings  6  done, with findings (check, import, restore, verify)
  3  not found";

/// Everything the program does.
#[derive(Debug, Subcommand)]
pub enum Action {
    /// Run the server
    #[command(after_help = "\
Examples:
  kalends serve
  kalends serve --data /var/lib/kalends --listen 0.0.0.0:8443
  kalends serve --config /etc/kalends/server.toml

SIGTERM and Ctrl-C finish the requests in work and stop; SIGHUP reads the
certificate and the log level again.")]
    Serve {
        /// An address to listen on, instead of those in the settings; may be repeated
        #[arg(long, value_name = "ADDR")]
        listen: Vec<String>,
    },
    /// Commands on the store.
    #[command(flatten)]
    Store(Command),
    /// Write a backup while the server runs, or verify one
    #[command(
        args_conflicts_with_subcommands = true,
        after_help = "\
Examples:
  kalends backup /var/backups/kalends-2026-11-20.backup
  kalends backup verify /var/backups/kalends-2026-11-20.backup

A backup restores to the moment it ended. [backup] in server.toml makes them on
schedule."
    )]
    Backup {
        /// Verify a backup instead.
        #[command(subcommand)]
        verify: Option<Verify>,
        /// The file to write; it must not be there yet
        file: Option<PathBuf>,
    },
    /// Make a data directory from a backup, or take one back to an earlier moment
    #[command(after_help = "\
Examples:
  kalends restore kalends.backup --data /var/lib/kalends-new
  kalends restore --journal /var/lib/kalends --at 2026-11-20T08:00:00Z --data /var/lib/kalends-new

The directory must be empty or not there, and the server must not run on it.")]
    Restore {
        /// The backup
        #[arg(required_unless_present = "journal", conflicts_with = "journal")]
        file: Option<PathBuf>,
        /// A data directory whose journal and checkpoints to restore from
        #[arg(long, value_name = "DIR", requires = "at")]
        journal: Option<PathBuf>,
        /// The moment to restore to
        #[arg(long, value_name = "TIME", requires = "journal")]
        at: Option<String>,
    },
    /// Print the DNS records that let clients find the server by domain
    #[command(after_help = "\
Examples:
  kalends dns example.org
  kalends dns example.org --host cal.example.org --port 8443")]
    Dns(Dns),
    /// Run the conformance suite against a CalDAV server
    #[command(after_help = "\
Examples:
  kalends conformance --target my-server.toml
  kalends conformance --target my-server.toml --only rfc6578 --report report.html

The target file names the server's URL and its users; conformance/README.md
describes it and the cases. A failure prints the line of the case, the section,
what was expected, what came, and the exchange.")]
    Conformance(Conformance),
    /// Measure what the server costs, as ratios to something bare on the same machine
    #[command(after_help = "\
Examples:
  kalends bench
  kalends bench --only poll --only put --seconds 10
  kalends bench --folder /srv/disk-to-measure

Use a release build. Servers listen on 127.0.0.1; their data is removed afterwards.")]
    Bench(super::bench::Bench),
}

/// `conformance`.
#[derive(Debug, Args)]
pub struct Conformance {
    /// The target file: URL, users, known differences
    #[arg(long, value_name = "FILE")]
    pub target: PathBuf,
    /// A folder of cases, instead of those that the program carries
    #[arg(long, value_name = "DIR")]
    pub cases: Option<PathBuf>,
    /// Only cases whose file, title, section or client contains this
    #[arg(long, value_name = "TEXT")]
    pub only: Option<String>,
    /// Write a report: out.html, out.json, or - for JSON on standard output
    #[arg(long, value_name = "FILE")]
    pub report: Option<PathBuf>,
}

/// `backup verify`.
#[derive(Debug, Subcommand)]
pub enum Verify {
    /// Read a backup back: checksums, counts, and every rule of the store
    Verify {
        /// The backup
        file: PathBuf,
    },
}

/// `dns`.
#[derive(Debug, Args)]
pub struct Dns {
    /// The domain behind the @ of people's addresses
    pub domain: String,
    /// The server's name [default: that of server.public_url, else the domain]
    #[arg(long)]
    pub host: Option<String>,
    /// The server's port for TLS [default: that of server.public_url, else 443]
    #[arg(long)]
    pub port: Option<u16>,
}

/// What is done on the store, by a running server or without one.
#[derive(Clone, Debug, Subcommand, Serialize, Deserialize)]
pub enum Command {
    /// People: add, list, show, set, passwd, remove
    #[command(subcommand)]
    User(User),
    /// Groups, which may hold groups
    #[command(subcommand)]
    Group(Group),
    /// Rooms and resources
    #[command(subcommand)]
    Resource(Resource),
    /// Passwords for single devices
    #[command(subcommand)]
    AppPassword(AppPassword),
    /// A user's calendars
    #[command(subcommand)]
    Calendar(Calendar),
    /// Write a user's calendars to .ics files
    #[command(after_help = "\
Examples:
  kalends export alice backup/                          backup/calendar.ics, backup/tasks.ics
  kalends export alice --calendar calendar alice.ics
  kalends export alice --split backup/                  one file an object: backup/calendar/*.ics")]
    Export(Export),
    /// Read calendars from .ics files and folders; nobody is mailed
    #[command(after_help = "\
Examples:
  kalends import alice holidays.ics                     into alice's `calendar` and `tasks`
  kalends import alice --calendar work work.ics         makes `work` if it is not there
  kalends import alice backup/                          every X.ics and X/ into calendar X

Objects keep their UIDs. One whose UID is there already is left alone, or
replaced with --replace. What is refused is listed with the reason.")]
    Import(Import),
    /// Check every rule of the store
    #[command(after_help = "\
Examples:
  kalends check
  kalends check --repair        rebuild what is derived from the objects' texts

Writers of a home wait while it is looked at.")]
    Check {
        /// Mend what can be mended
        #[arg(long)]
        repair: bool,
        /// Print JSON
        #[arg(long)]
        json: bool,
    },
    /// What was changed, and how to take it back
    #[command(subcommand)]
    History(History),
    /// Mails to people outside: what waits, and what is wrong with one
    #[command(subcommand)]
    Mail(Mail),
    /// What scheduling decided about a user's meetings, and why
    #[command(after_help = "\
Examples:
  kalends journal alice                  the newest decisions, newest first
  kalends journal alice 5F0C-77-LUNCH    those about the meeting with this UID

An answer that did not arrive is in the journal of who sent it as `sent`, and in
that of who should have it as `received` or `failed`, with the reason.")]
    Journal {
        /// The user
        user: String,
        /// The UID of a meeting
        uid: Option<String>,
        /// Print JSON
        #[arg(long)]
        json: bool,
    },
    /// Write a backup.
    #[command(skip)]
    BackUp {
        /// The file, as an absolute path.
        file: PathBuf,
    },
}

/// `calendar`.
#[derive(Clone, Debug, Subcommand, Serialize, Deserialize)]
pub enum Calendar {
    /// Make a calendar
    #[command(after_help = "\
Examples:
  kalends calendar add alice work --name 'Work'
  kalends calendar add alice chores --component VTODO")]
    Add {
        /// The user
        user: String,
        /// The calendar's name in its URL
        calendar: String,
        /// The name people read
        #[arg(long = "name", value_name = "TEXT")]
        display_name: Option<String>,
        /// What it takes: VEVENT, VTODO, VJOURNAL ...; may be repeated [default: VEVENT]
        #[arg(long = "component", value_name = "NAME")]
        components: Vec<String>,
    },
    /// List a user's calendars
    List(OfUser),
    /// Remove a calendar; `history restore` brings it back
    Remove {
        /// The user
        user: String,
        /// The calendar's name in its URL
        calendar: String,
    },
}

/// `export`.
#[derive(Clone, Debug, Args, Serialize, Deserialize)]
pub struct Export {
    /// The user
    pub user: String,
    /// A folder, made if it is not there; with --calendar a file
    #[serde(skip)]
    pub to: PathBuf,
    /// Only this calendar
    #[arg(long, value_name = "NAME")]
    pub calendar: Option<String>,
    /// One file an object, with the bytes the client sent
    #[arg(long)]
    pub split: bool,
}

/// `import`.
#[derive(Clone, Debug, Args, Serialize, Deserialize)]
pub struct Import {
    /// The user
    pub user: String,
    /// .ics files and folders of them
    #[arg(required = true)]
    #[serde(skip)]
    pub from: Vec<PathBuf>,
    /// The calendar for all objects, made if it is not there
    #[arg(long, value_name = "NAME")]
    pub calendar: Option<String>,
    /// Replace objects whose UID is there already
    #[arg(long)]
    pub replace: bool,
    /// The files of this command, some of all.
    #[arg(skip)]
    pub files: Vec<ImportFile>,
}

/// A file to import.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct ImportFile {
    /// What it is called in messages.
    pub path: String,
    /// What it is counted with: itself, or the folder it is in.
    pub counted: String,
    /// The calendar for its objects; none: `calendar`, and `tasks` for what that does not take.
    pub calendar: Option<String>,
    /// The components that the calendar must take if it is made.
    pub components: Vec<String>,
    /// The name of its object, where the file's name is one.
    pub object: Option<String>,
    /// Its text.
    pub text: String,
}

/// `history`.
#[derive(Clone, Debug, Subcommand, Serialize, Deserialize)]
pub enum History {
    /// List what was changed
    #[command(after_help = "\
Examples:
  kalends history list alice
  kalends history list alice calendar
  kalends history list alice calendar/lunch.ics")]
    List {
        /// The user
        user: String,
        /// A calendar, or a calendar and an object
        path: Option<String>,
        /// Print JSON
        #[arg(long)]
        json: bool,
    },
    /// Show an object, a calendar or a home as it was
    #[command(
        after_help = "Example:\n  kalends history show alice calendar/lunch.ics --at 2026-11-19T12:00:00Z"
    )]
    Show {
        /// The user
        user: String,
        /// A calendar, or a calendar and an object
        path: Option<String>,
        /// The moment, such as 2026-11-20T08:00:00Z or `2 h` (ago) [default: before the last change]
        #[arg(long, value_name = "TIME")]
        at: Option<String>,
    },
    /// Bring an object, a calendar or a home back to a moment, as a new change
    #[command(after_help = "\
Examples:
  kalends history restore alice calendar/lunch.ics
  kalends history restore alice calendar --at '2 h'
  kalends history restore alice --at 2026-11-20T08:00:00Z

Nobody is mailed. Meetings that now differ from what their guests have are
listed.")]
    Restore {
        /// The user
        user: String,
        /// A calendar, or a calendar and an object
        path: Option<String>,
        /// The moment, such as 2026-11-20T08:00:00Z or `2 h` (ago) [default: before the last change]
        #[arg(long, value_name = "TIME")]
        at: Option<String>,
    },
}

#[cfg(test)]
mod tests {
    use super::*;
    use clap::CommandFactory;

    #[test]
    fn the_command_line_is_consistent() {
        Program::command().debug_assert();
    }

    #[test]
    fn every_command_is_read_and_travels() {
        for line in [
            "user add alice --name Alice --address a@b.example --address c@d.example --admin --password-stdin",
            "user list --json",
            "user show alice --json",
            "user set alice --locale de --admin false",
            "user passwd alice",
            "user remove alice",
            "group add staff --member alice --member bob",
            "group set staff --add a --drop b",
            "group list",
            "group remove staff",
            "resource add r --type room",
            "resource add b --type resource --capacity 3 --policy by-hand --in-charge alice",
            "resource set r --no-addresses",
            "resource set r --window none --longest 90min --bookable-by staff --bookable-by bob",
            "resource show r --json",
            "app-password add alice phone",
            "app-password list alice --json",
            "app-password remove alice phone",
            "calendar add alice work --component VTODO",
            "calendar list alice",
            "calendar remove alice work",
            "export alice out",
            "import alice a.ics b",
            "check --repair",
            "history list alice calendar/x.ics",
            "history show alice calendar/x.ics --at 2026-11-20",
            "history restore alice --at 2h --data d --config c",
        ] {
            let words = std::iter::once("kalends").chain(line.split(' '));
            let program =
                Program::try_parse_from(words).unwrap_or_else(|error| panic!("{line}: {error}"));
            let Action::Store(command) = program.action else {
                panic!("{line} is no command on the store");
            };
            let sent = serde_json::to_string(&command).unwrap();
            let read: Command = serde_json::from_str(&sent).unwrap();
            assert_eq!(sent, serde_json::to_string(&read).unwrap());
        }
    }

    #[test]
    fn a_password_is_no_argument_and_is_not_printed() {
        let words = ["kalends", "user", "passwd", "alice", "--password", "x"];
        assert!(Program::try_parse_from(words).is_err());
        let password = Password {
            from_stdin: false,
            text: Some("hunter2".to_owned()),
        };
        assert!(!format!("{password:?}").contains("hunter2"));
    }

    #[test]
    fn backups_are_written_and_verified() {
        for (line, verifies) in [("backup file", false), ("backup verify file", true)] {
            let words = std::iter::once("kalends").chain(line.split(' '));
            let program = Program::try_parse_from(words).unwrap();
            let Action::Backup { verify, file } = program.action else {
                panic!("{line}");
            };
            assert_eq!(
                (verify.is_some(), file.is_some()),
                (verifies, !verifies),
                "{line}"
            );
        }
        for bad in [
            "restore",
            "restore file --journal d --at 2h",
            "restore --journal d",
        ] {
            let words = std::iter::once("kalends").chain(bad.split(' '));
            assert!(Program::try_parse_from(words).is_err(), "{bad}");
        }
    }
}
