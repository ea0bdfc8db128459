//! What is public is never a shared secret, however it is written down; everybody could sign with it.

#![allow(clippy::unwrap_used, reason = "what fails here is the test")]

use base64::Engine;
use base64::engine::general_purpose::{STANDARD, STANDARD_NO_PAD, URL_SAFE, URL_SAFE_NO_PAD};
use hubline_auth::{BearerOptions, KeyError, VerificationKey, Verifier};
use jsonwebtoken::jwk::Jwk;
use jsonwebtoken::{Algorithm, EncodingKey, Header, encode};
use proptest::prelude::*;
use ring::hmac;
use ring::rand::SystemRandom;
use ring::signature::{
    ECDSA_P256_SHA256_FIXED_SIGNING, ECDSA_P384_SHA384_FIXED_SIGNING, EcdsaKeyPair, Ed25519KeyPair, KeyPair,
};
use serde_json::{Value, json};

/// In the year 2100.
const EXPIRES: u64 = 4_102_444_800;

/// A public key in its ordinary forms.
struct Public {
    pem: String,
    der: Vec<u8>,
    jwk: Value,
}

impl Public {
    fn of_der(der: Vec<u8>, jwk: Value) -> Self {
        Self { pem: pem("PUBLIC KEY", &der, "\n"), der, jwk }
    }
}

fn pem(label: &str, der: &[u8], line_break: &str) -> String {
    let lines = wrapped(&STANDARD.encode(der), line_break);
    format!("-----BEGIN {label}-----{line_break}{lines}{line_break}-----END {label}-----{line_break}")
}

fn wrapped(base64: &str, line_break: &str) -> String {
    let lines: Vec<_> = base64.as_bytes().chunks(64).map(|line| std::str::from_utf8(line).unwrap()).collect();
    lines.join(line_break)
}

fn utf16(text: &str) -> Vec<u8> {
    text.encode_utf16().flat_map(u16::to_le_bytes).collect()
}

fn hexadecimal(bytes: &[u8], between: &str) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect::<Vec<_>>().join(between)
}

