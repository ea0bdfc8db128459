//! The callbacks that a hub may have besides its methods.

/// A callback of a hub.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Callback {
    Connected,
    Disconnected,
    AuthenticationRefreshed,
}

impl Callback {
    pub(crate) const ALL: [Self; 3] = [Self::Connected, Self::Disconnected, Self::AuthenticationRefreshed];

    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::Connected => "on_connected",
            Self::Disconnected => "on_disconnected",
            Self::AuthenticationRefreshed => "on_authentication_refreshed",
        }
    }
}
