//! Reading a home or an index from rows that may change meanwhile: what was read is followed by the
//! log until nothing moved during a whole pass.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use bytes::Bytes;

use super::collection::{Collection, State};
use super::error::Row as _;
use super::header::in_memory;
use super::home::{Contents, Home, missing};
use super::keys::{self, Tag};
use super::kv::{Row, Scan, View};
use super::members::{Collector, Members};
use super::revision::{Head, Named, Revision, decode_floor};
use super::{Error, Id, Position, Shared};

/// How often reading begins anew because another process writes.
const PASSES: usize = 1000;

/// From how many new revisions on a home is read anew instead of followed.
const FOLLOWED: u64 = 256;

/// Rows of one scan.
const PAGE: usize = 2048;

/// All rows that begin with `prefix`.
pub(super) async fn all(shared: &Shared, view: View, prefix: Bytes) -> Result<Vec<Row>, Error> {
    let mut scan = Scan::prefix(prefix, PAGE);
    let mut rows = Vec::new();
    loop {
        let page = shared.kv.scan(view, scan.clone()).await?;
        let full = page.len() >= PAGE;
        rows.extend(page);
        let Some(last) = rows.last().filter(|_| full) else {
            return Ok(rows);
        };
        scan.start = next_key(&last.key);
    }
}

/// The first key after this one.
pub(super) fn next_key(key: &[u8]) -> Bytes {
    let mut next = Vec::with_capacity(key.len().saturating_add(1));
    next.extend_from_slice(key);
    next.push(0);
    next.into()
}

/// The head row of a home or of the directory, read.
pub(super) fn read_head(id: Id, row: Option<&Bytes>) -> Result<Head, Error> {
    row.map_or(Ok(Head::absent()), |row| {
        Head::decode(row).row(&keys::head(id))
    })
}

/// The newest state of a home, followed from `base` where that is near enough.
pub(super) async fn home(
    shared: &Arc<Shared>,
    id: Id,
    view: View,
    base: Option<&Home>,
) -> Result<Home, Error> {
    let key = keys::head(id);
    let mut contents = base.map(|base| (base.head.revision, base.contents.clone()));
    let mut row = shared.kv.get(view, &key).await?;
    for _ in 0..PASSES {
        let head = read_head(id, row.as_ref())?;
        let followed = match contents.take() {
            Some((from, contents)) => follow(shared, id, view, (from, &head, contents)).await?,
            None => None,
        };
        let read = match followed {
            Some(contents) => contents,
            None => scan(shared, id, view, &head).await?,
        };
        let again = shared.kv.get(view, &key).await?;
        if again == row {
            return Ok(Home::new(shared.clone(), id, (head, row), read));
        }
        contents = Some((head.revision, read));
        row = again;
    }
    Err(Error::Broken(format!(
        "home {id} changes faster than it can be read"
    )))
}

/// The collections of a home as their rows say.
async fn scan(shared: &Shared, id: Id, view: View, head: &Head) -> Result<Contents, Error> {
    let mut contents = Contents::none(id);
    let prefix = keys::all(id, Tag::State);
    let mut states = BTreeMap::new();
    for row in all(shared, view, prefix.clone()).await? {
        if let Some((collection, [])) = keys::id_tail(&row.key, &prefix) {
            states.insert(collection, State::decode(&row.value).row(&row.key)?);
        }
    }
    let prefix = keys::all(id, Tag::Collection);
    for row in all(shared, view, prefix.clone()).await? {
        let Some((collection, [])) = keys::id_tail(&row.key, &prefix) else {
            return Err(Error::Damaged(format!("key {}", row.key.escape_ascii())));
        };
        let read = Collection::decode(collection, &row.value, head.epochs.clone());
        let mut read = read.row(&row.key)?;
        if let Some(state) = states.get(&collection) {
            read.set_state(*state);
        }
        contents.place(id, read);
    }
    let prefix = keys::all(id, Tag::Name);
    let mut gone = BTreeMap::new();
    for row in all(shared, view, prefix.clone()).await? {
        if let Named::Gone(at) = Named::decode(&row.value).row(&row.key)?
            && let Some(name) = keys::tail(&row.key, &prefix)
        {
            gone.insert(name.to_owned(), at);
        }
    }
    contents.gone = Arc::new(gone);
    contents.floor = floor(shared, view, id, id).await?;
    Ok(contents)
}

/// The floor of a collection.
pub(super) async fn floor(
    shared: &Shared,
    view: View,
    home: Id,
    collection: Id,
) -> Result<Position, Error> {
    let key = keys::of(home, Tag::Floor, collection);
    let row = shared.kv.get(view, &key).await?;
    row.map_or(Ok(Position::START), |row| decode_floor(&row).row(&key))
}

/// What the revisions after `from` up to `head` touched; none if they are too many or forgotten.
pub(super) async fn touched(
    shared: &Shared,
    id: Id,
    view: View,
    (from, to): (u64, u64),
) -> Result<Option<(BTreeSet<Id>, BTreeSet<String>)>, Error> {
    if to < from || to - from > FOLLOWED {
        return Ok(None);
    }
    let wanted: Vec<Bytes> = (from + 1..=to).map(|r| keys::revision(id, r)).collect();
    let rows = shared.kv.get_many(view, &wanted).await?;
    let mut ids = BTreeSet::new();
    let mut names = BTreeSet::new();
    for (key, row) in wanted.iter().zip(rows) {
        let Some(row) = row else {
            return Ok(None);
        };
        let revision = Revision::decode(&row).row(key)?;
        ids.extend(revision.touched.iter().map(|touched| touched.id));
        names.extend(revision.names);
    }
    Ok(Some((ids, names)))
}

