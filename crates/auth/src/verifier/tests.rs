use std::time::{Duration, UNIX_EPOCH};

use base64::Engine;
use base64::engine::general_purpose::{STANDARD_NO_PAD, URL_SAFE, URL_SAFE_NO_PAD};
use jsonwebtoken::{Algorithm, EncodingKey, crypto::sign};
use proptest::prelude::*;
use serde_json::{Value, json};

use super::compact::MAXIMUM_TOKEN_BYTES;
use super::*;
use crate::VerificationKey;

const SECRET: &[u8] = b"conformance-signing-key-of-32-bytes-or-more";

/// 2001-09-09 01:46:40 UTC.
const NOW: u64 = 1_000_000_000;

fn options() -> BearerOptions {
    BearerOptions::default().key(VerificationKey::secret(SECRET).unwrap()).clock_skew(Duration::ZERO)
}

fn verifier() -> Verifier {
    Verifier::new(options()).unwrap()
}

fn at(verifier: &Verifier, token: &str, seconds: u64) -> Result<Principal, TokenError> {
    let at = UNIX_EPOCH + Duration::from_secs(seconds);
    verifier.verify_at(token, at, &Snapshot::default()).map(Arc::unwrap_or_clone).map_err(Into::into)
}

fn now(verifier: &Verifier, token: &str) -> Result<Principal, TokenError> {
    at(verifier, token, NOW)
}

/// Signs header and payload, whatever they are, with HMAC and SHA-256.
fn signed(header: &str, payload: &str) -> String {
    let message = format!("{}.{}", URL_SAFE_NO_PAD.encode(header), URL_SAFE_NO_PAD.encode(payload));
    let signature = sign(message.as_bytes(), &EncodingKey::from_secret(SECRET), Algorithm::HS256).unwrap();
    format!("{message}.{signature}")
}

