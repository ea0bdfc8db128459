//! Keys in the texts that people put into a configuration.
//!
//! What is public, in whatever wrapping, must never become a shared secret: everybody could sign with it. So a text
//! is searched for every form in which keys and certificates are passed around, and only what has none of them may be
//! a secret.

use std::borrow::Cow;

use base64::Engine;
use base64::alphabet;
use base64::engine::{DecodePaddingMode, GeneralPurpose, GeneralPurposeConfig};
use percent_encoding::percent_decode_str;

use super::signature::Material;
use super::{KeyError, Unsuitable, VerificationKey, der, jwk, pem};

/// How often one encoding may be inside another.
const MOST_LAYERS: u8 = 4;

/// The shortest base64 that is looked into: an Ed25519 key has 44 bytes of DER.
const SHORTEST_ENCODED: usize = 40;

/// `-----BEGIN` in base64.
const PEM_IN_BASE64: &str = "LS0tLS1CRUdJTi";

/// Texts are searched for keys as far as this.
const MOST_SEARCHED: usize = 256 * 1024;

const LENIENT: GeneralPurpose = GeneralPurpose::new(
    &alphabet::STANDARD,
    GeneralPurposeConfig::new()
        .with_decode_padding_mode(DecodePaddingMode::Indifferent)
        .with_decode_allow_trailing_bits(true),
);

/// The public keys that a text stands for; `None` if there is nothing in it that keys are written in.
///
/// # Errors
/// It is something that must not be taken for a secret, and no public key that can be used.
pub(super) fn keys(text: &str) -> Result<Option<Vec<VerificationKey>>, KeyError> {
    found_in_text(text, 0).transpose()
}

/// As [`keys`], for bytes, which may also be DER.
pub(super) fn keys_in_bytes(bytes: &[u8]) -> Result<Option<Vec<VerificationKey>>, KeyError> {
    found_in_bytes(bytes, 0).transpose()
}

/// A text without what editors, shells and `.env` files leave around it: blanks, quotes, a byte order mark.
pub(super) fn bare(text: &str) -> &str {
    text.trim_matches(|c: char| {
        c.is_whitespace()
            || c.is_control()
            || matches!(c, '"' | '\'' | '`' | '\u{201c}' | '\u{201d}' | '\u{feff}' | '\u{200b}')
    })
}

type Found = Option<Result<Vec<VerificationKey>, KeyError>>;

fn found_in_bytes(bytes: &[u8], layer: u8) -> Found {
    if layer > MOST_LAYERS {
        return None;
    }
    if let Some(read) = der::read(bytes) {
        return Some(read.map(one));
    }
    found_in_text(&as_text(bytes)?, layer)
}

/// Text in UTF-8, or in the UTF-16 that PowerShell writes.
fn as_text(bytes: &[u8]) -> Option<Cow<'_, str>> {
    let is_wide = bytes.len() >= 8 && bytes.len().is_multiple_of(2);
    let units = |from: fn([u8; 2]) -> u16| bytes.chunks_exact(2).map(move |pair| from([pair[0], pair[1]]));
    let is_ascii = |from| is_wide && units(from).skip(1).all(|unit| (1..0x80).contains(&unit));
    let wide =
        [u16::from_le_bytes as fn(_) -> _, u16::from_be_bytes].into_iter().find(|from| is_ascii(*from));
    match wide {
        Some(from) => String::from_utf16(&units(from).collect::<Vec<_>>()).ok().map(Cow::Owned),
        None => std::str::from_utf8(bytes).ok().map(Cow::Borrowed),
    }
}

fn found_in_text(text: &str, layer: u8) -> Found {
    let text = bare(text);
    if text.len() > MOST_SEARCHED {
        return Some(Err(KeyError::Unusable));
    }
    let escaped = unescaped(text);
    let text = bare(&escaped);
    let named = || named_otherwise(text, layer).map(|what| Err(KeyError::Unsuitable(what)));
    percent_encoded(text, layer)
        .or_else(|| written_as_pem(text))
        .or_else(|| written_as_json(text, layer))
        .or_else(named)
        .or_else(|| encoded(text, layer))
}

