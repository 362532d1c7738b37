//! One request: from hyper's to `dav::Request`, and from `dav::Response` back.
//!
//! The body is read, bounded and decoded before anything looks at the request.
//! A connection that goes away cancels nothing once a commit has begun.

use std::convert::Infallible;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::task::{Context, Poll};
use std::time::Duration;

use bytes::{Bytes, BytesMut};
use http_body_util::{BodyExt, Full};
use hyper::body::{Body, Frame, Incoming, SizeHint};
use hyper::header::{HeaderName, HeaderValue};
use hyper::http::request::Parts;
use hyper::{Method, StatusCode, Version};
use tokio::sync::mpsc;
use tracing::Instrument;

use super::address::Network;
use super::compress::{self, DecodeError};
use super::finish::{Panicked, finished};
use super::limits::{Gate, Limits, Memory, Taken};
use super::metrics::{self, Metrics};
use super::proxy::{self, Client, Origin};
use super::pulse::{Flight, Pulse};
use super::serve::{Clock, Handler};
use crate::dav::{self, Coding, Headers, Path};
use crate::mail;

/// Bodies larger than this are coded and decoded on a blocking thread.
const BLOCKING_BYTES: usize = 128 << 10;

/// What all connections share.
pub(super) struct Shared {
    pub(super) handler: Handler,
    pub(super) clock: Clock,
    pub(super) limits: Limits,
    pub(super) prefix: String,
    pub(super) trusted: Vec<Network>,
    pub(super) memory: Arc<Memory>,
    pub(super) gate: Arc<Gate>,
    pub(super) metrics: Arc<Metrics>,
    /// Whether the counts are answered.
    pub(super) tell_metrics: bool,
    /// What else is told there.
    pub(super) mails: Option<Arc<mail::Counts>>,
    pub(super) start: u32,
    pub(super) count: AtomicU64,
}

/// What is known of the connection a request came on.
#[derive(Clone)]
pub(super) struct Connection {
    pub(super) shared: Arc<Shared>,
    pub(super) origin: Origin,
    pub(super) pulse: Arc<Pulse>,
    /// Held by whatever must be done before the server may stop.
    pub(super) working: mpsc::Sender<Infallible>,
}

/// The body of an answer; keeps its request in flight until it is gone.
pub(super) struct Answer {
    body: Full<Bytes>,
    _flight: Flight,
}

impl Body for Answer {
    type Data = Bytes;
    type Error = Infallible;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Infallible>>> {
        Pin::new(&mut self.body).poll_frame(cx)
    }

    fn is_end_stream(&self) -> bool {
        self.body.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.body.size_hint()
    }
}

/// An answer made before the handler was asked. The connection ends with it if
/// the request's body was not read to its end.
struct Refused {
    response: dav::Response,
    close: bool,
}

fn refused(status: u16, sentence: &str) -> Refused {
    Refused {
        response: dav::Response::text(status, sentence),
        close: true,
    }
}

/// Answers one request. Never fails: what goes wrong is an answer.
pub(super) async fn exchange(
    connection: Connection,
    request: hyper::Request<Incoming>,
) -> Result<hyper::Response<Answer>, Infallible> {
    let flight = connection.pulse.begin();
    let shared = connection.shared.clone();
    let work = shared.metrics.began();
    let number = shared.count.fetch_add(1, Ordering::Relaxed);
    let id = format!("{:08x}-{number:x}", shared.start);
    let (parts, body) = request.into_parts();
    let span = tracing::debug_span!("request", id, method = %parts.method, path = parts.uri.path());
    let answered = answer(&connection, &parts, body, &id)
        .instrument(span.clone())
        .await;
    let (mut response, close) = match answered {
        Ok(response) => (response, false),
        Err(refused) => (refused.response, refused.close),
    };
    response = code(response, &parts).await;
    note(&span, &id, &response);
    work.answered(response.status);
    response.headers.push(("X-Request-Id", id));
    if close && parts.version < Version::HTTP_2 {
        response.headers.push(("Connection", "close".to_owned()));
    }
    Ok(outgoing(response, &parts.method, flight))
}

