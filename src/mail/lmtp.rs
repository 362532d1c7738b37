//! The door for mail servers: LMTP, or SMTP from those who do not know it (RFC 2033, RFC 5321).
//!
//! A mail is answered with 250 when everything that follows from it is durable. Recipients are reply addresses and
//! people of this server; nobody else is taken, so nothing is relayed.
//!
//! **Gaps**: no STARTTLS and no AUTH: it is meant for this machine, for a Unix socket, or behind a mail server. BDAT is
//! not offered.

use std::io;
use std::net::IpAddr;
use std::sync::Arc;
use std::time::Duration;

use smtp_proto::request::receiver::{DataReceiver, DummyDataReceiver, RequestReceiver};
use smtp_proto::{Error, Request};
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};
use tokio::net::{TcpListener, UnixListener};
use tokio::sync::{Semaphore, watch};

use super::authenticate::{Client, Envelope};
use super::read::plain_address;
use super::receive::{Inbound, Refused};
use crate::ical::Timestamp;

/// How much of the door a client may have.
#[derive(Clone, Debug)]
pub struct Bounds {
    /// Connections at once.
    pub connections: usize,
    /// Recipients of a mail.
    pub recipients: usize,
    /// Commands that cannot be understood, and recipients that are not here, on one connection.
    pub faults: usize,
    /// Between two commands.
    pub idle: Duration,
    /// For a whole mail after DATA.
    pub data: Duration,
}

impl Default for Bounds {
    fn default() -> Bounds {
        Bounds {
            connections: 32,
            recipients: 100,
            faults: 20,
            idle: Duration::from_secs(300),
            data: Duration::from_secs(600),
        }
    }
}

/// A socket that mail servers come to.
#[derive(Debug)]
pub enum Socket {
    /// By TCP.
    Tcp(TcpListener),
    /// On this machine.
    Unix(UnixListener),
}

/// The door.
pub struct Door {
    /// What takes the mails.
    pub inbound: Arc<Inbound>,
    /// What this machine is called.
    pub host: String,
    /// How much a client may have.
    pub bounds: Bounds,
    /// What time it is.
    pub clock: fn() -> Timestamp,
}

/// Lets mail servers in until it is told to stop.
pub async fn serve(door: Arc<Door>, socket: Socket, stop: watch::Receiver<bool>) {
    let places = Arc::new(Semaphore::new(door.bounds.connections));
    let mut stopped = stop.clone();
    loop {
        let place = tokio::select! {
            _ = stopped.wait_for(|stop| *stop) => return,
            place = places.clone().acquire_owned() => match place {
                Ok(place) => place,
                Err(_) => return,
            },
        };
        let accepted = tokio::select! {
            _ = stopped.wait_for(|stop| *stop) => return,
            accepted = accept(&socket) => accepted,
        };
        let (stream, peer) = match accepted {
            Ok(accepted) => accepted,
            Err(error) => {
                tracing::warn!(%error, "no mail server can connect");
                tokio::time::sleep(Duration::from_millis(200)).await;
                continue;
            }
        };
        let (door, stop) = (door.clone(), stop.clone());
        tokio::spawn(async move {
            let _place = place;
            if let Err(error) = talk(&door, stream, peer, stop).await {
                tracing::debug!(%error, "a mail server went away");
            }
        });
    }
}

/// A connection.
trait Stream: AsyncRead + AsyncWrite + Send + Unpin {}
impl<T: AsyncRead + AsyncWrite + Send + Unpin> Stream for T {}

async fn accept(socket: &Socket) -> io::Result<(Box<dyn Stream>, Option<IpAddr>)> {
    Ok(match socket {
        Socket::Tcp(listener) => {
            let (stream, peer) = listener.accept().await?;
            stream.set_nodelay(true)?;
            (Box::new(stream), Some(peer.ip()))
        }
        Socket::Unix(listener) => (Box::new(listener.accept().await?.0), None),
    })
}

