//! Keys, and where they come from.

mod fetch;
mod freshness;
mod jwk;
mod remote;
mod remote_options;
mod verification_key;

pub(crate) use fetch::Fetcher;
pub(crate) use remote::{RemoteKeySet, Snapshot};
pub use remote_options::{RemoteKeys, RemoteKeysError};
pub use verification_key::{KeyError, VerificationKey};
