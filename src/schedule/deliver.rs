//! Delivery: what waits for somebody becomes a change of their home, one commit for each row of the queue.
//!
//! The commit checks that the row is still there, so a message is applied once whoever else tries: the request that
//! queued it, another one, or the worker after a crash. Rows of one sender, recipient and UID are applied in the order
//! of the sender's revisions, because whoever has the recipient's turn begins with the oldest. RFC 6638 §4

use super::desk::{Desk, Origin};
use super::journal::{self, Decision};
use super::messages::{Prepared, prepared};
use super::queue::{Kind, Payload};
use super::undelivered::{Unreached, noted};
use super::withdraw;
use crate::dav::Shared;
use crate::ical::Timestamp;
use crate::itip::{Message, Method, Reason, Weight};
use crate::store::{self, Actor, Change, Error, Id, LocalMessage, Receipt, again};
use std::collections::VecDeque;
use std::sync::Arc;
use std::time::Duration;
use tokio::task::JoinSet;

/// How long an answer waits for deliveries; the rest goes on without it.
const WITHIN: Duration = Duration::from_secs(5);

/// Deliveries at once.
const AT_ONCE: usize = 16;

/// How often a delivery is tried before the worker has to.
const ATTEMPTS: u32 = 16;

/// What is said of somebody who was there when the message was sent. RFC 6638 §3.2.9
const GONE: (&str, &str) = ("3.7", "the recipient has left the server");

/// Rows of one sender and UID that are looked at together.
const TOGETHER: usize = 100;

/// Delivers what a commit queued for people of this server, and what follows from that, as far as time allows.
pub async fn deliver(shared: &Arc<Shared>, receipt: &Receipt, now: Timestamp) {
    if receipt.has_mail() {
        shared.to_mail.notify_one();
    }
    let rows = receipt.queued().to_vec();
    if rows.is_empty() {
        return;
    }
    // In a task of its own: what has begun goes on when the time is over.
    let task = shared.clone();
    let work = tokio::spawn(async move {
        if work_off(&task, rows, now).await == Worked::Partly {
            task.queued.notify_one();
        }
    });
    if tokio::time::timeout(WITHIN, work).await.is_err() {
        tracing::info!("a request was answered before all its messages were delivered");
    }
}

/// Applies a message that came from outside to the home of somebody of this server, and delivers what follows from it.
/// The caller answers for the sender being who the message says.
///
/// # Errors
/// What the store answers; then nothing has happened.
pub async fn receive(
    shared: &Arc<Shared>,
    to: Id,
    message: &Message,
    now: Timestamp,
) -> Result<Reason, Error> {
    again(|| async {
        let turn = shared.store.turn(&[to]).await?;
        let home = turn.home(to).cloned().ok_or(store::Refusal::NoHome)?;
        let desk = Desk::of(shared, home, Origin::Outside, now).await?;
        if !desk.is_open() {
            return Err(store::Refusal::NoHome.into());
        }
        let actor = Actor {
            principal: None,
            client: message.from.clone(),
        };
        let mut change = Change::new(now, actor, message.method.to_string());
        let reasons = desk
            .receive(&mut change, &message.uid, std::slice::from_ref(message))
            .await?;
        let receipt = shared.store.commit(change, turn).await?;
        deliver(shared, &receipt, now).await;
        Ok(reasons.first().copied().unwrap_or(Reason::Unreadable))
    })
    .await
}

/// What became of rows.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Worked {
    /// All are delivered.
    Off,
    /// Some wait for another time.
    Partly,
}

/// Works off these rows and those that follow from them.
pub(super) async fn work_off(
    shared: &Arc<Shared>,
    rows: Vec<LocalMessage>,
    now: Timestamp,
) -> Worked {
    let mut worked = Worked::Off;
    let mut waiting: VecDeque<(LocalMessage, Option<Arc<Prepared>>)> = VecDeque::new();
    queue_up(shared, &mut waiting, rows).await;
    let mut running = JoinSet::new();
    loop {
        while running.len() < AT_ONCE
            && let Some((row, prepared)) = waiting.pop_front()
        {
            let shared = shared.clone();
            running.spawn(async move {
                let done = deliver_row(&shared, &row, prepared.as_deref(), now).await;
                done.inspect_err(|error| {
                    tracing::warn!(%error, uid = row.uid, "a message waits for its delivery");
                })
            });
        }
        match running.join_next().await {
            None => return worked,
            Some(Ok(Ok(rows))) => queue_up(shared, &mut waiting, rows).await,
            Some(Ok(Err(_))) => worked = Worked::Partly,
            Some(Err(error)) => {
                tracing::error!(%error, "a delivery ended badly");
                worked = Worked::Partly;
            }
        }
    }
}

