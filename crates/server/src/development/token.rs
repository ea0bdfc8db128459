//! Tokens for development: JSON Web Tokens (RFC 7519) with HS256.

use std::time::{Duration, SystemTime, UNIX_EPOCH};

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use serde::{Deserialize, Serialize};
use serde_json::json;

use super::keys::Key;

/// The `iss` of these tokens.
pub(super) const ISSUER: &str = "hubline-development";

/// How long a token is good: a day's work.
pub(super) const LIFETIME: Duration = Duration::from_secs(12 * 60 * 60);

const LIMIT_USER_BYTES: usize = 256;
const LIMIT_ROLES: usize = 16;
const LIMIT_ROLE_BYTES: usize = 64;

/// Who wants to be signed in, as the body of the request says it.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Wanted {
    user: String,
    #[serde(default)]
    roles: Vec<String>,
    #[serde(default)]
    name: Option<String>,
}

/// The answer.
#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct Issued {
    pub(super) token: String,
    /// Seconds.
    pub(super) expires_in: u64,
}

impl Wanted {
    /// Reads a body.
    ///
    /// # Errors
    /// What is wrong with it, and what would be right.
    pub(super) fn parse(body: &[u8]) -> Result<Self, String> {
        let wanted: Self = serde_json::from_slice(body)
            .map_err(|error| format!("{error}; expected {{\"user\": \"ada\", \"roles\": [\"Doctor\"]}}"))?;
        let texts = [("user", &wanted.user, LIMIT_USER_BYTES)].into_iter();
        let texts = texts.chain(wanted.name.iter().map(|name| ("name", name, LIMIT_USER_BYTES)));
        let texts = texts.chain(wanted.roles.iter().map(|role| ("roles", role, LIMIT_ROLE_BYTES)));
        for (member, text, limit) in texts {
            let is_plain = !text.trim().is_empty() && !text.chars().any(char::is_control);
            if !is_plain || text.len() > limit {
                return Err(format!(
                    "{member}: expected a text of 1 to {limit} bytes without control characters"
                ));
            }
        }
        if wanted.roles.len() > LIMIT_ROLES {
            return Err(format!("roles: expected {LIMIT_ROLES} at most"));
        }
        Ok(wanted)
    }

    /// A token for this user.
    pub(super) fn issue(&self, key: &Key) -> Issued {
        let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default().as_secs();
        let mut claims = json!({
            "iss": ISSUER, "sub": self.user, "role": self.roles, "iat": now, "exp": now + LIFETIME.as_secs(),
        });
        if let Some(name) = &self.name {
            claims["unique_name"] = json!(name);
        }
        let header = json!({ "alg": "HS256", "typ": "JWT", "kid": key.id() });
        let [header, claims] = [header, claims].map(|part| URL_SAFE_NO_PAD.encode(part.to_string()));
        let message = [header, claims].join(".");
        let signature = URL_SAFE_NO_PAD.encode(key.sign(message.as_bytes()));
        Issued { token: [message, signature].join("."), expires_in: LIFETIME.as_secs() }
    }
}

/// The `kid` of a token, whether the token is good or not.
pub(super) fn key_id(token: &str) -> Option<String> {
    #[derive(Deserialize)]
    struct Header {
        kid: String,
    }
    let header = URL_SAFE_NO_PAD.decode(token.split('.').next()?).ok()?;
    serde_json::from_slice(&header).ok().map(|Header { kid }| kid)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_wanted_is_looked_at() {
        let long = format!(r#"{{"user":"{}"}}"#, "a".repeat(257));
        let many = format!(r#"{{"user":"a","roles":[{}]}}"#, ["\"x\""; 17].join(","));
        for (body, told) in [
            ("", "expected {"),
            ("{}", "missing field `user`"),
            (r#"{"user":" "}"#, "user:"),
            (r#"{"user":"a\nb"}"#, "user:"),
            (r#"{"user":"a","roles":[""]}"#, "roles:"),
            (r#"{"user":"a","role":"Doctor"}"#, "unknown field `role`"),
            (&long, "user:"),
            (&many, "16 at most"),
        ] {
            let error = Wanted::parse(body.as_bytes()).unwrap_err();
            assert!(error.contains(told), "{body}: {error}");
        }
        assert!(Wanted::parse(br#"{"user":"ada","roles":["Doctor"],"name":"Ada"}"#).is_ok());
    }
}
