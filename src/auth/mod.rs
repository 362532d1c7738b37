//! From credentials to a principal: HTTP Basic, passwords, app passwords, and
//! what keeps guessers out. The accounts themselves are made in `accounts`,
//! their passwords set in `secrets`.
//!
//! **Gaps**: bearer tokens, client certificates, LDAP.

pub mod accounts;
pub mod basic;
mod names;
pub mod password;
pub mod remember;
pub mod secrets;
#[cfg(test)]
mod tests;
pub mod throttle;

use std::collections::HashMap;
use std::net::IpAddr;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

use tokio::sync::Semaphore;

use crate::ical::Timestamp;
use crate::store::{self, Directory, Id, Principal, PrincipalKind, Store};
use basic::Basic;
use password::{Cost, HashError};
use remember::{Fingerprint, Outcome, Remembered, Whom};
use throttle::{Throttle, client_of};

/// Longer names and passwords are wrong without being checked.
const MAX_NAME_BYTES: usize = 255;
const MAX_PASSWORD_BYTES: usize = 1024;

/// How old the noted last use of an app password may be before it is written.
const USE_SECONDS: i64 = 3600;

/// How many app passwords' last uses are kept in mind.
const MAX_USES: usize = 10_000;

/// The limits of logins.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Limits {
    /// Seconds for which a checked password is remembered.
    pub remember_seconds: i64,
    /// Checked passwords remembered.
    pub remember_count: usize,
    /// Checks running at one time.
    pub parallel: usize,
    /// Checks waiting for their turn.
    pub waiting: usize,
    /// Failed logins within the window that are free.
    pub failures: u32,
    /// Seconds in which failures are counted, and the longest wait.
    pub window_seconds: i64,
    /// What a password's hash costs.
    pub cost: Cost,
}

impl Default for Limits {
    fn default() -> Limits {
        Limits {
            remember_seconds: 300,
            remember_count: 10_000,
            parallel: 2,
            waiting: 64,
            failures: 10,
            window_seconds: 900,
            cost: Cost::OWASP,
        }
    }
}

/// What a request shows of its sender.
#[derive(Clone, Copy)]
pub struct Presented<'a> {
    /// The Authorization field, if there is one.
    pub authorization: Option<&'a str>,
    /// The client's address; none on a Unix socket.
    pub address: Option<IpAddr>,
    /// Whether nobody on the way can listen.
    pub confidential: bool,
}

/// Who sent a request.
#[derive(Clone, Debug)]
pub struct Authenticated {
    /// The principal.
    pub principal: Arc<Principal>,
    /// The label of the app password that was used, if one was.
    pub client: Option<String>,
}

/// Why a request's sender is not known.
#[derive(Debug)]
pub enum Denied {
    /// No credentials, or wrong ones: 401 with a challenge.
    Challenge,
    /// Passwords must not come this way: 403, no challenge.
    Insecure,
    /// Too many failures: 429, to be repeated after so many seconds.
    Throttled {
        /// The seconds.
        retry_after: u32,
    },
    /// Too many checks wait: 503.
    Busy,
    /// The store failed.
    Store(store::Error),
}

impl From<store::Error> for Denied {
    fn from(error: store::Error) -> Denied {
        Denied::Store(error)
    }
}

/// Why logins cannot be checked at all.
#[derive(Debug)]
pub struct StartError(String);

impl std::fmt::Display for StartError {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(&self.0)
    }
}

/// The check of logins; one for the whole server.
pub struct Auth {
    store: Arc<Store>,
    waiting_limit: usize,
    remembered: Remembered,
    throttle: Throttle,
    checks: Arc<Semaphore>,
    waiting: AtomicUsize,
    /// The hash of a password nobody has, checked for users nobody knows.
    nobody: Arc<str>,
    uses: Mutex<HashMap<Id, Timestamp>>,
}

impl Auth {
    /// A check of logins against the principals in the store.
    pub fn new(store: Arc<Store>, limits: &Limits) -> Result<Auth, StartError> {
        let start = |error: HashError| StartError(error.to_string());
        let unknown = password::random().map_err(start)?;
        let nobody = password::hash(&unknown, limits.cost).map_err(start)?;
        let remembered = Remembered::new(limits.remember_seconds, limits.remember_count)
            .map_err(|error| StartError(error.to_string()))?;
        Ok(Auth {
            store,
            waiting_limit: limits.waiting,
            remembered,
            throttle: Throttle::new(limits.failures, limits.window_seconds),
            checks: Arc::new(Semaphore::new(limits.parallel)),
            waiting: AtomicUsize::new(0),
            nobody: nobody.into(),
            uses: Mutex::default(),
        })
    }

