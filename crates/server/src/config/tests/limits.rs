use std::time::Duration;

use super::Setup;

#[test]
fn what_one_client_may_ask_for_is_limited_unless_told_otherwise() {
    let limits = Setup::new().config().limits;
    assert_eq!((limits.messages_per_second, limits.bytes_per_second), (10_000, 64 * 1024 * 1024));
    assert_eq!((limits.groups_per_connection, limits.group_name_bytes), (10_000, 1024));
    assert_eq!(limits.method_name_bytes, 256);
    let off = Setup::new().set("Limits:MessagesPerSecond", "0").variable("Limits__MethodNameBytes", "0");
    let limits = off.config().limits;
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
    assert_eq!(config.sender_hold_timeout, Duration::from_secs(1));
    assert_eq!(config.stalled_reader_timeout, Duration::from_millis(250));
    let config =
        Setup::new().set("SignalR:SenderHoldTimeout", "0").set("SignalR:StalledReaderTimeout", "2").config();
    assert_eq!(
        (config.sender_hold_timeout, config.stalled_reader_timeout),
        (Duration::ZERO, Duration::from_secs(2))
    );
    assert!(Setup::new().set("SignalR:StalledReaderTimeout", "0").errors().contains("above zero"));
}
