use std::time::Duration;

use super::Setup;

#[test]
fn what_one_client_may_ask_for_is_limited_unless_told_otherwise() {
    let limits = Setup::new().config().limits.clients;
    assert_eq!((limits.messages_per_second, limits.bytes_per_second), (10_000, 64 * 1024 * 1024));
    assert_eq!((limits.groups_per_connection, limits.group_name_bytes), (10_000, 1024));
    assert_eq!(limits.method_name_bytes, 256);
    let off = Setup::new().set("Limits:MessagesPerSecond", "0").variable("Limits__MethodNameBytes", "0");
    let limits = off.config().limits.clients;
    assert_eq!((limits.messages_per_second, limits.method_name_bytes), (0, 0));
    for wrong in ["-1", "many", "3000000000"] {
        let mistakes = Setup::new().set("Limits:GroupsPerConnection", wrong).errors();
        assert!(mistakes.contains("a number from 0, which is no limit"), "{mistakes}");
    }
    let warnings = Setup::new().variable("Limits__MessagePerSecond", "7").warnings();
    assert!(warnings.contains("Limits:MessagesPerSecond"), "{warnings}");
}

#[test]
fn who_floods_waits_unless_told_otherwise() {
    let config = Setup::new().config();
    assert_eq!(config.signalr.sender_hold_timeout, Duration::from_secs(1));
    assert_eq!(config.signalr.stalled_reader_timeout, Duration::from_millis(250));
    let config =
        Setup::new().set("SignalR:SenderHoldTimeout", "0").set("SignalR:StalledReaderTimeout", "2").config();
    assert_eq!(
        (config.signalr.sender_hold_timeout, config.signalr.stalled_reader_timeout),
        (Duration::ZERO, Duration::from_secs(2))
    );
    assert!(Setup::new().set("SignalR:StalledReaderTimeout", "0").errors().contains("above zero"));
}

#[test]
fn limits_of_signalr() {
    let config = Setup::new()
        .set("SignalR:MaximumParallelInvocationsPerClient", "4")
        .set("SignalR:StreamBufferCapacity", "20")
        .set("SignalR:StatefulReconnectBufferSize", "200")
        .set("SignalR:AllowStatefulReconnects", "true")
        .set("SignalR:CloseOnAuthenticationExpiration", "true")
        .config();
    assert_eq!(config.signalr.maximum_parallel_invocations_per_client, 4);
    assert_eq!(config.signalr.stream_buffer_capacity, 20);
    assert_eq!(config.signalr.stateful_reconnect_buffer_size_bytes, 200);
    assert!(config.signalr.allow_stateful_reconnects && config.signalr.close_on_authentication_expiration);
    assert!(Setup::new().set("SignalR:StreamBufferCapacity", "0").errors().contains("a number from 1"));
    let with_version = |version| Setup::new().set("SignalR:MinimumProtocolVersion", version);
    assert_eq!(with_version("1").config().signalr.minimum_protocol_version, 1);
    assert!(with_version("2").errors().contains("0, or 1 to refuse clients of SignalR 1.x"));
}

#[test]
fn clients_may_refresh_their_authentication_unless_told_otherwise() {
    let config = Setup::new().config();
    assert!(
        config.signalr.authentication_refresh && config.signalr.maximum_authentication_expiration.is_none()
    );
    let config = Setup::new()
        .set("SignalR:AuthenticationRefresh", "false")
        .set("SignalR:MaximumAuthenticationExpiration", "08:00:00")
        .config();
    assert!(!config.signalr.authentication_refresh);
    assert_eq!(config.signalr.maximum_authentication_expiration, Some(Duration::from_secs(8 * 60 * 60)));
    let mistakes = Setup::new().set("SignalR:MaximumAuthenticationExpiration", "0").errors();
    assert!(mistakes.contains("a time span above zero"), "{mistakes}");
}
