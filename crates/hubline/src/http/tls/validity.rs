//! Until when a certificate is valid.

use std::time::{Duration, SystemTime, UNIX_EPOCH};

use pkcs8::der::asn1::{AnyRef, GeneralizedTime, UtcTime};
use pkcs8::der::{self, Decode, Reader, SliceReader, Tag};

/// The end of the certificate's validity (RFC 5280, 4.1.2.5).
pub(super) fn not_after(certificate: &[u8]) -> der::Result<SystemTime> {
    let mut certificate = inside(&mut SliceReader::new(certificate)?)?;
    let mut signed = inside(&mut certificate)?;
    // Version 1 has no version before its serial number.
    if signed.peek_tag()?.is_context_specific() {
        AnyRef::decode(&mut signed)?;
    }
    let (_serial, _algorithm, _issuer) =
        (AnyRef::decode(&mut signed)?, AnyRef::decode(&mut signed)?, AnyRef::decode(&mut signed)?);
    let mut validity = inside(&mut signed)?;
    let _not_before = AnyRef::decode(&mut validity)?;
    let since_1970 = match validity.peek_tag()? {
        Tag::UtcTime => UtcTime::decode(&mut validity)?.to_unix_duration(),
        _ => GeneralizedTime::decode(&mut validity)?.to_unix_duration(),
    };
    Ok(UNIX_EPOCH + Duration::from_secs(since_1970.as_secs()))
}

/// What is in the sequence that comes next.
fn inside<'a>(reader: &mut SliceReader<'a>) -> der::Result<SliceReader<'a>> {
    let sequence = AnyRef::decode(reader)?;
    SliceReader::new(sequence.value())
}

#[cfg(test)]
mod tests {
    use hubline_testkit::Certificates;
    use rustls::pki_types::CertificateDer;
    use rustls::pki_types::pem::PemObject;

    use super::*;

    fn certificate(ends: (i32, u8, u8)) -> CertificateDer<'static> {
        let made = Certificates::valid_until(&["localhost"], ends).unwrap();
        CertificateDer::from_pem_file(made.certificate()).unwrap()
    }

    #[test]
    fn both_ways_to_write_a_time_are_read() {
        // Up to 2049 as UTCTime, from then on as GeneralizedTime.
        for (ends, seconds) in [((2049, 12, 31), 2_524_521_600), ((2050, 1, 1), 2_524_608_000)] {
            assert_eq!(not_after(&certificate(ends)).unwrap(), UNIX_EPOCH + Duration::from_secs(seconds));
        }
    }

    #[test]
    fn what_is_no_certificate_has_no_end() {
        let whole = certificate((2049, 12, 31));
        for bytes in [&[][..], b"\x30\x03\x30\x01\x00", &whole[..whole.len() / 4]] {
            assert!(not_after(bytes).is_err());
        }
    }
}
