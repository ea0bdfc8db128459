//! Which provider serves a model under which name: the mappings, the providers with their health, and the version of both.
//!
//! Whatever changes raises the version by one in the same transaction, and is recorded in a log: who, what before and after. The
//! version's row is locked first, so changes happen one after the other, and a reader that has seen version 7 never finds 6
//! afterwards. An import is one change.
//!
//! [`NavigationStore`] has each function with a transaction of its own. The functions of this module take a connection, so that
//! several can share one.

mod bulk;
mod changes;
mod error;
mod import;
mod mapping;
mod mappings;
mod navigation_store;
mod providers;
mod state;
mod version;

pub use changes::{Change, ChangeKind, ChangeQuery, changes, changes_between};
pub use error::NavigationError;
pub use import::{ImportMode, ImportOutcome, MAXIMUM_MAPPINGS, import};
pub use mapping::{LONGEST_NAME, MappingValues, ModelMapping};
pub use mappings::{
    Changed, MAXIMUM_PAGE, MappingPage, MappingQuery, create, delete, export, get, list, update,
};
pub use navigation_store::NavigationStore;
pub use providers::{
    Health, LONGEST_DETAIL, MAXIMUM_PROVIDERS, Provider, delete_provider, provider, providers,
    set_provider_health,
};
pub use state::{StateSnapshot, state};
pub use version::version;
