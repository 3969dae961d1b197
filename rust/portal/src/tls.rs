//! TLS by certificate files.

use std::fs;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use tokio_rustls::TlsAcceptor;
use tokio_rustls::rustls::ServerConfig;
use tokio_rustls::rustls::crypto::ring::default_provider;
use tokio_rustls::rustls::pki_types::pem::PemObject;
use tokio_rustls::rustls::pki_types::{CertificateDer, PrivateKeyDer};

/// A file that can not be used, and why.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Unusable {
    pub path: PathBuf,
    pub reason: String,
}

/// TLS 1.2 and 1.3 with the chain of `certificate` and the `key`, both PEM.
///
/// # Errors
///
/// [`Unusable`] names the file.
pub fn acceptor(certificate: &Path, key: &Path) -> Result<TlsAcceptor, Unusable> {
    let chain = certificates(certificate)?;
    let secret =
        PrivateKeyDer::from_pem_slice(&read(key)?).map_err(|error| unusable(key, error))?;
    let config = ServerConfig::builder_with_provider(Arc::new(default_provider()))
        .with_safe_default_protocol_versions()
        .map_err(|error| unusable(certificate, error))?
        .with_no_client_auth()
        .with_single_cert(chain, secret)
        .map_err(|error| unusable(key, error))?;
    Ok(TlsAcceptor::from(Arc::new(config)))
}

/// At least one.
pub(crate) fn certificates(path: &Path) -> Result<Vec<CertificateDer<'static>>, Unusable> {
    let found = CertificateDer::pem_slice_iter(&read(path)?)
        .collect::<Result<Vec<_>, _>>()
        .map_err(|error| unusable(path, error))?;
    if found.is_empty() {
        return Err(unusable(path, "there is no certificate in it"));
    }
    Ok(found)
}

fn read(path: &Path) -> Result<Vec<u8>, Unusable> {
    fs::read(path).map_err(|error| unusable(path, error))
}

pub(crate) fn unusable(path: &Path, reason: impl ToString) -> Unusable {
    Unusable {
        path: path.to_owned(),
        reason: reason.to_string(),
    }
}
