//! What a connection is doing, and for how long it may go on doing it.
//!
//! hyper has no time-out for an idle connection, for a body that trickles or
//! for a client that takes no bytes of the answer. Here the connection's stream
//! notes when bytes come and go, the service notes requests in flight, and a
//! watchdog compares both with the limits.

use std::io;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering};
use std::task::{Context, Poll, ready};
use std::time::Duration;

use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, ReadBuf};
use tokio::time::Instant;

use super::framing::Framing;
use super::limits::Limits;

/// What the first bytes of a connection say it speaks.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Protocol {
    /// HTTP/1.1 or 1.0.
    Http1,
    /// HTTP/2, by ALPN or by prior knowledge (RFC 9113 §3.3).
    Http2,
}

/// The first line of the preface that an HTTP/2 client begins with. RFC 9113 §3.4
const PREFACE: &[u8] = b"PRI * HTTP/2.0";

/// Never: no such moment yet.
const NEVER: u64 = u64::MAX;

/// What is known of one connection. Moments are milliseconds since its start.
#[derive(Debug)]
pub(super) struct Pulse {
    start: Instant,
    /// Requests between the end of their header and the end of their answer.
    in_flight: AtomicUsize,
    /// Whether there ever was a request.
    served: AtomicBool,
    /// When the last answer ended, or the connection began.
    idle_since: AtomicU64,
    /// When the first byte of a header came whose end has not come yet.
    header_since: AtomicU64,
    /// Since when the client takes no bytes.
    blocked_since: AtomicU64,
    /// Whether the bytes that came cannot be trusted.
    ambiguous: AtomicBool,
}

impl Pulse {
    /// A connection that begins now.
    pub(super) fn new() -> Arc<Pulse> {
        Arc::new(Pulse {
            start: Instant::now(),
            in_flight: AtomicUsize::new(0),
            served: AtomicBool::new(false),
            idle_since: AtomicU64::new(0),
            header_since: AtomicU64::new(NEVER),
            blocked_since: AtomicU64::new(NEVER),
            ambiguous: AtomicBool::new(false),
        })
    }

    fn now(&self) -> u64 {
        u64::try_from(self.start.elapsed().as_millis()).unwrap_or(NEVER)
    }

    /// A request's header is complete.
    pub(super) fn begin(self: &Arc<Pulse>) -> Flight {
        self.in_flight.fetch_add(1, Ordering::Relaxed);
        self.served.store(true, Ordering::Relaxed);
        self.header_since.store(NEVER, Ordering::Relaxed);
        Flight(self.clone())
    }

    /// Whether a request with two lengths was seen on the connection.
    pub(super) fn is_ambiguous(&self) -> bool {
        self.ambiguous.load(Ordering::Relaxed)
    }

    /// Which time is up, if one is.
    pub(super) fn overdue(&self, protocol: Protocol, limits: &Limits) -> Option<Overdue> {
        let now = self.now();
        let over = |since: u64, limit: Duration| {
            since != NEVER && Duration::from_millis(now.saturating_sub(since)) > limit
        };
        if over(self.blocked_since.load(Ordering::Relaxed), limits.write) {
            return Some(Overdue::Write);
        }
        if self.in_flight.load(Ordering::Relaxed) > 0 {
            return None;
        }
        // Bytes of HTTP/2 between requests may be pings and window updates.
        if protocol == Protocol::Http1
            && over(self.header_since.load(Ordering::Relaxed), limits.header)
        {
            return Some(Overdue::Header);
        }
        let idle = if self.served.load(Ordering::Relaxed) {
            limits.idle
        } else {
            limits.first_byte.max(limits.header)
        };
        over(self.idle_since.load(Ordering::Relaxed), idle).then_some(Overdue::Idle)
    }
}

/// Which time-out a connection ran into.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Overdue {
    /// No new request.
    Idle,
    /// A header that does not end.
    Header,
    /// A client that takes no bytes.
    Write,
}

/// A request in flight, for as long as this is alive.
#[derive(Debug)]
pub(super) struct Flight(Arc<Pulse>);