    /// The sender of a request. A password that was right minutes ago, for the
    /// same revision of the principal, is right without a new check; and one
    /// that was wrong is wrong without being counted again.
    pub async fn authenticate(
        &self,
        presented: Presented<'_>,
        now: Timestamp,
    ) -> Result<Authenticated, Denied> {
        if !presented.confidential {
            return Err(Denied::Insecure);
        }
        let basic = presented
            .authorization
            .and_then(Basic::parse)
            .ok_or(Denied::Challenge)?;
        if basic.name.len() > MAX_NAME_BYTES || basic.password.len() > MAX_PASSWORD_BYTES {
            return Err(Denied::Challenge);
        }
        let directory = self.store.directory().await?;
        let principal = user(&directory, &basic.name);
        let attempt = Attempt {
            account: principal.map_or_else(
                || basic.name.to_lowercase(),
                |principal| principal.name.clone(),
            ),
            whom: principal.map(|principal| (principal.id, principal.revision)),
            address: presented.address.map(client_of),
            password: basic.password,
        };
        let print = self
            .remembered
            .fingerprint(&attempt.account, &attempt.password);
        let outcome = match self.remembered.outcome(&print, attempt.whom, now) {
            Some(outcome) => outcome,
            None => self.first_check(&attempt, print, now).await?,
        };
        let principal = principal.ok_or(Denied::Challenge)?.clone();
        let client = match outcome {
            Outcome::Wrong => return Err(Denied::Challenge),
            Outcome::Right => None,
            Outcome::App { id, label } => {
                self.used(principal.id, id, now);
                Some(label)
            }
        };
        Ok(Authenticated { principal, client })
    }

    /// Checks a password that is not remembered, when its turn comes.
    async fn first_check(
        &self,
        attempt: &Attempt,
        print: Fingerprint,
        now: Timestamp,
    ) -> Result<Outcome, Denied> {
        self.wait(attempt, now)?;
        let _waits = Waits::begin(&self.waiting, self.waiting_limit).ok_or(Denied::Busy)?;
        let permit = self
            .checks
            .clone()
            .acquire_owned()
            .await
            .map_err(|_| Denied::Busy)?;
        // Whoever waited before may have had the same password, or failed.
        if let Some(outcome) = self.remembered.outcome(&print, attempt.whom, now) {
            return Ok(outcome);
        }
        self.wait(attempt, now)?;
        let outcome = self.check(attempt).await?;
        drop(permit);
        self.remembered
            .keep(print, attempt.whom, outcome.clone(), now);
        if outcome == Outcome::Wrong {
            self.throttle.failed(&attempt.account, attempt.address, now);
            tracing::info!(account = attempt.account, address = ?attempt.address, "a login failed");
        } else {
            self.throttle
                .succeeded(&attempt.account, attempt.address, now);
        }
        Ok(outcome)
    }

    fn wait(&self, attempt: &Attempt, now: Timestamp) -> Result<(), Denied> {
        match self.throttle.wait(&attempt.account, attempt.address, now) {
            Some(retry_after) => Err(Denied::Throttled { retry_after }),
            None => Ok(()),
        }
    }

    /// Compares with the app passwords, which is cheap, and then with the
    /// password, which takes as long when there is no such user.
    async fn check(&self, attempt: &Attempt) -> Result<Outcome, Denied> {
        let credentials = match attempt.whom {
            Some((id, _)) => self.store.credentials(id).await?,
            None => store::Credentials::default(),
        };
        let hash = password::app_hash(&attempt.password);
        let app = credentials
            .app_passwords
            .into_iter()
            .find(|app| app.hash == hash);
        if let Some(app) = app {
            return Ok(Outcome::App {
                id: app.id,
                label: app.label,
            });
        }
        let known = credentials.password.is_some();
        let phc: Arc<str> = credentials
            .password
            .map_or_else(|| self.nobody.clone(), Arc::from);
        let password = attempt.password.clone();
        let fits = tokio::task::spawn_blocking(move || password::verify(&password, &phc))
            .await
            .map_err(|error| {
                tracing::error!(%error, "the check of a password failed");
                Denied::Busy
            })?;
        Ok(if fits && known {
            Outcome::Right
        } else {
            Outcome::Wrong
        })
    }

    /// Notes the use of an app password, behind the request's back and at most
    /// once in an hour.
    fn used(&self, principal: Id, app_password: Id, now: Timestamp) {
        {
            let mut uses = self.uses.lock().unwrap_or_else(PoisonError::into_inner);
            let last = uses.get(&app_password).copied();
            if last.is_some_and(|last| (0..USE_SECONDS).contains(&(now.0 - last.0))) {
                return;
            }
            if uses.len() >= MAX_USES {
                uses.clear();
            }
            uses.insert(app_password, now);
        }
        let store = self.store.clone();
        tokio::spawn(async move {
            if let Err(error) = store.app_password_used(principal, app_password, now).await {
                tracing::warn!(?error, "the last use of an app password was not noted");
            }
        });
    }
}

impl std::fmt::Debug for Auth {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Auth").finish_non_exhaustive()
    }
}

/// One login.
struct Attempt {
    /// The name under which failures are counted.
    account: String,
    whom: Whom,
    address: Option<IpAddr>,
    password: String,
}

/// One of those that wait for a check or have it done.
struct Waits<'a>(&'a AtomicUsize);

impl<'a> Waits<'a> {
    fn begin(waiting: &'a AtomicUsize, limit: usize) -> Option<Waits<'a>> {
        waiting
            .fetch_update(Ordering::Relaxed, Ordering::Relaxed, |count| {
                (count < limit).then_some(count + 1)
            })
            .ok()?;
        Some(Waits(waiting))
    }
}

impl Drop for Waits<'_> {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Ordering::Relaxed);
    }
}

/// The user a login name means: the name, which phones like to capitalise, or a
/// mail address.
fn user<'a>(directory: &'a Directory, name: &str) -> Option<&'a Arc<Principal>> {
    let name = name.trim();
    let by_mail = || {
        let address = name.contains('@').then(|| format!("mailto:{name}"))?;
        directory.by_address(&address)
    };
    directory
        .by_name(name)
        .or_else(by_mail)
        .filter(|principal| principal.kind == PrincipalKind::User && !principal.disabled)
}
