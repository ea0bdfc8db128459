//! Signatures of tokens (RFC 7518, section 3; RFC 8037), by the cryptography that TLS is linked with.

use std::fmt;

use ring::signature::{
    self, ECDSA_P256_SHA256_FIXED, ECDSA_P384_SHA384_FIXED, ED25519, RSA_PKCS1_2048_8192_SHA256,
    RSA_PKCS1_2048_8192_SHA384, RSA_PKCS1_2048_8192_SHA512, RSA_PSS_2048_8192_SHA256,
    RSA_PSS_2048_8192_SHA384, RSA_PSS_2048_8192_SHA512, RsaParameters, RsaPublicKeyComponents,
    UnparsedPublicKey,
};
use ring::{agreement, hmac, rand};

use super::KeyError;

/// The algorithms that are known, by the names of the header `alg`. `none` is not among them.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Algorithm {
    Hs256,
    Hs384,
    Hs512,
    Rs256,
    Rs384,
    Rs512,
    Ps256,
    Ps384,
    Ps512,
    Es256,
    Es384,
    EdDsa,
}

/// The algorithms of an RSA key.
const RSA: [Algorithm; 6] = [
    Algorithm::Rs256,
    Algorithm::Rs384,
    Algorithm::Rs512,
    Algorithm::Ps256,
    Algorithm::Ps384,
    Algorithm::Ps512,
];

/// Smaller ones can be broken, larger ones cost whoever verifies too much: RFC 7518, section 3.3, and the limit of
/// most libraries.
const RSA_BITS: std::ops::RangeInclusive<usize> = 2048..=4096;

/// A key as it verifies.
#[derive(Clone)]
pub(super) enum Material {
    Secret(Box<Secret>),
    /// Modulus and exponent, without zeros in front.
    Rsa {
        modulus: Box<[u8]>,
        exponent: Box<[u8]>,
    },
    /// A point, uncompressed.
    P256(Box<[u8]>),
    P384(Box<[u8]>),
    Ed25519(Box<[u8]>),
}

/// One secret for three algorithms, its first block hashed already.
#[derive(Clone)]
pub(super) struct Secret {
    sha256: hmac::Key,
    sha384: hmac::Key,
    sha512: hmac::Key,
}

impl Algorithm {
    pub(crate) fn named(name: &str) -> Option<Self> {
        Some(match name {
            "HS256" => Self::Hs256,
            "HS384" => Self::Hs384,
            "HS512" => Self::Hs512,
            "RS256" => Self::Rs256,
            "RS384" => Self::Rs384,
            "RS512" => Self::Rs512,
            "PS256" => Self::Ps256,
            "PS384" => Self::Ps384,
            "PS512" => Self::Ps512,
            "ES256" => Self::Es256,
            "ES384" => Self::Es384,
            "EdDSA" => Self::EdDsa,
            _ => return None,
        })
    }
}

impl Material {
    pub(super) fn secret(secret: &[u8]) -> Self {
        Self::Secret(Box::new(Secret {
            sha256: hmac::Key::new(hmac::HMAC_SHA256, secret),
            sha384: hmac::Key::new(hmac::HMAC_SHA384, secret),
            sha512: hmac::Key::new(hmac::HMAC_SHA512, secret),
        }))
    }

    /// An RSA key by its modulus and exponent, both big-endian.
    ///
    /// # Errors
    /// [`KeyError::RsaSize`], and [`KeyError::Unusable`] for numbers that are no key.
    pub(super) fn rsa(modulus: &[u8], exponent: &[u8]) -> Result<Self, KeyError> {
        let (modulus, exponent) = (without_zeros(modulus), without_zeros(exponent));
        let bits = modulus.first().map_or(0, |first| modulus.len() * 8 - first.leading_zeros() as usize);
        if !RSA_BITS.contains(&bits) {
            return Err(KeyError::RsaSize { bits });
        }
        // The cryptography takes odd exponents from 3 to 33 bits.
        let number = exponent.iter().fold(0_u64, |number, byte| (number << 8) | u64::from(*byte));
        let is_exponent = exponent.len() <= 5 && number % 2 == 1 && (3..1 << 33).contains(&number);
        match is_exponent && modulus.last().is_some_and(|last| last % 2 == 1) {
            true => Ok(Self::Rsa { modulus: modulus.into(), exponent: exponent.into() }),
            false => Err(KeyError::Unusable),
        }
    }

