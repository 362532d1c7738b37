//! Passwords: argon2id for those that people choose, BLAKE3 for those that we
//! make up.
//!
//! A password people choose is guessed from lists, so each guess must be dear:
//! argon2id with the first of OWASP's parameter sets. An app password has 125
//! random bits, which nobody guesses however cheap a guess is; BLAKE3 suffices,
//! and a client that uses one costs no argon2 at all.

use argon2::password_hash::phc::PasswordHash;
use argon2::{Algorithm, Argon2, Params, PasswordHasher, PasswordVerifier, Version};

/// What one argon2id hash costs.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Cost {
    /// Memory in KiB.
    pub memory_kib: u32,
    /// Passes over it.
    pub passes: u32,
}

impl Cost {
    /// The first choice of OWASP's Password Storage Cheat Sheet: 19 MiB, two
    /// passes, one lane.
    pub const OWASP: Cost = Cost {
        memory_kib: 19_456,
        passes: 2,
    };

    /// The least argon2 takes: for tests, which hash much and protect nothing.
    pub const LEAST: Cost = Cost {
        memory_kib: 8,
        passes: 1,
    };
}

/// Why a password could not be hashed.
#[derive(Debug)]
pub enum HashError {
    /// The system gave no random bytes.
    Random(getrandom::Error),
    /// argon2 refused, which it does for passwords beyond 4 GiB only.
    Hash(argon2::password_hash::Error),
}

impl std::fmt::Display for HashError {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            HashError::Random(error) => write!(f, "the system gives no random bytes: {error}"),
            HashError::Hash(error) => write!(f, "the password cannot be hashed: {error}"),
        }
    }
}

/// The hash of a password as a PHC string, with a salt of its own. Takes as
/// long as `cost` says: never call it on an async thread.
pub fn hash(password: &str, cost: Cost) -> Result<String, HashError> {
    let mut salt = [0; 16];
    getrandom::fill(&mut salt).map_err(HashError::Random)?;
    let params = Params::new(cost.memory_kib, cost.passes, 1, None)
        .map_err(|error| HashError::Hash(error.into()))?;
    Argon2::new(Algorithm::Argon2id, Version::V0x13, params)
        .hash_password_with_salt(password.as_bytes(), &salt)
        .map(|hash| hash.to_string())
        .map_err(HashError::Hash)
}

/// Whether a password is the one hashed, at the cost the hash itself names. A
/// string that is no hash fits no password.
pub fn verify(password: &str, phc: &str) -> bool {
    PasswordHash::new(phc).is_ok_and(|hash| {
        Argon2::default()
            .verify_password(password.as_bytes(), &hash)
            .is_ok()
    })
}

const ALPHABET: &[u8; 32] = b"abcdefghijkmnpqrstuvwxyz23456789";

/// A random password of 25 letters and digits in groups of five, without those
/// that look alike: 125 bits.
pub fn random() -> Result<String, HashError> {
    let mut bytes = [0; 25];
    getrandom::fill(&mut bytes).map_err(HashError::Random)?;
    let mut text = String::with_capacity(29);
    for (place, byte) in bytes.iter().enumerate() {
        if place > 0 && place.is_multiple_of(5) {
            text.push('-');
        }
        let letter = ALPHABET
            .get(usize::from(byte & 31))
            .copied()
            .unwrap_or(b'a');
        text.push(char::from(letter));
    }
    Ok(text)
}

/// The hash under which an app password is kept. Blanks, hyphens and capitals,
/// which people add when they type it over, make no difference.
pub fn app_hash(password: &str) -> String {
    let plain: String = password
        .chars()
        .filter(|c| *c != '-' && !c.is_whitespace())
        .map(|c| c.to_ascii_lowercase())
        .collect();
    blake3::hash(plain.as_bytes()).to_hex().to_string()
}

/// Why a password is easily guessed, or nothing if no reason is seen.
pub fn weakness(password: &str, name: &str) -> Option<&'static str> {
    let lower = password.to_lowercase();
    let length = password.chars().count();
    let distinct = password
        .chars()
        .collect::<std::collections::BTreeSet<_>>()
        .len();
    if length < 10 {
        Some("it has fewer than ten characters")
    } else if distinct < 5 {
        Some("it is made of very few different characters")
    } else if !name.is_empty() && lower.contains(&name.to_lowercase()) {
        Some("it contains the user's name")
    } else if COMMON.iter().any(|word| lower.contains(word)) {
        Some("it contains a word or row of keys that guessers try first")
    } else {
        None
    }
}

/// What stands at the top of every list of leaked passwords.
const COMMON: &[&str] = &[
    "password", "passwort", "123456", "qwerty", "qwertz", "azerty", "abcdef", "letmein", "welcome",
    "iloveyou", "admin", "changeme", "kalends", "calendar", "000000", "111111", "abc123", "dragon",
    "monkey", "secret",
];

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_password_fits_its_hash_and_no_other() {
        let one = hash("correct horse", Cost::LEAST).unwrap();
        let two = hash("correct horse", Cost::LEAST).unwrap();
        assert_ne!(one, two, "each hash has its own salt");
        assert!(verify("correct horse", &one) && verify("correct horse", &two));
        for wrong in ["Correct horse", "", "correct horse "] {
            assert!(!verify(wrong, &one), "{wrong}");
        }
        for damaged in [
            "",
            "x",
            "$argon2id$v=19$m=8,t=1,p=1$",
            "$argon2id$v=19$m=99999999999,t=1,p=1$AAAAAAAAAAA$AAAA",
        ] {
            assert!(!verify("correct horse", damaged), "{damaged}");
        }
    }

    #[test]
    fn the_cost_is_the_one_owasp_names() {
        let phc = hash("x", Cost::OWASP).unwrap();
        assert!(phc.starts_with("$argon2id$v=19$m=19456,t=2,p=1$"), "{phc}");
    }

    #[test]
    fn random_passwords_differ_and_survive_typing_over() {
        let (one, two) = (random().unwrap(), random().unwrap());
        assert_eq!(one.len(), 29);
        assert_ne!(one, two);
        assert_ne!(app_hash(&one), app_hash(&two));
        let typed = one.replace('-', " ").to_uppercase();
        assert_eq!(app_hash(&typed), app_hash(&one));
        assert_eq!(weakness(&one, "alice"), None);
    }

    #[test]
    fn weak_passwords_are_told_with_a_reason() {
        for weak in [
            "",
            "short",
            "aaaaaaaaaaaaaaaa",
            "ababcdcdababcd",
            "xAlicE-2026-xyz",
            "Passw0rd-password",
            "my-qwertz-keys",
        ] {
            assert!(weakness(weak, "alice").is_some(), "{weak}");
        }
        assert_eq!(weakness("otters juggle nine plums", "alice"), None);
        assert_eq!(weakness("otters juggle nine plums", ""), None);
    }
}
