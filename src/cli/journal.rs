//! `journal`: what scheduling decided about somebody's meetings, and why.

use serde_json::{Value, json};

use super::calendars::owner;
use super::clock::shown;
use super::failure::Failure;
use super::output::{Out, table};
use super::run::Ground;
use crate::schedule::journal::Decision;
use crate::store::JournalEntry;

/// Decisions listed at most.
const MAX_LISTED: usize = 500;

/// What is asked for.
pub(super) struct Asked {
    /// Whose journal.
    pub(super) user: String,
    /// About which meeting; none for all.
    pub(super) uid: Option<String>,
    /// For programs.
    pub(super) json: bool,
}

/// `journal`.
pub(super) async fn run(asked: &Asked, ground: &Ground, out: &Out) -> Result<(), Failure> {
    let id = owner(&ground.store, &asked.user).await?;
    let home = ground.store.home(id).await?;
    let entries = home.journal(asked.uid.as_deref(), MAX_LISTED).await?;
    if asked.json {
        let all: Vec<Value> = entries.iter().map(described).collect();
        out.line(Value::from(all).to_string()).await;
        return Ok(());
    }
    let rows: Vec<Vec<String>> = entries.iter().map(cells).collect();
    let heads = ["TIME", "WHAT", "METHOD", "WITH", "WHY", "MEETING"];
    for line in table(&heads, &rows) {
        out.line(line).await;
    }
    Ok(())
}

fn described(entry: &JournalEntry) -> Value {
    match Decision::decode(&entry.text) {
        Some(decision) => json!({
            "time": shown(entry.at),
            "uid": entry.uid,
            "what": decision.what.word(),
            "method": decision.method,
            "with": decision.with,
            "reason": decision.reason.0,
            "why": decision.reason.1,
        }),
        None => json!({ "time": shown(entry.at), "uid": entry.uid, "why": entry.text }),
    }
}

fn cells(entry: &JournalEntry) -> Vec<String> {
    let at = shown(entry.at);
    let uid = entry.uid.clone();
    match Decision::decode(&entry.text) {
        Some(Decision {
            what,
            method,
            with,
            reason: (_, why),
        }) => vec![at, what.word().to_owned(), method, with, why, uid],
        None => {
            let nothing = String::new;
            vec![at, nothing(), nothing(), nothing(), entry.text.clone(), uid]
        }
    }
}
