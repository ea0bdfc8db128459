//! Npgsql's connection strings, and URLs of PostgreSQL.

use std::path::{Path, PathBuf};
use std::time::Duration;

use sqlx::postgres::{PgConnectOptions, PgSslMode};

use super::StoreOptions;
use super::pairs::{plain_key, shown};
use crate::DEADLINE;

type Parsed = Result<(StoreOptions, Vec<String>), String>;

/// Keys that tune Npgsql itself, or say what is so anyway.
const WITHOUT_EFFECT: [&str; 30] = [
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
    let mut tls = Tls::default();
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
            "sslmode" => {
                tls.mode = ssl_mode(value)?;
                connect.ssl_mode(tls.mode)
            }
            "trustservercertificate" => {
                let is_trusted = value.to_ascii_lowercase().parse();
                tls.is_trusted =
                    Some(is_trusted.map_err(|_| "Trust Server Certificate has to be true or false")?);
                connect
            }
            "rootcertificate" => connect.ssl_root_cert(tls.file("Root Certificate", directory, value)),
            "sslcertificate" => connect.ssl_client_cert(tls.file("SSL Certificate", directory, value)),
            "sslkey" => connect.ssl_client_key(tls.file("SSL Key", directory, value)),
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
    tls.check(&mut warnings)?;
    options.certificates = tls.files;
    options.place = super::Place::Postgres(Box::new(connect));
    Ok((options, warnings))
}

/// What a connection string says of TLS.
struct Tls {
    mode: PgSslMode,
    is_trusted: Option<bool>,
    files: Vec<(&'static str, PathBuf)>,
}

impl Default for Tls {
    fn default() -> Self {
        Self { mode: PgSslMode::Prefer, is_trusted: None, files: Vec::new() }
    }
}

impl Tls {
    fn file(&mut self, key: &'static str, directory: &Path, value: &str) -> PathBuf {
        let path = directory.join(value);
        self.files.push((key, path.clone()));
        path
    }

    fn has(&self, key: &str) -> bool {
        self.files.iter().any(|(known, _)| *known == key)
    }

    /// What does not fit together. Nothing is verified, or not verified, otherwise than the connection string seems to say without a word.
    fn check(&self, warnings: &mut Vec<String>) -> Result<(), String> {
        if self.has("SSL Certificate") != self.has("SSL Key") {
            return Err("SSL Certificate and SSL Key are given together; one file may hold both".to_owned());
        }
        let verifies = matches!(self.mode, PgSslMode::VerifyCa | PgSslMode::VerifyFull);
        if !verifies && self.has("Root Certificate") {
            warnings.push(
                "Root Certificate has no effect without SSL Mode=VerifyFull (or VerifyCA, which does not compare the host's name)"
                    .to_owned(),
            );
        }
        match self.is_trusted {
            Some(true) if verifies => warnings.push(
                "Trust Server Certificate=true has no effect with this SSL Mode, which verifies the certificate; Require does not"
                    .to_owned(),
            ),
            Some(false) if !verifies => warnings.push(
                "Trust Server Certificate=false has no effect without SSL Mode=VerifyFull: no certificate is verified"
                    .to_owned(),
            ),
            _ => {}
        }
        Ok(())
    }
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
        // There is no way to ask for TLS last; asking for it first works with the same servers.
        "allow" | "prefer" => Ok(PgSslMode::Prefer),
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

#[cfg(test)]
mod tests {
    use super::*;

    /// What becomes of a key of Npgsql with this value: `used`, `skipped` in silence, or what is said.
    fn becomes(key: &str, value: &str) -> String {
        let parse = |text: &str| StoreOptions::parse(text, Path::new("/root"));
        let shown = |options: &StoreOptions| match &options.place {
            super::super::Place::Postgres(connect) => format!("{connect:?} {:?}", settings(options)),
            _ => unreachable!(),
        };
        let (before, _) = parse("Host=db;Username=me").unwrap();
        match parse(&format!("Host=db;Username=me;{key}={value}")) {
            Ok((_, warnings)) if !warnings.is_empty() => warnings.join(" | "),
            Ok((after, _)) if shown(&after) == shown(&before) => "skipped".to_owned(),
            Ok(_) => "used".to_owned(),
            Err(error) => format!("refused: {error}"),
        }
    }

