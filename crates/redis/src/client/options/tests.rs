use proptest::prelude::*;

use super::*;

fn parse(text: &str) -> RedisOptions {
    text.parse().unwrap_or_else(|error| panic!("{text}: {error}"))
}

#[test]
fn endpoints_and_default_ports() {
    let cases = [
        ("localhost", "localhost:6379"),
        ("localhost:7000", "localhost:7000"),
        ("localhost:0", "localhost:6379"),
        ("redis-1, redis-2:7000 ,", "redis-1:6379 redis-2:7000"),
        ("[::1]:7000,[fe80::1],::1", "[::1]:7000 [fe80::1]:6379 [::1]:6379"),
        ("cache.example.com,ssl=true", "cache.example.com:6380"),
        ("sentinel,serviceName=main", "sentinel:26379"),
        ("ssl=true,serviceName=main,sentinel", "sentinel:26379"),
    ];
    for (text, expected) in cases {
        let endpoints: Vec<_> = parse(text).endpoints.iter().map(ToString::to_string).collect();
        assert_eq!(endpoints.join(" "), expected, "{text}");
    }
}

#[test]
fn defaults() {
    let options = parse("localhost");
    assert_eq!(options.abort_connect, None);
    assert!(!options.aborts_on_connect_fail());
    assert_eq!((options.default_database, options.connect_retry), (0, 3));
    assert_eq!(options.connect_timeout, Duration::from_secs(5));
    assert_eq!(options.async_timeout, Duration::from_secs(5));
    assert_eq!(options.keep_alive, Duration::from_secs(60));
    assert_eq!((options.user, options.password, options.name), (None, None, None));
    assert!(!options.ssl);
}

#[test]
fn azure_cache() {
    let options =
        parse("your-redis.redis.cache.windows.net:6380,password=your-redis-key,ssl=True,abortConnect=False");
    assert_eq!(options.endpoints[0].to_string(), "your-redis.redis.cache.windows.net:6380");
    assert_eq!(options.password.as_ref().unwrap().expose(), "your-redis-key");
    assert_eq!((options.ssl, options.abort_connect), (true, Some(false)));
}

#[test]
fn every_honoured_key_in_any_case() {
    let options = parse(
        "redis:6379,USER=app,Password=a=b==,AbortConnect=yes,DEFAULTDATABASE=2,channelprefix=conduit_signalr:,\
         connecttimeout=1000,connectretry=7,synctimeout=2000,asynctimeout=3000,keepalive=5,name=chat one,SSL=off",
    );
    assert_eq!(options.user.as_deref(), Some("app"));
    assert_eq!(options.password.as_ref().unwrap().expose(), "a=b==");
    assert!(options.aborts_on_connect_fail());
    assert_eq!((options.default_database, options.connect_retry), (2, 7));
    assert_eq!(options.channel_prefix.as_deref(), Some("conduit_signalr:"));
    assert_eq!(options.connect_timeout, Duration::from_secs(1));
    assert_eq!(options.sync_timeout, Duration::from_secs(2));
    assert_eq!(options.async_timeout, Duration::from_secs(3));
    assert_eq!(options.keep_alive, Duration::from_secs(5));
    assert_eq!(options.name.as_deref(), Some("chatone"));
}

#[test]
fn values_that_mean_the_default() {
    let options = parse("redis,password=,defaultDatabase=-1,keepAlive=-1,channelPrefix=,syncTimeout=2000");
    assert_eq!((options.password, options.channel_prefix), (None, None));
    assert_eq!(options.default_database, 0);
    assert_eq!(options.keep_alive, Duration::from_secs(60));
    assert_eq!(options.async_timeout, Duration::from_secs(2));
}

#[test]
fn other_keys_of_the_library_are_accepted() {
    for key in keywords::IGNORED.into_iter().filter(|key| *key != "protocol") {
        parse(&format!("redis,{key}=whatever"));
    }
    for protocol in ["resp2", "Resp3", "2", "3"] {
        parse(&format!("redis,protocol={protocol}"));
    }
    parse("redis,$CONFIG=,$PUBLISH=publish2");
}

#[test]
fn the_last_of_a_repeated_key_counts() {
    assert_eq!(parse("redis,name=a,name=b").name.as_deref(), Some("b"));
}

