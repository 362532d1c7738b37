//! The directory of principals: a snapshot at one revision, and changes of it.
//!
//! It is a home of its own kind: its head, revisions and turn are those of homes.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use bytes::Bytes;

use super::booking::Booking;
use super::cell::Version;
use super::error::Row;
use super::keys::{self, Tag};
use super::kv::{View, Write};
use super::load;
use super::principal::{Credentials, Principal, PrincipalKind};
use super::revision::{Head, Revision, Touched};
use super::shards::Shards;
use super::stage::Entry;
use super::{Error, Id, Refusal, Shared};
use crate::ical::address_key;

/// All principals at one revision.
#[derive(Debug)]
pub struct Directory {
    head: Head,
    head_row: Option<Bytes>,
    contents: Contents,
}

#[derive(Clone, Debug)]
struct Contents {
    principals: Shards<Id, Arc<Principal>>,
    names: Shards<String, Id>,
    addresses: Shards<String, Id>,
    members: Shards<Id, Arc<[Id]>>,
    groups: Shards<Id, Arc<[Id]>>,
}

impl Version for Directory {
    fn head_row(&self) -> Option<&Bytes> {
        self.head_row.as_ref()
    }

    fn revision(&self) -> u64 {
        self.head.revision
    }

    fn became_durable(&self) {}
}

impl Directory {
    /// Its revision.
    pub fn revision(&self) -> u64 {
        self.head.revision
    }

    /// The principal with this identifier.
    pub fn principal(&self, id: Id) -> Option<&Arc<Principal>> {
        self.contents.principals.get(&id)
    }

    /// The principal of this name, in any case.
    pub fn by_name(&self, name: &str) -> Option<&Arc<Principal>> {
        self.principal(*self.contents.names.get(name.to_lowercase().as_str())?)
    }

    /// The principal with this calendar user address, in any case and percent-encoded or not.
    pub fn by_address(&self, address: &str) -> Option<&Arc<Principal>> {
        let address = address_key(address);
        self.principal(*self.contents.addresses.get(address.as_str())?)
    }

    /// All principals, in the order of their names.
    pub fn principals(&self) -> impl ExactSizeIterator<Item = &Arc<Principal>> {
        let mut all: Vec<_> = self.contents.principals.values().collect();
        all.sort_unstable_by(|a, b| a.name.cmp(&b.name));
        all.into_iter()
    }

    /// Whether there is no principal.
    pub fn is_empty(&self) -> bool {
        self.contents.principals.values().next().is_none()
    }

    /// The direct members of a group; RFC 3744 §4.3.
    pub fn members_of(&self, group: Id) -> &[Id] {
        self.contents.members.get(&group).map_or(&[], |m| m)
    }

    /// The groups that a principal is a direct member of; RFC 3744 §4.4.
    pub fn direct_groups_of(&self, id: Id) -> &[Id] {
        self.contents.groups.get(&id).map_or(&[], |g| g)
    }

    /// The groups that a principal is in, directly or through other groups.
    pub fn groups_of(&self, id: Id) -> Vec<Id> {
        reach(id, |id| self.direct_groups_of(id))
    }

    /// The principals in a group, directly or through other groups, without those groups.
    pub fn expand(&self, group: Id) -> Vec<Id> {
        let mut all = reach(group, |id| self.members_of(id));
        all.retain(|id| {
            let principal = self.principal(*id);
            principal.is_some_and(|p| p.kind != PrincipalKind::Group)
        });
        all
    }

    /// Whether a principal, or a group it is in, is among these.
    pub fn is_among(&self, id: Id, some: &[Id]) -> bool {
        some.contains(&id) || self.groups_of(id).iter().any(|group| some.contains(group))
    }

    /// Whether somebody may see and change the home of another: as administrator, or as one of those in charge of a room
    /// or resource.
    pub fn may_keep(&self, principal: &Principal, owner: Id) -> bool {
        let in_charge = || {
            let booking = self
                .principal(owner)
                .and_then(|owner| Booking::of(owner.as_ref()));
            booking.is_some_and(|booking| {
                !booking.in_charge.is_empty() && self.is_among(principal.id, &booking.in_charge)
            })
        };
        principal.admin || in_charge()
    }

    /// Whether a principal is in a group, directly or through other groups.
    pub fn is_member(&self, id: Id, group: Id) -> bool {
        self.groups_of(id).contains(&group)
    }
}

