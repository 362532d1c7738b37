//! Failed logins, counted per account and per client address; too many make
//! further ones wait.
//!
//! The wait doubles with each failure beyond the limit. An address that logged
//! in to an account before is not held up by what others do to that account, so
//! guessing does not lock anybody out of a device in use.

use std::collections::HashMap;
use std::hash::Hash;
use std::net::IpAddr;
use std::sync::{Mutex, PoisonError};

use crate::ical::Timestamp;

/// How many accounts and how many addresses are kept in mind.
const MAX_ENTRIES: usize = 20_000;

/// How long an address counts as known to an account.
const KNOWN_SECONDS: i64 = 30 * 86_400;

#[derive(Clone, Copy)]
struct Count {
    failures: u32,
    last: Timestamp,
}

#[derive(Default)]
struct Counts {
    accounts: HashMap<String, Count>,
    addresses: HashMap<IpAddr, Count>,
    known: HashMap<(String, IpAddr), Timestamp>,
}

/// The counts of failed logins.
pub struct Throttle {
    failures: u32,
    window: i64,
    counts: Mutex<Counts>,
}

impl Throttle {
    /// No failures yet; `failures` within `window` seconds are free.
    pub fn new(failures: u32, window: i64) -> Throttle {
        Throttle {
            failures,
            window,
            counts: Mutex::default(),
        }
    }

    /// How many seconds this account, from this address, has to wait, if any.
    pub fn wait(&self, account: &str, address: Option<IpAddr>, now: Timestamp) -> Option<u32> {
        let counts = self.counts.lock().unwrap_or_else(PoisonError::into_inner);
        let by_address = address.and_then(|address| self.left(counts.addresses.get(&address), now));
        let known = address.is_some_and(|address| {
            counts
                .known
                .get(&(account.to_owned(), address))
                .is_some_and(|last| now.0 - last.0 < KNOWN_SECONDS)
        });
        let by_account = if known {
            None
        } else {
            self.left(counts.accounts.get(account), now)
        };
        by_address.max(by_account)
    }

    /// Counts a wrong password.
    pub fn failed(&self, account: &str, address: Option<IpAddr>, now: Timestamp) {
        let mut counts = self.counts.lock().unwrap_or_else(PoisonError::into_inner);
        self.count(&mut counts.accounts, account.to_owned(), now);
        if let Some(address) = address {
            self.count(&mut counts.addresses, address, now);
        }
    }

    /// Forgets the failures of an account that logged in, and keeps in mind
    /// from where. The address keeps its own: it may hold many accounts.
    pub fn succeeded(&self, account: &str, address: Option<IpAddr>, now: Timestamp) {
        let mut counts = self.counts.lock().unwrap_or_else(PoisonError::into_inner);
        counts.accounts.remove(account);
        if let Some(address) = address {
            if counts.known.len() >= MAX_ENTRIES {
                counts.known.retain(|_, last| now.0 - last.0 < 86_400);
            }
            if counts.known.len() < MAX_ENTRIES {
                counts.known.insert((account.to_owned(), address), now);
            }
        }
    }

    fn left(&self, count: Option<&Count>, now: Timestamp) -> Option<u32> {
        let count = count?;
        let beyond = count.failures.checked_sub(self.failures)?;
        let wait = 1_i64.checked_shl(beyond.min(30))?.min(self.window);
        let left = count.last.0.saturating_add(wait).saturating_sub(now.0);
        // A clock set back must not make anybody wait for longer.
        u32::try_from(left.min(wait)).ok().filter(|left| *left > 0)
    }

    fn count<K: Eq + Hash>(&self, counts: &mut HashMap<K, Count>, key: K, now: Timestamp) {
        if counts.len() >= MAX_ENTRIES {
            counts.retain(|_, count| now.0 - count.last.0 < self.window);
        }
        if counts.len() >= MAX_ENTRIES {
            // All are recent: those with most failures matter most.
            let limit = self.failures;
            counts.retain(|_, count| count.failures >= limit);
        }
        if counts.len() >= MAX_ENTRIES {
            return;
        }
        let count = counts.entry(key).or_insert(Count {
            failures: 0,
            last: now,
        });
        if now.0 - count.last.0 >= self.window {
            count.failures = 0;
        }
        count.failures = count.failures.saturating_add(1);
        count.last = now;
    }
}