/// Notes an answer: what the server did wrong is worth a line, the rest only if
/// somebody wants to see every request.
fn note(span: &tracing::Span, id: &str, response: &dav::Response) {
    let (status, bytes) = (response.status, response.body.len());
    span.in_scope(|| {
        if status >= 500 {
            tracing::warn!(request = id, status, bytes, "answered");
        } else {
            tracing::debug!(status, bytes, "answered");
        }
    });
}

async fn answer(
    connection: &Connection,
    parts: &Parts,
    body: Incoming,
    id: &str,
) -> Result<dav::Response, Refused> {
    let shared = &connection.shared;
    if connection.pulse.is_ambiguous() {
        return Err(refused(
            400,
            "The length of the request can be read in two ways.",
        ));
    }
    let (headers, host) = fields(parts)?;
    let client = proxy::client(connection.origin, &headers, &host, &shared.trusted);
    if shared.tell_metrics && metrics::is_asked(parts.uri.path(), client.address, &headers) {
        return Ok(metrics::answer(&shared.metrics, shared.mails.as_deref()));
    }
    let path = target(parts, &shared.prefix)?;
    let mut turn = None;
    if let Some(address) = client.address {
        turn = shared.gate.turn(address, shared.limits.turn).await;
        if turn.is_none() {
            let busy = dav::Response::text(503, "Too many of your requests are in work.")
                .with("Retry-After", "5");
            return Err(Refused {
                response: busy,
                close: true,
            });
        }
    }
    let (body, taken) = read_body(shared, parts, body).await?;
    let request = request(parts, (path, headers, body), client, id, &shared.prefix);
    let now = (shared.clock)();
    let handled = (shared.handler)(request, now);
    let working = connection.working.clone();
    let work = async move {
        let response = handled.await;
        drop((working, turn, taken));
        response
    };
    finished(work.in_current_span()).await.map_err(|Panicked| {
        tracing::error!(request = id, "handling a request panicked");
        Refused {
            response: dav::Response::text(500, "The server failed; its log says why."),
            close: false,
        }
    })
}

fn request(
    parts: &Parts,
    sent: (Path, Headers, Bytes),
    client: Client,
    id: &str,
    prefix: &str,
) -> dav::Request {
    let (path, headers, body) = sent;
    dav::Request {
        method: parts.method.as_str().to_owned(),
        path,
        query: parts.uri.query().map(str::to_owned),
        headers,
        body,
        peer: client.address,
        secure: client.secure,
        scheme: client.scheme.to_owned(),
        host: client.host,
        prefix: prefix.to_owned(),
        id: id.to_owned(),
    }
}

fn header(parts: &Parts, name: &str) -> String {
    let values = parts.headers.get_all(name).iter();
    let values: Vec<&str> = values.filter_map(|value| value.to_str().ok()).collect();
    values.join(", ")
}

/// The header fields and the host. Bytes beyond ASCII are read as UTF-8, else
/// as Latin-1.
fn fields(parts: &Parts) -> Result<(Headers, String), Refused> {
    let mut headers = Headers::default();
    for (name, value) in &parts.headers {
        // The body that the handler sees has no coding any more.
        if name == hyper::header::CONTENT_ENCODING {
            continue;
        }
        let value = match std::str::from_utf8(value.as_bytes()) {
            Ok(text) => text.to_owned(),
            Err(_) => value
                .as_bytes()
                .iter()
                .map(|byte| char::from(*byte))
                .collect(),
        };
        headers.push(name.as_str(), value);
    }
    let sent = headers.all("host").count();
    // RFC 9112 §3.2: no Host in HTTP/1.1, or two of them, is answered 400.
    let none = sent == 0 && parts.uri.authority().is_none();
    if sent > 1 || (none && parts.version == Version::HTTP_11) {
        return Err(refused(400, "One Host field is needed."));
    }
    // RFC 9112 §3.2.2: the host of an absolute target counts, Host does not.
    let host = match parts.uri.authority() {
        Some(authority) => authority.as_str().to_owned(),
        None => headers.get("host").unwrap_or_default().to_owned(),
    };
    Ok((headers, host))
}

