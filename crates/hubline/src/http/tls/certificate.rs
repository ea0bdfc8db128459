//! A certificate and its key, from files.

use std::fmt;
use std::io;
use std::path::{Path, PathBuf};

use pkcs8::{EncryptedPrivateKeyInfo, SecretDocument, pkcs5};
use rustls::InconsistentKeys;
use rustls::crypto::CryptoProvider;
use rustls::pki_types::pem::{self, PemObject};
use rustls::pki_types::{CertificateDer, PrivateKeyDer, PrivatePkcs8KeyDer};
use rustls::sign::CertifiedKey;

const ENCRYPTED_BEGIN: &str = "-----BEGIN ENCRYPTED PRIVATE KEY-----";
const ENCRYPTED_END: &str = "-----END ENCRYPTED PRIVATE KEY-----";

/// Where a certificate and its private key are.
///
/// The certificate is PEM, with those of the authorities between it and the root behind it, or one certificate as DER. The key is PEM:
/// PKCS #8, encrypted (PBES2) or not, PKCS #1 or SEC 1.
#[derive(Clone)]
pub struct CertificateFiles {
    pub(super) certificate: PathBuf,
    key: Option<PathBuf>,
    password: Option<String>,
}

/// Why a certificate cannot be used. Each says which file it is and what would be right.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum CertificateError {
    /// The certificate's file cannot be used.
    #[error("{} {}", .0.display(), .1)]
    Certificate(PathBuf, CertificateProblem),
    /// The key's file cannot be used.
    #[error("{} {}", .0.display(), .1)]
    Key(PathBuf, CertificateProblem),
    /// The key is encrypted, and the password is missing or wrong.
    #[error("{} {}", .0.display(), .1)]
    Password(PathBuf, CertificateProblem),
}

/// What is wrong with a file.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum CertificateProblem {
    /// The file is missing, or may not be read by this process.
    #[error("cannot be read: {0}")]
    Unreadable(io::Error),
    /// PEM was expected.
    #[error("has no certificate, expected PEM that begins with -----BEGIN CERTIFICATE-----")]
    NoCertificate,
    /// The PEM is broken.
    #[error("is broken PEM: {0}")]
    Pem(String),
    /// PKCS #12, which is not read.
    #[error(
        "is a PKCS #12 (PFX) file, which is not read; convert it with `openssl pkcs12 -in FILE -nokeys -out certificate.pem` \
         and `openssl pkcs12 -in FILE -nocerts -nodes -out key.pem`"
    )]
    Pfx,
    /// There is no key.
    #[error(
        "has no private key, expected PEM that begins with -----BEGIN PRIVATE KEY----- or \
         -----BEGIN ENCRYPTED PRIVATE KEY-----"
    )]
    NoKey,
    /// OpenSSL's own encryption of PEM.
    #[error(
        "is encrypted as OpenSSL did before PKCS #8, which is not read; convert it with \
         `openssl pkcs8 -topk8 -in FILE -out key.pem`"
    )]
    TraditionalEncryption,
    /// An encryption other than PBES2.
    #[error(
        "is encrypted in a way that is not read; convert it with \
         `openssl pkcs8 -topk8 -v2 aes-256-cbc -in FILE -out key.pem`"
    )]
    UnknownEncryption,
    /// The key is encrypted and no password was given.
    #[error("is encrypted, and there is no password")]
    NoPassword,
    /// The password is not that of the key.
    #[error("cannot be decrypted: the password is wrong")]
    WrongPassword,
    /// The key belongs to another certificate.
    #[error(
        "is the key of another certificate than the one in {}; the two have the same output of \
         `openssl x509 -in CERTIFICATE -noout -pubkey` and `openssl pkey -in KEY -pubout`",
        .0.display()
    )]
    OtherCertificate(PathBuf),
    /// Rustls does not take it.
    #[error("cannot be used: {0}")]
    Unusable(rustls::Error),
}

impl CertificateFiles {
    /// A certificate, with its key in the same file unless [`key`](Self::key) names another.
    pub fn new(certificate: impl Into<PathBuf>) -> Self {
        Self { certificate: certificate.into(), key: None, password: None }
    }

    /// The file of the private key.
    #[must_use]
    pub fn key(mut self, path: impl Into<PathBuf>) -> Self {
        self.key = Some(path.into());
        self
    }

    /// The password of an encrypted key.
    #[must_use]
    pub fn password(mut self, password: impl Into<String>) -> Self {
        self.password = Some(password.into());
        self
    }

    pub(super) fn key_file(&self) -> &PathBuf {
        self.key.as_ref().unwrap_or(&self.certificate)
    }

