//! HTTP: from sockets to `dav::Request` and back; paths to resources; the loop of a request.

pub mod address;
pub mod limits;
pub mod listen;
pub mod serve;
pub mod tls;

mod compress;
mod exchange;
mod framing;
mod proxy;
mod pulse;
#[cfg(test)]
mod wire;
