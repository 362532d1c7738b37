//! What a running server does in the background: it forgets old history a piece at a time, removes
//! old messages from inboxes and reply addresses of old meetings, and sees how much room the disk has.

use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use tokio::sync::watch;

use super::clock::now;
use super::run::Ground;
use crate::http::Server;
use crate::mail;
use crate::schedule;

/// How often it is done.
const EVERY: Duration = Duration::from_secs(60);

/// After how many rounds inboxes are looked at: every six hours.
const SWEEP_EVERY: u32 = 360;

/// What is kept up.
pub(super) struct Upkeep {
    /// The store.
    pub(super) ground: Ground,
    /// The server, which answers how much room there is.
    pub(super) server: Arc<Server>,
    /// Where the store is.
    pub(super) data: PathBuf,
    /// Free bytes that stay free.
    pub(super) reserve_bytes: u64,
}

/// Keeps things up until the server stops.
pub(super) async fn run(upkeep: Upkeep, mut stop: watch::Receiver<bool>) {
    for round in 0_u32.. {
        upkeep.look_at_room();
        tokio::select! {
            _ = stop.wait_for(|stop| *stop) => return,
            () = tokio::time::sleep(EVERY) => {}
        }
        match upkeep.ground.store.prune(now()).await {
            Ok(pruned) if pruned.rows > 0 => {
                tracing::debug!(rows = pruned.rows, "old history is gone")
            }
            Ok(_) => {}
            Err(error) => tracing::warn!(%error, "old history was not pruned"),
        }
        if round.is_multiple_of(SWEEP_EVERY) {
            upkeep.sweep().await;
        }
    }
}

impl Upkeep {
    /// Removes old messages from inboxes.
    async fn sweep(&self) {
        match schedule::sweep(&self.server.shared, now()).await {
            Ok(0) => {}
            Ok(messages) => tracing::debug!(messages, "old messages left their inboxes"),
            Err(error) => tracing::warn!(%error, "inboxes were not swept"),
        }
        match mail::forget(&self.server.shared, now()).await {
            Ok(0) => {}
            Ok(addresses) => tracing::debug!(addresses, "reply addresses of old meetings are gone"),
            Err(error) => tracing::warn!(%error, "reply addresses of old meetings were kept"),
        }
    }

    /// RFC 4331 §3: DAV:quota-available-bytes is what the disk has.
    fn look_at_room(&self) {
        if self.ground.engine.is_none() {
            return;
        }
        match rustix::fs::statvfs(&self.data) {
            Ok(disk) => {
                let free = disk.f_bavail.saturating_mul(disk.f_frsize);
                let room = free.saturating_sub(self.reserve_bytes);
                self.server.shared.free_bytes.store(room, Ordering::Relaxed);
            }
            Err(error) => tracing::warn!(%error, "the disk does not say how much room it has"),
        }
    }
}
