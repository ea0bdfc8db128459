//! Which bearer tokens are believed.

use std::time::Duration;

use hubline_auth::{BearerOptions, RemoteKeys, RemoteKeysError, VerificationKey};

use super::key::Key;
use super::layer::Setting;
use super::reader::Reader;
use super::report::{Problem, Warning};
use super::{Section, secrets};

pub(super) const JWT_KEY: Key = Key::new(
    "Jwt:Key",
    "key that bearer tokens are verified with: a secret of 32 bytes or more as text, or a public key as PEM, certificate, JWK or JWKS",
)
.secret();
pub(super) const JWT_JWKS_URL: Key = Key::new(
    "Jwt:JwksUrl",
    "where keys are fetched, and fetched again when they change; https, or http on loopback",
)
.url();
const JWT_ALLOW_PRIVATE_KEY_ADDRESSES: Key = Key::new(
    "Jwt:AllowPrivateKeyAddresses",
    "whether metadata from a public address may name keys at a loopback, link-local or private one",
);
const JWT_ISSUER: Key = Key::new("Jwt:Issuer", "required iss of tokens").unset("any");
const JWT_AUDIENCE: Key = Key::new("Jwt:Audience", "required aud of tokens").unset("any");
const JWT_CLOCK_SKEW: Key = Key::new("Jwt:ClockSkew", "tolerated difference of clocks");
const ALLOW_ANONYMOUS: Key = Key::new(
    "Authentication:AllowAnonymous",
    "whether a client without a token may use the chat; if false, it gets 401 there",
)
.unset("true without keys and false with them");
pub(super) const BEARER_AUTHORITY: Key = Key::new(
    "Authentication:Schemes:Bearer:Authority",
    "issuer of tokens, whose OpenID metadata say where its keys are",
)
.url();
const BEARER_METADATA_ADDRESS: Key = Key::new(
    "Authentication:Schemes:Bearer:MetadataAddress",
    "where these metadata are, if not where the authority says",
)
.url();
const BEARER_REQUIRE_HTTPS_METADATA: Key = Key::new(
    "Authentication:Schemes:Bearer:RequireHttpsMetadata",
    "whether keys and metadata are fetched over https only",
);
const BEARER_INCLUDE_ERROR_DETAILS: Key = Key::new(
    "Authentication:Schemes:Bearer:IncludeErrorDetails",
    "whether clients are told what is wrong with a token",
);
const BEARER_VALID_ISSUER: Key = Key::new(
    "Authentication:Schemes:Bearer:ValidIssuer",
    "required iss of tokens, with those of ValidIssuers and Jwt:Issuer",
);
const BEARER_VALID_ISSUERS: Key =
    Key::new("Authentication:Schemes:Bearer:ValidIssuers", "further ones").list().unit("list");
const BEARER_VALID_AUDIENCE: Key = Key::new(
    "Authentication:Schemes:Bearer:ValidAudience",
    "required aud of tokens, with those of ValidAudiences and Jwt:Audience",
);
const BEARER_VALID_AUDIENCES: Key =
    Key::new("Authentication:Schemes:Bearer:ValidAudiences", "further ones").list().unit("list");
const BEARER_SIGNING_KEY: Key = Key::new(
    "Authentication:Schemes:Bearer:SigningKeys:{N}:Value",
    "secret that tokens are verified with, as dotnet user-jwts writes it",
)
.secret()
.unit("base64");
const BEARER_SIGNING_KEY_ID: Key = Key::new(
    "Authentication:Schemes:Bearer:SigningKeys:{N}:Id",
    "written beside it by dotnet user-jwts, not read",
);
const BEARER_SIGNING_KEY_ISSUER: Key = Key::new(
    "Authentication:Schemes:Bearer:SigningKeys:{N}:Issuer",
    "written beside it by dotnet user-jwts, not read",
);
const BEARER_SIGNING_KEY_LENGTH: Key = Key::new(
    "Authentication:Schemes:Bearer:SigningKeys:{N}:Length",
    "written beside it by dotnet user-jwts, not read",
);

/// A key that says where keys are fetched, and how to read it.
type Place = (Key, fn(&str) -> Result<RemoteKeys, RemoteKeysError>);

/// Who the users are.
#[derive(Debug, Clone)]
pub(crate) struct AuthenticationConfig {
    /// Which bearer tokens are believed; `None` if no key is configured. What is in both sections counts together. Without
    /// issuers, or audiences, any will do.
    pub(crate) bearer: Option<BearerOptions>,
    /// Whether somebody who brings no token may use the chat, if that is said.
    pub(crate) allow_anonymous: Option<bool>,
}

impl AuthenticationConfig {
    /// Whether somebody who brings no token may use the chat.
    pub(crate) fn anonymous_may_chat(&self) -> bool {
        self.allow_anonymous.unwrap_or(self.bearer.is_none())
    }
}

impl Section for AuthenticationConfig {
    const TITLE: &'static str = "Authentication";

    fn read(reader: &mut Reader) -> Self {
        let bearer = bearer(reader);
        Self { bearer, allow_anonymous: reader.optional_boolean(ALLOW_ANONYMOUS) }
    }
}

