//! `dns`: the records by which clients find the server from a mail address.
//!
//! RFC 6764 §3, §4 and §6; RFC 2782 for SRV.

use std::net::IpAddr;

use super::args::Dns;
use super::failure::{Code, Failure};
use super::settings::{Mail, Settings};

/// The path that clients are sent to.
const CONTEXT_PATH: &str = "/dav/";

/// The records to set in a domain, one a line.
pub(super) fn records(dns: &Dns, settings: &Settings) -> Result<Vec<String>, Failure> {
    let domain = host_name(&dns.domain)?;
    let public = public_host(&settings.server.public_url);
    let host = match &dns.host {
        Some(host) => host_name(host)?,
        None => public
            .as_ref()
            .map_or_else(|| domain.clone(), |(host, _)| host.clone()),
    };
    let port = dns.port.or(public.map(|(_, port)| port)).unwrap_or(443);
    let path = format!("{}{CONTEXT_PATH}", settings.server.prefix);
    let mut records = vec![
        format!("_caldavs._tcp.{domain}. 3600 IN SRV 0 1 {port} {host}."),
        format!("_caldavs._tcp.{domain}. 3600 IN TXT \"path={path}\""),
        // RFC 6764 §3: a target of "." says that there is no service without TLS.
        format!("_caldav._tcp.{domain}. 3600 IN SRV 0 0 0 ."),
    ];
    if settings.mail.is_on() {
        records.extend(mail_records(&settings.mail, &host)?);
    }
    Ok(records)
}

/// What makes receivers take mails for what they are, and brings answers back: SPF (RFC 7208), DKIM (RFC 6376) and
/// DMARC (RFC 7489). Lines that begin with ; are remarks, as in a zone file.
fn mail_records(mail: &Mail, host: &str) -> Result<Vec<String>, Failure> {
    let domain = mail.from.rsplit_once('@').map_or("", |(_, domain)| domain);
    let domain = host_name(domain)?;
    let here =
        mail.host.is_empty() || mail.host.parse::<IpAddr>().is_ok() || mail.host == "localhost";
    let sender = if here { host } else { mail.host.as_str() };
    let mut records = vec![
        format!(
            "; {}: leave those alone that the domain has already",
            mail.from
        ),
        format!("{domain}. 3600 IN TXT \"v=spf1 a:{sender} ~all\""),
        format!("_dmarc.{domain}. 3600 IN TXT \"v=DMARC1; p=none\""),
    ];
    match super::mail::signer(mail)? {
        Some(signer) => {
            let (name, text) = signer.record();
            // RFC 1035 §3.3: a string of a TXT record has at most 255 bytes.
            let pieces = text.as_bytes().chunks(250).map(String::from_utf8_lossy);
            let pieces: Vec<String> = pieces.map(|piece| format!("\"{piece}\"")).collect();
            records.push(format!("{name} 3600 IN TXT {}", pieces.join(" ")));
        }
        None => records.push("; DKIM: let the mail server sign, or set mail.dkim_key".to_owned()),
    }
    let reply = mail.reply.rsplit_once('@').map_or("", |(_, reply)| reply);
    if !reply.is_empty() && !reply.eq_ignore_ascii_case(&domain) {
        let reply = host_name(reply)?;
        records.push(format!("{reply}. 3600 IN MX 10 {sender}."));
    }
    Ok(records)
}

fn public_host(url: &str) -> Option<(String, u16)> {
    let rest = url.strip_prefix("https://")?;
    let authority = rest.split('/').next()?;
    let (host, port) = match authority.rsplit_once(':') {
        Some((host, port)) => (host, port.parse().ok()?),
        None => (authority, 443),
    };
    Some((host_name(host).ok()?, port))
}

fn host_name(text: &str) -> Result<String, Failure> {
    let name = text.trim_end_matches('.').to_ascii_lowercase();
    let label = |label: &str| {
        !label.is_empty()
            && label.len() <= 63
            && label
                .bytes()
                .all(|byte| byte.is_ascii_alphanumeric() || byte == b'-')
            && !label.starts_with('-')
            && !label.ends_with('-')
    };
    if name.len() <= 253 && name.split('.').all(label) {
        return Ok(name);
    }
    Err(Failure::new(
        Code::Usage,
        format!(
            "\"{}\" is no domain name; names beyond ASCII are written as xn--...",
            text.escape_debug()
        ),
    ))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn ask(
        domain: &str,
        host: Option<&str>,
        url: &str,
        prefix: &str,
    ) -> Result<Vec<String>, Failure> {
        let mut settings = Settings::default();
        settings.server.public_url = url.to_owned();
        settings.server.prefix = prefix.to_owned();
        let dns = Dns {
            domain: domain.to_owned(),
            host: host.map(str::to_owned),
            port: None,
        };
        records(&dns, &settings)
    }

    #[test]
    fn the_records_name_host_port_and_path() {
        assert_eq!(
            ask(
                "Example.ORG.",
                None,
                "https://cal.example.org:8443/",
                "/cal"
            )
            .unwrap(),
            [
                "_caldavs._tcp.example.org. 3600 IN SRV 0 1 8443 cal.example.org.",
                "_caldavs._tcp.example.org. 3600 IN TXT \"path=/cal/dav/\"",
                "_caldav._tcp.example.org. 3600 IN SRV 0 0 0 .",
            ]
        );
        let records = ask("example.org", Some("h.example.org"), "", "").unwrap();
        assert!(
            records[0].ends_with("SRV 0 1 443 h.example.org."),
            "{records:?}"
        );
        for bad in ["", "a..b", "-a.org", "a b", "exämple.org"] {
            assert!(ask(bad, None, "", "").is_err(), "{bad}");
        }
    }

    #[test]
    fn mail_brings_records_of_its_own() {
        let mut settings = Settings::default();
        settings.mail.from = "calendar@example.org".to_owned();
        settings.mail.host = "mail.example.org".to_owned();
        settings.mail.reply = "{token}@cal.example.org".to_owned();
        let dns = Dns {
            domain: "example.org".to_owned(),
            host: None,
            port: None,
        };
        let records = records(&dns, &settings).unwrap();
        for expected in [
            "example.org. 3600 IN TXT \"v=spf1 a:mail.example.org ~all\"",
            "_dmarc.example.org. 3600 IN TXT \"v=DMARC1; p=none\"",
            "cal.example.org. 3600 IN MX 10 mail.example.org.",
        ] {
            assert!(records.iter().any(|r| r == expected), "{records:?}");
        }
    }
}
