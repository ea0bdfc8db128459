//! Serving with TLS, over real sockets.

#![allow(clippy::unwrap_used, reason = "what fails here is the test")]

use std::fs;
use std::net::SocketAddr;
use std::num::NonZeroUsize;
use std::sync::Arc;
use std::time::Duration;

use futures_util::stream;
use hubline::{
    CertificateError, CertificateFiles, CertificateProblem, HttpOptions, Hub, Server, TlsConfig,
    TlsStatistics, Workers,
};
use hubline_testkit::Certificates;
use pkcs8::PrivateKeyInfo;
use pkcs8::pkcs5::pbes2::Parameters;
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivatePkcs8KeyDer, ServerName};
use rustls::{ClientConfig, RootCertStore};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpSocket, TcpStream};
use tokio::time::timeout;
use tokio_rustls::TlsConnector;
use tokio_rustls::client::TlsStream;
use tokio_util::sync::CancellationToken;

const PATIENCE: Duration = Duration::from_secs(30);
const UPGRADE: &[u8] =
    b"GET /hub HTTP/1.1\r\nHost: localhost\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\
    Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n";
const HANDSHAKE: &str = r#"{"protocol":"json","version":1}"#;

/// Longer than what the sockets of both sides take, and what TLS keeps behind them.
const LONG: usize = 12 * 1024 * 1024;

fn files(certificates: &Certificates) -> CertificateFiles {
    CertificateFiles::new(certificates.certificate()).key(certificates.key())
}

async fn start(tls: TlsConfig) -> SocketAddr {
    let hub = Hub::new("Test")
        .method("Echo", async |text: String| text)
        .stream("Long", || stream::iter((0..LONG / 1024).map(|_| "x".repeat(1023))));
    let app = Server::new().add_hub(hub).map("/hub");
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    let workers = Workers::start_many(NonZeroUsize::MIN).unwrap();
    let options = HttpOptions::default().tls(tls);
    tokio::spawn(async move { workers.serve_with(listener, app, CancellationToken::new(), options).await });
    address
}

/// Shakes hands over a socket, as a client that trusts the authority and offers these protocols.
async fn shake_hands(
    socket: TcpStream,
    certificates: &Certificates,
    protocols: &[&str],
) -> std::io::Result<TlsStream<TcpStream>> {
    let mut roots = RootCertStore::empty();
    roots.add(CertificateDer::from_pem_file(certificates.authority()).unwrap()).unwrap();
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let config = ClientConfig::builder_with_provider(provider).with_safe_default_protocol_versions().unwrap();
    let mut config = config.with_root_certificates(roots).with_no_client_auth();
    config.alpn_protocols = protocols.iter().map(|protocol| protocol.as_bytes().to_vec()).collect();
    let name = ServerName::try_from("localhost").unwrap();
    TlsConnector::from(Arc::new(config)).connect(name, socket).await
}

/// Waits until so many spoke plain HTTP, failed and timed out; they are counted when their socket has been closed.
async fn counted(tls: &TlsConfig, expected: [u64; 3]) {
    let counts = || {
        let TlsStatistics { plain_http, failed, timed_out, .. } = tls.statistics();
        [plain_http, failed, timed_out]
    };
    let reached = async {
        while counts() != expected {
            tokio::task::yield_now().await;
        }
    };
    timeout(PATIENCE, reached).await.unwrap_or_else(|_| panic!("{:?}", counts()));
}

fn frame(message: &str) -> Vec<u8> {
    let mut frame = vec![0x81, 0x80 | u8::try_from(message.len() + 1).unwrap(), 0, 0, 0, 0];
    frame.extend(message.as_bytes());
    frame.push(0x1e);
    frame
}

async fn read_until(stream: &mut TlsStream<TcpStream>, end: &[u8]) -> Vec<u8> {
    let mut read = Vec::new();
    while !read.ends_with(end) {
        assert_ne!(stream.read_buf(&mut read).await.unwrap(), 0, "closed after {} bytes", read.len());
    }
    read
}

/// A hub connection over a WebSocket.
async fn connect(socket: TcpStream, certificates: &Certificates) -> TlsStream<TcpStream> {
    let mut stream = shake_hands(socket, certificates, &["http/1.1"]).await.unwrap();
    stream.write_all(UPGRADE).await.unwrap();
    let head = read_until(&mut stream, b"\r\n\r\n").await;
    let head = String::from_utf8(head).unwrap();
    assert!(head.starts_with("HTTP/1.1 101 ") && head.contains("\r\nSec-WebSocket-Accept: "), "{head}");
    stream.write_all(&frame(HANDSHAKE)).await.unwrap();
    read_until(&mut stream, b"{}\x1e").await;
    stream
}

