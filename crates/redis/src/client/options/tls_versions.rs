use std::fmt;

/// Versions of TLS to agree on; older ones than 1.2 are not spoken.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum RedisTlsVersions {
    /// 1.2 or 1.3, the newer one if both sides can.
    #[default]
    Both,
    /// `Tls12`
    OnlyTls12,
    /// `Tls13`
    OnlyTls13,
}

impl RedisTlsVersions {
    /// Reads names of .NET's `SslProtocols`, separated by `|`. Older versions count only beside newer ones.
    pub(super) fn parse(value: &str) -> Option<Self> {
        let (mut tls12, mut tls13) = (false, false);
        for name in value.split('|').map(str::trim) {
            match name.to_ascii_lowercase().as_str() {
                "none" => (tls12, tls13) = (true, true),
                "tls12" => tls12 = true,
                "tls13" => tls13 = true,
                "ssl2" | "ssl3" | "tls" | "tls11" | "default" => {}
                _ => return None,
            }
        }
        match (tls12, tls13) {
            (true, true) => Some(Self::Both),
            (true, false) => Some(Self::OnlyTls12),
            (false, true) => Some(Self::OnlyTls13),
            (false, false) => None,
        }
    }
}

impl fmt::Display for RedisTlsVersions {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Both => "TLS 1.2 or 1.3",
            Self::OnlyTls12 => "TLS 1.2",
            Self::OnlyTls13 => "TLS 1.3",
        })
    }
}
