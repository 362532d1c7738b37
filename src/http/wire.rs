//! Tests of the server's wire, with raw bytes over real sockets.

use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use bytes::Bytes;
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};
use tokio::net::{TcpStream, UnixStream};
use tokio::sync::{Notify, watch};
use tokio::task::JoinHandle;
use tokio_rustls::TlsConnector;
use tokio_rustls::rustls::crypto::ring;
use tokio_rustls::rustls::pki_types::pem::PemObject;
use tokio_rustls::rustls::pki_types::{CertificateDer, ServerName};
use tokio_rustls::rustls::{ClientConfig, RootCertStore};

use super::address::Address;
use super::compress;
use super::limits::Limits;
use super::listen::bind;
use super::serve::{Handler, Options, serve};
use super::tls::Certificate;
use crate::dav::{Request, Response};
use crate::ical::Timestamp;

/// What the test's handler does besides answering.
#[derive(Default)]
struct Probe {
    began: Notify,
    go_on: Notify,
    finished: AtomicBool,
}

struct Running {
    address: SocketAddr,
    stop: watch::Sender<bool>,
    task: JoinHandle<()>,
    probe: Arc<Probe>,
}

fn quick() -> Limits {
    Limits {
        first_byte: Duration::from_millis(150),
        header: Duration::from_millis(150),
        body: Duration::from_millis(150),
        write: Duration::from_millis(300),
        idle: Duration::from_millis(300),
        shutdown: Duration::from_millis(500),
        turn: Duration::from_millis(50),
        max_body_bytes: 100_000,
        body_memory_bytes: 1_000_000,
        ..Limits::default()
    }
}

fn patient() -> Limits {
    Limits {
        max_body_bytes: 100_000,
        ..Limits::default()
    }
}

fn handler(probe: &Arc<Probe>) -> Handler {
    let probe = probe.clone();
    Arc::new(move |request: Request, now| {
        let probe = probe.clone();
        Box::pin(async move { answer(request, now, &probe).await })
    })
}

async fn answer(request: Request, now: Timestamp, probe: &Probe) -> Response {
    let body = String::from_utf8_lossy(&request.body).into_owned();
    match request.path.raw() {
        "/echo" => Response::text(
            200,
            &format!(
                "{} {:?} {} {} {} {} {} [{body}] {}",
                request.method,
                request.query,
                request
                    .peer
                    .map_or("socket".to_owned(), |address| address.to_string()),
                request.secure,
                request.scheme,
                request.host,
                request.prefix,
                now.0,
            ),
        ),
        "/big" => Response::xml(207, format!("<a>{}</a>", "x".repeat(5000))),
        "/object" => Response::status(200)
            .body("text/calendar", "y".repeat(5000))
            .with("ETag", "\"1\"")
            .uncoded(),
        "/whole" => Response::status(200)
            .body("text/calendar", "y".repeat(5000))
            .with("ETag", "\"1\""),
        "/huge" => Response::status(200).body("application/octet-stream", vec![b'z'; 32 << 20]),
        "/slow" => {
            probe.began.notify_one();
            probe.go_on.notified().await;
            probe.finished.store(true, Ordering::SeqCst);
            Response::text(200, "late")
        }
        _ => Response::status(404),
    }
}

async fn start(limits: Limits, listen: &str, certificate: Option<Arc<Certificate>>) -> Running {
    let probe = Arc::new(Probe::default());
    let listener = bind(&listen.parse::<Address>().unwrap(), certificate.as_ref())
        .await
        .unwrap();
    let address = listener
        .local_address()
        .unwrap_or_else(|| SocketAddr::from(([127, 0, 0, 1], 0)));
    let options = Options {
        limits,
        prefix: "/cal".to_owned(),
        trusted_proxies: Vec::new(),
        clock: Arc::new(|| Timestamp(42)),
        metrics: true,
        mails: None,
    };
    let (stop, stopped) = watch::channel(false);
    let task = tokio::spawn(serve(vec![listener], handler(&probe), options, stopped));
    Running {
        address,
        stop,
        task,
        probe,
    }
}

async fn plain(limits: Limits) -> Running {
    start(limits, "127.0.0.1:0", None).await
}

/// Sends bytes and reads until the server closes; nothing takes ten seconds.
async fn talk(stream: impl AsyncRead + AsyncWrite + Unpin, sent: &[u8]) -> String {
    let mut stream = stream;
    stream.write_all(sent).await.unwrap();
    String::from_utf8_lossy(&rest(&mut stream).await).into_owned()
}

