//! HTTP connections: patience, limits of addresses, proxies in front.

use std::time::Duration;

use super::Setup;

fn forwarded(setup: Setup) -> (Vec<String>, usize, bool) {
    let forwarded = setup.config().server.forwarded;
    let known = forwarded.known.iter().map(ToString::to_string).collect();
    (known, forwarded.limit, forwarded.believes_all())
}

#[test]
fn kestrels_patience() {
    let limits =
        r#"{"Kestrel": {"Limits": {"KeepAliveTimeout": "00:05:00", "RequestHeadersTimeout": "00:00:10"}}}"#;
    let config = Setup::new().file("appsettings.json", limits).config();
    assert_eq!(config.server.keep_alive_timeout, Duration::from_secs(300));
    assert_eq!(config.server.request_headers_timeout, Duration::from_secs(10));
    let config = Setup::new().config();
    let other = Setup::new().set("Kestrel:Limits:MaxConcurrentConnections", "100").warnings();
    assert!(other.contains("MaxConcurrentConnections") && other.contains("KeepAliveTimeout"), "{other}");
    assert_eq!(
        (config.server.keep_alive_timeout.as_secs(), config.server.request_headers_timeout.as_secs()),
        (130, 30)
    );
}

#[test]
fn limits_of_addresses_are_off_unless_set_and_a_storm_is_slowed_down() {
    let per_second = |setup: Setup| setup.config().limits.connections_per_second;
    assert_eq!(per_second(Setup::new()), 2_000);
    assert_eq!(per_second(Setup::new().variable("Limits__ConnectionsPerSecond", "0")), 0);
    let limits = |setup: Setup| {
        let limits = setup.config().limits.addresses;
        (limits.connections, limits.negotiations_per_second)
    };
    assert_eq!(limits(Setup::new()), (0, 0));
    let set = Setup::new()
        .variable("Limits__ConnectionsPerAddress", "20")
        .set("Limits:NegotiationsPerSecondPerAddress", "5");
    assert_eq!(limits(set), (20, 5));
    let errors = Setup::new().set("Limits:ConnectionsPerAddress", "-1").errors();
    assert!(errors.contains("a number from 0, which is no limit"), "{errors}");
    let warnings = Setup::new().set("Limits:ConnectionPerAddress", "1").warnings();
    assert!(warnings.contains("did you mean Limits:ConnectionsPerAddress?"), "{warnings}");
}

#[test]
fn proxies_that_are_believed() {
    assert_eq!(forwarded(Setup::new()), (vec![], 1, false));
    let enabled = || Setup::new().variable("ASPNETCORE_FORWARDEDHEADERS_ENABLED", "true");
    assert_eq!(forwarded(enabled()), (vec![], 1, true));
    let named = r#"{"ForwardedHeaders": {
        "KnownProxies": ["10.0.0.1", "::ffff:10.0.0.2"], "KnownIPNetworks": ["192.168.0.0/16"], "KnownNetworks": ["fd00::/8"],
        "ForwardLimit": 2
    }}"#;
    let known = ["10.0.0.1/32", "10.0.0.2/32", "192.168.0.0/16", "fd00::/8"].map(str::to_owned).to_vec();
    assert_eq!(forwarded(enabled().file("appsettings.json", named)), (known, 2, false));
    let errors = Setup::new()
        .set("ForwardedHeaders:KnownProxies", "10.0.0.0/8")
        .set("ForwardedHeaders:KnownIPNetworks", "10.0.0.1;10.0.0.0/33")
        .set("ForwardedHeaders:ForwardLimit", "0")
        .errors();
    for expected in ["there are 4 mistakes", "an IP address such as 10.0.0.1", "a network such as 10.0.0.0/8"]
    {
        assert!(errors.contains(expected), "{errors}");
    }
}