#[tokio::test]
async fn a_hub_is_served_and_only_http_1_1_negotiated() {
    let certificates = Certificates::new(&["localhost"]).unwrap();
    let tls = TlsConfig::load(files(&certificates)).unwrap();
    let address = start(tls.clone()).await;
    let mut stream = connect(TcpStream::connect(address).await.unwrap(), &certificates).await;
    stream
        .write_all(&frame(r#"{"type":1,"invocationId":"1","target":"Echo","arguments":["hi"]}"#))
        .await
        .unwrap();
    let answer = read_until(&mut stream, b"\x1e").await;
    assert!(answer.ends_with(b"{\"type\":3,\"invocationId\":\"1\",\"result\":\"hi\"}\x1e"));
    // A close frame is answered, and then TLS ends as it should, or reading would fail.
    stream.write_all(&[0x88, 0x80, 0, 0, 0, 0]).await.unwrap();
    let mut rest = Vec::new();
    timeout(PATIENCE, stream.read_to_end(&mut rest)).await.unwrap().unwrap();
    assert_eq!(rest.first(), Some(&0x88));

    for (offered, expected) in [(&["h2", "http/1.1"][..], Some("http/1.1")), (&[], None)] {
        let socket = TcpStream::connect(address).await.unwrap();
        let mut stream = shake_hands(socket, &certificates, offered).await.unwrap();
        assert_eq!(stream.get_ref().1.alpn_protocol(), expected.map(str::as_bytes), "{offered:?}");
        stream
            .write_all(b"GET /none HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n")
            .await
            .unwrap();
        let mut answer = String::new();
        stream.read_to_string(&mut answer).await.unwrap();
        assert!(answer.starts_with("HTTP/1.1 404 "), "{answer}");
    }
    let socket = TcpStream::connect(address).await.unwrap();
    shake_hands(socket, &certificates, &["h2"]).await.unwrap_err();
    // Who speaks nothing but HTTP/2 is refused in the handshake.
    counted(&tls, [0, 1, 0]).await;
}

/// The last of it is in the TLS session and not in the socket when the client begins to read.
#[tokio::test]
async fn what_waits_for_a_client_that_does_not_read_is_sent_once_it_reads() {
    let certificates = Certificates::new(&["localhost"]).unwrap();
    let address = start(TlsConfig::load(files(&certificates)).unwrap()).await;
    let socket = TcpSocket::new_v4().unwrap();
    socket.set_recv_buffer_size(16 * 1024).unwrap();
    let mut stream = connect(socket.connect(address).await.unwrap(), &certificates).await;
    stream
        .write_all(&frame(r#"{"type":4,"invocationId":"1","target":"Long","arguments":[]}"#))
        .await
        .unwrap();
    // The first bytes have come, and the next are read when the server has written all that it can.
    let mut first = [0; 1];
    stream.read_exact(&mut first).await.unwrap();
    let reading = read_until(&mut stream, b"{\"type\":3,\"invocationId\":\"1\"}\x1e");
    let read = timeout(4 * PATIENCE, reading).await.unwrap();
    assert!(read.len() > LONG, "{} bytes", read.len());
}

#[tokio::test]
async fn clients_that_speak_no_tls_are_told_and_counted() {
    let certificates = Certificates::new(&["localhost"]).unwrap();
    let tls = TlsConfig::load(files(&certificates)).unwrap().handshake_timeout(Duration::from_millis(200));
    let address = start(tls.clone()).await;
    // A look whether somebody listens.
    drop(TcpStream::connect(address).await.unwrap());
    for (sent, expected) in [
        (&b"POST /hub/negotiate HTTP/1.1\r\nHost: localhost\r\n\r\n"[..], "HTTP/1.1 400 Bad Request\r\n"),
        (&[0, 1, 2, 3], ""),
        // The beginning of a record that does not go on.
        (&[22, 3, 1], ""),
    ] {
        let mut socket = TcpStream::connect(address).await.unwrap();
        socket.write_all(sent).await.unwrap();
        let mut answer = Vec::new();
        // What the server has not read makes a reset of its end.
        _ = timeout(PATIENCE, socket.read_to_end(&mut answer)).await.unwrap();
        let answer = String::from_utf8(answer).unwrap();
        assert!(answer.starts_with(expected), "{sent:?}: {answer}");
        if !expected.is_empty() {
            let (head, body) = answer.split_once("\r\n\r\n").unwrap();
            assert!(head.contains(&format!("Content-Length: {}", body.len())), "{head}");
            assert!(body.contains("use https://"), "{body}");
        }
    }
    counted(&tls, [1, 1, 1]).await;
}

/// A PEM file with the key, encrypted.
fn encrypted(certificates: &Certificates, password: &str) -> String {
    let key = PrivatePkcs8KeyDer::from_pem_file(certificates.key()).unwrap();
    let parameters =
        Parameters::pbkdf2_sha256_aes256cbc(1000, b"salt of 16 bytes", b"a vector of 16 b").unwrap();
    let key = PrivateKeyInfo::try_from(key.secret_pkcs8_der()).unwrap();
    let encrypted = key.encrypt_with_params(parameters, password).unwrap();
    encrypted.to_pem("ENCRYPTED PRIVATE KEY", pkcs8::LineEnding::LF).unwrap().to_string()
}

#[tokio::test]
async fn a_key_may_be_encrypted_or_in_the_certificates_own_file() {
    let certificates = Certificates::new(&["localhost"]).unwrap();
    let directory = tempfile::tempdir().unwrap();
    let [key, both] = ["key.pem", "both.pem"].map(|name| directory.path().join(name));
    fs::write(&key, encrypted(&certificates, "open sesame")).unwrap();
    let parts =
        [certificates.certificate(), certificates.key()].map(|path| fs::read_to_string(path).unwrap());
    fs::write(&both, parts.concat()).unwrap();
    for files in [
        CertificateFiles::new(certificates.certificate()).key(&key).password("open sesame"),
        CertificateFiles::new(&both),
    ] {
        let address = start(TlsConfig::load(files).unwrap()).await;
        connect(TcpStream::connect(address).await.unwrap(), &certificates).await;
    }
}

#[test]
fn what_is_wrong_with_a_file_is_said_with_its_path_and_a_cure() {
    let (ours, theirs) = (Certificates::new(&["a"]).unwrap(), Certificates::new(&["b"]).unwrap());
    let directory = tempfile::tempdir().unwrap();
    let file = |name: &str, content: &[u8]| {
        let path = directory.path().join(name);
        fs::write(&path, content).unwrap();
        path
    };
    let locked = file("locked.pem", encrypted(&ours, "open sesame").as_bytes());
    let pfx = file("site.pfx", &[0x30, 0x82, 0x09, 0x51, 0x02, 0x01, 0x03]);
    let traditional =
        b"-----BEGIN RSA PRIVATE KEY-----\nProc-Type: 4,ENCRYPTED\n-----END RSA PRIVATE KEY-----\n";
    let traditional = file("old.pem", traditional);
    let (broken, empty) = (file("broken.pem", b"-----BEGIN CERTIFICATE-----\n!\n"), file("empty.pem", b""));
    let certificate = || CertificateFiles::new(ours.certificate());
    let absent = directory.path().join("absent.pem");
    type Expected = fn(&CertificateError) -> bool;
    use CertificateError::{Certificate, Key, Password};
    use CertificateProblem as Problem;
    let cases: [(CertificateFiles, Expected, &str); 11] = [
        (
            CertificateFiles::new(&absent),
            |e| matches!(e, Certificate(_, Problem::Unreadable(_))),
            "absent.pem cannot be read",
        ),
        (CertificateFiles::new(&pfx), |e| matches!(e, Certificate(_, Problem::Pfx)), "openssl pkcs12"),
        (
            CertificateFiles::new(&empty),
            |e| matches!(e, Certificate(_, Problem::NoCertificate)),
            "empty.pem has no certificate",
        ),
        (
            CertificateFiles::new(&broken),
            |e| matches!(e, Certificate(_, Problem::Pem(_))),
            "broken.pem is broken PEM",
        ),
        (
            certificate().key(&absent),
            |e| matches!(e, Key(_, Problem::Unreadable(_))),
            "absent.pem cannot be read",
        ),
        (certificate(), |e| matches!(e, Key(_, Problem::NoKey)), "certificate.pem has no private key"),
        (
            certificate().key(theirs.key()),
            |e| matches!(e, Key(_, Problem::OtherCertificate(_))),
            "openssl x509",
        ),
        (
            certificate().key(&traditional),
            |e| matches!(e, Key(_, Problem::TraditionalEncryption)),
            "openssl pkcs8 -topk8",
        ),
        (
            certificate().key(&locked),
            |e| matches!(e, Password(_, Problem::NoPassword)),
            "locked.pem is encrypted",
        ),
        (
            certificate().key(&locked).password("x"),
            |e| matches!(e, Password(_, Problem::WrongPassword)),
            "the password is wrong",
        ),
        (certificate().key(&pfx), |e| matches!(e, Key(_, Problem::Pfx)), "site.pfx is a PKCS #12"),
    ];
    for (files, expected, said) in cases {
        let shown = format!("{files:?}");
        let error = TlsConfig::load(files).unwrap_err();
        let text = error.to_string();
        assert!(expected(&error) && text.contains(said), "{shown}: {error:?}: {text}");
        assert!(text.contains(directory.path().to_str().unwrap()) || text.contains(".pem"), "{text}");
    }
    assert!(!format!("{:?}", certificate().password("s3cret")).contains("s3cret"));
}
