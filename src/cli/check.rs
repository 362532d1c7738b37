//! Which values of server.toml are possible: one list, each with its key.

use std::path::Path;

use super::settings::Settings;
use super::units::Seconds;
use crate::http::address::{Address, Network};

/// The first impossible value: its key and what is wrong with it.
pub(super) fn first_fault(settings: &Settings) -> Option<(&'static str, String)> {
    server(settings)
        .or_else(|| times(settings))
        .or_else(|| sizes(settings))
        .or_else(|| counts(settings))
        .or_else(|| super::mail::first_fault(&settings.mail))
        .or_else(|| super::inbound::web_fault(settings))
        .or_else(|| log(settings))
}

fn server(settings: &Settings) -> Option<(&'static str, String)> {
    let server = &settings.server;
    if server.listen.is_empty() {
        return Some(("server.listen", "at least one address is needed".to_owned()));
    }
    for text in &server.listen {
        match text.parse::<Address>() {
            Err(error) => return Some(("server.listen", format!("\"{text}\" {error}"))),
            Ok(address) if address.needs_certificate() && server.certificate == Path::new("") => {
                return Some((
                    "server.listen",
                    format!("\"{text}\" needs server.certificate and server.key"),
                ));
            }
            Ok(_) => {}
        }
    }
    for text in &server.trusted_proxies {
        if let Err(error) = text.parse::<Network>() {
            return Some(("server.trusted_proxies", format!("\"{text}\" {error}")));
        }
    }
    let empty = Path::new("");
    match (server.certificate == empty, server.key == empty) {
        (false, true) => {
            return Some((
                "server.key",
                "must be set where server.certificate is".to_owned(),
            ));
        }
        (true, false) => {
            return Some((
                "server.certificate",
                "must be set where server.key is".to_owned(),
            ));
        }
        _ => {}
    }
    if !prefix_is_good(&server.prefix) {
        return Some((
            "server.prefix",
            "must be empty, or a path such as \"/cal\": a slash in front, none at the end, letters, digits and -._~ between".to_owned(),
        ));
    }
    let quotable = |c: char| (' '..='~').contains(&c) && c != '"' && c != '\\';
    if server.realm.is_empty() || !server.realm.chars().all(quotable) {
        return Some((
            "server.realm",
            "must be printable ASCII without quotes and backslashes".to_owned(),
        ));
    }
    let url = &server.public_url;
    if !url.is_empty() && !url.starts_with("https://") && !url.starts_with("http://") {
        return Some((
            "server.public_url",
            "must start with https:// or http://".to_owned(),
        ));
    }
    None
}

fn prefix_is_good(prefix: &str) -> bool {
    let Some(rest) = prefix.strip_prefix('/') else {
        return prefix.is_empty();
    };
    rest.split('/').all(|segment| {
        !segment.is_empty()
            && segment != "."
            && segment != ".."
            && segment
                .bytes()
                .all(|byte| byte.is_ascii_alphanumeric() || b"-._~".contains(&byte))
    })
}

fn times(settings: &Settings) -> Option<(&'static str, String)> {
    let year = 366 * 86_400;
    let http = &settings.http;
    [
        ("http.first_byte", http.first_byte, 1, 3600),
        ("http.header", http.header, 1, 3600),
        ("http.body", http.body, 1, 86_400),
        ("http.write", http.write, 1, 86_400),
        ("http.idle", http.idle, 1, 86_400),
        ("http.shutdown", http.shutdown, 0, 8),
        ("auth.remember", settings.auth.remember, 0, 3600),
        ("auth.window", settings.auth.window, 1, 86_400),
        ("journal.keep", settings.journal.keep, 0, year),
        ("journal.mark_after", settings.journal.mark_after, 1, 3600),
        ("history.keep", settings.history.keep, 3600, 100 * year),
        ("backup.every", settings.backup.every, 60, year),
        ("mail.timeout", settings.mail.timeout, 1, 3600),
        ("mail.check.timeout", settings.mail.check.timeout, 1, 300),
        ("mail.imap.every", settings.mail.imap.every, 5, 86_400),
        (
            "mail.pending_keep",
            settings.mail.pending_keep,
            86_400,
            10 * year,
        ),
        ("web.link", settings.web.link, 3600, 10 * year),
        ("mail.retry", settings.mail.retry, 1, 21_600),
        ("mail.settle", settings.mail.settle, 0, 3600),
        // A mail is made of texts that the history keeps.
        (
            "mail.keep_trying",
            settings.mail.keep_trying,
            60,
            settings.history.keep.0 / 2,
        ),
    ]
    .into_iter()
    .find(|(_, value, low, high)| value.0 < *low || value.0 > *high)
    .map(|(key, _, low, high)| {
        (
            key,
            format!("must be between {} and {}", Seconds(low), Seconds(high)),
        )
    })
}

