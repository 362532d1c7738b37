//! The address that takes a guest's answers, and the link to the page that does: both are of one
//! person's copy of one meeting and one guest, unguessable, and never change.
//!
//! A token is 128 random bits with a row in the store, not a keyed hash of what it stands for: so there
//! is no key whose change would give a guest a second address in the middle of a meeting, which their
//! mail program would answer to. The link names another number, so that who sees a link does not know
//! the address, and is signed with a key of the guest's own row; it expires, and a new key ends all
//! links made before.
//! `forget` removes the rows of meetings that are long over.

use std::fmt;
use std::str::FromStr;

use bytes::Bytes;
use serde::{Deserialize, Serialize};

use crate::ical::{Timestamp, address_key};
use crate::store::{Actor, Change, Error, Id, Kept, Shelf, Store, again};

/// token -> row
const TOKENS: Shelf = Shelf("mail/token");
/// home, UID, attendee -> token
const GUESTS: Shelf = Shelf("mail/guest");
/// number in links -> token
const PAGES: Shelf = Shelf("mail/page");

/// Whose answers these are, to which meeting.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Guest {
    /// The home of the person here: of the organizer, if the guest is an attendee.
    pub home: Id,
    /// The UID of the meeting.
    pub uid: String,
    /// The calendar user address of the person outside, as [`address_key`] writes it.
    pub attendee: String,
}

/// The secret part of a reply address.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Token(Id);

/// A reply address as the store has it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ReplyAddress {
    /// Its secret part.
    pub token: Token,
    /// Whom it stands for.
    pub guest: Guest,
    /// Since when.
    pub made: Timestamp,
    page: Id,
    key: [u8; 32],
}

/// How reply addresses are written: a mail address with `{token}` in it, such as
/// `calendar+{token}@example.org` or `{token}@calendar.example.org`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Pattern {
    before: String,
    after: String,
}

/// The text is not a token.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct NotAToken;

/// Why a link does not open.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum LinkFault {
    /// It was not made here, was changed, or its meeting is long gone.
    Unknown,
    /// It was good until then.
    Expired(Timestamp),
}

/// The row of a reply address.
#[derive(Serialize, Deserialize)]
struct Row {
    home: String,
    uid: String,
    attendee: String,
    made: i64,
    page: String,
    key: String,
}

impl Guest {
    /// The guest with this address, in any of its spellings.
    #[must_use]
    pub fn new(home: Id, uid: &str, attendee: &str) -> Guest {
        Guest {
            home,
            uid: uid.to_owned(),
            attendee: address_key(attendee),
        }
    }

    /// What keys of this guest's rows are made of.
    fn key(&self) -> Vec<u8> {
        let hash = blake3::hash(self.uid.as_bytes());
        let mut key = self.home.as_bytes().to_vec();
        key.extend_from_slice(hash.as_bytes());
        key.extend_from_slice(self.attendee.as_bytes());
        key
    }
}

impl ReplyAddress {
    /// The reply address of a guest; made if they have none.
    ///
    /// # Errors
    /// The store's.
    pub async fn of(store: &Store, guest: &Guest, now: Timestamp) -> Result<ReplyAddress, Error> {
        again(|| async {
            if let Some(token) = store.kept(GUESTS, &guest.key()).await?
                && let Some(token) = id(&token)
                && let Some(found) = ReplyAddress::find(store, Token(token)).await?
            {
                return Ok(found);
            }
            ReplyAddress::make(store, guest, now).await
        })
        .await
    }

    /// The reply address with this token.
    ///
    /// # Errors
    /// The store's.
    pub async fn find(store: &Store, token: Token) -> Result<Option<ReplyAddress>, Error> {
        let row = store.kept(TOKENS, token.0.as_bytes()).await?;
        let damaged = || Error::Damaged(format!("the row of reply address {token}"));
        row.map(|row| ReplyAddress::read(token, &row).ok_or_else(damaged))
            .transpose()
    }

    /// The path of the guest's page below the server's public URL, good until `expires`. The guest's
    /// program may percent-decode it and may not change its case.
    #[must_use]
    pub fn link(&self, expires: Timestamp) -> String {
        let (page, until) = (Token(self.page), expires.0);
        format!("rsvp/{page}.{until}.{}", self.signature(expires))
    }

