use std::path::PathBuf;

/// The ASP.NET Core server to compare with, from `HUBLINE_PEER`: a program that takes `serve` and
/// `client`.
///
/// Absent, this says on standard error what is left out, because a comparison that silently did not
/// happen looks like one that passed.
pub fn peer() -> Option<PathBuf> {
    let path = std::env::var_os("HUBLINE_PEER").map(PathBuf::from).filter(|path| path.is_file());
    if path.is_none() {
        eprintln!(
            "notice: HUBLINE_PEER names no program, so nothing is compared with a real ASP.NET Core server"
        );
    }
    path
}
