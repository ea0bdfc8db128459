//! The keys of a connection string.

/// Keys with an effect here; the last ones are Hubline's own.
pub(super) const HONOURED: [&str; 23] = [
    "abortConnect",
    "asyncTimeout",
    "channelPrefix",
    "configCheckSeconds",
    "connectRetry",
    "connectTimeout",
    "defaultDatabase",
    "keepAlive",
    "name",
    "password",
    "sentinelPassword",
    "sentinelUser",
    "serviceName",
    "ssl",
    "sslHost",
    "sslProtocols",
    "syncTimeout",
    "user",
    "shardedChannels",
    "spreadChannels",
    "sslCaFile",
    "sslCertFile",
    "sslKeyFile",
];

/// Keys StackExchange.Redis knows and that change nothing here.
pub(super) const IGNORED: [&str; 22] = [
    "allowAdmin",
    "checkCertificateRevocation",
    "configChannel",
    "defaults",
    "highIntegrity",
    "highPrioritySocketThreads",
    "maintNotifications",
    "maintPostEventRelaxed",
    "maintRelaxedTimeout",
    "maintRelaxedWindowMax",
    "preserveAsyncOrder",
    "protocol",
    "proxy",
    "resolveDns",
    "responseTimeout",
    "setlib",
    "tcpKeepAlive",
    "tieBreaker",
    "topologyRefreshSeconds",
    "tunnel",
    "version",
    "writeBuffer",
];

/// The key as it is spelt.
pub(super) fn known(keyword: &str) -> Option<&'static str> {
    let mut known = HONOURED.iter().chain(&IGNORED);
    known.find(|known| known.eq_ignore_ascii_case(keyword)).copied()
}

/// The key that was probably meant.
pub(super) fn nearest(keyword: &str) -> Option<&'static str> {
    let keyword = keyword.to_ascii_lowercase();
    HONOURED
        .iter()
        .chain(&IGNORED)
        .map(|known| (strsim::normalized_damerau_levenshtein(&keyword, &known.to_ascii_lowercase()), *known))
        .filter(|(likeness, _)| *likeness >= 0.6)
        .max_by(|a, b| a.0.total_cmp(&b.0))
        .map(|(_, known)| known)
}
