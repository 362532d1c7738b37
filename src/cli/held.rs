//! `mail held` and `mail receive`: messages from outside that wait for a decision, and mails that a mail server pipes
//! in.

use std::io::{self, Read};

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde_json::{Value, json};

use super::args;
use super::clock::shown;
use super::failure::{Code, Failure};
use super::output::{Out, table};
use super::run::Ground;
use crate::ical::{Component, Timestamp};
use crate::itip::Reason;
use crate::mail::held::{self, Held};
use crate::mail::{Envelope, Refused, drop_held, release};
use crate::schedule::journal::sentence;

/// Messages listed at most.
const LISTED: usize = 10_000;

/// Reads the mail that a command takes from standard input.
pub(super) fn read(asked: &mut args::ReceiveMail) -> Result<(), Failure> {
    /// The longest mail that a command hands over; the server may take less.
    const MOST: u64 = 128 << 20;
    let mut mail = Vec::new();
    io::stdin().lock().take(MOST).read_to_end(&mut mail)?;
    asked.text = STANDARD.encode(mail);
    Ok(())
}

/// `mail receive`.
pub(super) async fn receive(
    asked: &args::ReceiveMail,
    ground: &Ground,
    now: Timestamp,
    out: &Out,
) -> Result<(), Failure> {
    let inbound = ground.inbound.as_ref().ok_or_else(|| {
        Failure::new(
            Code::Usage,
            "no mails are taken: set mail.from or mail.reply in server.toml",
        )
    })?;
    let mail = STANDARD
        .decode(&asked.text)
        .map_err(|_| Failure::new(Code::Usage, "the mail did not arrive as it was sent"))?;
    let envelope = Envelope {
        recipients: asked.to.iter().map(|to| to.trim().to_lowercase()).collect(),
        sender: asked.from.clone(),
        client: None,
    };
    match inbound.receive(&mail, &envelope, now).await {
        Ok(done) => {
            for done in done {
                out.line(done.to_string()).await;
            }
            Ok(())
        }
        Err(Refused::Later(why)) => Err(Failure::new(Code::Later, why)),
        Err(Refused::Store(error)) => Err(Failure::new(Code::Later, error.to_string())),
    }
}

/// `mail held`.
pub(super) async fn run(
    command: args::Held,
    ground: &Ground,
    now: Timestamp,
    out: &Out,
) -> Result<(), Failure> {
    match command {
        args::Held::List { user, json } => {
            let waiting = waiting(ground, user.as_deref()).await?;
            let mut rows = Vec::new();
            for held in &waiting {
                rows.push(described(ground, held).await?);
            }
            print(&rows, json, out).await;
            Ok(())
        }
        args::Held::Show { id } => {
            let held = one(ground, &id).await?;
            let described = described(ground, &held).await?;
            let said = described.as_object().into_iter().flatten();
            for (key, value) in said.filter(|(_, value)| !value.is_null()) {
                let value = value
                    .as_str()
                    .map_or_else(|| value.to_string(), str::to_owned);
                out.line(format!("{key:8} {value}")).await;
            }
            for line in held.text.lines() {
                out.line(format!("> {line}")).await;
            }
            Ok(())
        }
        args::Held::Release { id } => {
            let held = one(ground, &id).await?;
            match release(&ground.shared, &held, now).await? {
                Some(Reason::PartyCrasher) => {
                    let said =
                        "released into the inbox: add the sender to the meeting to let them in";
                    out.line(said).await;
                }
                Some(reason) => out.line(format!("released: {}", sentence(reason))).await,
                None => out.line("read").await,
            }
            Ok(())
        }
        args::Held::Drop { id } => {
            let held = one(ground, &id).await?;
            drop_held(&ground.shared, &held, now).await?;
            out.line(format!("dropped the message from {}", held.from))
                .await;
            Ok(())
        }
    }
}

async fn waiting(ground: &Ground, user: Option<&str>) -> Result<Vec<Held>, Failure> {
    let directory = ground.store.directory().await?;
    let homes = match user {
        None => directory
            .principals()
            .map(|principal| principal.id)
            .collect(),
        Some(name) => {
            let found = directory.by_name(name).map(|principal| principal.id);
            let missing = || Failure::new(Code::NotFound, format!("there is no user {name}"));
            vec![found.ok_or_else(missing)?]
        }
    };
    let mut all = Vec::new();
    for home in homes {
        all.extend(held::rows(&ground.store, home, LISTED).await?);
    }
    all.sort_by_key(|held| held.at);
    Ok(all)
}

/// The one message whose id begins like this.
async fn one(ground: &Ground, id: &str) -> Result<Held, Failure> {
    let all = waiting(ground, None).await?;
    let mut found = all
        .into_iter()
        .filter(|held| held.name.to_string().starts_with(id));
    match (found.next(), found.next()) {
        (Some(held), None) => Ok(held),
        (Some(_), Some(_)) => {
            let sentence = format!("several messages begin with {id}");
            Err(Failure::new(Code::Usage, sentence))
        }
        (None, _) => {
            let sentence = format!("no message that waits begins with {id}");
            Err(Failure::new(Code::NotFound, sentence))
        }
    }
}

async fn print(rows: &[Value], as_json: bool, out: &Out) {
    if as_json {
        return out.line(Value::from(rows.to_vec()).to_string()).await;
    }
    let keys = ["id", "for", "from", "what", "about", "why"];
    let cell = |row: &Value, key: &str| {
        let text = row.get(key).and_then(Value::as_str).unwrap_or_default();
        let most = match key {
            "id" => 8,
            "why" => usize::MAX,
            _ => 60,
        };
        text.chars().take(most).collect::<String>()
    };
    let cells: Vec<Vec<String>> = rows
        .iter()
        .map(|row| keys.iter().map(|key| cell(row, key)).collect())
        .collect();
    for line in table(&["ID", "FOR", "FROM", "WHAT", "ABOUT", "WHY"], &cells) {
        out.line(line).await;
    }
}

async fn described(ground: &Ground, held: &Held) -> Result<Value, Failure> {
    let directory = ground.store.directory().await?;
    let person = directory.principal(held.home).map(|p| p.name.clone());
    let component = held.message.as_ref().and_then(|message| {
        let mut components = message.calendar.all_components();
        components.find(|component| !component.is("VTIMEZONE"))
    });
    let text = |name: &str| {
        let value = component.and_then(|c: &Component| c.text(name).map(|it| it.into_owned()));
        value.unwrap_or_default()
    };
    let start = component
        .and_then(|c| c.property("DTSTART"))
        .map(|p| p.value().to_owned());
    let message = held.message.as_ref();
    Ok(json!({
        "id": held.name.to_string(),
        "for": person,
        "from": held.from,
        "speaks": message.map(|message| message.from.clone()),
        "what": message.map_or("words".to_owned(), |message| message.method.to_string()),
        "about": if text("SUMMARY").is_empty() { held.subject.clone() } else { text("SUMMARY") },
        "starts": start,
        "uid": message.map(|message| message.uid.clone()),
        "came": shown(held.at),
        "sender": held.sender,
        "doubt": held.doubt.0,
        "why": held.doubt.1,
    }))
}
