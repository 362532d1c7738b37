//! How often somebody may do something: so many times in each span of time.

use std::collections::BTreeMap;
use std::sync::{Mutex, PoisonError};

use crate::ical::Timestamp;

/// Whom it counts at most; beyond them everybody begins anew.
const COUNTED: usize = 100_000;

/// Counts what is done in the present span.
#[derive(Debug)]
pub(super) struct Throttle {
    most: usize,
    seconds: i64,
    counts: Mutex<(i64, BTreeMap<String, usize>)>,
}

impl Throttle {
    /// So many times in so many seconds.
    pub(super) fn new(most: usize, seconds: i64) -> Throttle {
        Throttle {
            most,
            seconds,
            counts: Mutex::default(),
        }
    }

    /// Whether it may be done once more.
    ///
    /// # Errors
    /// The seconds until it may.
    pub(super) fn lets(&self, who: &str, now: Timestamp) -> Result<(), i64> {
        let mut counts = self.counts.lock().unwrap_or_else(PoisonError::into_inner);
        let span = now.0.div_euclid(self.seconds);
        if counts.0 != span || counts.1.len() >= COUNTED {
            *counts = (span, BTreeMap::new());
        }
        let count = counts.1.entry(who.to_owned()).or_default();
        *count = count.saturating_add(1);
        match *count <= self.most {
            true => Ok(()),
            false => Err(self.seconds - now.0.rem_euclid(self.seconds)),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn everybody_is_counted_apart_and_anew_in_each_span() {
        let throttle = Throttle::new(2, 60);
        let now = Timestamp(600);
        let lets = |who, now| throttle.lets(who, now);
        assert_eq!([lets("a", now), lets("a", now)], [Ok(()); 2]);
        assert_eq!(lets("a", now), Err(60));
        assert_eq!(lets("a", Timestamp(659)), Err(1));
        assert_eq!(lets("b", now), Ok(()));
        assert_eq!(lets("a", Timestamp(660)), Ok(()));
    }
}
