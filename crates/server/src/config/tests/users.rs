//! The files of variables in `deploy`.

use super::*;

/// The file of variables of one of the two systems that Hubline was made for, over what their Compose files set.
fn users(file: &str, compose: &[(&str, &str)]) -> Loaded {
    let path = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("../../deploy").join(file);
    let variables = hubline_testkit::env_file(&path).unwrap();
    let setup = variables.iter().fold(Setup::new(), |setup, (name, value)| setup.variable(name, value));
    compose.iter().fold(setup, |setup, (name, value)| setup.variable(name, value)).loaded()
}

#[test]
fn the_files_of_variables_set_what_the_users_set_in_their_source() {
    let skip = ("CONDUIT_SKIP_DATABASE_INIT", "true");
    let conduit = users(
        "conduit.env",
        &[
            ("ASPNETCORE_URLS", "http://+:5000"),
            (
                "ConnectionStrings__Database",
                "Host=postgres;Database=conduit;Username=conduit;Password=conduit123",
            ),
            (
                "ConnectionStrings__RedisSignalR",
                "redis-signalr:6379,abortConnect=false,connectTimeout=5000,syncTimeout=5000",
            ),
            skip,
        ],
    );
    let (config, warnings) = (conduit.config, conduit.warnings);
    assert!(warnings.is_empty(), "{warnings:?}");
    assert!(config.server.environment.is_development() && config.management.key.is_none());
    let redis = config.redis.options.as_ref().unwrap();
    assert_eq!((redis.default_database, redis.name.as_deref()), (2, Some("conduit")));
    assert_eq!(redis.channel_prefix.as_deref(), Some("conduit_signalr:"));
    for origin in ["null", "http://localhost", "http://localhost:5002"] {
        assert!(config.server.allowed_origins.contains(origin), "{origin}");
    }
    assert!(!config.server.allowed_origins.contains("https://evil.example.org"));
    let said = crate::app::banner(&config);
    assert!(
        said.contains("[Conduit] SignalR configured with Redis backplane for horizontal scaling"),
        "{said}"
    );

    let redis = ("Redis__ConnectionString", "redis:6379,password=YourRedisPassword");
    let teledoctor = users("teledoctor.env", &[redis, ("SignalR__UseRedisBackplane", "true")]);
    let (config, warnings) = (teledoctor.config, teledoctor.warnings);
    assert!(warnings.is_empty() && config.server.environment.is_production(), "{warnings:?}");
    let redis = config.redis.options.unwrap();
    assert_eq!(redis.channel_prefix.as_deref(), Some("TeleDoctor"));
    assert_eq!(redis.instance_name.as_deref(), Some("TeleDoctor:"));
    assert!(config.database.options.is_shared());
}
