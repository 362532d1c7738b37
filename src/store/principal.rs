//! A principal of the directory: a user, a group, a room or another resource; and its credentials.

use bytes::Bytes;

use super::Id;
use super::codec::{Decoder, Encoder, Malformed};
use super::collection::{Properties, decode_properties, encode_properties};
use crate::ical::Timestamp;

/// What a principal is; RFC 6638 §2.4.2.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum PrincipalKind {
    /// A person.
    User,
    /// Several principals.
    Group,
    /// A place.
    Room,
    /// Anything else that can be booked.
    Resource,
}

impl PrincipalKind {
    const ALL: [Self; 4] = [Self::User, Self::Group, Self::Room, Self::Resource];
}

/// A principal as a snapshot of the directory shows it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Principal {
    /// Its identifier, which is its home's too.
    pub id: Id,
    /// What it is.
    pub kind: PrincipalKind,
    /// The name it logs in with and that is in its URL; unique in the server without regard to case.
    pub name: String,
    /// The name that people read.
    pub display_name: String,
    /// Its calendar user addresses, the preferred one first; RFC 6638 §2.4.1.
    pub addresses: Vec<String>,
    /// Its language.
    pub locale: Option<String>,
    /// The identifier of its time zone.
    pub timezone: Option<String>,
    /// It may read, list, repair and delete in every home.
    pub admin: bool,
    /// It cannot log in.
    pub disabled: bool,
    /// All other properties.
    pub properties: Properties,
    /// When it was made.
    pub created: Timestamp,
    /// The directory's revision at the last change of this row or of its credentials: what was
    /// verified before it is not valid any more. Set by the store.
    pub revision: u64,
}

impl Principal {
    pub(super) fn encode(&self) -> Bytes {
        let mut row = Encoder::version(1);
        let kind = PrincipalKind::ALL.iter().position(|k| *k == self.kind);
        row.byte(kind.and_then(|k| u8::try_from(k).ok()).unwrap_or(u8::MAX));
        row.text(&self.name).text(&self.display_name);
        row.many(self.addresses.iter(), |row, address| {
            row.text(address);
        });
        for text in [&self.locale, &self.timezone] {
            row.optional(text.as_deref(), |row, text| {
                row.text(text);
            });
        }
        row.byte(u8::from(self.admin)).byte(u8::from(self.disabled));
        encode_properties(&mut row, &self.properties);
        row.time(self.created).number(self.revision);
        row.finish()
    }

    pub(super) fn decode(id: Id, row: &[u8]) -> Result<Self, Malformed> {
        let (_, mut row) = Decoder::version(row, 1)?;
        let kind = PrincipalKind::ALL.get(usize::from(row.byte()?)).copied();
        let principal = Self {
            id,
            kind: kind.ok_or(Malformed)?,
            name: row.string()?,
            display_name: row.string()?,
            addresses: row.many(Decoder::string)?,
            locale: row.optional(Decoder::string)?,
            timezone: row.optional(Decoder::string)?,
            admin: row.byte()? != 0,
            disabled: row.byte()? != 0,
            properties: decode_properties(&mut row)?,
            created: row.time()?,
            revision: row.number()?,
        };
        row.end()?;
        Ok(principal)
    }
}

/// What a principal proves itself with. The store does not look into hashes.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Credentials {
    /// The hash of the password; none if there is no password to log in with.
    pub password: Option<String>,
    /// One password for each client.
    pub app_passwords: Vec<AppPassword>,
}

/// A password for one client.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct AppPassword {
    /// Its identifier.
    pub id: Id,
    /// What its owner calls it.
    pub label: String,
    /// Its hash.
    pub hash: String,
    /// When it was made.
    pub created: Timestamp,
    /// When it was last used, as far as it was noted.
    pub last_used: Option<Timestamp>,
}

impl Credentials {
    pub(super) fn encode(&self) -> Bytes {
        let mut row = Encoder::version(1);
        row.optional(self.password.as_deref(), |row, hash| {
            row.text(hash);
        });
        row.many(self.app_passwords.iter(), |row, password| {
            row.id(password.id).text(&password.label);
            row.text(&password.hash).time(password.created);
        });
        row.finish()
    }

    pub(super) fn decode(row: &[u8]) -> Result<Self, Malformed> {
        let (_, mut row) = Decoder::version(row, 1)?;
        let credentials = Self {
            password: row.optional(Decoder::string)?,
            app_passwords: row.many(|row| {
                Ok(AppPassword {
                    id: row.id()?,
                    label: row.string()?,
                    hash: row.string()?,
                    created: row.time()?,
                    last_used: None,
                })
            })?,
        };
        row.end()?;
        Ok(credentials)
    }
}

/// The row that notes when an app password was last used.
pub(super) fn encode_use(at: Timestamp) -> Bytes {
    let mut row = Encoder::version(1);
    row.time(at);
    row.finish()
}

pub(super) fn decode_use(row: &[u8]) -> Result<Timestamp, Malformed> {
    let (_, mut row) = Decoder::version(row, 1)?;
    let at = row.time()?;
    row.end()?;
    Ok(at)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn addresses_are_compared_without_case_and_percent_decoded() {
        for (address, expected) in [
            ("MAILTO:Bob@Example.COM", "mailto:bob@example.com"),
            ("mailto:bob%40example.com", "mailto:bob@example.com"),
            (" bob@example.com ", "mailto:bob@example.com"),
            ("mailto:100%@example.com", "mailto:100%@example.com"),
            ("/dav/principals/users/Bob/", "/dav/principals/users/bob/"),
            ("urn:uuid:AB", "urn:uuid:ab"),
            ("mailto:%ff@x", "mailto:%ff@x"),
        ] {
            assert_eq!(crate::ical::address_key(address), expected);
        }
    }

    #[test]
    fn rows_survive_their_encoding() {
        let id = Id::from_bytes([8; 16]);
        let principal = Principal {
            id,
            kind: PrincipalKind::Room,
            name: "blue".into(),
            display_name: "Blue room".into(),
            addresses: vec!["mailto:blue@example.com".into()],
            locale: Some("de".into()),
            timezone: None,
            admin: false,
            disabled: true,
            properties: Properties::new(),
            created: Timestamp(4),
            revision: 9,
        };
        assert_eq!(Principal::decode(id, &principal.encode()), Ok(principal));
        let credentials = Credentials {
            password: Some("hash".into()),
            app_passwords: vec![AppPassword {
                id,
                label: "phone".into(),
                hash: "other".into(),
                created: Timestamp(1),
                last_used: None,
            }],
        };
        let row = credentials.encode();
        assert_eq!(Credentials::decode(&row), Ok(credentials));
        assert_eq!(decode_use(&encode_use(Timestamp(7))), Ok(Timestamp(7)));
    }
}
