//! A mailbox that is looked into: for servers whose reply addresses end in a mailbox of somebody else's mail server
//! (RFC 9051; IDLE is its §6.3.13).
//!
//! A mail is marked when everything that follows from it is durable, with a keyword of our own where the mailbox takes
//! any, else with `\Seen`; so whatever ends the connection, no mail is lost, and one that comes twice does nothing.
//!
//! **Gaps**: signs in with LOGIN only; no OAuth. Reads one mailbox.

use std::io;
use std::sync::Arc;
use std::time::Duration;

use tokio::io::{AsyncBufReadExt, AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt, BufReader};
use tokio::net::TcpStream;
use tokio::sync::watch;

use super::authenticate::Envelope;
use super::receive::{Inbound, Refused};
use crate::ical::Timestamp;

/// How a connection is made safe.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Security {
    /// TLS from the first byte.
    Tls,
    /// STARTTLS.
    StartTls,
    /// Not at all: for this machine.
    None,
}

/// What becomes of a mail that was taken.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum After {
    /// It is marked and stays.
    Mark,
    /// It is deleted.
    Delete,
}

/// The mailbox.
#[derive(Clone)]
pub struct Mailbox {
    /// The mail server's name.
    pub host: String,
    /// Its port.
    pub port: u16,
    /// How the connection is made safe.
    pub security: Security,
    /// Who signs in.
    pub user: String,
    /// With what.
    pub password: String,
    /// The mailbox's name.
    pub name: String,
    /// How often it is looked into, where the server does not tell by itself.
    pub every: Duration,
    /// What becomes of a mail that was taken.
    pub after: After,
}

impl std::fmt::Debug for Mailbox {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(
            f,
            "{} of {} at {}:{}",
            self.name, self.user, self.host, self.port
        )
    }
}

/// The keyword of mails that were taken.
const TAKEN: &str = "$KalendsTaken";

/// How long the server may take for one answer.
const ANSWER: Duration = Duration::from_secs(60);

/// How long one IDLE lasts: servers may end one after half an hour. RFC 9051 §6.3.13
const IDLE: Duration = Duration::from_secs(25 * 60);

/// Bytes of an answer that is no mail: the numbers of half a million mails.
const LINE: u64 = 4 << 20;

/// Looks into the mailbox until it is told to stop, again and again after faults.
pub async fn watch(
    mailbox: Mailbox,
    inbound: Arc<Inbound>,
    clock: fn() -> Timestamp,
    mut stop: watch::Receiver<bool>,
) {
    let mut wait = Duration::from_secs(5);
    loop {
        let looked = tokio::select! {
            _ = stop.wait_for(|stop| *stop) => return,
            looked = look(&mailbox, &inbound, clock, &mut wait) => looked,
        };
        if let Err(error) = looked {
            tracing::warn!(%error, mailbox = ?mailbox, "the mailbox cannot be read");
        }
        tokio::select! {
            _ = stop.wait_for(|stop| *stop) => return,
            () = tokio::time::sleep(wait) => {}
        }
        wait = wait.saturating_mul(2).min(Duration::from_secs(600));
    }
}

/// One connection, until it breaks.
async fn look(
    mailbox: &Mailbox,
    inbound: &Inbound,
    clock: fn() -> Timestamp,
    wait: &mut Duration,
) -> io::Result<()> {
    let mut session = Session::open(mailbox).await?;
    let keywords = session.select(&mailbox.name).await?;
    *wait = Duration::from_secs(5);
    let idle = session.has(&["IDLE"]).await?;
    session.expunges = session.has(&["UIDPLUS", "IMAP4rev2"]).await?;
    loop {
        session.news = false;
        let left = session
            .take_all(mailbox, inbound, (keywords, clock))
            .await?;
        if session.news {
            // Something came while mails were taken, and IDLE tells nothing twice.
        } else if idle && left == 0 {
            session.idle().await?;
        } else {
            tokio::time::sleep(mailbox.every).await;
            session.command("NOOP").await?;
        }
    }
}

