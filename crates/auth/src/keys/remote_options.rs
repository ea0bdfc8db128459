//! Options of fetched keys.

use std::fmt;
use std::net::IpAddr;
use std::time::Duration;

use http::Uri;

/// Keys that an issuer publishes: a JWKS URL (RFC 7517), or the metadata of an OpenID Connect provider that
/// names one.
///
/// They are fetched at the start, again when they are no longer fresh, and, at most once per
/// `refetch_interval`, when a token names a key that is not among them. While that is under way the token's
/// request waits. Keys that were fetched once stay good as long as their URL cannot be reached. Redirects are
/// not followed.
#[derive(Debug, Clone)]
#[non_exhaustive]
pub struct RemoteKeys {
    /// Which document to fetch first.
    pub(super) location: Location,
    /// How long keys are fresh if the answer has no `Cache-Control: max-age`. What it says counts between
    /// one minute and one day. Default 1 hour.
    pub refresh_interval: Duration,
    /// How often at most an unknown key makes the keys be fetched again. Default 30 s.
    pub refetch_interval: Duration,
    /// How long one fetch may take. Default 10 s.
    pub timeout: Duration,
    /// How many bytes an answer may have. Default 256 KiB.
    pub limit_bytes: usize,
    /// Whether `http` will do for hosts other than this machine (`RequireHttpsMetadata=false` in ASP.NET
    /// Core). Anybody on the network path can then sign tokens. Default false.
    pub allow_insecure_http: bool,
    /// Whether metadata from a public address may name keys at a loopback, link-local or private one. It lets the provider
    /// of the metadata send requests into this machine's network. Metadata that is itself fetched from such an address may
    /// always do so. Names are resolved before they are judged. Default false.
    pub allow_private_key_addresses: bool,
}

#[derive(Clone)]
pub(super) enum Location {
    KeySet(Uri),
    Metadata(Uri),
}

impl fmt::Debug for Location {
    /// Without the query, where some services want a key of theirs.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (Self::KeySet(url) | Self::Metadata(url)) = self;
        let (scheme, host) =
            (url.scheme_str().unwrap_or_default(), url.authority().map_or("", |at| at.as_str()));
        write!(f, "{scheme}://{host}{}", url.path())
    }
}

impl RemoteKeys {
    /// The keys at a JWKS URL.
    ///
    /// # Errors
    /// [`RemoteKeysError::Url`].
    pub fn at(url: &str) -> Result<Self, RemoteKeysError> {
        Ok(Self::of(Location::KeySet(parse(url)?)))
    }

    /// The keys of the provider with this metadata, usually `.../.well-known/openid-configuration`
    /// (`MetadataAddress` in ASP.NET Core). Its `issuer` is added to the valid issuers.
    ///
    /// # Errors
    /// [`RemoteKeysError::Url`].
    pub fn of_metadata(url: &str) -> Result<Self, RemoteKeysError> {
        Ok(Self::of(Location::Metadata(parse(url)?)))
    }

    /// The keys of the provider at this address (`Authority` in ASP.NET Core), whose metadata is below it.
    ///
    /// # Errors
    /// [`RemoteKeysError::Url`].
    pub fn of_authority(url: &str) -> Result<Self, RemoteKeysError> {
        let base = url.strip_suffix('/').unwrap_or(url);
        Self::of_metadata(&format!("{base}/.well-known/openid-configuration"))
    }

    /// Checks that the URL is safe to fetch keys from.
    ///
    /// # Errors
    /// [`RemoteKeysError::Insecure`].
    pub fn check(&self) -> Result<(), RemoteKeysError> {
        let (Location::KeySet(url) | Location::Metadata(url)) = &self.location;
        self.check_url(url)
    }

    pub(super) fn check_url(&self, url: &Uri) -> Result<(), RemoteKeysError> {
        let secure = url.scheme_str() == Some("https") || is_loopback(url) || self.allow_insecure_http;
        secure.then_some(()).ok_or(RemoteKeysError::Insecure)
    }

    fn of(location: Location) -> Self {
        Self {
            location,
            refresh_interval: Duration::from_secs(60 * 60),
            refetch_interval: Duration::from_secs(30),
            timeout: Duration::from_secs(10),
            limit_bytes: 256 * 1024,
            allow_insecure_http: false,
            allow_private_key_addresses: false,
        }
    }
}

/// Why keys cannot be fetched at all.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum RemoteKeysError {
    /// Not an absolute `https` or `http` URL, or one with a user or password in it.
    #[error(
        "the keys need an absolute https URL without user and password, and an @ in its path written %40"
    )]
    Url,
    /// Anybody on the way could exchange the keys.
    #[error("the keys need an https URL; http will do only for this machine, or if it is allowed explicitly")]
    Insecure,
    /// Fetching is a task of a Tokio runtime, and this thread is in none.
    #[error("keys can be fetched only from within a Tokio runtime")]
    NoRuntime,
}

pub(super) fn parse(url: &str) -> Result<Uri, RemoteKeysError> {
    let url: Uri = url.trim().parse().map_err(|_| RemoteKeysError::Url)?;
    let web = matches!(url.scheme_str(), Some("https" | "http"));
    // Behind a slash in a password the rest of it is a path.
    let plain = url.authority().is_some_and(|authority| !authority.as_str().contains('@'))
        && !url.path().contains('@');
    (web && plain).then_some(url).ok_or(RemoteKeysError::Url)
}

fn is_loopback(url: &Uri) -> bool {
    let is_name = url.host().is_some_and(|host| host.eq_ignore_ascii_case("localhost"));
    is_name || address(url).is_some_and(|address| address.is_loopback())
}

/// The address that a URL names instead of a host.
pub(super) fn address(url: &Uri) -> Option<IpAddr> {
    url.host()?.trim_matches(['[', ']']).parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn keys_come_over_https_or_from_this_machine() {
        let check = |url: &str| RemoteKeys::at(url).and_then(|keys| keys.check());
        for url in ["https://a.example/jwks", "http://localhost:1/", "http://127.8.0.1/", "HTTP://[::1]:9/k"]
        {
            assert_eq!(check(url), Ok(()), "{url}");
        }
        for url in ["http://a.example/", "http://localhost.a.example/", "http://0.0.0.0/", "http://10.0.0.1/"]
        {
            assert_eq!(check(url), Err(RemoteKeysError::Insecure), "{url}");
        }
        for url in
            ["", "/jwks", "a.example", "file:///etc/keys", "ftp://a.example/", "https://me:secret@a.example/"]
        {
            assert_eq!(check(url), Err(RemoteKeysError::Url), "{url}");
        }
        let mut keys = RemoteKeys::at("http://a.example/").unwrap();
        keys.allow_insecure_http = true;
        assert_eq!(keys.check(), Ok(()));
    }

    #[test]
    fn metadata_is_below_the_authority() {
        for authority in ["https://a.example/realm", "https://a.example/realm/"] {
            let Location::Metadata(url) = RemoteKeys::of_authority(authority).unwrap().location else {
                panic!("no metadata");
            };
            assert_eq!(url, "https://a.example/realm/.well-known/openid-configuration");
        }
    }
}
