//! The settings of server.toml as plain data, with their defaults.
//!
//! Nothing below `cli` sees these types: each part gets its own limits and
//! options, filled from here. What the keys mean is said once, in server.toml.

use std::path::PathBuf;

use serde::Deserialize;

use super::units::{Bytes, Seconds};

/// Everything server.toml can say.
#[derive(Clone, Debug, Default, PartialEq, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Settings {
    /// Where the server listens and what it is called from outside.
    pub server: Server,
    /// Limits and time-outs of connections.
    pub http: Http,
    /// How logins are checked and throttled.
    pub auth: Auth,
    /// Limits of calendar objects and answers.
    pub calendars: Calendars,
    /// The engine and its memory.
    pub store: Store,
    /// How long every commit can be replayed.
    pub journal: Journal,
    /// How long replaced and deleted things can be brought back.
    pub history: History,
    /// Scheduled backups.
    pub backup: Backup,
    /// Invitations by mail.
    pub mail: Mail,
    /// The pages on which guests answer.
    pub web: Web,
    /// What is logged and how.
    pub log: Log,
}

/// `[server]`.
#[derive(Clone, Debug, PartialEq, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Server {
    /// Addresses: `host:port`, `http://host:port`, `https://host:port`, `unix:PATH`.
    pub listen: Vec<String>,
    /// The data directory.
    pub data: PathBuf,
    /// The path under which a proxy shows the server, or empty.
    pub prefix: String,
    /// The URL people type, or empty: derived from the first address.
    pub public_url: String,
    /// The name in the password prompt.
    pub realm: String,
    /// Addresses and networks of proxies whose X-Forwarded-* is believed.
    pub trusted_proxies: Vec<String>,
    /// Whether `/metrics` is answered to this machine.
    pub metrics: bool,
    /// The certificate chain, PEM.
    pub certificate: PathBuf,
    /// The certificate's private key, PEM.
    pub key: PathBuf,
}

impl Default for Server {
    fn default() -> Server {
        Server {
            listen: vec!["127.0.0.1:8008".to_owned(), "[::1]:8008".to_owned()],
            data: PathBuf::from("data"),
            prefix: String::new(),
            public_url: String::new(),
            realm: "Kalends".to_owned(),
            trusted_proxies: Vec::new(),
            metrics: false,
            certificate: PathBuf::new(),
            key: PathBuf::new(),
        }
    }
}

/// `[http]`.
#[derive(Clone, Debug, PartialEq, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Http {
    /// From accepting a connection to its first byte, and the TLS handshake.
    pub first_byte: Seconds,
    /// From a request's first byte to the end of its header.
    pub header: Seconds,
    /// From the end of the header to the end of the body.
    pub body: Seconds,
    /// How long the client may take none of the answer's bytes.
    pub write: Seconds,
    /// Between two requests on a connection.
    pub idle: Seconds,
    /// For requests in flight when the server stops.
    pub shutdown: Seconds,
    /// Bytes of a request's header.
    pub max_header: Bytes,
    /// Bytes of a request's body, after decoding.
    pub max_body: Bytes,
    /// Bytes of all bodies being read at one time.
    pub body_memory: Bytes,
    /// Open connections.
    pub max_connections: usize,
    /// Requests of one client address in work at one time.
    pub per_client: usize,
}

impl Default for Http {
    fn default() -> Http {
        Http {
            first_byte: Seconds(10),
            header: Seconds(10),
            body: Seconds(300),
            write: Seconds(60),
            idle: Seconds(150),
            shutdown: Seconds(8),
            max_header: Bytes(64 << 10),
            max_body: Bytes(12_000_000),
            body_memory: Bytes(256 << 20),
            max_connections: 1024,
            per_client: 64,
        }
    }
}

/// `[auth]`.
#[derive(Clone, Debug, PartialEq, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Auth {
    /// How long a verified password is remembered.
    pub remember: Seconds,
    /// How many verified passwords are remembered.
    pub remember_count: usize,
    /// Password checks running at one time.
    pub parallel: usize,
    /// Password checks waiting for their turn.
    pub waiting: usize,
    /// Failed logins of an account or address before it has to wait.
    pub failures: u32,
    /// The time in which failures are counted, and the longest wait.
    pub window: Seconds,
}

impl Default for Auth {
    fn default() -> Auth {
        Auth {
            remember: Seconds(300),
            remember_count: 10_000,
            parallel: 2,
            waiting: 64,
            failures: 10,
            window: Seconds(900),
        }
    }
}

/// `[calendars]`.
#[derive(Clone, Debug, PartialEq, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Calendars {
    /// Bytes of a calendar object: CALDAV:max-resource-size.
    pub max_object: Bytes,
    /// Bytes of a multistatus answer.
    pub max_answer: Bytes,
    /// A directory of TZif files, used if it is newer than the data built in.
    pub zoneinfo: PathBuf,
}

