//! The worker: what no request delivered, because it failed, took too long, or the server was killed.

use super::deliver::{Worked, work_off};
use crate::dav::Shared;
use crate::ical::Timestamp;
use crate::store::{Error, Id};
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::watch;

/// How often it looks without being told.
const EVERY: Duration = Duration::from_secs(30);

/// Rows of one recipient that are worked off together.
const TOGETHER: usize = 500;

/// Delivers what is left until the server stops; at once for what a crash left.
pub async fn run(
    shared: Arc<Shared>,
    clock: impl Fn() -> Timestamp + Send,
    mut stop: watch::Receiver<bool>,
) {
    loop {
        if let Err(error) = round(&shared, clock()).await {
            tracing::warn!(%error, "messages wait for their delivery");
        }
        tokio::select! {
            _ = stop.wait_for(|stop| *stop) => return,
            () = tokio::time::sleep(EVERY) => {}
            () = shared.queued.notified() => {}
        }
    }
}

/// Delivers what waits now, and what follows from it.
///
/// # Errors
/// What the store answers; what failed stays in the queue.
pub async fn round(shared: &Arc<Shared>, now: Timestamp) -> Result<(), Error> {
    let mut after: Option<Id> = None;
    loop {
        let homes = shared.store.homes_with_messages(after, 100).await?;
        let Some(last) = homes.last() else {
            return Ok(());
        };
        after = Some(*last);
        for home in &homes {
            loop {
                let rows = shared.store.queued_for(*home, TOGETHER).await?;
                let more = rows.len() == TOGETHER;
                if work_off(shared, rows, now).await == Worked::Partly || !more {
                    break;
                }
            }
        }
    }
}
