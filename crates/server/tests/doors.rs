//! Who gets into the program, and by which door.

#![allow(clippy::unwrap_used, reason = "what fails here is the test")]

mod request;

use hubline_testkit::{Launch, ServerProcess, free_port};
use request::ask;
use tokio::io::{AsyncReadExt, AsyncWriteExt};

const UPGRADE: &str = "Connection: Upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Version: 13\r\n\
                       Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n";
const TRIGGER: &str = "POST /api/test/trigger-navigation-update";

async fn started(launch: impl FnOnce(Launch) -> Launch) -> (ServerProcess, u16) {
    let launch = launch(Launch::new(env!("CARGO_BIN_EXE_hubline")).arg("serve"));
    let port = launch.port();
    (ServerProcess::start(launch).await.unwrap(), port)
}

async fn status(port: u16, line: &str, headers: &str) -> u16 {
    let (head, _) = ask(port, line, headers).await;
    head.split(' ').nth(1).unwrap().parse().unwrap()
}

/// The answer to a page that asks for a WebSocket: 403, or 101.
async fn web_socket(port: u16, host: &str, origin: &str) -> u16 {
    let headers = format!("Host: {host}\r\nOrigin: {origin}\r\n{UPGRADE}");
    let mut socket = request::send(port, "GET /chathub", &headers).await;
    let mut status = [0; 12];
    socket.read_exact(&mut status).await.unwrap();
    std::str::from_utf8(&status[9..]).unwrap().parse().unwrap()
}

async fn figure(port: u16, name: &str) -> f64 {
    let (_, page) = ask(port, "GET /metrics", "").await;
    let line = page.lines().find_map(|line| line.strip_prefix(name)).unwrap();
    line.trim().parse().unwrap()
}

#[tokio::test]
async fn production_is_closed_and_says_what_and_how_to_open_it() {
    let (server, port) = started(|launch| launch).await;
    let said = server.line_with("Closed: pages of other origins").await.unwrap();
    assert!(said.contains("Cors:AllowedOrigins") && said.contains("--dev"), "{said}");
    let said = server.line_with(&format!("Closed: {TRIGGER}")).await.unwrap();
    assert!(said.contains("--environment") && said.contains("--dev"), "{said}");

    assert_eq!(status(port, TRIGGER, "").await, 404);
    assert_eq!(web_socket(port, "localhost", "http://localhost").await, 101);
    for _ in 0..2 {
        assert_eq!(web_socket(port, "localhost", "https://evil.example").await, 403);
    }
    assert_eq!(web_socket(port, "localhost", "file://").await, 403);
    let said = server.line_with("origin=file://").await.unwrap();
    assert!(said.contains("WARN") && said.contains("Cors:AllowedOrigins"), "{said}");
    let lines = server.lines();
    let told = lines.iter().filter(|line| line.contains("origin=https://evil.example host=\"localhost\""));
    assert_eq!(told.count(), 1, "{lines:#?}");
    assert_eq!(figure(port, "hubline_requests_refused_total{reason=\"origin\"}").await, 3.0);
    let (head, _) = ask(port, "GET /health", "Origin: https://evil.example\r\n").await;
    assert!(!head.to_lowercase().contains("access-control"), "{head}");
}

#[tokio::test]
async fn development_is_open() {
    let (server, port) = started(|launch| launch.arg("--dev")).await;
    server.line_with("in environment Development").await.unwrap();
    assert!(!server.lines().join("\n").contains("Closed"));
    assert_eq!(status(port, TRIGGER, "").await, 200);
    assert_eq!(web_socket(port, "localhost", "https://page.example").await, 101);
    let (head, _) = ask(port, "GET /health", "Origin: https://page.example\r\n").await;
    assert!(head.contains("access-control-allow-origin: https://page.example"), "{head}");
}

