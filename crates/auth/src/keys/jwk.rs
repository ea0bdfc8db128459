//! JSON Web Keys (RFC 7517).

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use jsonwebtoken::jwk::{AlgorithmParameters, EllipticCurve, Jwk, PublicKeyUse};
use jsonwebtoken::{Algorithm, DecodingKey};
use serde::Deserialize;
use serde_json::Value;

use super::VerificationKey;
use super::verification_key::RSA;

/// Keys that are read of one set; no issuer has that many.
const MOST_KEYS: usize = 100;

/// Whether a set may hold shared secrets. One that others can fetch may not.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Secrets {
    Allowed,
    Refused,
}

#[derive(Deserialize)]
struct Set {
    keys: Vec<Value>,
}

/// The keys of a set, or of one key alone, that can verify signatures; `None` if it is neither.
pub(super) fn read(json: &[u8], secrets: Secrets) -> Option<Vec<VerificationKey>> {
    let value: Value = serde_json::from_slice(json).ok()?;
    let keys = match value.get("keys") {
        Some(_) => Set::deserialize(value).ok()?.keys,
        None => vec![value.as_object().filter(|key| key.contains_key("kty")).cloned()?.into()],
    };
    Some(keys.into_iter().take(MOST_KEYS).filter_map(|key| read_key(key, secrets)).collect())
}

fn read_key(json: Value, secrets: Secrets) -> Option<VerificationKey> {
    let jwk = Jwk::deserialize(json).ok()?;
    if matches!(jwk.common.public_key_use, Some(PublicKeyUse::Encryption)) {
        return None;
    }
    let key = match &jwk.algorithm {
        AlgorithmParameters::OctetKey(secret) if secrets == Secrets::Allowed => secret_of(&secret.value)?,
        AlgorithmParameters::RSA(_) => public(&RSA, &jwk)?,
        AlgorithmParameters::EllipticCurve(curve) => match curve.curve {
            EllipticCurve::P256 => public(&[Algorithm::ES256], &jwk)?,
            EllipticCurve::P384 => public(&[Algorithm::ES384], &jwk)?,
            _ => return None,
        },
        AlgorithmParameters::OctetKeyPair(pair) if pair.curve == EllipticCurve::Ed25519 => {
            public(&[Algorithm::EdDSA], &jwk)?
        }
        _ => return None,
    };
    let key = match jwk.common.key_algorithm {
        Some(algorithm) => key.only(algorithm.try_into().ok()?)?,
        None => key,
    };
    Some(match jwk.common.key_id {
        Some(id) => key.with_id(&id),
        None => key,
    })
}

fn secret_of(base64url: &str) -> Option<VerificationKey> {
    VerificationKey::secret(&URL_SAFE_NO_PAD.decode(base64url).ok()?).ok()
}

fn public(algorithms: &[Algorithm], jwk: &Jwk) -> Option<VerificationKey> {
    VerificationKey::probed(algorithms, DecodingKey::from_jwk(jwk).ok()?)
}
