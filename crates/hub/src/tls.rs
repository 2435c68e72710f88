//! Certificates that are trusted instead of those that are built in, as a company's proxy needs it.

use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use ureq::tls::{Certificate, PemItem, RootCerts, TlsConfig, parse_pem};

use crate::error::{Error, ErrorKind};
use crate::settings::Certificates;

/// # Errors
/// Nothing can be read there, or no certificate is in it.
pub(crate) fn trusting(certificates: &Certificates) -> Result<TlsConfig, Error> {
    let Certificates { path, from } = certificates;
    let failed = |error: io::Error| {
        let what = format!("the certificates that {from} names cannot be read");
        Error::disk(path, &what, &error)
    };
    let mut trusted: Vec<Certificate<'static>> = Vec::new();
    let is_folder = path.is_dir();
    for file in files(path).map_err(failed)? {
        let content = match std::fs::read(file) {
            Ok(content) => content,
            // A folder may hold what is not for everybody.
            Err(_) if is_folder => continue,
            Err(error) => return Err(failed(error)),
        };
        trusted.extend(parse_pem(&content).filter_map(|item| match item {
            Ok(PemItem::Certificate(certificate)) => Some(certificate),
            _ => None,
        }));
    }
    if trusted.is_empty() {
        let message = format!(
            "{}: has no certificate; {from} names a file in PEM, or a folder of such",
            path.display()
        );
        return Err(Error::new(ErrorKind::Setting, message));
    }
    Ok(TlsConfig::builder().root_certs(RootCerts::Specific(Arc::new(trusted))).build())
}

/// The file, or those of the folder, as REQUESTS_CA_BUNDLE may name one.
fn files(path: &Path) -> io::Result<Vec<PathBuf>> {
    if !path.is_dir() {
        return Ok(vec![path.to_owned()]);
    }
    let mut files = Vec::new();
    for entry in std::fs::read_dir(path)? {
        let file = entry?.path();
        if file.is_file() {
            files.push(file);
        }
    }
    files.sort();
    Ok(files)
}
