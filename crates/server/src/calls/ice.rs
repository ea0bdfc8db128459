//! Where browsers find their way through routers: STUN and TURN servers, and credentials for the latter.

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use hubline::UserId;
use ring::hmac;
use serde::Serialize;

use super::config::{CallsOptions, IceServer};

/// A server as `RTCPeerConnection` takes it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub(super) struct IceServerInfo {
    urls: Vec<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    username: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    credential: Option<String>,
}

/// The servers for a user, with credentials that expire where a secret is shared with them.
pub(super) fn servers(options: &CallsOptions, user: &UserId, unix_seconds: i64) -> Vec<IceServerInfo> {
    let lifetime = i64::try_from(options.turn_credential_lifetime.as_secs()).unwrap_or(i64::MAX / 2);
    let of = |server: &IceServer| {
        let is_turn = server.urls.iter().any(|url| url.starts_with("turn:") || url.starts_with("turns:"));
        let (username, credential) = match (&server.username, &options.turn_secret) {
            (None, Some(secret)) if is_turn => {
                let username = format!("{}:{user}", unix_seconds.saturating_add(lifetime));
                let credential = credential(secret.reveal(), &username);
                (Some(username), Some(credential))
            }
            (username, _) => {
                (username.clone(), server.credential.as_ref().map(|secret| secret.reveal().to_owned()))
            }
        };
        IceServerInfo { urls: server.urls.clone(), username, credential }
    };
    options.ice_servers.iter().map(of).collect()
}

/// The password that a TURN server with the same secret makes of the name: draft-uberti-behave-turn-rest-00, section 2.2.
fn credential(secret: &str, username: &str) -> String {
    let key = hmac::Key::new(hmac::HMAC_SHA1_FOR_LEGACY_USE_ONLY, secret.as_bytes());
    STANDARD.encode(hmac::sign(&key, username.as_bytes()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_turn_server_gets_credentials_that_expire_unless_it_has_some() {
        let turn = |url: &str| IceServer { urls: vec![url.to_owned()], username: None, credential: None };
        let fixed = IceServer {
            username: Some("u".to_owned()),
            credential: Some("p".into()),
            ..turn("turn:b.example")
        };
        let options = CallsOptions {
            ice_servers: vec![turn("stun:a.example"), turn("turns:a.example:5349"), fixed],
            turn_secret: Some("north".into()),
            ..CallsOptions::default()
        };
        let servers = servers(&options, &"ada".into(), 1_000_000);
        assert_eq!((servers[0].username.as_deref(), servers[0].credential.as_deref()), (None, None));
        assert_eq!(servers[1].username.as_deref(), Some("1043200:ada"));
        // printf %s 1043200:ada | openssl dgst -sha1 -hmac north -binary | base64
        assert_eq!(servers[1].credential.as_deref(), Some("1vWewgL83eyroS9opOCCRbJ8hu0="));
        assert_eq!(
            (servers[2].username.as_deref(), servers[2].credential.as_deref()),
            (Some("u"), Some("p"))
        );
        assert!(!format!("{options:?}").contains("north"));
    }
}
