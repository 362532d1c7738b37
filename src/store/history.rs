//! What a home was like: revisions, removed collections, older texts.
//!
//! A header lives from its text's position until the next one; replaced headers and tombstones are
//! kept beside the newest until pruning comes.

use std::collections::BTreeMap;
use std::sync::Arc;

use super::collection::Collection;
use super::error::Row as _;
use super::header::{Header, Record};
use super::home::Home;
use super::keys::{self, Tag};
use super::kv::Scan;
use super::load;
use super::revision::{Actor, Revision};
use super::rewind::Past;
use super::{Error, Id, Position, Refusal};
use crate::ical::Timestamp;

/// An object as it was from one revision on.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Version {
    /// Its name.
    pub name: String,
    /// Since when, in the home's history.
    pub since: Position,
    /// Since when; none if the revision is older than the history.
    pub at: Option<Timestamp>,
    /// Who wrote it; of no meaning if the revision is older than the history.
    pub actor: Actor,
    /// What was done.
    pub what: String,
    /// What it was; none if it was removed. `Home::text` reads its text.
    pub header: Option<Header>,
}

/// A collection that can be restored.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RemovedCollection {
    /// What it was; its name is the one it had.
    pub collection: Arc<Collection>,
    /// When it was removed.
    pub at: Timestamp,
    /// The revision that removed it.
    pub revision: u64,
}

impl Revision {
    /// The collections it touched (in the directory: the principals).
    pub fn touched(&self) -> impl Iterator<Item = Id> + '_ {
        self.touched.iter().map(|touched| touched.id)
    }
}

impl Home {
    /// What was done in the home, newest first: at most `limit` revisions before this one.
    pub async fn revisions(
        &self,
        before: Option<u64>,
        limit: usize,
    ) -> Result<Vec<Revision>, Error> {
        let prefix = keys::all(self.id, Tag::Revision);
        let mut scan = Scan::prefix(prefix, limit).reversed();
        let end = before.unwrap_or(self.head.revision.saturating_add(1));
        scan.end = Some(keys::revision(self.id, end));
        let rows = self.shared.kv.scan(self.view(), scan).await?;
        rows.iter()
            .map(|row| Revision::decode(&row.value).row(&row.key))
            .collect()
    }

    /// The collections that were removed and can be restored.
    pub fn removed(&self) -> Vec<RemovedCollection> {
        let removed = self.contents.removed.values();
        removed
            .filter_map(|collection| {
                let removed = collection.removed?;
                Some(RemovedCollection {
                    collection: collection.clone(),
                    at: removed.time,
                    revision: removed.at.revision,
                })
            })
            .collect()
    }

    /// The revision that made a state. `now` tells how far the history reaches back.
    pub async fn revision_of(&self, past: Past, now: Timestamp) -> Result<u64, Error> {
        match past {
            Past::Time(moment) => self.revision_at(moment, now).await,
            Past::Revision(revision) => Ok(revision),
        }
    }

    /// The revision that was the newest at a moment. `now` tells how far the history reaches back.
    pub async fn revision_at(&self, moment: Timestamp, now: Timestamp) -> Result<u64, Error> {
        let keep = self.shared.limits.history_keep;
        if moment < now.add_seconds(keep.saturating_neg()) {
            return Err(Refusal::NoHistory.into());
        }
        // Revisions without a row are older than the history, so older than the moment.
        let (mut low, mut high) = (0, self.head.revision);
        while low < high {
            let middle = high - (high - low) / 2;
            let at = self.revision_row(middle).await?.map(|revision| revision.at);
            if at.is_none_or(|at| at <= moment) {
                low = middle;
            } else {
                high = middle - 1;
            }
        }
        Ok(low)
    }

    async fn revision_row(&self, number: u64) -> Result<Option<Revision>, Error> {
        let key = keys::revision(self.id, number);
        let row = self.shared.kv.get(self.view(), &key).await?;
        row.map(|row| Revision::decode(&row).row(&key)).transpose()
    }

