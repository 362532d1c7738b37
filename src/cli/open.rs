//! Opens the store as the settings say.

use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use super::failure::{Code, Failure};
use super::inbound;
use super::run::Ground;
use super::settings::{self, Settings};
use crate::auth::password::Cost;
use crate::dav;
use crate::http::answer::shared;
use crate::store::kv::Kv;
use crate::store::memory::Memory;
use crate::store::{self, Engine, OpenError, Store};

/// The engine's own directory in the data directory.
pub const STORE: &str = "store";

/// Whether a store that is not there is made.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Missing {
    /// It is made.
    Make,
    /// It is an error.
    Refuse,
}

/// Opens the store in the data directory.
pub async fn open(settings: &Settings, missing: Missing) -> Result<Ground, Failure> {
    let data = &settings.server.data;
    let (engine, kv): (Option<Arc<Engine>>, Arc<dyn Kv>) = match settings.store.engine {
        settings::Engine::Memory => (None, Arc::new(Memory::new())),
        settings::Engine::Sled => {
            let directory = data.join(STORE);
            if missing == Missing::Refuse && !directory.exists() {
                let sentence = format!(
                    "there is no store in {}; `kalends serve` makes one",
                    data.display()
                );
                return Err(Failure::new(Code::Store, sentence));
            }
            private_directory(data)?;
            let options = options(settings);
            // Opening reads files, and the engine reads them blocking.
            let engine = tokio::task::spawn_blocking(move || store::open(&directory, options))
                .await
                .map_err(|error| Failure::failed(error.to_string()))??;
            (Some(engine.clone()), engine)
        }
    };
    let store = Store::open(kv, store_limits(settings)).await?;
    let outside = match settings.mail.is_on() {
        true => dav::Outside::ByMail,
        false => dav::Outside::Unreachable,
    };
    let limits = limits(settings);
    let shared = shared(store.clone(), limits, outside);
    Ok(Ground {
        store,
        engine,
        limits,
        inbound: inbound::inbound(settings, &shared),
        shared,
        cost: Cost::OWASP,
    })
}

/// Makes the data directory for its owner alone; one that is there is left as
/// it is.
pub(super) fn private_directory(data: &Path) -> Result<(), Failure> {
    use std::os::unix::fs::DirBuilderExt;
    if data.is_dir() {
        return Ok(());
    }
    std::fs::DirBuilder::new()
        .recursive(true)
        .mode(0o700)
        .create(data)
        .map_err(|error| {
            Failure::new(
                Code::Store,
                format!("{} cannot be made: {error}", data.display()),
            )
        })
}

fn options(settings: &Settings) -> store::Options {
    let journal = &settings.journal;
    store::Options {
        reserve_bytes: settings.store.reserve.0,
        cache_bytes: settings.store.cache.0,
        mark_bytes: journal.mark_bytes.0,
        mark_every: journal.mark_after.duration(),
        keep: Duration::from_secs(journal.keep.0),
        keep_bytes: journal.keep_bytes.0,
        ..store::Options::default()
    }
}

fn store_limits(settings: &Settings) -> store::Limits {
    store::Limits {
        history_keep: settings.history.keep.signed(),
        index_bytes: settings.store.index_memory.length(),
        ..store::Limits::default()
    }
}

/// The limits of the protocol layers.
pub fn limits(settings: &Settings) -> dav::Limits {
    dav::Limits {
        resource_bytes: settings.calendars.max_object.length(),
        multistatus_bytes: settings.calendars.max_answer.length(),
        ..dav::Limits::default()
    }
}

impl From<OpenError> for Failure {
    fn from(error: OpenError) -> Failure {
        Failure::new(Code::Store, error.to_string())
    }
}
