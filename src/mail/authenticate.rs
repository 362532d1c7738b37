//! Whether a mail is from the address in its From: told by a mail server we trust, or found out here (RFC 7489 §3.1,
//! RFC 6376 §6, RFC 7208 §2.6, RFC 8601 §2.2).
//!
//! A domain vouches for a mail by a DKIM signature, or by SPF for the client that brought it, whose domain belongs with
//! the one in From. A domain without a DMARC record vouches only by a signature in exactly its own name.
//!
//! **Gaps**: ARC is not read: a list that changes a mail breaks its signature, and then the mail waits for the person it
//! is for. SPF is asked only where the client itself connected to us.

use std::net::{IpAddr, SocketAddr};
use std::time::Duration;

use mail_auth::dmarc::verify::DmarcParameters;
use mail_auth::hickory_resolver::config::{
    ConnectionConfig, NameServerConfig, ResolverConfig, ResolverOpts,
};
use mail_auth::spf::verify::SpfParameters;
use mail_auth::{
    AuthenticatedMessage, DkimOutput, DkimResult, DmarcResult, MessageAuthenticator, SpfOutput,
    SpfResult,
};

use super::matching::Authentic;
use super::read::Letter;

/// How the sender's address is checked.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Checks {
    /// The names under which mail servers we trust write Authentication-Results.
    pub trusted: Vec<String>,
    /// Whether signatures and SPF are checked here.
    pub own: Own,
    /// How long the name servers may take for one mail, in seconds.
    pub seconds: u64,
}

/// Whether signatures and SPF are checked here, and whom names are asked of.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub enum Own {
    /// They are not.
    #[default]
    No,
    /// The name servers of the machine.
    System,
    /// These name servers.
    Servers(Vec<SocketAddr>),
}

/// How a mail came in.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Envelope {
    /// Those it was handed over for. Empty where only the mail itself is known.
    pub recipients: Vec<String>,
    /// The return address; empty for a report.
    pub sender: Option<String>,
    /// The mail server that brought it, if it connected to us by itself.
    pub client: Option<Client>,
}

/// A mail server that connected to us.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Client {
    /// Its address.
    pub address: IpAddr,
    /// What it calls itself.
    pub helo: String,
}

/// A name server did not answer: the mail may be checked again later.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Later(pub String);

/// Checks senders' addresses.
pub struct Authenticator {
    trusted: Vec<String>,
    own: Option<MessageAuthenticator>,
    time: Duration,
}

impl std::fmt::Debug for Authenticator {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Authenticator")
            .field("trusted", &self.trusted)
            .finish_non_exhaustive()
    }
}

impl Authenticator {
    /// Checks as the settings say.
    ///
    /// # Errors
    /// A sentence, if there are no name servers to ask.
    pub fn new(checks: &Checks) -> Result<Authenticator, String> {
        let own = match &checks.own {
            Own::No => None,
            Own::System => Some(MessageAuthenticator::new_system_conf()),
            Own::Servers(servers) => {
                let servers = servers.iter().map(|server| {
                    let mut connections = vec![ConnectionConfig::udp(), ConnectionConfig::tcp()];
                    for connection in &mut connections {
                        connection.port = server.port();
                    }
                    NameServerConfig::new(server.ip(), true, connections)
                });
                let config = ResolverConfig::from_name_servers(servers.collect());
                Some(MessageAuthenticator::new(config, ResolverOpts::default()))
            }
        };
        Ok(Authenticator {
            trusted: checks.trusted.iter().map(|id| id.to_lowercase()).collect(),
            own: own.transpose().map_err(|error| error.to_string())?,
            time: Duration::from_secs(checks.seconds.max(1)),
        })
    }

    /// Whether a mail is from the address in its From.
    ///
    /// # Errors
    /// Nobody could be asked just now.
    pub async fn check(
        &self,
        bytes: &[u8],
        letter: &Letter,
        envelope: &Envelope,
    ) -> Result<Authentic, Later> {
        let [from] = letter.from.as_slice() else {
            return Ok(doubtful("it has no single author"));
        };
        let Some((_, domain)) = from.address.rsplit_once('@') else {
            return Ok(doubtful("its author has no mail address"));
        };
        if let Some(told) = told(&letter.results, &self.trusted, domain) {
            return Ok(told);
        }
        let Some(own) = &self.own else {
            return Ok(doubtful("no mail server we trust says so"));
        };
        let check = verify(own, bytes, envelope, domain);
        match tokio::time::timeout(self.time, check).await {
            Ok(found) => found,
            Err(_) => Err(Later("name servers took too long".to_owned())),
        }
    }
}

fn doubtful(why: &str) -> Authentic {
    Authentic::Doubtful(why.to_owned())
}