    /// A point of P-256 or P-384, uncompressed (SEC 1, section 2.3.3).
    ///
    /// # Errors
    /// [`KeyError::Unusable`]: it is on neither curve.
    pub(super) fn point(point: &[u8]) -> Result<Self, KeyError> {
        let (curve, material): (_, fn(_) -> _) = match point.len() {
            65 => (&agreement::ECDH_P256, Self::P256),
            97 => (&agreement::ECDH_P384, Self::P384),
            _ => return Err(KeyError::Unusable),
        };
        // Agreeing with a key is the one operation that tells whether its point is on the curve.
        let own = agreement::EphemeralPrivateKey::generate(curve, &rand::SystemRandom::new());
        let peer = agreement::UnparsedPublicKey::new(curve, point);
        let agreed = own.and_then(|own| agreement::agree_ephemeral(own, &peer, |_| ()));
        agreed.map(|()| material(point.into())).map_err(|_| KeyError::Unusable)
    }

    /// # Errors
    /// [`KeyError::Unusable`]: it has not 32 bytes.
    pub(super) fn ed25519(key: &[u8]) -> Result<Self, KeyError> {
        if key.len() == 32 { Ok(Self::Ed25519(key.into())) } else { Err(KeyError::Unusable) }
    }

    /// Its algorithms; of a secret they depend on its length (RFC 7518, section 3.2).
    pub(super) fn algorithms(&self) -> Vec<Algorithm> {
        match self {
            Self::Secret(_) => vec![Algorithm::Hs256, Algorithm::Hs384, Algorithm::Hs512],
            Self::Rsa { .. } => RSA.to_vec(),
            Self::P256(_) => vec![Algorithm::Es256],
            Self::P384(_) => vec![Algorithm::Es384],
            Self::Ed25519(_) => vec![Algorithm::EdDsa],
        }
    }

    /// Whether `signature` is this key's for `message`. An algorithm of another kind of key verifies nothing.
    pub(super) fn verifies(&self, algorithm: Algorithm, message: &[u8], signature: &[u8]) -> bool {
        match self {
            Self::Secret(secret) => secret.verifies(algorithm, message, signature),
            Self::Rsa { modulus, exponent } => rsa_parameters(algorithm).is_some_and(|parameters| {
                let key = RsaPublicKeyComponents { n: modulus, e: exponent };
                key.verify(parameters, message, signature).is_ok()
            }),
            Self::P256(point) if algorithm == Algorithm::Es256 => {
                is_signed(&ECDSA_P256_SHA256_FIXED, point, message, signature)
            }
            Self::P384(point) if algorithm == Algorithm::Es384 => {
                is_signed(&ECDSA_P384_SHA384_FIXED, point, message, signature)
            }
            Self::Ed25519(key) if algorithm == Algorithm::EdDsa => {
                is_signed(&ED25519, key, message, signature)
            }
            Self::P256(_) | Self::P384(_) | Self::Ed25519(_) => false,
        }
    }
}

impl Secret {
    fn verifies(&self, algorithm: Algorithm, message: &[u8], signature: &[u8]) -> bool {
        let key = match algorithm {
            Algorithm::Hs256 => &self.sha256,
            Algorithm::Hs384 => &self.sha384,
            Algorithm::Hs512 => &self.sha512,
            _ => return false,
        };
        hmac::verify(key, message, signature).is_ok()
    }
}

fn rsa_parameters(algorithm: Algorithm) -> Option<&'static RsaParameters> {
    Some(match algorithm {
        Algorithm::Rs256 => &RSA_PKCS1_2048_8192_SHA256,
        Algorithm::Rs384 => &RSA_PKCS1_2048_8192_SHA384,
        Algorithm::Rs512 => &RSA_PKCS1_2048_8192_SHA512,
        Algorithm::Ps256 => &RSA_PSS_2048_8192_SHA256,
        Algorithm::Ps384 => &RSA_PSS_2048_8192_SHA384,
        Algorithm::Ps512 => &RSA_PSS_2048_8192_SHA512,
        _ => return None,
    })
}

fn is_signed(
    algorithm: &'static dyn signature::VerificationAlgorithm,
    key: &[u8],
    message: &[u8],
    signature: &[u8],
) -> bool {
    UnparsedPublicKey::new(algorithm, key).verify(message, signature).is_ok()
}

fn without_zeros(number: &[u8]) -> &[u8] {
    let zeros = number.iter().take_while(|byte| **byte == 0).count();
    &number[zeros..]
}

impl fmt::Debug for Material {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Secret(_) => "Secret(..)",
            Self::Rsa { .. } => "Rsa(..)",
            Self::P256(_) => "P256(..)",
            Self::P384(_) => "P384(..)",
            Self::Ed25519(_) => "Ed25519(..)",
        })
    }
}
