"""Series for each alert: 20 minutes in which it must not fire, though little is missing, and then those in which it must."""

from typing import NamedTuple

HEALTHY_MINUTES, MINUTES = 20, 60


class Case(NamedTuple):
    """Series have the labels of one instance unless they name others; `labels` and `summary` are those of the alert that fires."""

    alert: str
    series: dict
    labels: dict
    summary: str
    # In which minute it has to fire.
    minute: int = 35


A = {"job": "hubline", "instance": "a"}
JOB = {"job": "hubline"}
ONE_AWAY = "1x20 0x40"
ONCE = "0x20 1x40"


def growing(faulty, healthy=0):
    """A counter, by its growth a minute."""
    return f"0+{healthy}x20 {20 * healthy + faulty}+{faulty}x39"


def of(*instances, **more):
    """The names of a series of each of these instances."""
    labels = "".join(f',{name}="{value}"' for name, value in more.items())
    return [f'{{job="hubline",instance="{instance}"{labels}}}' for instance in instances]


def ready_of_three(b, c):
    names = [f"{metric}{labels}" for metric in ("up", "hubline_ready") for labels in of("a", "b", "c")]
    return dict(zip(names, ["1x60", "1x60", c, "1x60", b, c.replace("0x", "_x")], strict=True))


CASES = [
    Case("HublineDown", {"hubline_ready": ONE_AWAY, "up": "1x60"}, {}, "No instance of Hubline is ready"),
    Case("HublineDown", {"hubline_ready": "1x20 _x40", "up": "1x20 _x40"}, {}, "No instance of Hubline is ready"),
    Case(
        "HublineHalfOfInstances",
        ready_of_three(ONE_AWAY, "0x60"),
        JOB,
        "hubline: half of the instances or fewer are ready",
    ),
    Case("HublineInstanceDown", {"up": ONE_AWAY}, A, "a does not answer Prometheus"),
    Case("HublineNotReady", {"hubline_ready": ONE_AWAY}, A, "a runs and is not ready"),
    Case(
        "HublineRestarts",
        {"process_start_time_seconds": "1x5 2x6 3x9 4x37"},
        A,
        "a has started 3 times in 30 minutes",
        minute=25,
    ),
    Case(
        "HublineVersionsDiffer",
        {f"hubline_build_info{of('a', version='1')[0]}": "1x60", f"hubline_build_info{of('b', version='2')[0]}": "_x20 1x40"},
        JOB,
        "hubline: instances of 2 versions run together",
        minute=55,
    ),
    Case(
        "HublineRedisAway",
        {"hubline_backplane_connected": ONE_AWAY},
        A,
        "a does not reach Redis: its clients and those of other instances do not hear each other",
    ),
    Case("HublineDirectoryAway", {"hubline_directory_connected": ONE_AWAY}, A, "a cannot find connections of other instances"),
    Case(
        "HublineTokenKeysNotAgreed",
        {"hubline_token_keys_agreed": ONE_AWAY},
        A,
        "a signs connection tokens with a key that others do not know",
    ),
    Case(
        "HublineSplit",
        {f"redis_connected_clients{of('a')[0]}": "9x60", f"redis_connected_clients{of('b')[0]}": "_x20 9x40"},
        JOB,
        "hubline: the instances are 2 clusters, whose clients do not hear each other",
    ),
    Case(
        "HublineWithoutRedis",
        {
            f"hubline_build_info{of('a', version='1')[0]}": "1x60",
            f"hubline_build_info{of('b', version='1')[0]}": "1x60",
            f"hubline_backplane_connected{of('a')[0]}": "1x60",
            f"hubline_backplane_connected{of('b')[0]}": "0x20 _x40",
        },
        JOB,
        "hubline: 1 instances have no Redis configured",
    ),
    # One alone needs none, several do.
    Case(
        "HublineWithoutRedis",
        {f"hubline_build_info{of('a', version='1')[0]}": "1x60", f"hubline_build_info{of('b', version='1')[0]}": "_x20 1x40"},
        JOB,
        "hubline: 2 instances have no Redis configured",
    ),
    Case("HublineRedisSlow", {"hubline_redis_round_trip_seconds": "0.09x20 0.25x40"}, A, "Redis takes 250ms to answer a"),
    Case(
        "HublineRedisReconnects",
        {"hubline_backplane_reconnects_total": growing(1, healthy=0.2)},
        A,
        "a loses its links to Redis again and again",
    ),
    Case("HublineOutboxFillsUp", {"hubline_backplane_outbox_messages": "4999x20 5001x40"}, A, "The outbox of a is half full"),
    Case("HublineOutboxFillsUp", {"hubline_backplane_outbox_bytes": "9e6x20 2e7x40"}, A, "The outbox of a is half full"),
    Case(
        "HublineMessagesLost",
        {f"hubline_backplane_messages_lost_total{of('a', cause='expired')[0]}": growing(1)},
        A | {"cause": "expired"},
        "a: messages did not reach other instances (expired)",
    ),
    Case(
        "HublineGarbage",
        {"hubline_backplane_garbage_total": ONCE},
        A,
        "a hears something on its channels that is no message",
        minute=25,
    ),
    Case("HublineDatabaseAway", {"hubline_database_connected": ONE_AWAY}, A, "a cannot use the database"),
    Case(
        "HublineDatabaseBusy",
        {"hubline_database_operations_pending": "100x20 101x40"},
        A,
        "101 operations wait for the database on a",
    ),
    Case(
        "HublineDatabaseFailures",
        {"hubline_database_failures_total": growing(12, healthy=5)},
        A,
        "Operations of the database fail on a",
    ),
    Case(
        "HublineNavigationBehind",
        {f"hubline_navigation_version{of('a')[0]}": "0+1x20 20x40", f"hubline_navigation_version{of('b')[0]}": "0+1x60"},
        A,
        "a has not read the navigation state that others have",
    ),
    Case(
        "HublineAuditIncomplete",
        {"hubline_audit_sign_ins_lost_total": ONCE},
        A,
        "a: sign-ins are missing in the audit",
        minute=25,
    ),
    Case(
        "HublineConnectionsFell",
        {"signalr_connection_count": "1000x17 600x2 400x40"},
        JOB,
        "hubline: 400 connections are left, less than half of what there were within 10 minutes",
        minute=23,
    ),
    Case(
        "HublineReconnectStorm",
        {
            "signalr_connection_count": "1000x60",
            f"hubline_hub_connections_closed_total{of('a', hub='H', reason='transport_lost')[0]}": growing(720, healthy=480),
        },
        JOB,
        "hubline: connections last less than 100 s on average",
    ),
    Case(
        "HublineSlowClients",
        {f"hubline_hub_connections_closed_total{of('a', hub='H', reason='slow_client')[0]}": growing(66, healthy=54)},
        A | {"reason": "slow_client"},
        "a closes clients that read too slowly (slow_client)",
    ),
    Case(
        "HublineNoWebSockets",
        {
            f"signalr_server_active_connections{of('a', signalr_transport='long_polling')[0]}": "19x20 30x40",
            f"signalr_server_active_connections{of('a', signalr_transport='web_sockets')[0]}": "81x60",
        },
        JOB,
        "hubline: 30 clients poll, more than a fifth",
    ),
    Case(
        "HublineConnectionsDelayed",
        {"hubline_connections_delayed_total": growing(1)},
        A,
        "a: clients wait for their turn to connect",
    ),
    Case(
        "HublineConnectionsRefused",
        {"hubline_connections_refused_total": ONCE},
        A,
        "a answers negotiations with 503: too many wait",
        minute=23,
    ),
    Case(
        "HublineClientsLimited",
        {f"hubline_hub_clients_limited_total{of('a', hub='H', limit='bytes_per_second')[0]}": growing(66, healthy=54)},
        A | {"limit": "bytes_per_second"},
        "a: clients meet the limit bytes_per_second",
    ),
    Case(
        "HublineRequestsRefused",
        {f"hubline_requests_refused_total{of('a', reason='origin')[0]}": growing(66, healthy=54)},
        A | {"reason": "origin"},
        "a refuses requests (origin)",
    ),
    Case(
        "HublineTokensRefused",
        {f"hubline_tokens_refused_total{of('a', reason='expired')[0]}": growing(66, healthy=54)},
        A | {"reason": "expired"},
        "a refuses bearer tokens (expired)",
    ),
    Case(
        "HublineKeysGuessed",
        {"hubline_management_requests_refused_total": growing(12, healthy=5)},
        A,
        "a is asked with wrong keys",
    ),
    Case(
        "HublineKeysGuessed",
        {f"hubline_admin_requests_refused_total{of('a', reason='limited')[0]}": growing(12, healthy=5)},
        A | {"reason": "limited"},
        "a is asked with wrong keys",
    ),
    Case("HublineKeysGuessed", {"hubline_virtual_keys_refused_total": growing(12, healthy=5)}, A, "a is asked with wrong keys"),
    Case(
        "HublineTlsFailures",
        {f"hubline_tls_handshakes_failed_total{of('a', reason='timeout')[0]}": growing(66, healthy=54)},
        A | {"reason": "timeout"},
        "a: TLS handshakes fail (timeout)",
    ),
    Case(
        "HublineMethodsSlow",
        {
            f"hubline_hub_method_duration_seconds_bucket{of('a', hub='H', method='M', le='1.0')[0]}": "0+100x20 2000x40",
            f"hubline_hub_method_duration_seconds_bucket{of('a', hub='H', method='M', le='5.0')[0]}": "0+100x60",
            f"hubline_hub_method_duration_seconds_bucket{of('a', hub='H', method='M', le='+Inf')[0]}": "0+100x60",
        },
        JOB | {"hub": "H"},
        "H: one call in a hundred takes longer than 4.96s",
    ),
    Case(
        "HublineMethodsBlock",
        {f"hubline_hub_blocking_polls_total{of('a', hub='H')[0]}": growing(1, healthy=0.2)},
        A | {"hub": "H"},
        "a: methods of H keep their threads",
    ),
    Case(
        "HublineCallsDoNotFit",
        {f"hubline_hub_unknown_methods_total{of('a', hub='H')[0]}": growing(66, healthy=54)},
        A | {"hub": "H"},
        "a: clients call H with methods or arguments that it does not have",
    ),
    Case(
        "HublineCallsDoNotFit",
        {f"hubline_hub_binding_failures_total{of('a', hub='H')[0]}": growing(66, healthy=54)},
        A | {"hub": "H"},
        "a: clients call H with methods or arguments that it does not have",
    ),
    Case(
        "HublineFilesRunOut",
        {"process_open_fds": "800x20 900x40", "process_max_fds": "1000x60"},
        A,
        "a has 90% of its files open, and a connection is a file",
    ),
    Case("HublinePanicked", {"hubline_task_restarts_total": ONCE}, A, "a: a task has panicked and was started again", minute=25),
    Case("HublineLogLost", {"hubline_log_lines_lost_total": ONCE}, A, "a: lines of the log are lost", minute=25),
    Case(
        "HublineTelemetryLost",
        {"hubline_telemetry_exports_failed_total": ONCE},
        A,
        "a: the OpenTelemetry collector does not take what is exported",
        minute=25,
    ),
]
