use crate::StoreError;

/// Why mappings and providers stay as they are.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum NavigationError {
    /// A value that cannot be.
    #[error("{field}: {problem}")]
    Invalid {
        /// The property, as JSON names it; with its place in a list, like `mappings[3].virtualModelName`.
        field: String,
        /// What is wrong, and what would be right.
        problem: String,
    },
    /// Another mapping has this virtual name and provider.
    #[error(
        "the mapping {id} has this virtualModelName and providerName already; change that one, or name another provider"
    )]
    Conflict {
        /// The other mapping.
        id: i64,
    },
    /// There is no mapping with this id.
    #[error("there is no mapping with the id {0}")]
    NoMapping(i64),
    /// There is no provider of this name.
    #[error("there is no provider named {0}")]
    NoProvider(String),
    /// A provider cannot be deleted while mappings name it.
    #[error("{mappings} mappings name the provider; delete or change them first")]
    ProviderInUse {
        /// How many.
        mappings: i64,
    },
    /// The mapping has been changed since the caller has read it.
    #[error("the mapping has been changed meanwhile: its row version is {current}")]
    Outdated {
        /// The row version that it has.
        current: i64,
    },
    /// There would be more than can be.
    #[error("there may be at most {maximum} {what}; delete some first")]
    Full {
        /// Of what.
        what: &'static str,
        /// How many.
        maximum: i64,
    },
    /// The database.
    #[error(transparent)]
    Store(#[from] StoreError),
}

impl From<sqlx::Error> for NavigationError {
    fn from(error: sqlx::Error) -> Self {
        Self::Store(error.into())
    }
}

impl NavigationError {
    pub(super) fn invalid(field: impl Into<String>, problem: impl Into<String>) -> Self {
        Self::Invalid { field: field.into(), problem: problem.into() }
    }
}