#[test]
fn mistakes_name_key_value_and_what_is_right() {
    let all = "abortConnect, asyncTimeout, channelPrefix, configCheckSeconds, connectRetry, connectTimeout, \
               defaultDatabase, keepAlive, name, password, sentinelPassword, sentinelUser, serviceName, ssl, sslHost, sslProtocols, syncTimeout, user, shardedChannels, spreadChannels, sslCaFile, sslCertFile, sslKeyFile";
    let unknown = format!("Keyword 'foo' is not supported, expected one of {all}");
    let cases = [
        ("", "there is no endpoint, expected for example localhost:6379"),
        ("name=x", "there is no endpoint, expected for example localhost:6379"),
        ("redis,foo=1", unknown.as_str()),
        ("redis,pasword=s3cret", "Keyword 'pasword' is not supported, did you mean 'password'?"),
        ("redis,abortConnect=maybe", "abortConnect=maybe is not valid, expected true or false"),
        ("redis,ssl=", "ssl= is not valid, expected true or false"),
        (
            "redis,connectTimeout=5s",
            "connectTimeout=5s is not valid, expected a whole number of milliseconds, 1 or more",
        ),
        (
            "redis,syncTimeout=0",
            "syncTimeout=0 is not valid, expected a whole number of milliseconds, 1 or more",
        ),
        ("redis,connectRetry=-1", "connectRetry=-1 is not valid, expected a whole number, 0 or more"),
        (
            "redis,defaultDatabase=x",
            "defaultDatabase=x is not valid, expected the number of a database, 0 or more",
        ),
        ("redis,keepAlive=1m", "keepAlive=1m is not valid, expected a whole number of seconds"),
        ("redis:70000", "'redis:***' is not an endpoint, expected a port from 1 to 65535 after the colon"),
        ("re dis", "'***' is not an endpoint, expected host, host:port or [IPv6]:port"),
        ("[::1", "'***' is not an endpoint, expected host, host:port or [IPv6]:port"),
        ("redis,protocol=4", "protocol=4 is not valid, expected resp2 or resp3"),
        ("redis,sslProtocols=Tls11", "sslProtocols=Tls11 is not valid, expected Tls12, Tls13 or Tls12|Tls13"),
        ("redis,sslCertFile=me.pem", "sslKeyFile is missing beside sslCertFile"),
        ("redis,spreadChannels=true,serviceName=main", "spreadChannels and serviceName exclude each other"),
        (
            "redis,spreadChannels=true,shardedChannels=true",
            "spreadChannels and shardedChannels exclude each other",
        ),
        ("redis,sslKeyFile=me.key", "sslCertFile is missing beside sslKeyFile"),
        (
            "other:1,redis://:s3=cret@host:6379",
            "'redis://***@host:6379' is not an endpoint, expected a URL alone, or host:port,user=name,password=secret",
        ),
        (
            "redis,ssl=2,keepAlive=x",
            "ssl=2 is not valid, expected true or false; keepAlive=x is not valid, expected a whole number of seconds",
        ),
    ];
    for (text, expected) in cases {
        assert_eq!(text.parse::<RedisOptions>().unwrap_err().to_string(), expected, "{text}");
    }
}

#[test]
fn tls() {
    let options = parse(
        "redis,ssl=true,sslHost=redis.example,sslProtocols=Tls12|Tls13,sslCaFile=/etc/ca.pem,\
         sslCertFile=me.pem,sslKeyFile=me.key,checkCertificateRevocation=false",
    );
    assert_eq!(options.ssl_host.as_deref(), Some("redis.example"));
    assert_eq!(options.ssl_ca_file, Some("/etc/ca.pem".into()));
    let ours = options.ssl_client_certificate.unwrap();
    assert_eq!((ours.certificate_file, ours.key_file), ("me.pem".into(), "me.key".into()));
    let versions = [
        ("None", RedisTlsVersions::Both),
        ("tls13|tls12", RedisTlsVersions::Both),
        ("Tls11|Tls12", RedisTlsVersions::OnlyTls12),
        ("Tls13", RedisTlsVersions::OnlyTls13),
    ];
    for (text, expected) in versions {
        assert_eq!(parse(&format!("redis,sslProtocols={text}")).ssl_protocols, expected, "{text}");
    }
}

#[test]
fn urls() {
    let cases = [
        ("redis://redis", "redis:6379, database 0"),
        ("REDIS://redis:7000/", "redis:7000, database 0"),
        ("rediss://redis/2", "redis:6379, TLS, database 2"),
        ("valkeys://[::1]:7000", "[::1]:7000, TLS, database 0"),
        ("redis://one,two:7000/1", "one:6379, two:7000, database 1"),
        ("redis://sentinel?serviceName=main", "master 'main' of Sentinels sentinel:26379, database 0"),
        (
            "rediss://me:pw@redis/1?channelPrefix=a%20b:&name=chat",
            "redis:6379, TLS, database 1, channel prefix 'a b:', name 'chat'",
        ),
    ];
    for (text, expected) in cases {
        assert_eq!(parse(text).to_string(), expected, "{text}");
    }
    let credentials = [
        ("redis://me:s3%2Fcr%40et@redis", Some("me"), Some("s3/cr@et")),
        ("redis://:s3,cr:et@redis", None, Some("s3,cr:et")),
        ("redis://redis", None, None),
        ("redis://redis?user=me&password=s3+cret", Some("me"), Some("s3 cret")),
    ];
    for (text, user, password) in credentials {
        let options = parse(text);
        assert_eq!(options.user.as_deref(), user, "{text}");
        assert_eq!(options.password.as_ref().map(RedisPassword::expose), password, "{text}");
    }
}