impl Default for Calendars {
    fn default() -> Calendars {
        Calendars {
            max_object: Bytes(10_000_000),
            max_answer: Bytes(256 << 20),
            zoneinfo: PathBuf::from("/usr/share/zoneinfo"),
        }
    }
}

/// Which engine holds the rows.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Engine {
    /// sled behind the journal, in the data directory.
    Sled,
    /// Nothing on disk: everything is gone when the server stops.
    Memory,
}

/// `[store]`.
#[derive(Clone, Debug, PartialEq, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Store {
    /// The engine.
    pub engine: Engine,
    /// Bytes for the engine's page cache.
    pub cache: Bytes,
    /// Bytes for the indexes of calendars in memory.
    pub index_memory: Bytes,
    /// Free bytes on the disk below which writes are refused.
    pub reserve: Bytes,
}

impl Default for Store {
    fn default() -> Store {
        Store {
            engine: Engine::Sled,
            cache: Bytes(64 << 20),
            index_memory: Bytes(256 << 20),
            reserve: Bytes(200_000_000),
        }
    }
}

/// `[journal]`.
#[derive(Clone, Debug, PartialEq, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Journal {
    /// How far back `restore --journal --at` reaches.
    pub keep: Seconds,
    /// Bytes of journal kept for that at most.
    pub keep_bytes: Bytes,
    /// Bytes of journal after which the durable mark moves.
    pub mark_bytes: Bytes,
    /// Time after which the durable mark moves.
    pub mark_after: Seconds,
}

impl Default for Journal {
    fn default() -> Journal {
        Journal {
            keep: Seconds(172_800),
            keep_bytes: Bytes(4 << 30),
            mark_bytes: Bytes(64 << 20),
            mark_after: Seconds(60),
        }
    }
}

/// `[history]`.
#[derive(Clone, Debug, PartialEq, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct History {
    /// How long replaced and deleted objects and calendars are kept.
    pub keep: Seconds,
}

impl Default for History {
    fn default() -> History {
        History {
            keep: Seconds(2_592_000),
        }
    }
}

/// `[backup]`.
#[derive(Clone, Debug, PartialEq, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Backup {
    /// The folder backups are written to, or empty: none are made.
    pub folder: PathBuf,
    /// Time between two backups.
    pub every: Seconds,
    /// How many backups are kept.
    pub keep: usize,
}

impl Default for Backup {
    fn default() -> Backup {
        Backup {
            folder: PathBuf::new(),
            every: Seconds(86_400),
            keep: 7,
        }
    }
}

/// How the connection to the mail server is protected.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum MailSecurity {
    /// STARTTLS, and nothing without it.
    StartTls,
    /// TLS from the first byte.
    Tls,
    /// None, to this machine only.
    None,
}

/// Whose address ORGANIZER is in mails.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum MailOrganizer {
    /// The guest's reply address.
    Reply,
    /// The organizer's own.
    Own,
}

/// `[mail]`.
#[derive(Clone, Debug, PartialEq, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Mail {
    /// The address that mails are from, or empty: nobody outside is invited.
    pub from: String,
    /// What the server is called beside a person's name.
    pub name: String,
    /// The addresses that take answers, with `{token}` in them, or empty.
    pub reply: String,
    /// Whose address ORGANIZER is.
    pub organizer: MailOrganizer,
    /// The language of people who have none.
    pub language: String,
    /// The mail server.
    pub host: String,
    /// Its port; 0 for that of the protection.
    pub port: u16,
    /// How the connection is protected.
    pub security: MailSecurity,
    /// The account at the mail server, or empty.
    pub user: String,
    /// The file with its password.
    pub password_file: PathBuf,
    /// Certificates to trust besides the system's, PEM.
    pub certificates: PathBuf,
    /// A command to hand mails to instead of a mail server.
    pub sendmail: PathBuf,
    /// The selector of the key that mails are signed with, or empty.
    pub dkim_selector: String,
    /// The RSA key that mails are signed with, PEM.
    pub dkim_key: PathBuf,
    /// How long to wait for an answer of the mail server.
    pub timeout: Seconds,
    /// Time without another edit before a mail leaves.
    pub settle: Seconds,
    /// Time before the second attempt; each further one waits twice as long.
    pub retry: Seconds,
    /// Time after which a mail that nobody takes has failed.
    pub keep_trying: Seconds,
    /// Mails that one person may cause in a day.
    pub per_user_day: u32,
    /// Mails at one time.
    pub at_once: usize,
    /// Mails to one domain at one time.
    pub per_domain: usize,
    /// Mails to one domain in a minute.
    pub per_domain_minute: usize,
    /// Whose invitations go into calendars without waiting.
    pub welcome: Vec<String>,
    /// Messages that wait for one person.
    pub pending: usize,
    /// How long a message waits.
    pub pending_keep: Seconds,
    /// Bytes of a mail from outside.
    pub max_size: Bytes,
    /// Mails from one sender in an hour.
    pub per_sender_hour: usize,
    /// How senders' addresses are checked.
    pub check: MailCheck,
    /// The door for mail servers.
    pub lmtp: Lmtp,
    /// The mailbox that is looked into.
    pub imap: Imap,
}

