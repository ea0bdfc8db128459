use std::collections::BTreeSet;

use serde::{Deserialize, Serialize};

/// What a key is for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum KeyKind {
    /// The admin API.
    Admin,
    /// Hubs, as their clients.
    Virtual,
}

impl KeyKind {
    pub(super) fn column(self) -> &'static str {
        match self {
            Self::Admin => "admin",
            Self::Virtual => "virtual",
        }
    }

    /// What its secrets start with.
    pub(super) fn prefix(self) -> &'static str {
        match self {
            Self::Admin => "hubadm_",
            Self::Virtual => "hubvk_",
        }
    }
}

/// What a key of an administrator may do; each includes those before it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub enum AdminScope {
    /// Look at mappings, providers, consultations, bans.
    Read,
    /// Change them.
    Write,
    /// Everything: keys, the audit trail, export and erasure of users too.
    Full,
}

/// What a key opens.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub enum KeyScope {
    /// The admin API.
    Admin(AdminScope),
    /// The navigation state, of these virtual models alone; of all, if that is `None`.
    Models(Option<BTreeSet<String>>),
}

impl KeyScope {
    /// What a key of this scope is for.
    pub fn kind(&self) -> KeyKind {
        match self {
            Self::Admin(_) => KeyKind::Admin,
            Self::Models(_) => KeyKind::Virtual,
        }
    }
}
