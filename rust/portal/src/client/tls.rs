//! HTTPS as a device: whom it trusts, and its handshake.

use std::path::Path;
use std::sync::Arc;

use tokio::net::TcpStream;
use tokio_rustls::TlsConnector;
use tokio_rustls::client::TlsStream;
use tokio_rustls::rustls::client::Resumption;
use tokio_rustls::rustls::client::danger::{
    HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier,
};
use tokio_rustls::rustls::crypto::ring::default_provider;
use tokio_rustls::rustls::crypto::{
    CryptoProvider, verify_tls12_signature, verify_tls13_signature,
};
use tokio_rustls::rustls::pki_types::{CertificateDer, ServerName, UnixTime};
use tokio_rustls::rustls::{
    ClientConfig, DigitallySignedStruct, Error, RootCertStore, SignatureScheme,
};

use crate::tls::{Unusable, certificates, unusable};

/// Whose certificates are good.
#[derive(Debug, Clone, Copy)]
pub enum Trust<'a> {
    /// Those of the authorities in this PEM file, for the portal's name.
    File(&'a Path),
    /// Any: nothing is held against anything.
    Anybody,
}

/// How devices open their connections: TLS 1.2 or 1.3, a whole handshake each,
/// for they are different devices.
#[derive(Clone)]
pub struct Tls {
    connector: TlsConnector,
    name: ServerName<'static>,
}

impl std::fmt::Debug for Tls {
    fn fmt(&self, out: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(out, "Tls({:?})", self.name)
    }
}

impl Tls {
    /// `name` is the portal's, or its IP address.
    ///
    /// # Errors
    ///
    /// [`Unusable`] names the file, or the name where it is none.
    pub fn new(name: &str, trust: Trust<'_>) -> Result<Self, Unusable> {
        let provider = Arc::new(default_provider());
        let builder = ClientConfig::builder_with_provider(provider.clone())
            .with_safe_default_protocol_versions()
            .map_err(|error| unusable(Path::new(name), error))?;
        let mut config = match trust {
            Trust::File(path) => builder
                .with_root_certificates(roots(path)?)
                .with_no_client_auth(),
            Trust::Anybody => builder
                .dangerous()
                .with_custom_certificate_verifier(Arc::new(Nothing(provider)))
                .with_no_client_auth(),
        };
        config.resumption = Resumption::disabled();
        let named = ServerName::try_from(name.to_owned());
        Ok(Self {
            connector: TlsConnector::from(Arc::new(config)),
            name: named.map_err(|error| unusable(Path::new(name), error))?,
        })
    }

    pub(super) async fn handshake(
        &self,
        stream: TcpStream,
    ) -> std::io::Result<TlsStream<TcpStream>> {
        self.connector.connect(self.name.clone(), stream).await
    }
}

fn roots(path: &Path) -> Result<RootCertStore, Unusable> {
    let mut roots = RootCertStore::empty();
    let (added, _) = roots.add_parsable_certificates(certificates(path)?);
    if added == 0 {
        return Err(unusable(path, "there is no authority in it"));
    }
    Ok(roots)
}

/// Holds a certificate against nothing; that the other side has its key is
/// still looked at, for it costs devices what it costs.
#[derive(Debug)]
struct Nothing(Arc<CryptoProvider>);

impl ServerCertVerifier for Nothing {
    fn verify_server_cert(
        &self,
        _: &CertificateDer<'_>,
        _: &[CertificateDer<'_>],
        _: &ServerName<'_>,
        _: &[u8],
        _: UnixTime,
    ) -> Result<ServerCertVerified, Error> {
        Ok(ServerCertVerified::assertion())
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signature: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        let known = &self.0.signature_verification_algorithms;
        verify_tls12_signature(message, certificate, signature, known)
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signature: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        let known = &self.0.signature_verification_algorithms;
        verify_tls13_signature(message, certificate, signature, known)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.0.signature_verification_algorithms.supported_schemes()
    }
}
