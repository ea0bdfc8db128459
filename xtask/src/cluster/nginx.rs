//! nginx in front of the instances, as the users have it: each request to the next instance.

use std::net::{Ipv4Addr, TcpStream};
use std::path::Path;
use std::process::Stdio;
use std::time::Duration;

use anyhow::{Context, Result, bail};
use tokio::process::{Child, Command};
use tokio::time::{sleep, timeout};

use super::places::Places;

const LOOKS: u32 = 500;
const BETWEEN_LOOKS: Duration = Duration::from_millis(20);
const END: Duration = Duration::from_secs(5);

pub(super) struct Nginx(Child);

impl Nginx {
    /// # Errors
    /// nginx (Debian package nginx-light) is not installed, or does not come up.
    pub(super) async fn start(places: &Places, directory: &Path) -> Result<Self> {
        let file = directory.join("nginx.conf");
        std::fs::write(&file, configuration(places, directory))?;
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

fn configuration(places: &Places, directory: &Path) -> String {
    let directory = directory.display();
    let servers: String =
        places.instances.clone().map(|port| format!("    server 127.0.0.1:{port};\n")).collect();
    let temporary: String = ["client_body", "proxy", "fastcgi", "uwsgi", "scgi"]
        .map(|what| format!("  {what}_temp_path {directory}/{what};\n"))
        .concat();
    // As root, workers would be those of another user, who may not enter the directory.
    let user = if rustix::process::geteuid().is_root() { "user root;\n" } else { "" };
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
