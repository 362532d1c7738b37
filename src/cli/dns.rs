//! `dns`: the records by which clients find the server from a mail address.
//!
//! RFC 6764 §3, §4 and §6; RFC 2782 for SRV.

use super::args::Dns;
use super::failure::{Code, Failure};
use super::settings::Settings;

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
    Ok(vec![
        format!("_caldavs._tcp.{domain}. 3600 IN SRV 0 1 {port} {host}."),
        format!("_caldavs._tcp.{domain}. 3600 IN TXT \"path={path}\""),
        // RFC 6764 §3: a target of "." says that there is no service without TLS.
        format!("_caldav._tcp.{domain}. 3600 IN SRV 0 0 0 ."),
    ])
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
}
