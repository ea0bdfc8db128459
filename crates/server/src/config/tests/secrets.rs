//! Secrets, wherever somebody may write them, are shown nowhere.

use super::*;

const SECRET: &str = "s3cr3tw0rd";

/// A key, and a value with the secret in it.
const SPELLINGS: &[(&str, &str)] = &[
    ("Redis:ConnectionString", "localhost,password=s3cr3tw0rd"),
    ("Redis:ConnectionString", "localhost, PassWord = s3cr3tw0rd ,ssl=true"),
    ("Redis:ConnectionString", "localhost,pasword=s3cr3tw0rd"),
    ("Redis:ConnectionString", "localhost,pwd=s3cr3tw0rd"),
    ("Redis:ConnectionString", "localhost,password:s3cr3tw0rd"),
    ("Redis:ConnectionString", "localhost,pwd:s3cr3tw0rd"),
    ("Redis:ConnectionString", "localhost password:s3cr3tw0rd"),
    ("Redis:ConnectionString", "localhost;password:s3cr3tw0rd"),
    ("Redis:ConnectionString", "localhost;password=s3cr3tw0rd"),
    ("Redis:ConnectionString", "localhost,password=a,s3cr3tw0rd"),
    ("Redis:ConnectionString", "localhost,password=a,s3cr3tw0rd!"),
    ("Redis:ConnectionString", "localhost,password=a,s3cr3tw0rd=b"),
    ("Redis:ConnectionString", "localhost,password=a,b,s3cr3tw0rd"),
    ("Redis:ConnectionString", "localhost,password=s3cr3tw0rd,b"),
    ("Redis:ConnectionString", "localhost,s3cr3tw0rd!"),
    ("Redis:ConnectionString", "localhost,s3cr3tw0rd=="),
    ("Redis:ConnectionString", "localhost,me:s3cr3tw0rd"),
    ("Redis:ConnectionString", "me:s3cr3tw0rd@localhost"),
    ("Redis:ConnectionString", "localhost@s3cr3tw0rd!"),
    ("Redis:ConnectionString", "redis://me:s3cr3tw0rd@localhost"),
    ("Redis:ConnectionString", "redis://s3cr3tw0rd@localhost"),
    ("Redis:ConnectionString", "redis://:a/s3cr3tw0rd@localhost"),
    ("Redis:ConnectionString", "redis://:a#s3cr3tw0rd@localhost"),
    ("Redis:ConnectionString", "redis://localhost?password=s3cr3tw0rd"),
    ("Redis:ConnectionString", "redis://localhost?pass=s3cr3tw0rd"),
    ("Redis:ConnectionString", "redis://localhost?s3cr3tw0rd=="),
    ("Redis:ConnectionString", "localhost,redis://me:s3cr3tw0rd@localhost"),
    ("ConnectionStrings:RedisSignalR", "localhost,password:s3cr3tw0rd"),
    ("ConnectionStrings:Database", "Host=db;Password=s3cr3tw0rd"),
    ("ConnectionStrings:Database", "Host=db;Pwd=s3cr3tw0rd"),
    ("ConnectionStrings:Database", "Host=db;Password:s3cr3tw0rd"),
    ("ConnectionStrings:Database", "Host=db Password=s3cr3tw0rd"),
    ("ConnectionStrings:Database", "Host=me:s3cr3tw0rd@db"),
    ("ConnectionStrings:Database", "Host=db;Password=a;s3cr3tw0rd=b"),
    ("ConnectionStrings:Database", "Host=db;Password=\"a;Host=s3cr3tw0rd\""),
    ("ConnectionStrings:Database", "postgres://me:s3cr3tw0rd@db/x"),
    ("Jwt:Key", "s3cr3tw0rd"),
    ("Jwt:Key", "-----BEGIN PUBLIC KEY----- s3cr3tw0rd"),
    ("Jwt:JwksUrl", "https://me:s3cr3tw0rd@keys.example/jwks"),
    ("Jwt:JwksUrl", "me:s3cr3tw0rd@keys.example/jwks"),
    ("Jwt:JwksUrl", "https://me:a/s3cr3tw0rd@keys.example/jwks"),
    ("Jwt:JwksUrl", "https://keys.example/jwks?code=s3cr3tw0rd"),
    ("Jwt:JwksUrl", "http://keys.example/jwks?code=s3cr3tw0rd"),
    ("Authentication:Schemes:Bearer:Authority", "https://me:s3cr3tw0rd@keys.example"),
    ("Authentication:Schemes:Bearer:MetadataAddress", "https://me:s3cr3tw0rd@keys.example/x"),
    ("Authentication:Schemes:Bearer:SigningKeys:0:Value", "s3cr3tw0rd"),
    ("SignalR:TokenKeys", "s3cr3tw0rd"),
    ("SignalR:TokenKeys:0", "s3cr3tw0rd"),
    ("Management:Key", "s3cr3tw0rd"),
    ("Management:Key", "s3cr3tw0rd-s3cr3tw0rd-s3cr3tw0rd-s3cr3tw0rd"),
    ("Management:Kay", "s3cr3tw0rd"),
    ("Management:Urls", "http://me:s3cr3tw0rd@localhost:9090"),
    ("Urls", "http://me:s3cr3tw0rd@localhost:5000"),
    ("Urls", "https://me:s3cr3tw0rd@localhost:5000"),
    ("Urls", "http://localhost:1;http://me:a/s3cr3tw0rd@localhost:5000"),
    ("Cors:AllowedOrigins", "https://me:s3cr3tw0rd@page.example"),
    ("Cors:AllowedOrigins:0", "https://me:s3cr3tw0rd@page.example"),
    ("Redis:Password", "s3cr3tw0rd"),
    ("SignalR:MaximumMessageSize", "redis://me:s3cr3tw0rd@localhost"),
    ("Environment", "redis://me:s3cr3tw0rd@localhost"),
    ("contentRoot", "redis://me:s3cr3tw0rd@localhost"),
];

