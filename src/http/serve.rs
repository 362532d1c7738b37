//! Listening, connections and their end: the only user of hyper's server.
//!
//! HTTP/1.1 (RFC 9112) and HTTP/2 (RFC 9113, by ALPN and by prior knowledge),
//! with and without TLS, on TCP and Unix sockets.
//!
//! **Gaps**: HTTP/3.

use std::convert::Infallible;
use std::future::Future;
use std::pin::{Pin, pin};
use std::sync::Arc;
use std::sync::atomic::AtomicU64;
use std::time::Duration;

use hyper::server::conn::{http1, http2};
use hyper::service::service_fn;
use hyper_util::rt::{TokioExecutor, TokioIo, TokioTimer};
use tokio::sync::{Semaphore, mpsc, watch};
use tokio::task::JoinSet;

use super::address::Network;
use super::exchange::{Connection, Shared, exchange};
use super::limits::{Gate, Limits, Memory};
use super::listen::{Accepted, Listener};
use super::proxy::Origin;
use super::pulse::{Protocol, Pulse, Watched};
use crate::dav;
use crate::ical::Timestamp;
use crate::mail;

/// What answers a request, given the time at which its body was there.
pub type Handler = Arc<
    dyn Fn(dav::Request, Timestamp) -> Pin<Box<dyn Future<Output = dav::Response> + Send>>
        + Send
        + Sync,
>;

/// What tells the time.
pub type Clock = Arc<dyn Fn() -> Timestamp + Send + Sync>;

/// How the server serves.
pub struct Options {
    /// Limits and time-outs.
    pub limits: Limits,
    /// The path under which a proxy shows the server: empty or `/path`.
    pub prefix: String,
    /// Proxies whose X-Forwarded-* is believed.
    pub trusted_proxies: Vec<Network>,
    /// The clock.
    pub clock: Clock,
    /// Whether `/metrics` is answered to this machine.
    pub metrics: bool,
    /// What else is told there.
    pub mails: Option<Arc<mail::Counts>>,
}

/// Streams of one HTTP/2 connection at a time.
const MAX_STREAMS: u32 = 100;

/// How long accepting pauses when the system has no file descriptors left.
const PAUSE: Duration = Duration::from_millis(100);

/// Serves on all listeners until `stop` says so; then requests in flight are
/// finished, within the limit, and nothing new is accepted.
pub async fn serve(
    listeners: Vec<Listener>,
    handler: Handler,
    options: Options,
    stop: watch::Receiver<bool>,
) {
    let limits = options.limits;
    let mut start = [0; 4];
    // Ids without a random start are still ids.
    if let Err(error) = getrandom::fill(&mut start) {
        tracing::warn!(%error, "request ids begin at zero");
    }
    let shared = Arc::new(Shared {
        handler,
        clock: options.clock,
        prefix: options.prefix,
        trusted: options.trusted_proxies,
        memory: Memory::new(limits.body_memory_bytes),
        gate: Gate::new(limits.per_client),
        metrics: Arc::default(),
        tell_metrics: options.metrics,
        mails: options.mails,
        start: u32::from_le_bytes(start),
        count: AtomicU64::new(0),
        limits,
    });
    let room = Arc::new(Semaphore::new(shared.limits.max_connections));
    let (working, mut done) = mpsc::channel(1);
    let mut accepting = JoinSet::new();
    for listener in listeners {
        let task = accept(
            listener,
            shared.clone(),
            room.clone(),
            working.clone(),
            stop.clone(),
        );
        accepting.spawn(task);
    }
    drop(working);
    while accepting.join_next().await.is_some() {}
    // Nobody sends; `None` comes when the last request and connection is gone.
    let drained = tokio::time::timeout(shared.limits.shutdown, done.recv()).await;
    if drained.is_err() {
        tracing::warn!("requests were still in work when the time to stop was up");
    }
}

async fn accept(
    listener: Listener,
    shared: Arc<Shared>,
    room: Arc<Semaphore>,
    working: mpsc::Sender<Infallible>,
    mut stop: watch::Receiver<bool>,
) {
    loop {
        let next = async {
            let permit = room.clone().acquire_owned().await;
            (permit, listener.socket.accept().await)
        };
        let (permit, accepted) = tokio::select! {
            () = stopped(&mut stop) => return,
            next = next => next,
        };
        let accepted = match accepted {
            Ok(accepted) => accepted,
            Err(error) => {
                tracing::warn!(%error, "a connection was not accepted");
                tokio::time::sleep(PAUSE).await;
                continue;
            }
        };
        let connection = Connection {
            shared: shared.clone(),
            origin: Origin {
                address: accepted.address,
                tls: listener.certificate.is_some(),
            },
            pulse: Pulse::new(),
            working: working.clone(),
        };
        let acceptor = listener
            .certificate
            .as_ref()
            .map(|certificate| certificate.acceptor());
        let stop = stop.clone();
        tokio::spawn(async move {
            let metrics = connection.shared.metrics.clone();
            metrics.opened();
            open(connection, accepted, acceptor, stop).await;
            metrics.closed();
            drop(permit);
        });
    }
}