#[test]
fn mistakes_in_urls() {
    let cases = [
        ("http://redis", "'http://redis' is not a URL of Redis, expected redis:// or rediss:// in front"),
        ("redis://", "there is no endpoint, expected for example localhost:6379"),
        ("redis://me:s3cret", "'redis://***' is not a URL of Redis, expected host or host:port after the //"),
        (
            "redis://s3cret@redis",
            "'redis://***@redis' is not a URL of Redis, expected user:password before the @, \
             or :password for Redis' default user",
        ),
        (
            "redis://me:s3/cret@redis",
            "'redis://***' is not a URL of Redis, expected /, ?, # and @ in user, password and values \
             percent-encoded, for example %2F",
        ),
        (
            "redis://redis:6379,password=s3cret",
            "'redis://***' is not a URL of Redis, expected keys after a ?, as in \
             redis://host:6379/0?channelPrefix=chat:",
        ),
        (
            "redis://redis/main",
            "'redis://***' is not a URL of Redis, expected the number of a database after the host",
        ),
        (
            "redis://redis?keepAlive=x&pasword=s3cret",
            "keepAlive=x is not valid, expected a whole number of seconds; \
             Keyword 'pasword' is not supported, did you mean 'password'?",
        ),
    ];
    for (text, expected) in cases {
        assert_eq!(text.parse::<RedisOptions>().unwrap_err().to_string(), expected, "{text}");
    }
}

#[test]
fn passwords_are_never_shown() {
    let options = parse("redis,password=s3cret,defaultDatabase=2,channelPrefix=TeleDoctor,name=chat");
    assert_eq!(options.to_string(), "redis:6379, database 2, channel prefix 'TeleDoctor', name 'chat'");
    assert!(!format!("{options:?}").contains("s3cret"));

    let cases = [
        ("redis:6379,password=s3cret,ssl=true", "redis:6379,password=***,ssl=true"),
        ("redis, PASSWORD = s3=cret", "redis,PASSWORD=***"),
        ("redis,pasword=s3cret,sentinelPassword=x", "redis,pasword=***,sentinelPassword=***"),
        ("redis://me:s3cret@host:6379", "redis://***@host:6379"),
        ("redis://me:s3,cret@host/2?name=x&password=y", "redis://***@host/2?name=x&password=***"),
        ("redis://host,password=s3cret", "redis://***"),
        ("redis://me:s3cret", "redis://***"),
        ("redis,password=s3,cret!,name=x", "redis,password=***,***,name=x"),
        ("redis,password=s3,cret,name=x", "redis,password=***,***,name=x"),
        ("redis,password=s3,cret=,name=x", "redis,password=***,***,name=x"),
        ("password=s3,redis,cret", "password=***,redis,cret"),
        ("redis,password:s3cret", "redis,password:***"),
        ("redis,pwd:12345", "redis,pwd:***"),
        ("redis;password:s3cret", "***"),
        ("redis,s3cret!", "redis,***"),
        ("redis,me:s3cret", "redis,me:***"),
        ("redis,czNjcmV0czNjcmV0MTIz==", "redis,***=***"),
    ];
    for (text, expected) in cases {
        assert_eq!(redact_connection_string(text), expected);
    }
}

proptest! {
    /// Wherever a password stands, and whatever is in it that should have been encoded.
    #[test]
    fn no_password_is_shown(before in "[a-z0-9@/:?#&%=. -]{0,6}", after in "[a-z0-9@/:?#&%=,. -]{0,6}") {
        let password = format!("{before}s3cr3t{after}");
        let texts = [
            // After the separator of keys it would be a key.
            format!("redis,password={}", password.replace(',', "")),
            format!("redis,sentinelPassword={}", password.replace(',', "")),
            format!("redis://me:{password}@redis"),
            format!("rediss://:{password}@redis:7000/1?name=x"),
            format!("redis://redis?password={}", password.replace('&', "")),
            format!("redis://redis/1?name=x&pasword={}", password.replace('&', "")),
        ];
        for text in texts {
            prop_assert!(!redact_connection_string(&text).contains("s3cr3t"), "{text}");
            match text.parse::<RedisOptions>() {
                Ok(options) => {
                    prop_assert!(!options.to_string().contains("s3cr3t"), "{text}");
                    prop_assert!(!format!("{options:?}").contains("s3cr3t"), "{text}");
                }
                Err(error) => prop_assert!(!error.to_string().contains("s3cr3t"), "{text}: {error}"),
            }
        }
    }
}
