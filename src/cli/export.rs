//! `export`: a user's calendars as .ics files, written where the command was
//! given.

use std::path::{Path, PathBuf};

use super::args::Export;
use super::calendars::{calendar, calendars, owner};
use super::failure::Failure;
use super::output::{Out, Reply, file_name};
use super::run::Ground;
use crate::caldav::{export, limits::Limits};
use crate::store::{Collection, Header, Home};

/// Texts read at one time.
const BATCH: usize = 256;

/// Where the files go: a folder, or a file for a single calendar; nowhere for
/// standard output.
pub(super) fn target(asked: &Export) -> Option<PathBuf> {
    (asked.to != Path::new("-")).then(|| asked.to.clone())
}

/// Whether one calendar becomes one file, which then has the name that was
/// given for it.
fn is_one_file(asked: &Export) -> bool {
    asked.calendar.is_some() && !asked.split
}

/// Sends the files of an export.
pub(super) async fn run(asked: &Export, ground: &Ground, out: &Out) -> Result<(), Failure> {
    let home = ground
        .store
        .home(owner(&ground.store, &asked.user).await?)
        .await?;
    let chosen = match &asked.calendar {
        Some(name) => vec![calendar(&home, name)?.clone()],
        None => calendars(&home).cloned().collect(),
    };
    let limits = Limits::of(&ground.limits);
    let mut objects = 0;
    for calendar in &chosen {
        if asked.split {
            split(&home, calendar, out).await?;
        } else {
            let text = export::whole(&home, calendar, &limits).await?;
            let path = if is_one_file(asked) {
                String::new()
            } else {
                format!("{}.ics", file_name(&calendar.name))
            };
            file(out, path, text).await;
        }
        objects += calendar.count;
        out.progress(objects, 0, "objects").await;
    }
    out.note(format!(
        "{objects} objects in {} calendars of {}.",
        chosen.len(),
        asked.user
    ))
    .await;
    Ok(())
}

async fn split(home: &Home, calendar: &Collection, out: &Out) -> Result<(), Failure> {
    let members = home.members(calendar).await?;
    let headers: Vec<Header> = members.iter().collect();
    let folder = file_name(&calendar.name);
    let mut done = 0;
    for batch in headers.chunks(BATCH) {
        for (header, text) in batch.iter().zip(home.texts(batch).await?) {
            let name = file_name(header.name());
            let end = if name.ends_with(".ics") { "" } else { ".ics" };
            file(out, format!("{folder}/{name}{end}"), text.to_vec()).await;
        }
        done += batch.len();
        out.progress(done as u64, headers.len() as u64, &calendar.name)
            .await;
    }
    Ok(())
}

async fn file(out: &Out, path: String, text: Vec<u8>) {
    // Stored objects are UTF-8: others are refused when they come.
    let text = String::from_utf8(text)
        .unwrap_or_else(|error| String::from_utf8_lossy(error.as_bytes()).into_owned());
    out.say(Reply::File { path, text }).await;
}