#[tokio::test]
async fn a_list_of_origins_counts_in_every_environment() {
    for environment in ["Development", "Production"] {
        let (server, port) = started(|launch| {
            let origins = "https://*.example.org;file://;http://localhost:3000";
            launch.arg("--environment").arg(environment).env("Cors__AllowedOrigins", origins)
        })
        .await;
        assert!(!server.lines().join("\n").contains("Closed: pages"));
        for origin in ["https://chat.example.org", "file://", "http://localhost:3000"] {
            assert_eq!(web_socket(port, "localhost:5000", origin).await, 101, "{environment}: {origin}");
        }
        for origin in [
            "https://example.org",
            "http://chat.example.org",
            "https://chat.example.org:8443",
            "https://evil-example.org",
            "null",
            "http://localhost:3001",
        ] {
            assert_eq!(web_socket(port, "localhost:5000", origin).await, 403, "{environment}: {origin}");
        }
    }
}

#[tokio::test]
async fn a_page_of_the_server_itself_gets_in_whatever_the_proxy_does_to_the_port() {
    let (_server, port) = started(|launch| launch).await;
    for (host, origin, expected) in [
        ("chat.example.org", "https://chat.example.org:8443", 101),
        ("x:5000", "http://x", 101),
        ("[::1]:5000", "http://[::1]:5000", 101),
        ("[::1]", "http://[::1]:5000", 101),
        ("x:5000", "http://x:5001", 403),
        ("[::1]:5000", "http://[::1]:5001", 403),
        ("chat.example.org", "https://evil-chat.example.org", 403),
    ] {
        assert_eq!(web_socket(port, host, origin).await, expected, "{host} {origin}");
    }
}

#[tokio::test]
async fn dev_and_another_environment_do_not_go_together() {
    let launch = Launch::new(env!("CARGO_BIN_EXE_hubline")).arg("serve").arg("--dev");
    let mut server = ServerProcess::spawn(launch.env("ASPNETCORE_ENVIRONMENT", "Production")).unwrap();
    let status = server.exit_status(std::time::Duration::from_secs(30)).await.unwrap();
    let said = server.lines().join("\n");
    assert_eq!(status.code(), Some(2), "{said}");
    assert!(
        said.contains("--dev") && said.contains("'Production' (environment variable ASPNETCORE_ENV"),
        "{said}"
    );
}

#[tokio::test]
async fn allowed_hosts_stand_in_front_of_everything() {
    let (server, port) =
        started(|launch| launch.arg("--dev").env("AllowedHosts", "localhost;*.example.org;[::1]")).await;
    for path in ["/", "/health", "/metrics", "/chathub", "/nowhere", "/home.js"] {
        for host in ["evil.example", "example.org", "127.0.0.1"] {
            let (head, body) = ask(port, &format!("GET {path}"), &format!("Host: {host}\r\n")).await;
            assert!(head.starts_with("HTTP/1.1 400"), "{path} {host}: {head}");
            assert_eq!(body, "Bad Request - Invalid Hostname\n");
        }
    }
    for host in ["LOCALHOST:1", "chat.example.org", "[::1]:5000"] {
        assert_eq!(status(port, "GET /health", &format!("Host: {host}\r\n")).await, 200, "{host}");
    }
    for head in ["HTTP/1.0\r\n", "HTTP/1.1\r\nHost:\r\nConnection: close\r\n"] {
        let mut socket = tokio::net::TcpStream::connect(("127.0.0.1", port)).await.unwrap();
        socket.write_all(format!("GET /health {head}\r\n").as_bytes()).await.unwrap();
        let mut answer = String::new();
        socket.read_to_string(&mut answer).await.unwrap();
        assert!(answer.contains(" 200 OK"), "as ASP.NET Core, {head}: {answer}");
    }
    let said = server.line_with("host=evil.example").await.unwrap();
    assert!(said.contains("INFO") && said.contains("AllowedHosts"), "{said}");
    assert_eq!(server.lines().iter().filter(|line| line.contains("host=evil.example")).count(), 1);
    assert_eq!(figure(port, "hubline_requests_refused_total{reason=\"host\"}").await, 18.0);
}

