//! Passwords that were just checked, so that polling clients cost no argon2.
//!
//! Name and password are kept as a hash under a key that is random for each
//! start, so that the memory of the server does not hold them. An entry counts
//! for minutes, and for one revision of the principal: a change of password, of
//! rights or a removal ends it at once. Wrong passwords are remembered too: a
//! device that goes on with an old password costs no argon2 and is no guesser.

use std::collections::HashMap;
use std::sync::{Mutex, PoisonError};

use crate::ical::Timestamp;
use crate::store::Id;

/// Whom a name meant when its password was checked: the id and the revision of
/// the principal, or nobody.
pub type Whom = Option<(Id, u64)>;

/// What the check of a password said.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Outcome {
    /// Right: the account's own password.
    Right,
    /// Right: the app password of this label.
    App {
        /// Its id.
        id: Id,
        /// What the user called it.
        label: String,
    },
    /// Wrong.
    Wrong,
}

/// The hash of a name and a password under the key of this start.
pub type Fingerprint = [u8; 32];

struct Entry {
    whom: Whom,
    outcome: Outcome,
    until: Timestamp,
}

/// The memory of checked passwords.
pub struct Remembered {
    key: [u8; 32],
    seconds: i64,
    count: usize,
    entries: Mutex<HashMap<Fingerprint, Entry>>,
}

impl Remembered {
    /// An empty memory that keeps `count` entries for `seconds`.
    pub fn new(seconds: i64, count: usize) -> Result<Remembered, getrandom::Error> {
        let mut key = [0; 32];
        getrandom::fill(&mut key)?;
        Ok(Remembered {
            key,
            seconds,
            count,
            entries: Mutex::default(),
        })
    }

    /// The fingerprint of a name and a password.
    pub fn fingerprint(&self, name: &str, password: &str) -> Fingerprint {
        let mut hasher = blake3::Hasher::new_keyed(&self.key);
        hasher.update(&(name.len() as u64).to_le_bytes());
        hasher.update(name.as_bytes());
        hasher.update(password.as_bytes());
        *hasher.finalize().as_bytes()
    }

    /// What the last check said, if it still counts.
    pub fn outcome(
        &self,
        fingerprint: &Fingerprint,
        whom: Whom,
        now: Timestamp,
    ) -> Option<Outcome> {
        let entries = self.entries.lock().unwrap_or_else(PoisonError::into_inner);
        let entry = entries.get(fingerprint)?;
        // A clock set back must not make an entry live for longer.
        let fresh = entry.until > now && entry.until.0 - now.0 <= self.seconds;
        (fresh && entry.whom == whom).then(|| entry.outcome.clone())
    }

    /// Remembers what a check said.
    pub fn keep(&self, fingerprint: Fingerprint, whom: Whom, outcome: Outcome, now: Timestamp) {
        let mut entries = self.entries.lock().unwrap_or_else(PoisonError::into_inner);
        if entries.len() >= self.count {
            entries.retain(|_, entry| entry.until > now);
        }
        if entries.len() >= self.count {
            // Wrong ones go first: guessers make many.
            entries.retain(|_, entry| entry.outcome != Outcome::Wrong);
        }
        if entries.len() >= self.count {
            entries.clear();
        }
        let until = Timestamp(now.0.saturating_add(self.seconds));
        entries.insert(
            fingerprint,
            Entry {
                whom,
                outcome,
                until,
            },
        );
    }
}

impl std::fmt::Debug for Remembered {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Remembered").finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const NOW: Timestamp = Timestamp(1_000);

    fn id(n: u8) -> Id {
        format!("{n:032x}").parse().unwrap()
    }

    #[test]
    fn an_entry_counts_for_its_time_and_its_revision_only() {
        let memory = Remembered::new(60, 10).unwrap();
        let print = memory.fingerprint("alice", "secret");
        let whom = Some((id(1), 7));
        assert_eq!(memory.outcome(&print, whom, NOW), None);
        memory.keep(print, whom, Outcome::Right, NOW);
        assert_eq!(memory.outcome(&print, whom, NOW), Some(Outcome::Right));
        assert_eq!(
            memory.outcome(&print, whom, Timestamp(1_059)),
            Some(Outcome::Right)
        );
        for (whom, now) in [
            (whom, Timestamp(1_060)),
            (whom, Timestamp(900)),
            (Some((id(1), 8)), NOW),
            (Some((id(2), 7)), NOW),
            (None, NOW),
        ] {
            assert_eq!(memory.outcome(&print, whom, now), None, "{whom:?} {now:?}");
        }
        for other in [
            ("alice", "secret2"),
            ("alic", "esecret"),
            ("Alice", "secret"),
        ] {
            let print = memory.fingerprint(other.0, other.1);
            assert_eq!(memory.outcome(&print, whom, NOW), None, "{other:?}");
        }
    }

    #[test]
    fn the_memory_is_bounded_and_guesses_do_not_push_out_what_was_right() {
        let memory = Remembered::new(60, 10).unwrap();
        let good = memory.fingerprint("alice", "secret");
        memory.keep(good, Some((id(1), 1)), Outcome::Right, NOW);
        for guess in 0..100 {
            let print = memory.fingerprint("alice", &guess.to_string());
            memory.keep(print, Some((id(1), 1)), Outcome::Wrong, NOW);
            assert!(memory.entries.lock().unwrap().len() <= 10);
        }
        assert_eq!(
            memory.outcome(&good, Some((id(1), 1)), NOW),
            Some(Outcome::Right)
        );
        for user in 0..100 {
            let print = memory.fingerprint(&user.to_string(), "x");
            memory.keep(print, Some((id(2), 1)), Outcome::Right, NOW);
            assert!(memory.entries.lock().unwrap().len() <= 10);
        }
    }

    #[test]
    fn two_starts_have_two_keys() {
        let (one, two) = (
            Remembered::new(60, 10).unwrap(),
            Remembered::new(60, 10).unwrap(),
        );
        assert_ne!(one.fingerprint("a", "b"), two.fingerprint("a", "b"));
    }
}
