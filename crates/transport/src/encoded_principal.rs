//! A [`Principal`] as instances write it to each other, for `#[serde(with = "encoded_principal")]`.

use std::sync::Arc;
use std::time::SystemTime;

use hubline_identity::{Claim, Principal};
use hubline_protocol::UserId;
use serde::{Deserialize, Deserializer, Serialize, Serializer};

#[derive(Debug, Serialize, Deserialize)]
struct EncodedPrincipal {
    name_identifier: Option<String>,
    issuer: Option<Box<str>>,
    name: Option<Box<str>>,
    roles: Vec<Box<str>>,
    claims: Vec<(Box<str>, Box<str>)>,
    expires: Option<SystemTime>,
}

pub(crate) fn serialize<S: Serializer>(
    principal: &Option<Arc<Principal>>,
    serializer: S,
) -> Result<S::Ok, S::Error> {
    principal.as_deref().map(EncodedPrincipal::from).serialize(serializer)
}

pub(crate) fn deserialize<'de, D: Deserializer<'de>>(
    deserializer: D,
) -> Result<Option<Arc<Principal>>, D::Error> {
    let principal: Option<EncodedPrincipal> = Deserialize::deserialize(deserializer)?;
    Ok(principal.map(|principal| Arc::new(principal.into())))
}

impl From<&Principal> for EncodedPrincipal {
    fn from(principal: &Principal) -> Self {
        let claim = |claim: &Claim| (claim.name.clone(), claim.value.clone());
        Self {
            name_identifier: principal.name_identifier.as_ref().map(ToString::to_string),
            issuer: principal.issuer.clone(),
            name: principal.name.clone(),
            roles: principal.roles.clone(),
            claims: principal.claims.iter().map(claim).collect(),
            expires: principal.expires,
        }
    }
}

impl From<EncodedPrincipal> for Principal {
    fn from(encoded: EncodedPrincipal) -> Self {
        let mut principal = Self::default();
        principal.name_identifier = encoded.name_identifier.map(|id| UserId::from(&*id));
        principal.issuer = encoded.issuer;
        principal.name = encoded.name;
        principal.roles = encoded.roles;
        principal.claims = encoded.claims.into_iter().map(|(name, value)| Claim { name, value }).collect();
        principal.expires = encoded.expires;
        principal
    }
}
