//! How long what was fetched is fresh.

use std::time::Duration;

use http::HeaderMap;
use http::header::CACHE_CONTROL;

const SHORTEST: Duration = Duration::from_secs(60);
const LONGEST: Duration = Duration::from_secs(24 * 60 * 60);

/// The `max-age` of the answer (RFC 9111, section 5.2.2), within bounds; `None` if it has none.
pub(super) fn of(headers: &HeaderMap) -> Option<Duration> {
    let values = headers.get_all(CACHE_CONTROL).iter().filter_map(|value| value.to_str().ok());
    let directives: Vec<&str> = values.flat_map(|value| value.split(',')).map(str::trim).collect();
    let is = |name: &str| directives.iter().any(|directive| directive.eq_ignore_ascii_case(name));
    if is("no-store") || is("no-cache") {
        return Some(SHORTEST);
    }
    let max_age = directives.iter().find_map(|directive| {
        let (name, seconds) = directive.split_once('=')?;
        let digits = seconds.trim().trim_matches('"');
        let only_digits = !digits.is_empty() && digits.bytes().all(|byte| byte.is_ascii_digit());
        // A number too large to be one is as good as the longest, RFC 9111, section 1.2.2.
        (name.trim().eq_ignore_ascii_case("max-age") && only_digits)
            .then(|| digits.parse().unwrap_or(u64::MAX))
    });
    max_age.map(|seconds| Duration::from_secs(seconds).clamp(SHORTEST, LONGEST))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn max_age_counts_within_bounds() {
        let cases = [
            ("", None),
            ("public", None),
            ("max-age=x", None),
            ("max-age=-5", None),
            ("s-maxage=600", None),
            ("public, Max-Age=600, must-revalidate", Some(600)),
            ("max-age=\"600\"", Some(600)),
            ("max-age=0", Some(60)),
            ("max-age=600, no-store", Some(60)),
            ("no-cache", Some(60)),
            ("max-age=31536000", Some(86400)),
            ("max-age=99999999999999999999999", Some(86400)),
        ];
        for (value, seconds) in cases {
            let headers = HeaderMap::from_iter([(CACHE_CONTROL, value.parse().unwrap())]);
            assert_eq!(of(&headers), seconds.map(Duration::from_secs), "{value}");
        }
    }
}
