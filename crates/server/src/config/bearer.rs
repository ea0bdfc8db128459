//! Which bearer tokens are believed.

use std::time::Duration;

use hubline_auth::{BearerOptions, RemoteKeys, RemoteKeysError, VerificationKey};

use super::layer::Setting;
use super::reader::Reader;
use super::report::{Problem, Warning};
use super::{keys, list};

/// A key that says where keys are fetched, and how to read it.
type Place = (&'static str, fn(&str) -> Result<RemoteKeys, RemoteKeysError>);

/// Reads both sections; `None` if neither has a key, or a place to fetch keys from.
pub(super) fn read(reader: &mut Reader) -> Option<BearerOptions> {
    let earlier_mistakes = reader.mistakes.len();
    let mut options = BearerOptions::default();
    options.remote_keys = remote_keys(reader);
    options.keys = jwt_key(reader);
    options.keys.extend(signing_keys(reader));
    options.issuers =
        valid(reader, [keys::BEARER_VALID_ISSUER, keys::JWT_ISSUER], keys::BEARER_VALID_ISSUERS);
    options.audiences =
        valid(reader, [keys::BEARER_VALID_AUDIENCE, keys::JWT_AUDIENCE], keys::BEARER_VALID_AUDIENCES);
    options.clock_skew = reader.patience(keys::JWT_CLOCK_SKEW, Duration::from_secs(5 * 60));
    options.include_error_details = reader.boolean(keys::BEARER_INCLUDE_ERROR_DETAILS, true);
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
    let setting = reader.settings.get(keys::ALLOW_ANONYMOUS).cloned();
    if let Some(setting) = setting.filter(|setting| setting.value.trim().eq_ignore_ascii_case("false")) {
        reader.mistake(keys::ALLOW_ANONYMOUS, &setting, Problem::NobodyCanSignIn);
    }
}

/// Where keys are fetched: the metadata goes before the authority as in ASP.NET Core, both before `Jwt:JwksUrl`.
fn remote_keys(reader: &mut Reader) -> Option<RemoteKeys> {
    let places: [Place; 3] = [
        (keys::BEARER_METADATA_ADDRESS, RemoteKeys::of_metadata),
        (keys::BEARER_AUTHORITY, RemoteKeys::of_authority),
        (keys::JWT_JWKS_URL, RemoteKeys::at),
    ];
    let chosen = reader.preferred(&places.map(|(key, _)| key));
    let setting = reader.setting(chosen);
    let https = reader.boolean(keys::BEARER_REQUIRE_HTTPS_METADATA, true);
    let private_addresses = reader.boolean(keys::JWT_ALLOW_PRIVATE_KEY_ADDRESSES, false);
    let (setting, (_, read)) = (setting?, places.into_iter().find(|(key, _)| *key == chosen)?);
    let checked = read(&setting.value).and_then(|mut remote| {
        remote.allow_insecure_http = !https;
        remote.allow_private_key_addresses = private_addresses;
        remote.check().map(|()| remote)
    });
    checked.map_err(|error| reader.mistake(chosen, &setting, Problem::RemoteKeys(error))).ok()
}

fn jwt_key(reader: &mut Reader) -> Vec<VerificationKey> {
    let Some(setting) = reader.setting(keys::JWT_KEY) else {
        return Vec::new();
    };
    warn_of_margins(reader, keys::JWT_KEY, &setting);
    VerificationKey::from_text(&setting.value).unwrap_or_else(|error| {
        reader.mistake(keys::JWT_KEY, &setting, Problem::Key(error));
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
    let is_value = |setting: &&Setting| {
        keys::is_signing_key_value(&setting.key)
            && !setting.key.eq_ignore_ascii_case(keys::JWT_KEY)
            && !setting.value.trim().is_empty()
    };
    let settings: Vec<Setting> = reader.settings.iter().filter(is_value).cloned().collect();
    let mut signing_keys = Vec::new();
    for setting in settings {
        match VerificationKey::base64_secret(&setting.value) {
            Ok(key) => {
                reader.note(
                    &setting.key,
                    super::secrets::shown(&setting.key, &setting.value),
                    setting.source,
                );
                signing_keys.push(key);
            }
            Err(error) => reader.mistake(&setting.key, &setting, Problem::Key(error)),
        }
    }
    signing_keys
}

/// What the keys with one value and the one with a list say together, without repetition.
fn valid(reader: &mut Reader, single: [&'static str; 2], list: &'static str) -> Vec<String> {
    let mut valid: Vec<String> = single.into_iter().filter_map(|key| reader.text(key)).collect();
    let (listed, source) = list::read(reader, list, |value| Ok(value.to_owned()));
    if !listed.is_empty() {
        reader.note(list, listed.join(", "), source);
    }
    valid.extend(listed);
    valid.sort();
    valid.dedup();
    valid
}

/// Warns if it is said what tokens must be like: whoever wrote that expects tokens to be believed.
fn warn_of_missing_keys(reader: &mut Reader) {
    let described = |key: &str| {
        [keys::JWT_ISSUER, keys::JWT_AUDIENCE, keys::BEARER_VALID_ISSUER, keys::BEARER_VALID_AUDIENCE]
            .iter()
            .any(|known| known.eq_ignore_ascii_case(key))
            || [keys::BEARER_VALID_ISSUERS, keys::BEARER_VALID_AUDIENCES]
                .iter()
                .any(|list| list.eq_ignore_ascii_case(key) || keys::element_of(key, list).is_some())
    };
    let first = reader.settings.iter().find(|setting| described(&setting.key) && !setting.value.is_empty());
    let warning = first
        .map(|Setting { key, source, .. }| Warning::NoTokenKeys { key: key.clone(), source: source.clone() });
    reader.warnings.extend(warning);
}