/// Everything that can be reached from `start`, nearest first, each once and without `start`.
fn reach<'a>(start: Id, next: impl Fn(Id) -> &'a [Id]) -> Vec<Id> {
    let mut seen = BTreeSet::from([start]);
    let mut found = Vec::new();
    let mut queue: std::collections::VecDeque<Id> = [start].into();
    while let Some(id) = queue.pop_front() {
        for id in next(id) {
            if seen.insert(*id) {
                found.push(*id);
                queue.push_back(*id);
            }
        }
    }
    found
}

impl Contents {
    fn empty() -> Self {
        Self {
            principals: Shards::new(),
            names: Shards::new(),
            addresses: Shards::new(),
            members: Shards::new(),
            groups: Shards::new(),
        }
    }

    fn forget(&mut self, id: Id) {
        let Some(old) = self.principals.remove(&id) else {
            return;
        };
        // Somebody else may have got the name or address meanwhile.
        let name = old.name.to_lowercase();
        if self.names.get(name.as_str()) == Some(&id) {
            self.names.remove(name.as_str());
        }
        for address in &old.addresses {
            let address = address_key(address);
            if self.addresses.get(address.as_str()) == Some(&id) {
                self.addresses.remove(address.as_str());
            }
        }
    }

    fn remember(&mut self, principal: Arc<Principal>) {
        self.forget(principal.id);
        self.names
            .insert(principal.name.to_lowercase(), principal.id);
        for address in &principal.addresses {
            let address = address_key(address);
            self.addresses.insert(address, principal.id);
        }
        self.principals.insert(principal.id, principal);
    }

    fn set_members(&mut self, group: Id, members: &[Id]) {
        let old = self.members.remove(&group);
        for id in old.iter().flat_map(|members| members.iter()) {
            let groups = self.groups.remove(id);
            let groups: Vec<Id> = groups.iter().flat_map(|g| g.iter()).copied().collect();
            let left: Arc<[Id]> = groups.into_iter().filter(|g| *g != group).collect();
            if !left.is_empty() {
                self.groups.insert(*id, left);
            }
        }
        for id in members {
            let groups = self.groups.get(id).map_or(&[][..], |g| g);
            let more: Arc<[Id]> = groups.iter().copied().chain([group]).collect();
            self.groups.insert(*id, more);
        }
        if !members.is_empty() {
            self.members.insert(group, members.into());
        }
    }
}

/// The newest state of the directory, followed from `base` where that is near enough.
pub(super) async fn load(
    shared: &Arc<Shared>,
    view: View,
    base: Option<&Directory>,
) -> Result<Directory, Error> {
    let key = keys::head(Id::DIRECTORY);
    let mut known = base.map(|base| (base.head.revision, base.contents.clone()));
    let mut row = shared.kv.get(view, &key).await?;
    for _ in 0..1000 {
        let head = load::read_head(Id::DIRECTORY, row.as_ref())?;
        let followed = match known.take() {
            Some((from, contents)) => follow(shared, view, (from, head.revision), contents).await?,
            None => None,
        };
        let contents = match followed {
            Some(contents) => contents,
            None => scan(shared, view).await?,
        };
        let again = shared.kv.get(view, &key).await?;
        if again == row {
            return Ok(Directory {
                head,
                head_row: row,
                contents,
            });
        }
        known = Some((head.revision, contents));
        row = again;
    }
    let message = "the directory changes faster than it can be read";
    Err(Error::Broken(message.to_owned()))
}

async fn scan(shared: &Shared, view: View) -> Result<Contents, Error> {
    let mut contents = Contents::empty();
    let prefix = keys::all(Id::DIRECTORY, Tag::Principal);
    for row in load::all(shared, view, prefix.clone()).await? {
        if let Some((id, [])) = keys::id_tail(&row.key, &prefix) {
            let principal = Principal::decode(id, &row.value).row(&row.key)?;
            contents.remember(Arc::new(principal));
        }
    }
    let mut members: BTreeMap<Id, Vec<Id>> = BTreeMap::new();
    let prefix = keys::all(Id::DIRECTORY, Tag::Membership);
    for row in load::all(shared, view, prefix.clone()).await? {
        if let Some((group, rest)) = keys::id_tail(&row.key, &prefix)
            && let Some((member, [])) = keys::id_tail(rest, &[])
        {
            members.entry(group).or_default().push(member);
        }
    }
    for (group, members) in members {
        contents.set_members(group, &members);
    }
    Ok(contents)
}

