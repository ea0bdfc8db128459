//! JSON Web Keys (RFC 7517, RFC 7518, section 6, RFC 8037).

use base64::Engine;
use base64::alphabet;
use base64::engine::{DecodePaddingMode, GeneralPurpose, GeneralPurposeConfig};
use serde::Deserialize;
use serde_json::Value;

use super::signature::{Algorithm, Material};
use super::{KeyError, VerificationKey};

/// Keys that are read of one set; no issuer has that many.
const MOST_KEYS: usize = 100;

/// Some issuers pad what need not be padded.
const BASE64_URL: GeneralPurpose = GeneralPurpose::new(
    &alphabet::URL_SAFE,
    GeneralPurposeConfig::new().with_decode_padding_mode(DecodePaddingMode::Indifferent),
);

/// The origin of a set of keys.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Source {
    /// Shared secrets may be among them, and what is wrong with one is said.
    Configuration,
    /// Others can fetch them too: no secret is one, and what cannot be used is left out.
    Published,
}

#[derive(Deserialize)]
struct Set {
    keys: Vec<Value>,
}

#[derive(Deserialize)]
struct Jwk {
    kty: String,
    #[serde(rename = "use")]
    usage: Option<String>,
    alg: Option<String>,
    kid: Option<String>,
    crv: Option<String>,
    n: Option<String>,
    e: Option<String>,
    x: Option<String>,
    y: Option<String>,
    k: Option<String>,
    d: Option<Value>,
}

/// The keys of a set, or of one key alone, that can verify signatures.
///
/// # Errors
/// [`KeyError::Jwk`] if it is neither, or if none is left; of a configured one also what must not be among the others: a
/// private key, a secret that is none, an RSA key of the wrong size.
pub(super) fn read(json: &[u8], source: Source) -> Result<Vec<VerificationKey>, KeyError> {
    let value: Value = serde_json::from_slice(json).map_err(|_| KeyError::Jwk)?;
    let members = match value.get("keys") {
        Some(_) => Set::deserialize(value).map_err(|_| KeyError::Jwk)?.keys,
        None if value.get("kty").is_some() => vec![value],
        None => return Err(KeyError::Jwk),
    };
    let mut keys = Vec::new();
    for member in members.into_iter().take(MOST_KEYS) {
        // What is of an unknown kind is for others.
        let Ok(jwk) = Jwk::deserialize(member) else { continue };
        match (jwk.read(source), source) {
            (Ok(Some(key)), _) => keys.push(key),
            (Ok(None) | Err(KeyError::Unusable), _) => {}
            (Err(error), Source::Configuration) => return Err(error),
            (Err(error), Source::Published) => {
                tracing::warn!(kid = ?jwk.kid, %error, "A key of the fetched JSON Web Key Set is not used");
            }
        }
    }
    if keys.is_empty() { Err(KeyError::Jwk) } else { Ok(keys) }
}

impl Jwk {
    /// `None` if it is not for signatures, or for those of an algorithm that is not known.
    fn read(&self, source: Source) -> Result<Option<VerificationKey>, KeyError> {
        if self.usage.as_deref() == Some("enc") {
            return Ok(None);
        }
        let Some(key) = self.key(source)? else { return Ok(None) };
        let key = match &self.alg {
            Some(name) => Algorithm::named(name).and_then(|algorithm| key.only(algorithm)),
            None => Some(key),
        };
        Ok(key.map(|key| match &self.kid {
            Some(id) => key.with_id(id),
            None => key,
        }))
    }

    fn key(&self, source: Source) -> Result<Option<VerificationKey>, KeyError> {
        if self.d.is_some() && self.kty != "oct" {
            return Err(KeyError::PrivateKey);
        }
        let material = match (self.kty.as_str(), self.crv.as_deref()) {
            ("oct", _) if source == Source::Published => return Err(KeyError::PublishedSecret),
            ("oct", _) => return VerificationKey::secret(&decode(&self.k)?).map(Some),
            ("RSA", _) => Material::rsa(&decode(&self.n)?, &decode(&self.e)?)?,
            ("EC", Some("P-256")) => self.point(32)?,
            ("EC", Some("P-384")) => self.point(48)?,
            ("OKP", Some("Ed25519")) => Material::ed25519(&decode(&self.x)?)?,
            _ => return Ok(None),
        };
        Ok(Some(VerificationKey::new(material)))
    }

    fn point(&self, coordinate_bytes: usize) -> Result<Material, KeyError> {
        let (x, y) = (decode(&self.x)?, decode(&self.y)?);
        match (x.len(), y.len()) == (coordinate_bytes, coordinate_bytes) {
            true => Material::point(&[&[4], &*x, &*y].concat()),
            false => Err(KeyError::Unusable),
        }
    }
}

fn decode(base64url: &Option<String>) -> Result<Vec<u8>, KeyError> {
    BASE64_URL.decode(base64url.as_deref().unwrap_or_default()).map_err(|_| KeyError::Unusable)
}
