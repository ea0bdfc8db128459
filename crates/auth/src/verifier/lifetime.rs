//! When a token is good.

use std::time::{Duration, SystemTime};

use super::TokenError;

/// The last second that .NET's `DateTime` has, 9999-12-31T23:59:59Z. Later times are taken for this one.
const LATEST: f64 = 253_402_300_799.0;

/// A `NumericDate`, RFC 7519, section 2: seconds since 1970. What is out of .NET's range is moved to its end.
pub(super) fn date(seconds: f64) -> Option<SystemTime> {
    let since_1970 = Duration::try_from_secs_f64(seconds.clamp(0.0, LATEST)).ok()?;
    SystemTime::UNIX_EPOCH.checked_add(since_1970)
}

/// Checks the times in the order of .NET's `Validators.ValidateLifetime`.
pub(super) fn check(
    not_before: Option<SystemTime>,
    expires: Option<SystemTime>,
    now: SystemTime,
    clock_skew: Duration,
) -> Result<(), TokenError> {
    let expires = expires.ok_or(TokenError::NoExpiration)?;
    if let Some(not_before) = not_before {
        if not_before > expires {
            return Err(TokenError::LifetimeInvalid { not_before, expires });
        }
        if now.checked_add(clock_skew).is_some_and(|latest| not_before > latest) {
            return Err(TokenError::NotYetValid(not_before));
        }
    }
    match now.checked_sub(clock_skew) {
        Some(earliest) if expires < earliest => Err(TokenError::Expired(expires)),
        _ => Ok(()),
    }
}