/// The path below the prefix; a proxy may or may not have cut it.
fn target(parts: &Parts, prefix: &str) -> Result<Path, Refused> {
    let sent = parts.uri.path();
    let below = match sent.strip_prefix(prefix) {
        Some("") if !prefix.is_empty() => "/",
        Some(rest) if rest.starts_with('/') => rest,
        _ => sent,
    };
    // OPTIONS * asks about the server, which the root answers for.
    let below = if below == "*" && parts.method == Method::OPTIONS {
        "/"
    } else {
        below
    };
    Path::parse(below).map_err(|_| Refused {
        response: dav::Response::text(400, "This is no path the server can have."),
        close: false,
    })
}

/// Reads and decodes the body. RFC 9110 §10.1.1: hyper sends 100 Continue when
/// the body is first asked for, so whatever is refused before that costs the
/// client nothing.
async fn read_body(
    shared: &Shared,
    parts: &Parts,
    body: Incoming,
) -> Result<(Bytes, Taken), Refused> {
    let limits = &shared.limits;
    let expect = header(parts, "expect");
    if !expect.is_empty() && !expect.eq_ignore_ascii_case("100-continue") {
        return Err(refused(417, "The only expectation met is 100-continue."));
    }
    let coding = header(parts, "content-encoding");
    let mut taken = shared.memory.taken();
    if body.is_end_stream() {
        return Ok((Bytes::new(), taken));
    }
    let announced = body.size_hint().exact();
    if announced.is_some_and(|bytes| bytes > limits.max_body_bytes as u64) {
        if expect.is_empty() {
            discard(body, limits).await;
        }
        return Err(too_large(limits));
    }
    let read = tokio::time::timeout(
        limits.body,
        collect(body, limits.max_body_bytes, &mut taken),
    )
    .await;
    let body = match read {
        Err(_) => return Err(refused(408, "The body took too long.")),
        Ok(Err(Unread::TooLarge(body))) => {
            discard(*body, limits).await;
            return Err(too_large(limits));
        }
        Ok(Err(Unread::NoRoom)) => {
            let full = dav::Response::text(503, "Too many bodies are being read.")
                .with("Retry-After", "5");
            return Err(Refused {
                response: full,
                close: true,
            });
        }
        Ok(Err(Unread::Broken)) => return Err(refused(400, "The body does not end as it should.")),
        Ok(Ok(body)) => body,
    };
    if coding.is_empty() {
        return Ok((body, taken));
    }
    let body = decode(body, coding, limits.max_body_bytes).await?;
    // A coded body grows; what it grew to is counted too, whatever is left.
    taken.more(body.len());
    Ok((body, taken))
}

fn too_large(limits: &Limits) -> Refused {
    refused(
        413,
        &format!("A body may have {} bytes.", limits.max_body_bytes),
    )
}

enum Unread {
    TooLarge(Box<Incoming>),
    NoRoom,
    Broken,
}

async fn collect(mut body: Incoming, max_bytes: usize, taken: &mut Taken) -> Result<Bytes, Unread> {
    let mut first = Bytes::new();
    let mut rest = BytesMut::new();
    while let Some(frame) = body.frame().await {
        let Ok(data) = frame.map_err(|_| Unread::Broken)?.into_data() else {
            continue;
        };
        if first.len() + rest.len() + data.len() > max_bytes {
            return Err(Unread::TooLarge(Box::new(body)));
        }
        if !taken.more(data.len()) {
            return Err(Unread::NoRoom);
        }
        // Most bodies come in one piece, which is then not copied.
        if first.is_empty() {
            first = data;
        } else {
            if rest.is_empty() {
                rest.extend_from_slice(&first);
            }
            rest.extend_from_slice(&data);
        }
    }
    Ok(if rest.is_empty() {
        first
    } else {
        rest.freeze()
    })
}

