//! HTTP: from sockets to `dav::Request` and back; paths to resources; the loop of a request.

pub mod address;