/// Each disguise that is understood.
fn understood(key: &Public) -> Vec<(&'static str, String)> {
    let Public { pem: text, der, jwk } = key;
    let (base64, jwk) = (STANDARD.encode(der), jwk.to_string());
    let lines = wrapped(&base64, "\n");
    let (one_line, crlf) = (text.replace('\n', "\\n"), text.replace('\n', "\r\n"));
    vec![
        ("PEM", text.clone()),
        ("PEM in quotes", format!("\"{text}\"")),
        ("PEM in single quotes", format!("'{}'", text.trim())),
        ("PEM behind a byte order mark", format!("\u{feff}{text}")),
        ("PEM behind a comment", format!("# the issuer's key\n{text}")),
        ("PEM behind a remark of openssl", format!("Bag Attributes\n    friendlyName: x\n{text}")),
        ("PEM with something behind it", format!("{text}\n# rotated in May")),
        ("PEM on one line", one_line.clone()),
        ("PEM on one line in quotes", format!("\"{one_line}\"")),
        ("PEM escaped twice", text.replace('\n', "\\\\n")),
        ("PEM on one line with CRLF", text.replace('\n', "\\r\\n")),
        ("PEM with CRLF", crlf.clone()),
        ("PEM with blanks for line breaks", text.replace('\n', " ")),
        ("PEM without line breaks", text.replace('\n', "")),
        ("PEM indented", text.lines().map(|line| format!("    {line}\n")).collect()),
        ("PEM as a variable", format!("JWT_KEY=\"{one_line}\"")),
        ("PEM in JSON", json!({ "key": text }).to_string().replace("{\"key\":", "").replace('}', "")),
        ("PEM as a query", text.replace('\n', "%0A").replace('+', "%2B").replace(' ', "%20")),
        ("base64", base64.clone()),
        ("base64 without padding", STANDARD_NO_PAD.encode(der)),
        ("base64 for URLs", URL_SAFE_NO_PAD.encode(der)),
        ("base64 for URLs with padding", URL_SAFE.encode(der)),
        ("base64 in lines", lines.clone()),
        ("base64 in lines with CRLF", lines.replace('\n', "\r\n")),
        ("base64 in lines on one line", lines.replace('\n', "\\n")),
        ("base64 in quotes", format!("\"{base64}\"")),
        ("base64 behind a byte order mark", format!("\u{feff}{base64}")),
        ("base64 behind a comment", format!("# the issuer's key\n{lines}\n")),
        ("base64 behind its name", format!("Public key: {base64}")),
        ("base64 as a variable", format!("JWT_KEY={base64}")),
        ("base64 with a remark behind it", format!("{base64} rotated in May")),
        ("base64 as data", format!("data:application/octet-stream;base64,{base64}")),
        ("base64 of base64", STANDARD.encode(&base64)),
        ("base64 of the PEM", STANDARD.encode(text)),
        ("base64 of the PEM with CRLF", STANDARD.encode(&crlf)),
        ("base64 of the PEM in lines", wrapped(&STANDARD.encode(text), "\n")),
        ("base64 for URLs of the PEM", URL_SAFE_NO_PAD.encode(text)),
        ("base64 of the PEM twice", STANDARD.encode(STANDARD.encode(text))),
        ("base64 of the PEM behind a byte order mark", STANDARD.encode(format!("\u{feff}{text}"))),
        ("base64 of the PEM behind a comment", STANDARD.encode(format!("# key\n{text}"))),
        ("base64 of the PEM in UTF-16", STANDARD.encode(utf16(text))),
        ("base64 of the PEM in UTF-16 with its mark", STANDARD.encode(utf16(&format!("\u{feff}{text}")))),
        ("base64 of the PEM behind its name", format!("key: {}", STANDARD.encode(text))),
        ("hexadecimal", hexadecimal(der, "")),
        ("hexadecimal with colons", hexadecimal(der, ":")),
        ("hexadecimal behind its name", format!("#key:{}", hexadecimal(der, ""))),
        ("hexadecimal of the PEM", hexadecimal(text.as_bytes(), "")),
        ("hexadecimal of C", format!("0x{}", hexadecimal(der, "").to_uppercase())),
        ("JWK", jwk.clone()),
        ("JWK behind a byte order mark", format!("\u{feff}{jwk}")),
        ("JWK in quotes", format!("'{jwk}'")),
        ("JWK in quotes and escaped", format!("\"{}\"", jwk.replace('"', "\\\""))),
        ("JWK behind a comment", format!("// the issuer's key\n{jwk}")),
        ("JWK as a variable", format!("JWT_KEY={jwk}")),
        ("JWKS", format!("{{ \"keys\": [{jwk}] }}")),
        ("base64 of the JWK", STANDARD.encode(&jwk)),
        ("base64 of the JWKS", URL_SAFE_NO_PAD.encode(format!("{{\"keys\":[{jwk}]}}"))),
    ]
}

/// Each disguise that is refused.
fn refused(key: &Public) -> Vec<(&'static str, String)> {
    let Public { pem: text, der, jwk } = key;
    let base64 = STANDARD.encode(der);
    let modulus = jwk["n"].as_str().unwrap_or("x");
    vec![
        ("PEM without its end", text.split("-----END").next().unwrap().to_owned()),
        ("PEM without its beginning", text.replace("-----BEGIN PUBLIC KEY-----\n", "")),
        ("PEM with other dashes", text.replace("-----", "\u{2014}")),
        ("PEM with a character too few", text.replacen('A', "", 1)),
        ("PEM without its last line", text.replacen("END PUBLIC", "END PRIVATE", 1)),
        ("a certificate request", text.replace("PUBLIC KEY", "CERTIFICATE REQUEST")),
        ("base64 of a broken PEM", STANDARD.encode(&text[..text.len() - 40])),
        ("XML", format!("<RSAKeyValue><Modulus>{modulus}</Modulus><Exponent>AQAB</Exponent></RSAKeyValue>")),
        ("SSH", format!("ssh-rsa AAAAB3NzaC1yc2EAAAADAQAB{base64} me@here")),
        ("SSH without its name", format!("AAAAB3NzaC1yc2EAAAADAQAB{base64}")),
        (
            "as openssl prints it",
            format!("Public-Key: (2048 bit)\nModulus:\n    00:{}", hexadecimal(der, ":")),
        ),
        ("a URL", "https://login.example/realms/clinic/protocol/openid-connect/certs".to_owned()),
        (
            "a URL behind a mark",
            "# https://login.example/realms/clinic/protocol/openid-connect/certs".to_owned(),
        ),
        ("a file's name", "/etc/hubline/keys/the-issuers-public-key.pem".to_owned()),
        ("a file's URL", "file:///etc/hubline/keys/the-issuers-public-key".to_owned()),
        (
            "a token",
            jsonwebtoken::encode(&Header::default(), &json!({}), &EncodingKey::from_secret(der)).unwrap(),
        ),
        ("a token as a header", format!("Authorization: Bearer {}", forged(der))),
        ("JWK without its end", jwk.to_string().trim_end_matches('}').to_owned()),
        ("JWK with single quotes", jwk.to_string().replace('"', "'")),
        ("JWKs without a set", format!("[{jwk},{jwk}]")),
    ]
}