async fn rest(stream: &mut (impl AsyncRead + Unpin)) -> Vec<u8> {
    let mut read = Vec::new();
    let reading = stream.read_to_end(&mut read);
    // A reset after the answer is an end too.
    let _ = tokio::time::timeout(Duration::from_secs(10), reading)
        .await
        .expect("the server closes");
    read
}

async fn read_head(stream: &mut (impl AsyncRead + Unpin)) -> String {
    let mut read = Vec::new();
    while !read.ends_with(b"\r\n\r\n") {
        let byte = tokio::time::timeout(Duration::from_secs(10), stream.read_u8()).await;
        read.push(byte.expect("an answer comes").unwrap());
    }
    String::from_utf8(read).unwrap()
}

async fn once(running: &Running, request: &str) -> String {
    let stream = TcpStream::connect(running.address).await.unwrap();
    talk(stream, request.as_bytes()).await
}

fn get(path: &str, fields: &str) -> String {
    format!("GET {path} HTTP/1.1\r\nHost: cal.example\r\nConnection: close\r\n{fields}\r\n")
}

#[tokio::test]
async fn a_request_reaches_the_handler_and_its_answer_the_client() {
    let server = plain(patient()).await;
    let answer = once(&server, &get("/cal/echo?a=b", "")).await;
    assert!(answer.starts_with("HTTP/1.1 200 OK\r\n"), "{answer}");
    assert!(answer.contains("\r\ndate: "), "{answer}");
    assert!(answer.contains("\r\nx-request-id: "), "{answer}");
    assert!(
        answer.ends_with("GET Some(\"a=b\") 127.0.0.1 true http cal.example /cal [] 42\n"),
        "{answer}"
    );
    let cut = once(&server, &get("/echo", "X-Forwarded-For: 192.0.2.1\r\n")).await;
    assert!(
        cut.contains("GET None 127.0.0.1 "),
        "a proxy may have cut the prefix: {cut}"
    );
    let method = once(&server, "MKCALENDAR /cal/echo HTTP/1.1\r\nHost: a\r\nConnection: close\r\nContent-Length: 3\r\n\r\nabc").await;
    assert!(
        method.contains("MKCALENDAR None") && method.contains("[abc]"),
        "{method}"
    );
}

#[tokio::test]
async fn the_counts_are_told_to_this_machine() {
    let server = plain(patient()).await;
    once(&server, &get("/echo", "")).await;
    let answer = once(&server, &get("/metrics", "")).await;
    assert!(
        answer.contains("kalends_answers_total{status=\"2xx\"} 1\n"),
        "{answer}"
    );
    assert!(answer.contains("kalends_connections 1\n"), "{answer}");
    let forwarded = once(&server, &get("/metrics", "X-Forwarded-For: 192.0.2.1\r\n")).await;
    assert!(forwarded.starts_with("HTTP/1.1 404"), "{forwarded}");
}

#[tokio::test]
async fn head_is_answered_like_get_without_the_body() {
    let server = plain(patient()).await;
    let head = once(
        &server,
        "HEAD /object HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n",
    )
    .await;
    assert!(head.starts_with("HTTP/1.1 200"), "{head}");
    assert!(head.contains("content-length: 5000\r\n"), "{head}");
    assert!(head.ends_with("\r\n\r\n"), "{head}");
}

#[tokio::test]
async fn a_request_with_two_lengths_is_refused() {
    let server = plain(patient()).await;
    for fields in [
        "Content-Length: 3\r\nTransfer-Encoding: chunked\r\n",
        "Transfer-Encoding: chunked\r\nContent-Length: 3\r\n",
        "Content-Length: 3\r\nContent-Length: 4\r\n",
    ] {
        let request = format!("POST /echo HTTP/1.1\r\nHost: a\r\n{fields}\r\n0\r\n\r\n");
        let answer = once(&server, &request).await;
        assert!(answer.starts_with("HTTP/1.1 400"), "{fields} {answer}");
        let request = format!("GET /echo HTTP/1.1\r\nHost: a\r\n\r\n{request}");
        let answer = once(&server, &request).await;
        assert!(
            answer.contains("HTTP/1.1 400"),
            "as a second request: {fields} {answer}"
        );
        assert!(!answer.contains("POST None"), "{answer}");
    }
    let chunked = "PUT /echo HTTP/1.1\r\nHost: a\r\nConnection: close\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n2;x\r\nde\r\n0\r\n\r\n";
    let answer = once(&server, chunked).await;
    assert!(answer.contains("[abcde]"), "{answer}");
}