    /// Whom a link's last segment is for, if it is good.
    ///
    /// # Errors
    /// The store's.
    pub async fn of_link(
        store: &Store,
        segment: &str,
        now: Timestamp,
    ) -> Result<Result<ReplyAddress, LinkFault>, Error> {
        let mut parts = segment.split('.');
        let (page, until, signature) = (parts.next(), parts.next(), parts.next());
        let page = page.and_then(|page| page.parse::<Token>().ok());
        let until = until.and_then(|until| until.parse().ok()).map(Timestamp);
        let (Some(page), Some(until), Some(signature), None) =
            (page, until, signature, parts.next())
        else {
            return Ok(Err(LinkFault::Unknown));
        };
        let token = store.kept(PAGES, page.0.as_bytes()).await?;
        let Some(token) = token.and_then(|token| id(&token)) else {
            return Ok(Err(LinkFault::Unknown));
        };
        let Some(found) = ReplyAddress::find(store, Token(token)).await? else {
            return Ok(Err(LinkFault::Unknown));
        };
        // Hashes are compared in constant time.
        let hash = |token: Token| blake3::hash(token.0.as_bytes());
        let good = signature
            .parse()
            .is_ok_and(|given| hash(given) == hash(found.signature(until)));
        Ok(match (good, until < now) {
            (false, _) => Err(LinkFault::Unknown),
            (true, true) => Err(LinkFault::Expired(until)),
            (true, false) => Ok(found),
        })
    }

    /// Forgets the address and its links: what comes to it later is from nobody.
    pub fn forget(&self, change: &mut Change) {
        change.keep(TOKENS, self.token.0.as_bytes(), None);
        change.keep(PAGES, self.page.as_bytes(), None);
        change.keep(GUESTS, &self.guest.key(), None);
    }

    async fn make(store: &Store, guest: &Guest, now: Timestamp) -> Result<ReplyAddress, Error> {
        let mut key = [0; 32];
        let (first, second) = key.split_at_mut(16);
        first.copy_from_slice(Id::random()?.as_bytes());
        second.copy_from_slice(Id::random()?.as_bytes());
        let made = ReplyAddress {
            token: Token(Id::random()?),
            guest: guest.clone(),
            made: now,
            page: Id::random()?,
            key,
        };
        let token = Bytes::copy_from_slice(made.token.0.as_bytes());
        let mut change = Change::new(now, Actor::default(), "reply address");
        let before = store.kept(GUESTS, &guest.key()).await?;
        change.expect(GUESTS, &guest.key(), before);
        change.keep(GUESTS, &guest.key(), Some(token.clone()));
        change.keep(PAGES, made.page.as_bytes(), Some(token));
        change.keep(TOKENS, made.token.0.as_bytes(), Some(made.row()?));
        let turn = store.turn(&[]).await?;
        store.commit(change, turn).await?;
        Ok(made)
    }

    /// What nobody can make who does not have the key.
    fn signature(&self, expires: Timestamp) -> Token {
        let hash = blake3::keyed_hash(&self.key, format!("rsvp {}", expires.0).as_bytes());
        let mut short = [0; 16];
        short.copy_from_slice(hash.as_bytes().split_at(16).0);
        Token(Id::from_bytes(short))
    }

    fn row(&self) -> Result<Bytes, Error> {
        let row = Row {
            home: self.guest.home.to_string(),
            uid: self.guest.uid.clone(),
            attendee: self.guest.attendee.clone(),
            made: self.made.0,
            page: self.page.to_string(),
            key: blake3::Hash::from_bytes(self.key).to_hex().to_string(),
        };
        let row = serde_json::to_vec(&row).map_err(|error| Error::Broken(error.to_string()))?;
        Ok(row.into())
    }

    fn read(token: Token, row: &[u8]) -> Option<ReplyAddress> {
        let row: Row = serde_json::from_slice(row).ok()?;
        Some(ReplyAddress {
            token,
            guest: Guest {
                home: row.home.parse().ok()?,
                uid: row.uid,
                attendee: row.attendee,
            },
            made: Timestamp(row.made),
            page: row.page.parse().ok()?,
            key: *blake3::Hash::from_hex(row.key).ok()?.as_bytes(),
        })
    }
}