fn token(claims: &Value) -> String {
    signed(r#"{"alg":"HS256","typ":"JWT"}"#, &claims.to_string())
}

/// Claims that are good for another 600 s, and these.
fn with(name: &str, value: Value) -> String {
    token(&json!({ "exp": NOW + 600, name: value }))
}

fn text(verified: Result<Principal, TokenError>) -> String {
    match verified {
        Ok(_) => "good".to_owned(),
        Err(error) => error.description().unwrap_or_else(|| "no description".to_owned()),
    }
}

#[test]
fn who_has_an_expired_token_is_told_apart_from_who_has_a_wrong_one() {
    let expired = |verifier: &Verifier, claims: Value| {
        let at = UNIX_EPOCH + Duration::from_secs(NOW);
        verifier.verify_at(&token(&claims), at, &Snapshot::default()).unwrap_err().expired
    };
    let claims = json!({ "sub": "ada", "iss": "clinic", "aud": "chat", "exp": NOW - 1 });
    let ada = expired(&verifier(), claims.clone()).unwrap();
    assert_eq!((ada.name_identifier, ada.issuer), (Some("ada".into()), Some("clinic".into())));
    for options in [options().audience("other"), options().issuer("other")] {
        assert!(expired(&Verifier::new(options).unwrap(), claims.clone()).is_none());
    }
    assert!(expired(&verifier(), json!({ "sub": "ada", "nbf": NOW + 1, "exp": NOW + 2 })).is_none());
    let foreign = token(&claims).replace('.', ".a");
    assert!(verifier().verify_at(&foreign, UNIX_EPOCH, &Snapshot::default()).unwrap_err().expired.is_none());
}

const NOT_FOUND: &str = "The signature key was not found";

/// Each as the real server answered, except where this one is stricter.
#[test]
fn headers_and_signatures() {
    let verifier = verifier();
    let payload = json!({ "sub": "x", "exp": NOW + 600 }).to_string();
    let with_header = |header: &str| text(now(&verifier, &signed(header, &payload)));
    let good = r#"{"alg":"HS256","typ":"JWT"}"#;
    let cases = [
        (good, "good"),
        (r#"{"alg":"HS256"}"#, "good"),
        (r#"{"alg":"HS256","typ":"at+jwt","cty":"x"}"#, "good"),
        (r#"{"alg":"HS256","kid":"k"}"#, "good"),
        (r#"{"alg":"HS256","kid":null}"#, "good"),
        (r#"{"alg":"none"}"#, NOT_FOUND),
        (r#"{"typ":"JWT"}"#, NOT_FOUND),
        (r#"{"alg":"hs256"}"#, NOT_FOUND),
        (r#"{"alg":"HS384"}"#, NOT_FOUND),
        (r#"{"alg":"RS256"}"#, NOT_FOUND),
        (r#"{"alg":5}"#, "no description"),
        (r#"{"alg":"HS256","kid":5}"#, "no description"),
        (r#"{"alg":"HS256","crit":["b64"]}"#, "no description"), // stricter
        ("{junk", "no description"),
        ("", "no description"),
    ];
    for (header, expected) in cases {
        assert_eq!(with_header(header), expected, "{header}");
    }

    let token = signed(good, &payload);
    let (message, _) = token.rsplit_once('.').unwrap();
    let none =
        format!("{}.{}.", URL_SAFE_NO_PAD.encode(r#"{"alg":"none"}"#), URL_SAFE_NO_PAD.encode(&payload));
    let cases = [
        (none.as_str(), "The signature is invalid"),
        (&format!("{message}."), "The signature is invalid"),
        (&format!("{message}.AAAA"), NOT_FOUND),
        (&format!("{message}.!!!"), NOT_FOUND),
        (&format!("{token}="), "good"),
        (&format!("{token}=="), NOT_FOUND),
        (&format!("{token}===="), NOT_FOUND),
        (&token[1..], "no description"),
        (message, "no description"),
        ("", "no description"),
        ("nonsense", "no description"),
        ("..", "no description"),
        ("a.b.c.d.e", "no description"),
        (&format!("{token},{token}"), "no description"),
        (&"a".repeat(MAXIMUM_TOKEN_BYTES + 1), "no description"),
    ];
    for (token, expected) in cases {
        assert_eq!(text(now(&verifier, token)), expected, "{token}");
    }
}

#[test]
fn a_changed_byte_anywhere_is_noticed() {
    let token = token(&json!({ "sub": "ada", "role": "Nurse", "exp": NOW + 600 }));
    let verifier = verifier();
    assert!(now(&verifier, &token).is_ok());
    for position in 0..token.len() {
        let mut changed = token.clone().into_bytes();
        changed[position] = if changed[position] == b'A' { b'B' } else { b'A' };
        let changed = String::from_utf8(changed).unwrap();
        assert!(now(&verifier, &changed).is_err(), "byte {position}");
    }
}

/// Each as the real server answered.
#[test]
fn padding_is_whole_or_missing() {
    let parts = |text: &str| (URL_SAFE.encode(text), URL_SAFE_NO_PAD.encode(text));
    let signed = |header: &str, payload: &str| {
        let message = format!("{header}.{payload}");
        let key = EncodingKey::from_secret(SECRET);
        format!("{message}.{}", sign(message.as_bytes(), &key, Algorithm::HS256).unwrap())
    };
    let verified = |token: &str| text(now(&verifier(), token));
    for blanks in 0..3 {
        let (header, bare_header) = parts(&format!(r#"{{"alg":"HS256"{}}}"#, " ".repeat(blanks)));
        let (payload, bare_payload) =
            parts(&format!(r#"{{"exp":{}{}}}"#, NOW + 600, " ".repeat((blanks + 1) % 3)));
        for (header, payload) in [(&header, &payload), (&header, &bare_payload), (&bare_header, &payload)] {
            assert_eq!(verified(&signed(header, payload)), "good", "{header}.{payload}");
            assert_eq!(verified(&format!("{}=", signed(header, payload))), "good", "{header}.{payload}");
        }
        let padding = payload.len() - bare_payload.len();
        for wrong in (1..4).filter(|wrong| *wrong != padding) {
            let payload = format!("{bare_payload}{}", "=".repeat(wrong));
            assert_eq!(verified(&signed(&bare_header, &payload)), "no description", "{payload}");
        }
        let inside = format!("{}={}", &bare_payload[..8], &bare_payload[8..]);
        assert_eq!(verified(&signed(&bare_header, &inside)), "no description");
    }
    let claims = json!({ "exp": NOW + 600, "x": "\u{ff}?>~\u{ff}?>~\u{ff}?>~" }).to_string();
    let ordinary = STANDARD_NO_PAD.encode(claims);
    assert!(ordinary.contains(['+', '/']), "{ordinary}");
    assert_eq!(verified(&signed(&parts(r#"{"alg":"HS256"}"#).1, &ordinary)), "good");
}

#[test]
fn a_verified_token_is_remembered_as_long_as_it_is_good() {
    let verifier = Verifier::new(options().clock_skew(Duration::from_secs(10))).unwrap();
    let claims = json!({ "sub": "ada", "nbf": NOW, "exp": NOW + 600 });
    let token = token(&claims);
    let first = at(&verifier, &token, NOW).unwrap();
    assert_eq!(verifier.cache.len(), 1);
    assert_eq!(at(&verifier, &token, NOW + 610).unwrap(), first);
    assert_eq!(text(at(&verifier, &token, NOW - 11)), "The token is not valid before '09/09/2001 01:46:40'");
    assert_eq!(verifier.cache.len(), 0);
    assert!(at(&verifier, &token, NOW).is_ok());
    assert_eq!(text(at(&verifier, &token, NOW + 611)), "The token expired at '09/09/2001 01:56:40'");
    assert_eq!(verifier.cache.len(), 0, "it dies with its exp");
    for refused in [token.replace('.', ".a"), signed(r#"{"alg":"HS256"}"#, r#"{"exp":1}"#), "x.y.z".into()] {
        assert!(at(&verifier, &refused, NOW).is_err());
    }
    assert_eq!(verifier.cache.len(), 0, "only what is good is remembered");
}

#[test]
fn a_named_key_is_the_only_one_tried() {
    let named = VerificationKey::secret(SECRET).unwrap().with_id("a");
    let other = VerificationKey::secret(b"another-signing-key-of-32-bytes-or-more!!").unwrap().with_id("b");
    let verifier = Verifier::new(BearerOptions::default().key(named).key(other)).unwrap();
    let payload = json!({ "exp": NOW + 600 }).to_string();
    let of =
        |id: &str| text(now(&verifier, &signed(&json!({ "alg": "HS256", "kid": id }).to_string(), &payload)));
    assert_eq!(of("a"), "good");
    assert_eq!(of("b"), "The signature is invalid");
    assert_eq!(of("c"), NOT_FOUND);
    let nameless = VerificationKey::secret(SECRET).unwrap();
    let options =
        BearerOptions::default().key(nameless).key(VerificationKey::secret(&[200; 32]).unwrap().with_id("a"));
    let beside = Verifier::new(options).unwrap();
    let by = |id: &str| signed(&json!({ "alg": "HS256", "kid": id }).to_string(), &payload);
    assert_eq!(text(now(&beside, &by("c"))), "good", "of a key without an id");
    assert_eq!(text(now(&beside, &by("a"))), "The signature is invalid", "the other one has this id");
    let expired = signed(r#"{"alg":"HS256","kid":"c"}"#, r#"{"exp":1}"#);
    assert_eq!(text(now(&verifier, &expired)), "The token expired at '01/01/1970 00:00:01'");
}

#[test]
fn a_public_key_is_no_secret() {
    let pem = include_str!("../../tests/keys/rsa.pub.pem");
    let verifier = Verifier::new(BearerOptions::default().key(VerificationKey::pem(pem).unwrap())).unwrap();
    let header = r#"{"alg":"HS256"}"#;
    let payload = json!({ "exp": NOW + 600 }).to_string();
    let message = format!("{}.{}", URL_SAFE_NO_PAD.encode(header), URL_SAFE_NO_PAD.encode(payload));
    for secret in [pem, pem.trim()] {
        let key = EncodingKey::from_secret(secret.as_bytes());
        let signature = sign(message.as_bytes(), &key, Algorithm::HS256).unwrap();
        assert_eq!(text(now(&verifier, &format!("{message}.{signature}"))), NOT_FOUND);
    }
}

/// Each as the real server answered.
#[test]
fn lifetimes() {
    let cases = [
        (json!({ "exp": NOW + 1 }), "good"),
        (json!({ "exp": NOW }), "good"),
        (json!({ "exp": (NOW + 1).to_string() }), "good"),
        (json!({ "exp": NOW as f64 + 0.5 }), "good"),
        (json!({ "exp": 1_000_000_000_000_000_000_u64 }), "good"),
        (json!({ "exp": NOW + 1, "nbf": NOW }), "good"),
        (json!({ "exp": NOW + 1, "nbf": -5 }), "good"),
        (json!({ "exp": NOW + 1, "iat": "5" }), "good"),
        (json!({}), "The token has no expiration"),
        (json!({ "exp": NOW - 1 }), "The token expired at '09/09/2001 01:46:39'"),
        (json!({ "exp": -5 }), "The token expired at '01/01/1970 00:00:00'"),
        (json!({ "exp": NOW + 9, "nbf": NOW + 1 }), "The token is not valid before '09/09/2001 01:46:41'"),
        (
            json!({ "exp": NOW - 9, "nbf": NOW - 1 }),
            "The token lifetime is invalid; NotBefore: '09/09/2001 01:46:39', Expires: '09/09/2001 01:46:31'",
        ),
        (
            json!({ "exp": NOW, "nbf": 10_000_000_000_000_u64 }),
            "The token lifetime is invalid; NotBefore: '12/31/9999 23:59:59', Expires: '09/09/2001 01:46:40'",
        ),
        (json!({ "exp": null }), "no description"),
        (json!({ "exp": "junk" }), "no description"),
        (json!({ "exp": "NaN" }), "no description"),
        (json!({ "exp": "inf" }), "no description"),
        (json!({ "exp": 1e300 }), "no description"),
        (json!({ "exp": [NOW + 1] }), "no description"),
        (json!({ "exp": true }), "no description"),
        (json!({ "exp": NOW + 1, "nbf": "junk" }), "no description"),
        (json!({ "exp": NOW + 1, "nbf": null }), "no description"),
        (json!({ "exp": NOW + 1, "iat": "x" }), "no description"),
    ];
    for (claims, expected) in cases {
        assert_eq!(text(now(&verifier(), &token(&claims))), expected, "{claims}");
    }
}

#[test]
fn clocks_may_differ_by_the_skew() {
    let verifier = Verifier::new(options().clock_skew(Duration::from_secs(300))).unwrap();
    let token = token(&json!({ "nbf": NOW, "exp": NOW + 600 }));
    for (seconds, good) in [(NOW - 301, false), (NOW - 300, true), (NOW + 900, true), (NOW + 901, false)] {
        assert_eq!(at(&verifier, &token, seconds).is_ok(), good, "{seconds}");
    }
}

#[test]
fn audiences_and_issuers() {
    let options = options().audience("chat").audience("https://api.example/").issuer("https://a.example");
    let verifier = Verifier::new(options).unwrap();
    let verified = |audience: Value, issuer: Value| {
        text(now(&verifier, &token(&json!({ "exp": NOW + 600, "aud": audience, "iss": issuer }))))
    };
    let issuer = || json!("https://a.example");
    assert_eq!(verified(json!("chat"), issuer()), "good");
    assert_eq!(verified(json!(["other", "chat"]), issuer()), "good");
    assert_eq!(verified(json!("https://api.example"), issuer()), "good");
    assert_eq!(verified(json!("Chat"), issuer()), "The audience 'Chat' is invalid");
    assert_eq!(verified(json!(["a", "b"]), issuer()), "The audience 'a, b' is invalid");
    assert_eq!(verified(json!(null), issuer()), "The audience 'empty' is invalid");
    assert_eq!(
        verified(json!("chat"), json!("https://b.example")),
        "The issuer 'https://b.example' is invalid"
    );
    assert_eq!(verified(json!("chat"), json!("")), "The issuer '' is invalid");
    assert_eq!(verified(json!("chat"), json!("a\"\\\r\nX: y\u{e9}")), "The issuer 'aX: y' is invalid");
    assert_eq!(verified(json!(7), issuer()), "no description");
    assert_eq!(verified(json!([1]), issuer()), "no description");
    assert_eq!(verified(json!("chat"), json!(5)), "no description");
    let missing = text(now(&verifier, &token(&json!({ "exp": NOW + 600 }))));
    assert_eq!(missing, "The audience 'empty' is invalid");
}

/// Id, name and roles, each as the real server understood them.
#[test]
fn claims_become_a_principal() {
    let long = "http://schemas.xmlsoap.org/ws/2005/05/identity/claims";
    let role = "http://schemas.microsoft.com/ws/2008/06/identity/claims/role";
    type Expected<'a> = (Option<&'a str>, Option<&'a str>, &'a [&'a str]);
    let cases: [(String, Expected<'_>); 23] = [
        (r#""sub":"s","nameid":"n""#.into(), (Some("s"), None, &[])),
        (r#""nameid":"n","sub":"s""#.into(), (Some("n"), None, &[])),
        (format!(r#""{long}/nameidentifier":["q","r"]"#), (Some("q"), None, &[])),
        (r#""sub":5"#.into(), (Some("5"), None, &[])),
        (r#""sub":5.50"#.into(), (Some("5.5"), None, &[])),
        (r#""sub":null"#.into(), (Some(""), None, &[])),
        (r#""sub":"a","sub":"b""#.into(), (Some("b"), None, &[])),
        (r#""nameid":{ "a" : 1 }"#.into(), (Some(r#"{ "a" : 1 }"#), None, &[])),
        (r#""nameid":true"#.into(), (Some("true"), None, &[])),
        (r#""SUB":"s","NameIdentifier":"s""#.into(), (None, None, &[])),
        (r#""unique_name":"u","name":"n""#.into(), (None, Some("u"), &[])),
        (format!(r#""{long}/name":"l""#), (None, Some("l"), &[])),
        (r#""unique_name":["a","b"]"#.into(), (None, Some("a"), &[])),
        (r#""unique_name":1e3"#.into(), (None, Some("1000"), &[])),
        (r#""unique_name":[]"#.into(), (None, None, &[])),
        (r#""unique_name":[["q", 1]]"#.into(), (None, Some(r#"["q", 1]"#), &[])),
        (r#""name":"n","given_name":"g","upn":"u""#.into(), (None, None, &[])),
        (r#""role":"Doctor""#.into(), (None, None, &["Doctor"])),
        (r#""role":"Nurse","roles":["Doctor"]"#.into(), (None, None, &["Nurse", "Doctor"])),
        (format!(r#""{role}":["Doctor",null]"#), (None, None, &["Doctor", ""])),
        (r#""role":"Nurse,Doctor""#.into(), (None, None, &["Nurse,Doctor"])),
        (r#""role":{"Doctor":1}"#.into(), (None, None, &[r#"{"Doctor":1}"#])),
        (r#""groups":"Doctor","Role":"Doctor""#.into(), (None, None, &[])),
    ];
    for (claims, expected) in cases {
        let payload = format!("{{{claims},\"exp\":{}}}", NOW + 600);
        let principal = now(&verifier(), &signed(r#"{"alg":"HS256"}"#, &payload)).unwrap();
        let roles: Vec<&str> = principal.roles.iter().map(|role| &**role).collect();
        let id = principal.name_identifier.as_ref().map(AsRef::as_ref);
        assert_eq!((id, principal.name.as_deref(), &roles[..]), expected, "{claims}");
        assert_eq!(principal.expires, Some(UNIX_EPOCH + Duration::from_secs(NOW + 600)));
    }
    for refused in [
        ("sub", json!(["a"])),
        ("sub", json!(true)),
        ("sub", json!({})),
        ("jti", json!(5)),
        ("azp", json!({})),
    ] {
        assert_eq!(
            now(&verifier(), &with(refused.0, refused.1.clone())),
            Err(TokenError::Malformed),
            "{refused:?}"
        );
    }
}

#[test]
fn every_claim_is_kept_under_its_own_name() {
    let payload = format!(r#"{{"sub":"s","scope":["a","b"],"exp":{},"x":{{"y":[1]}}}}"#, NOW + 600);
    let principal = now(&verifier(), &signed(r#"{"alg":"HS256"}"#, &payload)).unwrap();
    let claims: Vec<_> = principal.claims.iter().map(|claim| (&*claim.name, &*claim.value)).collect();
    let expected =
        [("sub", "s"), ("scope", "a"), ("scope", "b"), ("exp", "1000000600"), ("x", r#"{"y":[1]}"#)];
    assert_eq!(claims, expected);
}

#[test]
fn other_claims_can_be_the_name() {
    let mut options = options();
    options.name_claims.push("name".into());
    options.role_claims.push("groups".into());
    options.name_identifier_claims.push("oid".into());
    let claims = json!({ "exp": NOW + 600, "name": "Ada", "groups": ["Doctor"], "oid": "1" });
    let principal = now(&Verifier::new(options).unwrap(), &token(&claims)).unwrap();
    assert_eq!(principal.name.as_deref(), Some("Ada"));
    assert_eq!(principal.name_identifier, Some("1".into()));
    assert!(principal.has_role("Doctor"));
}

#[test]
fn payloads_that_are_no_claims() {
    for payload in ["", "[1]", "{junk", "null", "{\"exp\":9e9} x", "{\"exp\":9e9,}", "{\"sub\":\"\u{1}\"}"] {
        assert_eq!(
            now(&verifier(), &signed(r#"{"alg":"HS256"}"#, payload)),
            Err(TokenError::Malformed),
            "{payload}"
        );
    }
    let deep = format!(r#"{{"exp":9e9,"x":{}1{}}}"#, "[".repeat(20_000), "]".repeat(20_000));
    assert!(now(&verifier(), &signed(r#"{"alg":"HS256"}"#, &deep)).is_ok_and(|who| who.claims.len() == 2));
    let many = format!(r#"{{"exp":9e9,"x":[{}1]}}"#, "1,".repeat(MOST_CLAIMS));
    assert_eq!(now(&verifier(), &signed(r#"{"alg":"HS256"}"#, &many)), Err(TokenError::Malformed));
}

const MOST_CLAIMS: usize = 4096;

#[test]
fn nothing_shows_a_secret() {
    let key = VerificationKey::secret(SECRET).unwrap();
    let verifier = verifier();
    for text in [format!("{key:?}"), format!("{verifier:?}"), format!("{:?}", options())] {
        assert!(!text.contains("conformance") && !text.contains("99, 111, 110"), "{text}");
    }
    let error = now(&verifier, "s3cret.s3cret.s3cret").unwrap_err();
    assert!(!format!("{error} {error:?}").contains("s3cret"));
}

#[test]
fn without_keys_there_is_nothing_to_verify_with() {
    assert!(matches!(Verifier::new(BearerOptions::default()), Err(BearerOptionsError::NoKeys)));
}

proptest! {
    #[test]
    fn garbage_is_refused_and_nothing_more(text in "\\PC{0,200}") {
        prop_assert!(verifier().verify(&text).is_err());
    }

    #[test]
    fn three_parts_of_garbage_are_refused(parts in proptest::collection::vec("[A-Za-z0-9_-]{0,60}", 3)) {
        prop_assert!(verifier().verify(&parts.join(".")).is_err());
    }

    #[test]
    fn signed_garbage_does_no_harm(header in "\\PC{0,40}", payload in proptest::collection::vec(any::<u8>(), 0..200)) {
        let good = r#"{"alg":"HS256"}"#;
        for header in [header.as_str(), good] {
            _ = verifier().verify(&signed(header, &String::from_utf8_lossy(&payload)));
        }
    }

    #[test]
    fn signed_claims_of_any_kind_do_no_harm(
        name in proptest::sample::select(vec!["iss", "aud", "exp", "nbf", "iat", "jti", "sub", "role", "x"]),
        value in "(\\[[0-9,]{0,9}\\]|-?[0-9]{1,30}(\\.[0-9]{1,5})?(e-?[0-9]{1,4})?|\"[a-z0-9\"\\\\]{0,9}\"|true|null|\\{\\})",
    ) {
        _ = verifier().verify(&signed(r#"{"alg":"HS256"}"#, &format!("{{\"{name}\":{value}}}")));
    }
}
