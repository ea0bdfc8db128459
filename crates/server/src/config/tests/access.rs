//! Who may connect: the environment, origins, hosts.

use super::Setup;

#[test]
fn an_environment_that_nobody_names_is_production() {
    let environment = |setup: Setup| setup.config().environment.to_string();
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
    assert!(loaded.config.environment.is_development() && loaded.config.enable_detailed_errors);
    assert!(loaded.describe().contains("command line --dev"), "{}", loaded.describe());

    let same = dev().variable("ASPNETCORE_ENVIRONMENT", "development").set("Environment", "Development");
    assert!(same.config().environment.is_development());
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
    let origins = |setup: Setup| setup.config().allowed_origins.to_string();
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
        let hosts = setup.config().allowed_hosts;
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