/// The text with what stands for line breaks and quotes in JSON, shells and `.env` files.
fn unescaped(text: &str) -> Cow<'_, str> {
    if !text.contains(['\\', '&']) {
        return Cow::Borrowed(text);
    }
    let replaced = [
        ("\\\\", "\\"),
        ("\\r", "\n"),
        ("\\n", "\n"),
        ("\\t", " "),
        ("\\\"", "\""),
        ("\\/", "/"),
        ("\\u000a", "\n"),
        ("\\u000d", "\n"),
        ("\\u002b", "+"),
        ("\\u002B", "+"),
        ("\\u003d", "="),
        ("\\u003D", "="),
        ("\\u0022", "\""),
        ("&#10;", "\n"),
        ("&#13;", "\n"),
        ("&#xA;", "\n"),
        ("&#xD;", "\n"),
        ("&quot;", "\""),
    ];
    Cow::Owned(replaced.iter().fold(text.to_owned(), |text, (from, to)| text.replace(from, to)))
}

fn written_as_pem(text: &str) -> Found {
    let upper = text.to_ascii_uppercase();
    let of_key = || ["PRIVATE KEY", "PUBLIC KEY", "CERTIFICATE"].iter().any(|word| upper.contains(word));
    if upper.contains("PUTTY-USER-KEY-FILE") || (upper.contains("PRIVATE KEY") && upper.contains("BEGIN")) {
        return Some(Err(KeyError::PrivateKey));
    }
    let is_pem = upper.contains("-----BEGIN")
        || upper.contains("-----END")
        || ((upper.contains("BEGIN") || upper.contains("END ") || upper.contains("---")) && of_key());
    is_pem.then(|| pem::read(text))
}

fn written_as_json(text: &str, layer: u8) -> Found {
    let is_key = ["\"kty\"", "'kty'"].iter().any(|name| text.contains(name));
    if !is_key && (layer > 0 || !text.starts_with('{')) {
        return None;
    }
    let lines = text.lines().filter(|line| !is_comment(line));
    let text = lines.collect::<Vec<_>>().join("\n");
    let object = text.find('{').zip(text.rfind('}')).and_then(|(start, end)| text.get(start..=end));
    Some(jwk::read(object.unwrap_or_default().as_bytes(), jwk::Source::Configuration))
}

fn is_comment(line: &str) -> bool {
    let line = line.trim_start();
    ["#", "//", ";", "/*", "*", "<!--"].iter().any(|mark| line.starts_with(mark))
}

/// Finds a reference to a key, or a key in a form that is not supported.
fn named_otherwise(text: &str, layer: u8) -> Option<Unsuitable> {
    let lower = text.to_ascii_lowercase();
    let has = |words: &[&str]| words.iter().any(|word| lower.contains(word));
    if has(&["<rsakeyvalue", "<modulus", "<x509certificate", "<eckeyvalue"]) {
        return Some(Unsuitable::Xml);
    }
    if has(&["ssh-rsa ", "ssh-ed25519 ", "ecdsa-sha2-", "ssh2 public key"])
        || ["AAAAB3NzaC1", "AAAAC3NzaC1", "AAAAE2VjZHNh"].iter().any(|start| text.contains(start))
    {
        return Some(Unsuitable::Ssh);
    }
    if has(&["public-key: (", "public key algorithm:", "modulus:", "modulus="]) {
        return Some(Unsuitable::Printed);
    }
    if layer > 0 {
        return None;
    }
    let mut lines =
        lower.lines().map(|line| bare(line).trim_start_matches(|c: char| !c.is_alphanumeric() && c != '/'));
    if lines.clone().any(|line| ["https://", "http://", "file:"].iter().any(|start| line.starts_with(start)))
    {
        return Some(Unsuitable::Url);
    }
    let endings = [".pem", ".crt", ".cer", ".der", ".pub", ".jwk", ".jwks", ".json", ".key", ".pfx", ".p12"];
    if lines.any(|line| endings.iter().any(|ending| line.ends_with(ending))) {
        return Some(Unsuitable::FileName);
    }
    is_token(text).then_some(Unsuitable::Token)
}

/// Whether it is a JSON Web Token: whoever has seen one could sign others.
fn is_token(text: &str) -> bool {
    // What base64 makes of `{"`.
    let Some((_, rest)) = text.split_once("eyJ") else { return false };
    let Some((header, rest)) = rest.split_once('.') else { return false };
    let header = LENIENT.decode(in_one_alphabet(&format!("eyJ{header}"))).unwrap_or_default();
    rest.contains('.') && header.windows(5).any(|part| part == b"\"alg\"")
}

/// Base64 of any alphabet, broken into lines or not, or hexadecimal, with or without something around it.
fn encoded(text: &str, layer: u8) -> Found {
    let without_comments = text.lines().filter(|line| !is_comment(line)).collect::<Vec<_>>().join("\n");
    let pieces = text.split(|c: char| !(c.is_ascii_alphanumeric() || "+/-_".contains(c)));
    let candidates: Vec<String> = [text, &without_comments]
        .into_iter()
        .chain(pieces)
        .map(in_one_alphabet)
        .filter(|candidate| candidate.len() >= SHORTEST_ENCODED)
        .collect();
    let whole = |text: &String| decoded(text, layer).or_else(|| hexadecimal(text, layer));
    let within = |text: &String| buried(text, layer);
    candidates.iter().find_map(whole).or_else(|| candidates.iter().find_map(within))
}

