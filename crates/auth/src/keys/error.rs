//! Why a key cannot be used.

use std::fmt;

/// Why tokens cannot be verified with a key. Quotes nothing of the key.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum KeyError {
    /// A secret that is short enough to be guessed; HS256 needs 32 bytes, RFC 7518, section 3.2. Blanks and quotes
    /// around a text do not count.
    #[error("the secret has {bytes} bytes, it needs at least 32")]
    SecretTooShort {
        /// How long it is.
        bytes: usize,
    },
    /// Not base64 of the ordinary alphabet.
    #[error("the secret is not base64")]
    Base64,
    /// Not a public key of RSA, P-256, P-384 or Ed25519.
    #[error("the PEM text is no public key of RSA, P-256, P-384 or Ed25519, or a line of it is missing")]
    Pem,
    /// Not a JSON Web Key, or a set of them with none that can verify signatures.
    #[error("there is no JSON Web Key in it that can verify signatures")]
    Jwk,
    /// A certificate that is broken, or of X.509 before version 3.
    #[error("the certificate cannot be read; give its public key (openssl x509 -pubkey -noout -in FILE)")]
    Certificate,
    /// A private key. Verifying takes the public key alone.
    #[error("this is a private key; give the public one (openssl pkey -pubout -in FILE)")]
    PrivateKey,
    /// A public key or a certificate where a secret is expected: everybody who knows it could sign tokens.
    #[error(
        "this is a public key or a certificate, and no secret; give it as PEM or JWK where public keys are expected, \
         such as Jwt:Key"
    )]
    NotASecret,
    /// A shared secret in a set of keys that is fetched: others can fetch it too, and sign tokens with it.
    #[error("a shared secret (oct) that is published is none")]
    PublishedSecret,
    /// An RSA key that is too small to be safe, or so large that verifying forged tokens takes too much CPU.
    #[error("the RSA key has {bits} bits, it needs 2048 to 4096")]
    RsaSize {
        /// How long its modulus is.
        bits: usize,
    },
    /// A public key of another kind, or one that is broken.
    #[error("this is no public key of RSA, P-256, P-384 or Ed25519")]
    Unusable,
    /// Something that others know, or that is named instead of given.
    #[error("this looks like {0} and must not be taken for a secret; give the key as PEM, JWK or JWKS")]
    Unsuitable(Unsuitable),
}

/// Something that is given in the place of a key.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum Unsuitable {
    /// PKCS #7, PKCS #12, a certificate request, and other things that keys are kept in.
    Container,
    /// `ssh-rsa AAAA...`.
    Ssh,
    /// .NET's `<RSAKeyValue>`.
    Xml,
    /// The text form of a key that `openssl` prints.
    Printed,
    /// A URL.
    Url,
    /// The path of a file.
    FileName,
    /// A token.
    Token,
}

impl fmt::Display for Unsuitable {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Container => "a container of keys or certificates (PKCS #7, PKCS #12, a request)",
            Self::Ssh => "a key of SSH",
            Self::Xml => "a key as XML",
            Self::Printed => "a key as openssl prints it",
            Self::Url => "a URL (keys are fetched from Jwt:JwksUrl)",
            Self::FileName => "the name of a file",
            Self::Token => "a token",
        })
    }
}
