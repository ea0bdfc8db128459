//! Npgsql's connection strings, and URLs of PostgreSQL.

use std::path::Path;
use std::time::Duration;

use sqlx::postgres::{PgConnectOptions, PgSslMode};

use super::StoreOptions;
use super::pairs::{plain_key, shown};
use crate::DEADLINE;

type Parsed = Result<(StoreOptions, Vec<String>), String>;

/// Keys that tune Npgsql itself, or say what is so anyway.
const WITHOUT_EFFECT: [&str; 31] = [
    "arraynullabilitymode",
    "autopreparemin",
    "autoprepareminusages",
    "cancellationtimeout",
    "checkcertificaterevocation",
    "clientencoding",
    "connectionpruninginterval",
    "encoding",
    "enlist",
    "hostrecheckseconds",
    "includeerrordetail",
    "includerealm",
    "internalcommandtimeout",
    "keepalive",
    "loadtablecomposites",
    "logparameters",
    "maxautoprepare",
    "multiplexing",
    "noresetonclose",
    "persistsecurityinfo",
    "readbuffersize",
    "servercompatibilitymode",
    "socketreceivebuffersize",
    "socketsendbuffersize",
    "tcpkeepalive",
    "tcpkeepaliveinterval",
    "tcpkeepalivetime",
    "timezone",
    "trustservercertificate",
    "writebuffersize",
    "writecoalescingbufferthresholdbytes",
];

/// Keys of Npgsql that ask for something that is not done here.
const NOT_DONE: [&str; 12] = [
    "channelbinding",
    "gssencryptionmode",
    "integratedsecurity",
    "kerberosservicename",
    "loadbalancehosts",
    "passfile",
    "replicationmode",
    "requireauth",
    "sslnegotiation",
    "sslpassword",
    "targetsessionattributes",
    "usesslstream",
];

pub(super) fn url(text: &str) -> Result<StoreOptions, String> {
    let unreadable = || {
        "the URL cannot be read; expected postgres://user:password@host:port/database?sslmode=prefer, with %XX for special characters"
            .to_owned()
    };
    let host = text.split_once("://").map_or("", |(_, rest)| rest.split(['/', '?']).next().unwrap_or(""));
    if host.rsplit('@').next().is_some_and(|hosts| hosts.contains(',')) {
        return Err(several_hosts());
    }
    let options = text.parse::<PgConnectOptions>().map_err(|_| unreadable())?;
    Ok(StoreOptions::postgres(options))
}