    /// Reads both files.
    pub(super) fn load(&self, provider: &CryptoProvider) -> Result<CertifiedKey, CertificateError> {
        let certificate = |problem| CertificateError::Certificate(self.certificate.clone(), problem);
        let key = |problem| CertificateError::Key(self.key_file().clone(), problem);
        let chain = read(&self.certificate).and_then(|bytes| certificates(&bytes)).map_err(certificate)?;
        let private = read(self.key_file()).and_then(|bytes| self.private_key(&bytes));
        let private = private.map_err(|problem| match problem {
            CertificateProblem::NoPassword | CertificateProblem::WrongPassword => {
                CertificateError::Password(self.key_file().clone(), problem)
            }
            problem => key(problem),
        })?;
        CertifiedKey::from_der(chain, private, provider).map_err(|error| match error {
            rustls::Error::InconsistentKeys(InconsistentKeys::KeyMismatch) => {
                key(CertificateProblem::OtherCertificate(self.certificate.clone()))
            }
            error @ rustls::Error::InvalidCertificate(_) => certificate(CertificateProblem::Unusable(error)),
            error => key(CertificateProblem::Unusable(error)),
        })
    }

    fn private_key(&self, bytes: &[u8]) -> Result<PrivateKeyDer<'static>, CertificateProblem> {
        let text = String::from_utf8_lossy(bytes);
        if let Some(begin) = text.find(ENCRYPTED_BEGIN) {
            let pem = &text[begin..];
            let end = pem.find(ENCRYPTED_END).map_or(pem.len(), |end| end + ENCRYPTED_END.len());
            return self.decrypt(&pem[..end]);
        }
        if text.contains("Proc-Type: 4,ENCRYPTED") {
            return Err(CertificateProblem::TraditionalEncryption);
        }
        PrivateKeyDer::from_pem_slice(bytes).map_err(|error| match error {
            pem::Error::NoItemsFound if is_pfx(bytes) => CertificateProblem::Pfx,
            pem::Error::NoItemsFound => CertificateProblem::NoKey,
            error => CertificateProblem::Pem(error.to_string()),
        })
    }

    fn decrypt(&self, pem: &str) -> Result<PrivateKeyDer<'static>, CertificateProblem> {
        let password = self.password.as_ref().ok_or(CertificateProblem::NoPassword)?;
        let (_, document) =
            SecretDocument::from_pem(pem).map_err(|error| CertificateProblem::Pem(error.to_string()))?;
        let encrypted = EncryptedPrivateKeyInfo::try_from(document.as_bytes())
            .map_err(|_| CertificateProblem::UnknownEncryption)?;
        // A wrong password may by chance leave something that ends as it should, and is no key.
        let key = encrypted.decrypt(password).map_err(|error| match error {
            pkcs8::Error::EncryptedPrivateKey(
                pkcs5::Error::UnsupportedAlgorithm { .. }
                | pkcs5::Error::NoPbes1CryptSupport
                | pkcs5::Error::AlgorithmParametersInvalid { .. },
            ) => CertificateProblem::UnknownEncryption,
            _ => CertificateProblem::WrongPassword,
        })?;
        Ok(PrivatePkcs8KeyDer::from(key.as_bytes().to_vec()).into())
    }
}

impl fmt::Debug for CertificateFiles {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { certificate, key, .. } = self;
        let mut shown = f.debug_struct("CertificateFiles");
        shown.field("certificate", certificate).field("key", key).finish_non_exhaustive()
    }
}

fn read(path: &Path) -> Result<Vec<u8>, CertificateProblem> {
    std::fs::read(path).map_err(CertificateProblem::Unreadable)
}

/// At least one.
fn certificates(bytes: &[u8]) -> Result<Vec<CertificateDer<'static>>, CertificateProblem> {
    if is_pfx(bytes) {
        return Err(CertificateProblem::Pfx);
    }
    if bytes.first() == Some(&SEQUENCE) {
        return Ok(vec![CertificateDer::from(bytes.to_vec())]);
    }
    let certificates = CertificateDer::pem_slice_iter(bytes).collect::<Result<Vec<_>, _>>();
    match certificates {
        Ok(certificates) if certificates.is_empty() => Err(CertificateProblem::NoCertificate),
        outcome => outcome.map_err(|error| CertificateProblem::Pem(error.to_string())),
    }
}

/// DER's tags.
const SEQUENCE: u8 = 0x30;
const INTEGER: u8 = 0x02;

/// PKCS #12 is a sequence that begins with its version; a certificate is one that begins with another sequence.
fn is_pfx(bytes: &[u8]) -> bool {
    let Some([SEQUENCE, length]) = bytes.get(..2) else { return false };
    // Long forms, and the indefinite one, have their own length in the first byte.
    let content = match length {
        0..=0x80 => 2,
        long => 2 + usize::from(long & 0x7f),
    };
    bytes.get(content) == Some(&INTEGER)
}
