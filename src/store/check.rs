//! Whether the store is what it should be, and mending it: `kalends check --repair`.
//!
//! The objects' texts are the truth. Headers, change log, UID index, names and counts are compared
//! with what the texts and the older rows say they must be; repair writes what is missing and
//! removes what nothing refers to. Where a calendar was mended its older sync tokens are refused
//! from then on, so that every client reads it anew (RFC 6578 §3.2).
//!
//! A home is read while its writers go on. Only where they are so busy that no reading stands, or
//! where something is found, is it read again in a turn of its own.
//!
//! **Gaps**: whether an account has a home, and older rows of collections, are not looked at.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;

use bytes::Bytes;

use super::check_home::Home;
use super::error::Row as _;
use super::homes::millis;
use super::keys::{self, Tag};
use super::kv::{Batch, MAX_BATCH_BYTES, Scan, View, after_prefix};
use super::load;
use super::principal::{Credentials, Principal};
use super::revision::{Head, Owner, Revision, Touched};
use super::{Actor, Error, Id, Position, Store};
use crate::ical::Timestamp;
use crate::ical::address_key;

/// Most findings that are told one by one.
const FINDINGS: usize = 10_000;

/// Most writes of a batch of repairs.
const WRITES: usize = 2_000;

/// How often a home is read while others may write to it.
const LOOKS: u32 = 3;

/// Whether what is found is mended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Repair {
    /// Only look.
    No,
    /// Mend what can be mended, at this time.
    At(Timestamp),
}

/// What a check found.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Report {
    /// Homes looked at.
    pub homes: u64,
    /// Collections looked at.
    pub collections: u64,
    /// Objects looked at.
    pub objects: u64,
    /// Older versions of objects looked at.
    pub versions: u64,
    /// What is not as it should be.
    pub findings: Vec<Finding>,
    /// How many more there are than were told.
    pub more: u64,
}

/// Something that is not as it should be.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Finding {
    /// The home; none if it is about the store or the directory.
    pub home: Option<Id>,
    /// What it is, in a sentence.
    pub what: String,
    /// Whether it was mended.
    pub repaired: bool,
}

impl fmt::Display for Finding {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if let Some(home) = self.home {
            write!(f, "home {home}: ")?;
        }
        let end = if self.repaired { " (repaired)" } else { "" };
        write!(f, "{}{end}", self.what)
    }
}

impl Report {
    /// Whether everything is as it should be.
    pub fn is_clean(&self) -> bool {
        self.findings.is_empty()
    }

    /// Whether everything is as it should be now.
    pub fn is_mended(&self) -> bool {
        self.more == 0 && self.findings.iter().all(|finding| finding.repaired)
    }

    fn add(&mut self, finding: Finding) {
        if self.findings.len() < FINDINGS {
            self.findings.push(finding);
        } else {
            self.more += 1;
        }
    }
}

/// The long texts of the store.
#[derive(Default)]
struct LongTexts {
    all: BTreeSet<Id>,
    /// Those that a header refers to.
    known: BTreeSet<Id>,
    /// What their own rows say of each home.
    owners: BTreeMap<Id, Vec<(Id, Owner)>>,
}

impl Store {
    /// Looks at every row of the store, and mends what can be mended.
    pub async fn check(&self, repair: Repair) -> Result<Report, Error> {
        let mut report = Report::default();
        let mut longs = self.long_texts().await?;
        let mut from = None;
        while let Some(id) = self.next_home(from).await? {
            let found = (&mut report, &mut longs);
            self.check_home(id, repair, found).await?;
            from = Some(id);
        }
        self.check_longs(&longs, repair, &mut report).await?;
        self.check_directory(&mut report).await?;
        self.check_strangers(&mut report).await?;
        Ok(report)
    }

