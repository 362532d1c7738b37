//! Old messages leave the inbox by themselves.
//!
//! Messages are removed by the client that shows them (RFC 6638 §4), but Thunderbird, DAVx5, Evolution and KDE never
//! look into an inbox, so it would grow for ever. What a message said is in the calendar and in the journal.

use crate::dav::Shared;
use crate::ical::Timestamp;
use crate::store::{Actor, Change, Collection, Error, Header, Home, Id, Kind};
use std::sync::Arc;

/// The seconds of a day.
const DAY: i64 = 86_400;

/// Messages removed in one commit.
const TOGETHER: usize = 500;

/// Removes messages older than the limit from all inboxes; answers how many.
///
/// # Errors
/// What the store answers; what is left is removed the next time.
pub async fn sweep(shared: &Shared, now: Timestamp) -> Result<usize, Error> {
    let keep = shared.limits.inbox_days.saturating_mul(DAY);
    let before = Timestamp(now.0.saturating_sub(keep));
    let directory = shared.store.directory().await?;
    let mut removed = 0;
    for principal in directory.principals() {
        removed += one(shared, principal.id, (before, now)).await?;
    }
    Ok(removed)
}

/// The messages of one home. Whoever has its turn just then is not disturbed: what a conflict leaves stays for the
/// next time.
async fn one(
    shared: &Shared,
    id: Id,
    (before, now): (Timestamp, Timestamp),
) -> Result<usize, Error> {
    let home = shared.store.home(id).await?;
    if old(&home, before).await?.is_none() {
        return Ok(0);
    }
    let turn = shared.store.turn(&[id]).await?;
    let home = turn.home(id).cloned().unwrap_or(home);
    let Some((inbox, headers)) = old(&home, before).await? else {
        return Ok(0);
    };
    let actor = Actor {
        principal: None,
        client: "scheduling".to_owned(),
    };
    let mut change = Change::new(now, actor, "sweep");
    for header in &headers {
        change.home(&home).remove_object(inbox.id, header.name());
    }
    match shared.store.commit(change, turn).await {
        Ok(_) => Ok(headers.len()),
        Err(Error::Conflict) => Ok(0),
        Err(error) => Err(error),
    }
}

/// The inbox and its old messages, where there are some.
async fn old(
    home: &Home,
    before: Timestamp,
) -> Result<Option<(Arc<Collection>, Vec<Header>)>, Error> {
    let mut inboxes = home.collections().filter(|c| c.kind == Kind::Inbox);
    let Some(inbox) = inboxes.next().filter(|inbox| inbox.count > 0) else {
        return Ok(None);
    };
    let members = home.members(inbox).await?;
    let found = members.iter().filter(|header| header.created < before);
    let found: Vec<Header> = found.take(TOGETHER).collect();
    Ok((!found.is_empty()).then(|| (inbox.clone(), found)))
}