/// What the topmost Authentication-Results of a server we trust says; none if there is none. RFC 8601 §2.2
///
/// "topmost": a server writes above what came with the mail, which may be forged. It must remove headers in its own name
/// (RFC 8601 §5), else a mail that it does not check can bring one.
fn told(results: &[String], trusted: &[String], domain: &str) -> Option<Authentic> {
    let (id, rest) = results.iter().find_map(|header| {
        let header = without_comments(header).to_lowercase();
        let (id, rest) = header.split_once(';')?;
        let id = id.split_whitespace().next()?.to_owned();
        trusted.contains(&id).then(|| (id, rest.to_owned()))
    })?;
    let mut said = None;
    for result in rest.split(';') {
        let mut words = result.split_whitespace();
        let Some((method, value)) = words.next().and_then(|word| word.split_once('=')) else {
            continue;
        };
        let method = method.split('/').next().unwrap_or_default().trim();
        let properties: Vec<(&str, &str)> = words.filter_map(|it| it.split_once('=')).collect();
        let property = |name: &str| {
            let found = properties.iter().find(|(it, _)| *it == name);
            found.map(|(_, value)| value.trim_matches('"'))
        };
        let of_domain = match method {
            "dmarc" => property("header.from") == Some(domain),
            // "header.i" is an address of the signer, perhaps without the part before its @.
            "dkim" => {
                let signer = property("header.i").and_then(|it| it.rsplit_once('@'));
                property("header.d") == Some(domain) || signer.is_some_and(|(_, it)| it == domain)
            }
            _ => false,
        };
        match (method, value) {
            (_, "pass") if of_domain => {
                return Some(Authentic::Passed(format!("{id} says {method}=pass")));
            }
            ("dmarc", value) => said = Some(format!("{id} says dmarc={value}")),
            _ => {}
        }
    }
    let why = said.unwrap_or_else(|| format!("{id} does not say that {domain} vouches for it"));
    Some(Authentic::Doubtful(why))
}

/// A header without what stands in parentheses. RFC 5322 §3.2.2
fn without_comments(text: &str) -> String {
    let (mut depth, mut out, mut escaped) = (0_usize, String::new(), false);
    for c in text.chars() {
        match c {
            _ if escaped => escaped = false,
            '\\' if depth > 0 => escaped = true,
            '(' => depth += 1,
            ')' => depth = depth.saturating_sub(1),
            c if depth == 0 => out.push(c),
            _ => {}
        }
    }
    out
}

/// DKIM, SPF and how they belong with the domain in From.
async fn verify(
    own: &MessageAuthenticator,
    bytes: &[u8],
    envelope: &Envelope,
    domain: &str,
) -> Result<Authentic, Later> {
    let Some(message) = AuthenticatedMessage::parse(bytes) else {
        return Ok(doubtful("it cannot be checked"));
    };
    let dkim = own.verify_dkim(&message).await;
    let sender = envelope.sender.as_deref().unwrap_or_default();
    let spf = match &envelope.client {
        Some(client) => {
            let asked = SpfParameters::verify_mail_from(client.address, &client.helo, "", sender);
            own.verify_spf(asked).await
        }
        None => SpfOutput::new(String::new()).with_result(SpfResult::None),
    };
    let return_domain = match (sender.rsplit_once('@'), &envelope.client) {
        (Some((_, domain)), _) => domain,
        (None, Some(client)) => &client.helo,
        (None, None) => "",
    };
    let dmarc = own
        .verify_dmarc(DmarcParameters {
            message: &message,
            dkim_output: &dkim,
            dkim2_output: None,
            rfc5321_mail_from_domain: return_domain,
            spf_output: &spf,
        })
        .await;
    if *dmarc.dkim_result() == DmarcResult::Pass {
        return Ok(Authentic::Passed(format!("DKIM of {domain}")));
    }
    if *dmarc.spf_result() == DmarcResult::Pass {
        return Ok(Authentic::Passed(format!("SPF of {domain}")));
    }
    let exact = |signed: &DkimOutput<'_>| {
        let by = signed.signature().map(|it| it.d.to_lowercase());
        *signed.result() == DkimResult::Pass && by.as_deref() == Some(domain)
    };
    if dmarc.dmarc_record().is_none() && dkim.iter().any(exact) {
        return Ok(Authentic::Passed(format!("DKIM of {domain}")));
    }
    if let Some(later) = unanswered(&dkim, dmarc.dkim_result(), dmarc.spf_result()) {
        return Err(later);
    }
    Ok(Authentic::Doubtful(why(&dkim, &spf, domain)))
}

