//! How a mail leaves, and by SMTP to the site's mail server; `pipe` is the other way.
//!
//! The relay is the site's own: it knows where mail goes, and queues for receivers that are away. Its
//! answer decides: 2xx is taken, 4xx is tried again, 5xx is final; what is wrong between us and it (no
//! connection, no TLS, a login that fails) concerns no mail and is tried again with all of them.

use std::future::Future;
use std::pin::Pin;
use std::time::Duration;

use lettre::address::Envelope;
use lettre::transport::smtp::PoolConfig;
use lettre::transport::smtp::authentication::Credentials;
use lettre::transport::smtp::client::{Certificate, Tls, TlsParameters};
use lettre::transport::smtp::extension::ClientId;
use lettre::{Address, AsyncSmtpTransport, AsyncTransport, Tokio1Executor};

use super::compose::Mail;

/// Why a mail did not leave.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Trouble {
    /// It will not be taken however often it is tried.
    Final(String),
    /// It may be taken another time.
    ForNow(String),
    /// Nobody who takes mail can be reached, whatever the mail.
    Unreachable(String),
}

impl Trouble {
    /// Why, in the words of who said it.
    #[must_use]
    pub fn why(&self) -> &str {
        match self {
            Trouble::Final(why) | Trouble::ForNow(why) | Trouble::Unreachable(why) => why,
        }
    }
}

/// What an attempt comes to: taken, or not.
pub type Sent<'a> = Pin<Box<dyn Future<Output = Result<(), Trouble>> + Send + 'a>>;

/// Takes mails.
pub trait Transport: Send + Sync {
    /// Sends a mail; when this answers without an error somebody else is responsible for it.
    fn send<'a>(&'a self, mail: &'a Mail) -> Sent<'a>;
}

/// How the connection to the mail server is protected.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Security {
    /// STARTTLS, and nothing without it. RFC 3207
    StartTls,
    /// TLS from the first byte. RFC 8314
    Tls,
    /// None: only to this machine.
    None,
}

/// A mail server to which mails are handed.
#[derive(Clone)]
pub struct Relay {
    /// Its name or address.
    pub host: String,
    /// Its port.
    pub port: u16,
    /// How the connection is protected.
    pub security: Security,
    /// The account there, with its password.
    pub login: Option<(String, String)>,
    /// Certificates to trust besides the system's, PEM.
    pub certificates: Option<Vec<u8>>,
    /// What the server calls itself in EHLO.
    pub name: String,
    /// Connections that are kept.
    pub connections: u32,
    /// How long to wait for an answer.
    pub timeout: Duration,
}

impl std::fmt::Debug for Relay {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        // The password is nobody's business.
        let login = self.login.as_ref().map(|(user, _)| user);
        write!(f, "{}:{} as {login:?}", self.host, self.port)
    }
}

/// SMTP to a mail server, with connections that are used again. RFC 5321
struct Smtp(AsyncSmtpTransport<Tokio1Executor>);

/// Connections to a mail server.
///
/// # Errors
/// A sentence, if its certificates cannot be read.
pub fn smtp(relay: &Relay) -> Result<impl Transport + use<>, String> {
    let mut builder = AsyncSmtpTransport::<Tokio1Executor>::builder_dangerous(&relay.host)
        .port(relay.port)
        .tls(tls(relay)?)
        .hello_name(ClientId::Domain(relay.name.clone()))
        .timeout(Some(relay.timeout))
        .pool_config(PoolConfig::new().max_size(relay.connections));
    if let Some((user, password)) = &relay.login {
        builder = builder.credentials(Credentials::new(user.clone(), password.clone()));
    }
    Ok(Smtp(builder.build()))
}

fn tls(relay: &Relay) -> Result<Tls, String> {
    if relay.security == Security::None {
        return Ok(Tls::None);
    }
    let mut parameters = TlsParameters::builder(relay.host.clone());
    if let Some(pem) = &relay.certificates {
        let bad = |error| format!("the certificates for mail cannot be read: {error}");
        let certificate = Certificate::from_pem(pem).map_err(bad)?;
        parameters = parameters.add_root_certificate(certificate);
    }
    let bad = |error| format!("TLS to the mail server is not possible: {error}");
    let parameters = parameters.build_rustls().map_err(bad)?;
    Ok(match relay.security {
        Security::Tls => Tls::Wrapper(parameters),
        Security::StartTls | Security::None => Tls::Required(parameters),
    })
}

/// RFC 5321 §4.2.2, RFC 4954 §6: answers that are about the sender's site and no mail.
const ABOUT_US: [u16; 9] = [500, 501, 502, 503, 504, 530, 534, 535, 538];

impl Transport for Smtp {
    fn send<'a>(&'a self, mail: &'a Mail) -> Sent<'a> {
        Box::pin(async move {
            let envelope = envelope(mail)?;
            let sent = self.0.send_raw(&envelope, &mail.bytes).await;
            sent.map(|_| ()).map_err(|error| {
                let why = said(&error);
                let code = error.status().map(u16::from);
                match code {
                    Some(code) if ABOUT_US.contains(&code) => Trouble::Unreachable(why),
                    Some(500..) => Trouble::Final(why),
                    Some(_) => Trouble::ForNow(why),
                    // A connection that breaks after it was made may be this mail's fault.
                    None if error.is_response() => Trouble::ForNow(why),
                    None => Trouble::Unreachable(why),
                }
            })
        })
    }
}

/// Who sends it and to whom, if both are addresses.
pub(super) fn envelope(mail: &Mail) -> Result<Envelope, Trouble> {
    let address = |text: &str| {
        let bad = |error| Trouble::Final(format!("\"{text}\" is no mail address: {error}"));
        text.parse::<Address>().map_err(bad)
    };
    let (from, to) = (address(&mail.sender)?, address(&mail.recipient)?);
    Envelope::new(Some(from), vec![to]).map_err(|error| Trouble::Final(error.to_string()))
}

/// An error and what caused it, in one line.
fn said(error: &dyn std::error::Error) -> String {
    let mut said = error.to_string();
    let mut cause = error.source();
    while let Some(error) = cause {
        let more = error.to_string();
        if !said.contains(&more) {
            said = format!("{said}: {more}");
        }
        cause = error.source();
    }
    super::tidings::one_line(&said)
}
