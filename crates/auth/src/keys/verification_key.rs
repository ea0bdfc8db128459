//! One key, bound to the algorithms it may be used with.

use std::fmt;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use jsonwebtoken::{Algorithm, DecodingKey};

use super::jwk;

/// What an RSA key may be used with.
pub(super) const RSA: [Algorithm; 6] = [
    Algorithm::RS256,
    Algorithm::RS384,
    Algorithm::RS512,
    Algorithm::PS256,
    Algorithm::PS384,
    Algorithm::PS512,
];

/// A key that proves who issued a token.
///
/// It knows the algorithms it may be used with. What a token's header says can choose among these and
/// never beyond them, so a public key is never taken for a shared secret. `Debug` shows no key material.
#[derive(Clone)]
pub struct VerificationKey {
    id: Option<Box<str>>,
    algorithms: Vec<Algorithm>,
    key: DecodingKey,
}

/// Why something is no key. Says nothing of the key itself.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum KeyError {
    /// A secret that others could guess by trying; HS256 needs 32 bytes, RFC 7518, section 3.2.
    #[error("the secret has {bytes} bytes, it needs at least 32")]
    SecretTooShort {
        /// How long it is.
        bytes: usize,
    },
    /// Not base64 of the ordinary alphabet.
    #[error("the secret is not base64")]
    Base64,
    /// Not a public key of RSA, P-256, P-384 or Ed25519; a private one does not belong where tokens are
    /// only verified.
    #[error("the PEM text is no public key of RSA, P-256, P-384 or Ed25519")]
    Pem,
    /// Not a JSON Web Key, or a set of them with none that can verify signatures.
    #[error("there is no JSON Web Key in it that can verify signatures")]
    Jwk,
}

impl VerificationKey {
    /// A shared secret, for HS256; with at least 48 bytes for HS384 too, with 64 for HS512.
    ///
    /// # Errors
    /// [`KeyError::SecretTooShort`].
    pub fn secret(secret: &[u8]) -> Result<Self, KeyError> {
        let enough = [(Algorithm::HS256, 32), (Algorithm::HS384, 48), (Algorithm::HS512, 64)];
        let fitting = enough.into_iter().filter(|(_, bytes)| secret.len() >= *bytes);
        let algorithms: Vec<_> = fitting.map(|(algorithm, _)| algorithm).collect();
        match algorithms.is_empty() {
            true => Err(KeyError::SecretTooShort { bytes: secret.len() }),
            false => Ok(Self::new(algorithms, DecodingKey::from_secret(secret))),
        }
    }

    /// A shared secret as base64, as `dotnet user-jwts` keeps it.
    ///
    /// # Errors
    /// [`KeyError::Base64`] and [`KeyError::SecretTooShort`].
    pub fn base64_secret(text: &str) -> Result<Self, KeyError> {
        Self::secret(&STANDARD.decode(text.trim()).map_err(|_| KeyError::Base64)?)
    }

    /// A public key as PEM: RSA for RS256 and its kin, P-256 for ES256, P-384 for ES384, Ed25519 for EdDSA.
    ///
    /// # Errors
    /// [`KeyError::Pem`].
    pub fn pem(text: &str) -> Result<Self, KeyError> {
        let pem = text.trim().as_bytes();
        if text.contains("PRIVATE KEY") {
            return Err(KeyError::Pem);
        }
        if let Ok(key) = DecodingKey::from_rsa_pem(pem) {
            return Self::probed(&RSA, key).ok_or(KeyError::Pem);
        }
        if let Ok(key) = DecodingKey::from_ed_pem(pem) {
            return Self::probed(&[Algorithm::EdDSA], key).ok_or(KeyError::Pem);
        }
        let key = DecodingKey::from_ec_pem(pem).map_err(|_| KeyError::Pem)?;
        [Algorithm::ES256, Algorithm::ES384]
            .into_iter()
            .find_map(|algorithm| Self::probed(&[algorithm], key.clone()))
            .ok_or(KeyError::Pem)
    }

    /// The keys of a JSON Web Key (RFC 7517), or of a set of them, shared secrets (`oct`) included. What is
    /// meant for encryption, or of a kind this crate does not know, is left out.
    ///
    /// # Errors
    /// [`KeyError::Jwk`] if nothing is left.
    pub fn json_web_keys(text: &str) -> Result<Vec<Self>, KeyError> {
        let keys = jwk::read(text.as_bytes(), jwk::Secrets::Allowed).ok_or(KeyError::Jwk)?;
        match keys.is_empty() {
            true => Err(KeyError::Jwk),
            false => Ok(keys),
        }
    }

    /// The keys in a text as people put it into a configuration: PEM, a JSON Web Key, a set of them, else
    /// the text itself is the secret, as `Encoding.UTF8.GetBytes` makes it one in ASP.NET Core.
    ///
    /// # Errors
    /// Those of the kind that the text seems to be. A broken PEM text is never taken for a secret.
    pub fn from_text(text: &str) -> Result<Vec<Self>, KeyError> {
        let trimmed = text.trim();
        if trimmed.starts_with("-----BEGIN") {
            Ok(vec![Self::pem(trimmed)?])
        } else if trimmed.starts_with('{') {
            Self::json_web_keys(trimmed)
        } else {
            Ok(vec![Self::secret(text.as_bytes())?])
        }
    }

    /// Gives the key a name. Tokens that name another one are not verified with it.
    #[must_use]
    pub fn with_id(mut self, id: &str) -> Self {
        self.id = Some(id.into());
        self
    }

    /// The `kid`, if it has one.
    pub fn id(&self) -> Option<&str> {
        self.id.as_deref()
    }

    pub(super) fn new(algorithms: Vec<Algorithm>, key: DecodingKey) -> Self {
        Self { id: None, algorithms, key }
    }

    /// A key that the cryptography accepts for all of these algorithms.
    pub(super) fn probed(algorithms: &[Algorithm], key: DecodingKey) -> Option<Self> {
        let key = Self::new(algorithms.to_vec(), key);
        let usable = |algorithm| jsonwebtoken::crypto::verify("", b"", &key.key, algorithm).is_ok();
        algorithms.iter().copied().all(usable).then_some(key)
    }

    /// Keeps only one of the algorithms; none if it was not there.
    pub(super) fn only(mut self, algorithm: Algorithm) -> Option<Self> {
        self.algorithms.retain(|own| *own == algorithm);
        (!self.algorithms.is_empty()).then_some(self)
    }

    /// Whether a token that names this key, or none, may be verified with this one.
    pub(crate) fn may_be(&self, id: Option<&str>) -> bool {
        match (self.id(), id) {
            (Some(own), Some(wanted)) => own == wanted,
            _ => true,
        }
    }

    /// Whether `signature` is this key's for `message`, with an algorithm that it may be used with.
    pub(crate) fn verifies(&self, algorithm: Algorithm, message: &str, signature: &str) -> bool {
        self.algorithms.contains(&algorithm)
            && jsonwebtoken::crypto::verify(signature, message.as_bytes(), &self.key, algorithm)
                .unwrap_or(false)
    }
}

impl fmt::Debug for VerificationKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("VerificationKey")
            .field("id", &self.id)
            .field("algorithms", &self.algorithms)
            .finish_non_exhaustive()
    }
}