    /// What an object was like, newest first.
    pub async fn object_history(
        &self,
        collection: &Collection,
        name: &str,
    ) -> Result<Vec<Version>, Error> {
        let prefix = keys::old_objects(self.id, collection.id, name);
        let mut records = Vec::new();
        for row in load::all(&self.shared, self.view(), prefix).await? {
            records.push(Record::decode(name, &row.value, &collection.origin()).row(&row.key)?);
        }
        records.extend(self.record(collection, name).await?);
        let mut versions = Vec::with_capacity(records.len());
        for record in records {
            versions.push(self.version(name.to_owned(), record).await?);
        }
        versions.sort_by_key(|version| std::cmp::Reverse(version.since));
        Ok(versions)
    }

    /// The newest versions of all objects of a collection, newest first.
    pub async fn collection_history(
        &self,
        collection: &Collection,
        limit: usize,
    ) -> Result<Vec<Version>, Error> {
        let mut records = self.all_records(collection).await?;
        records.sort_by_key(|(_, record)| std::cmp::Reverse(since(record)));
        records.truncate(limit);
        let mut versions = Vec::with_capacity(records.len());
        for (name, record) in records {
            versions.push(self.version(name, record).await?);
        }
        Ok(versions)
    }

    /// The objects of a collection as they were at a revision.
    pub async fn objects_at(
        &self,
        collection: &Collection,
        revision: u64,
    ) -> Result<BTreeMap<String, Header>, Error> {
        let mut newest: BTreeMap<String, Record> = BTreeMap::new();
        for (name, record) in self.all_records(collection).await? {
            if since(&record).revision > revision {
                continue;
            }
            let newer = newest
                .get(&name)
                .is_none_or(|old| since(old) < since(&record));
            if newer {
                newest.insert(name, record);
            }
        }
        let live = newest.into_iter();
        Ok(live
            .filter_map(|(name, record)| Some((name, record.live()?)))
            .collect())
    }

    /// Every header and tombstone of a collection, old and new.
    async fn all_records(&self, collection: &Collection) -> Result<Vec<(String, Record)>, Error> {
        let origin = collection.origin();
        let mut records = Vec::new();
        let prefix = keys::of(self.id, Tag::OldObject, collection.id);
        for row in load::all(&self.shared, self.view(), prefix.clone()).await? {
            let name = row
                .key
                .strip_prefix(prefix.as_ref())
                .and_then(keys::text_tail);
            let damaged = || Error::Damaged(format!("key {}", row.key.escape_ascii()));
            let (name, _) = name.ok_or_else(damaged)?;
            let record = Record::decode(&name, &row.value, &origin).row(&row.key)?;
            records.push((name, record));
        }
        let members = self.members(collection).await?;
        records.extend(members.records());
        Ok(records)
    }

    async fn version(&self, name: String, record: Record) -> Result<Version, Error> {
        let since = since(&record);
        let revision = self.revision_row(since.revision).await?;
        let at = revision.as_ref().map(|revision| revision.at);
        let (actor, what) = revision.map_or_else(Default::default, |r| (r.actor, r.what));
        Ok(Version {
            name,
            since,
            at,
            actor,
            what,
            header: record.live(),
        })
    }

    /// The row of a collection as it was at a revision; none if there was none or it was removed.
    pub(super) async fn collection_at(
        &self,
        id: Id,
        revision: u64,
    ) -> Result<Option<Collection>, Error> {
        let known = self.contents.removed.get(&id);
        let Some(newest) = known.or_else(|| self.contents.live.get(&id)) else {
            return Ok(None);
        };
        let gone = newest
            .removed
            .is_some_and(|removed| removed.at.revision <= revision);
        if gone {
            return Ok(None);
        }
        if newest.row_changed.revision <= revision {
            return Ok(Some(newest.as_ref().clone()));
        }
        let prefix = keys::of(self.id, Tag::OldCollection, id);
        let mut scan = Scan::prefix(prefix, 1).reversed();
        let end = Position {
            revision: revision.saturating_add(1),
            n: 0,
        };
        scan.end = Some(keys::old_collection(self.id, id, end));
        let rows = self.shared.kv.scan(self.view(), scan).await?;
        let Some(row) = rows.first() else {
            return Ok(None);
        };
        let epochs = self.head.epochs.clone();
        let old = Collection::decode(id, &row.value, epochs).row(&row.key)?;
        Ok(old.removed.is_none().then_some(old))
    }
}

/// Since when a record is what the history tells: other changes of a header than of its text are
/// none of the history.
fn since(record: &Record) -> Position {
    match record {
        Record::Live(header) => header.text,
        Record::Tombstone(at) => *at,
    }
}