/// Reads both sections; `None` if neither has a key, or a place to fetch keys from.
fn bearer(reader: &mut Reader) -> Option<BearerOptions> {
    let earlier_mistakes = reader.mistakes.len();
    let mut options = BearerOptions::default();
    options.remote_keys = remote_keys(reader);
    options.keys = jwt_key(reader);
    options.keys.extend(signing_keys(reader));
    options.issuers = valid(reader, [BEARER_VALID_ISSUER, JWT_ISSUER], BEARER_VALID_ISSUERS);
    options.audiences = valid(reader, [BEARER_VALID_AUDIENCE, JWT_AUDIENCE], BEARER_VALID_AUDIENCES);
    options.clock_skew = reader.patience(JWT_CLOCK_SKEW, Duration::from_secs(5 * 60));
    options.include_error_details = reader.boolean(BEARER_INCLUDE_ERROR_DETAILS, true);
    options.refuse_invalid_tokens = true;
    if options.keys.is_empty() && options.remote_keys.is_none() {
        // A key that cannot be used has been named already.
        if reader.mistakes.len() == earlier_mistakes {
            refuse_to_lock_everybody_out(reader);
        }
        warn_of_missing_keys(reader);
        return None;
    }
    Some(options)
}

/// Without keys nobody could sign in, so somebody has to be let in without.
fn refuse_to_lock_everybody_out(reader: &mut Reader) {
    let setting = reader.settings.get(ALLOW_ANONYMOUS.name).cloned();
    if let Some(setting) = setting.filter(|setting| setting.value.trim().eq_ignore_ascii_case("false")) {
        reader.mistake(ALLOW_ANONYMOUS.name, &setting, Problem::NobodyCanSignIn);
    }
}

/// Where keys are fetched: the metadata goes before the authority as in ASP.NET Core, both before `Jwt:JwksUrl`.
fn remote_keys(reader: &mut Reader) -> Option<RemoteKeys> {
    let places: [Place; 3] = [
        (BEARER_METADATA_ADDRESS, RemoteKeys::of_metadata),
        (BEARER_AUTHORITY, RemoteKeys::of_authority),
        (JWT_JWKS_URL, RemoteKeys::at),
    ];
    let chosen = reader.preferred(&places.map(|(key, _)| key));
    let setting = reader.setting(chosen);
    let https = reader.boolean(BEARER_REQUIRE_HTTPS_METADATA, true);
    let private_addresses = reader.boolean(JWT_ALLOW_PRIVATE_KEY_ADDRESSES, false);
    let (setting, (_, read)) = (setting?, places.into_iter().find(|(key, _)| *key == chosen)?);
    let checked = read(&setting.value).and_then(|mut remote| {
        remote.allow_insecure_http = !https;
        remote.allow_private_key_addresses = private_addresses;
        remote.check().map(|()| remote)
    });
    checked.map_err(|error| reader.mistake(chosen.name, &setting, Problem::RemoteKeys(error))).ok()
}

fn jwt_key(reader: &mut Reader) -> Vec<VerificationKey> {
    let Some(setting) = reader.setting(JWT_KEY) else {
        return Vec::new();
    };
    warn_of_margins(reader, JWT_KEY.name, &setting);
    VerificationKey::from_text(&setting.value).unwrap_or_else(|error| {
        reader.mistake(JWT_KEY.name, &setting, Problem::Key(error));
        Vec::new()
    })
}

/// Warns if a text is a secret with all that is around it: whoever issues the tokens has to have that too.
fn warn_of_margins(reader: &mut Reader, key: &str, setting: &Setting) {
    let is_margin = |c: char| c.is_whitespace() || matches!(c, '"' | '\'' | '`' | '\u{feff}');
    let has_margins = setting.value.starts_with(is_margin) || setting.value.ends_with(is_margin);
    if has_margins && VerificationKey::secret(setting.value.as_bytes()).is_ok() {
        let (key, source) = (key.to_owned(), setting.source.clone());
        reader.warnings.push(Warning::SecretWithMargins { key, source });
    }
}

/// The `Value` of each of the `SigningKeys`.
fn signing_keys(reader: &mut Reader) -> Vec<VerificationKey> {
    for beside in [BEARER_SIGNING_KEY_ID, BEARER_SIGNING_KEY_ISSUER, BEARER_SIGNING_KEY_LENGTH] {
        reader.declare(beside, "text");
    }
    let mut signing_keys = Vec::new();
    for (_, setting) in reader.matching(BEARER_SIGNING_KEY) {
        match VerificationKey::base64_secret(&setting.value) {
            Ok(key) => {
                reader.note(&setting.key, secrets::shown(&setting.key, &setting.value), setting.source);
                signing_keys.push(key);
            }
            Err(error) => reader.mistake(&setting.key, &setting, Problem::Key(error)),
        }
    }
    signing_keys
}

/// What the keys with one value and the one with a list say together, without repetition.
fn valid(reader: &mut Reader, single: [Key; 2], list: Key) -> Vec<String> {
    let mut valid: Vec<String> = single.into_iter().filter_map(|key| reader.text(key)).collect();
    valid.extend(reader.texts(list));
    valid.sort();
    valid.dedup();
    valid
}

/// Warns if it is said what tokens must be like: whoever wrote that expects tokens to be believed.
fn warn_of_missing_keys(reader: &mut Reader) {
    let described = |key: &str| {
        [
            JWT_ISSUER,
            JWT_AUDIENCE,
            BEARER_VALID_ISSUER,
            BEARER_VALID_AUDIENCE,
            BEARER_VALID_ISSUERS,
            BEARER_VALID_AUDIENCES,
        ]
        .iter()
        .any(|known| known.covers(key))
    };
    let first = reader.settings.iter().find(|setting| described(&setting.key) && !setting.value.is_empty());
    let warning = first
        .map(|Setting { key, source, .. }| Warning::NoTokenKeys { key: key.clone(), source: source.clone() });
    reader.warnings.extend(warning);
}