/// Whether a mailbox takes keywords of ours.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Keywords {
    Any,
    No,
}

/// A connection.
trait Stream: AsyncRead + AsyncWrite + Send + Unpin {}
impl<T: AsyncRead + AsyncWrite + Send + Unpin> Stream for T {}

struct Session {
    stream: BufReader<Box<dyn Stream>>,
    number: u32,
    /// The server said that something came.
    news: bool,
    /// The server deletes one mail and not all that others marked. RFC 9051 §6.4.9
    expunges: bool,
}

/// One line of an answer, with the texts in it that came by their length.
#[derive(Debug, Default)]
struct Line {
    text: String,
    literals: Vec<Vec<u8>>,
}

fn fault(why: impl Into<String>) -> io::Error {
    io::Error::other(why.into())
}

impl Session {
    async fn open(mailbox: &Mailbox) -> io::Result<Session> {
        let address = (mailbox.host.as_str(), mailbox.port);
        let tcp = tokio::time::timeout(ANSWER, TcpStream::connect(address)).await??;
        tcp.set_nodelay(true)?;
        let mut session = match mailbox.security {
            Security::Tls => Session::over(Box::new(secured(tcp, &mailbox.host).await?)),
            Security::None => Session::over(Box::new(tcp)),
            Security::StartTls => {
                let mut plain = Session::over(Box::new(tcp));
                plain.greeting().await?;
                plain.command("STARTTLS").await?;
                if !plain.stream.buffer().is_empty() {
                    return Err(fault("the server said something before TLS began"));
                }
                let inner = plain.stream.into_inner();
                Session::over(Box::new(secured(inner, &mailbox.host).await?))
            }
        };
        if mailbox.security != Security::StartTls {
            session.greeting().await?;
        }
        let login = format!(
            "LOGIN {} {}",
            quoted(&mailbox.user)?,
            quoted(&mailbox.password)?
        );
        session.command(&login).await?;
        Ok(session)
    }

    async fn greeting(&mut self) -> io::Result<()> {
        let greeting = tokio::time::timeout(ANSWER, self.line(LINE)).await??;
        match greeting.text.starts_with("* OK") {
            true => Ok(()),
            false => Err(fault(format!("the server says {}", greeting.text))),
        }
    }

    fn over(stream: Box<dyn Stream>) -> Session {
        Session {
            stream: BufReader::new(stream),
            number: 0,
            news: false,
            expunges: false,
        }
    }

    /// Sends a command and waits for its end; answers what came before.
    async fn command(&mut self, command: &str) -> io::Result<Vec<Line>> {
        self.exchange(command, LINE).await
    }

    async fn exchange(&mut self, command: &str, longest: u64) -> io::Result<Vec<Line>> {
        let tag = self.send(command).await?;
        let mut lines = Vec::new();
        let mut left = longest;
        loop {
            let line = tokio::time::timeout(ANSWER, self.line(left)).await??;
            let Some(rest) = line.text.strip_prefix(&tag) else {
                let length = line.literals.iter().map(Vec::len).sum::<usize>();
                let length = u64::try_from(length.saturating_add(line.text.len()).max(64));
                left = left
                    .checked_sub(length.unwrap_or(u64::MAX))
                    .ok_or_else(|| fault("the server does not stop talking"))?;
                self.news |= line.text.to_uppercase().ends_with("EXISTS");
                lines.push(line);
                continue;
            };
            let word = command.split(' ').next().unwrap_or_default();
            return match rest.trim_start().get(..2) {
                Some(ok) if ok.eq_ignore_ascii_case("OK") => Ok(lines),
                _ => Err(fault(format!("{word} was answered with{rest}"))),
            };
        }
    }

    async fn send(&mut self, command: &str) -> io::Result<String> {
        self.number = self.number.wrapping_add(1);
        let tag = format!("k{}", self.number);
        let line = format!("{tag} {command}\r\n");
        self.stream.write_all(line.as_bytes()).await?;
        self.stream.flush().await?;
        Ok(format!("{tag} "))
    }