async fn follow(
    shared: &Shared,
    id: Id,
    view: View,
    (from, head, mut contents): (u64, &Head, Contents),
) -> Result<Option<Contents>, Error> {
    let Some((ids, names)) = touched(shared, id, view, (from, head.revision)).await? else {
        return Ok(None);
    };
    let mut wanted = Vec::new();
    for collection in &ids {
        wanted.push(keys::of(id, Tag::Collection, *collection));
        wanted.push(keys::of(id, Tag::State, *collection));
    }
    wanted.extend(names.iter().map(|name| keys::name(id, name)));
    let mut rows = shared.kv.get_many(view, &wanted).await?.into_iter();
    for collection in ids {
        let (row, state) = (rows.next().flatten(), rows.next().flatten());
        let Some(row) = row else {
            return Ok(None);
        };
        let key = keys::of(id, Tag::Collection, collection);
        let read = Collection::decode(collection, &row, head.epochs.clone());
        let mut read = read.row(&key)?;
        if let Some(state) = state {
            let key = keys::of(id, Tag::State, collection);
            read.set_state(State::decode(&state).row(&key)?);
        }
        contents.place(id, read);
    }
    let gone = Arc::make_mut(&mut contents.gone);
    for (name, row) in names.into_iter().zip(rows) {
        let named = row.map(|row| Named::decode(&row).row(&keys::name(id, &name)));
        match named.transpose()? {
            Some(Named::Gone(at)) => gone.insert(name, at),
            Some(Named::Collection(_)) | None => gone.remove(&name),
        };
    }
    refresh_epochs(id, &mut contents, head);
    Ok(Some(contents))
}

/// Gives all collections the epochs of the newest head.
pub(super) fn refresh_epochs(id: Id, contents: &mut Contents, head: &Head) {
    if contents.own.epochs == head.epochs {
        return;
    }
    let live = contents.live.values().chain(contents.removed.values());
    let all: Vec<Arc<Collection>> = live.chain([&contents.own]).cloned().collect();
    for collection in all {
        let epochs = head.epochs.clone();
        contents.place(
            id,
            Collection {
                epochs,
                ..collection.as_ref().clone()
            },
        );
    }
}

/// The newest index of a collection, followed from `base` where the log reaches back to it.
pub(super) async fn members(
    home: &Home,
    collection: &Collection,
    base: Option<&Members>,
) -> Result<Members, Error> {
    let (shared, view) = (&home.shared, home.view());
    let key = keys::of(home.id, Tag::State, collection.id);
    let mut state = member_state(shared, view, &key).await?;
    let mut members = match base {
        Some(base) if base.last() >= floor(shared, view, home.id, collection.id).await? => {
            base.clone()
        }
        _ => scan_members(home, collection, state).await?,
    };
    for _ in 0..PASSES {
        let rows = changed_rows(home, collection.id, members.last()).await?;
        if !rows.is_empty() || members.state != state {
            members = members.with(&rows, state).row(&key)?;
        }
        let again = member_state(shared, view, &key).await?;
        if again == state {
            return Ok(members);
        }
        state = again;
    }
    let id = collection.id;
    Err(Error::Broken(format!(
        "collection {id} changes faster than it can be read"
    )))
}

async fn member_state(shared: &Shared, view: View, key: &Bytes) -> Result<State, Error> {
    let row = shared.kv.get(view, key).await?;
    State::decode(&row.ok_or_else(|| missing(key))?).row(key)
}

async fn scan_members(
    home: &Home,
    collection: &Collection,
    state: State,
) -> Result<Members, Error> {
    let (shared, view) = (&home.shared, home.view());
    let prefix = keys::of(home.id, Tag::Object, collection.id);
    let mut collector = Collector::new(collection.origin());
    let mut scan = Scan::prefix(prefix.clone(), PAGE);
    loop {
        let page = shared.kv.scan(view, scan.clone()).await?;
        for row in &page {
            let name = keys::tail(&row.key, &prefix);
            let damaged = || Error::Damaged(format!("key {}", row.key.escape_ascii()));
            let name = name.ok_or_else(damaged)?;
            let read = collector.push(&in_memory(name, &row.value));
            read.row(&row.key)?;
        }
        let Some(last) = page.last().filter(|_| page.len() >= PAGE) else {
            break;
        };
        scan.start = next_key(&last.key);
    }
    let members = collector.finish(state);
    // Read after the rows: tombstones that were pruned before the scan came by are below it.
    let floor = floor(shared, view, home.id, collection.id).await?;
    Ok(members.pruned(&[], floor))
}

/// The rows of all names that changed behind a position.
async fn changed_rows(home: &Home, collection: Id, after: Position) -> Result<Vec<Bytes>, Error> {
    let (shared, view) = (&home.shared, home.view());
    let prefix = keys::of(home.id, Tag::Log, collection);
    let mut scan = Scan::prefix(prefix, PAGE);
    scan.start = next_key(&keys::log(home.id, collection, after));
    let mut rows = Vec::new();
    loop {
        let page = shared.kv.scan(view, scan.clone()).await?;
        let mut names = Vec::with_capacity(page.len());
        for row in &page {
            names.push(super::home::decode_uid(&row.value).row(&row.key)?);
        }
        let object = |name: &String| keys::object(home.id, collection, name);
        let wanted: Vec<Bytes> = names.iter().map(object).collect();
        let found = shared.kv.get_many(view, &wanted).await?;
        let found = names.iter().zip(found);
        rows.extend(found.filter_map(|(name, row)| Some(in_memory(name, &row?))));
        let Some(last) = page.last().filter(|_| page.len() >= PAGE) else {
            return Ok(rows);
        };
        scan.start = next_key(&last.key);
    }
}
