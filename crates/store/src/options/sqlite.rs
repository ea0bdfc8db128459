//! Microsoft.Data.Sqlite's connection strings, and URLs.

use std::path::{Path, PathBuf};

use super::StoreOptions;
use super::pairs::shown;

type Parsed = Result<(StoreOptions, Vec<String>), String>;
type Pairs = [(String, String, String)];

/// Keys that SQL Server's connection strings have beside `Data Source`.
const SQL_SERVER: [&str; 3] = ["initialcatalog", "integratedsecurity", "trustservercertificate"];

/// What another program may say, and the store does by itself.
const WITHOUT_EFFECT: [&str; 8] = [
    "cache",
    "foreignkeys",
    "recursivetriggers",
    "pooling",
    "defaulttimeout",
    "commandtimeout",
    "version",
    "vfs",
];

/// Whether this is a connection string of SQLite rather than of PostgreSQL.
pub(super) fn is_data_source(pairs: &Pairs) -> bool {
    pairs.iter().any(|(key, ..)| matches!(&**key, "datasource" | "filename"))
}

pub(super) fn connection_string(pairs: &Pairs, directory: &Path) -> Parsed {
    let mut warnings = Vec::new();
    let mut source = "";
    let mut in_memory = false;
    for (key, written, value) in pairs {
        match &**key {
            "datasource" | "filename" => source = value,
            key if SQL_SERVER.contains(&key) => {
                return Err(
                    "this is a connection string of SQL Server; there are SQLite and PostgreSQL".to_owned()
                );
            }
            "mode" => match &*value.to_ascii_lowercase() {
                "memory" => in_memory = true,
                "readwritecreate" | "readwrite" | "" => {}
                "readonly" => return Err("Mode=ReadOnly: the database is written to".to_owned()),
                _ => return Err("Mode has to be ReadWriteCreate, ReadWrite or Memory".to_owned()),
            },
            "password" if !value.is_empty() => {
                return Err("Password encrypts the file, which this SQLite cannot".to_owned());
            }
            key if WITHOUT_EFFECT.contains(&key) => {}
            _ => warnings.push(format!(
                "{} is no key of SQLite's connection strings and has no effect",
                shown(written)
            )),
        }
    }
    let options = match in_memory {
        true => StoreOptions::in_memory(),
        false => file(source.strip_prefix("|DataDirectory|").unwrap_or(source), directory)?,
    };
    Ok((options, warnings))
}

/// `sqlite:path`, `sqlite://path`, `sqlite:///absolute/path`, `sqlite::memory:`, with `?mode=` as SQLite's own URIs have it.
pub(super) fn url(text: &str, directory: &Path) -> Result<StoreOptions, String> {
    let rest = text.get("sqlite:".len()..).unwrap_or_default();
    let rest = rest.strip_prefix("//").unwrap_or(rest);
    let (path, query) = rest.split_once('?').unwrap_or((rest, ""));
    let mut in_memory = false;
    for parameter in query.split('&').filter(|parameter| !parameter.is_empty()) {
        match parameter {
            "mode=memory" => in_memory = true,
            "mode=rwc" | "mode=rw" | "cache=shared" | "cache=private" => {}
            "mode=ro" => return Err("mode=ro: the database is written to".to_owned()),
            _ => return Err("a URL of SQLite has no parameters but mode and cache".to_owned()),
        }
    }
    let path = percent_encoding::percent_decode_str(path).decode_utf8();
    let path = path.map_err(|_| "the path is not UTF-8".to_owned())?;
    match in_memory {
        true => Ok(StoreOptions::in_memory()),
        false => file(&path, directory),
    }
}

fn file(path: &str, directory: &Path) -> Result<StoreOptions, String> {
    match path {
        ":memory:" => Ok(StoreOptions::in_memory()),
        "" => Err("the path of the database file is missing, as in Data Source=hubline.db".to_owned()),
        path => Ok(StoreOptions::file(directory.join(PathBuf::from(path)))),
    }
}
