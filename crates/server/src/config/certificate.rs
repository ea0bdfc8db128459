//! The certificate of addresses with https: `Kestrel:Certificates:Default`.

use hubline::{CertificateError, CertificateFiles, CertificateProblem, TlsConfig};

use super::addresses::Addresses;
use super::key::Key;
use super::layer::Setting;
use super::listen_address::Scheme;
use super::reader::Reader;
use super::report::{Mistake, Problem};

pub(super) const CERTIFICATE_PATH: Key = Key::new(
    "Kestrel:Certificates:Default:Path",
    "certificate of addresses with https, a PEM file with those of the authorities in between behind it",
)
.unit("path");
pub(super) const CERTIFICATE_KEY_PATH: Key = Key::new(
    "Kestrel:Certificates:Default:KeyPath",
    "its key, PKCS #8, PKCS #1 or SEC 1 as PEM; without it the file of the certificate has it",
)
.unit("path");
pub(super) const CERTIFICATE_PASSWORD: Key =
    Key::new("Kestrel:Certificates:Default:Password", "password of an encrypted key").secret();

/// Reads the certificate, from files that may be relative to the content root; a mistake if there is none and an address needs one.
pub(super) fn read<'a>(
    reader: &mut Reader,
    addresses: impl Iterator<Item = &'a Addresses>,
) -> Option<TlsConfig> {
    let content_root = reader.content_root().to_owned();
    let path = reader.setting(CERTIFICATE_PATH);
    let key_path = reader.setting(CERTIFICATE_KEY_PATH);
    let password = reader.setting(CERTIFICATE_PASSWORD);
    let Some(path) = path else {
        let beside = [(CERTIFICATE_KEY_PATH, key_path), (CERTIFICATE_PASSWORD, password)];
        match beside.into_iter().find_map(|(key, setting)| Some((key, setting?))) {
            Some((key, setting)) => reader.mistake(key.name, &setting, Problem::NoCertificatePath),
            None => reader.mistakes.extend(addresses.filter_map(without_certificate)),
        }
        return None;
    };
    let mut files = CertificateFiles::new(content_root.join(path.value.trim()));
    if let Some(key_path) = &key_path {
        files = files.key(content_root.join(key_path.value.trim()));
    }
    if let Some(password) = &password {
        files = files.password(&password.value);
    }
    let loaded = TlsConfig::load(files);
    loaded.map_err(|error| refuse(reader, error, &path, key_path.as_ref(), password.as_ref())).ok()
}

fn without_certificate(addresses: &Addresses) -> Option<Mistake> {
    let address = addresses.served.iter().find(|address| address.scheme == Scheme::Https)?;
    let source = addresses.setting.as_ref()?.source.clone();
    Some(Mistake::in_value(addresses.key.name, &address.to_string(), source, Problem::NoCertificate))
}

/// Puts a mistake where its cure is.
fn refuse(
    reader: &mut Reader,
    error: CertificateError,
    path: &Setting,
    key_path: Option<&Setting>,
    password: Option<&Setting>,
) {
    let of_certificate = (CERTIFICATE_PATH, path);
    let of_key = key_path.map_or(of_certificate, |setting| (CERTIFICATE_KEY_PATH, setting));
    let ((key, setting), problem) = match error {
        CertificateError::Password(_, CertificateProblem::NoPassword) => {
            (of_key, Problem::NoCertificatePassword(error))
        }
        CertificateError::Password(..) => {
            let of_password = password.map_or(of_key, |setting| (CERTIFICATE_PASSWORD, setting));
            (of_password, Problem::Certificate(error))
        }
        CertificateError::Key(_, CertificateProblem::NoKey) if key_path.is_none() => {
            (of_key, Problem::NoCertificateKey(error))
        }
        CertificateError::Key(..) => (of_key, Problem::Certificate(error)),
        _ => (of_certificate, Problem::Certificate(error)),
    };
    reader.mistake(key.name, setting, problem);
}
