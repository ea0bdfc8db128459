//! Keys as PEM (RFC 7468), whatever has become of the line breaks.

use base64::Engine;
use base64::engine::general_purpose::STANDARD;

use super::signature::Material;
use super::{KeyError, Unsuitable, VerificationKey, der};

const BEGIN: &str = "-----BEGIN ";
const DASHES: &str = "-----";

/// All public keys of a PEM text, or that of the first certificate, behind which others stand that vouch for it.
///
/// # Errors
/// There is none, or something that is none.
pub(super) fn read(text: &str) -> Result<Vec<VerificationKey>, KeyError> {
    let mut keys = Vec::new();
    let mut rest = text;
    while let Some((_, from_label)) = rest.split_once(BEGIN) {
        let (label, after) = from_label.split_once(DASHES).ok_or(KeyError::Pem)?;
        let (body, after) = after.split_once(&format!("-----END {label}-----")).ok_or(KeyError::Pem)?;
        let is_certificate = matches!(label, "CERTIFICATE" | "X509 CERTIFICATE");
        if !is_certificate || keys.is_empty() {
            keys.push(VerificationKey::new(key(label, body)?));
        }
        rest = after;
    }
    // What begins and never ends, or the other way round.
    match keys.is_empty() || rest.contains(DASHES) {
        true => Err(KeyError::Pem),
        false => Ok(keys),
    }
}

fn key(label: &str, body: &str) -> Result<Material, KeyError> {
    let base64: String = body.chars().filter(|c| !c.is_whitespace()).collect();
    let der = STANDARD.decode(base64).map_err(|_| KeyError::Pem);
    let broken = |error| if error == KeyError::Unusable { KeyError::Pem } else { error };
    match label {
        "PUBLIC KEY" => der::public_key_info(&der?).map_err(broken),
        "RSA PUBLIC KEY" => der::rsa(&der?).map_err(broken),
        "CERTIFICATE" | "X509 CERTIFICATE" => der::certificate(&der?),
        "CERTIFICATE REQUEST" | "NEW CERTIFICATE REQUEST" | "PKCS7" | "CMS" | "TRUSTED CERTIFICATE" => {
            Err(KeyError::Unsuitable(Unsuitable::Container))
        }
        label if label.contains("PRIVATE KEY") => Err(KeyError::PrivateKey),
        _ => Err(KeyError::Pem),
    }
}