/// Whom to count for an address: an IPv4 address, or an IPv6 network of 64
/// bits, because one subscriber has all of it.
pub fn client_of(address: IpAddr) -> IpAddr {
    match address.to_canonical() {
        IpAddr::V6(address) => IpAddr::V6((address.to_bits() & (u128::MAX << 64)).into()),
        address @ IpAddr::V4(_) => address,
    }
}

impl std::fmt::Debug for Throttle {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Throttle").finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(seconds: i64) -> Timestamp {
        Timestamp(10_000 + seconds)
    }

    fn address(last: u8) -> Option<IpAddr> {
        Some(IpAddr::from([192, 0, 2, last]))
    }

    #[test]
    fn an_account_waits_after_its_free_failures_and_ever_longer() {
        let throttle = Throttle::new(3, 900);
        for free in 1..3 {
            throttle.failed("alice", address(free), at(0));
            assert_eq!(throttle.wait("alice", address(9), at(0)), None);
        }
        let mut clock = 0;
        for expected in [1, 2, 4, 8, 16] {
            throttle.failed("alice", address(1), at(clock));
            assert_eq!(
                throttle.wait("alice", address(9), at(clock)),
                Some(expected)
            );
            clock += i64::from(expected);
            assert_eq!(throttle.wait("alice", address(9), at(clock)), None);
        }
        assert_eq!(
            throttle.wait("bob", address(9), at(clock)),
            None,
            "nobody else waits"
        );
        for _ in 0..40 {
            throttle.failed("alice", None, at(clock));
        }
        assert_eq!(
            throttle.wait("alice", address(9), at(clock)),
            Some(900),
            "never longer than the window"
        );
        assert_eq!(
            throttle.wait("alice", address(9), at(clock - 500)),
            Some(900),
            "nor after a step of the clock"
        );
        throttle.failed("alice", None, at(clock + 900));
        assert_eq!(
            throttle.wait("alice", address(9), at(clock + 900)),
            None,
            "after the window all is new"
        );
    }

    #[test]
    fn an_address_that_tries_many_accounts_waits() {
        let throttle = Throttle::new(3, 900);
        for name in ["a", "b", "c"] {
            throttle.failed(name, address(1), at(0));
        }
        assert_eq!(throttle.wait("d", address(1), at(0)), Some(1));
        assert_eq!(throttle.wait("d", address(2), at(0)), None);
    }

    #[test]
    fn a_success_ends_the_wait_of_the_account_but_not_of_the_address() {
        let throttle = Throttle::new(1, 900);
        throttle.failed("alice", address(1), at(0));
        throttle.succeeded("alice", address(2), at(0));
        assert_eq!(throttle.wait("alice", address(3), at(0)), None);
        assert_eq!(throttle.wait("alice", address(1), at(0)), Some(1));
    }

    #[test]
    fn a_known_address_is_not_locked_out_by_strangers() {
        let throttle = Throttle::new(3, 900);
        throttle.succeeded("alice", address(7), at(0));
        for _ in 0..20 {
            throttle.failed("alice", address(1), at(10));
        }
        assert_eq!(throttle.wait("alice", address(2), at(10)), Some(900));
        assert_eq!(throttle.wait("alice", address(7), at(10)), None);
    }

    #[test]
    fn the_counts_are_bounded() {
        let throttle = Throttle::new(3, 900);
        for n in 0..30_000 {
            throttle.failed(&n.to_string(), None, at(0));
        }
        assert!(throttle.counts.lock().unwrap().accounts.len() <= MAX_ENTRIES);
    }
}
