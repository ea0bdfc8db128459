use std::fmt::{Display, Formatter};
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use std::str::FromStr;

use url::{Host, Url};

/// The address of a hub: `http://`, `https://`, `ws://` or `wss://`, a host, a path, and a query that every request carries.
///
/// User names and passwords are refused, since SignalR clients do not send them. `Display` leaves the query out, which may hold a token.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct HubUrl(Url);

/// Why a text is no [`HubUrl`].
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum HubUrlError {
    /// Not a URL at all.
    #[error("this is no URL ({0}); what would be right: http://localhost:5000/chathub")]
    Syntax(url::ParseError),
    /// Another scheme than the four.
    #[error("a hub's URL begins with http://, https://, ws:// or wss://, not with {0}://")]
    Scheme(String),
    /// `user:password@host`.
    #[error(
        "a user name or password in the URL would not be sent; use --token, or --header 'Authorization: Basic ...'"
    )]
    Credentials,
}

impl HubUrl {
    /// Whether TCP goes through TLS.
    pub fn is_secure(&self) -> bool {
        matches!(self.0.scheme(), "https" | "wss")
    }

    /// Name or address of the host; an IPv6 address without its brackets.
    pub fn host(&self) -> String {
        match self.0.host() {
            Some(Host::Domain(name)) => name.to_owned(),
            Some(Host::Ipv4(address)) => address.to_string(),
            Some(Host::Ipv6(address)) => address.to_string(),
            None => String::new(),
        }
    }

    /// The port, also if it is the scheme's own.
    pub fn port(&self) -> u16 {
        self.0.port_or_known_default().unwrap_or(80)
    }

    /// The path as it is sent, without the query.
    pub fn path(&self) -> &str {
        self.0.path()
    }

    /// The address, if the host is one. `localhost` is 127.0.0.1, without a lookup.
    pub(crate) fn address(&self) -> Option<IpAddr> {
        match self.0.host()? {
            Host::Domain("localhost") => Some(Ipv4Addr::LOCALHOST.into()),
            Host::Domain(_) => None,
            Host::Ipv4(address) => Some(address.into()),
            Host::Ipv6(address) => Some(address.into()),
        }
    }

    /// Whether the URL itself says that the hub is on this machine; names other than `localhost` do not.
    pub fn is_loopback(&self) -> bool {
        self.address().is_some_and(is_loopback)
    }

    /// What the `Host` header says.
    pub(crate) fn authority(&self) -> String {
        let host = self.0.host_str().unwrap_or_default();
        self.0.port().map_or_else(|| host.to_owned(), |port| format!("{host}:{port}"))
    }

    /// Path and query of a request, with `suffix` behind the path and more parameters behind the query.
    pub(crate) fn request_target(&self, suffix: &str, parameters: &[(&str, &str)]) -> String {
        let mut url = self.0.clone();
        if !suffix.is_empty() {
            url.set_path(&format!("{}/{suffix}", self.0.path().trim_end_matches('/')));
        }
        if !parameters.is_empty() {
            url.query_pairs_mut().extend_pairs(parameters);
        }
        url.query().map_or_else(|| url.path().to_owned(), |query| format!("{}?{query}", url.path()))
    }

    /// Whether the query has the parameter.
    pub(crate) fn has_parameter(&self, name: &str) -> bool {
        self.0.query_pairs().any(|(key, _)| key == name)
    }
}

pub(crate) fn is_loopback(address: IpAddr) -> bool {
    match address {
        IpAddr::V4(address) => address.is_loopback(),
        IpAddr::V6(address) => {
            address == Ipv6Addr::LOCALHOST || address.to_ipv4_mapped().is_some_and(|v4| v4.is_loopback())
        }
    }
}

impl FromStr for HubUrl {
    type Err = HubUrlError;

    fn from_str(text: &str) -> Result<Self, HubUrlError> {
        let mut url = Url::parse(text).map_err(HubUrlError::Syntax)?;
        if !matches!(url.scheme(), "http" | "https" | "ws" | "wss") {
            return Err(HubUrlError::Scheme(url.scheme().to_owned()));
        }
        if !url.username().is_empty() || url.password().is_some() {
            return Err(HubUrlError::Credentials);
        }
        url.set_fragment(None);
        Ok(Self(url))
    }
}

impl Display for HubUrl {
    fn fmt(&self, f: &mut Formatter<'_>) -> std::fmt::Result {
        write!(f, "{}://{}{}", self.0.scheme(), self.authority(), self.0.path())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn url(text: &str) -> HubUrl {
        text.parse().unwrap()
    }

    #[test]
    fn a_url_is_taken_apart_as_requests_need_it() {
        for (text, authority, port, target, is_loopback) in [
            ("http://127.0.0.1:5000/hub", "127.0.0.1:5000", 5000, "/hub", true),
            ("http://localhost/hub?a=b#x", "localhost", 80, "/hub?a=b", true),
            ("wss://[::1]:5001", "[::1]:5001", 5001, "/", true),
            ("https://signalr.example.org/base/hub/", "signalr.example.org", 443, "/base/hub/", false),
            ("http://127.0.0.1.example.org/hub", "127.0.0.1.example.org", 80, "/hub", false),
            ("http://[::ffff:127.0.0.1]/", "[::ffff:7f00:1]", 80, "/", true),
            ("http://10.0.0.1/a b", "10.0.0.1", 80, "/a%20b", false),
        ] {
            let url = url(text);
            assert_eq!(url.authority(), authority, "{text}");
            assert_eq!(url.port(), port, "{text}");
            assert_eq!(url.request_target("", &[]), target, "{text}");
            assert_eq!(url.is_loopback(), is_loopback, "{text}");
        }
    }

    #[test]
    fn suffix_and_parameters_go_where_the_official_clients_put_them() {
        let parameters = [("negotiateVersion", "1"), ("id", "a+/=")];
        assert_eq!(
            url("http://h/base/hub/?tenant=7").request_target("negotiate", &parameters),
            "/base/hub/negotiate?tenant=7&negotiateVersion=1&id=a%2B%2F%3D"
        );
        assert!(url("http://h/hub?negotiateVersion=0").has_parameter("negotiateVersion"));
    }

    #[test]
    fn what_is_no_hub_is_refused_and_says_what_would_be_right() {
        let refused = |text: &str| text.parse::<HubUrl>().unwrap_err().to_string();
        assert!(refused("localhost:5000/hub").contains("begins with http://"));
        assert!(refused("/hub").contains("http://localhost:5000/chathub"));
        assert!(refused("ftp://h/").contains("not with ftp://"));
        assert!(refused("http://me:secret@h/hub").contains("--header"));
    }

    #[test]
    fn what_is_shown_has_no_query() {
        assert_eq!(url("https://h/hub?access_token=secret").to_string(), "https://h/hub");
    }
}
