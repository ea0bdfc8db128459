//! Why a token is invalid.

use std::fmt::Write;
use std::time::SystemTime;

use time::OffsetDateTime;

/// Characters of a token's issuer or audience that an error repeats.
const LONGEST_QUOTE: usize = 200;

/// Why a token is invalid. The texts are those of ASP.NET Core's `error_description`, where it has one.
///
/// The issuer and the audience are the only things an error repeats of a token, without anything that could
/// end a quoted string of a header, and only if its signature is good.
///
/// Source: `JwtBearerHandler.CreateErrorDescription` of ASP.NET Core 10, and its answers.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum TokenError {
    /// Not a signed token, or one with a claim of the wrong kind. ASP.NET Core has no description for it.
    #[error("the token cannot be read")]
    Malformed,
    /// No key that is known made the signature, or not with this algorithm.
    #[error("The signature key was not found")]
    SignatureKeyNotFound,
    /// The key that the token names did not make the signature; or there is none.
    #[error("The signature is invalid")]
    SignatureInvalid,
    /// There is no `exp`.
    #[error("The token has no expiration")]
    NoExpiration,
    /// `nbf` is after `exp`.
    #[error("The token lifetime is invalid; NotBefore: '{}', Expires: '{}'", date(*not_before), date(*expires))]
    LifetimeInvalid {
        /// The claim `nbf`.
        not_before: SystemTime,
        /// The claim `exp`.
        expires: SystemTime,
    },
    /// `nbf` is still to come.
    #[error("The token is not valid before '{}'", date(*.0))]
    NotYetValid(SystemTime),
    /// `exp` is over.
    #[error("The token expired at '{}'", date(*.0))]
    Expired(SystemTime),
    /// Not meant for this server.
    #[error("The audience '{0}' is invalid")]
    AudienceInvalid(Box<str>),
    /// It was issued by another issuer.
    #[error("The issuer '{0}' is invalid")]
    IssuerInvalid(Box<str>),
}

impl TokenError {
    /// The text that ASP.NET Core writes as `error_description`; `None` where it writes none.
    pub fn description(&self) -> Option<String> {
        (*self != Self::Malformed).then(|| self.to_string())
    }

    pub(super) fn audience(audiences: &[String]) -> Self {
        Self::AudienceInvalid(match audiences {
            [] => "empty".into(),
            audiences => quotable(&audiences.join(", ")),
        })
    }

    pub(super) fn issuer(issuer: &str) -> Self {
        Self::IssuerInvalid(quotable(issuer))
    }
}

/// Whether a character may stand in a quoted string of a header (RFC 9110, section 5.6.4).
fn quotable(text: &str) -> Box<str> {
    let harmless = |c: &char| matches!(c, ' '..='~') && !matches!(c, '"' | '\\');
    text.chars().filter(harmless).take(LONGEST_QUOTE).collect::<String>().into()
}

/// A date as .NET's invariant culture writes it, in UTC: `11/24/2026 22:56:03`.
fn date(time: SystemTime) -> String {
    let time = OffsetDateTime::from(time);
    let mut text = String::new();
    let (month, day, year) = (u8::from(time.month()), time.day(), time.year());
    let (hour, minute, second) = time.to_hms();
    _ = write!(text, "{month:02}/{day:02}/{year:04} {hour:02}:{minute:02}:{second:02}");
    text
}
