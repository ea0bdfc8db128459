//! Keys that tokens are verified and signed with.

use super::*;

/// What `dotnet user-jwts create` leaves behind.
const USER_JWTS: &str = r#"{
  "Authentication": { "Schemes": { "Bearer": {
    "ValidAudiences": [ "http://localhost:5000", "https://localhost:5001" ],
    "ValidIssuer": "dotnet-user-jwts",
    "SigningKeys": [ { "Id": "a1", "Issuer": "dotnet-user-jwts", "Value": "YSBzZWNyZXQgb2YgYXQgbGVhc3QgMzIgYnl0ZXMsIG5vdCBzbyBzZWNyZXQ=", "Length": 32 } ]
  } } }
}"#;

#[test]
fn tokens_as_aspnet_core_configures_them() {
    let bearer = Setup::new().file("appsettings.json", USER_JWTS).config().authentication.bearer.unwrap();
    assert_eq!(bearer.issuers, ["dotnet-user-jwts"]);
    assert_eq!(bearer.audiences, ["http://localhost:5000", "https://localhost:5001"]);
    assert_eq!(bearer.keys.len(), 1);
    assert_eq!(bearer.clock_skew, Duration::from_secs(300));
    assert!(bearer.remote_keys.is_none() && bearer.include_error_details);

    let authority =
        || Setup::new().set("Authentication:Schemes:Bearer:Authority", "https://login.example/realm");
    let remote =
        |setup: Setup| format!("{:?}", setup.config().authentication.bearer.unwrap().remote_keys.unwrap());
    assert!(remote(authority()).contains("https://login.example/realm/.well-known/openid-configuration"));
    let metadata = || authority().set("Authentication:Schemes:Bearer:MetadataAddress", "http://idp/metadata");
    assert!(metadata().errors().contains("https"), "{}", metadata().errors());
    let insecure = metadata().set("Authentication:Schemes:Bearer:RequireHttpsMetadata", "false");
    let lifted = |setup: Setup| {
        setup.config().authentication.bearer.unwrap().remote_keys.unwrap().allow_private_key_addresses
    };
    assert!(!lifted(authority()) && lifted(authority().set("Jwt:AllowPrivateKeyAddresses", "true")));
    assert!(remote(insecure).contains("http://idp/metadata"));
}

#[test]
fn tokens_as_most_applications_configure_them() {
    let setup = || {
        Setup::new()
            .variable("Jwt__Key", "a secret of at least 32 bytes, not so secret")
            .variable("Jwt__Issuer", "TeleDoctor")
            .variable("Jwt__Audience", "chat")
            .variable("Jwt__ClockSkew", "0")
    };
    let bearer = setup().file("appsettings.json", USER_JWTS).config().authentication.bearer.unwrap();
    assert_eq!(bearer.issuers, ["TeleDoctor", "dotnet-user-jwts"]);
    assert_eq!(bearer.audiences, ["chat", "http://localhost:5000", "https://localhost:5001"]);
    assert_eq!((bearer.keys.len(), bearer.clock_skew), (2, Duration::ZERO));
    assert!(Setup::new().config().authentication.bearer.is_none());
    let remote =
        Setup::new().set("Jwt:JwksUrl", "https://a.example/keys").config().authentication.bearer.unwrap();
    assert!(remote.remote_keys.is_some());
}

#[test]
fn keys_of_tokens_are_shown_nowhere() {
    let setup = || {
        Setup::new()
            .file("appsettings.json", USER_JWTS)
            .set("Jwt:Key", "a secret of at least 32 bytes, not so secret")
    };
    let loaded = setup().loaded();
    let shown = format!("{} {:?}", loaded.describe(), loaded.config);
    assert!(shown.contains("Jwt:Key = ***") && shown.contains("SigningKeys:0:Value"), "{shown}");
    let errors = Setup::new()
        .set("Jwt:Key", "too short a secret")
        .set("Authentication:Schemes:Bearer:SigningKeys:0:Value", "no base64 secret")
        .errors();
    assert!(errors.contains("Jwt:Key = '***'") && errors.contains("18 bytes"), "{errors}");
    for text in [shown, errors] {
        assert!(
            !text.contains("YSBz")
                && !text.contains("not so")
                && !text.contains("a secret of at least")
                && !text.contains("64 s"),
            "{text}"
        );
    }
}

#[test]
fn tokens_without_a_key_are_warned_about() {
    let setup = Setup::new().set("Jwt:Issuer", "TeleDoctor").set("SignalR:Transports", "LongPolling");
    assert!(setup.warnings().contains("Jwt:Issuer (command line --Jwt:Issuer) has no effect"));
}

#[test]
fn token_keys_are_secrets_of_a_good_length() {
    let key = "AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA=";
    let setup = || Setup::new().variable("SignalR__TokenKeys__0", key).variable("SignalR__TokenKeys__1", key);
    assert_eq!(setup().config().signalr.token_keys.len(), 2);
    assert!(!format!("{:?}", setup().config()).contains(key));
    let mistakes = Setup::new().set("SignalR:TokenKeys", "c2hvcnQ=").errors();
    assert!(mistakes.contains("base64 of 32 bytes or more") && !mistakes.contains("c2hvcnQ="), "{mistakes}");
}