/// What a forger may have signed with who has seen the text.
fn guesses(text: &str, key: &Public) -> Vec<Vec<u8>> {
    let unquoted = text.trim_matches(|c: char| c.is_whitespace() || "\"'\u{feff}".contains(c));
    let mut guesses = vec![
        text.as_bytes().to_vec(),
        text.trim().as_bytes().to_vec(),
        unquoted.as_bytes().to_vec(),
        text.replace("\\n", "\n").into_bytes(),
        key.pem.clone().into_bytes(),
        key.der.clone(),
    ];
    guesses.extend(
        [&STANDARD, &STANDARD_NO_PAD, &URL_SAFE_NO_PAD]
            .iter()
            .filter_map(|engine| engine.decode(unquoted).ok()),
    );
    guesses
}

/// What each way to give a key makes of a text.
fn readings(text: &str) -> Vec<(&'static str, Result<Vec<VerificationKey>, KeyError>)> {
    let one = |key: Result<VerificationKey, KeyError>| key.map(|key| vec![key]);
    let octets = json!({ "kty": "oct", "k": URL_SAFE_NO_PAD.encode(text) }).to_string();
    vec![
        ("from_text", VerificationKey::from_text(text)),
        ("secret", one(VerificationKey::secret(text.as_bytes()))),
        ("base64_secret", one(VerificationKey::base64_secret(text))),
        ("base64_secret of base64", one(VerificationKey::base64_secret(&STANDARD.encode(text)))),
        ("pem", one(VerificationKey::pem(text))),
        ("json_web_keys", VerificationKey::json_web_keys(text)),
        ("json_web_keys with octets", VerificationKey::json_web_keys(&octets)),
    ]
}

fn forged(secret: &[u8]) -> String {
    let part = |json: Value| URL_SAFE_NO_PAD.encode(json.to_string());
    let message = format!(
        "{}.{}",
        part(json!({ "alg": "HS256", "typ": "JWT" })),
        part(json!({ "sub": "admin", "exp": EXPIRES }))
    );
    let signature = hmac::sign(&hmac::Key::new(hmac::HMAC_SHA256, secret), message.as_bytes());
    format!("{message}.{}", URL_SAFE_NO_PAD.encode(signature))
}

fn verifier(keys: Vec<VerificationKey>) -> Verifier {
    Verifier::new(keys.into_iter().fold(BearerOptions::default(), BearerOptions::key)).unwrap()
}

/// Fails if somebody who has seen the text can sign a token that is believed.
fn nobody_can_forge(name: &str, text: &str, key: &Public) {
    for (way, keys) in readings(text) {
        let Ok(keys) = keys else { continue };
        let verifier = verifier(keys);
        for guess in guesses(text, key) {
            assert!(verifier.verify(&forged(&guess)).is_err(), "{name}, by {way}:\n{text}");
        }
    }
}

#[test]
fn a_forged_token_would_be_believed_if_its_secret_were_one() {
    let secret = "an honest secret of more than thirty-two bytes";
    let honest = verifier(VerificationKey::from_text(secret).unwrap());
    assert!(honest.verify(&forged(secret.as_bytes())).is_ok());
}

/// Keys with what signs for them: RSA, P-256, P-384, Ed25519.
fn signers() -> Vec<(Algorithm, EncodingKey, Public)> {
    let public = |pem: &str, sign: &EncodingKey, algorithm| {
        let der =
            STANDARD.decode(pem.lines().filter(|line| !line.starts_with('-')).collect::<String>()).unwrap();
        let jwk = serde_json::to_value(Jwk::from_encoding_key(sign, algorithm).unwrap()).unwrap();
        Public { pem: pem.to_owned(), der, jwk }
    };
    let rsa = EncodingKey::from_rsa_pem(include_bytes!("keys/rsa.pem")).unwrap();
    let p256 = EncodingKey::from_ec_pem(include_bytes!("keys/p256.pem")).unwrap();
    let p384 = EncodingKey::from_ec_pem(include_bytes!("keys/p384.pem")).unwrap();
    let ed25519 = EncodingKey::from_ed_pem(include_bytes!("keys/ed25519.pem")).unwrap();
    [
        (Algorithm::RS256, rsa, include_str!("keys/rsa.pub.pem")),
        (Algorithm::ES256, p256, include_str!("keys/p256.pub.pem")),
        (Algorithm::ES384, p384, include_str!("keys/p384.pub.pem")),
        (Algorithm::EdDSA, ed25519, include_str!("keys/ed25519.pub.pem")),
    ]
    .into_iter()
    .map(|(algorithm, sign, pem)| {
        let key = public(pem, &sign, algorithm);
        (algorithm, sign, key)
    })
    .collect()
}

