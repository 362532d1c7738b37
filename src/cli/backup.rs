//! `backup`, `backup verify`, `restore`, and the backups of `[backup]`.
//!
//! A backup appears under its name when it is whole and on the disk: it is
//! written beside it, synced and renamed.

use std::fs::{self, File, OpenOptions};
use std::io::{self, BufReader, BufWriter};
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use tokio::sync::watch;

use super::clock::{now, shown};
use super::failure::{Code, Failure};
use super::open::STORE;
use super::output::Out;
use super::run::Ground;
use super::settings;
use crate::ical::Timestamp;
use crate::store::checkpoint::Summary;
use crate::store::kv::UnixMillis;
use crate::store::{self, Engine, Repair, Report, Store, restore};

/// How the names of scheduled backups begin and end.
const PREFIX: &str = "kalends-";
const SUFFIX: &str = ".backup";

/// `backup FILE`: writes a backup of the running store.
pub(super) async fn write(file: &Path, ground: &Ground, out: &Out) -> Result<(), Failure> {
    let Some(engine) = ground.engine.clone() else {
        return Err(Failure::new(
            Code::Refused,
            "the store is in memory only; there is nothing to back up",
        ));
    };
    let summary = blocking({
        let file = file.to_owned();
        move || write_file(&engine, &file)
    })
    .await?;
    out.line(format!("{} holds {}.", file.display(), said(&summary)))
        .await;
    Ok(())
}

async fn blocking<T: Send + 'static>(
    work: impl FnOnce() -> Result<T, Failure> + Send + 'static,
) -> Result<T, Failure> {
    tokio::task::spawn_blocking(work)
        .await
        .map_err(|error| Failure::failed(error.to_string()))?
}

fn said(summary: &Summary) -> String {
    format!(
        "{} rows, as of {}",
        summary.rows,
        shown(instant(summary.at))
    )
}

fn instant(at: UnixMillis) -> Timestamp {
    Timestamp(at.0.div_euclid(1000))
}

fn write_file(engine: &Engine, file: &Path) -> Result<Summary, Failure> {
    if file.exists() {
        let sentence = format!(
            "{} is there already; backups replace no file",
            file.display()
        );
        return Err(Failure::new(Code::Refused, sentence));
    }
    let mut name = file.as_os_str().to_owned();
    name.push(".new");
    let unfinished = PathBuf::from(name);
    let result = write_synced(engine, &unfinished).and_then(|summary| {
        fs::rename(&unfinished, file)?;
        let folder = file
            .parent()
            .filter(|folder| !folder.as_os_str().is_empty());
        File::open(folder.unwrap_or(Path::new(".")))?.sync_all()?;
        Ok(summary)
    });
    result.map_err(|error| {
        // What is left of it is of no use, and may be what filled the disk.
        let _ = fs::remove_file(&unfinished);
        Failure::failed(format!("{} was not written: {error}", file.display()))
    })
}

fn write_synced(engine: &Engine, file: &Path) -> io::Result<Summary> {
    let file = OpenOptions::new()
        .write(true)
        .create(true)
        .truncate(true)
        .mode(0o600)
        .open(file)?;
    let mut writer = BufWriter::new(file);
    let summary = engine.backup(&mut writer)?;
    writer.into_inner()?.sync_all()?;
    Ok(summary)
}

/// `backup verify FILE`: reads it back, and checks what it restores to.
pub(super) async fn verify(file: PathBuf, out: &Out) -> Result<(), Failure> {
    let summary = verified(&file).await?;
    out.line(format!("{} is whole: {}.", file.display(), said(&summary)))
        .await;
    Ok(())
}

/// Checksums, counts and sequences of a backup, and every rule of the store that
/// it restores to, beside it and for as long as that takes.
async fn verified(file: &Path) -> Result<Summary, Failure> {
    let bad = |why: String| {
        Failure::new(
            Code::Findings,
            format!("{} is no good backup: {why}", file.display()),
        )
    };
    let summary = blocking({
        let file = file.to_owned();
        move || Ok(restore::verify(BufReader::new(readable(&file)?)))
    })
    .await?
    .map_err(|error| bad(error.to_string()))?;
    let scratch = scratch(file);
    let report = checked(file, &scratch).await;
    if scratch.exists() {
        fs::remove_dir_all(&scratch)?;
    }
    match report?.findings.first() {
        None => Ok(summary),
        Some(finding) => Err(bad(finding.to_string())),
    }
}

/// Where a backup is unpacked to be checked: beside it, where there is room for
/// such files, or else where the system has its temporary ones.
fn scratch(file: &Path) -> PathBuf {
    let name = file.file_name().unwrap_or_default().to_string_lossy();
    let name = format!("{name}.verify-{}", std::process::id());
    let beside = file.with_file_name(&name);
    if fs::create_dir(&beside).is_ok() {
        beside
    } else {
        std::env::temp_dir().join(name)
    }
}

async fn checked(file: &Path, scratch: &Path) -> Result<Report, Failure> {
    let engine = blocking({
        let (file, scratch) = (file.to_owned(), scratch.to_owned());
        move || {
            let reader = BufReader::new(readable(&file)?);
            restore::restore(reader, &scratch, &[])
                .map_err(|error| Failure::failed(error.to_string()))?;
            let options = store::Options {
                reserve_bytes: 0,
                ..store::Options::default()
            };
            Ok(store::open(&scratch, options)?)
        }
    })
    .await?;
    let store = Store::open(engine.clone(), store::Limits::default()).await?;
    let report = store.check(Repair::No).await;
    blocking(move || {
        engine.close();
        Ok(())
    })
    .await?;
    Ok(report?)
}