/// One connection from its greeting to its end.
///
/// # Errors
/// The connection broke, or its client took too long.
async fn talk(
    door: &Door,
    mut stream: Box<dyn Stream>,
    peer: Option<IpAddr>,
    mut stop: watch::Receiver<bool>,
) -> io::Result<()> {
    let mut session = Session::new(door, peer);
    let greeting = format!("220 {} Kalends takes answers to invitations\r\n", door.host);
    stream.write_all(greeting.as_bytes()).await?;
    let mut buffer = vec![0; 16 << 10];
    loop {
        let time = match session.reading {
            // A whole command, however its bytes are spread.
            Reading::Commands => door.bounds.idle.saturating_sub(session.spoke.elapsed()),
            // The whole of a mail, however its bytes are spread.
            Reading::Data(_) | Reading::Overlong(_) => door
                .bounds
                .data
                .saturating_sub(session.begun.map_or(Duration::ZERO, |it| it.elapsed())),
        };
        let read = tokio::select! {
            // Not with the value it waits for, which is locked while it is looked at.
            () = async { drop(stop.wait_for(|stop| *stop).await) } => None,
            read = tokio::time::timeout(time, stream.read(&mut buffer)) => Some(read),
        };
        let Some(read) = read else {
            stream.write_all(b"421 4.3.2 the server stops\r\n").await?;
            return stream.shutdown().await;
        };
        let Ok(read) = read else {
            stream
                .write_all(b"421 4.4.2 that took too long\r\n")
                .await?;
            return stream.shutdown().await;
        };
        let read = read?;
        let Some(bytes) = buffer.get(..read).filter(|bytes| !bytes.is_empty()) else {
            return Ok(());
        };
        let ended = session.ingest(bytes).await;
        // Commands that came together are answered together. RFC 2920 §3.2
        let said = stream.write_all(session.out.as_bytes());
        tokio::time::timeout(door.bounds.idle, said).await??;
        session.out.clear();
        if ended == Ended::Yes {
            return stream.shutdown().await;
        }
    }
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Ended {
    No,
    Yes,
}

/// What the next bytes are.
enum Reading {
    Commands,
    Data(DataReceiver),
    /// A mail that is too long, to its end.
    Overlong(DummyDataReceiver),
}

/// What was agreed on so far.
struct Session<'d> {
    door: &'d Door,
    peer: Option<IpAddr>,
    receiver: RequestReceiver,
    reading: Reading,
    begun: Option<tokio::time::Instant>,
    /// When the last command was complete.
    spoke: tokio::time::Instant,
    /// What the client calls itself; LMTP answers for each recipient.
    helo: Option<String>,
    lmtp: bool,
    sender: Option<String>,
    recipients: Vec<String>,
    data: Vec<u8>,
    faults: usize,
    out: String,
}