async fn follow(
    shared: &Shared,
    view: View,
    range: (u64, u64),
    mut contents: Contents,
) -> Result<Option<Contents>, Error> {
    let touched = load::touched(shared, Id::DIRECTORY, view, range).await?;
    let Some((ids, _)) = touched else {
        return Ok(None);
    };
    let wanted = ids.iter().map(|id| keys::principal(Tag::Principal, *id));
    let wanted: Vec<Bytes> = wanted.collect();
    let rows = shared.kv.get_many(view, &wanted).await?;
    for ((id, key), row) in ids.iter().zip(&wanted).zip(rows) {
        match row {
            None => contents.forget(*id),
            Some(row) => {
                let principal = Principal::decode(*id, &row).row(key)?;
                contents.remember(Arc::new(principal));
            }
        }
        let prefix = keys::of(Id::DIRECTORY, Tag::Membership, *id);
        let rows = load::all(shared, view, prefix.clone()).await?;
        let members = rows
            .iter()
            .filter_map(|row| keys::id_tail(&row.key, &prefix));
        let members: Vec<Id> = members.map(|(id, _)| id).collect();
        contents.set_members(*id, &members);
    }
    Ok(Some(contents))
}

/// What a commit does to the directory, in order.
#[derive(Debug)]
pub struct DirectoryChange {
    pub(super) base: Arc<Directory>,
    steps: Vec<Step>,
}

#[derive(Debug)]
enum Step {
    Add(Principal),
    Update(Principal),
    Remove(Id),
    SetMembers(Id, Vec<Id>),
    SetCredentials(Id, Credentials),
}

impl DirectoryChange {
    pub(super) fn new(base: Arc<Directory>) -> Self {
        let steps = Vec::new();
        Self { base, steps }
    }

    /// The snapshot it is made on.
    pub fn view(&self) -> &Arc<Directory> {
        &self.base
    }

    /// Whether it does nothing.
    pub fn is_empty(&self) -> bool {
        self.steps.is_empty()
    }

    /// Adds a principal.
    pub fn add(&mut self, principal: Principal) {
        self.steps.push(Step::Add(principal));
    }

    /// Replaces a principal; its identifier stays.
    pub fn update(&mut self, principal: Principal) {
        self.steps.push(Step::Update(principal));
    }

    /// Removes a principal with its credentials and memberships.
    pub fn remove(&mut self, id: Id) {
        self.steps.push(Step::Remove(id));
    }

    /// Replaces the direct members of a group.
    pub fn set_members(&mut self, group: Id, members: Vec<Id>) {
        self.steps.push(Step::SetMembers(group, members));
    }

    /// Replaces the credentials of a principal: what was verified before is not valid any more.
    pub fn set_credentials(&mut self, id: Id, credentials: Credentials) {
        self.steps.push(Step::SetCredentials(id, credentials));
    }
}

/// The rows and the snapshot that a change makes of the directory.
pub(super) struct Staged {
    pub(super) view: Arc<Directory>,
    pub(super) writes: Vec<Write>,
}

struct Stage<'a> {
    shared: &'a Shared,
    head: Head,
    contents: Contents,
    writes: Vec<Write>,
    touched: BTreeSet<Id>,
}

/// Runs the steps of a change on its snapshot.
pub(super) async fn stage(
    shared: &Shared,
    change: DirectoryChange,
    entry: Entry<'_>,
) -> Result<Staged, Error> {
    let base = change.base;
    let revision = base.head.revision.saturating_add(1);
    let mut stage = Stage {
        shared,
        head: Head {
            revision,
            nonce: entry.nonce,
            modified: base.head.modified.max(entry.at),
            epochs: base.head.epochs.extended(shared.epoch, revision),
            removed: false,
        },
        contents: base.contents.clone(),
        writes: Vec::new(),
        touched: BTreeSet::new(),
    };
    for step in change.steps {
        stage.run(step).await?;
    }
    stage.finish(entry)
}