#[tokio::test]
async fn headers_and_bodies_have_limits() {
    let server = plain(patient()).await;
    let long = once(
        &server,
        &get("/echo", &format!("X: {}\r\n", "y".repeat(70_000))),
    )
    .await;
    assert!(
        long.starts_with("HTTP/1.1 431"),
        "{}",
        &long[..60.min(long.len())]
    );
    let many = once(&server, &get("/echo", &"X: y\r\n".repeat(150))).await;
    assert!(many.starts_with("HTTP/1.1 431"), "{many}");
    for (framing, end) in [
        ("Content-Length: 200000\r\n\r\n", ""),
        (
            "Transfer-Encoding: chunked\r\n\r\n30d40\r\n",
            "\r\n0\r\n\r\n",
        ),
    ] {
        let body = "x".repeat(200_000);
        let request = format!("PUT /echo HTTP/1.1\r\nHost: a\r\n{framing}{body}{end}");
        let answer = once(&server, &request).await;
        assert!(answer.starts_with("HTTP/1.1 413"), "{framing} {answer}");
    }
    for bad in [
        "GET / HTTP/1.1\r\n\r\n",
        "GET / HTTP/1.1\r\nHost: a\r\nHost: b\r\n\r\n",
        "GET /../x HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n",
    ] {
        let answer = once(&server, bad).await;
        assert!(answer.starts_with("HTTP/1.1 400"), "{bad} {answer}");
    }
}

#[tokio::test]
async fn a_client_that_expects_100_gets_it_unless_it_is_refused() {
    let server = plain(patient()).await;
    let mut stream = TcpStream::connect(server.address).await.unwrap();
    let head = "PUT /echo HTTP/1.1\r\nHost: a\r\nConnection: close\r\nContent-Length: 3\r\nExpect: 100-continue\r\n\r\n";
    stream.write_all(head.as_bytes()).await.unwrap();
    assert!(read_head(&mut stream).await.starts_with("HTTP/1.1 100"));
    let answer = talk(stream, b"abc").await;
    assert!(
        answer.starts_with("HTTP/1.1 200") && answer.contains("[abc]"),
        "{answer}"
    );
    let big = head.replace("Length: 3", "Length: 300000");
    let answer = once(&server, &big).await;
    assert!(answer.starts_with("HTTP/1.1 413"), "{answer}");
    let odd = once(&server, &head.replace("100-continue", "a-miracle")).await;
    assert!(odd.starts_with("HTTP/1.1 417"), "{odd}");
}

#[tokio::test]
async fn text_is_compressed_where_it_is_allowed_and_wanted() {
    let server = plain(patient()).await;
    for (path, accept, coding) in [
        ("/big", "gzip", Some("gzip")),
        ("/big", "br", Some("br")),
        ("/big", "zstd, gzip", Some("zstd")),
        ("/big", "identity", None),
        ("/object", "gzip", None),
        ("/whole", "gzip", Some("gzip")),
    ] {
        let mut stream = TcpStream::connect(server.address).await.unwrap();
        let request = get(path, &format!("Accept-Encoding: {accept}\r\n"));
        stream.write_all(request.as_bytes()).await.unwrap();
        let head = read_head(&mut stream).await;
        let body = Bytes::from(rest(&mut stream).await);
        let named = format!("content-encoding: {}\r\n", coding.unwrap_or_default());
        assert_eq!(
            head.contains("content-encoding"),
            coding.is_some(),
            "{path} {accept} {head}"
        );
        assert!(
            coding.is_none() || head.contains(&named),
            "{path} {accept} {head}"
        );
        assert_eq!(
            head.contains("vary: Accept-Encoding"),
            path != "/object",
            "{path} {head}"
        );
        let weak = head.contains("etag: W/\"1\"");
        assert_eq!(weak, path == "/whole", "{path} {head}");
        let plain = compress::decode(body, coding.unwrap_or_default(), 10_000).unwrap();
        assert!(plain.len() >= 5000, "{path} {accept}");
    }
}