/// Puts rows in line, with what those of one change have in common.
async fn queue_up(
    shared: &Shared,
    waiting: &mut VecDeque<(LocalMessage, Option<Arc<Prepared>>)>,
    rows: Vec<LocalMessage>,
) {
    let mut last: Option<(LocalMessage, Arc<Prepared>)> = None;
    for row in rows {
        let same = last.as_ref().filter(|(other, _)| same_change(&row, other));
        let known = match same {
            Some((_, prepared)) => Some(prepared.clone()),
            None => prepared(shared, &row, None).await.ok().map(Arc::new),
        };
        if let Some(prepared) = &known {
            last = Some((row.clone(), prepared.clone()));
        }
        waiting.push_back((row, known));
    }
}

fn same_change(one: &LocalMessage, other: &LocalMessage) -> bool {
    let neutral = |row: &LocalMessage| LocalMessage {
        to: row.from,
        ..row.clone()
    };
    let forced = Payload::decode(&one.payload).is_ok_and(|p| p.kind == Kind::Forced);
    !forced && neutral(one) == neutral(other)
}

/// Delivers a row and those before it; answers what has to be delivered next.
async fn deliver_row(
    shared: &Arc<Shared>,
    row: &LocalMessage,
    known: Option<&Prepared>,
    now: Timestamp,
) -> Result<Vec<LocalMessage>, Error> {
    let store = &shared.store;
    if withdraw::is_withdrawal(row) {
        return withdraw::part(shared, row, now).await;
    }
    let mut next = Vec::new();
    let mut conflicts = 0;
    loop {
        let turn = store.turn(&[row.to]).await?;
        let waiting = store
            .queued_about((row.from, row.to), &row.uid, TOGETHER)
            .await?;
        let Some(first) = waiting
            .first()
            .filter(|first| first.revision <= row.revision)
        else {
            return Ok(next);
        };
        let own;
        let prepared = match known.filter(|_| first == row) {
            Some(known) => known,
            None => {
                own = prepared(shared, first, None).await?;
                &own
            }
        };
        let home = turn.home(row.to).cloned().ok_or(store::Refusal::NoHome)?;
        let desk = Desk::of(shared, home, Origin::Inside, now).await?;
        let desk = desk.knowing(prepared);
        if !desk.is_open() {
            drop((desk, turn));
            next.extend(give_up(shared, (first, prepared), GONE, now).await?);
            continue;
        }
        let newer = waiting.get(1);
        let committed = match desk.applied(first, newer, prepared).await {
            Ok(change) => store.commit(change, turn).await,
            Err(error) => {
                drop(turn);
                Err(error)
            }
        };
        match committed {
            Ok(receipt) => {
                next.extend_from_slice(receipt.queued());
                if receipt.has_mail() {
                    shared.to_mail.notify_one();
                }
            }
            Err(Error::Conflict) if conflicts < ATTEMPTS => conflicts += 1,
            // It will not go better another time.
            Err(error @ (Error::TooLarge(_) | Error::Refused(_) | Error::Damaged(_))) => {
                let why = ("5.1", error.to_string());
                let lost = (why.0, why.1.as_str());
                next.extend(give_up(shared, (first, prepared), lost, now).await?);
            }
            Err(error) => return Err(error),
        }
    }
}

/// Takes a message that cannot be delivered out of the queue, and says so in the sender's object and in the journals of
/// both sides. RFC 6638 §3.2.9
async fn give_up(
    shared: &Shared,
    (row, prepared): (&LocalMessage, &Prepared),
    (status, why): (&str, &str),
    now: Timestamp,
) -> Result<Vec<LocalMessage>, Error> {
    tracing::warn!(why, uid = row.uid, "a message cannot be delivered");
    let store = &shared.store;
    let directory = store.directory().await?;
    again(|| async {
        let turn = store.turn(&[row.from]).await?;
        let waiting = store.queued_about((row.from, row.to), &row.uid, TOGETHER);
        if !waiting.await?.contains(row) {
            return Ok(Vec::new());
        }
        let actor = Actor {
            principal: Some(row.from),
            client: "scheduling".to_owned(),
        };
        let mut change = Change::new(now, actor, "given up");
        change.take_local(row);
        let sender = turn.home(row.from).filter(|home| home.exists());
        let messages = match prepared.to_home(row.to) {
            none if none.is_empty() => prepared.to_nobody(),
            messages => messages,
        };
        for message in messages {
            let lost = Unreached {
                home: row.from,
                uid: &row.uid,
                to: &message.to,
                status,
                why,
            };
            let told = matches!(message.method, Method::Request | Method::Reply);
            if let Some(home) = sender.filter(|_| told && message.weight == Weight::News) {
                noted(shared, &mut change, (home, &lost), now).await?;
            }
        }
        for (home, other) in [(row.from, row.to), (row.to, row.from)] {
            let home = store.home(home).await?;
            let other = directory.principal(other);
            let with = other.and_then(|p| p.addresses.first().cloned());
            let reason = ("Undeliverable", why);
            let decision = Decision::failed(String::new(), with.unwrap_or_default(), reason);
            journal::note(&mut change, &home, &row.uid, now, &decision)?;
        }
        let receipt = store.commit(change, turn).await?;
        Ok(receipt.queued().to_vec())
    })
    .await
}
