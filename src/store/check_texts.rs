//! The texts of a home against its headers: each header has a whole text, each text a header.

use bytes::Bytes;

use super::check_home::Home;
use super::header::{Header, Record};
use super::keys::{self, Tag};
use super::kv::{Row, Scan, View};
use super::load::{self, next_key};
use super::revision::Owner;
use super::{Error, Id, Position, Shared};

/// Rows read at once; each can have 60 KiB.
const PAGE: usize = 128;

/// The chunk rows of one text.
struct Text {
    collection: Id,
    name: String,
    at: Position,
    keys: Vec<Bytes>,
    bytes: Vec<u8>,
    whole: bool,
}

/// Compares all texts of a home with its headers.
pub(super) async fn check(home: &mut Home, shared: &Shared) -> Result<(), Error> {
    let prefix = keys::all(home.id(), Tag::Text);
    let mut scan = Scan::prefix(prefix.clone(), PAGE);
    let mut text: Option<Text> = None;
    loop {
        let rows = shared.kv.scan(View::Ordered, scan.clone()).await?;
        let more = rows.len() >= PAGE;
        for row in rows {
            scan.start = next_key(&row.key);
            let Some((collection, name, at, chunk)) = place(&row, &prefix) else {
                home.problem(format!("stray row {}", row.key.escape_ascii()));
                home.erase(row.key);
                continue;
            };
            let same = text.as_ref().is_some_and(|text| {
                (text.collection, text.name.as_str(), text.at) == (collection, name.as_str(), at)
            });
            if !same && let Some(text) = text.take() {
                judge(home, &text);
            }
            let text = text.get_or_insert_with(|| Text {
                collection,
                name,
                at,
                keys: Vec::new(),
                bytes: Vec::new(),
                whole: true,
            });
            text.whole &= usize::try_from(chunk) == Ok(text.keys.len());
            text.keys.push(row.key);
            text.bytes.extend_from_slice(&row.value);
        }
        if !more {
            break;
        }
    }
    if let Some(text) = text.take() {
        judge(home, &text);
    }
    check_headers(home, shared).await
}

/// What the key of a chunk row says.
fn place(row: &Row, prefix: &Bytes) -> Option<(Id, String, Position, u32)> {
    let (collection, rest) = keys::id_tail(&row.key, prefix)?;
    let (name, rest) = keys::text_tail(rest)?;
    let (at, chunk) = rest.split_at_checked(12)?;
    let chunk = u32::from_be_bytes(chunk.try_into().ok()?);
    Some((collection, name, keys::position_of(at)?, chunk))
}

/// One text: it belongs to the header of its name, to an older one, or to nothing.
fn judge(home: &mut Home, text: &Text) {
    if home.is_dying(text.collection) {
        return;
    }
    let name = (text.collection, text.name.clone());
    let fits = |header: &Header| {
        header.text == text.at
            && header.blob.is_none()
            && text.whole
            && usize::try_from(header.size_bytes) == Ok(text.bytes.len())
    };
    let key = (text.collection, text.name.clone(), text.at);
    let current = match home.objects.get(&name) {
        Some(Record::Live(header)) => Some(header.clone()),
        Some(Record::Tombstone(_)) | None => None,
    };
    if let Some(header) = current.filter(|header| header.text == text.at) {
        let good = fits(&header) || (text.whole && complete(&text.bytes));
        if good {
            home.seen.insert(key);
            home.check_header(&header, &text.bytes);
        } else {
            home.erase_all(&text.keys);
        }
        return;
    }
    if let Some(Record::Live(header)) = home.old.get(&key) {
        if fits(header) {
            home.seen.insert(key);
        } else {
            home.erase_all(&text.keys);
        }
        return;
    }
    // A text that is newer than a rebuilt header's is the one that counts.
    let unknown = !home.objects.contains_key(&name) || home.rebuilt.contains(&name);
    if unknown && text.whole {
        if !home.has_collection(text.collection) {
            home.recover_collection(text.collection);
        }
        let place = (text.collection, text.name.as_str(), text.at);
        home.rebuild(place, (&text.bytes, None));
        return;
    }
    home.problem(format!("nothing refers to a text of {:?}", text.name));
    home.erase_all(&text.keys);
}

/// Whether a text whose header has another length for it is to be believed.
fn complete(text: &[u8]) -> bool {
    let end = text.trim_ascii_end();
    let end = end.get(end.len().saturating_sub(13)..).unwrap_or_default();
    text.starts_with(b"BEGIN:VCALENDAR") && end.eq_ignore_ascii_case(b"END:VCALENDAR")
}

/// Long texts that no header of the home knows get one.
pub(super) async fn check_longs(
    home: &mut Home,
    shared: &Shared,
    longs: &[(Id, Owner)],
) -> Result<(), Error> {
    let known = home.blobs();
    for (blob, owner) in longs {
        let name = (owner.collection, owner.name.clone());
        if known.contains(blob) || home.objects.contains_key(&name) {
            continue;
        }
        let mut text = Vec::new();
        let mut whole = true;
        for (n, row) in (0_u32..).zip(load::all(shared, View::Ordered, keys::blob(*blob)).await?) {
            if let Some(chunk) = n.checked_sub(1) {
                whole &= row.key == keys::blob_chunk(*blob, chunk);
                text.extend_from_slice(&row.value);
            }
        }
        if whole && !home.is_dying(owner.collection) {
            if !home.has_collection(owner.collection) {
                home.recover_collection(owner.collection);
            }
            let place = (owner.collection, owner.name.as_str(), owner.at);
            home.rebuild(place, (&text, Some(*blob)));
        }
    }
    Ok(())
}

/// Every header must have been met by its text; those of long texts look for it themselves.
async fn check_headers(home: &mut Home, shared: &Shared) -> Result<(), Error> {
    let live = home
        .objects
        .iter()
        .filter_map(|((collection, name), record)| match record {
            Record::Live(header) => Some((*collection, name.clone(), header.clone())),
            Record::Tombstone(_) => None,
        });
    for (collection, name, header) in live.collect::<Vec<_>>() {
        let whole = match header.blob {
            None => home.seen.contains(&(collection, name.clone(), header.text)),
            Some(_) => long_text(home.id(), shared, &header).await?,
        };
        if !whole && !home.is_dying(collection) {
            home.lose(collection, &name);
        }
    }
    let old = home
        .old
        .iter()
        .filter_map(|((collection, name, at), record)| match record {
            Record::Live(header) => Some((*collection, name.clone(), *at, header.clone())),
            Record::Tombstone(_) => None,
        });
    for (collection, name, at, header) in old.collect::<Vec<_>>() {
        let whole = match header.blob {
            None => home.seen.contains(&(collection, name.clone(), at)),
            Some(_) => long_text(home.id(), shared, &header).await?,
        };
        if !whole && !home.is_dying(collection) {
            home.problem(format!(
                "an older text of {name:?} is missing; it is forgotten"
            ));
            home.erase(keys::old_object(home.id(), collection, &name, at));
            home.old.remove(&(collection, name, at));
        }
    }
    Ok(())
}

/// Whether a long text is whole.
async fn long_text(home: Id, shared: &Shared, header: &Header) -> Result<bool, Error> {
    let wanted: Vec<Bytes> = super::home::text_keys(home, header).collect();
    let mut length = 0_usize;
    for wanted in wanted.chunks(PAGE) {
        for row in shared.kv.get_many(View::Ordered, wanted).await? {
            let Some(row) = row else {
                return Ok(false);
            };
            length = length.saturating_add(row.len());
        }
    }
    Ok(usize::try_from(header.size_bytes) == Ok(length))
}
