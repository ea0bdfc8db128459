use std::fmt::{self, Write};

use ring::digest::{SHA256, digest};
use subtle::ConstantTimeEq;

use super::KeyKind;
use crate::StoreError;

const ID_DIGITS: usize = 16;
const SECRET_DIGITS: usize = 64;

/// A key's secret as whoever uses it sends it; shown once. `Debug` hides it.
#[derive(Clone, PartialEq, Eq)]
pub struct Secret(String);

impl Secret {
    /// Makes one.
    ///
    /// # Errors
    /// The operating system gives no random numbers.
    pub(super) fn generate(kind: KeyKind, id: &str) -> Result<Self, StoreError> {
        Ok(Self(format!("{}{id}_{}", kind.prefix(), random_digits::<{ SECRET_DIGITS / 2 }>()?)))
    }

    /// The text of it.
    pub fn expose(&self) -> &str {
        &self.0
    }
}

impl fmt::Debug for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("***")
    }
}

/// An id that nobody has.
pub(super) fn new_id() -> Result<String, StoreError> {
    random_digits::<{ ID_DIGITS / 2 }>()
}

fn random_digits<const BYTES: usize>() -> Result<String, StoreError> {
    let mut bytes = [0; BYTES];
    let no_numbers = |error| StoreError::Unavailable(format!("the system gives no random numbers: {error}"));
    getrandom::getrandom(&mut bytes).map_err(no_numbers)?;
    Ok(digits(&bytes))
}

fn digits(bytes: &[u8]) -> String {
    bytes.iter().fold(String::with_capacity(2 * bytes.len()), |mut text, byte| {
        _ = write!(text, "{byte:02x}");
        text
    })
}

/// A text that has the form of a secret.
#[derive(Clone, PartialEq, Eq, Hash)]
pub struct PresentedKey {
    pub(super) kind: KeyKind,
    pub(super) id: String,
    hash: String,
}

impl PresentedKey {
    /// Reads what somebody presents as a key; `None` if no key of this kind reads like that.
    pub fn parse(kind: KeyKind, text: &str) -> Option<Self> {
        let (id, secret) = text.strip_prefix(kind.prefix())?.split_once('_')?;
        let are_digits = |text: &str, count| {
            text.len() == count && text.bytes().all(|byte| matches!(byte, b'0'..=b'9' | b'a'..=b'f'))
        };
        let is_whole = are_digits(id, ID_DIGITS) && are_digits(secret, SECRET_DIGITS);
        is_whole.then(|| Self { kind, id: id.to_owned(), hash: hash(text) })
    }

    /// The id in it, which anybody may see.
    pub fn id(&self) -> &str {
        &self.id
    }

    /// Compares in a time that does not tell where a wrong one differs.
    pub(super) fn has_hash(&self, hash: &str) -> bool {
        self.hash.as_bytes().ct_eq(hash.as_bytes()).into()
    }
}

impl fmt::Debug for PresentedKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("PresentedKey").field("kind", &self.kind).field("id", &self.id).finish_non_exhaustive()
    }
}

/// What the database keeps of a secret.
pub(super) fn hash(secret: &str) -> String {
    digits(digest(&SHA256, secret.as_bytes()).as_ref())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_secret_reads_as_presented_and_nothing_else_does() {
        let id = new_id().unwrap();
        let secret = Secret::generate(KeyKind::Admin, &id).unwrap();
        let presented = PresentedKey::parse(KeyKind::Admin, secret.expose()).unwrap();
        assert_eq!(presented.id(), id);
        assert!(presented.has_hash(&hash(secret.expose())) && !presented.has_hash(&hash("another")));
        let text = secret.expose();
        for other in
            ["", "hubadm_", "admin-key", &text[..text.len() - 1], &format!("{text}0"), &text.to_uppercase()]
        {
            assert_eq!(PresentedKey::parse(KeyKind::Admin, other), None, "{other}");
        }
        assert_eq!(PresentedKey::parse(KeyKind::Virtual, text), None);
        let shown = format!("{secret:?} {presented:?}");
        assert!(!shown.contains(&text[text.len() - SECRET_DIGITS..]) && !shown.contains(&presented.hash));
    }
}
