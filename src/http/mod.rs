//! HTTP: from sockets to `dav::Request` and back; paths to resources; the loop of a request.

pub mod address;
pub mod answer;
pub mod bare;
pub mod limits;
pub mod listen;
pub mod serve;
pub mod tls;

#[cfg(test)]
mod answer_tests;
#[cfg(test)]
mod change_tests;
mod compress;
mod exchange;
mod finish;
mod forwarded;
mod framing;
mod methods;
pub mod metrics;
#[cfg(test)]
mod outbox_tests;
#[cfg(test)]
mod page_attack_tests;
#[cfg(test)]
mod page_tests;
mod proxy;
mod pulse;
#[cfg(test)]
mod report_tests;
mod respond;
#[cfg(test)]
mod room_tests;
mod route;
#[cfg(test)]
mod schedule_tests;
#[cfg(test)]
mod wire;
#[cfg(test)]
mod world;

pub use self::answer::{Server, answer};
