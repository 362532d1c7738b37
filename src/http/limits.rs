//! How much a client may take: time, bytes, connections, requests at a time.

use std::collections::HashMap;
use std::net::IpAddr;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use tokio::sync::{OwnedSemaphorePermit, Semaphore};

use crate::auth::throttle::client_of;

/// The limits of connections and requests, before a request is looked at.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Limits {
    /// From accepting a connection to its first byte; also for the TLS handshake.
    pub first_byte: Duration,
    /// From a request's first byte to the end of its header.
    pub header: Duration,
    /// From the end of the header to the end of the body.
    pub body: Duration,
    /// How long a client may take none of the answer's bytes.
    pub write: Duration,
    /// Between two requests.
    pub idle: Duration,
    /// For requests in flight when the server stops.
    pub shutdown: Duration,
    /// For a request that waits because its client has too many in work.
    pub turn: Duration,
    /// Bytes of a request's header.
    pub max_header_bytes: usize,
    /// Header fields of a request.
    pub max_header_fields: usize,
    /// Bytes of a request's body, as sent and decoded.
    pub max_body_bytes: usize,
    /// Bytes of all bodies in memory.
    pub body_memory_bytes: usize,
    /// Open connections.
    pub max_connections: usize,
    /// Requests of one client address in work.
    pub per_client: usize,
}

impl Default for Limits {
    fn default() -> Limits {
        Limits {
            first_byte: Duration::from_secs(10),
            header: Duration::from_secs(10),
            body: Duration::from_secs(300),
            write: Duration::from_secs(60),
            idle: Duration::from_secs(150),
            shutdown: Duration::from_secs(8),
            turn: Duration::from_secs(10),
            max_header_bytes: 64 << 10,
            max_header_fields: 100,
            max_body_bytes: 12_000_000,
            body_memory_bytes: 256 << 20,
            max_connections: 1024,
            per_client: 64,
        }
    }
}

/// The bytes that all bodies together may still take.
#[derive(Debug)]
pub(super) struct Memory {
    left: AtomicUsize,
}

/// Bytes taken from a [`Memory`] and given back at the end.
#[derive(Debug)]
pub(super) struct Taken {
    memory: Arc<Memory>,
    bytes: usize,
}

impl Memory {
    /// Room for so many bytes.
    pub(super) fn new(bytes: usize) -> Arc<Memory> {
        Arc::new(Memory {
            left: AtomicUsize::new(bytes),
        })
    }

    /// Nothing taken yet.
    pub(super) fn taken(self: &Arc<Memory>) -> Taken {
        Taken {
            memory: self.clone(),
            bytes: 0,
        }
    }
}

impl Taken {
    /// Takes more; false, and nothing taken, if there is no room.
    pub(super) fn more(&mut self, bytes: usize) -> bool {
        let taken = self
            .memory
            .left
            .fetch_update(Ordering::Relaxed, Ordering::Relaxed, |left| {
                left.checked_sub(bytes)
            });
        if taken.is_ok() {
            self.bytes += bytes;
        }
        taken.is_ok()
    }
}

impl Drop for Taken {
    fn drop(&mut self) {
        self.memory.left.fetch_add(self.bytes, Ordering::Relaxed);
    }
}

/// The gate through which each client's requests go, so many at a time.
#[derive(Debug)]
pub(super) struct Gate {
    each: usize,
    clients: Mutex<HashMap<IpAddr, Arc<Semaphore>>>,
}

/// The right to have a request in work.
#[derive(Debug)]
pub(super) struct Turn {
    gate: Arc<Gate>,
    client: IpAddr,
    permit: Option<OwnedSemaphorePermit>,
}

impl Gate {
    /// A gate for `each` requests of each client.
    pub(super) fn new(each: usize) -> Arc<Gate> {
        Arc::new(Gate {
            each,
            clients: Mutex::default(),
        })
    }

    /// Waits for this client's turn; `None` when it does not come in time.
    pub(super) async fn turn(self: &Arc<Gate>, address: IpAddr, wait: Duration) -> Option<Turn> {
        let client = client_of(address);
        let semaphore = {
            let mut clients = self.clients.lock().unwrap_or_else(PoisonError::into_inner);
            clients
                .entry(client)
                .or_insert_with(|| Arc::new(Semaphore::new(self.each)))
                .clone()
        };
        // Made before waiting, so that giving up cleans up as well.
        let mut turn = Turn {
            gate: self.clone(),
            client,
            permit: None,
        };
        let permit = tokio::time::timeout(wait, semaphore.acquire_owned()).await;
        turn.permit = Some(permit.ok()?.ok()?);
        Some(turn)
    }
}

impl Drop for Turn {
    fn drop(&mut self) {
        self.permit = None;
        let mut clients = self
            .gate
            .clients
            .lock()
            .unwrap_or_else(PoisonError::into_inner);
        if let Some(semaphore) = clients.get(&self.client) {
            // Held by the map alone: nobody of this client is in work or waits.
            if Arc::strong_count(semaphore) == 1 {
                clients.remove(&self.client);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn memory_is_taken_within_its_bound_and_given_back() {
        let memory = Memory::new(100);
        let mut one = memory.taken();
        let mut two = memory.taken();
        assert!(one.more(60) && two.more(40));
        assert!(!one.more(1) && !two.more(1));
        drop(one);
        assert!(two.more(60));
        assert!(!two.more(1));
    }

    #[tokio::test]
    async fn a_client_has_so_many_requests_in_work_and_others_do_not_wait() {
        let gate = Gate::new(2);
        let (alice, bob) = (IpAddr::from([192, 0, 2, 1]), IpAddr::from([192, 0, 2, 2]));
        let first = gate.turn(alice, Duration::ZERO).await.unwrap();
        let second = gate.turn(alice, Duration::ZERO).await.unwrap();
        assert!(gate.turn(alice, Duration::ZERO).await.is_none());
        assert!(gate.turn(bob, Duration::ZERO).await.is_some());
        drop(first);
        let third = gate.turn(alice, Duration::ZERO).await;
        assert!(third.is_some());
        drop((second, third));
        assert!(
            gate.clients.lock().unwrap().is_empty(),
            "nothing is kept of clients that are gone"
        );
    }
}
