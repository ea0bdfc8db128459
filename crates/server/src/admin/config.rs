//! The section `Admin` of the configuration.

use std::fmt;

use hubline_auth::AllowedOrigins;
use ring::digest::{SHA256, digest};
use subtle::ConstantTimeEq;

use crate::config::{Key, Reader, Section};

/// Shortest key in bytes that nobody guesses by trying.
const STRONG_BYTES: usize = 32;

/// Wrong keys that an address may try in a minute, unless it is configured.
const WRONG_KEYS_PER_MINUTE: u32 = 30;

/// Shortest key in bytes that is taken at all.
const SHORTEST_BYTES: usize = 8;

const API_KEY: Key = Key::new(
    "Admin:ApiKey",
    "required as Authorization: Bearer for /api/admin, where it may do everything. Without a key here or in the database the API is open in \
     Development, and off elsewhere",
)
.secret();
const WRONG_KEYS: Key = Key::new(
    "Admin:WrongKeysPerMinute",
    "admin keys, and virtual ones, that one address may try in a minute until it has to wait; 0: no limit",
)
.unit("keys");
const REQUIRE_VIRTUAL_KEY: Key = Key::new(
    "Navigation:RequireVirtualKey",
    "whether clients of /hubs/navigation-state and GET /api/navigation-state need a virtual key, as bearer token or access_token",
);
const API_KEYS: Key =
    Key::new("Admin:ApiKeys", "further keys as Admin:ApiKey").secret().list().unit("list of secrets");

/// What is configured of keys.
#[derive(Debug, Clone)]
pub(crate) struct KeysConfig {
    /// Admin keys.
    pub(crate) keys: Vec<ConfiguredKey>,
    /// Wrong ones that an address may try in a minute; 0 for no limit.
    pub(crate) wrong_keys_per_minute: u32,
    /// Whether the navigation state needs a virtual key.
    pub(crate) requires_virtual_key: bool,
}

impl Section for KeysConfig {
    const TITLE: &'static str = "Keys";

    fn read(reader: &mut Reader) -> Self {
        let first =
            reader.optional(API_KEY, |text| ConfiguredKey::parse(API_KEY.name(), text), |_| String::new());
        let mut keys: Vec<ConfiguredKey> = first.into_iter().collect();
        for (place, key) in
            reader.secrets(API_KEYS, |text| ConfiguredKey::parse("", text)).into_iter().enumerate()
        {
            keys.push(ConfiguredKey { setting: format!("{}:{place}", API_KEYS.name()), ..key });
        }
        Self {
            keys,
            wrong_keys_per_minute: reader.limit(WRONG_KEYS, WRONG_KEYS_PER_MINUTE),
            requires_virtual_key: reader.boolean(REQUIRE_VIRTUAL_KEY, false),
        }
    }
}

/// Who may use the admin API.
#[derive(Debug, Clone)]
pub struct AdminConfig {
    /// Keys of the configuration, which may do everything. Without any those in the database count, and without any of those the API is
    /// open or off.
    pub keys: Vec<ConfiguredKey>,
    /// Whether the API is open while there is no key: in Development.
    pub is_open_without_keys: bool,
    /// Pages of which other origins may use the API while it is open: those that `Cors:AllowedOrigins` lists, not those that are
    /// allowed because nothing is set.
    pub origins: AllowedOrigins,
    /// Wrong keys that an address may try in a minute, 0 for no limit.
    pub wrong_keys_per_minute: u32,
    /// Whether clients of the navigation state need a virtual key.
    pub requires_virtual_key: bool,
    /// The claim that tells the navigation state which models a virtual key sees, one for each; an empty one for none.
    pub model_scope_claim: &'static str,
    /// Whether requests for hosts that `AllowedHosts` does not list are refused before they come here.
    pub hosts_are_filtered: bool,
}

impl Default for AdminConfig {
    /// As without any setting, in Production.
    fn default() -> Self {
        Self {
            keys: Vec::new(),
            is_open_without_keys: false,
            origins: AllowedOrigins::List(Vec::new()),
            wrong_keys_per_minute: WRONG_KEYS_PER_MINUTE,
            requires_virtual_key: false,
            model_scope_claim: "model_scope",
            hosts_are_filtered: false,
        }
    }
}

/// A key from the configuration. `Debug` hides it.
#[derive(Clone, PartialEq, Eq)]
pub struct ConfiguredKey {
    /// The setting that it is from, like `Admin:ApiKeys:0`: what the audit calls who has it.
    pub setting: String,
    /// Whether guessing it takes longer than anybody lives, as far as its length tells.
    pub is_strong: bool,
    digest: [u8; 32],
}

impl ConfiguredKey {
    /// Reads a key.
    ///
    /// # Errors
    /// It is too short, or no header can hold it; the text says what would be right.
    pub fn parse(setting: &str, text: &str) -> Result<Self, &'static str> {
        let key = text.trim();
        let is_sendable = key.bytes().all(|byte| byte.is_ascii_graphic());
        match key.len() >= SHORTEST_BYTES && is_sendable {
            true => Ok(Self {
                setting: setting.to_owned(),
                is_strong: key.len() >= STRONG_BYTES,
                digest: digest_of(key),
            }),
            false => Err(
                "a secret of 8 printable ASCII characters or more without blanks, better 32 as openssl rand -base64 32 prints",
            ),
        }
    }

    /// Compares digests, in a time that tells nothing of the key.
    pub(super) fn is(&self, presented: &[u8; 32]) -> bool {
        self.digest.ct_eq(presented).into()
    }
}

/// What keys are compared by.
pub(super) fn digest_of(key: &str) -> [u8; 32] {
    let mut bytes = [0; 32];
    bytes.copy_from_slice(digest(&SHA256, key.as_bytes()).as_ref());
    bytes
}

impl fmt::Debug for ConfiguredKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ConfiguredKey").field("setting", &self.setting).finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_key_is_compared_whole_and_never_shown() {
        let key = ConfiguredKey::parse("Admin:ApiKey", " your-admin-key\n").unwrap();
        assert!(key.is(&digest_of("your-admin-key")) && !key.is_strong);
        for wrong in ["", "your-admin-ke", "your-admin-keys", "Your-admin-key"] {
            assert!(!key.is(&digest_of(wrong)), "{wrong}");
        }
        assert!(!format!("{key:?}").contains("your"));
        for bad in ["", "short", "with a blank", "schlüssel-von-mir"] {
            assert!(ConfiguredKey::parse("Admin:ApiKey", bad).is_err(), "{bad}");
        }
        assert!(ConfiguredKey::parse("Admin:ApiKey", &"k".repeat(STRONG_BYTES)).unwrap().is_strong);
    }
}