    async fn check_home(
        &self,
        id: Id,
        repair: Repair,
        (report, longs): (&mut Report, &mut LongTexts),
    ) -> Result<(), Error> {
        let mut whole = None;
        for _ in 0..LOOKS {
            let (before, home) = self.look(id, longs).await?;
            let after = self.shared.kv.get(View::Ordered, &keys::head(id)).await?;
            if before == after {
                whole = Some(home).filter(|home| home.problems.is_empty());
                break;
            }
        }
        // What looks wrong may be pruning or a write under way: it is looked at again in a turn.
        let (mut home, _turn) = match whole {
            Some(home) => (home, None),
            None => {
                let turn = self.cell(id).turn.clone().lock_owned().await;
                (self.look(id, longs).await?.1, Some(turn))
            }
        };
        if home.head.as_ref().is_some_and(|head| head.removed) {
            longs.known.extend(home.blobs());
            return Ok(());
        }
        report.homes += 1;
        report.collections += home.count_collections();
        report.objects += home.count_objects();
        report.versions += home.count_versions();
        let repaired = match repair {
            Repair::At(now) if home.is_damaged() => {
                self.repair_home(id, &mut home, now).await?;
                true
            }
            Repair::At(_) | Repair::No => false,
        };
        longs.known.extend(home.blobs());
        for problem in std::mem::take(&mut home.problems) {
            report.add(Finding {
                home: Some(id),
                what: problem.what,
                repaired: repaired && problem.mendable,
            });
        }
        Ok(())
    }

    /// The rows of a home and what is wrong with them, and its head before they were read.
    async fn look(&self, id: Id, longs: &LongTexts) -> Result<(Option<Bytes>, Home), Error> {
        let head = self.shared.kv.get(View::Ordered, &keys::head(id)).await?;
        let mut home = Home::read(&self.shared, id).await?;
        if !home.head.as_ref().is_some_and(|head| head.removed) {
            home.check(&self.shared, longs.owners.get(&id)).await?;
        }
        Ok((head, home))
    }

    /// Writes what the check says must be written, and a revision that tells everybody of it.
    async fn repair_home(&self, id: Id, home: &mut Home, now: Timestamp) -> Result<(), Error> {
        let kv = &self.shared.kv;
        let row = kv.get(View::Ordered, &keys::head(id)).await?;
        let old = home.head.clone().unwrap_or_else(Head::absent);
        let number = old.revision.max(home.newest_revision()).saturating_add(1);
        let head = Head {
            revision: number,
            nonce: self.shared.next_nonce(),
            modified: old.modified.max(now),
            epochs: old.epochs.extended(self.shared.epoch, number),
            removed: false,
        };
        let at = Position {
            revision: number,
            n: 0,
        };
        home.finish_repair(at, head.modified);
        let mut batch = Batch::new(millis(now));
        for write in std::mem::take(&mut home.fixes) {
            let size = batch.size_bytes();
            if batch.writes.len() >= WRITES || size > MAX_BATCH_BYTES / 2 {
                batch.check(keys::head(id), row.clone());
                kv.commit(std::mem::replace(&mut batch, Batch::new(millis(now))))
                    .await?;
            }
            batch.writes.push(write);
        }
        let touched = home.collections.keys().map(|id| Touched {
            id: *id,
            row: true,
            members: true,
        });
        let revision = Revision {
            number,
            at: head.modified,
            actor: Actor::default(),
            what: "repair".to_owned(),
            touched: touched.collect(),
            names: home.names.keys().cloned().collect(),
        };
        batch.check(keys::head(id), row);
        batch.put(keys::revision(id, number), revision.encode());
        batch.put(keys::head(id), head.encode());
        kv.commit(batch).await?;
        for collection in home.collections.keys() {
            self.shared.indexes.forget(*collection);
        }
        Ok(())
    }

    /// Which long texts there are, and whose they are.
    async fn long_texts(&self) -> Result<LongTexts, Error> {
        let kv = &self.shared.kv;
        let mut longs = LongTexts::default();
        let mut scan = Scan::prefix(Bytes::from_static(b"l"), 1);
        while let Some(row) = kv.scan(View::Ordered, scan.clone()).await?.pop() {
            scan.start = load::next_key(&row.key);
            let Some((blob, rest)) = keys::id_tail(&row.key, b"l") else {
                continue;
            };
            scan.start = after_prefix(&keys::blob(blob)).unwrap_or(scan.start);
            if kv
                .get(View::Ordered, &keys::blob_begun(blob))
                .await?
                .is_some()
            {
                continue;
            }
            longs.all.insert(blob);
            // What cannot be read has a header that says the same.
            if let (true, Ok(owner)) = (rest.is_empty(), Owner::decode(&row.value)) {
                longs
                    .owners
                    .entry(owner.home)
                    .or_default()
                    .push((blob, owner));
            }
        }
        Ok(longs)
    }

