use std::path::{Path, PathBuf};
use std::sync::Once;

/// The ASP.NET Core 10 server to compare with, from `HUBLINE_PEER`: a program that takes `serve`, and `client`, which
/// drives the .NET client of the same release.
///
/// Absent, this says once on standard error what is left out, because a comparison that silently did not
/// happen looks like one that passed.
pub fn peer() -> Option<PathBuf> {
    static SAID: Once = Once::new();
    let path = std::env::var_os("HUBLINE_PEER").map(PathBuf::from).filter(|path| path.is_file());
    if path.is_none() {
        notice(
            &SAID,
            "HUBLINE_PEER names no program, so nothing is compared with a real ASP.NET Core server",
        );
    }
    path
}

/// The same program of ASP.NET Core 11, whose answers are the contract: `peer11` beside the program that
/// `HUBLINE_PEER` names.
///
/// Absent, this says so once on standard error; without `HUBLINE_PEER` the notice of [`peer`] says enough.
pub fn peer11() -> Option<PathBuf> {
    static SAID: Once = Once::new();
    let path = beside(&peer()?, "peer11");
    if path.is_none() {
        let text =
            "beside the program of HUBLINE_PEER is no peer11, so nothing is compared with ASP.NET Core 11";
        notice(&SAID, text);
    }
    path
}

/// The program that drives older .NET clients, `client` beside the program that `HUBLINE_PEER` names. It takes one of
/// [`OLDER_CLIENTS`].
///
/// Absent, this says so once on standard error, as [`peer11`] does.
pub fn older_clients() -> Option<PathBuf> {
    static SAID: Once = Once::new();
    let path = beside(&peer()?, "client");
    if path.is_none() {
        notice(
            &SAID,
            "beside the program of HUBLINE_PEER is no client, so nothing is tested with older .NET clients",
        );
    }
    path
}

/// Releases of .NET whose clients [`older_clients`] drives.
pub const OLDER_CLIENTS: [&str; 4] = ["1.2", "6.0", "8.0", "9.0"];

/// In the directory as it was named: a link to a program elsewhere has neighbours of its own.
fn beside(program: &Path, name: &str) -> Option<PathBuf> {
    Some(program.with_file_name(name)).filter(|path| path.is_file())
}

fn notice(said: &Once, text: &str) {
    said.call_once(|| eprintln!("notice: {text}"));
}

#[cfg(test)]
mod tests {
    use std::fs;
    use std::os::unix::fs::symlink;

    use super::*;

    #[test]
    fn neighbours_are_looked_for_where_the_program_was_named() -> std::io::Result<()> {
        let directory = tempfile::tempdir()?;
        let [here, elsewhere] = ["here", "elsewhere"].map(|name| directory.path().join(name));
        fs::create_dir(&here)?;
        fs::create_dir(&elsewhere)?;
        for program in ["peer", "peer11"] {
            fs::write(elsewhere.join(program), "")?;
        }
        symlink(elsewhere.join("peer"), here.join("peer"))?;
        assert_eq!(beside(&elsewhere.join("peer"), "peer11"), Some(elsewhere.join("peer11")));
        assert_eq!(beside(&elsewhere.join("peer"), "client"), None);
        assert_eq!(beside(&here.join("peer"), "peer11"), None);
        symlink(&elsewhere, directory.path().join("link"))?;
        let linked = directory.path().join("link");
        assert_eq!(beside(&linked.join("peer"), "peer11"), Some(linked.join("peer11")));
        Ok(())
    }
}
