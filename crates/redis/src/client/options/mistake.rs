//! What can be wrong with a connection string. No message holds a password.

use std::fmt;

/// Every mistake of one connection string, in the order of the string.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub struct RedisOptionsError {
    mistakes: Vec<RedisOptionsMistake>,
}

impl RedisOptionsError {
    pub(super) fn unless_empty(mistakes: Vec<RedisOptionsMistake>) -> Result<(), Self> {
        match mistakes.is_empty() {
            true => Ok(()),
            false => Err(Self { mistakes }),
        }
    }

    /// The mistakes; at least one.
    pub fn mistakes(&self) -> &[RedisOptionsMistake] {
        &self.mistakes
    }
}

impl fmt::Display for RedisOptionsError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (index, mistake) in self.mistakes.iter().enumerate() {
            let separator = if index == 0 { "" } else { "; " };
            write!(f, "{separator}{mistake}")?;
        }
        Ok(())
    }
}

/// One mistake of a connection string.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum RedisOptionsMistake {
    /// A key StackExchange.Redis does not know either; the text begins as its own does.
    #[error("Keyword '{keyword}' is not supported{}", suggestion(*nearest))]
    UnknownKeyword {
        /// The key as written, or `***` if it may be a password.
        keyword: String,
        /// The key that was probably meant.
        nearest: Option<&'static str>,
    },
    /// A value of the wrong kind.
    #[error("{keyword}={value} is not valid, expected {expected}")]
    BadValue {
        /// The key.
        keyword: &'static str,
        /// The value as written.
        value: String,
        /// What would be right.
        expected: &'static str,
    },
    /// A token without `=` that is no endpoint.
    #[error("'{endpoint}' is not an endpoint, expected {expected}")]
    BadEndpoint {
        /// The token; what may be a password in it is hidden.
        endpoint: String,
        /// What would be right.
        expected: &'static str,
    },
    /// A URL that cannot be read.
    #[error("'{url}' is not a URL of Redis, expected {expected}")]
    BadUrl {
        /// The URL, with secrets hidden.
        url: String,
        /// What would be right.
        expected: &'static str,
    },
    /// A key that needs another one beside it.
    #[error("{keyword} is missing beside {beside}")]
    Missing {
        /// The key that is not there.
        keyword: &'static str,
        /// The key that needs it.
        beside: &'static str,
    },
    /// Two keys that cannot stand together.
    #[error("{} and {} exclude each other", keywords.0, keywords.1)]
    Exclusive {
        /// Both.
        keywords: (&'static str, &'static str),
    },
    /// A password behind a colon, which reads like a host and its port.
    #[error("{keyword}:... is not how a password is given, expected {keyword}=...")]
    Colon {
        /// The key as it is spelt.
        keyword: &'static str,
    },
    /// A token after a password that is neither key nor endpoint; hidden, as it may be the
    /// password's other half.
    #[error(
        "what follows the password is neither key=value nor an endpoint with its port; a password with a comma can only be given in a URL, as %2C"
    )]
    CutPassword,
    /// Only keys, or nothing at all.
    #[error("there is no endpoint, expected for example localhost:6379")]
    NoEndpoint,
}

fn suggestion(nearest: Option<&'static str>) -> String {
    match nearest {
        Some(nearest) => format!(", did you mean '{nearest}'?"),
        None => format!(", expected one of {}", super::keywords::HONOURED.join(", ")),
    }
}
