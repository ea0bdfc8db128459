//! Keys as DER: `SubjectPublicKeyInfo` (RFC 5280), PKCS #1 (RFC 8017), certificates.

use rustls::pki_types::CertificateDer;
use rustls::server::ParsedCertificate;
use spki::der::asn1::{AnyRef, UintRef};
use spki::der::{Decode, Reader, SliceReader, Tag, Tagged};
use spki::{ObjectIdentifier, SubjectPublicKeyInfoRef};

use super::signature::Material;
use super::{KeyError, Unsuitable};

const RSA: ObjectIdentifier = ObjectIdentifier::new_unwrap("1.2.840.113549.1.1.1");
const ELLIPTIC_CURVE: ObjectIdentifier = ObjectIdentifier::new_unwrap("1.2.840.10045.2.1");
const P256: ObjectIdentifier = ObjectIdentifier::new_unwrap("1.2.840.10045.3.1.7");
const P384: ObjectIdentifier = ObjectIdentifier::new_unwrap("1.3.132.0.34");
const ED25519: ObjectIdentifier = ObjectIdentifier::new_unwrap("1.3.101.112");

/// The public key in some DER; `None` if the bytes are no DER of a kind that keys come in.
pub(super) fn read(der: &[u8]) -> Option<Result<Material, KeyError>> {
    if der.first() != Some(&0x30) {
        return None;
    }
    let members = members(der)?;
    let tags: Vec<Tag> = members.iter().map(Tagged::tag).collect();
    match *tags {
        [Tag::Sequence, Tag::BitString] => Some(public_key_info(der)),
        [Tag::Sequence, Tag::Sequence, Tag::BitString] => Some(certificate(der)),
        [Tag::Integer, Tag::Integer] => Some(rsa(der)),
        // PKCS #8, PKCS #1 and SEC 1 begin with their version, encrypted PKCS #8 with how it is encrypted.
        [Tag::Integer, Tag::Sequence | Tag::Integer | Tag::OctetString, ..]
        | [Tag::Sequence, Tag::OctetString] => Some(Err(KeyError::PrivateKey)),
        // PKCS #7 and PKCS #12.
        [Tag::ObjectIdentifier, ..] | [Tag::Integer, ..] => {
            Some(Err(KeyError::Unsuitable(Unsuitable::Container)))
        }
        _ => None,
    }
}

/// The key of a `SubjectPublicKeyInfo`.
pub(super) fn public_key_info(der: &[u8]) -> Result<Material, KeyError> {
    let info = SubjectPublicKeyInfoRef::from_der(der).map_err(|_| KeyError::Unusable)?;
    let key = info.subject_public_key.as_bytes().ok_or(KeyError::Unusable)?;
    let curve = || info.algorithm.parameters_oid().ok();
    match info.algorithm.oid {
        RSA => rsa(key),
        ELLIPTIC_CURVE if matches!(curve(), Some(P256 | P384)) => Material::point(key),
        ED25519 => Material::ed25519(key),
        _ => Err(KeyError::Unusable),
    }
}

/// The key of an `RSAPublicKey`.
pub(super) fn rsa(der: &[u8]) -> Result<Material, KeyError> {
    let numbers = SliceReader::new(der).and_then(|mut reader| {
        reader.sequence(|numbers| Ok((UintRef::decode(numbers)?, UintRef::decode(numbers)?)))
    });
    let (modulus, exponent) = numbers.map_err(|_| KeyError::Unusable)?;
    Material::rsa(modulus.as_bytes(), exponent.as_bytes())
}

/// The key of a certificate. Whether anybody vouches for it is not asked: the configuration names the key itself.
pub(super) fn certificate(der: &[u8]) -> Result<Material, KeyError> {
    let certificate = CertificateDer::from(der);
    let parsed = ParsedCertificate::try_from(&certificate).map_err(|_| KeyError::Certificate)?;
    public_key_info(&parsed.subject_public_key_info())
}

/// The content of a sequence that takes all of these bytes.
fn members(der: &[u8]) -> Option<Vec<AnyRef<'_>>> {
    let sequence = AnyRef::from_der(der).ok().filter(|any| any.tag() == Tag::Sequence)?;
    let mut reader = SliceReader::new(sequence.value()).ok()?;
    let mut members = Vec::new();
    while !reader.is_finished() {
        members.push(AnyRef::decode(&mut reader).ok()?);
    }
    Some(members)
}
