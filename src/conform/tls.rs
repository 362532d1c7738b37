//! TLS for the suite's client: whose certificates are believed, and the stream over a connection (RFC 2818, RFC 8446).
//!
//! **Gaps**: no certificate of the client, no root certificates of the system; a target file names a file of roots.

use std::io;
use std::net::TcpStream;
use std::path::Path;
use std::sync::Arc;

use tokio_rustls::rustls::client::danger::{
    HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier,
};
use tokio_rustls::rustls::crypto::{
    CryptoProvider, ring, verify_tls12_signature, verify_tls13_signature,
};
use tokio_rustls::rustls::pki_types::pem::PemObject;
use tokio_rustls::rustls::pki_types::{CertificateDer, ServerName, UnixTime};
use tokio_rustls::rustls::{
    ClientConfig, ClientConnection, DigitallySignedStruct, Error, RootCertStore, SignatureScheme,
    StreamOwned,
};

/// Whose certificates are believed.
#[derive(Debug, Clone)]
pub struct Trust(Arc<ClientConfig>);

impl Trust {
    /// Every certificate is believed: for a test server that signs its own.
    pub fn anybody() -> Result<Trust, String> {
        let provider = Arc::new(ring::default_provider());
        let mut config = config(&provider, RootCertStore::empty())?;
        config
            .dangerous()
            .set_certificate_verifier(Arc::new(Anything(provider)));
        Ok(Trust(Arc::new(config)))
    }

    /// Certificates are believed that a certificate of this file has signed.
    pub fn signed_by(file: &Path) -> Result<Trust, String> {
        let bad = |error: &dyn std::fmt::Display| format!("{}: {error}", file.display());
        let mut roots = RootCertStore::empty();
        for certificate in CertificateDer::pem_file_iter(file).map_err(|e| bad(&e))? {
            let certificate = certificate.map_err(|e| bad(&e))?;
            roots.add(certificate).map_err(|e| bad(&e))?;
        }
        if roots.is_empty() {
            return Err(bad(&"has no certificate"));
        }
        let provider = Arc::new(ring::default_provider());
        Ok(Trust(Arc::new(config(&provider, roots)?)))
    }

    /// The connection to a host, encrypted.
    pub fn stream(
        &self,
        stream: TcpStream,
        authority: &str,
    ) -> io::Result<StreamOwned<ClientConnection, TcpStream>> {
        let host = match authority.rsplit_once(':') {
            Some((host, port)) if port.parse::<u16>().is_ok() => host,
            _ => authority,
        };
        let host = host
            .trim_start_matches('[')
            .trim_end_matches(']')
            .to_owned();
        let name = ServerName::try_from(host).map_err(io::Error::other)?;
        let connection =
            ClientConnection::new(Arc::clone(&self.0), name).map_err(io::Error::other)?;
        Ok(StreamOwned::new(connection, stream))
    }
}

fn config(provider: &Arc<CryptoProvider>, roots: RootCertStore) -> Result<ClientConfig, String> {
    let config = ClientConfig::builder_with_provider(Arc::clone(provider))
        .with_safe_default_protocol_versions()
        .map_err(|error| error.to_string())?;
    Ok(config.with_root_certificates(roots).with_no_client_auth())
}

/// Believes every certificate; signatures are still checked, so that the handshake is a real one.
#[derive(Debug)]
struct Anything(Arc<CryptoProvider>);

impl ServerCertVerifier for Anything {
    fn verify_server_cert(
        &self,
        _end_entity: &CertificateDer<'_>,
        _intermediates: &[CertificateDer<'_>],
        _server_name: &ServerName<'_>,
        _ocsp_response: &[u8],
        _now: UnixTime,
    ) -> Result<ServerCertVerified, Error> {
        Ok(ServerCertVerified::assertion())
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signature: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        let algorithms = &self.0.signature_verification_algorithms;
        verify_tls12_signature(message, certificate, signature, algorithms)
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signature: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        let algorithms = &self.0.signature_verification_algorithms;
        verify_tls13_signature(message, certificate, signature, algorithms)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.0.signature_verification_algorithms.supported_schemes()
    }
}

#[cfg(test)]
mod tests {
    use std::io::{Read, Write};
    use std::net::TcpListener;
    use std::thread;

    use tokio_rustls::rustls::pki_types::PrivateKeyDer;
    use tokio_rustls::rustls::{ServerConfig, ServerConnection};

    use super::*;
    use crate::conform::wire::{self, Origin, Question};

    fn certificate(name: &str) -> String {
        format!("{}/testdata/tls/{name}", env!("CARGO_MANIFEST_DIR"))
    }

    /// A server with the certificate `one` that answers 204 to one connection; its port.
    fn server() -> u16 {
        let chain = CertificateDer::pem_file_iter(certificate("one.pem")).unwrap();
        let chain = chain.map(Result::unwrap).collect();
        let key = PrivateKeyDer::from_pem_file(certificate("one.key.pem")).unwrap();
        let config = ServerConfig::builder_with_provider(Arc::new(ring::default_provider()))
            .with_safe_default_protocol_versions()
            .unwrap()
            .with_no_client_auth()
            .with_single_cert(chain, key)
            .unwrap();
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let port = listener.local_addr().unwrap().port();
        thread::spawn(move || {
            let (stream, _) = listener.accept().unwrap();
            let connection = ServerConnection::new(Arc::new(config)).unwrap();
            let mut stream = StreamOwned::new(connection, stream);
            // A client that does not believe the certificate goes away here.
            if stream.read(&mut [0; 1024]).is_ok_and(|read| read > 0) {
                stream
                    .write_all(b"HTTP/1.1 204 No Content\r\n\r\n")
                    .unwrap();
            }
        });
        port
    }

    fn asked(trust: Trust) -> io::Result<u16> {
        let url = format!("https://localhost:{}/", server());
        let origin = Origin::trusting(&url, Some(trust)).unwrap();
        let question = Question {
            method: "OPTIONS".to_owned(),
            target: "/".to_owned(),
            ..Question::default()
        };
        wire::ask(&origin, &question).map(|answer| answer.status)
    }

    #[test]
    fn a_certificate_is_believed_as_the_target_says() {
        let signed_by = |name: &str| Trust::signed_by(Path::new(&certificate(name))).unwrap();
        assert_eq!(asked(signed_by("one.pem")).unwrap(), 204);
        assert!(asked(signed_by("two.pem")).is_err());
        assert_eq!(asked(Trust::anybody().unwrap()).unwrap(), 204);
        assert!(Origin::parse("https://localhost/").is_err());
        assert!(Trust::signed_by(Path::new(&certificate("one.key.pem"))).is_err());
    }
}