impl Default for Mail {
    fn default() -> Mail {
        Mail {
            from: String::new(),
            name: "Kalends".to_owned(),
            reply: String::new(),
            organizer: MailOrganizer::Reply,
            language: "en".to_owned(),
            host: String::new(),
            port: 0,
            security: MailSecurity::StartTls,
            user: String::new(),
            password_file: PathBuf::new(),
            certificates: PathBuf::new(),
            sendmail: PathBuf::new(),
            dkim_selector: String::new(),
            dkim_key: PathBuf::new(),
            timeout: Seconds(120),
            settle: Seconds(30),
            retry: Seconds(60),
            keep_trying: Seconds(259_200),
            per_user_day: 1000,
            at_once: 4,
            per_domain: 2,
            per_domain_minute: 60,
            welcome: Vec::new(),
            pending: 200,
            pending_keep: Seconds(5_184_000),
            max_size: Bytes(10 << 20),
            per_sender_hour: 100,
            check: MailCheck::default(),
            lmtp: Lmtp::default(),
            imap: Imap::default(),
        }
    }
}

/// `[mail.check]`.
#[derive(Clone, Debug, PartialEq, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct MailCheck {
    /// Whether DKIM, SPF and DMARC are checked here.
    pub own: bool,
    /// The name servers that are asked, or empty: those of the machine.
    pub resolvers: Vec<String>,
    /// How long name servers may take for one mail.
    pub timeout: Seconds,
    /// The names under which trusted mail servers write Authentication-Results.
    pub trusted: Vec<String>,
}

impl Default for MailCheck {
    fn default() -> MailCheck {
        MailCheck {
            own: true,
            resolvers: Vec::new(),
            timeout: Seconds(20),
            trusted: Vec::new(),
        }
    }
}

/// `[mail.lmtp]`.
#[derive(Clone, Debug, PartialEq, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Lmtp {
    /// Addresses: `host:port`, `unix:PATH`.
    pub listen: Vec<String>,
    /// What the server calls itself there, or empty: the domain of mail.from.
    pub host: String,
    /// Connections at one time.
    pub connections: usize,
}

impl Default for Lmtp {
    fn default() -> Lmtp {
        Lmtp {
            listen: Vec::new(),
            host: String::new(),
            connections: 32,
        }
    }
}

/// `[mail.imap]`.
#[derive(Clone, Debug, PartialEq, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Imap {
    /// The mail server, or empty: no mailbox is looked into.
    pub host: String,
    /// Its port; 0 for that of the protection.
    pub port: u16,
    /// How the connection is protected.
    pub security: MailSecurity,
    /// The account.
    pub user: String,
    /// The file with its password.
    pub password_file: PathBuf,
    /// The mailbox.
    pub mailbox: String,
    /// How often it is looked into where the server does not tell by itself.
    pub every: Seconds,
    /// Whether mails that were taken are deleted.
    pub delete: bool,
}

impl Default for Imap {
    fn default() -> Imap {
        Imap {
            host: String::new(),
            port: 0,
            security: MailSecurity::Tls,
            user: String::new(),
            password_file: PathBuf::new(),
            mailbox: "INBOX".to_owned(),
            every: Seconds(60),
            delete: false,
        }
    }
}

/// `[web]`.
#[derive(Clone, Debug, PartialEq, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Web {
    /// Whether guests get a page on which they answer.
    pub pages: bool,
    /// The URL under which guests reach the server, or empty: `server.public_url`.
    pub public_url: String,
    /// How long the link in a mail opens the page.
    pub link: Seconds,
    /// Requests of one client in a minute.
    pub per_client_minute: usize,
    /// Answers by one link in an hour.
    pub per_link_hour: usize,
}

impl Default for Web {
    fn default() -> Web {
        Web {
            pages: true,
            public_url: String::new(),
            link: Seconds(31_536_000),
            per_client_minute: 120,
            per_link_hour: 30,
        }
    }
}

/// How log lines are written.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum LogFormat {
    /// Text on a terminal, JSON otherwise.
    Auto,
    /// Lines for people.
    Text,
    /// One JSON object a line.
    Json,
}

/// `[log]`.
#[derive(Clone, Debug, PartialEq, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Log {
    /// `error`, `warn`, `info`, `debug` or `trace`, or a filter by module.
    pub level: String,
    /// How lines are written.
    pub format: LogFormat,
}

impl Default for Log {
    fn default() -> Log {
        Log {
            level: "info".to_owned(),
            format: LogFormat::Auto,
        }
    }
}
