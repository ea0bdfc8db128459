//! The section `Calls`.

use std::time::Duration;

use super::Setup;

fn of(variables: &[(&str, &str)]) -> Setup {
    variables.iter().fold(Setup::new(), |setup, (name, value)| setup.variable(name, value))
}

#[test]
fn servers_are_read_by_number_in_each_way_to_write_a_list() {
    let config = of(&[
        ("Calls__RingTimeout", "00:00:20"),
        ("Calls__IceServers__1__Urls__0", "turn:a.example"),
        ("Calls__IceServers__1__Urls__1", "turns:a.example:5349?transport=tcp"),
        ("Calls__IceServers__0__Urls", "stun:a.example, stun:b.example"),
        ("Calls__IceServers__2__Urls", "turn:c.example"),
        ("Calls__IceServers__2__Username", "u"),
        ("Calls__IceServers__2__Credential", "p"),
        ("Calls__TurnSecret", "north"),
    ])
    .config();
    let calls = config.applications.calls;
    assert_eq!(calls.ring_timeout, Duration::from_secs(20));
    let urls: Vec<_> = calls.ice_servers.iter().map(|server| server.urls.join(" ")).collect();
    assert_eq!(
        urls,
        [
            "stun:a.example stun:b.example",
            "turn:a.example turns:a.example:5349?transport=tcp",
            "turn:c.example"
        ]
    );
    assert_eq!(calls.ice_servers[2].credential, Some("p".into()));
    assert!(!format!("{calls:?}").contains("north"));
}

#[test]
fn what_browsers_could_not_use_is_a_mistake() {
    for (variables, expected) in [
        (&[("Calls__IceServers__0__Urls", "turn:a.example")][..], "browsers use no TURN server without"),
        (&[("Calls__IceServers__0__Urls", "https://a.example")], "begins with stun:"),
        (&[("Calls__IceServers__0__Username", "u")], "Urls beside it"),
        (&[("Calls__RingTimeout", "0")], "from 1 s to 10 minutes"),
        (&[("Calls__TurnCredentialLifetime", "30.00:00:00")], "from 1 minute to 7 days"),
    ] {
        let errors = of(variables).errors();
        assert!(errors.contains(expected), "{errors}");
    }
}
