//! The inner half of `[mail]`, and `[web]`: what takes mails from outside, and the pages on which guests answer.

use std::net::SocketAddr;
use std::path::Path;
use std::sync::Arc;

use tokio::net::TcpListener;
use tokio::sync::watch;
use tokio::task::JoinHandle;

use super::clock::now;
use super::failure::{Code, Failure};
use super::mail::password;
use super::run::Ground;
use super::settings::{Imap, Mail, MailSecurity, Settings};
use crate::dav::Shared;
use crate::http::address::Address;
use crate::http::listen::unix;
use crate::mail::held::Room;
use crate::mail::imap::{self, After, Mailbox};
use crate::mail::lmtp::{Bounds, Door, Socket, serve};
use crate::mail::{Authenticator, Checks, Inbound, Limits, Own, Treatment};
use crate::web::{Pages, Rates, Site};

/// What takes mails from outside; none where mails are neither sent nor taken.
pub(super) fn inbound(settings: &Settings, shared: &Arc<Shared>) -> Option<Arc<Inbound>> {
    let mail = &settings.mail;
    let ways = !mail.reply.is_empty() || !mail.lmtp.listen.is_empty() || !mail.imap.host.is_empty();
    if !mail.is_on() && !ways {
        return None;
    }
    let resolvers = mail.check.resolvers.iter();
    let resolvers: Vec<SocketAddr> = resolvers.filter_map(|it| it.parse().ok()).collect();
    let own = match (mail.check.own, resolvers.is_empty()) {
        (false, _) => Own::No,
        (true, true) => Own::System,
        (true, false) => Own::Servers(resolvers),
    };
    let mut checks = Checks {
        trusted: mail.check.trusted.clone(),
        own,
        seconds: mail.check.timeout.0,
    };
    let authenticator = Authenticator::new(&checks).or_else(|error| {
        tracing::warn!(error, "senders of mails cannot be checked here");
        checks.own = Own::No;
        Authenticator::new(&checks)
    });
    let treatment = Treatment {
        pattern: mail.reply.parse().ok(),
        limits: Limits {
            bytes: mail.max_size.length(),
            ..Limits::default()
        },
        room: Room {
            messages: mail.pending,
            keep: mail.pending_keep.signed(),
        },
        welcome: mail.welcome.clone(),
        rate: mail.per_sender_hour,
    };
    let authenticator = authenticator.ok()?;
    Some(Arc::new(Inbound::new(
        shared.clone(),
        treatment,
        authenticator,
    )))
}

/// The URL under which guests reach the pages; none if there are none.
pub(super) fn public_url(settings: &Settings) -> Option<String> {
    let own = &settings.web.public_url;
    let url = if own.is_empty() {
        &settings.server.public_url
    } else {
        own
    };
    let pages = settings.web.pages && settings.mail.is_on() && !url.is_empty();
    pages.then(|| url.trim_end_matches('/').to_owned())
}

/// The pages on which guests answer.
pub(super) fn pages(settings: &Settings, shared: &Arc<Shared>) -> Option<Pages> {
    let url = public_url(settings)?;
    // https://cal.example.org of https://cal.example.org/kalends
    let origin = url.splitn(4, '/').take(3).collect::<Vec<_>>().join("/");
    let rates = Rates {
        client: settings.web.per_client_minute,
        link: settings.web.per_link_hour,
    };
    let site = Site {
        pattern: settings.mail.reply.parse().ok(),
        language: settings.mail.language.clone(),
        origin: Some(origin.to_lowercase()),
        rates,
    };
    Some(Pages::new(shared.clone(), site))
}

/// The first impossible value of what is about mails from outside.
pub(super) fn first_fault(mail: &Mail) -> Option<(&'static str, String)> {
    for text in &mail.lmtp.listen {
        match text.parse::<Address>() {
            Err(error) => return Some(("mail.lmtp.listen", format!("\"{text}\" {error}"))),
            Ok(address) if address.needs_certificate() => {
                let fault = format!("\"{text}\": mail servers speak clear text here");
                return Some(("mail.lmtp.listen", fault));
            }
            Ok(_) => {}
        }
    }
    for text in &mail.check.resolvers {
        if text.parse::<SocketAddr>().is_err() {
            let fault = format!("\"{text}\" is no address and port, such as \"127.0.0.1:53\"");
            return Some(("mail.check.resolvers", fault));
        }
    }
    for entry in &mail.welcome {
        if entry != "*" && !entry.contains('@') {
            let fault = format!("\"{entry}\" is no address, no \"@domain\" and not \"*\"");
            return Some(("mail.welcome", fault));
        }
    }
    imap_fault(&mail.imap)
}