    /// Long texts that nothing refers to.
    async fn check_longs(
        &self,
        longs: &LongTexts,
        repair: Repair,
        report: &mut Report,
    ) -> Result<(), Error> {
        for blob in longs.all.difference(&longs.known) {
            let repaired = matches!(repair, Repair::At(_));
            if let Repair::At(now) = repair {
                let mut batch = Batch::new(millis(now));
                let prefix = keys::blob(*blob);
                for row in load::all(&self.shared, View::Ordered, prefix).await? {
                    batch.remove(row.key);
                }
                self.shared.kv.commit(batch).await?;
            }
            report.add(Finding {
                home: None,
                what: format!("nothing refers to the long text {blob}"),
                repaired,
            });
        }
        Ok(())
    }

    /// Principals, credentials and memberships.
    async fn check_directory(&self, report: &mut Report) -> Result<(), Error> {
        let mut found = Vec::new();
        let mut ids = BTreeSet::new();
        let mut taken: BTreeMap<String, Id> = BTreeMap::new();
        let prefix = keys::all(Id::DIRECTORY, Tag::Principal);
        for row in load::all(&self.shared, View::Durable, prefix.clone()).await? {
            let Some((id, [])) = keys::id_tail(&row.key, &prefix) else {
                found.push(format!("stray row {}", row.key.escape_ascii()));
                continue;
            };
            ids.insert(id);
            let Ok(principal) = Principal::decode(id, &row.value) else {
                found.push(format!("the row of principal {id} cannot be read"));
                continue;
            };
            let addresses = principal.addresses.iter().map(|a| address_key(a));
            for name in addresses.chain([format!("name {}", principal.name.to_lowercase())]) {
                if let Some(other) = taken.insert(name.clone(), id) {
                    found.push(format!("principals {other} and {id} share the {name}"));
                }
            }
        }
        let prefix = keys::all(Id::DIRECTORY, Tag::Credentials);
        for row in load::all(&self.shared, View::Durable, prefix.clone()).await? {
            let owner = keys::id_tail(&row.key, &prefix).filter(|(id, _)| ids.contains(id));
            if owner.is_none() || Credentials::decode(&row.value).is_err() {
                found.push(format!("stray row {}", row.key.escape_ascii()));
            }
        }
        let prefix = keys::all(Id::DIRECTORY, Tag::Membership);
        for row in load::all(&self.shared, View::Durable, prefix.clone()).await? {
            let group = keys::id_tail(&row.key, &prefix).filter(|(id, _)| ids.contains(id));
            let member = group.and_then(|(_, rest)| keys::id_tail(rest, &[]));
            if member.is_none_or(|(id, _)| !ids.contains(&id)) {
                found.push(format!("stray row {}", row.key.escape_ascii()));
            }
        }
        let head = keys::head(Id::DIRECTORY);
        let row = self.shared.kv.get(View::Durable, &head).await?;
        load::read_head(Id::DIRECTORY, row.as_ref())?;
        for what in found {
            report.add(Finding {
                home: None,
                what,
                repaired: false,
            });
        }
        Ok(())
    }

    /// Rows of no known kind.
    async fn check_strangers(&self, report: &mut Report) -> Result<(), Error> {
        let mut start = Bytes::new();
        for known in [&b"d"[..], b"h", b"i", b"l", b"meta/", b"q/", keys::SHELVES] {
            let scan = Scan {
                start,
                end: Some(Bytes::copy_from_slice(known)),
                limit: 100,
                order: super::kv::Order::Forward,
            };
            self.report_strangers(scan, report).await?;
            start = after_prefix(known).unwrap_or_default();
        }
        let scan = Scan {
            start,
            end: None,
            limit: 100,
            order: super::kv::Order::Forward,
        };
        self.report_strangers(scan, report).await?;
        let format = self.shared.kv.get(View::Durable, keys::FORMAT).await?;
        format.ok_or_else(|| super::home::missing(keys::FORMAT))?;
        Ok(())
    }

    async fn report_strangers(&self, scan: Scan, report: &mut Report) -> Result<(), Error> {
        for row in self.shared.kv.scan(View::Durable, scan).await? {
            report.add(Finding {
                home: None,
                what: format!("row {} is of no known kind", row.key.escape_ascii()),
                repaired: false,
            });
        }
        Ok(())
    }
}

/// Reads a row, or says that it cannot be read.
pub(super) fn readable<T>(
    read: Result<T, super::codec::Malformed>,
    key: &[u8],
) -> Result<T, String> {
    read.row(key).map_err(|error| error.to_string())
}
