//! Where values come from, and what there is to say about them.

use std::fmt;
use std::io;

use hubline::CertificateError;
use hubline_auth::{InvalidHost, InvalidOrigin, KeyError, RemoteKeysError};
use hubline_redis::RedisOptionsMistake;
use hubline_store::OptionsError;

use super::addresses::URLS;
use super::bearer::{BEARER_AUTHORITY, JWT_JWKS_URL, JWT_KEY};
use super::certificate::{CERTIFICATE_KEY_PATH, CERTIFICATE_PASSWORD, CERTIFICATE_PATH};
use super::listen_address::{ListenAddress, ListenAddressError};
use super::redis::{REDIS_CONNECTION_STRING, REDIS_SIGNALR};
use super::server::ENVIRONMENT;
use super::{Key, known, secrets};

/// Where a value came from.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Source {
    /// Nothing was set.
    Default,
    /// Nothing was set; the default follows from something else.
    Deduced(&'static str),
    /// An appsettings file, by its name.
    File(String),
    /// An environment variable, by its name.
    Variable(String),
    /// A flag, with its dashes.
    CommandLine(String),
}

impl Source {
    /// Whether a value from here stands in a lower layer than one from there.
    pub(super) fn is_below(&self, other: &Self) -> bool {
        self.layer() < other.layer()
    }

    fn layer(&self) -> u8 {
        match self {
            Self::Default | Self::Deduced(_) => 0,
            Self::File(_) => 1,
            Self::Variable(_) => 2,
            Self::CommandLine(_) => 3,
        }
    }
}

impl fmt::Display for Source {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Default => f.write_str("default"),
            Self::Deduced(why) => write!(f, "default, as {why}"),
            Self::File(name) => f.write_str(name),
            Self::Variable(name) => write!(f, "environment variable {name}"),
            Self::CommandLine(flag) => write!(f, "command line {flag}"),
        }
    }
}

/// Every mistake of a configuration, and the warnings, which may explain them.
#[derive(Debug)]
pub(crate) struct ConfigErrors {
    /// At least one.
    pub(crate) mistakes: Vec<Mistake>,
    /// What would have been logged had the configuration been right.
    pub(crate) warnings: Vec<Warning>,
    /// Whether the log is to be JSON, as far as the configuration says so.
    pub(crate) is_json: bool,
}

impl std::error::Error for ConfigErrors {}

impl fmt::Display for ConfigErrors {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.mistakes.len() {
            1 => f.write_str("there is a mistake in the configuration")?,
            count => write!(f, "there are {count} mistakes in the configuration")?,
        }
        for mistake in &self.mistakes {
            write!(f, "\n  {mistake}")?;
        }
        for warning in &self.warnings {
            write!(f, "\n  warning: {warning}")?;
        }
        Ok(())
    }
}

/// One value, or one file, that cannot be used.
#[derive(Debug)]
pub(crate) struct Mistake {
    /// The key and what is wrong there, secrets hidden; `None` if the whole source is wrong.
    pub(crate) setting: Option<(String, String)>,
    /// Where it came from.
    pub(crate) source: Source,
    /// What is wrong and what would be right.
    pub(crate) problem: Problem,
}

impl Mistake {
    /// A value that cannot be used, shown as far as it may be.
    pub(super) fn in_value(key: &str, value: &str, source: Source, problem: Problem) -> Self {
        Self { setting: Some((key.to_owned(), secrets::shown(key, value))), source, problem }
    }
}

impl fmt::Display for Mistake {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { setting, source, problem } = self;
        match setting {
            Some((key, value)) => write!(f, "{key} = '{value}' ({source}): {problem}"),
            None => write!(f, "{source}: {problem}"),
        }
    }
}