impl Drop for Flight {
    fn drop(&mut self) {
        self.0.idle_since.store(self.0.now(), Ordering::Relaxed);
        self.0.in_flight.fetch_sub(1, Ordering::Relaxed);
    }
}

/// A byte stream in both directions.
pub(super) trait Duplex: AsyncRead + AsyncWrite + Unpin + Send {}

impl<S: AsyncRead + AsyncWrite + Unpin + Send> Duplex for S {}

/// A connection's stream that notes what it does in a [`Pulse`].
pub(super) struct Watched {
    stream: Box<dyn Duplex>,
    pulse: Arc<Pulse>,
    /// Bytes read to recognise the protocol and not yet handed on.
    ahead: Vec<u8>,
    framing: Option<Framing>,
}

impl Watched {
    /// A stream whose reading and writing is noted.
    pub(super) fn new(stream: Box<dyn Duplex>, pulse: Arc<Pulse>) -> Watched {
        Watched {
            stream,
            pulse,
            ahead: Vec::new(),
            framing: None,
        }
    }

    /// Reads as far as is needed to tell the protocol; `None` if the stream
    /// ends before its first byte.
    pub(super) async fn recognise(&mut self) -> io::Result<Option<Protocol>> {
        loop {
            let mut byte = [0; 1];
            if self.stream.read(&mut byte).await? == 0 {
                return Ok((!self.ahead.is_empty()).then_some(Protocol::Http1));
            }
            self.ahead.extend_from_slice(&byte);
            if !PREFACE.starts_with(&self.ahead) {
                return Ok(Some(Protocol::Http1));
            }
            if self.ahead.len() == PREFACE.len() {
                return Ok(Some(Protocol::Http2));
            }
        }
    }

    /// Follows the requests on the stream, because it speaks HTTP/1.1.
    pub(super) fn follow(&mut self, max_header_bytes: usize) {
        self.framing = Some(Framing::new(max_header_bytes));
        if !self.ahead.is_empty() {
            let now = self.pulse.now();
            self.pulse.header_since.store(now, Ordering::Relaxed);
        }
    }

    fn came(&mut self, bytes: &[u8]) {
        let Some(framing) = &mut self.framing else {
            return;
        };
        if framing.feed(bytes).is_err() {
            self.pulse.ambiguous.store(true, Ordering::Relaxed);
        }
        if self.pulse.in_flight.load(Ordering::Relaxed) == 0 {
            let now = self.pulse.now();
            self.pulse.header_since.fetch_min(now, Ordering::Relaxed);
        }
    }

    fn wrote<T>(&self, result: &Poll<io::Result<T>>) {
        let since = if result.is_pending() {
            match self.pulse.blocked_since.load(Ordering::Relaxed) {
                NEVER => self.pulse.now(),
                since => since,
            }
        } else {
            NEVER
        };
        self.pulse.blocked_since.store(since, Ordering::Relaxed);
    }
}

impl AsyncRead for Watched {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        if !self.ahead.is_empty() {
            let count = self.ahead.len().min(buf.remaining());
            let ahead: Vec<u8> = self.ahead.drain(..count).collect();
            buf.put_slice(&ahead);
            self.came(&ahead);
            return Poll::Ready(Ok(()));
        }
        let before = buf.filled().len();
        ready!(Pin::new(&mut self.stream).poll_read(cx, buf))?;
        let new = buf.filled().get(before..).unwrap_or_default();
        if !new.is_empty() {
            self.came(new);
        }
        Poll::Ready(Ok(()))
    }
}

impl AsyncWrite for Watched {
    fn poll_write(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &[u8],
    ) -> Poll<io::Result<usize>> {
        let result = Pin::new(&mut self.stream).poll_write(cx, buf);
        self.wrote(&result);
        result
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bufs: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        let result = Pin::new(&mut self.stream).poll_write_vectored(cx, bufs);
        self.wrote(&result);
        result
    }

    fn is_write_vectored(&self) -> bool {
        self.stream.is_write_vectored()
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        let result = Pin::new(&mut self.stream).poll_flush(cx);
        self.wrote(&result);
        result
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_shutdown(cx)
    }
}
