//! A calendar that is removed takes its meetings with it: each is cancelled, each invitation declined, as if its object
//! had been removed alone (RFC 6638 §3.2.3.2).
//!
//! The removal queues one row. The calendar is gone at once, and the row is worked off in commits of bounded size, also
//! after a crash. A meeting that its owner has put elsewhere meanwhile stays, and so does everything if the calendar is
//! restored before its turn comes.

use super::deliver::{Worked, work_off};
use super::known::Known;
use super::plan::Plan;
use super::queue::{Kind, Payload};
use super::who::People;
use super::{messages, tag};
use crate::dav::{Context, Place, Shared};
use crate::ical::Timestamp;
use crate::itip::{self, Intent};
use crate::store::{
    self, Actor, Change, Collection, Directory, Error, Header, Home, Id, LocalMessage, again,
};
use bytes::Bytes;
use std::sync::Arc;

/// Objects that are withdrawn in one commit.
const OBJECTS: usize = 50;

/// Rows of messages after which a commit takes no further object.
const ROWS: usize = 500;

/// Stages that the meetings of a calendar are withdrawn with it. RFC 6638 §3.2.3.2
pub fn withdraw(cx: &mut Context, place: &Place, collection: &Collection) {
    // RFC 6638 §8.1
    let reply = cx.request.headers.get("Schedule-Reply");
    if reply.is_some_and(|value| value.trim().eq_ignore_ascii_case("F")) || collection.count == 0 {
        return;
    }
    withdrawn(&mut cx.change, &place.home, collection);
}

/// The same in any change that removes a calendar.
pub fn withdrawn(change: &mut Change, home: &Home, collection: &Collection) {
    let payload = Payload {
        kind: Kind::Withdraw,
        at: change.at,
    };
    change.queue_local(&LocalMessage {
        to: home.id(),
        from: home.id(),
        uid: String::new(),
        // Of several calendars each has a row of its own.
        revision: home.revision().saturating_add(1),
        collection: collection.id,
        name: String::new(),
        old: None,
        new: None,
        payload: payload.encode(),
    });
}

/// Withdraws all meetings of somebody who leaves the server, with their calendars, and delivers what follows. Their home is
/// to be removed next, when the mails that follow are sent: without the account none can be made.
///
/// # Errors
/// The store's, and [`Error::Conflict`] while something of it waits.
pub async fn leave(shared: &Arc<Shared>, home: Id, now: Timestamp) -> Result<(), Error> {
    loop {
        let receipt = again(|| async {
            let turn = shared.store.turn(&[home]).await?;
            let Some(home) = turn.home(home).filter(|home| home.exists()).cloned() else {
                return Ok(None);
            };
            let mut calendars = home
                .collections()
                .filter(|c| c.kind == store::Kind::Calendar);
            let Some(calendar) = calendars.next() else {
                return Ok(None);
            };
            let actor = Actor {
                principal: Some(home.id()),
                client: "scheduling".to_owned(),
            };
            let mut change = Change::new(now, actor, "DELETE");
            withdrawn(&mut change, &home, calendar);
            change.home(&home).remove_collection(calendar.id);
            shared.store.commit(change, turn).await.map(Some)
        });
        let Some(receipt) = receipt.await? else {
            return Ok(());
        };
        if work_off(shared, receipt.queued().to_vec(), now).await == Worked::Partly {
            return Err(Error::Conflict);
        }
    }
}

/// Whether a row is about a whole calendar.
pub(super) fn is_withdrawal(row: &LocalMessage) -> bool {
    row.to == row.from && row.uid.is_empty()
}

/// Withdraws the next meetings of a removed calendar; answers what has to be delivered next.
pub(super) async fn part(
    shared: &Shared,
    row: &LocalMessage,
    now: Timestamp,
) -> Result<Vec<LocalMessage>, Error> {
    let store = &shared.store;
    again(|| async {
        let turn = store.turn(&[row.to]).await?;
        let waiting = store.queued_about((row.from, row.to), "", usize::MAX);
        if !waiting.await?.contains(row) {
            return Ok(Vec::new());
        }
        let home = turn.home(row.to).cloned().ok_or(store::Refusal::NoHome)?;
        let change = staged(shared, &home, row, now).await?;
        let receipt = store.commit(change, turn).await?;
        if receipt.has_mail() {
            shared.to_mail.notify_one();
        }
        Ok(receipt.queued().to_vec())
    })
    .await
}

/// The change that withdraws the next meetings and says how far it has come.
async fn staged(
    shared: &Shared,
    home: &Arc<Home>,
    row: &LocalMessage,
    now: Timestamp,
) -> Result<Change, Error> {
    let actor = Actor {
        principal: Some(row.from),
        client: "scheduling".to_owned(),
    };
    let mut change = Change::new(now, actor, "DELETE");
    change.take_local(row);
    let restored = home.collection_by_id(row.collection).is_some();
    let removed = home.any_collection(row.collection).filter(|_| !restored);
    let Some(collection) = removed.filter(|_| home.exists()) else {
        return Ok(change);
    };
    let members = home.members(collection).await?;
    let mut meetings = members
        .iter()
        .filter(|header| header.tag.is_some() && header.name() > row.name.as_str());
    let part: Vec<Header> = meetings.by_ref().take(OBJECTS).collect();
    let mut more = meetings.next().is_some();
    let directory = shared.store.directory().await?;
    let desk = Desk {
        shared,
        home,
        directory: &directory,
    };
    let (mut rows, mut last) = (0, String::new());
    for header in &part {
        if rows > ROWS {
            more = true;
            break;
        }
        last = header.name().to_owned();
        if let Some(plan) = desk.plan(header, now).await? {
            rows += plan.rows();
            plan.stage(&mut change, home, (collection.id, header.name()), None)?;
        }
    }
    if more {
        change.queue_local(&LocalMessage {
            revision: row.revision.saturating_add(1),
            name: last,
            ..row.clone()
        });
    }
    Ok(change)
}

struct Desk<'a> {
    shared: &'a Shared,
    home: &'a Home,
    directory: &'a Directory,
}

impl Desk<'_> {
    /// What the withdrawal of one meeting means; nothing if its owner has put it elsewhere meanwhile.
    async fn plan(&self, header: &Header, now: Timestamp) -> Result<Option<Plan>, Error> {
        let elsewhere = tag::find(self.home, header.uid()).await?;
        if elsewhere.is_some_and(|(_, header)| header.tag.is_some()) {
            return Ok(None);
        }
        let text: Bytes = self.home.text(header).await?;
        let Some(old) = messages::read(&text, self.shared) else {
            return Ok(None);
        };
        let owner: Id = self.home.id();
        let people = People::of(self.directory, owner, self.shared.outside);
        let who = people.in_calendar(Some(&old)).addresses();
        let limits = super::limits::of(&self.shared.limits);
        let change = (Some(&old), None);
        let Ok(outgoing) = itip::outgoing(change, &who, Intent::Change, now, &limits) else {
            return Ok(None);
        };
        let mut plan = Plan::of(&outgoing, &who, header.uid());
        plan.old = Some(header.text);
        let told = outgoing.declines().then_some(now);
        plan.known = Some(Known::gone(self.home, (header.uid(), &old), told).await?);
        Ok(Some(plan))
    }
}
