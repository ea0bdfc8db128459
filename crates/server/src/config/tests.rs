mod access;
mod calls;
mod edge;
mod limits;
mod logging;
mod readme;
mod round_trip;
mod secrets;
mod tls;
mod tokens;
mod users;

use std::fs;
use std::time::Duration;

use hubline::{HubProtocol, TransportKind};
use tracing::level_filters::LevelFilter;

use super::*;

/// A configuration about to be loaded: files in a directory of its own, variables, flags.
struct Setup {
    directory: tempfile::TempDir,
    variables: Vec<(String, String)>,
    args: ConfigArgs,
}

impl Setup {
    fn new() -> Self {
        let directory = tempfile::tempdir().unwrap();
        Self { directory, variables: Vec::new(), args: ConfigArgs::default() }
    }

    fn file(self, name: &str, text: &str) -> Self {
        fs::write(self.directory.path().join(name), text).unwrap();
        self
    }

    fn variable(mut self, name: &str, value: &str) -> Self {
        self.variables.push((name.to_owned(), value.to_owned()));
        self
    }

    fn set(mut self, key: &str, value: &str) -> Self {
        self.args.set.push((key.to_owned(), value.to_owned()));
        self
    }

    fn args(mut self, change: impl FnOnce(&mut ConfigArgs)) -> Self {
        change(&mut self.args);
        self
    }

    fn result(self) -> Result<Loaded, ConfigErrors> {
        Config::load(&self.args, self.variables, self.directory.path())
    }

    fn loaded(self) -> Loaded {
        self.result().unwrap_or_else(|errors| panic!("{errors}"))
    }

    fn config(self) -> Config {
        self.loaded().config
    }

    fn errors(self) -> String {
        self.result().unwrap_err().to_string()
    }

    fn warnings(self) -> String {
        let warnings = self.loaded().warnings;
        warnings.iter().map(ToString::to_string).collect::<Vec<_>>().join("\n")
    }
}

fn urls(config: &Config) -> String {
    config.server.urls.iter().map(ToString::to_string).collect::<Vec<_>>().join(" ")
}

const TELEDOCTOR: &str = r#"{
  "Redis": {
    "ConnectionString": "localhost:6379",
    "InstanceName": "TeleDoctor:",
    "AbortOnConnectFail": false
  },
  "SignalR": {
    "UseRedisBackplane": true,
    "MaximumMessageSize": 32768
  }
}"#;

#[test]
fn nothing_set() {
    insta::assert_snapshot!(Setup::new().loaded().describe());
}

#[test]
fn everything_set() {
    let loaded = Setup::new()
        .file("appsettings.json", TELEDOCTOR)
        .file(
            "appsettings.Staging.json",
            "\u{feff}{ // ours\n \"SignalR\": { \"KeepAliveInterval\": \"00:00:05\", /* s */ \"HandshakeTimeout\": 2.5, }, \"AllowedHosts\": \"*\", }",
        )
        .variable("ASPNETCORE_ENVIRONMENT", "Staging")
        .variable("ASPNETCORE_URLS", "http://+:5000;http://[::1]:5001")
        .variable("Redis__ConnectionString", "redis:6379,password=YourRedisPassword,defaultDatabase=2")
        .variable("ConnectionStrings__Database", "Host=postgres;Database=conduit;Username=conduit;Password=conduit123")
        .variable("CONDUIT_SKIP_DATABASE_INIT", "true")
        .variable("SignalR__HubNames__ChatHub", "TeleDoctor.Hubs.ChatHub")
        .variable("Logging__LogLevel__Default", "warning")
        .variable("PATH", "/usr/bin")
        .set("SignalR:ChannelPrefix", "TeleDoctor")
        .args(|args| args.shutdown_timeout = Some("30".to_owned()))
        .loaded();
    insta::assert_snapshot!(loaded.describe());

    let config = loaded.config;
    let redis = config.redis.options.unwrap();
    assert_eq!(redis.channel_prefix.as_deref(), Some("TeleDoctor"));
    assert_eq!(redis.password.unwrap().expose(), "YourRedisPassword");
    assert_eq!(config.redis.instance_name.as_deref(), Some("TeleDoctor:"));
    assert_eq!(config.redis.hub_names.get("chathub"), Some("TeleDoctor.Hubs.ChatHub"));
    assert_eq!(config.redis.hub_names.iter().count(), 1);
    assert_eq!(config.signalr.keep_alive_interval, Duration::from_secs(5));
    assert_eq!(config.signalr.handshake_timeout, Duration::from_millis(2500));
    assert_eq!(config.server.drain.timeout, Duration::from_secs(30));
    assert_eq!(config.logging.level, LevelFilter::WARN);
    let database = config.database.options;
    assert_eq!(database.to_string(), "PostgreSQL at postgres:5432, database conduit");
    assert!(database.skip_migrations);
}