/// Without blanks, and in the ordinary alphabet of base64.
fn in_one_alphabet(text: &str) -> String {
    let ordinary = |c| match c {
        '-' => '+',
        '_' => '/',
        other => other,
    };
    text.chars().filter(|c| !c.is_whitespace()).map(ordinary).collect()
}

/// The kind of a text that is base64 from end to end.
fn decoded(text: &str, layer: u8) -> Found {
    let text = text.trim_end_matches('=');
    if text.len() < SHORTEST_ENCODED || text.contains('=') {
        return None;
    }
    // The last character alone says nothing: something is cut off.
    let whole = if text.len() % 4 == 1 { text.get(..text.len() - 1)? } else { text };
    let bytes = LENIENT.decode(whole).ok()?;
    match *bytes.first()? {
        4 if matches!(bytes.len(), 65 | 97) => Material::point(&bytes).ok().map(|key| Ok(one(key))),
        _ => found_in_bytes(&bytes, layer + 1),
    }
}

fn hexadecimal(text: &str, layer: u8) -> Found {
    let text = text.replace(':', "");
    let runs = text.split(|c: char| !c.is_ascii_hexdigit());
    runs.filter(|run| run.len() >= 2 * SHORTEST_ENCODED).find_map(|run| {
        let whole = bytes_of_hexadecimal(run).and_then(|bytes| found_in_bytes(&bytes, layer + 1));
        whole.or_else(|| {
            run.match_indices("30").find_map(|(start, _)| {
                let rest = run.get(start..)?;
                let length = der_length(&bytes_of_hexadecimal(rest.get(..8)?)?)?;
                Some(der::read(&bytes_of_hexadecimal(rest.get(..2 * length)?)?)?.map(one))
            })
        })
    })
}

fn bytes_of_hexadecimal(digits: &str) -> Option<Vec<u8>> {
    let digit = |c: char| c.to_digit(16).and_then(|digit| u8::try_from(digit).ok());
    let digits: Vec<u8> = digits.chars().map(digit).collect::<Option<_>>()?;
    digits
        .len()
        .is_multiple_of(2)
        .then(|| digits.chunks_exact(2).map(|pair| (pair[0] << 4) | pair[1]).collect())
}

/// A key in base64 in the midst of something else: a name in front of it, a remark behind it.
fn buried(text: &str, layer: u8) -> Found {
    let is_base64 = |c: char| c.is_ascii_alphanumeric() || matches!(c, '+' | '/');
    if let Some((_, rest)) = text.split_once(PEM_IN_BASE64) {
        let end = rest.find(|c| !is_base64(c)).unwrap_or(rest.len());
        let encoded = format!("{PEM_IN_BASE64}{}", rest.get(..end).unwrap_or_default());
        return decoded(&encoded, layer).or(Some(Err(KeyError::Pem)));
    }
    // 0x30, which every DER begins with, is `M` and a letter up to `P`.
    text.match_indices('M').find_map(|(start, _)| {
        let rest = text.get(start..)?;
        let length = der_length(&LENIENT.decode(rest.get(..8)?).ok()?)?;
        let encoded = rest.get(..(length * 4).div_ceil(3))?;
        let bytes = LENIENT.decode(encoded).ok()?;
        Some(der::read(bytes.get(..length)?)?.map(one))
    })
}

/// How many bytes the DER has that begins so; `None` if it is no sequence of a size that keys have.
fn der_length(head: &[u8]) -> Option<usize> {
    match *head {
        [0x30, 0x82, high, low, ..] => Some(4 + usize::from(high) * 256 + usize::from(low)),
        [0x30, 0x81, length, ..] => Some(3 + usize::from(length)),
        [0x30, length @ 0x28..=0x7f, ..] => Some(2 + usize::from(length)),
        _ => None,
    }
}

fn percent_encoded(text: &str, layer: u8) -> Found {
    if layer > MOST_LAYERS || !text.contains('%') {
        return None;
    }
    let decoded = percent_decode_str(text).decode_utf8().ok()?;
    (decoded != text).then(|| found_in_text(&decoded, layer + 1)).flatten()
}

fn one(key: Material) -> Vec<VerificationKey> {
    vec![VerificationKey::new(key)]
}