#[tokio::test]
async fn compressed_bodies_are_decoded_within_the_bound() {
    let server = plain(patient()).await;
    let coded = |text: &[u8]| compress::encode(text, compress::Coding::Gzip).unwrap();
    for (coding, body, expected) in [
        ("gzip", coded(b"hello"), "200"),
        ("identity", b"hello".to_vec(), "200"),
        ("gzip", coded(&[b'a'; 200_000]), "413"),
        ("gzip", b"hello".to_vec(), "400"),
        ("compress", b"hello".to_vec(), "415"),
    ] {
        let mut request = format!(
            "PUT /echo HTTP/1.1\r\nHost: a\r\nConnection: close\r\nContent-Encoding: {coding}\r\nContent-Length: {}\r\n\r\n",
            body.len()
        )
        .into_bytes();
        request.extend_from_slice(&body);
        let stream = TcpStream::connect(server.address).await.unwrap();
        let answer = talk(stream, &request).await;
        assert!(
            answer.starts_with(&format!("HTTP/1.1 {expected}")),
            "{coding} {answer}"
        );
        assert_eq!(
            answer.contains("[hello]"),
            expected == "200",
            "{coding} {answer}"
        );
        assert_eq!(
            answer.contains("accept-encoding: gzip"),
            expected == "415",
            "{answer}"
        );
    }
}

#[tokio::test]
async fn silence_and_slowness_end_a_connection() {
    let server = plain(quick()).await;
    for sent in [
        "",
        "GET /ec",
        "GET /echo HTTP/1.1\r\nHost: a\r\n",
        "PRI * HT",
    ] {
        assert_eq!(once(&server, sent).await, "", "{sent}");
    }
    let idle = once(&server, "GET /echo HTTP/1.1\r\nHost: a\r\n\r\n").await;
    assert!(
        idle.starts_with("HTTP/1.1 200"),
        "then closed after the idle time: {idle}"
    );
    let second = once(&server, "GET /echo HTTP/1.1\r\nHost: a\r\n\r\nGET /echo HT").await;
    assert_eq!(second.matches("HTTP/1.1 200").count(), 1, "{second}");
    let body = once(
        &server,
        "PUT /echo HTTP/1.1\r\nHost: a\r\nContent-Length: 9\r\n\r\nabc",
    )
    .await;
    assert!(body.starts_with("HTTP/1.1 408"), "{body}");
    let preface = once(
        &server,
        "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n\0\0\0\u{4}\0\0\0\0\0",
    )
    .await;
    assert!(!preface.is_empty(), "settings, then closed");
}

#[tokio::test]
async fn a_client_that_takes_no_bytes_is_dropped() {
    let server = plain(quick()).await;
    let mut stream = TcpStream::connect(server.address).await.unwrap();
    stream.write_all(get("/huge", "").as_bytes()).await.unwrap();
    // The connection ends without a byte read: draining the server shows it.
    let mut server = server;
    server.stop.send(true).unwrap();
    tokio::time::timeout(Duration::from_secs(10), &mut server.task)
        .await
        .expect("nothing holds the server up")
        .unwrap();
    drop(stream);
}

#[tokio::test]
async fn a_dropped_connection_cancels_nothing() {
    let server = plain(patient()).await;
    let mut stream = TcpStream::connect(server.address).await.unwrap();
    stream.write_all(get("/slow", "").as_bytes()).await.unwrap();
    server.probe.began.notified().await;
    drop(stream);
    server.stop.send(true).unwrap();
    server.probe.go_on.notify_one();
    server.task.await.unwrap();
    assert!(server.probe.finished.load(Ordering::SeqCst));
}

#[tokio::test]
async fn stopping_finishes_what_is_in_work_and_nothing_more() {
    let server = plain(patient()).await;
    let idle = TcpStream::connect(server.address).await.unwrap();
    let mut stream = TcpStream::connect(server.address).await.unwrap();
    stream
        .write_all(b"GET /slow HTTP/1.1\r\nHost: a\r\n\r\n")
        .await
        .unwrap();
    server.probe.began.notified().await;
    server.stop.send(true).unwrap();
    server.probe.go_on.notify_one();
    let answer = String::from_utf8(rest(&mut stream).await).unwrap();
    assert!(answer.contains("late"), "{answer}");
    server.task.await.unwrap();
    assert_eq!(talk_or_closed(idle).await, "");
    assert!(TcpStream::connect(server.address).await.is_err());
}