/// Keys of rows, each with the address that can be read there.
pub(super) type Addresses = Vec<(Bytes, Option<ReplyAddress>)>;

/// So many reply addresses behind this key.
///
/// # Errors
/// The store's.
pub(super) async fn addresses(
    store: &Store,
    after: Option<&[u8]>,
    most: usize,
) -> Result<Addresses, Error> {
    let rows = store.kept_from(TOKENS, &[], after, most).await?;
    let read = |row: Kept| {
        let address = id(&row.key).and_then(|token| ReplyAddress::read(Token(token), &row.value));
        (row.key, address)
    };
    Ok(rows.into_iter().map(read).collect())
}

fn id(bytes: &[u8]) -> Option<Id> {
    bytes.try_into().ok().map(Id::from_bytes)
}

impl Pattern {
    /// The addresses with this token in place of `{token}`.
    #[must_use]
    pub fn address(&self, token: Token) -> String {
        format!("{}{token}{}", self.before, self.after)
    }

    /// The token in an address, which may be in any case and have a `mailto:` in front.
    #[must_use]
    pub fn token(&self, address: &str) -> Option<Token> {
        let key = address_key(address);
        let key = key.strip_prefix("mailto:")?;
        let token = key.strip_prefix(&self.before.to_lowercase())?;
        let token = token.strip_suffix(&self.after.to_lowercase())?;
        token.parse().ok()
    }
}

impl FromStr for Pattern {
    type Err = &'static str;

    fn from_str(text: &str) -> Result<Pattern, &'static str> {
        let (before, after) = text.split_once("{token}").ok_or("has no {token} in it")?;
        let domain = after.split_once('@').map(|(_, domain)| domain);
        let plain = |text: &str| {
            text.bytes()
                .all(|b| b.is_ascii_alphanumeric() || b"@.+-_=".contains(&b))
        };
        if domain.is_none_or(str::is_empty) || after.matches('@').count() != 1 {
            return Err("is no mail address with {token} before its @");
        }
        if !plain(before) || before.contains('@') || !plain(after) {
            return Err("has letters that no mail address should have");
        }
        // RFC 5321 §4.5.3.1.1: "The maximum total length of a user name or other local-part is 64 octets."
        let local = after.split('@').next().map_or(0, str::len);
        if before.len() + LETTERS + local > 64 {
            return Err("is longer than a mail address may be");
        }
        Ok(Pattern {
            before: before.to_owned(),
            after: after.to_owned(),
        })
    }
}

/// The letters of tokens, one for five bits: RFC 4648 §6 in small letters, because mail programs write
/// addresses in the case they like. The last letter has the three bits that are left.
const ALPHABET: &[u8; 32] = b"abcdefghijklmnopqrstuvwxyz234567";
const LETTERS: usize = 26;

impl fmt::Display for Token {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let number = u128::from_be_bytes(*self.0.as_bytes());
        for place in 0..LETTERS {
            let bits = match 123_usize.checked_sub(place * 5) {
                Some(shift) => number >> shift,
                None => number << 2,
            };
            let letter = ALPHABET.get((bits & 31) as usize);
            write!(f, "{}", char::from(letter.copied().unwrap_or_default()))?;
        }
        Ok(())
    }
}

impl FromStr for Token {
    type Err = NotAToken;

