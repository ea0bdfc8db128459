//! Every kind of key verifies what it made, and nothing else.

#![allow(clippy::unwrap_used, reason = "what fails here is the test")]

use hubline_auth::{BearerOptions, KeyError, TokenError, VerificationKey, Verifier};
use jsonwebtoken::jwk::Jwk;
use jsonwebtoken::{Algorithm, EncodingKey, Header, encode};
use serde_json::json;

const SECRET: &[u8] = b"a secret of at least sixty-four bytes, which is what HS512 asks for, RFC 7518";

/// In the year 2100.
const EXPIRES: u64 = 4_102_444_800;

macro_rules! pem {
    ($name:literal) => {
        (include_str!(concat!("keys/", $name, ".pem")), include_str!(concat!("keys/", $name, ".pub.pem")))
    };
}

fn token(algorithm: Algorithm, key: &EncodingKey) -> String {
    encode(&Header::new(algorithm), &json!({ "sub": "ada", "exp": EXPIRES }), key).unwrap()
}

fn verify(key: &VerificationKey, token: &str) -> Result<(), TokenError> {
    Verifier::new(BearerOptions::default().key(key.clone())).unwrap().verify(token).map(|_| ())
}

/// A key of each family: what signs, what verifies, and with which algorithms.
fn families() -> Vec<(EncodingKey, VerificationKey, Vec<Algorithm>)> {
    use Algorithm::{ES256, ES384, EdDSA, HS256, HS384, HS512, PS256, PS384, PS512, RS256, RS384, RS512};
    let rsa = |(private, public): (&str, &str)| {
        let sign = EncodingKey::from_rsa_pem(private.as_bytes()).unwrap();
        let algorithms = vec![RS256, RS384, RS512, PS256, PS384, PS512];
        (sign, VerificationKey::pem(public).unwrap(), algorithms)
    };
    let curve = |(private, public): (&str, &str), algorithm| {
        let sign = EncodingKey::from_ec_pem(private.as_bytes()).unwrap();
        (sign, VerificationKey::pem(public).unwrap(), vec![algorithm])
    };
    let (private, public) = pem!("ed25519");
    let edwards = EncodingKey::from_ed_pem(private.as_bytes()).unwrap();
    let secret = EncodingKey::from_secret(SECRET);
    vec![
        rsa(pem!("rsa")),
        rsa(pem!("other-rsa")),
        curve(pem!("p256"), ES256),
        curve(pem!("p384"), ES384),
        (edwards, VerificationKey::pem(public).unwrap(), vec![EdDSA]),
        (secret, VerificationKey::secret(SECRET).unwrap(), vec![HS256, HS384, HS512]),
    ]
}

#[test]
fn each_key_verifies_its_own_signatures_alone() {
    let families = families();
    for (signer, (sign, _, algorithms)) in families.iter().enumerate() {
        for algorithm in algorithms {
            let token = token(*algorithm, sign);
            for (verifier, (_, key, _)) in families.iter().enumerate() {
                let expected =
                    if signer == verifier { Ok(()) } else { Err(TokenError::SignatureKeyNotFound) };
                assert_eq!(verify(key, &token), expected, "{algorithm:?} of key {signer} by key {verifier}");
            }
        }
    }
}

#[test]
fn json_web_keys_are_the_same_keys() {
    for (sign, _, algorithms) in families() {
        let mut jwk = Jwk::from_encoding_key(&sign, algorithms[0]).unwrap();
        jwk.common.key_id = Some("k".to_owned());
        let one = VerificationKey::from_text(&serde_json::to_string(&jwk).unwrap()).unwrap();
        assert_eq!((one.len(), one[0].id()), (1, Some("k")));
        assert_eq!(verify(&one[0], &token(algorithms[0], &sign)), Ok(()), "{algorithms:?}");
        for other in &algorithms[1..] {
            let refused = verify(&one[0], &token(*other, &sign));
            assert_eq!(refused, Err(TokenError::SignatureKeyNotFound), "its alg allows {other:?}");
        }
    }
}

