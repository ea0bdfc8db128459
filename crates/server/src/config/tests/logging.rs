//! Levels of categories, and the format of the log.

use tracing::level_filters::LevelFilter;

use super::Setup;

fn levels(setup: Setup) -> Vec<(String, LevelFilter)> {
    setup.config().logging.targets
}

fn level(levels: &[(String, LevelFilter)], target: &str) -> Option<LevelFilter> {
    levels.iter().find(|(known, _)| known == target).map(|(_, level)| *level)
}

#[test]
fn categories_of_dotnet_mean_the_nearest_targets_and_the_longest_counts() {
    let file = r#"{"Logging": {"LogLevel": {
        "Default": "Warning", "Microsoft.AspNetCore": "Error", "Microsoft.AspNetCore.SignalR": "Debug",
        "microsoft.aspnetcore.signalr.stackexchangeredis": "Trace", "hubline_redis.client": "None"
    }}}"#;
    let setup = || Setup::new().file("appsettings.json", file);
    assert_eq!(setup().warnings(), "");
    assert_eq!(setup().config().logging.level, LevelFilter::WARN);
    let levels = levels(setup());
    for (target, expected) in [
        ("hubline_hub", LevelFilter::DEBUG),
        ("hubline::call", LevelFilter::DEBUG),
        ("hubline_redis", LevelFilter::TRACE),
        ("hubline_redis::client", LevelFilter::OFF),
        ("hubline_transport", LevelFilter::ERROR),
        ("hubline_auth", LevelFilter::ERROR),
    ] {
        assert_eq!(level(&levels, target), Some(expected), "{target}: {levels:?}");
    }
    assert_eq!(level(&levels, "hubline_server::chat"), None);
    let shown = setup().loaded().describe();
    assert!(shown.contains("Logging:LogLevel:Microsoft.AspNetCore = Error  (appsettings.json)"), "{shown}");
}

#[test]
fn a_category_below_one_of_ours_means_it_and_one_that_nobody_has_is_told() {
    let below = Setup::new()
        .variable("Logging__LogLevel__Microsoft.AspNetCore.SignalR.HubConnectionHandler", "Trace");
    assert_eq!(level(&levels(below), "hubline_hub"), Some(LevelFilter::TRACE));
    let warnings = Setup::new().set("Logging:LogLevel:TeleDoctor.Hubs", "Debug").warnings();
    assert!(warnings.starts_with("Logging:LogLevel:TeleDoctor.Hubs (command line"), "{warnings}");
    assert!(
        warnings.contains("known are modules such as hubline_redis, and Microsoft.AspNetCore.SignalR,"),
        "{warnings}"
    );
    let misspelt = Setup::new().set("Logging:LogLevel:Defualt", "Debug").warnings();
    assert!(misspelt.ends_with("did you mean Default?") && misspelt.lines().count() == 1, "{misspelt}");
    let errors = Setup::new().set("Logging:LogLevel:Hubline.Chat", "loud").errors();
    assert!(
        errors.contains("Logging:LogLevel:Hubline.Chat = 'loud'") && errors.contains("expected Trace, Debug"),
        "{errors}"
    );
}

#[test]
fn the_format_is_text_unless_json_is_asked_for() {
    let format = |value: &str| Setup::new().set("Logging:Console:FormatterName", value);
    assert!(!Setup::new().config().logging.is_json && format("Json").config().logging.is_json);
    assert!(format("systemd").errors().contains("expected simple or json"));
}

#[test]
fn levels_of_the_console_go_before_the_others() {
    let setup = || {
        Setup::new()
            .set("Logging:LogLevel:Default", "Error")
            .set("Logging:LogLevel:Microsoft.AspNetCore.SignalR", "Trace")
            .set("Logging:Console:LogLevel:Microsoft.AspNetCore", "Warning")
    };
    let of_categories = setup().config().logging;
    assert_eq!(of_categories.level, LevelFilter::ERROR);
    assert_eq!(level(&of_categories.targets, "hubline_hub"), Some(LevelFilter::WARN));
    let of_all = setup().set("Logging:Console:LogLevel:Default", "Information").config().logging;
    assert_eq!(of_all.level, LevelFilter::INFO);
    assert_eq!(level(&of_all.targets, "hubline_transport"), Some(LevelFilter::WARN));
    let alone =
        Setup::new().set("Logging:LogLevel:Npgsql", "Trace").set("Logging:Console:LogLevel:Default", "None");
    let alone = alone.config().logging;
    assert_eq!((alone.level, alone.targets), (LevelFilter::OFF, Vec::new()));
    assert!(
        setup().set("Logging:Console:LogLevel:Hubline", "loud").errors().contains("expected Trace, Debug")
    );
}