#[test]
fn every_mistake_is_reported_at_once() {
    let errors = Setup::new()
        .file(
            "appsettings.json",
            r#"{ "SignalR": { "MaximumMessageSize": "32 KB", "maximummessagesize": 1, "ChanelPrefix": "x" } }"#,
        )
        .file("appsettings.Production.json", "{ \"SignalR\": { \"EnableDetailedErrors\": yes } }")
        .variable("ASPNETCORE_URLS", "https://+:5001;http://+:5000;http://localhost:0")
        .variable("Redis__ConnectionString", "redis:6379,password=s3cret,pasword=s3cret,connectTimeout=5s")
        .variable("SignalR__KeepAliveInterval", "15 sec")
        .variable("SignalR__ClientTimeoutInterval", "0")
        .variable("CONDUIT_SKIP_DATABASE_INIT", "1")
        .variable("Logging__LogLevel__Default", "Info")
        .set("SignalR:UseRedisBackplane", "maybe")
        .args(|args| args.shutdown_timeout = Some("soon".to_owned()))
        .errors();
    insta::assert_snapshot!(errors);
}

#[test]
fn metrics_have_a_path_of_their_own_or_none() {
    let path =
        |value: &str| Setup::new().variable("Prometheus__Path", value).config().management.metrics_path;
    assert_eq!(Setup::new().config().management.metrics_path.as_deref(), Some("/metrics"));
    assert_eq!(path("/internal/metrics/").as_deref(), Some("/internal/metrics"));
    assert_eq!(path("/hubs").as_deref(), Some("/hubs"));
    assert_eq!(Setup::new().variable("Prometheus__Enabled", "False").config().management.metrics_path, None);
    for taken in ["/health", "/ChatHub/negotiate", "/hubs/navigation-state/"] {
        let errors = Setup::new().variable("Prometheus__Path", taken).errors();
        assert!(
            errors.contains("expected a path where nothing else is served, such as /metrics"),
            "{errors}"
        );
    }
    for wrong in ["metrics", "/", "//metrics", "/{id}", "/metrics?x"] {
        let errors = Setup::new().variable("Prometheus__Path", wrong).errors();
        assert!(errors.contains("expected a path of letters, digits and -._~ such as /metrics"), "{errors}");
    }
    let warnings = Setup::new().variable("Prometheus__Pfad", "/x").warnings();
    assert!(warnings.contains("Prometheus:Pfad") && warnings.contains("Prometheus:Path"), "{warnings}");
}

#[test]
fn redis_asked_for_and_not_found() {
    let errors = Setup::new()
        .variable("SignalR__UseRedisBackplane", "true")
        .variable("Redis__ConectionString", "redis:6379")
        .errors();
    insta::assert_snapshot!(errors);
}

#[test]
fn redis_over_tls() {
    let redis = Setup::new()
        .file(
            "appsettings.json",
            r#"{"Redis": {"ConnectionString": "your-redis.redis.cache.windows.net:6380,password=your-redis-key,ssl=True,abortConnect=False"}}"#,
        )
        .config()
        .redis.options
        .unwrap();
    assert_eq!(redis.to_string(), "your-redis.redis.cache.windows.net:6380, TLS, database 0");
    let url =
        Setup::new().set("Redis:ConnectionString", "rediss://:your-redis-key@redis/2").config().redis.options;
    assert_eq!(url.unwrap().to_string(), "redis:6379, TLS, database 2");
}

