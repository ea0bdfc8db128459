//! What TLS failed for, in words that name the setting.

use std::fs::File;
use std::path::PathBuf;

use rustls::CertificateError::{
    BadSignature, Expired, ExpiredContext, NotValidForName, NotValidForNameContext, Other, UnknownIssuer,
};

use crate::StoreError;

/// What is wrong with TLS and what is to be done; `None` if the error is none of TLS.
pub(crate) fn cure(error: &sqlx::Error) -> Option<String> {
    let failed = match error {
        sqlx::Error::Tls(error) => return Some(format!("TLS, which SSL Mode asks for: {error}")),
        sqlx::Error::Configuration(error) => {
            return Some(format!("TLS with SSL Certificate and SSL Key: {error}"));
        }
        sqlx::Error::Io(error) => error.get_ref()?.downcast_ref::<rustls::Error>()?,
        _ => return None,
    };
    let do_this = match failed {
        rustls::Error::InvalidCertificate(UnknownIssuer | BadSignature) => {
            "Root Certificate has to name the file with the certificate of the authority that has signed the server's"
        }
        rustls::Error::InvalidCertificate(NotValidForName | NotValidForNameContext { .. }) => {
            "Host has to be a name that the server's certificate is for, else SSL Mode=VerifyCA compares no names"
        }
        rustls::Error::InvalidCertificate(Expired | ExpiredContext { .. }) => {
            "the server needs a new certificate, or this machine the right time"
        }
        rustls::Error::InvalidCertificate(Other(other))
            if format!("{other:?}").contains("CaUsedAsEndEntity") =>
        {
            "the server's certificate is that of an authority (CA:TRUE), which no server may have: `openssl req -x509` makes one for a \
             server with -addext basicConstraints=critical,CA:FALSE"
        }
        _ => "see SSL Mode, Root Certificate, SSL Certificate and SSL Key",
    };
    Some(format!("TLS: {failed}; {do_this}"))
}

/// Whether the files can be read that connecting reads.
///
/// # Errors
/// One cannot; says which, and which key names it.
pub(super) fn check_files(files: &[(&'static str, PathBuf)]) -> Result<(), StoreError> {
    for (key, path) in files {
        File::open(path).map_err(|error| {
            StoreError::Unavailable(format!("{}, which {key} names, cannot be read: {error}", path.display()))
        })?;
    }
    Ok(())
}