#[tokio::test]
async fn allowed_hosts_stand_in_front_of_the_management_address_too() {
    let port = free_port();
    let (_server, _) = started(|launch| {
        launch.env("AllowedHosts", "localhost").env("Management__Urls", format!("http://127.0.0.1:{port}"))
    })
    .await;
    for path in ["GET /health", "GET /metrics"] {
        assert_eq!(status(port, path, "").await, 200);
        assert_eq!(status(port, path, "Host: rebound.example\r\n").await, 400);
    }
    assert_eq!(figure(port, "hubline_requests_refused_total{reason=\"host\"}").await, 2.0);
}

/// As ASP.NET Core 11 answers; that its servers take dot segments away, too, is left to proxies.
#[tokio::test]
async fn a_path_is_what_it_is_however_it_is_spelt_and_metrics_have_one_spelling() {
    let (_server, port) = started(|launch| launch.arg("--dev")).await;
    let both = ["GET", "POST"];
    let found = [
        "/health",
        "/HEALTH/",
        "/%68ealth",
        "/chathub/negotiate",
        "/ChatHub/nego%74iate/",
        "/hubs/navigation-state/negotiate",
        "/hubs/navigation%2Dstate/negotiate",
        "/%68ubs/Navigation-State/negotiate",
        "/api/test/trigger-navigation-update",
        "/api/%74est/trigger-navigation-update",
        "/home.j%73",
        "/metrics",
        "/metrics?name[]=x",
    ];
    for path in found {
        let statuses = [
            status(port, &format!("{} {path}", both[0]), "").await,
            status(port, &format!("{} {path}", both[1]), "").await,
        ];
        assert!(statuses.contains(&200), "{path}: {statuses:?}");
    }
    let not_found = [
        "/health%2F",
        "/%2Fhealth",
        "/health//",
        "//health",
        "/%2568ealth",
        "/chathub%2Fnegotiate",
        "/hubs%2fnavigation-state/negotiate",
        "/api%2Ftest/trigger-navigation-update",
        "/Metrics",
        "/METRICS",
        "/%6detrics",
        "/metric%73",
        "/metrics/",
        "/metrics%2F",
        "//metrics",
        "/./metrics",
        "/x/../metrics",
        "/x/%2e%2e/metrics",
        "/metrics;x",
        "/metrics%00",
        "/metrics%20",
    ];
    for path in not_found {
        for method in both {
            assert_eq!(status(port, &format!("{method} {path}"), "").await, 404, "{method} {path}");
        }
    }
}

#[tokio::test]
async fn pages_run_their_own_files_and_nothing_else() {
    let (_server, port) = started(|launch| launch).await;
    for page in ["/", "/chat", "/call"] {
        let (head, body) = ask(port, &format!("GET {page}"), "").await;
        let policy = head.lines().find_map(|line| line.strip_prefix("content-security-policy: ")).unwrap();
        for part in
            ["default-src 'none'", "script-src 'self'", "connect-src 'self'", "frame-ancestors 'none'"]
        {
            assert!(policy.contains(part), "{policy}");
        }
        assert!(!policy.contains("unsafe") && !policy.contains(" *"), "{policy}");
        assert!(head.contains("referrer-policy: no-referrer"), "{head}");
        assert!(!body.contains("<style") && !body.contains("style=") && !body.contains("onclick"), "{body}");
        let mut scripts = body.split("<script").skip(1);
        assert!(scripts.all(|script| script.split('>').next().unwrap().contains(" src=\"/")), "{body}");
        let files = body.split('"').filter(|text| text.ends_with(".js") || text.ends_with(".css"));
        let modules = ["/session.js"];
        for path in files.chain([page]).chain(modules) {
            let (head, _) = ask(port, &format!("GET {path}"), "").await;
            assert!(
                head.starts_with("HTTP/1.1 200") && head.contains("x-content-type-options: nosniff"),
                "{path}: {head}"
            );
        }
    }
}