impl Session<'_> {
    fn new(door: &Door, peer: Option<IpAddr>) -> Session<'_> {
        Session {
            door,
            peer,
            receiver: RequestReceiver::default(),
            reading: Reading::Commands,
            begun: None,
            spoke: tokio::time::Instant::now(),
            helo: None,
            lmtp: false,
            sender: None,
            recipients: Vec::new(),
            data: Vec::new(),
            faults: 0,
            out: String::new(),
        }
    }

    fn say(&mut self, line: &str) {
        self.out.push_str(line);
        self.out.push_str("\r\n");
    }

    fn reset(&mut self) {
        self.sender = None;
        self.recipients.clear();
        self.data = Vec::new();
    }

    async fn ingest(&mut self, bytes: &[u8]) -> Ended {
        let mut iter = bytes.iter();
        loop {
            let before = iter.len();
            match &mut self.reading {
                Reading::Data(receiver) => {
                    if receiver.ingest(&mut iter, &mut self.data) {
                        self.reading = Reading::Commands;
                        self.finish().await;
                    } else if self.data.len() > self.door.inbound.longest() {
                        self.reading = Reading::Overlong(DummyDataReceiver::new_data(receiver));
                        self.data = Vec::new();
                    }
                }
                Reading::Overlong(receiver) => {
                    if receiver.ingest(&mut iter) {
                        self.reading = Reading::Commands;
                        self.answer_all("552 5.3.4 the mail is too long");
                        self.spoke = tokio::time::Instant::now();
                        self.reset();
                    }
                }
                Reading::Commands => {
                    let request = self.receiver.ingest(&mut iter);
                    let request = request.map(Request::into_owned);
                    match request {
                        Ok(request) => {
                            if self.command(request).await == Ended::Yes {
                                return Ended::Yes;
                            }
                        }
                        Err(Error::NeedsMoreData { .. }) => return Ended::No,
                        Err(Error::ResponseTooLong) => {
                            self.say("421 5.5.6 a line is too long");
                            return Ended::Yes;
                        }
                        Err(error) => self.fault(&format!("501 5.5.2 {}", plain(&error))),
                    }
                }
            }
            if self.faults > self.door.bounds.faults {
                self.say("421 4.7.0 too many faults");
                return Ended::Yes;
            }
            if iter.len() == 0 && (before == 0 || !matches!(self.reading, Reading::Commands)) {
                return Ended::No;
            }
        }
    }

    fn fault(&mut self, line: &str) {
        self.spoke = tokio::time::Instant::now();
        self.faults = self.faults.saturating_add(1);
        self.say(line);
    }

    async fn command(&mut self, request: Request<String>) -> Ended {
        self.spoke = tokio::time::Instant::now();
        match request {
            Request::Lhlo { host } => self.hello(host, true),
            Request::Ehlo { host } => self.hello(host, false),
            Request::Helo { host } => {
                self.reset();
                self.helo = Some(host);
                self.lmtp = false;
                let name = format!("250 {}", self.door.host);
                self.say(&name);
            }
            Request::Mail { from } => self.mail(from.address, from.size),
            Request::Rcpt { to } => self.recipient(&to.address).await,
            Request::Data if self.recipients.is_empty() => {
                self.fault("503 5.5.1 no recipient is taken");
            }
            Request::Data => {
                self.say("354 go on, a dot on a line of its own ends it");
                self.reading = Reading::Data(DataReceiver::new());
                self.begun = Some(tokio::time::Instant::now());
            }
            Request::Rset => {
                self.reset();
                self.say("250 2.0.0 forgotten");
            }
            Request::Noop { .. } => self.say("250 2.0.0 well"),
            Request::Vrfy { .. } | Request::Expn { .. } => {
                self.fault("252 2.5.0 send it and see");
            }
            Request::Help { .. } => self.say("214 2.0.0 answers to invitations are taken here"),
            Request::Quit => {
                self.say("221 2.0.0 goodbye");
                return Ended::Yes;
            }
            Request::StartTls
            | Request::Auth { .. }
            | Request::Bdat { .. }
            | Request::Burl { .. }
            | Request::Etrn { .. }
            | Request::Atrn { .. } => self.fault("502 5.5.1 that is not spoken here"),
        }
        Ended::No
    }

    fn hello(&mut self, host: String, lmtp: bool) {
        self.reset();
        self.helo = Some(host);
        self.lmtp = lmtp;
        let lines = format!(
            "250-{}\r\n250-PIPELINING\r\n250-ENHANCEDSTATUSCODES\r\n250-8BITMIME\r\n250-SMTPUTF8\r\n250 SIZE {}",
            self.door.host,
            self.door.inbound.longest()
        );
        self.say(&lines);
    }

    fn mail(&mut self, address: String, size: usize) {
        if self.helo.is_none() {
            return self.fault("503 5.5.1 say who you are first");
        }
        if self.sender.is_some() {
            return self.fault("503 5.5.1 a mail is begun already");
        }
        if size > self.door.inbound.longest() {
            return self.say("552 5.3.4 the mail is too long");
        }
        self.sender = Some(address);
        self.say("250 2.1.0 well");
    }

    async fn recipient(&mut self, address: &str) {
        if self.sender.is_none() {
            return self.fault("503 5.5.1 say who sends it first");
        }
        if self.recipients.len() >= self.door.bounds.recipients {
            return self.say("452 4.5.3 too many recipients");
        }
        let address = plain_address(address);
        match self.door.inbound.takes(&address).await {
            Ok(true) => {
                self.recipients.push(address);
                self.say("250 2.1.5 well");
            }
            Ok(false) => self.fault("550 5.1.1 nobody here has this address"),
            Err(error) => {
                tracing::error!(%error, "a recipient cannot be looked up");
                self.say("451 4.3.0 try again later");
            }
        }
    }

    /// The mail is here: it is taken, or not, before it is answered for.
    async fn finish(&mut self) {
        let client = self.peer.filter(|peer| !self.lmtp && !peer.is_loopback());
        let envelope = Envelope {
            recipients: self.recipients.clone(),
            sender: self.sender.clone(),
            client: client.map(|address| Client {
                address,
                helo: self.helo.clone().unwrap_or_default(),
            }),
        };
        self.spoke = tokio::time::Instant::now();
        let data = std::mem::take(&mut self.data);
        let now = (self.door.clock)();
        let line = match self.door.inbound.receive(&data, &envelope, now).await {
            Ok(_) => "250 2.0.0 taken".to_owned(),
            Err(Refused::Later(why)) => {
                tracing::info!(why, "a mail was put off");
                "451 4.7.1 try again later".to_owned()
            }
            Err(Refused::Store(error)) => {
                tracing::error!(%error, "a mail was not taken");
                "451 4.3.0 try again later".to_owned()
            }
        };
        self.answer_all(&line);
        self.reset();
    }

    /// LMTP answers for each recipient, SMTP for the mail. RFC 2033 §4.2
    fn answer_all(&mut self, line: &str) {
        let times = if self.lmtp { self.recipients.len() } else { 1 };
        for _ in 0..times.max(1) {
            self.say(line);
        }
    }
}

/// What is wrong with a command, for its sender.
fn plain(error: &Error) -> &'static str {
    match error {
        Error::UnknownCommand => "that is no command",
        Error::InvalidSenderAddress => "that is no return address",
        Error::InvalidRecipientAddress => "that is no address",
        Error::InvalidParameter { .. } | Error::UnsupportedParameter { .. } => {
            "a parameter is not known"
        }
        Error::NeedsMoreData { .. }
        | Error::SyntaxError { .. }
        | Error::ResponseTooLong
        | Error::InvalidResponse { .. } => "that cannot be understood",
    }
}
