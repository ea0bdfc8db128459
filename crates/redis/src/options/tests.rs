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
    assert_eq!(options.check_supported().unwrap_err().to_string(), "ssl=true is not supported yet");
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
    assert_eq!(options.check_supported(), Ok(()));
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
    for key in IGNORED {
        parse(&format!("redis,{key}=whatever"));
    }
    parse("redis,$CONFIG=,$PUBLISH=publish2");
}

#[test]
fn the_last_of_a_repeated_key_counts() {
    assert_eq!(parse("redis,name=a,name=b").name.as_deref(), Some("b"));
}

#[test]
fn mistakes_name_key_value_and_what_is_right() {
    let all = "abortConnect, asyncTimeout, channelPrefix, connectRetry, connectTimeout, defaultDatabase, keepAlive, \
               name, password, serviceName, ssl, syncTimeout, user";
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
        ("redis:70000", "'redis:70000' is not an endpoint, expected a port from 1 to 65535 after the colon"),
        ("re dis", "'re dis' is not an endpoint, expected host, host:port or [IPv6]:port"),
        ("[::1", "'[::1' is not an endpoint, expected host, host:port or [IPv6]:port"),
        (
            "redis://:s3=cret@host:6379",
            "'redis://***@host:6379' is not an endpoint, expected host:port,user=name,password=secret in place of a URI",
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
fn what_is_not_supported_yet_is_told_together() {
    let error = parse("redis,ssl=true,serviceName=main").check_supported().unwrap_err();
    assert_eq!(
        error.to_string(),
        "ssl=true is not supported yet; serviceName (Redis Sentinel) is not supported yet"
    );
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
        ("redis,password=s3,cret!,name=x", "redis,password=***,***,name=x"),
    ];
    for (text, expected) in cases {
        assert_eq!(redact_connection_string(text), expected);
    }
}