fn sizes(settings: &Settings) -> Option<(&'static str, String)> {
    let http = &settings.http;
    let faults = [
        (
            "http.max_header",
            http.max_header.0 < 8 << 10 || http.max_header.0 > 1 << 20,
            "must be between 8 KiB and 1 MiB",
        ),
        (
            "http.max_body",
            http.max_body.0 < 64 << 10 || http.max_body.0 > 1 << 30,
            "must be between 64 KiB and 1 GiB",
        ),
        (
            "http.body_memory",
            http.body_memory < http.max_body,
            "must be at least http.max_body",
        ),
        (
            "calendars.max_object",
            settings.calendars.max_object.0 < 1 << 10,
            "must be at least 1 KiB",
        ),
        (
            "calendars.max_object",
            settings.calendars.max_object > http.max_body,
            "must not be above http.max_body",
        ),
        (
            "calendars.max_answer",
            settings.calendars.max_answer.0 < 1 << 20,
            "must be at least 1 MiB",
        ),
        (
            "mail.max_size",
            settings.mail.max_size.0 < 64 << 10 || settings.mail.max_size.0 > 100 << 20,
            "must be between 64 KiB and 100 MiB",
        ),
        (
            "store.cache",
            settings.store.cache.0 < 1 << 20,
            "must be at least 1 MiB",
        ),
        (
            "journal.keep_bytes",
            settings.journal.keep_bytes.0 < 64 << 20,
            "must be at least 64 MiB",
        ),
        (
            "journal.mark_bytes",
            settings.journal.mark_bytes.0 < 1 << 20,
            "must be at least 1 MiB",
        ),
    ];
    faults
        .into_iter()
        .find(|(_, wrong, _)| *wrong)
        .map(|(key, _, message)| (key, message.to_owned()))
}

fn counts(settings: &Settings) -> Option<(&'static str, String)> {
    let (auth, mail) = (&settings.auth, &settings.mail);
    [
        (
            "http.max_connections",
            settings.http.max_connections,
            100_000,
        ),
        ("http.per_client", settings.http.per_client, 100_000),
        ("auth.remember_count", auth.remember_count, 1_000_000),
        ("auth.parallel", auth.parallel, 64),
        ("auth.waiting", auth.waiting, 10_000),
        ("auth.failures", auth.failures as usize, 1_000_000),
        ("backup.keep", settings.backup.keep, 10_000),
        ("mail.per_user_day", mail.per_user_day as usize, 10_000_000),
        ("mail.at_once", mail.at_once, 100),
        ("mail.pending", mail.pending, 10_000),
        ("mail.per_sender_hour", mail.per_sender_hour, 1_000_000),
        ("mail.lmtp.connections", mail.lmtp.connections, 10_000),
        (
            "web.per_client_minute",
            settings.web.per_client_minute,
            1_000_000,
        ),
        ("web.per_link_hour", settings.web.per_link_hour, 1_000_000),
        ("mail.per_domain", mail.per_domain, 100),
        ("mail.per_domain_minute", mail.per_domain_minute, 100_000),
    ]
    .into_iter()
    .find(|(_, value, high)| *value < 1 || value > high)
    .map(|(key, _, high)| (key, format!("must be between 1 and {high}")))
}

fn log(settings: &Settings) -> Option<(&'static str, String)> {
    super::log::filter(&settings.log.level).err().map(|error| {
        (
            "log.level",
            format!("is no log level and no filter: {error}"),
        )
    })
}