fn genuine(algorithm: Algorithm, sign: &EncodingKey) -> String {
    encode(&Header::new(algorithm), &json!({ "sub": "ada", "exp": EXPIRES }), sign).unwrap()
}

#[test]
fn a_disguised_public_key_is_the_key_it_is() {
    for (algorithm, sign, key) in signers() {
        let token = genuine(algorithm, &sign);
        for (name, text) in understood(&key) {
            let keys = VerificationKey::from_text(&text)
                .unwrap_or_else(|error| panic!("{algorithm:?}, {name}: {error}\n{text}"));
            assert_eq!(keys.len(), 1, "{algorithm:?}, {name}");
            assert!(verifier(keys).verify(&token).is_ok(), "{algorithm:?}, {name}:\n{text}");
            nobody_can_forge(name, &text, &key);
            for (way, read) in [
                ("secret", VerificationKey::secret(text.as_bytes())),
                ("base64_secret", VerificationKey::base64_secret(&text)),
            ] {
                assert_eq!(read.unwrap_err(), KeyError::NotASecret, "{algorithm:?}, {name}, by {way}");
            }
        }
        assert_eq!(VerificationKey::secret(&key.der).unwrap_err(), KeyError::NotASecret);
    }
}

#[test]
fn what_is_no_key_and_no_secret_is_refused() {
    for (algorithm, _, key) in signers() {
        for (name, text) in refused(&key) {
            let error = VerificationKey::from_text(&text)
                .err()
                .unwrap_or_else(|| panic!("{algorithm:?}, {name}:\n{text}"));
            assert!(!error.to_string().contains("at least 32"), "{name}: {error}");
            nobody_can_forge(name, &text, &key);
        }
    }
}

#[test]
fn certificates_are_their_public_keys() {
    let [rsa, p256, _, ed25519] = &signers()[..] else { panic!("four signers") };
    let certificates = [
        (rsa, include_str!("keys/rsa.crt.pem")),
        (p256, include_str!("keys/p256.crt.pem")),
        (ed25519, include_str!("keys/ed25519.crt.pem")),
    ];
    for ((algorithm, sign, key), certificate) in certificates {
        let der = STANDARD
            .decode(certificate.lines().filter(|line| !line.starts_with('-')).collect::<String>())
            .unwrap();
        let chain = format!("{certificate}{}", include_str!("keys/p256.crt.pem"));
        let texts = [
            certificate.to_owned(),
            format!("\"{}\"", certificate.replace('\n', "\\n")),
            chain,
            STANDARD.encode(&der),
            STANDARD.encode(certificate),
        ];
        for text in texts {
            let keys = VerificationKey::from_text(&text).unwrap();
            assert_eq!(keys.len(), 1);
            assert!(verifier(keys).verify(&genuine(*algorithm, sign)).is_ok(), "{algorithm:?}\n{text}");
            assert_eq!(VerificationKey::secret(text.as_bytes()).unwrap_err(), KeyError::NotASecret);
            nobody_can_forge("certificate", &text, key);
        }
        let broken = STANDARD.encode(&der).replacen("MII", "MIJ", 1);
        let text = certificate.replacen("MII", "MIJ", 1);
        assert_eq!(VerificationKey::from_text(&text).unwrap_err(), KeyError::Certificate, "{broken}");
    }
}