/// What is wrong, with what would be right.
#[derive(Debug, thiserror::Error)]
pub(crate) enum Problem {
    /// A value of the wrong kind.
    #[error("expected {0}")]
    Expected(&'static str),
    /// One of the addresses to listen on.
    #[error(transparent)]
    Address(#[from] ListenAddressError),
    /// One part of the Redis connection string.
    #[error(transparent)]
    Redis(#[from] RedisOptionsMistake),
    /// The connection string of the database.
    #[error(transparent)]
    Database(#[from] OptionsError),
    /// An address for operators that is everybody's too.
    #[error(
        "{served} is where the hubs are served, and everybody would see what only operators may; expected another port, such as http://localhost:9090"
    )]
    ManagementIsPublic {
        /// One of `Urls`.
        served: ListenAddress,
    },
    /// Redis is asked for and nothing says where it is.
    #[error(
        "there is no Redis connection string; set --redis, {} or {}",
        REDIS_SIGNALR.variable(),
        REDIS_CONNECTION_STRING.variable()
    )]
    NoRedisConnectionString,
    /// An environment that is not the one `--dev` means.
    #[error("--dev means --environment Development, and this is another; expected one of the two")]
    OtherEnvironment,
    /// A key that verifies no tokens.
    #[error(transparent)]
    Key(#[from] KeyError),
    /// Nobody may be anonymous, and nobody can sign in.
    #[error(
        "nobody could use the chat: there are no keys to verify tokens with; set {}, {} or {}",
        JWT_KEY.variable(),
        JWT_JWKS_URL.variable(),
        BEARER_AUTHORITY.variable()
    )]
    NobodyCanSignIn,
    /// Where keys cannot be fetched.
    #[error(transparent)]
    RemoteKeys(#[from] RemoteKeysError),
    /// One of the origins.
    #[error(transparent)]
    Origin(#[from] InvalidOrigin),
    /// One of the hosts.
    #[error(transparent)]
    Host(#[from] InvalidHost),
    /// A certificate, or its key, that cannot be used.
    #[error(transparent)]
    Certificate(CertificateError),
    /// A key that is encrypted.
    #[error("{_0}; set {}", CERTIFICATE_PASSWORD.variable())]
    NoCertificatePassword(CertificateError),
    /// A certificate without its key.
    #[error("{_0}; if the key is in another file, set {}", CERTIFICATE_KEY_PATH.variable())]
    NoCertificateKey(CertificateError),
    /// A key, or a password, without a certificate.
    #[error("there is no certificate that it belongs to; set {}", CERTIFICATE_PATH.variable())]
    NoCertificatePath,
    /// An address with https without a certificate.
    #[error(
        "https needs a certificate; set {} and {} to PEM files. There is no development certificate as in .NET: \
         `mkcert localhost`, after `mkcert -install`, makes one that this machine trusts, \
         `openssl req -x509 -newkey rsa:2048 -nodes -days 365 -subj /CN=localhost -addext subjectAltName=DNS:localhost \
         -addext basicConstraints=critical,CA:FALSE -keyout key.pem -out certificate.pem` one that nobody does",
        CERTIFICATE_PATH.variable(),
        CERTIFICATE_KEY_PATH.variable()
    )]
    NoCertificate,
    /// A file that is there and cannot be read.
    #[error("cannot be read: {0}")]
    Unreadable(#[from] io::Error),
    /// A file that is not JSON; comments and trailing commas are fine.
    #[error("line {line}, column {column}: {reason}")]
    Json {
        /// From 1.
        line: usize,
        /// From 1.
        column: usize,
        /// The parser's words.
        reason: String,
    },
    /// A file with another value than an object.
    #[error("expected an object {{ ... }}")]
    NotAnObject,
    /// The same key twice in one file, in any case.
    #[error("this key is there twice, expected once")]
    DuplicateKey,
}

/// Something that works, probably not as meant.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Warning {
    /// A key in one of our sections that nothing reads.
    UnknownKey {
        /// As written.
        key: String,
        /// Where it stands.
        source: Source,
        /// The key that was probably meant.
        nearest: Option<&'static str>,
    },
    /// Two keys say the same thing differently, and the one that wins is in no higher layer.
    NotUsed {
        /// The one that loses.
        key: String,
        /// Where it stands.
        source: Source,
        /// The one that wins.
        winner: String,
        /// Where that one stands.
        winner_source: Source,
    },
    /// It is said what tokens must be like, and not who signs them.
    NoTokenKeys {
        /// The key that says so.
        key: String,
        /// Where it stands.
        source: Source,
    },
    /// Quotes or blanks around a secret, which count.
    SecretWithMargins {
        /// The key that holds it.
        key: String,
        /// Where it stands.
        source: Source,
    },
    /// An environment that is almost one of those known by name, and is none.
    NearEnvironment {
        /// As written.
        name: String,
        /// Where it stands.
        source: Source,
        /// The one that was probably meant.
        meant: &'static str,
    },
    /// A value with the name of a variable in it, where the variable's value belongs.
    Unexpanded {
        /// The key.
        key: String,
        /// Where it stands.
        source: Source,
        /// Such as `$(REDIS_PASSWORD)`.
        reference: String,
    },
    /// A category of the log that nothing here has.
    UnknownCategory {
        /// The key.
        key: String,
        /// Where it stands.
        source: Source,
        /// The category that was probably meant.
        nearest: Option<&'static str>,
        /// All there are.
        known: String,
    },
    /// A part of a value that has no effect.
    Part {
        /// The key.
        key: String,
        /// Where it stands.
        source: Source,
        /// Which part, and why.
        text: String,
    },
    /// Kestrel's own way to configure addresses.
    KestrelEndpoints {
        /// Where it stands.
        source: Source,
    },
}

