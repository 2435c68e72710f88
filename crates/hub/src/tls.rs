//! Certificates that are trusted instead of those that are built in, as a company's proxy needs it.

use std::path::Path;
use std::sync::Arc;

use ureq::tls::{Certificate, PemItem, RootCerts, TlsConfig, parse_pem};

use crate::error::{Error, ErrorKind};

pub(crate) fn trusting(path: &Path) -> Result<TlsConfig, Error> {
    let pem =
        std::fs::read(path).map_err(|error| Error::disk(path, "the certificates cannot be read", &error))?;
    let certificates: Vec<Certificate<'static>> = parse_pem(&pem)
        .filter_map(|item| match item {
            Ok(PemItem::Certificate(certificate)) => Some(certificate),
            _ => None,
        })
        .collect();
    if certificates.is_empty() {
        let message = format!("{}: has no certificate; SSL_CERT_FILE wants a file in PEM", path.display());
        return Err(Error::new(ErrorKind::Setting, message));
    }
    Ok(TlsConfig::builder().root_certs(RootCerts::Specific(Arc::new(certificates))).build())
}