#[test]
fn broken_files_and_places() {
    let errors = Setup::new()
        .file("appsettings.json", "[1]")
        .variable("DOTNET_ENVIRONMENT", "../Production")
        .args(|args| args.urls = Some("; ;".to_owned()))
        .errors();
    insta::assert_snapshot!(errors);
    let errors = Setup::new().args(|args| args.content_root = Some("nowhere".to_owned())).errors();
    insta::assert_snapshot!(errors);
}

#[test]
fn warnings() {
    let warnings = Setup::new()
        .file(
            "appsettings.json",
            r#"{
                "Redis": "localhost:6379",
                "SignalR": { "MaximumReceiveMessageSize": 1, "Unheard": { "Of": 1 } },
                "Kestrel": { "Endpoints": { "Http": { "Url": "http://+:1" } } },
                "AllowedHosts": "*"
            }"#,
        )
        .variable("ConnectionStrings__RedisSignalR", "redis-signalr:6379")
        .variable("ASPNETCORE_HTTP_PORTS", "8080")
        .set("Redis:ConnectionString", "other:6379")
        .variable("ASPNETCORE_URLS", "http://+:5000")
        .set("Lgging:LogLevel:Default", "Debug")
        .warnings();
    insta::assert_snapshot!(warnings);
}

#[test]
fn misspelt_keys_are_reported_in_every_section() {
    for (key, meant) in [
        ("Jwt:Isuer", "Jwt:Issuer"),
        ("Kestrel:Certficates:Default:Path", "Kestrel:Certificates:Default:Path"),
        ("Kestrel:Certificates:Default:Pasword", "Kestrel:Certificates:Default:Password"),
        ("Authentication:AllowAnonymus", "Authentication:AllowAnonymous"),
        ("Authentication:Schemes:Bearer:ValidAudence", "Authentication:Schemes:Bearer:ValidAudience"),
        ("ConnectionStrings:RedisSignlR", "ConnectionStrings:RedisSignalR"),
        ("HostOptions:ShutdownTimeuot", "HostOptions:ShutdownTimeout"),
        ("SignlR:MaximumMessageSize", "SignalR:MaximumMessageSize"),
        ("Corss:AllowedOrigins:0", "Cors:AllowedOrigins"),
        ("Cors:AlowedOrigins:0", "Cors:AllowedOrigins"),
    ] {
        let warnings = Setup::new().variable(&key.replace(':', "__"), "1").warnings();
        assert!(warnings.contains(&format!("{key} (environment")), "{warnings}");
        assert!(warnings.ends_with(&format!("did you mean {meant}?")), "{warnings}");
    }
    for not_ours in [
        "Logging:Debug:LogLevel:Default",
        "ConnectionStrings:DefaultConnection",
        "Authentication:Google:ClientId",
        "HostOptions:BackgroundServiceExceptionBehavior",
        "Serilog:MinimumLevel:Default",
        "REDIS_PORT",
        "URL",
    ] {
        assert_eq!(Setup::new().variable(&not_ours.replace(':', "__"), "1").warnings(), "", "{not_ours}");
    }
    let unread = Setup::new().variable("Authentication__Schemes__Bearer__SaveToken", "true").warnings();
    assert!(unread.contains("Bearer:SaveToken") && unread.contains("not a known key"), "{unread}");
}

#[test]
fn a_variable_that_was_not_expanded_is_named_with_the_cure() {
    let redis = "redis:6379,password=$(REDIS_PASSWORD)";
    let warnings = Setup::new().variable("Redis__ConnectionString", redis).warnings();
    assert!(
        warnings.starts_with(
            "Redis:ConnectionString (environment variable Redis__ConnectionString) has $(REDIS_PASSWORD)"
        ),
        "{warnings}"
    );
    assert!(warnings.contains("env, before this one") && warnings.lines().count() == 1, "{warnings}");
    let file = r#"{"SignalR": {"ChannelPrefix": "${STAGE}-chat"}, "Unrelated": "$(PATH)"}"#;
    let warnings = Setup::new().file("appsettings.json", file).warnings();
    assert!(warnings.starts_with("SignalR:ChannelPrefix (appsettings.json) has ${STAGE}"), "{warnings}");
    for value in ["$(lower)", "a$b", "$", "$(", "$()", "${NO", "$$", "A$(B-C)", "é$(ä)"] {
        assert_eq!(Setup::new().variable("SignalR__ChannelPrefix", value).warnings(), "", "{value}");
    }
}