pub(super) fn connection_string(pairs: &[(String, String, String)], directory: &Path) -> Parsed {
    let mut options = StoreOptions::postgres(PgConnectOptions::new_without_pgpass());
    let mut connect = PgConnectOptions::new_without_pgpass().application_name("hubline");
    let mut warnings = Vec::new();
    let mut has_host = false;
    // An empty value stands for the default.
    for (key, written, value) in pairs.iter().filter(|(.., value)| !value.is_empty()) {
        let seconds = || match value.parse::<u64>() {
            Ok(seconds) => Ok(Duration::from_secs(seconds)),
            Err(_) => Err(format!("{written} has to be a number of seconds")),
        };
        let count = || value.parse::<u32>().map_err(|_| format!("{written} has to be a number"));
        connect = match &**key {
            "host" | "server" => {
                has_host = true;
                host(connect, value)?
            }
            "port" => match value.parse() {
                Ok(port @ 1..) => connect.port(port),
                _ => return Err("Port has to be a number from 1 to 65535".to_owned()),
            },
            "database" | "db" => connect.database(value),
            "username" | "userid" | "uid" => connect.username(value),
            "password" | "psw" | "pwd" => connect.password(value),
            "applicationname" => connect.application_name(value),
            "searchpath" => connect.options([("search_path", value)]),
            "options" => raw_options(connect, value)?,
            "sslmode" => connect.ssl_mode(ssl_mode(value)?),
            "rootcertificate" => connect.ssl_root_cert(directory.join(value)),
            "sslcertificate" => connect.ssl_client_cert(directory.join(value)),
            "sslkey" => connect.ssl_client_key(directory.join(value)),
            other => {
                match other {
                    "timeout" => options.connect_timeout = within_deadline(seconds()?),
                    "commandtimeout" => options.statement_timeout = within_deadline(seconds()?),
                    "maximumpoolsize" | "maxpoolsize" => options.maximum_connections = count()?.max(1),
                    "minimumpoolsize" | "minpoolsize" => options.minimum_connections = count()?,
                    "connectionidlelifetime" => options.idle_timeout = seconds()?,
                    "connectionlifetime" => {
                        options.maximum_lifetime = Some(seconds()?).filter(|lifetime| !lifetime.is_zero());
                    }
                    "pooling" if value.eq_ignore_ascii_case("true") => {}
                    "pooling" => {
                        warnings
                            .push("Pooling=false has no effect: connections are always pooled".to_owned());
                    }
                    key if WITHOUT_EFFECT.contains(&key) => {}
                    key if NOT_DONE.contains(&key) => warnings.push(format!("{written} has no effect here")),
                    _ => warnings.push(format!("{} is no key of Npgsql's and has no effect", shown(written))),
                }
                connect
            }
        };
    }
    if !has_host {
        return Err(
            "Host is missing, as in Host=localhost;Database=hubline;Username=me;Password=secret".to_owned()
        );
    }
    options.place = super::Place::Postgres(Box::new(connect));
    Ok((options, warnings))
}

/// A name or an address, with a port behind `:` or without; a directory holds a socket.
fn host(options: PgConnectOptions, value: &str) -> Result<PgConnectOptions, String> {
    if value.contains(',') {
        return Err(several_hosts());
    }
    if !value.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"._-/:[]".contains(&byte)) {
        return Err("Host has to be the name or the address of a host".to_owned());
    }
    if value.starts_with('/') {
        return Ok(options.socket(value));
    }
    match value.rsplit_once(':') {
        Some((host, port)) if !host.contains(':') || host.ends_with(']') => match port.parse() {
            Ok(port) => Ok(options.host(host).port(port)),
            Err(_) => Err("the port behind Host has to be a number".to_owned()),
        },
        _ => Ok(options.host(value)),
    }
}

fn several_hosts() -> String {
    "Host names several hosts, which is not supported; name one, or a proxy that knows which of them may be written to".to_owned()
}

fn ssl_mode(value: &str) -> Result<PgSslMode, String> {
    match &*plain_key(value).replace('-', "") {
        "disable" => Ok(PgSslMode::Disable),
        "allow" => Ok(PgSslMode::Allow),
        "prefer" => Ok(PgSslMode::Prefer),
        "require" => Ok(PgSslMode::Require),
        "verifyca" => Ok(PgSslMode::VerifyCa),
        "verifyfull" => Ok(PgSslMode::VerifyFull),
        _ => Err("SSL Mode has to be Disable, Allow, Prefer, Require, VerifyCA or VerifyFull".to_owned()),
    }
}

/// `-c name=value`, several of them separated by spaces.
fn raw_options(options: PgConnectOptions, value: &str) -> Result<PgConnectOptions, String> {
    let mut pairs = Vec::new();
    let mut words = value.split_whitespace();
    while let Some(word) = words.next() {
        let pair = match word {
            "-c" => words.next(),
            word => word.strip_prefix("-c").or_else(|| word.strip_prefix("--")),
        };
        let pair = pair.and_then(|pair| pair.split_once('='));
        pairs.push(pair.ok_or("Options has to be -c name=value, several of them separated by spaces")?);
    }
    Ok(options.options(pairs))
}

/// 0 is as long as it takes, which here is the deadline of every operation.
fn within_deadline(timeout: Duration) -> Duration {
    match timeout.is_zero() {
        true => DEADLINE,
        false => timeout.min(DEADLINE),
    }
}
