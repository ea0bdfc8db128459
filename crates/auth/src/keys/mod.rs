//! Keys, and where they come from.

mod addresses;
mod der;
mod error;
mod fetch;
mod freshness;
mod jwk;
mod pem;
mod remote;
mod remote_options;
mod signature;
mod text;
mod verification_key;

pub use error::{KeyError, Unsuitable};
pub(crate) use fetch::Fetcher;
pub(crate) use remote::{RemoteKeySet, Snapshot};
pub use remote_options::{RemoteKeys, RemoteKeysError};
pub(crate) use signature::Algorithm;
pub use verification_key::VerificationKey;