/// Whether a name server failed to answer what would have decided.
fn unanswered(dkim: &[DkimOutput<'_>], signed: &DmarcResult, sent: &DmarcResult) -> Option<Later> {
    for result in [signed, sent] {
        if let DmarcResult::TempError(error) = result {
            return Some(Later(error.to_string()));
        }
    }
    dkim.iter().find_map(|output| match output.result() {
        DkimResult::TempError(error) => Some(Later(error.to_string())),
        DkimResult::Pass
        | DkimResult::Neutral(_)
        | DkimResult::Fail(_)
        | DkimResult::PermError(_)
        | DkimResult::None => None,
    })
}

/// Why a domain does not vouch for a mail: a sentence for the person it is for.
fn why(dkim: &[DkimOutput<'_>], spf: &SpfOutput, domain: &str) -> String {
    let signer = |output: &DkimOutput<'_>| {
        let signature = output.signature();
        signature.map_or_else(String::new, |it| format!(" of {}", it.d))
    };
    let passed = dkim.iter().find(|it| *it.result() == DkimResult::Pass);
    match (passed, dkim.first()) {
        (Some(other), _) => format!("the signature{} is not {domain}'s", signer(other)),
        (None, Some(failed)) => format!("the signature{} does not hold", signer(failed)),
        (None, None) if spf.result() == SpfResult::Pass => {
            format!("no signature, and SPF is for another domain than {domain}")
        }
        (None, None) => format!("no signature of {domain}"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::mail::read::{Limits, read};
    use std::sync::Arc;
    use tokio::net::UdpSocket;

    #[test]
    fn results_count_from_the_servers_we_trust_only() {
        let trusted = vec!["mx.example.org".to_owned()];
        let pass = "mx.example.org; dmarc=pass (p=NONE; sp=NONE) header.from=example.com";
        for (headers, passed) in [
            (vec![pass], Some(true)),
            (
                vec!["MX.Example.ORG 1; spf=fail; dmarc = pass header.from=example.com"],
                Some(false),
            ),
            (
                vec!["mx.example.org; dkim=pass header.d=example.com header.s=a"],
                Some(true),
            ),
            (
                vec!["mx.example.org; dkim=pass header.i=@example.com"],
                Some(true),
            ),
            (
                vec!["mx.example.org; dkim=pass header.d=evil.example"],
                Some(false),
            ),
            (
                vec!["mx.example.org; dmarc=pass header.from=evil.example"],
                Some(false),
            ),
            (
                vec!["mx.example.org; dmarc=fail header.from=example.com"],
                Some(false),
            ),
            (vec!["mx.example.org; none"], Some(false)),
            (
                vec!["other.example; dmarc=pass header.from=example.com"],
                None,
            ),
            (
                vec!["mx.example.org (; dmarc=pass header.from=example.com); none"],
                Some(false),
            ),
            // A forged one below the real one.
            (
                vec!["mx.example.org; dmarc=fail header.from=example.com", pass],
                Some(false),
            ),
            (
                vec!["other.example; dmarc=fail header.from=example.com", pass],
                Some(true),
            ),
            (vec![], None),
        ] {
            let headers: Vec<String> = headers.into_iter().map(str::to_owned).collect();
            let said = told(&headers, &trusted, "example.com");
            let is = said.map(|said| matches!(said, Authentic::Passed(_)));
            assert_eq!(is, passed, "{headers:?}");
        }
    }

    /// A name server on this machine that knows these TXT records and nothing else.
    async fn name_server(records: Vec<(&'static str, String)>) -> SocketAddr {
        let socket = Arc::new(UdpSocket::bind("127.0.0.1:0").await.unwrap());
        let address = socket.local_addr().unwrap();
        tokio::spawn(async move {
            let mut buffer = [0; 1500];
            while let Ok((length, peer)) = socket.recv_from(&mut buffer).await {
                let answer = answer(&buffer[..length], &records);
                socket.send_to(&answer, peer).await.unwrap();
            }
        });
        address
    }

    /// RFC 1035 §4: the question, and one TXT or "no such name".
    fn answer(query: &[u8], records: &[(&str, String)]) -> Vec<u8> {
        let (mut name, mut at) = (String::new(), 12);
        while query[at] != 0 {
            let length = usize::from(query[at]);
            let label = &query[at + 1..at + 1 + length];
            name.push_str(&String::from_utf8_lossy(label).to_lowercase());
            name.push('.');
            at += length + 1;
        }
        let question = &query[12..at + 5];
        let is_txt = query[at + 1..at + 3] == [0, 16];
        let known = records.iter().find(|(known, _)| is_txt && *known == name);
        let mut out = query[..2].to_vec();
        out.extend([0x81, if known.is_some() { 0x80 } else { 0x83 }]);
        out.extend([0, 1, 0, u8::from(known.is_some()), 0, 0, 0, 0]);
        out.extend(question);
        if let Some((_, text)) = known {
            out.extend([0xc0, 12, 0, 16, 0, 1, 0, 0, 1, 0]);
            let mut data = Vec::new();
            for piece in text.as_bytes().chunks(255) {
                data.push(u8::try_from(piece.len()).unwrap());
                data.extend(piece);
            }
            out.extend(u16::try_from(data.len()).unwrap().to_be_bytes());
            out.extend(data);
        }
        out
    }

    async fn checked(
        bytes: &[u8],
        records: Vec<(&'static str, String)>,
        client: Option<Client>,
    ) -> Authentic {
        let checks = Checks {
            own: Own::Servers(vec![name_server(records).await]),
            seconds: 20,
            ..Checks::default()
        };
        let envelope = Envelope {
            sender: Some("bob@mail.example.com".to_owned()),
            client,
            ..Envelope::default()
        };
        let letter = read(bytes, &Limits::default()).unwrap();
        let authenticator = Authenticator::new(&checks).unwrap();
        authenticator
            .check(bytes, &letter, &envelope)
            .await
            .unwrap()
    }

    const SIGNED: &[u8] = include_bytes!("../../testdata/mail/signed.eml");

    fn key() -> String {
        include_str!("../../testdata/mail/signed.key")
            .trim()
            .to_owned()
    }

    const DMARC: &str = "v=DMARC1; p=reject";

    #[tokio::test]
    async fn a_signature_of_the_senders_domain_proves_the_sender() {
        let key = || ("sel._domainkey.example.com.", key());
        let dmarc = || ("_dmarc.example.com.", DMARC.to_owned());
        let passed = checked(SIGNED, vec![key(), dmarc()], None).await;
        assert_eq!(passed, Authentic::Passed("DKIM of example.com".to_owned()));
        let without_record = checked(SIGNED, vec![key()], None).await;
        assert_eq!(without_record, passed);
        let text = String::from_utf8_lossy(SIGNED);
        for (changed, why) in [
            (
                text.replace("ACCEPTED", "DECLINED"),
                "the signature of example.com does not hold",
            ),
            (
                text.replace("From: bob@example.com", "From: bob@evil.example"),
                "the signature of example.com does not hold",
            ),
        ] {
            let found = checked(changed.as_bytes(), vec![key(), dmarc()], None).await;
            assert_eq!(found, Authentic::Doubtful(why.to_owned()));
        }
        let body = text.split_once("\r\nFrom:").unwrap().1;
        let unsigned = checked(
            format!("From:{body}").as_bytes(),
            vec![key(), dmarc()],
            None,
        )
        .await;
        assert_eq!(unsigned, doubtful("no signature of example.com"));
    }

    #[tokio::test]
    async fn what_we_sign_proves_the_sender() {
        let golden = include_bytes!("../../testdata/mail/out/new.eml");
        let (mail, record) = crate::mail::dkim::tests::signed("cal.example.org", golden);
        let name = "sel._domainkey.cal.example.org.";
        let passed = checked(&mail, vec![(name, record.clone())], None).await;
        let expected = Authentic::Passed("DKIM of cal.example.org".to_owned());
        assert_eq!(passed, expected);
        let text = String::from_utf8(mail).unwrap();
        let changed = text.replace("Subject: Invitation", "Subject: Cancelled");
        let found = checked(changed.as_bytes(), vec![(name, record)], None).await;
        assert_ne!(found, expected);
    }

    #[tokio::test]
    async fn spf_counts_for_the_client_that_connected_and_its_own_domain() {
        let text = String::from_utf8_lossy(SIGNED);
        let body = text.split_once("\r\nFrom:").unwrap().1;
        let unsigned = format!("From:{body}");
        let records = || {
            vec![
                ("_dmarc.example.com.", DMARC.to_owned()),
                ("mail.example.com.", "v=spf1 ip4:192.0.2.1 -all".to_owned()),
            ]
        };
        let client = |address: &str| {
            Some(Client {
                address: address.parse().unwrap(),
                helo: "mail.example.com".to_owned(),
            })
        };
        let passed = checked(unsigned.as_bytes(), records(), client("192.0.2.1")).await;
        assert_eq!(passed, Authentic::Passed("SPF of example.com".to_owned()));
        let other = checked(unsigned.as_bytes(), records(), client("192.0.2.2")).await;
        assert_eq!(other, doubtful("no signature of example.com"));
        let elsewhere = unsigned.replace("From: bob@example.com", "From: bob@evil.example");
        let forged = checked(elsewhere.as_bytes(), records(), client("192.0.2.1")).await;
        let why = "no signature, and SPF is for another domain than evil.example";
        assert_eq!(forged, doubtful(why));
    }
}