async fn talk_or_closed(mut stream: TcpStream) -> String {
    // Writing to a closed connection may fail; what counts is what comes back.
    let _ = stream.write_all(get("/echo", "").as_bytes()).await;
    String::from_utf8(rest(&mut stream).await).unwrap()
}

#[tokio::test]
async fn what_does_not_end_is_left_after_the_time_to_stop() {
    let server = plain(quick()).await;
    let mut stream = TcpStream::connect(server.address).await.unwrap();
    stream.write_all(get("/slow", "").as_bytes()).await.unwrap();
    server.probe.began.notified().await;
    server.stop.send(true).unwrap();
    server.task.await.unwrap();
    assert!(!server.probe.finished.load(Ordering::SeqCst));
}

#[tokio::test]
async fn one_client_has_so_many_requests_in_work() {
    let limits = Limits {
        per_client: 1,
        ..quick()
    };
    let server = plain(limits).await;
    let mut stream = TcpStream::connect(server.address).await.unwrap();
    stream.write_all(get("/slow", "").as_bytes()).await.unwrap();
    server.probe.began.notified().await;
    let refused = once(&server, &get("/echo", "")).await;
    assert!(refused.starts_with("HTTP/1.1 503"), "{refused}");
    assert!(refused.contains("retry-after: "), "{refused}");
    server.probe.go_on.notify_one();
    assert!(read_head(&mut stream).await.starts_with("HTTP/1.1 200"));
    let answer = once(&server, &get("/echo", "")).await;
    assert!(answer.starts_with("HTTP/1.1 200"), "{answer}");
}

#[tokio::test]
async fn more_connections_than_the_limit_wait() {
    let limits = Limits {
        max_connections: 1,
        ..quick()
    };
    let server = plain(limits).await;
    let idle = TcpStream::connect(server.address).await.unwrap();
    let answer = once(&server, &get("/echo", "")).await;
    assert!(
        answer.starts_with("HTTP/1.1 200"),
        "after the idle one was closed: {answer}"
    );
    drop(idle);
}

/// SETTINGS, then one request: `GET /echo` (RFC 9113 §4.1, RFC 7541 §6).
fn http2_request() -> Vec<u8> {
    let mut bytes = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n".to_vec();
    bytes.extend_from_slice(&[0, 0, 0, 4, 0, 0, 0, 0, 0]);
    let mut block = vec![0x82, 0x86, 0x44, 5];
    block.extend_from_slice(b"/echo");
    block.extend_from_slice(&[0x41, 9]);
    block.extend_from_slice(b"localhost");
    let length = u8::try_from(block.len()).unwrap();
    bytes.extend_from_slice(&[0, 0, length, 1, 0x05, 0, 0, 0, 1]);
    bytes.extend_from_slice(&block);
    bytes
}

/// Reads frames until one with this type and END_STREAM; its payload.
async fn frame(stream: &mut (impl AsyncRead + Unpin), kind: u8) -> Vec<u8> {
    loop {
        let mut head = [0; 9];
        tokio::time::timeout(Duration::from_secs(10), stream.read_exact(&mut head))
            .await
            .expect("a frame comes")
            .unwrap();
        let length = u32::from_be_bytes([0, head[0], head[1], head[2]]) as usize;
        let mut payload = vec![0; length];
        stream.read_exact(&mut payload).await.unwrap();
        if head[3] == kind && head[4] & 1 == 1 && head[8] == 1 {
            return payload;
        }
    }
}

#[tokio::test]
async fn http2_is_spoken_by_prior_knowledge() {
    let server = plain(patient()).await;
    let mut stream = TcpStream::connect(server.address).await.unwrap();
    stream.write_all(&http2_request()).await.unwrap();
    let data = String::from_utf8(frame(&mut stream, 0).await).unwrap();
    assert!(
        data.starts_with("GET None 127.0.0.1 true http localhost /cal"),
        "{data}"
    );
}

fn certificate(name: &str) -> Arc<Certificate> {
    let folder = std::path::Path::new("testdata/tls");
    Arc::new(
        Certificate::load(
            &folder.join(format!("{name}.pem")),
            &folder.join(format!("{name}.key.pem")),
        )
        .unwrap(),
    )
}