#[test]
fn private_keys_are_sent_back() {
    let private = [
        include_str!("keys/rsa.pem"),
        include_str!("keys/p256.pem"),
        include_str!("keys/p384.pem"),
        include_str!("keys/ed25519.pem"),
    ];
    for pem in private {
        let base64: String = pem.lines().filter(|line| !line.starts_with('-')).collect();
        let texts = [
            pem.to_owned(),
            format!("\u{feff}# key\n\"{}\"", pem.replace('\n', "\\n")),
            base64.clone(),
            format!("JWT_KEY={base64}"),
            STANDARD.encode(pem),
        ];
        for text in texts {
            for read in [
                VerificationKey::from_text(&text).map(|_| ()),
                VerificationKey::secret(text.as_bytes()).map(|_| ()),
                VerificationKey::base64_secret(&text).map(|_| ()),
                VerificationKey::pem(&text).map(|_| ()),
            ] {
                assert_eq!(read, Err(KeyError::PrivateKey), "{text}");
            }
        }
    }
    let jwk = json!({ "kty": "OKP", "crv": "Ed25519", "x": "11qYAYKxCrfVS_7TyWQHOg7hcvPapiMlrwIaaPcHURo", "d": "nWGxne_9WmC6hEr0kuwsxERJxWl7MmkZcDusAxyuf2A" });
    assert_eq!(VerificationKey::from_text(&jwk.to_string()).unwrap_err(), KeyError::PrivateKey);
    let set = json!({ "keys": [signers()[0].2.jwk, jwk] });
    assert_eq!(VerificationKey::from_text(&set.to_string()).unwrap_err(), KeyError::PrivateKey);
}

#[test]
fn keys_that_are_too_small_too_large_or_of_another_kind_are_named() {
    let error = |text: &str| VerificationKey::from_text(text).unwrap_err();
    assert_eq!(error(include_str!("keys/rsa-1024.pub.pem")), KeyError::RsaSize { bits: 1024 });
    assert_eq!(error(include_str!("keys/rsa-4104.pub.pem")), KeyError::RsaSize { bits: 4104 });
    assert_eq!(error(include_str!("keys/p521.pub.pem")), KeyError::Pem);
    assert!(VerificationKey::pem(include_str!("keys/rsa-4096.pub.pem")).is_ok());
    let rsa = signers().remove(0).2.jwk;
    let changed = |name: &str, value: &str| {
        let mut jwk = rsa.clone();
        jwk[name] = value.into();
        VerificationKey::from_text(&jwk.to_string()).unwrap_err()
    };
    assert_eq!(changed("e", "AQAA"), KeyError::Jwk, "an even exponent");
    assert_eq!(changed("e", "AQAAAAAAAAAB"), KeyError::Jwk, "a huge exponent");
    assert_eq!(changed("n", &URL_SAFE_NO_PAD.encode([255; 600])), KeyError::RsaSize { bits: 4800 });
}

#[test]
fn blanks_and_quotes_are_no_secret() {
    let short = "thirty-one bytes, one too few..";
    for text in
        [short.to_owned(), format!("  {short}\n"), format!("\"{short}\""), format!("\u{feff}'{short}' ")]
    {
        let expected = KeyError::SecretTooShort { bytes: 31 };
        assert_eq!(VerificationKey::from_text(&text).unwrap_err(), expected, "{text}");
        assert_eq!(VerificationKey::secret(text.as_bytes()).unwrap_err(), expected, "{text}");
        assert_eq!(VerificationKey::base64_secret(&STANDARD.encode(&text)).unwrap_err(), expected, "{text}");
        let octets = json!({ "kty": "oct", "k": URL_SAFE_NO_PAD.encode(&text) }).to_string();
        assert_eq!(VerificationKey::from_text(&octets).unwrap_err(), expected, "{text}");
    }
    // Bytes that are no text may begin and end as they like.
    let mut bytes = [0xfe; 32];
    bytes[0] = b' ';
    bytes[31] = b'"';
    assert!(VerificationKey::secret(&bytes).is_ok());
}

/// An honest secret stays one, as ASP.NET Core takes it.
#[test]
fn secrets_are_their_bytes() {
    let secrets = [
        "a passphrase with blanks, of more than 32 bytes",
        "3082MIIBIjANBgkqhkiG9w0BAQEFAAOCAQ8A-not-a-key",
        "https is a scheme, and this is a secret of a user",
        "{3f2504e0-4f89-11d3-9a0c-0305e82c3301}-guid".trim_start_matches('{'),
        "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855",
        "Zm9vYmFyYmF6cXV4Zm9vYmFyYmF6cXV4Zm9vYmFyYmF6cXV4",
        "m\u{fc}nchen-m\u{fc}nchen-m\u{fc}nchen-m\u{fc}nchen",
        "\\n is no line break here: C:\\new\\files\\really",
        "50%off50%off50%off50%off50%off50%off",
    ];
    for secret in secrets {
        let keys = VerificationKey::from_text(secret).unwrap_or_else(|error| panic!("{secret}: {error}"));
        assert!(verifier(keys).verify(&forged(secret.as_bytes())).is_ok(), "{secret}");
    }
}

