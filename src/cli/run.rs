//! Runs commands on a store: the same function for a running server, which is
//! asked through a socket, and for a store that nobody serves.

use std::sync::Arc;

use super::args::Command;
use super::failure::Failure;
use super::output::Out;
use super::{accounts, backup, calendars, export, history, import, inspect, journal, mail};
use crate::auth::accounts::By;
use crate::auth::password::Cost;
use crate::dav;
use crate::ical::Timestamp;
use crate::mail::Inbound;
use crate::store::{Actor, Engine, Store};

/// What commands run on.
#[derive(Clone)]
pub struct Ground {
    /// The store.
    pub store: Arc<Store>,
    /// The engine below it; none if it is in memory only.
    pub engine: Option<Arc<Engine>>,
    /// The limits of the protocol layers.
    pub limits: dav::Limits,
    /// What requests share, also with commands that do what requests do.
    pub shared: Arc<dav::Shared>,
    /// What takes mails from outside, where mails are exchanged.
    pub inbound: Option<Arc<Inbound>>,
    /// What a new password's hash costs.
    pub cost: Cost,
}

/// Who runs a command, as the history shows it.
pub fn by(now: Timestamp) -> By {
    By {
        actor: Actor {
            principal: None,
            client: "kalends command".to_owned(),
        },
        now,
    }
}

/// Runs a command; what it says goes to `out`.
pub async fn run(
    command: Command,
    ground: &Ground,
    now: Timestamp,
    out: &Out,
) -> Result<(), Failure> {
    match command {
        Command::User(command) => accounts::user(command, ground, now, out).await,
        Command::Group(command) => accounts::group(command, ground, now, out).await,
        Command::Resource(command) => accounts::resource(command, ground, now, out).await,
        Command::AppPassword(command) => accounts::app_password(command, ground, now, out).await,
        Command::Calendar(command) => calendars::run(command, ground, now, out).await,
        Command::Export(command) => export::run(&command, ground, out).await,
        Command::Import(command) => import::run(&command, ground, now, out).await,
        Command::Check { repair, json } => {
            inspect::run(inspect::Asked { repair, json }, ground, now, out).await
        }
        Command::History(command) => history::run(command, ground, now, out).await,
        Command::Mail(command) => mail::run(command, ground, now, out).await,
        Command::Journal { user, uid, json } => {
            let asked = journal::Asked { user, uid, json };
            journal::run(&asked, ground, out).await
        }
        Command::BackUp { file } => backup::write(&file, ground, out).await,
    }
}