    /// A line; texts that come by their length are read with it. RFC 9051 §4.3
    async fn line(&mut self, longest: u64) -> io::Result<Line> {
        let mut line = Line::default();
        let mut left = longest;
        loop {
            let mut bytes = Vec::new();
            let read = (&mut self.stream)
                .take(left.min(LINE))
                .read_until(b'\n', &mut bytes)
                .await?;
            if read == 0 || !bytes.ends_with(b"\n") {
                return Err(fault("the server broke off"));
            }
            let text = String::from_utf8_lossy(&bytes);
            let text = text.trim_end_matches(['\r', '\n']);
            line.text.push_str(text);
            let length = text
                .strip_suffix('}')
                .and_then(|text| text.rsplit_once('{'))
                .and_then(|(_, length)| length.trim_end_matches('+').parse::<u64>().ok());
            let Some(length) = length else {
                return Ok(line);
            };
            left = left
                .checked_sub(length)
                .ok_or_else(|| fault("the server sends too much"))?;
            let mut literal = Vec::new();
            let read = (&mut self.stream)
                .take(length)
                .read_to_end(&mut literal)
                .await?;
            if u64::try_from(read).ok() != Some(length) {
                return Err(fault("the server broke off"));
            }
            line.literals.push(literal);
        }
    }

    /// Whether the server has one of these capabilities.
    async fn has(&mut self, capabilities: &[&str]) -> io::Result<bool> {
        let lines = self.command("CAPABILITY").await?;
        let mut words = lines.iter().flat_map(|line| line.text.split(' '));
        Ok(words.any(|word| capabilities.iter().any(|it| word.eq_ignore_ascii_case(it))))
    }

    async fn select(&mut self, name: &str) -> io::Result<Keywords> {
        let lines = self.command(&format!("SELECT {}", quoted(name)?)).await?;
        let any = lines.iter().any(|line| {
            let text = line.text.to_uppercase();
            text.contains("PERMANENTFLAGS") && text.contains("\\*")
        });
        Ok(if any { Keywords::Any } else { Keywords::No })
    }

    /// Takes all mails that were not taken yet; answers how many have to be tried again.
    async fn take_all(
        &mut self,
        mailbox: &Mailbox,
        inbound: &Inbound,
        (keywords, clock): (Keywords, fn() -> Timestamp),
    ) -> io::Result<usize> {
        let search = match keywords {
            Keywords::Any => format!("UID SEARCH UNDELETED UNKEYWORD {TAKEN}"),
            Keywords::No => "UID SEARCH UNDELETED UNSEEN".to_owned(),
        };
        let lines = self.command(&search).await?;
        let found = lines
            .iter()
            .filter_map(|line| line.text.strip_prefix("* SEARCH"));
        let found: Vec<u32> = found
            .flat_map(str::split_whitespace)
            .filter_map(|uid| uid.parse().ok())
            .collect();
        let mut left = 0;
        for uid in found {
            match self.take_one(uid, inbound, clock).await? {
                Taken::Yes => self.mark(uid, mailbox.after, keywords).await?,
                Taken::Later => left += 1,
            }
        }
        Ok(left)
    }