/// The start of a `SubjectPublicKeyInfo` of each kind; the key follows.
const RSA_2048: &str = "30820122300d06092a864886f70d01010105000382010f003082010a0282010100";
const P256: &str = "3059301306072a8648ce3d020106082a8648ce3d030107034200";
const P384: &str = "3076301006072a8648ce3d020106052b81040022036200";
const ED25519: &str = "302a300506032b6570032100";

fn der(start: &str, key: &[u8], end: &[u8]) -> Vec<u8> {
    let digits = start.as_bytes().chunks(2).map(|pair| std::str::from_utf8(pair).unwrap());
    let start = digits.map(|pair| u8::from_str_radix(pair, 16).unwrap());
    start.chain(key.iter().copied()).chain(end.iter().copied()).collect()
}

/// A key that was never seen before. A modulus is any odd number: nobody can sign for it, and nobody has to.
fn generated(kind: u8, mut modulus: Vec<u8>) -> Public {
    let random = SystemRandom::new();
    let text = |bytes: &[u8]| URL_SAFE_NO_PAD.encode(bytes);
    let curve = |algorithm| {
        let pkcs8 = EcdsaKeyPair::generate_pkcs8(algorithm, &random).unwrap();
        EcdsaKeyPair::from_pkcs8(algorithm, pkcs8.as_ref(), &random).unwrap().public_key().as_ref().to_vec()
    };
    let point = |crv: &str, point: &[u8]| {
        let (x, y) = point[1..].split_at(point.len() / 2);
        json!({ "kty": "EC", "crv": crv, "x": text(x), "y": text(y) })
    };
    match kind {
        0 => {
            modulus[0] |= 0x80;
            modulus[255] |= 1;
            let jwk = json!({ "kty": "RSA", "n": text(&modulus), "e": "AQAB" });
            Public::of_der(der(RSA_2048, &[&[0], &*modulus].concat()[1..], &[2, 3, 1, 0, 1]), jwk)
        }
        1 => {
            let key = curve(&ECDSA_P256_SHA256_FIXED_SIGNING);
            Public::of_der(der(P256, &key, &[]), point("P-256", &key))
        }
        2 => {
            let key = curve(&ECDSA_P384_SHA384_FIXED_SIGNING);
            Public::of_der(der(P384, &key, &[]), point("P-384", &key))
        }
        _ => {
            let pkcs8 = Ed25519KeyPair::generate_pkcs8(&random).unwrap();
            let pair = Ed25519KeyPair::from_pkcs8(pkcs8.as_ref()).unwrap();
            let key = pair.public_key().as_ref();
            Public::of_der(der(ED25519, key, &[]), json!({ "kty": "OKP", "crv": "Ed25519", "x": text(key) }))
        }
    }
}

proptest! {
    // Each case is 70 disguises, read in seven ways.
    #![proptest_config(ProptestConfig { cases: 6, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn nobody_can_sign_with_a_generated_public_key(
        kind in 0_u8..4,
        modulus in proptest::collection::vec(any::<u8>(), 256),
        before in "[ \"'#\n\t\u{feff}]{0,3}",
        after in "[ \"'\n\t]{0,3}",
    ) {
        let key = generated(kind, modulus);
        for (name, text) in understood(&key).into_iter().chain(refused(&key)) {
            nobody_can_forge(name, &format!("{before}{text}{after}"), &key);
        }
    }

    /// No honest secret is mistaken for something else.
    #[test]
    fn generated_secrets_stay_secrets(bytes in proptest::collection::vec(any::<u8>(), 32..80)) {
        for secret in [STANDARD.encode(&bytes), URL_SAFE_NO_PAD.encode(&bytes), hexadecimal(&bytes, "")] {
            let keys = VerificationKey::from_text(&secret).unwrap();
            prop_assert!(verifier(keys).verify(&forged(secret.as_bytes())).is_ok());
        }
        let keys = vec![VerificationKey::base64_secret(&STANDARD.encode(&bytes)).unwrap()];
        prop_assert!(verifier(keys).verify(&forged(&bytes)).is_ok());
    }

    #[test]
    fn any_text_is_a_key_or_is_refused(text in "\\PC{0,300}") {
        let _ = readings(&text);
    }
}