async fn tls(
    address: SocketAddr,
    trusted: &str,
    alpn: &[u8],
) -> std::io::Result<tokio_rustls::client::TlsStream<TcpStream>> {
    let mut roots = RootCertStore::empty();
    let file = format!("testdata/tls/{trusted}.pem");
    roots
        .add(CertificateDer::from_pem_file(file).unwrap())
        .unwrap();
    let mut config = ClientConfig::builder_with_provider(Arc::new(ring::default_provider()))
        .with_safe_default_protocol_versions()
        .unwrap()
        .with_root_certificates(roots)
        .with_no_client_auth();
    config.alpn_protocols = vec![alpn.to_vec()];
    let stream = TcpStream::connect(address).await.unwrap();
    let name = ServerName::try_from("localhost").unwrap();
    TlsConnector::from(Arc::new(config))
        .connect(name, stream)
        .await
}

#[tokio::test]
async fn tls_speaks_both_versions_by_alpn() {
    let server = start(patient(), "127.0.0.1:0", Some(certificate("one"))).await;
    let stream = tls(server.address, "one", b"http/1.1").await.unwrap();
    let answer = talk(stream, get("/echo", "").as_bytes()).await;
    assert!(answer.contains("true https cal.example"), "{answer}");
    let mut stream = tls(server.address, "one", b"h2").await.unwrap();
    stream.write_all(&http2_request()).await.unwrap();
    let data = String::from_utf8(frame(&mut stream, 0).await).unwrap();
    assert!(data.contains("true https localhost"), "{data}");
    let silent = TcpStream::connect(server.address).await.unwrap();
    let answer = talk(silent, get("/echo", "").as_bytes()).await;
    assert!(
        !answer.contains("HTTP/1.1 200"),
        "clear text is not answered: {answer}"
    );
}

#[tokio::test]
async fn a_certificate_is_replaced_under_a_running_server() {
    let folder = std::env::temp_dir().join(format!("kalends-tls-{}", std::process::id()));
    std::fs::create_dir_all(&folder).unwrap();
    let place = |name: &str| {
        for end in ["pem", "key.pem"] {
            std::fs::copy(format!("testdata/tls/{name}.{end}"), folder.join(end)).unwrap();
        }
    };
    place("one");
    let certificate =
        Arc::new(Certificate::load(&folder.join("pem"), &folder.join("key.pem")).unwrap());
    let server = start(patient(), "127.0.0.1:0", Some(certificate.clone())).await;
    assert!(tls(server.address, "one", b"h2").await.is_ok());
    place("two");
    assert!(
        tls(server.address, "two", b"h2").await.is_err(),
        "not before it is asked to"
    );
    certificate.reload().unwrap();
    assert!(tls(server.address, "two", b"h2").await.is_ok());
    assert!(tls(server.address, "one", b"h2").await.is_err());
    std::fs::write(folder.join("pem"), "nonsense").unwrap();
    let error = certificate.reload().unwrap_err().to_string();
    assert!(error.contains("pem"), "{error}");
    assert!(
        tls(server.address, "two", b"h2").await.is_ok(),
        "the one before stays"
    );
    std::fs::remove_dir_all(&folder).unwrap();
}

#[tokio::test]
async fn a_unix_socket_is_served_and_cleaned_up() {
    let path = std::env::temp_dir().join(format!("kalends-{}.sock", std::process::id()));
    let listen = format!("unix:{}", path.display());
    // One that a crashed server left behind is no hindrance.
    drop(std::os::unix::net::UnixListener::bind(&path).unwrap());
    let server = start(patient(), &listen, None).await;
    let stream = UnixStream::connect(&path).await.unwrap();
    let answer = talk(
        stream,
        get("/echo", "X-Forwarded-For: 192.0.2.9\r\n").as_bytes(),
    )
    .await;
    assert!(answer.contains("GET None 192.0.2.9 true http"), "{answer}");
    let second = bind(&listen.parse().unwrap(), None).await;
    assert!(second.is_err(), "a socket in use is not taken away");
    server.stop.send(true).unwrap();
    server.task.await.unwrap();
    assert!(!path.exists());
}

#[tokio::test]
async fn ipv6_is_served_where_there_is_any() {
    let address: Address = "[::1]:0".parse().unwrap();
    match bind(&address, None).await {
        Err(error) => assert!(error.is_absent(), "{error}"),
        Ok(listener) => {
            drop(listener);
            let server = start(patient(), "[::1]:0", None).await;
            let answer = once(&server, &get("/echo", "")).await;
            assert!(answer.contains("GET None ::1 true"), "{answer}");
        }
    }
}
