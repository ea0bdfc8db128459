//! A token for each connection.

use std::path::PathBuf;
use std::time::{SystemTime, UNIX_EPOCH};

use anyhow::{Context as _, bail, ensure};
use base64::Engine;
use base64::prelude::BASE64_URL_SAFE_NO_PAD;
use ring::hmac;
use serde_json::{Map, Value};

use crate::plan::settings::RoleSettings;
use crate::plan::template::Fill;

/// Where the tokens of a role come from.
#[derive(Debug, Clone)]
pub(crate) enum Tokens {
    /// All have this one, or none.
    Same(Option<String>),
    Template(String),
    Lines(Vec<String>),
    Signed {
        key: hmac::Key,
        claims: Map<String, Value>,
    },
}

impl Tokens {
    /// # Errors
    /// Several sources, a file without tokens, claims that are no JSON object.
    pub(crate) fn new(settings: &RoleSettings) -> anyhow::Result<Self> {
        let RoleSettings { token, token_template, token_file, jwt_key, jwt_claims, .. } = settings;
        let sources = [token.is_some(), token_template.is_some(), token_file.is_some(), jwt_key.is_some()];
        ensure!(
            sources.into_iter().filter(|is_there| *is_there).count() <= 1,
            "tokens come from one of --token, --token-template, --token-file and --jwt-key, not from several"
        );
        ensure!(jwt_claims.is_none() || jwt_key.is_some(), "--jwt-claims needs --jwt-key");
        Ok(if let Some(template) = token_template {
            Self::Template(template.clone())
        } else if let Some(file) = token_file {
            Self::Lines(lines(file)?)
        } else if let Some(key) = jwt_key {
            let claims = jwt_claims.as_deref().unwrap_or(r#"{"sub":"load-{n}"}"#);
            let Ok(Value::Object(claims)) = serde_json::from_str(claims) else {
                bail!(
                    "--jwt-claims {claims:?} is no JSON object; what would be right: '{{\"sub\":\"user-{{n}}\"}}'"
                )
            };
            Self::Signed { key: hmac::Key::new(hmac::HMAC_SHA256, key.as_bytes()), claims }
        } else {
            Self::Same(token.clone())
        })
    }

    /// The token of a connection.
    pub(crate) fn of(&self, fill: &Fill<'_>) -> Option<String> {
        match self {
            Self::Same(token) => token.clone(),
            Self::Template(template) => Some(fill.text(template)),
            Self::Lines(lines) => lines.get(fill.connection as usize % lines.len()).cloned(),
            Self::Signed { key, claims } => Some(signed(key, claims, fill)),
        }
    }
}

fn lines(file: &PathBuf) -> anyhow::Result<Vec<String>> {
    let shown = file.display();
    let text =
        std::fs::read_to_string(file).with_context(|| format!("--token-file {shown} cannot be read"))?;
    let lines: Vec<_> =
        text.lines().map(str::trim).filter(|line| !line.is_empty()).map(str::to_owned).collect();
    ensure!(!lines.is_empty(), "--token-file {shown} has no token; one is expected a line");
    let is_token = |line: &String| line.bytes().all(|byte| byte.is_ascii_graphic());
    ensure!(lines.iter().all(is_token), "--token-file {shown} has a line with blanks, which is no token");
    Ok(lines)
}

fn signed(key: &hmac::Key, claims: &Map<String, Value>, fill: &Fill<'_>) -> String {
    const A_DAY_IN_SECONDS: u64 = 24 * 60 * 60;
    let mut claims = fill.value(&Value::Object(claims.clone()));
    if let Value::Object(claims) = &mut claims {
        let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default().as_secs();
        claims.entry("exp").or_insert_with(|| (now + A_DAY_IN_SECONDS).into());
    }
    let part = |text: &str| BASE64_URL_SAFE_NO_PAD.encode(text);
    let said = format!("{}.{}", part(r#"{"alg":"HS256","typ":"JWT"}"#), part(&claims.to_string()));
    let signature = hmac::sign(key, said.as_bytes());
    format!("{said}.{}", BASE64_URL_SAFE_NO_PAD.encode(signature))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn tokens(settings: RoleSettings) -> anyhow::Result<Tokens> {
        Tokens::new(&settings)
    }

    #[test]
    fn each_connection_has_its_token() {
        let fill = |connection| Fill { connection, ..Fill::default() };
        let template =
            tokens(RoleSettings { token_template: Some("t{n}".to_owned()), ..RoleSettings::default() });
        assert_eq!(template.unwrap().of(&fill(7)).unwrap(), "t7");
        let file = tempfile::NamedTempFile::new().unwrap();
        std::fs::write(&file, "one\n\ntwo\n").unwrap();
        let settings = RoleSettings { token_file: Some(file.path().to_owned()), ..RoleSettings::default() };
        assert_eq!(tokens(settings).unwrap().of(&fill(5)).unwrap(), "two");
        let key = RoleSettings { jwt_key: Some("secret".to_owned()), ..RoleSettings::default() };
        let token = tokens(key).unwrap().of(&fill(7)).unwrap();
        let claims = BASE64_URL_SAFE_NO_PAD.decode(token.split('.').nth(1).unwrap()).unwrap();
        let claims: Value = serde_json::from_slice(&claims).unwrap();
        assert_eq!(claims["sub"], "load-7");
        assert!(claims["exp"].as_u64().unwrap() > 1_700_000_000);
        let (said, signature) = token.rsplit_once('.').unwrap();
        let key = hmac::Key::new(hmac::HMAC_SHA256, b"secret");
        hmac::verify(&key, said.as_bytes(), &BASE64_URL_SAFE_NO_PAD.decode(signature).unwrap()).unwrap();
    }

    #[test]
    fn several_sources_are_refused() {
        let both = RoleSettings {
            token: Some("t".to_owned()),
            jwt_key: Some("k".to_owned()),
            ..RoleSettings::default()
        };
        assert!(tokens(both).unwrap_err().to_string().contains("--token-file"));
        let none = RoleSettings { token_file: Some("/nowhere".into()), ..RoleSettings::default() };
        assert!(tokens(none).unwrap_err().to_string().contains("cannot be read"));
    }
}
