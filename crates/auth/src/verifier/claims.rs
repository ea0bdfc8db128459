//! The claims of a token.

use std::collections::HashMap;
use std::fmt;
use std::time::SystemTime;

use serde::de::{Deserialize, Deserializer, MapAccess, Visitor};
use serde_json::value::RawValue;

use super::TokenError;
use super::lifetime::date;

/// Claims that are kept of one token; no token that fits into a header has more.
const MOST_CLAIMS: usize = 4096;

/// The payload of a token, its registered claims checked for their kinds, which are those that ASP.NET Core
/// insists on.
#[derive(Debug, Default)]
pub(super) struct Claims {
    pub(super) issuer: Option<String>,
    pub(super) audiences: Vec<String>,
    pub(super) expires: Option<SystemTime>,
    pub(super) not_before: Option<SystemTime>,
    /// All of them in the order of the token; a list is one claim for each element.
    pub(super) all: Vec<(Box<str>, Box<str>)>,
}

impl Claims {
    pub(super) fn parse(payload: &[u8]) -> Result<Self, TokenError> {
        let members: Members = serde_json::from_slice(payload).map_err(|_| TokenError::Malformed)?;
        let mut claims = Self::default();
        for (name, json) in &members.0 {
            claims.add(name, json.get()).ok_or(TokenError::Malformed)?;
        }
        Ok(claims)
    }

    /// Adds one member of the payload; `None` if it is of a kind that it may not be.
    fn add(&mut self, name: &str, json: &str) -> Option<()> {
        match name {
            "iss" => self.issuer = Some(string(json)?),
            "aud" => self.audiences = audiences(json)?,
            "exp" => self.expires = Some(numeric_date(json)?),
            "nbf" => self.not_before = Some(numeric_date(json)?),
            "iat" => _ = numeric_date(json)?,
            "jti" | "azp" => _ = string(json)?,
            "sub" if json.starts_with(['[', '{', 't', 'f']) => return None,
            _ => {}
        }
        for value in values(json)? {
            if self.all.len() == MOST_CLAIMS {
                return None;
            }
            self.all.push((name.into(), value));
        }
        Some(())
    }
}

/// The members of a JSON object in its order. Of two with the same name the later stands in the earlier's
/// place, as .NET reads it.
struct Members<'a>(Vec<(String, &'a RawValue)>);

impl<'de> Deserialize<'de> for Members<'de> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_map(MembersVisitor)
    }
}

struct MembersVisitor;

impl<'de> Visitor<'de> for MembersVisitor {
    type Value = Members<'de>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("an object")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Self::Value, A::Error> {
        let mut members: Vec<(String, &RawValue)> = Vec::new();
        let mut places = HashMap::new();
        while let Some((name, json)) = map.next_entry::<String, &RawValue>()? {
            let place = *places.entry(name.clone()).or_insert(members.len());
            match members.get_mut(place) {
                Some(earlier) => earlier.1 = json,
                None => members.push((name, json)),
            }
        }
        Ok(Members(members))
    }
}

/// The values of a claim as texts: `null` is an empty one, an object stands as its JSON.
fn values(json: &str) -> Option<Vec<Box<str>>> {
    if !json.starts_with('[') {
        return Some(vec![value(json)?]);
    }
    let elements: Vec<&RawValue> = serde_json::from_str(json).ok()?;
    elements.into_iter().map(|element| value(element.get())).collect()
}

fn value(json: &str) -> Option<Box<str>> {
    match json.as_bytes().first()? {
        b'"' => string(json).map(Into::into),
        b'n' => Some("".into()),
        b'-' | b'0'..=b'9' => Some(number(json)),
        _ => Some(json.into()),
    }
}

/// A number without what does not change it, like the zero in `5.50`.
fn number(json: &str) -> Box<str> {
    match (json.parse::<i64>(), json.parse::<f64>()) {
        (Err(_), Ok(number)) => number.to_string().into(),
        _ => json.into(),
    }
}

fn string(json: &str) -> Option<String> {
    serde_json::from_str(json).ok()
}

fn audiences(json: &str) -> Option<Vec<String>> {
    match json.as_bytes().first()? {
        b'"' => Some(vec![string(json)?]),
        b'n' => Some(Vec::new()),
        _ => serde_json::from_str(json).ok(),
    }
}

/// Some issuers write dates as strings, which ASP.NET Core reads too.
fn numeric_date(json: &str) -> Option<SystemTime> {
    let text = match json.starts_with('"') {
        true => string(json)?,
        false => json.to_owned(),
    };
    let seconds: f64 = text.trim().parse().ok()?;
    // .NET reads a 64-bit integer, or a double that fits into one.
    (seconds.abs() < 9.3e18).then(|| date(seconds)).flatten()
}
