//! Who may connect: the environment, origins, hosts, tokens.

use super::Setup;

#[test]
fn an_environment_that_nobody_names_is_production() {
    let environment = |setup: Setup| setup.config().server.environment.to_string();
    for urls in ["http://localhost:5000", "http://127.0.0.1:1", "http://+:2"] {
        assert_eq!(environment(Setup::new().variable("ASPNETCORE_URLS", urls)), "Production", "{urls}");
    }
    assert_eq!(environment(Setup::new().variable("ASPNETCORE_ENVIRONMENT", " ")), "Production");
    let test = || Setup::new().variable("ASPNETCORE_ENVIRONMENT", "Test");
    assert_eq!(environment(test()), "Test");
    let both = || Setup::new().variable("ASPNETCORE_ENVIRONMENT", "A").variable("DOTNET_ENVIRONMENT", "B");
    assert_eq!(environment(both()), "B", "as in .NET");
    assert_eq!(environment(both().args(|args| args.environment = Some("C".into()))), "C");
    assert_eq!(environment(both().set("ENVIRONMENT", "D")), "D");

    let elsewhere =
        Setup::new().variable("ENVIRONMENT", "Shell").file("appsettings.json", r#"{"Environment": "File"}"#);
    assert_eq!(environment(elsewhere), "Production", "these two do not decide");
}

#[test]
fn dev_is_short_for_development() {
    let dev = || Setup::new().args(|args| args.dev = true);
    let file = r#"{"SignalR": {"EnableDetailedErrors": true}}"#;
    let loaded = dev().file("appsettings.Development.json", file).loaded();
    assert!(
        loaded.config.server.environment.is_development() && loaded.config.signalr.enable_detailed_errors
    );
    assert!(loaded.describe().contains("command line --dev"), "{}", loaded.describe());

    let same = dev().variable("ASPNETCORE_ENVIRONMENT", "development").set("Environment", "Development");
    assert!(same.config().server.environment.is_development());
    let errors = dev()
        .variable("DOTNET_ENVIRONMENT", "Production")
        .args(|args| args.environment = Some("Staging".into()))
        .errors();
    insta::assert_snapshot!(errors);
    let hidden =
        dev().variable("ASPNETCORE_ENVIRONMENT", "Production").set("Environment", "Development").errors();
    assert!(hidden.contains("ASPNETCORE_ENVIRONMENT"), "{hidden}");
}

#[test]
fn origins_whose_pages_may_connect() {
    let development = || Setup::new().args(|args| args.dev = true);
    let origins = |setup: Setup| setup.config().server.allowed_origins.to_string();
    assert_eq!(origins(Setup::new()), "none but its own");
    assert_eq!(origins(development()), "any");
    assert_eq!(origins(Setup::new().variable("ASPNETCORE_ENVIRONMENT", "Staging")), "none but its own");
    let file = || {
        let list = (0..11).map(|n| format!("\"https://{n}.example\"")).collect::<Vec<_>>().join(",");
        Setup::new().file("appsettings.json", &format!("{{\"Cors\": {{\"AllowedOrigins\": [{list}]}}}}"))
    };
    assert!(origins(file()).starts_with("https://0.example, https://1.example, https://2.example"));
    assert!(
        origins(file().variable("Cors__AllowedOrigins__1", "null"))
            .starts_with("https://0.example, null, https://2")
    );
    let one = || file().variable("Cors__AllowedOrigins", "https://a.example/; http://B.example:80,null");
    assert_eq!(origins(one()), "https://a.example, http://b.example, null");
    assert_eq!(origins(Setup::new().set("Cors:AllowedOrigins", "*")), "any");
    let patterns =
        || Setup::new().set("Cors:AllowedOrigins", "file://,https://*.example.org,http://[::1]:8080");
    assert_eq!(origins(patterns()), "file://, https://*.example.org, http://[::1]:8080");
    let listed = development().set("Cors:AllowedOrigins", "https://a.example");
    assert_eq!(origins(listed), "https://a.example", "a list counts in every environment");
    let mistakes = Setup::new().set("Cors:AllowedOrigins", "https://a.example/path, https://a.*.b").errors();
    assert!(mistakes.contains("2 mistakes") && mistakes.contains("'https://a.*.b'"), "{mistakes}");
    let misspelt = Setup::new().set("Cors:AllowedOrigin", "https://a.example").warnings();
    assert!(misspelt.contains("did you mean Cors:AllowedOrigins?"), "{misspelt}");
}

#[test]
fn hosts_as_aspnet_core_reads_them() {
    let hosts = |setup: Setup| {
        let hosts = setup.config().server.allowed_hosts;
        hosts.map(|hosts| hosts.iter().map(ToString::to_string).collect::<Vec<_>>().join(" "))
    };
    assert_eq!(hosts(Setup::new()), None);
    for any in ["*", "example.org;*", "0.0.0.0", "[::]", ";"] {
        assert_eq!(hosts(Setup::new().variable("AllowedHosts", any)), None, "{any}");
    }
    let file =
        || Setup::new().file("appsettings.json", r#"{"AllowedHosts": "Example.org; *.example.org;[::1]"}"#);
    assert_eq!(hosts(file()).as_deref(), Some("example.org *.example.org [::1]"));
    assert_eq!(hosts(file().set("AllowedHosts", "10.0.0.1")).as_deref(), Some("10.0.0.1"));
    assert!(file().loaded().describe().contains("example.org;*.example.org;[::1]"));
    let mistakes = Setup::new().set("AllowedHosts", "a.example:80;b.example").errors();
    assert!(
        mistakes.contains("AllowedHosts = 'a.example:80'") && mistakes.contains("without a port"),
        "{mistakes}"
    );
}

const SECRET: &str = "a secret of at least 32 bytes, not so secret";
const PUBLIC_KEY: &str = include_str!("../../../../auth/tests/keys/p256.pub.pem");

#[test]
fn anonymous_users_may_chat_where_nobody_can_sign_in() {
    let may = |setup: Setup| setup.config().authentication.anonymous_may_chat();
    let with_key = || Setup::new().set("Jwt:Key", SECRET);
    assert!(may(Setup::new()) && may(Setup::new().args(|args| args.dev = true)));
    assert!(!may(with_key()) && !may(with_key().args(|args| args.dev = true)));
    assert!(!may(Setup::new().set("Jwt:JwksUrl", "https://login.example/keys")));
    assert!(may(with_key().set("Authentication:AllowAnonymous", "true")));
    assert!(!may(with_key().set("authentication:allowanonymous", "False")));
    assert!(may(Setup::new().set("Authentication:AllowAnonymous", "true")));

    let errors = Setup::new().set("Authentication:AllowAnonymous", "false").errors();
    assert!(errors.contains("nobody could use the chat") && errors.contains("Jwt__Key"), "{errors}");
    let errors = Setup::new().set("Authentication:AllowAnonymous", "false").set("Jwt:Key", "short").errors();
    assert!(errors.contains("a mistake in") && errors.contains("at least 32"), "{errors}");
}

#[test]
fn bad_tokens_are_refused_where_there_are_keys() {
    assert!(
        Setup::new().set("Jwt:Key", SECRET).config().authentication.bearer.unwrap().refuse_invalid_tokens
    );
}

/// How a public key may come, and that none of it is a secret, or shown.
#[test]
fn a_public_key_is_no_secret_wherever_it_stands() {
    let base64: String = PUBLIC_KEY.lines().filter(|line| !line.starts_with('-')).collect();
    let one_line = PUBLIC_KEY.replace('\n', "\\n");
    let texts = [
        PUBLIC_KEY.to_owned(),
        format!("\"{one_line}\""),
        format!("\u{feff}# the issuer's\n{PUBLIC_KEY}"),
        base64.clone(),
    ];
    for text in &texts {
        let bearer = Setup::new().variable("Jwt__Key", text).config().authentication.bearer.unwrap();
        let debug = format!("{:?}", bearer.keys);
        assert!(debug.contains("Es256") && !debug.contains("Hs256"), "{debug}");
        let errors = Setup::new().set("Authentication:Schemes:Bearer:SigningKeys:0:Value", text).errors();
        assert!(errors.contains("public key or a certificate, and no secret"), "{errors}");
        assert!(errors.contains("Value = '***'") && !errors.contains(&base64[..20]), "{errors}");
    }
    let mistakes = [
        (
            "-----BEGIN PRIVATE KEY-----\nMC4CAQAwBQYDK2VwBCIEIA==\n-----END PRIVATE KEY-----",
            "this is a private key",
        ),
        ("https://login.example/realms/clinic/protocol/openid-connect/certs", "Jwt:JwksUrl"),
        ("/run/secrets/the-public-key-of-the-issuer.pem", "the name of a file"),
        (&PUBLIC_KEY[..100], "a line of it is missing"),
        ("  \"thirty-one bytes, one too few..\"  ", "has 31 bytes"),
    ];
    for (text, expected) in mistakes {
        let errors = Setup::new().set("Jwt:Key", text).errors();
        assert!(errors.contains(expected), "{text}: {errors}");
    }
}

#[test]
fn margins_of_a_secret_are_warned_about() {
    let warnings = |secret: String| Setup::new().variable("Jwt__Key", &secret).warnings();
    assert_eq!(warnings(SECRET.to_owned()), "");
    for secret in [format!("\"{SECRET}\""), format!("{SECRET}\n"), format!("\u{feff}{SECRET}")] {
        let warnings = warnings(secret);
        assert!(
            warnings.contains("environment variable Jwt__Key") && warnings.contains("part of the secret"),
            "{warnings}"
        );
        assert!(!warnings.contains("not so"), "{warnings}");
    }
    assert_eq!(warnings(format!("\"{PUBLIC_KEY}\"")), "", "a key is what it is");
}