/// Reads on for a moment, so that the client reads our answer before it notices
/// that nobody listens any more.
async fn discard(mut body: Incoming, limits: &Limits) {
    let mut left = limits.max_body_bytes.saturating_mul(2);
    let reading = async {
        while let Some(Ok(frame)) = body.frame().await {
            let bytes = frame.data_ref().map_or(0, Bytes::len);
            match left.checked_sub(bytes) {
                Some(less) => left = less,
                None => break,
            }
        }
    };
    // That the time is up is as good an end as any.
    let _ = tokio::time::timeout(limits.header.min(Duration::from_secs(5)), reading).await;
}

async fn decode(body: Bytes, coding: String, max_bytes: usize) -> Result<Bytes, Refused> {
    let decoded = if body.len() < BLOCKING_BYTES {
        compress::decode(body, &coding, max_bytes)
    } else {
        tokio::task::spawn_blocking(move || compress::decode(body, &coding, max_bytes))
            .await
            .unwrap_or(Err(DecodeError::Damaged))
    };
    let open = |response| Refused {
        response,
        close: false,
    };
    decoded.map_err(|error| match error {
        DecodeError::Unknown => open(
            // RFC 9110 §12.5.3: Accept-Encoding in a 415 says what would do.
            dav::Response::text(415, "The body's content coding is not known.")
                .with("Accept-Encoding", compress::ACCEPTED),
        ),
        DecodeError::TooLarge => open(dav::Response::text(
            413,
            &format!("A body may have {max_bytes} bytes once decoded."),
        )),
        DecodeError::Damaged => open(dav::Response::text(
            400,
            "The body is not what Content-Encoding says.",
        )),
    })
}

/// Compresses the body where that is allowed, wanted and worth it.
async fn code(mut response: dav::Response, parts: &Parts) -> dav::Response {
    let text = response
        .header("content-type")
        .is_some_and(compress::is_text);
    if response.coding == Coding::Never || !text || response.header("content-encoding").is_some() {
        return response;
    }
    response
        .headers
        .push(("Vary", "Accept-Encoding".to_owned()));
    let accept = header(parts, "accept-encoding");
    let Some(coding) = compress::choose(&accept, response.body.len()) else {
        return response;
    };
    let body = response.body.clone();
    let coded = if body.len() < BLOCKING_BYTES {
        compress::encode(&body, coding)
    } else {
        tokio::task::spawn_blocking(move || compress::encode(&body, coding))
            .await
            .unwrap_or_else(|error| Err(std::io::Error::other(error)))
    };
    match coded {
        Ok(coded) => {
            response.body = Bytes::from(coded);
            response
                .headers
                .push(("Content-Encoding", coding.name().to_owned()));
            weaken_etag(&mut response);
        }
        Err(error) => tracing::warn!(%error, "an answer was not compressed"),
    }
    response
}

/// RFC 9110 §8.8.1: the same strong validator must not stand for other bytes.
fn weaken_etag(response: &mut dav::Response) {
    for (name, value) in &mut response.headers {
        if name.eq_ignore_ascii_case("etag") && !value.starts_with("W/") {
            value.insert_str(0, "W/");
        }
    }
}

/// The answer as hyper sends it, which adds Date.
fn outgoing(response: dav::Response, method: &Method, flight: Flight) -> hyper::Response<Answer> {
    let status = StatusCode::from_u16(response.status).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
    let mut body = response.body;
    let mut headers = hyper::HeaderMap::with_capacity(response.headers.len() + 2);
    for (name, value) in response.headers {
        match (
            HeaderName::from_bytes(name.as_bytes()),
            HeaderValue::try_from(value),
        ) {
            (Ok(name), Ok(value)) => {
                headers.append(name, value);
            }
            _ => tracing::error!(name, "a header field cannot be sent"),
        }
    }
    if method == Method::HEAD {
        headers
            .entry(hyper::header::CONTENT_LENGTH)
            .or_insert_with(|| HeaderValue::from(body.len()));
        body = Bytes::new();
    }
    let mut outgoing = hyper::Response::new(Answer {
        body: Full::new(body),
        _flight: flight,
    });
    *outgoing.status_mut() = status;
    *outgoing.headers_mut() = headers;
    outgoing
}