impl Stage<'_> {
    fn write(&mut self, key: Bytes, value: Bytes) {
        let value = Some(value);
        self.writes.push(Write { key, value });
    }

    fn erase(&mut self, key: Bytes) {
        self.writes.push(Write { key, value: None });
    }

    async fn run(&mut self, step: Step) -> Result<(), Error> {
        match step {
            Step::Add(principal) => {
                if self.contents.principals.get(&principal.id).is_some() {
                    return Err(Refusal::PrincipalExists.into());
                }
                self.put(principal)
            }
            Step::Update(principal) => {
                self.known(principal.id)?;
                self.put(principal)
            }
            Step::Remove(id) => self.remove(id).await,
            Step::SetMembers(group, members) => self.set_members(group, members),
            Step::SetCredentials(id, credentials) => {
                let principal = self.known(id)?.as_ref().clone();
                let row = credentials.encode();
                if row.len() > self.shared.limits.row_bytes {
                    return Err(Error::TooLarge("bytes of a principal's credentials"));
                }
                self.write(keys::principal(Tag::Credentials, id), row);
                self.put(principal)
            }
        }
    }

    fn known(&self, id: Id) -> Result<Arc<Principal>, Error> {
        let known = self.contents.principals.get(&id).cloned();
        known.ok_or_else(|| Refusal::NoPrincipal.into())
    }

    fn put(&mut self, mut principal: Principal) -> Result<(), Error> {
        let id = principal.id;
        self.shared.check_name(&principal.name)?;
        if principal.name.chars().any(char::is_control) {
            return Err(Refusal::BadName(principal.name).into());
        }
        let other = |holder: Option<&Id>| holder.is_some_and(|holder| *holder != id);
        let name = principal.name.to_lowercase();
        if other(self.contents.names.get(name.as_str())) {
            return Err(Refusal::NameTaken(principal.name).into());
        }
        let mut seen = BTreeSet::new();
        for address in &principal.addresses {
            let normal = address_key(address);
            let taken = other(self.contents.addresses.get(normal.as_str()));
            if taken || !seen.insert(normal) {
                return Err(Refusal::AddressTaken(address.clone()).into());
            }
        }
        principal.revision = self.head.revision;
        let row = principal.encode();
        if row.len() > self.shared.limits.row_bytes {
            return Err(Error::TooLarge("bytes of a principal's properties"));
        }
        self.write(keys::principal(Tag::Principal, id), row);
        self.touched.insert(id);
        self.contents.remember(Arc::new(principal));
        Ok(())
    }

    async fn remove(&mut self, id: Id) -> Result<(), Error> {
        self.known(id)?;
        self.set_members(id, Vec::new())?;
        let groups = self.contents.groups.get(&id);
        let groups: Vec<Id> = groups.iter().flat_map(|g| g.iter()).copied().collect();
        for group in groups {
            let members = self.contents.members.get(&group);
            let members = members.iter().flat_map(|m| m.iter()).copied();
            let left = members.filter(|member| *member != id).collect();
            self.set_members(group, left)?;
        }
        let uses = keys::of(Id::DIRECTORY, Tag::Use, id);
        for row in load::all(self.shared, View::Ordered, uses).await? {
            self.erase(row.key);
        }
        self.erase(keys::principal(Tag::Credentials, id));
        self.erase(keys::principal(Tag::Principal, id));
        self.touched.insert(id);
        self.contents.forget(id);
        Ok(())
    }

    fn set_members(&mut self, group: Id, members: Vec<Id>) -> Result<(), Error> {
        let principal = self.known(group)?;
        if principal.kind != PrincipalKind::Group && !members.is_empty() {
            return Err(Refusal::NoPrincipal.into());
        }
        let old = self.contents.members.get(&group);
        let old: BTreeSet<Id> = old.iter().flat_map(|m| m.iter()).copied().collect();
        let new: BTreeSet<Id> = members.into_iter().collect();
        for id in &new {
            self.known(*id)?;
        }
        for id in old.difference(&new) {
            self.erase(keys::pair(Tag::Membership, group, *id));
        }
        for id in new.difference(&old) {
            let key = keys::pair(Tag::Membership, group, *id);
            self.write(key, Bytes::from_static(&[1]));
        }
        let new: Vec<Id> = new.into_iter().collect();
        self.touched.insert(group);
        self.contents.set_members(group, &new);
        Ok(())
    }

    fn finish(mut self, entry: Entry<'_>) -> Result<Staged, Error> {
        let touched = self.touched.iter().map(|id| Touched {
            id: *id,
            row: true,
            members: false,
        });
        let revision = Revision {
            number: self.head.revision,
            at: self.head.modified,
            actor: entry.actor.clone(),
            what: entry.what.to_owned(),
            touched: touched.collect(),
            names: Vec::new(),
        };
        let number = self.head.revision;
        self.write(keys::revision(Id::DIRECTORY, number), revision.encode());
        let row = self.head.encode();
        self.write(keys::head(Id::DIRECTORY), row.clone());
        let view = Directory {
            head: self.head,
            head_row: Some(row),
            contents: self.contents,
        };
        Ok(Staged {
            view: Arc::new(view),
            writes: self.writes,
        })
    }
}