    fn settings(options: &StoreOptions) -> impl std::fmt::Debug + use<> {
        let StoreOptions { maximum_connections, minimum_connections, connect_timeout, .. } = *options;
        let StoreOptions { statement_timeout, idle_timeout, maximum_lifetime, .. } = *options;
        (
            maximum_connections,
            minimum_connections,
            connect_timeout,
            statement_timeout,
            idle_timeout,
            maximum_lifetime,
        )
    }

    #[test]
    fn every_key_of_npgsql_is_used_skipped_or_spoken_of() {
        for (key, value, expected) in [
            ("Server", "other", "used"),
            ("Port", "6000", "used"),
            ("Database", "x", "used"),
            ("User Id", "you", "used"),
            ("Password", "secret", "used"),
            ("Passfile", "/x", "Passfile has no effect here"),
            ("Application Name", "mine", "used"),
            ("Enlist", "false", "skipped"),
            ("Search Path", "house", "used"),
            ("Client Encoding", "UTF8", "skipped"),
            ("Encoding", "UTF8", "skipped"),
            ("Timezone", "UTC", "skipped"),
            ("SSL Mode", "VerifyFull", "used"),
            ("SSL Mode", "Maybe", "refused: SSL Mode has to be"),
            ("SSL Negotiation", "direct", "SSL Negotiation has no effect here"),
            ("SSL Certificate", "c.pem", "refused: SSL Certificate and SSL Key are given together"),
            ("SSL Key", "k.pem", "refused: SSL Certificate and SSL Key are given together"),
            ("SSL Certificate=c.pem;SSL Key", "k.pem", "used"),
            ("SSL Password", "secret", "SSL Password has no effect here"),
            ("Root Certificate", "ca.pem", "Root Certificate has no effect without SSL Mode=VerifyFull"),
            ("SSL Mode=VerifyFull;Root Certificate", "ca.pem", "used"),
            ("Check Certificate Revocation", "true", "skipped"),
            ("Trust Server Certificate", "true", "skipped"),
            (
                "Trust Server Certificate",
                "maybe",
                "refused: Trust Server Certificate has to be true or false",
            ),
            ("Trust Server Certificate", "false", "no certificate is verified"),
            ("SSL Mode=VerifyCA;Trust Server Certificate", "True", "has no effect with this SSL Mode"),
            ("SSL Mode=VerifyCA;Trust Server Certificate", "false", "used"),
            ("Channel Binding", "Require", "Channel Binding has no effect here"),
            ("Persist Security Info", "true", "skipped"),
            ("Log Parameters", "true", "skipped"),
            ("Include Error Detail", "true", "skipped"),
            ("Integrated Security", "true", "Integrated Security has no effect here"),
            ("Kerberos Service Name", "x", "Kerberos Service Name has no effect here"),
            ("Include Realm", "true", "skipped"),
            ("Pooling", "true", "skipped"),
            ("Pooling", "false", "Pooling=false has no effect"),
            ("Minimum Pool Size", "3", "used"),
            ("Maximum Pool Size", "30", "used"),
            ("Maximum Pool Size", "many", "refused: Maximum Pool Size has to be a number"),
            ("Connection Idle Lifetime", "10", "used"),
            ("Connection Pruning Interval", "10", "skipped"),
            ("Connection Lifetime", "60", "used"),
            ("Timeout", "3", "used"),
            ("Timeout", "soon", "refused: Timeout has to be a number of seconds"),
            ("Command Timeout", "3", "used"),
            ("Internal Command Timeout", "3", "skipped"),
            ("Cancellation Timeout", "3", "skipped"),
            ("Keepalive", "30", "skipped"),
            ("Tcp Keepalive", "true", "skipped"),
            ("Max Auto Prepare", "10", "skipped"),
            ("Target Session Attributes", "primary", "Target Session Attributes has no effect here"),
            ("Load Balance Hosts", "true", "Load Balance Hosts has no effect here"),
            ("Multiplexing", "true", "skipped"),
            ("Replication Mode", "Logical", "Replication Mode has no effect here"),
            ("Options", "-c geqo=off", "used"),
            ("Options", "geqo=off", "refused: Options has to be -c name=value"),
            ("Array Nullability Mode", "Never", "skipped"),
            ("No Reset On Close", "true", "skipped"),
            ("Sslmodus", "Require", "Sslmodus is no key of Npgsql's"),
        ] {
            let became = becomes(key, value);
            assert!(became.contains(expected), "{key}={value}: {became}");
        }
    }
}