#[test]
fn no_secret_is_shown_wherever_it_is_written() {
    for (key, value) in SPELLINGS {
        assert!(value.contains(SECRET), "{value}");
        let setups = [
            Setup::new().set(key, value),
            Setup::new().variable(&key.replace(':', "__"), value),
            Setup::new().variable(&format!("ASPNETCORE_{}", key.replace(':', "__")), value),
        ];
        for setup in setups {
            let shown = match setup.result() {
                Ok(loaded) => {
                    let banner = crate::app::banner(&loaded.config);
                    format!("{}\n{:?}\n{banner}\n{:?}", loaded.describe(), loaded.config, loaded.warnings)
                }
                Err(errors) => format!("{errors}\n{errors:?}"),
            };
            assert!(!shown.to_lowercase().contains(SECRET), "{key} = {value}\n{shown}");
        }
    }
}

#[test]
fn what_is_no_secret_stays_readable() {
    for (key, value, shown) in [
        ("Jwt:JwksUrl", "http://keys.example/a", "'http://keys.example/a'"),
        ("Jwt:JwksUrl", "http://me:x@keys.example/a?b=c", "'http://***@keys.example/a?***'"),
        ("Urls", "http://webapi:8080", "host 'webapi' is none to listen on"),
        ("Redis:ConnectionString", "redis:port", "'redis:***' is not an endpoint"),
        ("Redis:ConnectionString", "redis,password:x", "expected password=..."),
        ("Redis:ConnectionString", "redis,password=a,b", "as %2C"),
        ("Redis:ConnectionString", "redis,password=a,abortConect=false", "did you mean 'abortConnect'?"),
        ("Redis:ConnectionString", "redis,password=a,other:7000,ssl=x", "ssl=x is not valid"),
    ] {
        let errors = Setup::new().set(key, value).errors();
        assert!(errors.contains(shown), "{value}: {errors}");
    }
}