    async fn take_one(
        &mut self,
        uid: u32,
        inbound: &Inbound,
        clock: fn() -> Timestamp,
    ) -> io::Result<Taken> {
        let longest = u64::try_from(inbound.longest()).unwrap_or(u64::MAX);
        let lines = self
            .command(&format!("UID FETCH {uid} (UID RFC822.SIZE)"))
            .await?;
        let size = lines.iter().find_map(|line| {
            let (_, rest) = line.text.split_once("RFC822.SIZE ")?;
            let digits = rest.split(|c: char| !c.is_ascii_digit()).next()?;
            digits.parse::<u64>().ok()
        });
        // A mail that is too long, or gone, is not looked at again.
        if size.is_none_or(|size| size > longest) {
            tracing::warn!(uid, ?size, "a mail in the mailbox is too long, or gone");
            return Ok(Taken::Yes);
        }
        let fetch = format!("UID FETCH {uid} (UID BODY.PEEK[])");
        let lines = self.exchange(&fetch, longest.saturating_add(LINE)).await?;
        let Some(mail) = lines.into_iter().flat_map(|line| line.literals).next() else {
            return Ok(Taken::Yes);
        };
        match inbound.receive(&mail, &Envelope::default(), clock()).await {
            Ok(_) => Ok(Taken::Yes),
            Err(Refused::Later(why)) => {
                tracing::info!(uid, why, "a mail in the mailbox is put off");
                Ok(Taken::Later)
            }
            // One mail that cannot be taken does not keep the others waiting.
            Err(Refused::Store(error)) => {
                tracing::error!(uid, %error, "a mail in the mailbox was not taken");
                Ok(Taken::Later)
            }
        }
    }

    async fn mark(&mut self, uid: u32, after: After, keywords: Keywords) -> io::Result<()> {
        let flags = match (keywords, after) {
            (Keywords::Any, After::Mark) => format!("\\Seen {TAKEN}"),
            (Keywords::No, After::Mark) => "\\Seen".to_owned(),
            (_, After::Delete) => "\\Deleted".to_owned(),
        };
        self.command(&format!("UID STORE {uid} +FLAGS.SILENT ({flags})"))
            .await?;
        if after == After::Delete {
            let expunge = match self.expunges {
                true => format!("UID EXPUNGE {uid}"),
                false => "EXPUNGE".to_owned(),
            };
            self.command(&expunge).await?;
        }
        Ok(())
    }

    /// Waits until the server says that something came. RFC 9051 §6.3.13
    async fn idle(&mut self) -> io::Result<()> {
        let tag = self.send("IDLE").await?;
        let news = async {
            loop {
                let line = self.line(LINE).await?;
                if line.text.starts_with(&tag) {
                    return Err(fault(format!("IDLE was answered with {}", line.text)));
                }
                if line.text.to_uppercase().ends_with("EXISTS") {
                    return Ok(());
                }
            }
        };
        if let Ok(news) = tokio::time::timeout(IDLE, news).await {
            news?;
        }
        self.stream.write_all(b"DONE\r\n").await?;
        self.stream.flush().await?;
        loop {
            let line = tokio::time::timeout(ANSWER, self.line(LINE)).await??;
            if line.text.starts_with(&tag) {
                return Ok(());
            }
        }
    }
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Taken {
    Yes,
    Later,
}

/// A string as commands have it. RFC 9051 §4.3
fn quoted(text: &str) -> io::Result<String> {
    if text.contains(['\r', '\n', '\0']) {
        return Err(fault("a name or password has a line end in it"));
    }
    let escaped = text.replace('\\', "\\\\").replace('"', "\\\"");
    Ok(format!("\"{escaped}\""))
}

/// TLS with the certificates this machine trusts.
async fn secured<S: Stream + 'static>(
    stream: S,
    host: &str,
) -> io::Result<tokio_rustls::client::TlsStream<S>> {
    use tokio_rustls::rustls::pki_types::ServerName;
    use tokio_rustls::rustls::{ClientConfig, RootCertStore};
    let mut roots = RootCertStore::empty();
    for certificate in rustls_native_certs::load_native_certs().certs {
        roots.add(certificate).map_err(io::Error::other)?;
    }
    let config = ClientConfig::builder()
        .with_root_certificates(roots)
        .with_no_client_auth();
    let name = ServerName::try_from(host.to_owned()).map_err(io::Error::other)?;
    let connector = tokio_rustls::TlsConnector::from(Arc::new(config));
    tokio::time::timeout(ANSWER, connector.connect(name, stream)).await?
}

#[cfg(test)]
mod tests {
    use super::*;
    use tokio::io::{AsyncReadExt, DuplexStream, duplex};