#[test]
fn of_a_set_only_what_verifies_signatures_is_kept() {
    let (sign, _, _) = families().swap_remove(2);
    let good = serde_json::to_value(Jwk::from_encoding_key(&sign, Algorithm::ES256).unwrap()).unwrap();
    let with = |name: &str, value: &str| {
        let mut jwk = good.clone();
        jwk[name] = value.into();
        jwk
    };
    let set = json!({ "keys": [
        with("use", "enc"), with("crv", "P-521"), with("crv", "secp256k1"), with("kty", "XYZ"), with("alg", "RS256"),
        with("alg", "RSA-OAEP"), with("x", "AAAA"), with("x", "!"), json!(5), json!({}), with("kid", "good"),
    ]});
    let keys = VerificationKey::json_web_keys(&set.to_string()).unwrap();
    assert_eq!(keys.iter().map(VerificationKey::id).collect::<Vec<_>>(), [Some("good")]);

    for text in ["", "{}", "[]", r#"{"keys":[]}"#, r#"{"keys":5}"#, r#"{"keys":[{"kty":"EC"}]}"#, "{junk"] {
        assert_eq!(VerificationKey::json_web_keys(text).unwrap_err(), KeyError::Jwk, "{text}");
    }
}

#[test]
fn secrets_have_a_length() {
    // Blanks at its end would not count.
    let secret: Vec<u8> = SECRET.iter().map(|byte| if *byte == b' ' { b'-' } else { *byte }).collect();
    let key = |bytes: usize| VerificationKey::secret(&secret[..bytes]);
    assert_eq!(key(31).unwrap_err(), KeyError::SecretTooShort { bytes: 31 });
    let sign = |bytes: usize, algorithm| token(algorithm, &EncodingKey::from_secret(&secret[..bytes]));
    let cases = [(32, Algorithm::HS256, 32), (47, Algorithm::HS384, 48), (63, Algorithm::HS512, 64)];
    for (short, algorithm, enough) in cases {
        if short >= 32 && algorithm != Algorithm::HS256 {
            let refused = verify(&key(short).unwrap(), &sign(short, algorithm));
            assert_eq!(refused, Err(TokenError::SignatureKeyNotFound), "{algorithm:?}");
        }
        assert_eq!(verify(&key(enough).unwrap(), &sign(enough, algorithm)), Ok(()), "{algorithm:?}");
    }
}

#[test]
fn texts_are_read_as_what_they_are() {
    let text = std::str::from_utf8(SECRET).unwrap();
    let token = token(Algorithm::HS256, &EncodingKey::from_secret(SECRET));
    assert_eq!(verify(&VerificationKey::from_text(text).unwrap()[0], &token), Ok(()));
    let base64 = "YSBzZWNyZXQgb2YgYXQgbGVhc3Qgc2l4dHktZm91ciBieXRlcywgd2hpY2ggaXMgd2hhdCBIUzUxMiBhc2tzIGZvciwgUkZDIDc1MTg=";
    assert_eq!(verify(&VerificationKey::base64_secret(base64).unwrap(), &token), Ok(()));
    assert_eq!(VerificationKey::base64_secret("!").unwrap_err(), KeyError::Base64);

    let (private, public) = pem!("rsa");
    assert!(VerificationKey::from_text(public).is_ok());
    assert_eq!(VerificationKey::from_text(private).unwrap_err(), KeyError::PrivateKey);
    let broken = public.replace("END", "DNE");
    assert_eq!(VerificationKey::from_text(&broken).unwrap_err(), KeyError::Pem, "never a secret");
    assert_eq!(
        VerificationKey::from_text(&format!("{{{text}")).unwrap_err(),
        KeyError::Jwk,
        "never a secret"
    );
}
