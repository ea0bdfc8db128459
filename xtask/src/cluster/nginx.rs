//! nginx in front of the instances, as the users have it: each request to the next instance.

use std::net::{Ipv4Addr, TcpStream};
use std::path::Path;
use std::process::Stdio;
use std::time::Duration;

use anyhow::{Context, Result, bail, ensure};
use tokio::process::{Child, Command};
use tokio::time::{sleep, timeout};

use super::Proxy;
use super::places::Places;
use crate::process::root;

const LOOKS: u32 = 500;
const BETWEEN_LOOKS: Duration = Duration::from_millis(20);
const END: Duration = Duration::from_secs(5);

pub(super) struct Nginx(Child);

impl Nginx {
    /// # Errors
    /// nginx (Debian package nginx-light) is not installed, or does not come up.
    pub(super) async fn start(places: &Places, proxy: Proxy, directory: &Path) -> Result<Self> {
        let file = directory.join("nginx.conf");
        let configuration = match proxy {
            Proxy::Theirs => theirs(places, directory),
            Proxy::Deployed => deployed(places, directory)?,
        };
        std::fs::write(&file, configuration)?;
        let mut command = Command::new("nginx");
        command.arg("-c").arg(&file).arg("-p").arg(directory).stdin(Stdio::null()).kill_on_drop(true);
        let mut child = command.spawn().context("nginx (Debian package nginx-light)")?;
        for _ in 0..LOOKS {
            if TcpStream::connect((Ipv4Addr::LOCALHOST, places.nginx)).is_ok() {
                return Ok(Self(child));
            }
            if let Some(status) = child.try_wait()? {
                bail!("nginx ended: {status}");
            }
            sleep(BETWEEN_LOOKS).await;
        }
        bail!("nginx does not listen on port {}", places.nginx)
    }

    /// The id of its process; `None` once it has ended and was waited for.
    pub(super) fn id(&self) -> Option<u32> {
        self.0.id()
    }

    /// Its workers end with it only if it is asked to.
    pub(super) async fn end(mut self) {
        if let Some(id) = self.0.id() {
            _ = std::process::Command::new("kill").arg(id.to_string()).status();
        }
        _ = timeout(END, self.0.wait()).await;
    }
}

fn theirs(places: &Places, directory: &Path) -> String {
    let directory = directory.display().to_string();
    let servers: String =
        places.instances.clone().map(|port| format!("    server 127.0.0.1:{port};\n")).collect();
    let (user, temporary) = (user(), temporary_files(&directory));
    format!(
        "daemon off;\n{user}pid {directory}/nginx.pid;\nerror_log {directory}/nginx-error.log;\n\
         events {{ worker_connections 4096; }}\n\
         http {{\n\
         \x20 access_log off;\n{temporary}\
         \x20 upstream fleet {{\n{servers}\x20 }}\n\
         \x20 server {{\n\
         \x20   listen 127.0.0.1:{port};\n\
         \x20   location / {{\n\
         \x20     proxy_pass http://fleet;\n\
         \x20     proxy_http_version 1.1;\n\
         \x20     proxy_set_header Upgrade $http_upgrade;\n\
         \x20     proxy_set_header Connection \"upgrade\";\n\
         \x20     proxy_set_header Host $http_host;\n\
         \x20     proxy_set_header X-Real-IP $remote_addr;\n\
         \x20     proxy_set_header X-Forwarded-For $proxy_add_x_forwarded_for;\n\
         \x20     proxy_set_header X-Forwarded-Proto $scheme;\n\
         \x20     proxy_buffering off;\n\
         \x20     proxy_read_timeout 100s;\n\
         \x20   }}\n\
         \x20 }}\n\
         }}\n",
        port = places.nginx,
    )
}

/// The file of `deploy/` with the addresses of this machine. Names that are looked up again (`resolve`) take a newer nginx than
/// Debian's, and addresses need none of that.
fn deployed(places: &Places, directory: &Path) -> Result<String> {
    let text = std::fs::read_to_string(root().join("deploy/nginx/nginx.conf"))?;
    let directory = directory.display().to_string();
    let replaced = [
        ("server hubline-1:8080 resolve", server(places, 0)),
        ("server hubline-2:8080 resolve", server(places, 1)),
        ("server hubline-3:8080 resolve", server(places, 2)),
        ("listen 80 ", format!("listen 127.0.0.1:{} ", places.nginx)),
        ("/dev/stderr", format!("{directory}/nginx-error.log")),
        ("/dev/stdout", format!("{directory}/nginx-access.log")),
        ("http {\n", format!("http {{\n{}", temporary_files(&directory))),
    ];
    let mut configuration = format!("daemon off;\n{}pid {directory}/nginx.pid;\n{text}", user());
    for (from, to) in replaced {
        ensure!(configuration.matches(from).count() == 1, "deploy/nginx/nginx.conf has not one {from:?}");
        configuration = configuration.replace(from, &to);
    }
    Ok(configuration)
}

fn server(places: &Places, number: u16) -> String {
    format!("server 127.0.0.1:{}", places.instances.start + number)
}

/// As root, workers would be those of another user, who may not enter the directory.
fn user() -> &'static str {
    if rustix::process::geteuid().is_root() { "user root;\n" } else { "" }
}

fn temporary_files(directory: &str) -> String {
    ["client_body", "proxy", "fastcgi", "uwsgi", "scgi"]
        .map(|what| format!("  {what}_temp_path {directory}/{what};\n"))
        .concat()
}