fn imap_fault(imap: &Imap) -> Option<(&'static str, String)> {
    if imap.host.is_empty() {
        return None;
    }
    let here = imap.host == "localhost"
        || imap
            .host
            .parse::<std::net::IpAddr>()
            .is_ok_and(|it| it.is_loopback());
    let faults = [
        (
            "mail.imap.security",
            imap.security == MailSecurity::None && !here,
            "may be \"none\" only where mail.imap.host is this machine",
        ),
        (
            "mail.imap.user",
            imap.user.is_empty(),
            "must be set where mail.imap.host is",
        ),
        (
            "mail.imap.password_file",
            imap.password_file == Path::new(""),
            "must be set where mail.imap.host is",
        ),
        (
            "mail.imap.mailbox",
            imap.mailbox.is_empty(),
            "must be the name of a mailbox",
        ),
    ];
    let fault = faults.into_iter().find(|(_, wrong, _)| *wrong);
    fault.map(|(key, _, why)| (key, why.to_owned()))
}

/// An impossible value of `[web]`.
pub(super) fn web_fault(settings: &Settings) -> Option<(&'static str, String)> {
    let url = &settings.web.public_url;
    let good = url.is_empty() || url.starts_with("https://") || url.starts_with("http://");
    let why = "must start with https:// or http://";
    (!good).then(|| ("web.public_url", why.to_owned()))
}

/// Begins to take mails by the ways of the settings.
pub(super) async fn start(
    settings: &Settings,
    ground: &Ground,
    stopped: &watch::Receiver<bool>,
) -> Result<Vec<JoinHandle<()>>, Failure> {
    let mut tasks = Vec::new();
    let Some(inbound) = &ground.inbound else {
        return Ok(tasks);
    };
    let mail = &settings.mail;
    let domain = mail.from.rsplit_once('@').map(|(_, domain)| domain);
    let host = match mail.lmtp.host.is_empty() {
        true => domain.unwrap_or("localhost").to_owned(),
        false => mail.lmtp.host.clone(),
    };
    let door = Arc::new(Door {
        inbound: inbound.clone(),
        host,
        bounds: Bounds {
            connections: mail.lmtp.connections,
            ..Bounds::default()
        },
        clock: now,
    });
    for text in &mail.lmtp.listen {
        let socket = socket(text).await.map_err(|error| {
            Failure::failed(format!(
                "mail.lmtp.listen: cannot listen on {text}: {error}"
            ))
        })?;
        tasks.push(tokio::spawn(serve(door.clone(), socket, stopped.clone())));
    }
    if !mail.imap.host.is_empty() {
        let watched = imap::watch(mailbox(&mail.imap)?, inbound.clone(), now, stopped.clone());
        tasks.push(tokio::spawn(watched));
    }
    Ok(tasks)
}

async fn socket(text: &str) -> std::io::Result<Socket> {
    match text.parse::<Address>() {
        Ok(Address::Unix(path)) => Ok(Socket::Unix(unix(&path).await?)),
        Ok(Address::Tcp { host, port, .. }) => {
            let host = host.trim_start_matches('[').trim_end_matches(']');
            let listener = TcpListener::bind((host, port)).await?;
            tracing::info!(address = %listener.local_addr()?, "mail servers may come");
            Ok(Socket::Tcp(listener))
        }
        Err(error) => Err(std::io::Error::other(error)),
    }
}

fn mailbox(imap: &Imap) -> Result<Mailbox, Failure> {
    let (security, port) = match imap.security {
        MailSecurity::Tls => (imap::Security::Tls, 993),
        MailSecurity::StartTls => (imap::Security::StartTls, 143),
        MailSecurity::None => (imap::Security::None, 143),
    };
    let password = password("mail.imap.password_file", &imap.password_file)
        .map_err(|failure| Failure::new(Code::Usage, failure.sentence))?;
    Ok(Mailbox {
        host: imap.host.clone(),
        port: if imap.port == 0 { port } else { imap.port },
        security,
        user: imap.user.clone(),
        password,
        name: imap.mailbox.clone(),
        every: imap.every.duration(),
        after: if imap.delete {
            After::Delete
        } else {
            After::Mark
        },
    })
}