#[test]
fn overriding_a_lower_layer_by_another_key_is_no_reason_to_warn() {
    let setup = Setup::new()
        .file("appsettings.json", TELEDOCTOR)
        .variable("ASPNETCORE_HTTP_PORTS", "8080")
        .variable("ConnectionStrings__RedisSignalR", "redis-signalr:6379")
        .set("Urls", "http://+:5000");
    assert_eq!(setup.warnings(), "");
}

#[test]
fn each_layer_goes_over_those_below() {
    let key = "SignalR:ChannelPrefix";
    let redis = || Setup::new().variable("Redis__ConnectionString", "redis,channelPrefix=string");
    let prefix = |setup: Setup| setup.config().redis.options.unwrap().channel_prefix.unwrap();
    assert_eq!(prefix(redis()), "string");

    let base = || redis().file("appsettings.json", r#"{"signalr": {"channelprefix": "base"}}"#);
    assert_eq!(prefix(base()), "base");
    let named = || base().file("appsettings.Production.json", r#"{"SignalR:ChannelPrefix": "named"}"#);
    assert_eq!(prefix(named()), "named");
    let aspnetcore = || named().variable("AspNetCore_SignalR__ChannelPrefix", "aspnetcore");
    assert_eq!(prefix(aspnetcore()), "aspnetcore");
    let dotnet = || aspnetcore().variable("DOTNET_SignalR__ChannelPrefix", "dotnet");
    assert_eq!(prefix(dotnet()), "dotnet");
    let variable = || dotnet().variable("SIGNALR__CHANNELPREFIX", "variable");
    assert_eq!(prefix(variable()), "variable");
    assert_eq!(prefix(variable().set(key, "flag")), "flag");
    assert_eq!(prefix(variable().set(key, "")), "string", "an empty value means the default");
}

#[test]
fn addresses_by_urls_then_by_ports() {
    assert_eq!(urls(&Setup::new().config()), "http://localhost:5000");
    let ports = || Setup::new().variable("ASPNETCORE_HTTP_PORTS", "8080;8081");
    assert_eq!(urls(&ports().config()), "http://*:8080 http://*:8081");
    let file = || ports().file("appsettings.json", r#"{"Urls": "http://+:5000; http://*:5000"}"#);
    assert_eq!(urls(&file().config()), "http://*:5000", "urls of a lower layer, without repetition");
    let both =
        file().variable("ASPNETCORE_URLS", "http://+:1").args(|args| args.urls = Some("http://+:2".into()));
    assert_eq!(urls(&both.config()), "http://*:2");
    assert_eq!(urls(&ports().variable("ASPNETCORE_URLS", "").config()), "http://*:8080 http://*:8081");
}

#[test]
fn content_root_is_where_the_files_are() {
    let setup = Setup::new();
    let database = format!("SQLite, {}", setup.directory.path().join("hubline.db").display());
    assert_eq!(setup.config().database.options.to_string(), database);
    let setup = Setup::new();
    fs::create_dir(setup.directory.path().join("app")).unwrap();
    let setup =
        setup.file("app/appsettings.json", TELEDOCTOR).args(|args| args.content_root = Some("app".into()));
    let config = setup.config();
    assert_eq!(config.redis.instance_name.as_deref(), Some("TeleDoctor:"));
}

#[test]
fn which_redis() {
    let host = |setup: Setup| setup.config().redis.options.map(|redis| redis.endpoints[0].host.clone());
    let plain = || Setup::new().set("Redis:ConnectionString", "plain");
    let named = || plain().variable("ConnectionStrings__RedisSignalR", "named");
    assert_eq!(host(Setup::new()), None);
    assert_eq!(host(plain()).as_deref(), Some("plain"));
    assert_eq!(host(named()).as_deref(), Some("named"));
    assert_eq!(host(named().args(|args| args.redis = Some("flag".into()))).as_deref(), Some("flag"));
    assert_eq!(host(named().set("SignalR:UseRedisBackplane", "False")), None);
    assert_eq!(host(Setup::new().variable("CUSTOMCONNSTR_RedisSignalR", "azure")).as_deref(), Some("azure"));
}

#[test]
fn only_an_explicit_true_aborts() {
    let abort = |text: &str, key: &str| {
        let setup = Setup::new().set("Redis:ConnectionString", text).set("Redis:AbortOnConnectFail", key);
        setup.config().redis.options.unwrap().aborts_on_connect_fail()
    };
    assert!(!abort("redis", ""));
    assert!(!abort("redis", "false"));
    assert!(abort("redis", "true"));
    assert!(abort("redis,abortConnect=true", "false"));
    assert!(!abort("redis,abortConnect=false", "true"), "the string says so itself");
}

#[test]
fn shutdown_timeout_in_three_spellings() {
    let timeout = |setup: Setup| setup.config().server.drain.timeout.as_secs();
    let seconds = || Setup::new().variable("DOTNET_shutdownTimeoutSeconds", "1");
    let host_options =
        || seconds().file("appsettings.json", r#"{"HostOptions": {"ShutdownTimeout": "00:00:02"}}"#);
    assert_eq!(timeout(Setup::new()), 3);
    assert_eq!(timeout(seconds()), 1);
    assert_eq!(timeout(host_options()), 2);
    assert_eq!(timeout(host_options().variable("ShutdownTimeout", "0")), 0);
}

#[test]
fn draining_has_a_delay_but_in_development() {
    let delay = |setup: Setup| setup.config().server.drain.delay.as_secs();
    assert_eq!(delay(Setup::new()), 5);
    assert_eq!(delay(Setup::new().args(|args| args.dev = true)), 0);
    let older = || Setup::new().variable("ShutdownDelay", "7");
    assert_eq!((delay(older()), delay(older().variable("Drain__Delay", "9"))), (7, 9));
}

#[test]
fn lists_of_known_things() {
    let config = Setup::new().config();
    assert_eq!((config.signalr.supported_protocols.len(), config.signalr.transports.len()), (2, 3));
    let config = Setup::new()
        .file("appsettings.json", r#"{"SignalR": {"SupportedProtocols": ["JSON", "json"]}}"#)
        .set("SignalR:Transports", "longpolling, WebSockets")
        .config();
    assert_eq!(config.signalr.supported_protocols, [HubProtocol::Json]);
    assert_eq!(config.signalr.transports, [TransportKind::LongPolling, TransportKind::WebSockets]);
    let mistakes =
        Setup::new().set("SignalR:Transports", "Pigeons").set("SignalR:SupportedProtocols:0", "xml").errors();
    assert!(mistakes.contains("expected WebSockets, ServerSentEvents or LongPolling"), "{mistakes}");
    assert!(
        mistakes.contains("SignalR:SupportedProtocols:0 = 'xml'") && mistakes.contains("json or messagepack")
    );
}

#[test]
fn two_hubs_cannot_have_one_name() {
    let (chat, navigation) = ("SignalR:HubNames:ChatHub", "SignalR:HubNames:NavigationStateHub");
    let both = Setup::new().set(chat, "Clinic.Hub").set(navigation, "Clinic.Hub").errors();
    let its_own = Setup::new().set(chat, "NavigationStateHub").errors();
    for mistakes in [both, its_own] {
        assert!(mistakes.contains("a name that no other hub has"), "{mistakes}");
    }
    let exchanged = Setup::new().set(chat, "NavigationStateHub").set(navigation, "ChatHub").config();
    assert_eq!(exchanged.redis.hub_names.get("ChatHub"), Some("NavigationStateHub"));
}

#[test]
fn database_and_name_of_the_connection_string_go_first() {
    let redis = |string: &str| {
        let setup =
            Setup::new().variable("Redis__DefaultDatabase", "2").variable("Redis__ClientName", "con duit");
        setup.variable("Redis__ConnectionString", string).config().redis.options.unwrap()
    };
    let (under, over) = (redis("redis:6379"), redis("redis:6379,defaultDatabase=3,name=own"));
    assert_eq!((under.default_database, under.name.as_deref()), (2, Some("conduit")));
    assert_eq!((over.default_database, over.name.as_deref()), (3, Some("own")));
    let errors = Setup::new().variable("Redis__DefaultDatabase", "two").errors();
    assert!(errors.contains("Redis:DefaultDatabase = 'two'") && errors.contains("such as 2"), "{errors}");
}
