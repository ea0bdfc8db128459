//! One key, bound to the algorithms it may be used with.

use std::fmt;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;

use super::signature::{Algorithm, Material};
use super::{KeyError, jwk, text};

/// A key that proves who issued a token.
///
/// It knows the algorithms it may be used with. What a token's header says can choose among these and
/// never beyond them, so a public key is never taken for a shared secret. `Debug` shows no key material.
///
/// A text that holds a public key or a certificate is never a secret either, in whatever wrapping it comes: with quotes,
/// comments or a byte order mark around it, on one line with `\n`, as base64 or hexadecimal of the key or of the text.
/// Where public keys are expected it is read as the key it is, elsewhere it is refused.
#[derive(Clone)]
pub struct VerificationKey {
    id: Option<Box<str>>,
    algorithms: Vec<Algorithm>,
    material: Material,
}

impl VerificationKey {
    /// A shared secret, for HS256; with at least 48 bytes for HS384 too, with 64 for HS512.
    ///
    /// # Errors
    /// [`KeyError::SecretTooShort`]; [`KeyError::NotASecret`] and others if it is something that others know.
    pub fn secret(secret: &[u8]) -> Result<Self, KeyError> {
        match text::keys_in_bytes(secret)? {
            Some(_) => Err(KeyError::NotASecret),
            None => Self::symmetric(secret),
        }
    }

    /// A shared secret as base64, as `dotnet user-jwts` keeps it. Quotes and blanks around it do not count.
    ///
    /// # Errors
    /// [`KeyError::Base64`] and those of [`secret`](Self::secret).
    pub fn base64_secret(base64: &str) -> Result<Self, KeyError> {
        match text::keys(base64)? {
            Some(_) => Err(KeyError::NotASecret),
            None => Self::secret(&STANDARD.decode(text::bare(base64)).map_err(|_| KeyError::Base64)?),
        }
    }

    /// A public key as PEM, or the certificate that it is in: RSA for RS256 and its kin, P-256 for ES256, P-384 for ES384,
    /// Ed25519 for EdDSA. Nothing is asked of the certificate but its key, not even its dates.
    ///
    /// # Errors
    /// [`KeyError::PrivateKey`], [`KeyError::RsaSize`], [`KeyError::Certificate`], else [`KeyError::Pem`].
    pub fn pem(pem: &str) -> Result<Self, KeyError> {
        let mut keys = text::keys(pem)?.unwrap_or_default();
        match (keys.pop(), keys.is_empty()) {
            (Some(key), true) => Ok(key),
            _ => Err(KeyError::Pem),
        }
    }

    /// The keys of a JSON Web Key (RFC 7517), or of a set of them, shared secrets (`oct`) included. What is
    /// meant for encryption, or of a kind this crate does not know, is left out.
    ///
    /// # Errors
    /// [`KeyError::Jwk`] if nothing is left; [`KeyError::PrivateKey`], [`KeyError::SecretTooShort`],
    /// [`KeyError::NotASecret`] or [`KeyError::RsaSize`] if there is such a key among them.
    pub fn json_web_keys(json: &str) -> Result<Vec<Self>, KeyError> {
        jwk::read(text::bare(json).as_bytes(), jwk::Source::Configuration)
    }

    /// The keys in a text as people put it into a configuration: PEM, a certificate, a JSON Web Key, a set of them,
    /// these or DER in base64, else the text itself is the secret, as `Encoding.UTF8.GetBytes` makes it one in ASP.NET
    /// Core.
    ///
    /// # Errors
    /// The error of the kind of key that the text looks like. A text that looks like a key, and is broken, is never a secret.
    pub fn from_text(text: &str) -> Result<Vec<Self>, KeyError> {
        match text::keys(text)? {
            Some(keys) => Ok(keys),
            None => Ok(vec![Self::symmetric(text.as_bytes())?]),
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

    pub(super) fn new(material: Material) -> Self {
        Self { id: None, algorithms: material.algorithms(), material }
    }

    /// A secret that is known not to be a public key.
    fn symmetric(secret: &[u8]) -> Result<Self, KeyError> {
        // Blanks and quotes around a text are no secret. Bytes that are no text may begin and end as they like.
        let bytes = std::str::from_utf8(secret).map_or(secret.len(), |text| text::bare(text).len());
        let enough = [(Algorithm::Hs256, 32), (Algorithm::Hs384, 48), (Algorithm::Hs512, 64)];
        let fitting = enough.into_iter().filter(|(_, least)| bytes >= *least);
        let algorithms: Vec<_> = fitting.map(|(algorithm, _)| algorithm).collect();
        match algorithms.is_empty() {
            true => Err(KeyError::SecretTooShort { bytes }),
            false => Ok(Self { id: None, algorithms, material: Material::secret(secret) }),
        }
    }

    /// Restricts the key to one of its algorithms; to none if it has not that one.
    pub(super) fn only(mut self, algorithm: Algorithm) -> Option<Self> {
        self.algorithms.retain(|own| *own == algorithm);
        (!self.algorithms.is_empty()).then_some(self)
    }

    /// Whether `signature` is this key's for `message`, with an algorithm that it may be used with.
    pub(crate) fn verifies(&self, algorithm: Algorithm, message: &[u8], signature: &[u8]) -> bool {
        self.algorithms.contains(&algorithm) && self.material.verifies(algorithm, message, signature)
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