/// Resolves once the server is to stop, also when nobody can say so any more.
async fn stopped(stop: &mut watch::Receiver<bool>) {
    let _ = stop.wait_for(|stop| *stop).await;
}

/// Finds out what a connection speaks, and serves it.
async fn open(
    connection: Connection,
    accepted: Accepted,
    acceptor: Option<tokio_rustls::TlsAcceptor>,
    mut stop: watch::Receiver<bool>,
) {
    let limits = &connection.shared.limits;
    let begun = async {
        let mut negotiated = None;
        let stream = match acceptor {
            None => accepted.stream,
            Some(acceptor) => {
                let stream = acceptor.accept(accepted.stream).await?;
                if stream.get_ref().1.alpn_protocol() == Some(b"h2") {
                    negotiated = Some(Protocol::Http2);
                }
                Box::new(stream)
            }
        };
        let mut watched = Watched::new(stream, connection.pulse.clone());
        let protocol = match negotiated {
            Some(protocol) => Some(protocol),
            None => watched.recognise().await?,
        };
        Ok::<_, std::io::Error>(protocol.map(|protocol| (watched, protocol)))
    };
    let begun = tokio::select! {
        () = stopped(&mut stop) => return,
        begun = tokio::time::timeout(limits.first_byte, begun) => begun,
    };
    match begun {
        Ok(Ok(Some((watched, protocol)))) => speak(connection, watched, protocol, stop).await,
        Ok(Ok(None)) => {}
        Ok(Err(error)) => tracing::debug!(%error, "a connection did not begin"),
        Err(_) => tracing::debug!("a connection sent nothing in time"),
    }
}

async fn speak(
    connection: Connection,
    mut stream: Watched,
    protocol: Protocol,
    stop: watch::Receiver<bool>,
) {
    let limits = connection.shared.limits.clone();
    let pulse = connection.pulse.clone();
    let service = service_fn(move |request| exchange(connection.clone(), request));
    match protocol {
        Protocol::Http1 => {
            stream.follow(limits.max_header_bytes);
            let serving = http1::Builder::new()
                .timer(TokioTimer::new())
                .header_read_timeout(None)
                .half_close(true)
                .max_headers(limits.max_header_fields)
                .max_buf_size(limits.max_header_bytes.max(8192))
                .serve_connection(TokioIo::new(stream), service);
            drive(
                serving,
                http1::Connection::graceful_shutdown,
                (pulse, protocol, limits),
                stop,
            )
            .await;
        }
        Protocol::Http2 => {
            let header_bytes = u32::try_from(limits.max_header_bytes).unwrap_or(u32::MAX);
            let serving = http2::Builder::new(TokioExecutor::new())
                .timer(TokioTimer::new())
                .max_concurrent_streams(MAX_STREAMS)
                .max_header_list_size(header_bytes)
                .serve_connection(TokioIo::new(stream), service);
            drive(
                serving,
                http2::Connection::graceful_shutdown,
                (pulse, protocol, limits),
                stop,
            )
            .await;
        }
    }
}

/// Runs a connection to its end, to a time-out or to the server's end.
async fn drive<C>(
    serving: C,
    finish: fn(Pin<&mut C>),
    watched: (Arc<Pulse>, Protocol, Limits),
    mut stop: watch::Receiver<bool>,
) where
    C: Future<Output = hyper::Result<()>>,
{
    let (pulse, protocol, limits) = watched;
    let mut serving = pin!(serving);
    let shortest = limits
        .header
        .min(limits.write)
        .min(limits.idle)
        .min(limits.first_byte);
    let tick = (shortest / 4).clamp(Duration::from_millis(5), Duration::from_secs(1));
    let mut ticks = tokio::time::interval(tick);
    let mut finishing = false;
    loop {
        tokio::select! {
            ended = &mut serving => {
                if let Err(error) = ended {
                    tracing::debug!(%error, "a connection ended");
                }
                return;
            }
            () = stopped(&mut stop), if !finishing => {
                finish(serving.as_mut());
                finishing = true;
            }
            _ = ticks.tick() => {
                if let Some(overdue) = pulse.overdue(protocol, &limits) {
                    tracing::debug!(?overdue, "a connection was closed");
                    return;
                }
            }
        }
    }
}
