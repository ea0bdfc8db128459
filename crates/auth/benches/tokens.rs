//! What a bearer token costs the thread that serves connections: `cargo bench -p hubline-auth`.

#![allow(clippy::unwrap_used, reason = "what fails here is the benchmark")]

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use divan::{Bencher, black_box};
use hubline_auth::{BearerOptions, VerificationKey, Verifier};
use jsonwebtoken::{Algorithm, EncodingKey, Header, encode};
use serde_json::json;

fn main() {
    divan::main();
}

/// In the year 2100.
const EXPIRES: u64 = 4_102_444_800;
const SECRET: &[u8] = b"a secret of at least sixty-four bytes, which is what HS512 asks for, RFC 7518";
const SIZES: [usize; 2] = [2048, 4096];
/// As many as a large provider publishes.
const KEYS: usize = 10;

fn pem(bits: usize) -> (&'static str, &'static str) {
    match bits {
        4096 => (include_str!("../tests/keys/rsa-4096.pem"), include_str!("../tests/keys/rsa-4096.pub.pem")),
        _ => (include_str!("../tests/keys/rsa.pem"), include_str!("../tests/keys/rsa.pub.pem")),
    }
}

fn verifier(bits: usize, keys: usize) -> Verifier {
    let key = VerificationKey::pem(pem(bits).1).unwrap();
    let options = (0..keys).fold(BearerOptions::default(), |options, number| {
        options.key(key.clone().with_id(&number.to_string()))
    });
    Verifier::new(options).unwrap()
}

/// A token that nobody has signed; each `number` makes another one.
fn bogus(bits: usize, id: Option<&str>, number: u8) -> String {
    let header = json!({ "alg": "RS256", "kid": id }).to_string();
    let payload = json!({ "sub": "ada", "exp": EXPIRES }).to_string();
    let signature = vec![number % 100; bits / 8];
    [header.as_bytes(), payload.as_bytes(), &signature].map(|part| URL_SAFE_NO_PAD.encode(part)).join(".")
}

fn bench_bogus(bencher: Bencher<'_, '_>, verifier: &Verifier, token: &str) {
    bencher.bench(|| verifier.verify(black_box(token)).unwrap_err());
}

#[divan::bench(args = SIZES)]
fn bogus_with_id(bencher: Bencher<'_, '_>, bits: usize) {
    bench_bogus(bencher, &verifier(bits, KEYS), &bogus(bits, Some("7"), 1));
}

#[divan::bench(args = SIZES)]
fn bogus_with_unknown_id(bencher: Bencher<'_, '_>, bits: usize) {
    bench_bogus(bencher, &verifier(bits, KEYS), &bogus(bits, Some("another"), 1));
}

#[divan::bench(args = SIZES)]
fn bogus_without_id(bencher: Bencher<'_, '_>, bits: usize) {
    bench_bogus(bencher, &verifier(bits, 1), &bogus(bits, None, 1));
}

#[divan::bench(args = SIZES)]
fn bogus_without_id_against_ten_keys(bencher: Bencher<'_, '_>, bits: usize) {
    bench_bogus(bencher, &verifier(bits, KEYS), &bogus(bits, None, 1));
}

fn good(algorithm: Algorithm, key: &EncodingKey, number: usize) -> String {
    let claims =
        json!({ "sub": "ada", "name": "Ada", "role": ["Nurse", "Admin"], "n": number, "exp": EXPIRES });
    encode(&Header::new(algorithm), &claims, key).unwrap()
}

/// The same token again and again, as the requests of one client bring it.
#[divan::bench(args = SIZES)]
fn good_again(bencher: Bencher<'_, '_>, bits: usize) {
    let key = EncodingKey::from_rsa_pem(pem(bits).0.as_bytes()).unwrap();
    let (verifier, token) = (verifier(bits, 1), good(Algorithm::RS256, &key, 0));
    bencher.bench(|| verifier.verify(black_box(&token)).unwrap());
}

/// A token that was never seen before.
#[divan::bench(args = SIZES, sample_count = 20, sample_size = 20)]
fn good_for_the_first_time(bencher: Bencher<'_, '_>, bits: usize) {
    let key = EncodingKey::from_rsa_pem(pem(bits).0.as_bytes()).unwrap();
    let verifier = verifier(bits, 1);
    let tokens: Vec<_> = (0..400).map(|number| good(Algorithm::RS256, &key, number)).collect();
    let mut next = tokens.iter();
    bencher.bench_local(|| verifier.verify(black_box(next.next().unwrap_or(&tokens[0]))).unwrap());
}

#[divan::bench(args = [true, false])]
fn hmac(bencher: Bencher<'_, '_>, again: bool) {
    let key = EncodingKey::from_secret(SECRET);
    let verifier =
        Verifier::new(BearerOptions::default().key(VerificationKey::secret(SECRET).unwrap())).unwrap();
    let tokens: Vec<_> =
        (0..20_000).map(|number| good(Algorithm::HS256, &key, if again { 0 } else { number })).collect();
    let mut next = tokens.iter().cycle();
    bencher.bench_local(|| verifier.verify(black_box(next.next().unwrap())).unwrap());
}