impl fmt::Display for Warning {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::UnknownCategory { key, source, nearest, known } => {
                write!(f, "{key} ({source}) names a category that nothing here logs in")?;
                match nearest {
                    Some(nearest) => write!(f, ", did you mean {nearest}?"),
                    None => write!(f, ", known are modules such as hubline_redis, and {known}"),
                }
            }
            Self::Part { key, source, text } => write!(f, "{key} ({source}): {text}"),
            Self::UnknownKey { key, source, nearest } => {
                write!(f, "{key} ({source}) is not a known key")?;
                match (nearest, known::in_section_of(key)) {
                    (Some(nearest), _) => write!(f, ", did you mean {nearest}?"),
                    (None, known) if !known.is_empty() => {
                        write!(f, ", known keys are {}", known.join(", "))
                    }
                    (None, _) => Ok(()),
                }
            }
            Self::NotUsed { key, source, winner, winner_source } => {
                write!(f, "{key} ({source}) is not used, {winner} ({winner_source}) goes before it")
            }
            Self::NoTokenKeys { key, source } => {
                write!(f, "{key} ({source}) has no effect, no token is believed without a key; set ")?;
                let ways = [BEARER_AUTHORITY, JWT_JWKS_URL, JWT_KEY];
                f.write_str(&ways.map(Key::variable).join(" or "))
            }
            Self::SecretWithMargins { key, source } => {
                write!(
                    f,
                    "{key} ({source}) has quotes, blanks or a byte order mark around it, which are part of the secret as in \
                     ASP.NET Core; tokens are believed only if their issuer has them too"
                )
            }
            Self::NearEnvironment { name, source, meant } => {
                write!(
                    f,
                    "{} ({source}) is {name}, which is neither Development, Staging nor Production; did you mean {meant}? As it is, \
                     appsettings.{name}.json is read, and POST /api/test/trigger-navigation-update is served",
                    ENVIRONMENT.name()
                )
            }
            Self::Unexpanded { key, source, reference } => {
                write!(
                    f,
                    "{key} ({source}) has {reference} in it as it stands: nothing here replaces it. Kubernetes does so where \
                     that variable is in the same container's env, before this one; else write the value itself"
                )
            }
            Self::KestrelEndpoints { source } => {
                write!(f, "Kestrel:Endpoints ({source}) is not read, set {}", URLS.name())
            }
        }
    }
}