fn readable(file: &Path) -> Result<File, Failure> {
    File::open(file).map_err(|error| {
        let code = if error.kind() == io::ErrorKind::NotFound {
            Code::NotFound
        } else {
            Code::Failed
        };
        Failure::new(code, format!("{} cannot be read: {error}", file.display()))
    })
}

/// Where a restore takes its rows from.
pub(super) enum Source {
    /// A backup.
    Backup(PathBuf),
    /// The journal and checkpoints of a data directory, as of a moment.
    Journal(PathBuf, Timestamp),
}

/// `restore`: makes a data directory that was none.
pub(super) async fn restore(source: Source, data: PathBuf, out: &Out) -> Result<(), Failure> {
    let shown_data = data.display().to_string();
    let restored = blocking(move || {
        let directory = data.join(STORE);
        super::open::private_directory(&data)?;
        let stamp = store::epoch_stamp()?;
        let result = match source {
            Source::Backup(file) => {
                let reader = BufReader::new(readable(&file)?);
                restore::restore(reader, &directory, &stamp)
            }
            Source::Journal(from, at) => {
                let moment = UnixMillis(at.0.saturating_mul(1000));
                restore::restore_journal(&from.join(STORE), moment, &directory, &stamp)
            }
        };
        result.map_err(|error| Failure::new(Code::Store, error.to_string()))
    })
    .await?;
    let at = shown(instant(restored.at));
    out.line(format!(
        "{shown_data} holds {} rows, as of {at}.",
        restored.rows
    ))
    .await;
    out.line(format!(
        "Run the server on it: kalends serve --data {shown_data}"
    ))
    .await;
    Ok(())
}

/// Writes the backups of `[backup]` until the server stops. The next one is due
/// when the newest in the folder is old enough, also across restarts.
pub(super) async fn scheduled(
    engine: Arc<Engine>,
    settings: settings::Backup,
    mut stop: watch::Receiver<bool>,
) {
    loop {
        let wait = due_in(&settings, now());
        tokio::select! {
            _ = stop.wait_for(|stop| *stop) => return,
            () = tokio::time::sleep(std::time::Duration::from_secs(wait)) => {}
        }
        match one_more(&engine, &settings, now()).await {
            Ok(file) => tracing::info!(file = %file.display(), "a backup was written"),
            Err(failure) => {
                tracing::error!(%failure, "a scheduled backup failed; the next try is in ten minutes");
                tokio::time::sleep(std::time::Duration::from_secs(600)).await;
            }
        }
    }
}

/// Seconds until the next backup.
fn due_in(settings: &settings::Backup, now: Timestamp) -> u64 {
    let newest = made(&settings.folder).pop();
    let Some(at) = newest.and_then(|file| at_of(&file)) else {
        return 0;
    };
    let due = at.0.saturating_add(settings.every.signed());
    // A clock set back must not stop backups for long.
    u64::try_from(due.saturating_sub(now.0))
        .unwrap_or(0)
        .min(settings.every.0)
}

/// Scheduled backups in a folder, oldest first.
fn made(folder: &Path) -> Vec<PathBuf> {
    let Ok(entries) = fs::read_dir(folder) else {
        return Vec::new();
    };
    let mut files: Vec<PathBuf> = entries
        .filter_map(|entry| Some(entry.ok()?.path()))
        .filter(|path| at_of(path).is_some())
        .collect();
    files.sort();
    files
}

/// When a scheduled backup was made, as its name says.
fn at_of(file: &Path) -> Option<Timestamp> {
    let name = file.file_name()?.to_str()?;
    let digits = name.strip_prefix(PREFIX)?.strip_suffix(SUFFIX)?;
    Timestamp::parse(digits)
}

async fn one_more(
    engine: &Arc<Engine>,
    settings: &settings::Backup,
    now: Timestamp,
) -> Result<PathBuf, Failure> {
    let file = settings.folder.join(format!("{PREFIX}{now}{SUFFIX}"));
    blocking({
        let (engine, folder, file) = (engine.clone(), settings.folder.clone(), file.clone());
        move || {
            fs::create_dir_all(&folder)?;
            write_file(&engine, &file)
        }
    })
    .await?;
    verified(&file).await?;
    let all = made(&settings.folder);
    for old in all.iter().take(all.len().saturating_sub(settings.keep)) {
        fs::remove_file(old)?;
    }
    Ok(file)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::cli::units::Seconds;

    #[test]
    fn the_next_backup_follows_the_newest_one() {
        let folder = std::env::temp_dir().join(format!("kalends-backup-{}", std::process::id()));
        fs::create_dir_all(&folder).unwrap();
        let settings = settings::Backup {
            folder: folder.clone(),
            every: Seconds(3600),
            keep: 2,
        };
        let now = Timestamp::parse("20261120T080000Z").unwrap();
        assert_eq!(due_in(&settings, now), 0);
        for name in [
            "kalends-20261120T073000Z.backup",
            "kalends-20261119T073000Z.backup",
            "other.backup",
            "kalends-x.backup",
        ] {
            fs::write(folder.join(name), "").unwrap();
        }
        assert_eq!(due_in(&settings, now), 1800);
        assert_eq!(made(&folder).len(), 2, "other files are nobody's business");
        assert_eq!(
            due_in(&settings, Timestamp::parse("20251120T080000Z").unwrap()),
            3600
        );
        fs::remove_dir_all(&folder).unwrap();
    }
}
