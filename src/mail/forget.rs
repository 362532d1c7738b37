//! Reply addresses end with their meetings: not while an answer may still come or the meeting be brought back, since
//! guests' programs keep an address as the organizer's for good.

use super::token::{ReplyAddress, addresses};
use super::zone;
use crate::dav::Shared;
use crate::ical::Timestamp;
use crate::recur::{Summary, Zone};
use crate::schedule;
use crate::store::{Actor, Change, Error};

/// Seconds after its end for which a meeting's answers are still taken: a year, as links are good at first.
const AFTER: i64 = 366 * 86_400;

/// Rows that are looked at before others may do something.
const ROWS: usize = 200;

/// Forgets the reply addresses of meetings that are long over or gone, with the links that belong to them, and zones that
/// guests chose long ago. Answers how many addresses were forgotten.
///
/// # Errors
/// The store's; what was not looked at is another time.
pub async fn forget(shared: &Shared, now: Timestamp) -> Result<usize, Error> {
    let store = &shared.store;
    let (mut forgotten, mut after) = (0, None);
    loop {
        let page = addresses(store, after.as_deref(), ROWS).await?;
        let Some((last, _)) = page.last() else {
            break;
        };
        after = Some(last.clone());
        let mut change = Change::new(now, Actor::default(), "reply addresses are forgotten");
        let mut over = 0;
        for (_, address) in &page {
            if let Some(address) = address
                && is_over(shared, address, now).await?
            {
                address.forget(&mut change);
                over += 1;
            }
        }
        if over > 0 {
            let turn = store.turn(&[]).await?;
            store.commit(change, turn).await?;
            forgotten += over;
        }
    }
    let mut after = None;
    loop {
        after = zone::forget_old(store, after.as_deref(), (now, ROWS)).await?;
        if after.is_none() {
            return Ok(forgotten);
        }
    }
}

/// Whether nothing that comes to an address can mean anything any more.
async fn is_over(shared: &Shared, address: &ReplyAddress, now: Timestamp) -> Result<bool, Error> {
    let store = &shared.store;
    let history = store.limits().history_keep;
    if address.made.0.saturating_add(history) > now.0 {
        return Ok(false);
    }
    let home = store.home(address.guest.home).await?;
    if !home.exists() {
        return Ok(true);
    }
    let uid = &address.guest.uid;
    let Some((_, header)) = schedule::find_object(&home, uid).await? else {
        // The state outlives the object for as long as the history can bring it back.
        return Ok(home.uid_state(uid).await?.is_none());
    };
    let end = Summary::decode(header.summary()).map(|it| it.extent(&Zone::utc()).end);
    let since = end.map_or(Timestamp::MAX, |end| end.max(address.made));
    Ok(since.0.saturating_add(AFTER.max(history)) < now.0)
}
