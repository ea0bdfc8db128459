//! Keys that programs bring: of administrators, for the admin API, and virtual ones, for hubs, which see some models only.
//!
//! A secret reads `hubadm_{id}_{secret}` or `hubvk_{id}_{secret}`: the id, 16 hexadecimal digits, finds the key and is no secret; the rest
//! are 256 random bits as 64 digits, of which the database has the SHA-256 alone. Guessing it takes longer than anybody lives, so no
//! slow hash is needed. A rotation adds a secret, and the earlier ones are good for a while longer.
//!
//! A revoked key stays, with its name, so that what was done with it can be told; its name is free for another one.

mod scope;
mod secret;
mod table;

pub use scope::{AdminScope, KeyKind, KeyScope};
pub use secret::{PresentedKey, Secret};
pub use table::{create, exists, find, list, revoke, rotate, touch, verify};

use crate::{StoreError, Timestamp};

/// Longest name of a key, in characters.
pub const LONGEST_NAME: usize = 100;

/// A key, without its secrets.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Key {
    /// 16 hexadecimal digits.
    pub id: String,
    /// What people call it: unique among the keys of its kind that are not revoked.
    pub name: String,
    /// What it opens.
    pub scope: KeyScope,
    /// When it was made.
    pub created_at: Timestamp,
    /// When it stops being good; never, if that is `None`.
    pub expires_at: Option<Timestamp>,
    /// When it was revoked.
    pub revoked_at: Option<Timestamp>,
    /// When it was used last, to the minute.
    pub last_used_at: Option<Timestamp>,
}

impl Key {
    /// Whether it opens anything at a time.
    pub fn is_good(&self, now: Timestamp) -> bool {
        self.revoked_at.is_none() && self.expires_at.is_none_or(|end| now < end)
    }
}

/// A key to be made.
#[derive(Debug, Clone)]
pub struct NewKey {
    /// See [`Key::name`]; from 1 to [`LONGEST_NAME`] characters, which whoever calls has checked.
    pub name: String,
    /// See [`Key::scope`].
    pub scope: KeyScope,
    /// See [`Key::expires_at`].
    pub expires_at: Option<Timestamp>,
}

/// Why a key was not made or changed.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum KeyError {
    /// A key of this kind that is not revoked has the name.
    #[error("a key that is not revoked has this name")]
    NameTaken,
    /// No key of this kind has the id, or it is revoked.
    #[error("there is no such key, or it is revoked")]
    NotFound,
    /// The database.
    #[error(transparent)]
    Store(#[from] StoreError),
}

impl From<sqlx::Error> for KeyError {
    fn from(error: sqlx::Error) -> Self {
        Self::Store(error.into())
    }
}
