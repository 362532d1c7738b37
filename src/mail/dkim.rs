//! Signs what leaves, for sites whose mail server does not do it (RFC 6376).
//!
//! **Gaps**: keys are RSA; Ed25519 (RFC 8463) is verified by few receivers and would have to be a second signature.

use std::sync::Arc;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use mail_auth::common::crypto::{RsaKey, Sha256};
use mail_auth::common::headers::HeaderWriter as _;
use mail_auth::dkim::{DkimSigner, Done};

use super::compose::Mail;
use super::transport::{Sent, Transport, Trouble};

/// The fields that are signed where they are; no other changes what a reader sees. RFC 6376 §5.4.1
const SIGNED: [&str; 10] = [
    "From",
    "To",
    "Reply-To",
    "Subject",
    "Date",
    "Message-ID",
    "References",
    "MIME-Version",
    "Content-Type",
    "Auto-Submitted",
];

/// Signs mails in the name of a domain.
pub struct Signer {
    signer: DkimSigner<RsaKey<Sha256>, Done>,
    selector: String,
    domain: String,
    public: Vec<u8>,
}

impl std::fmt::Debug for Signer {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{}._domainkey.{}", self.selector, self.domain)
    }
}

impl Signer {
    /// A signer with this RSA key, PEM as openssl writes it.
    ///
    /// # Errors
    /// A sentence about what is wrong with the key.
    pub fn new(domain: &str, selector: &str, pem: &str) -> Result<Signer, String> {
        let key = read_key(pem)?;
        let public = key.public_key();
        let signer = DkimSigner::from_key(key)
            .domain(domain)
            .selector(selector)
            .headers(SIGNED);
        Ok(Signer {
            signer,
            selector: selector.to_owned(),
            domain: domain.to_owned(),
            public,
        })
    }

    /// The mail with a signature in front.
    ///
    /// # Errors
    /// A sentence: then the mail is as it was.
    pub fn sign(&self, mail: &Mail) -> Result<Mail, String> {
        let signature = self.signer.sign(&mail.bytes);
        let signature = signature.map_err(|error| format!("no DKIM signature: {error}"))?;
        let mut bytes = signature.to_header().into_bytes();
        bytes.extend_from_slice(&mail.bytes);
        Ok(Mail {
            bytes,
            ..mail.clone()
        })
    }

    /// The DNS record by which receivers verify it: its name and its text. RFC 6376 §3.6.1, §3.6.2
    #[must_use]
    pub fn record(&self) -> (String, String) {
        let name = format!("{}._domainkey.{}.", self.selector, self.domain);
        let key = STANDARD.encode(subject_public_key_info(&self.public));
        (name, format!("v=DKIM1; k=rsa; p={key}"))
    }
}

#[allow(deprecated, reason = "what replaces it needs another crate's types")]
fn read_key(pem: &str) -> Result<RsaKey<Sha256>, String> {
    let key = match pem.contains("BEGIN RSA PRIVATE KEY") {
        true => RsaKey::from_rsa_pem(pem),
        false => RsaKey::from_pkcs8_pem(pem),
    };
    key.map_err(|error| format!("is no RSA key in PEM: {error}"))
}

/// An RSA public key as SubjectPublicKeyInfo, which is what receivers expect. RFC 5280 §4.1
fn subject_public_key_info(key: &[u8]) -> Vec<u8> {
    // rsaEncryption, with NULL for its parameters.
    const ALGORITHM: [u8; 15] = [
        0x30, 0x0d, 0x06, 0x09, 0x2a, 0x86, 0x48, 0x86, 0xf7, 0x0d, 0x01, 0x01, 0x01, 0x05, 0x00,
    ];
    // The number of unused bits of a BIT STRING comes first.
    let bits = [&[0][..], key].concat();
    let mut body = ALGORITHM.to_vec();
    body.extend(tagged(0x03, &bits));
    tagged(0x30, &body)
}

/// DER: a tag, a length, the contents.
fn tagged(tag: u8, contents: &[u8]) -> Vec<u8> {
    let length = contents.len().to_be_bytes();
    let significant: Vec<u8> = length.iter().copied().skip_while(|b| *b == 0).collect();
    let mut out = vec![tag];
    match significant.as_slice() {
        [] => out.push(0),
        [one] if *one < 0x80 => out.push(*one),
        many => {
            out.push(0x80 | u8::try_from(many.len()).unwrap_or(0));
            out.extend_from_slice(many);
        }
    }
    out.extend_from_slice(contents);
    out
}

/// A transport that signs what it is given.
struct Signing {
    signer: Signer,
    inner: Arc<dyn Transport>,
}

/// A transport that signs before it hands on.
pub fn signing(signer: Signer, inner: Arc<dyn Transport>) -> Arc<dyn Transport> {
    Arc::new(Signing { signer, inner })
}

impl Transport for Signing {
    fn send<'a>(&'a self, mail: &'a Mail) -> Sent<'a> {
        Box::pin(async move {
            let signed = self.signer.sign(mail).map_err(Trouble::ForNow)?;
            self.inner.send(&signed).await
        })
    }
}

#[cfg(test)]
pub(super) mod tests {
    use super::*;

    /// A mail signed by the test key, and the record that verifies it.
    pub(in super::super) fn signed(domain: &str, bytes: &[u8]) -> (Vec<u8>, String) {
        let pem = include_str!("../../testdata/mail/dkim.pem");
        let signer = Signer::new(domain, "sel", pem).unwrap();
        let mail = Mail {
            sender: format!("a@{domain}"),
            recipient: "b@example.net".to_owned(),
            id: "1@example.org".to_owned(),
            bytes: bytes.to_vec(),
        };
        let (name, record) = signer.record();
        assert_eq!(name, format!("sel._domainkey.{domain}."));
        (signer.sign(&mail).unwrap().bytes, record)
    }

    #[test]
    fn the_record_has_the_key_as_openssl_writes_it() {
        let (_, record) = signed("example.org", b"From: a@example.org\r\n\r\nHello\r\n");
        let expected = include_str!("../../testdata/mail/dkim.pub.pem");
        let expected: String = expected
            .lines()
            .filter(|line| !line.starts_with('-'))
            .collect();
        assert_eq!(record, format!("v=DKIM1; k=rsa; p={expected}"));
    }

    #[test]
    fn what_is_no_key_is_said() {
        for bad in [
            "",
            "-----BEGIN PRIVATE KEY-----\nAAAA\n-----END PRIVATE KEY-----\n",
        ] {
            assert!(Signer::new("example.org", "sel", bad).is_err());
        }
    }
}