    fn from_str(text: &str) -> Result<Token, NotAToken> {
        if text.len() != LETTERS {
            return Err(NotAToken);
        }
        let mut number = 0_u128;
        for (place, letter) in text.to_ascii_lowercase().bytes().enumerate() {
            let bits = ALPHABET.iter().position(|l| *l == letter);
            let bits = bits.ok_or(NotAToken)? as u128;
            match 123_usize.checked_sub(place * 5) {
                Some(shift) => number |= bits << shift,
                None if bits & 3 == 0 => number |= bits >> 2,
                None => return Err(NotAToken),
            }
        }
        Ok(Token(Id::from_bytes(number.to_be_bytes())))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::store::Limits;
    use crate::store::memory::Memory;
    use std::sync::Arc;

    const NOW: Timestamp = Timestamp(1_800_000_000);

    async fn store() -> Arc<Store> {
        let kv = Arc::new(Memory::new());
        Store::open(kv, Limits::default()).await.unwrap()
    }

    fn guest(attendee: &str) -> Guest {
        Guest::new(Id::from_bytes([7; 16]), "u/1@x", attendee)
    }

    #[test]
    fn a_token_survives_its_text_in_any_case() {
        for bytes in [[0; 16], [0xff; 16], *b"0123456789abcdef"] {
            let token = Token(Id::from_bytes(bytes));
            let text = token.to_string();
            assert_eq!(text.len(), LETTERS);
            assert_eq!(text.parse(), Ok(token));
            assert_eq!(text.to_uppercase().parse(), Ok(token));
        }
        for bad in ["", "a", &"1".repeat(26), &"b".repeat(26), &"é".repeat(13)] {
            assert_eq!(bad.parse::<Token>(), Err(NotAToken), "{bad}");
        }
    }

    #[test]
    fn a_pattern_is_an_address_with_room_for_a_token() {
        let pattern: Pattern = "calendar+{token}@Example.org".parse().unwrap();
        let token = Token(Id::from_bytes([9; 16]));
        let address = pattern.address(token);
        assert_eq!(address, format!("calendar+{token}@Example.org"));
        let loud = format!("MAILTO:{}", address.to_uppercase());
        assert_eq!(pattern.token(&loud), Some(token));
        assert_eq!(pattern.token("calendar@example.org"), None);
        assert_eq!(pattern.token(&address.replace("org", "com")), None);
        for bad in [
            "calendar@example.org",
            "a{token}",
            "{token}@",
            "a@b{token}@c",
            "a b{token}@c",
            "a\r\n{token}@c",
            &format!("{}{{token}}@c", "a".repeat(39)),
        ] {
            assert!(bad.parse::<Pattern>().is_err(), "{bad}");
        }
    }

    #[tokio::test]
    async fn one_guest_has_one_address_for_ever() {
        let store = store().await;
        let one = ReplyAddress::of(&store, &guest("mailto:A@example.org"), NOW).await;
        let one = one.unwrap();
        let again = ReplyAddress::of(&store, &guest("a@example.org"), Timestamp(0)).await;
        assert_eq!(again.unwrap(), one);
        let other = ReplyAddress::of(&store, &guest("mailto:b@example.org"), NOW).await;
        assert_ne!(other.unwrap().token, one.token);
        let found = ReplyAddress::find(&store, one.token).await.unwrap();
        assert_eq!(found, Some(one));
        let stranger = Token(Id::from_bytes([1; 16]));
        assert_eq!(ReplyAddress::find(&store, stranger).await.unwrap(), None);
    }

    #[tokio::test]
    async fn a_link_opens_until_it_expires_and_not_when_changed() {
        let store = store().await;
        let one = ReplyAddress::of(&store, &guest("a@example.org"), NOW).await;
        let one = one.unwrap();
        let until = Timestamp(NOW.0 + 10);
        let link = one.link(until);
        assert!(!link.contains(&one.token.to_string()));
        let segment = link.strip_prefix("rsvp/").unwrap();
        let open = async |segment: &str, now| {
            let opened = ReplyAddress::of_link(&store, segment, now).await;
            opened.unwrap()
        };
        assert_eq!(open(segment, NOW).await, Ok(one.clone()));
        let late = open(segment, Timestamp(NOW.0 + 11)).await;
        assert_eq!(late, Err(LinkFault::Expired(until)));
        let longer = segment.replace(&until.0.to_string(), &(until.0 + 100).to_string());
        let changed = [longer.as_str(), "", "a.b.c", &format!("{segment}.x")];
        for changed in changed {
            assert_eq!(open(changed, NOW).await, Err(LinkFault::Unknown));
        }
        let mut change = Change::new(NOW, Actor::default(), "forget");
        one.forget(&mut change);
        let turn = store.turn(&[]).await.unwrap();
        store.commit(change, turn).await.unwrap();
        assert_eq!(open(segment, NOW).await, Err(LinkFault::Unknown));
    }
}
