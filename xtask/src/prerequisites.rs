//! Checks what tests need besides Rust: programs of Debian packages, which are installed where that is allowed, and Node.

use std::process::{Command, Stdio};

use anyhow::{Context, Result, bail, ensure};

use crate::process;

const OLDEST_NODE: u32 = 20;

/// A program that a Debian package brings, and a command that succeeds at once where it is.
#[derive(Debug)]
struct Program {
    name: &'static str,
    package: &'static str,
    probe: &'static [&'static str],
}

// What builds an image and boots a machine for a unit, which is not done by the tests.
const BY_HAND: [Program; 3] = [
    Program { name: "buildah", package: "buildah", probe: &["buildah", "--version"] },
    Program { name: "debootstrap", package: "debootstrap", probe: &["debootstrap", "--version"] },
    Program { name: "systemd-nspawn", package: "systemd-container", probe: &["systemd-nspawn", "--version"] },
];

// The Rust tests need the first two alone.
const PROGRAMS: [Program; 12] = [
    Program { name: "redis-server", package: "redis-server", probe: &["redis-server", "--version"] },
    // Debian has the server's programs in no directory of PATH.
    Program {
        name: "initdb",
        package: "postgresql",
        probe: &["sh", "-c", "ls /usr/lib/postgresql/*/bin/initdb"],
    },
    // What documents show is run.
    Program { name: "curl", package: "curl", probe: &["curl", "--version"] },
    Program { name: "nginx", package: "nginx-light", probe: &["nginx", "-v"] },
    Program { name: "haproxy", package: "haproxy", probe: &["haproxy", "-v"] },
    // With promtool. On a machine with systemd the package starts a service at port 9090, which the tests do not use.
    Program {
        name: "prometheus",
        package: "prometheus",
        probe: &["sh", "-c", "command -v prometheus promtool"],
    },
    Program { name: "openssl", package: "openssl", probe: &["openssl", "version"] },
    Program { name: "systemd-analyze", package: "systemd", probe: &["systemd-analyze", "--version"] },
    Program { name: "chromium", package: "chromium", probe: &["chromium", "--version"] },
    Program { name: "valgrind", package: "valgrind", probe: &["valgrind", "--version"] },
    // libFuzzer is C++.
    Program { name: "c++", package: "g++", probe: &["c++", "--version"] },
    // Without its package the module is there, but cannot make an environment with pip in it. The versions of
    // what the Python clients need ask for 3.11.
    Program {
        name: "python3",
        package: "python3-venv",
        probe: &["python3", "-c", "import ensurepip, sys; sys.exit(sys.version_info < (3, 11))"],
    },
];

/// Installs what `cargo xtask test` needs, or names it.
///
/// # Errors
/// Something is missing; the error names all of it.
pub(crate) fn ensure_all() -> Result<()> {
    let mut missing = missing(&PROGRAMS);
    if !succeeds("npm", &["--version"]) {
        missing.push("npm, which comes with Node".to_owned());
    }
    if !succeeds("cargo", &["clippy", "--version"]) {
        missing.push("clippy (rustup component add clippy)".to_owned());
    }
    ensure!(missing.is_empty(), "missing: {}", missing.join("; "));
    Ok(())
}

/// Installs what the Rust tests and the recorded cases need, or names it.
///
/// # Errors
/// Something is missing; the error names all of it.
pub(crate) fn ensure_quick() -> Result<()> {
    let missing = missing(&PROGRAMS[..2]);
    ensure!(missing.is_empty(), "missing: {}", missing.join("; "));
    Ok(())
}

/// Installs what `cargo xtask image` and `cargo xtask unit` need, or names it.
///
/// # Errors
/// Something is missing, or this is not root.
pub(crate) fn ensure_by_hand() -> Result<()> {
    ensure!(is_root(), "this makes file systems and namespaces: run it as root");
    let missing = missing(&BY_HAND);
    ensure!(missing.is_empty(), "missing: {}", missing.join("; "));
    Ok(())
}

/// Which of these programs are missing, though their packages were asked for, and Node and rustfmt if they are.
fn missing(programs: &[Program]) -> Vec<String> {
    let absent = || programs.iter().filter(|program| !program.answers());
    let packages: Vec<_> = absent().map(|program| program.package).collect();
    if !packages.is_empty() {
        // What it could not do shows below, with what else is missing.
        if let Err(error) = install(&packages) {
            println!("{} could not be installed: {error:#}", packages.join(", "));
        }
    }
    let mut missing: Vec<String> =
        absent().map(|program| format!("{} (Debian package {})", program.name, program.package)).collect();
    if let Err(error) = node() {
        missing.push(format!("Node {OLDEST_NODE} or newer ({error:#})"));
    }
    if !succeeds("cargo", &["fmt", "--version"]) {
        missing.push("rustfmt (rustup component add rustfmt)".to_owned());
    }
    missing
}

impl Program {
    fn answers(&self) -> bool {
        succeeds(self.probe[0], &self.probe[1..])
    }
}

/// With apt-get, as root or through sudo where that asks for no password.
fn install(packages: &[&str]) -> Result<()> {
    let apt_get = |arguments: &[&str]| {
        let mut command = Command::new(if is_root() { "env" } else { "sudo" });
        if !is_root() {
            command.args(["--non-interactive", "env"]);
        }
        command.args(["DEBIAN_FRONTEND=noninteractive", "apt-get", "--quiet"]);
        process::run(command.args(arguments))
    };
    println!("installing the Debian packages {}", packages.join(" "));
    apt_get(&["update"])?;
    apt_get(&[&["install", "--yes", "--no-install-recommends"], packages].concat())
}

fn is_root() -> bool {
    let id = Command::new("id").arg("-u").output();
    id.is_ok_and(|output| output.stdout.trim_ascii() == b"0")
}

fn succeeds(program: &str, arguments: &[&str]) -> bool {
    let mut command = Command::new(program);
    command.args(arguments).stdout(Stdio::null()).stderr(Stdio::null());
    command.status().is_ok_and(|status| status.success())
}

fn node() -> Result<()> {
    let output = Command::new("node").arg("--version").output().context("node")?;
    let version = String::from_utf8_lossy(&output.stdout).trim().to_owned();
    let major = version.trim_start_matches('v').split('.').next();
    match major.and_then(|major| major.parse::<u32>().ok()) {
        Some(major) if major >= OLDEST_NODE => Ok(()),
        _ => bail!("this is {version}"),
    }
}
