use std::path::{Path, PathBuf};

use anyhow::{Context, Result};
use rcgen::{BasicConstraints, CertificateParams, DnType, IsCa, KeyPair};
use tempfile::TempDir;

/// An authority of its own, a certificate from it and the key to that, as PEM files that go when it is dropped.
#[derive(Debug)]
pub struct Certificates {
    directory: TempDir,
}

impl Certificates {
    /// A certificate for these host names and IP addresses.
    ///
    /// # Errors
    /// When one of them is no name, or there is no place for temporary files.
    pub fn new(names: &[&str]) -> Result<Self> {
        Self::valid_until(names, (4096, 1, 1))
    }

    /// The same, valid until the beginning of a day: year, month and day in UTC.
    ///
    /// # Errors
    /// As [`Certificates::new`].
    pub fn valid_until(names: &[&str], (year, month, day): (i32, u8, u8)) -> Result<Self> {
        let mut authority = CertificateParams::default();
        // With the same name as what it signs, that would look signed by itself.
        authority.distinguished_name.push(DnType::CommonName, "authority");
        authority.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        let authority_key = KeyPair::generate()?;
        let authority = authority.self_signed(&authority_key)?;
        let key = KeyPair::generate()?;
        let names = names.iter().map(ToString::to_string).collect::<Vec<_>>();
        let mut certificate = CertificateParams::new(names)?;
        certificate.not_after = rcgen::date_time_ymd(year, month, day);
        let certificate = certificate.signed_by(&key, &authority, &authority_key)?;

        let certificates = Self { directory: tempfile::tempdir().context("a directory for certificates")? };
        std::fs::write(certificates.authority(), authority.pem())?;
        std::fs::write(certificates.certificate(), certificate.pem())?;
        std::fs::write(certificates.key(), key.serialize_pem())?;
        Ok(certificates)
    }

    /// The authority's certificate.
    pub fn authority(&self) -> PathBuf {
        self.path("authority.pem")
    }

    /// The certificate.
    pub fn certificate(&self) -> PathBuf {
        self.path("certificate.pem")
    }

    /// Its private key.
    pub fn key(&self) -> PathBuf {
        self.path("key.pem")
    }

    fn path(&self, name: &str) -> PathBuf {
        Path::join(self.directory.path(), name)
    }
}