    /// A session, and the other end of its line.
    fn session() -> (Session, DuplexStream) {
        let (ours, theirs) = duplex(1 << 20);
        (Session::over(Box::new(ours)), theirs)
    }

    async fn heard(server: &mut DuplexStream) -> String {
        let mut bytes = vec![0; 4096];
        let read = server.read(&mut bytes).await.unwrap();
        String::from_utf8_lossy(&bytes[..read]).into_owned()
    }

    #[tokio::test]
    async fn a_mailbox_of_many_mails_is_one_line() {
        let (mut session, mut server) = session();
        let numbers: String = (1_000_000..1_060_000)
            .map(|uid| format!(" {uid}"))
            .collect();
        let answer = format!("* SEARCH{numbers}\r\nk1 OK done\r\n");
        let writer = tokio::spawn(async move {
            server.write_all(answer.as_bytes()).await.unwrap();
            server
        });
        let lines = session.command("UID SEARCH ALL").await.unwrap();
        assert_eq!(lines[0].text.split(' ').count(), 60_002);
        writer.await.unwrap();
    }

    #[tokio::test]
    async fn a_mail_that_came_meanwhile_is_news_and_no_end_is_an_end() {
        let (mut session, mut server) = session();
        server
            .write_all(b"* 7 EXISTS\r\n* 1 FETCH (UID 3 BODY[] {5}\r\na\r\nb\r)\r\nk1 OK x\r\n")
            .await
            .unwrap();
        let lines = session
            .exchange("UID FETCH 3 (BODY.PEEK[])", 1000)
            .await
            .unwrap();
        assert!(session.news);
        assert_eq!(lines[1].literals, [b"a\r\nb\r".to_vec()]);
        // A server that breaks off inside a mail, and one that sends more than was asked for.
        server
            .write_all(b"* 1 FETCH (BODY[] {99}\r\nabc")
            .await
            .unwrap();
        drop(server);
        assert!(
            session
                .exchange("UID FETCH 3 (BODY.PEEK[])", 1000)
                .await
                .is_err()
        );
        let (mut session, mut server) = self::session();
        server
            .write_all(b"* 1 FETCH (BODY[] {9999}\r\n")
            .await
            .unwrap();
        assert!(
            session
                .exchange("UID FETCH 3 (BODY.PEEK[])", 1000)
                .await
                .is_err()
        );
    }

    #[tokio::test]
    async fn idle_ends_when_something_comes() {
        let (mut session, mut server) = session();
        let idle = tokio::spawn(async move {
            session.idle().await.unwrap();
        });
        assert_eq!(heard(&mut server).await, "k1 IDLE\r\n");
        server
            .write_all(b"+ idling\r\n* 3 RECENT\r\n* 3 EXISTS\r\n")
            .await
            .unwrap();
        assert_eq!(heard(&mut server).await, "DONE\r\n");
        server.write_all(b"k1 OK done\r\n").await.unwrap();
        idle.await.unwrap();
    }

    #[tokio::test]
    async fn one_mail_is_deleted_and_not_what_others_marked() {
        for (expunges, expected) in [(true, "k2 UID EXPUNGE 5\r\n"), (false, "k2 EXPUNGE\r\n")] {
            let (mut session, mut server) = session();
            session.expunges = expunges;
            let mark = tokio::spawn(async move {
                session.mark(5, After::Delete, Keywords::Any).await.unwrap();
            });
            assert_eq!(
                heard(&mut server).await,
                "k1 UID STORE 5 +FLAGS.SILENT (\\Deleted)\r\n"
            );
            server.write_all(b"k1 OK x\r\n").await.unwrap();
            assert_eq!(heard(&mut server).await, expected);
            server.write_all(b"k2 OK x\r\n").await.unwrap();
            mark.await.unwrap();
        }
    }

    #[test]
    fn names_and_passwords_are_quoted() {
        assert_eq!(quoted(r#"a"b\c"#).unwrap(), r#""a\"b\\c""#);
        assert!(quoted("a\r\nk9 DELETE INBOX").is_err());
    }
}
