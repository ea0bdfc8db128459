"""Series for each alert: 20 minutes in which it must not fire, though little is missing, and then those in which it must."""

import re
from typing import NamedTuple

HEALTHY_MINUTES, MINUTES = 20, 60
A = {"job": "hubline", "instance": "a"}
JOB = {"job": "hubline"}
ONE_AWAY = "1x20 0x40"
ONCE = "0x20 1x40"


class Case(NamedTuple):
    """Full names of series with their values; `labels` and `summary` are those of the alert that fires."""

    alert: str
    series: dict
    labels: dict
    summary: str
    # In which minute it has to fire.
    minute: int = 35


def growing(faulty, healthy=0):
    """A counter, by its growth a minute."""
    return f"0+{healthy}x20 {20 * healthy + faulty}+{faulty}x39"


def of(instance, name, **more):
    """The full name of a series of an instance."""
    labels = "".join(f',{label}="{value}"' for label, value in more.items())
    return f'{name}{{job="hubline",instance="{instance}"{labels}}}'


def one(alert, series, values, summary, minute=35, shown=None):
    """Of instance `a` alone, as `name` or `name{label=value}`. The alert has the labels `shown`: all, unless told otherwise."""
    name, *labels = re.split(r"[{,}]+", series.rstrip("}"))
    labels = dict(label.split("=") for label in labels)
    return Case(alert, {of("a", name, **labels): values}, A | labels if shown is None else shown, summary, minute)


def ready_of_three(b, c):
    """Instance `a` is well. One that has gone answers nothing."""
    values = {"a": "1x60", "b": b, "c": c}
    return {of(x, "up"): values[x] for x in "abc"} | {of(x, "hubline_ready"): values[x].replace("0x", "_x") for x in "abc"}


STORM, SLOW, OFTEN, GUESSED = growing(720, healthy=480), growing(66, healthy=54), growing(12, healthy=5), "a is asked with wrong keys"
DAYS = 24 * 60 * 60
SLOW_CALLS = {"1.0": "0+100x20 2000x40", "5.0": "0+100x60", "+Inf": "0+100x60"}
SLOW_DELIVERIES = {"0.1": "0+100x20 2000x40", "0.5": "0+100x60", "+Inf": "0+100x60"}
UNFIT = "a: clients call H with methods or arguments that it does not have"

# Alert, series of one instance, values, summary, and the minute if it is another one.
SIMPLE = [
    one("HublineInstanceDown", "up", ONE_AWAY, "a does not answer Prometheus"),
    one("HublineNotReady", "hubline_ready", ONE_AWAY, "a runs and is not ready"),
    one("HublineRestarts", "process_start_time_seconds", "1x5 2x6 3x9 4x37", "a has started 3 times in 30 minutes", 25),
    one("HublineDirectoryAway", "hubline_directory_connected", ONE_AWAY, "a cannot find connections of other instances"),
    one("HublineTokenKeysNotAgreed", "hubline_token_keys_agreed", ONE_AWAY, "a signs connection tokens with a key that others do not know"),
    one("HublineRedisSlow", "hubline_redis_round_trip_seconds", "0.09x20 0.25x40", "Redis takes 250ms to answer a"),
    one("HublineRedisEvicts", "redis_evicted_keys_total", ONCE, "Redis throws keys away, as a says: its memory is full", 25),
    one("HublineRedisReconnects", "hubline_backplane_reconnects_total", growing(1, healthy=0.2), "a loses its links to Redis again and again"),
    one("HublineOutboxFillsUp", "hubline_backplane_outbox_messages", "4999x20 5001x40", "The outbox of a is half full"),
    one("HublineOutboxFillsUp", "hubline_backplane_outbox_bytes", "9e6x20 2e7x40", "The outbox of a is half full"),
    one("HublineMessagesLost", "hubline_backplane_messages_lost_total{cause=expired}", growing(1), "a: messages did not reach other instances (expired)"),
    one("HublineGarbage", "hubline_backplane_garbage_total", ONCE, "a hears something on its channels that is no message", 25),
    one("HublineDatabaseAway", "hubline_database_connected", ONE_AWAY, "a cannot use the database"),
    one("HublineDatabaseBusy", "hubline_database_operations_pending", "100x20 101x40", "101 operations wait for the database on a"),
    one("HublineDatabaseFailures", "hubline_database_failures_total", OFTEN, "Operations of the database fail on a"),
    one("HublineAuditIncomplete", "hubline_audit_sign_ins_lost_total", ONCE, "a: sign-ins are missing in the audit", 25),
    one("HublineSlowClients", "hubline_hub_connections_closed_total{hub=H,reason=slow_client}", SLOW, "a closes clients that read too slowly (slow_client)", shown=A | {"reason": "slow_client"}),
    one("HublineConnectionsDelayed", "hubline_connections_delayed_total", growing(1), "a: clients wait for their turn to connect"),
    one("HublineConnectionsRefused", "hubline_connections_refused_total", ONCE, "a answers negotiations with 503: too many wait", 23),
    one("HublineClientsLimited", "hubline_hub_clients_limited_total{hub=H,limit=calls}", SLOW, "a: clients meet the limit calls", shown=A | {"limit": "calls"}),
    one("HublineRequestsRefused", "hubline_requests_refused_total{reason=origin}", SLOW, "a refuses requests (origin)"),
    one("HublineTokensRefused", "hubline_tokens_refused_total{reason=expired}", SLOW, "a refuses bearer tokens (expired)"),
    one("HublineKeysGuessed", "hubline_management_requests_refused_total", OFTEN, GUESSED),
    one("HublineKeysGuessed", "hubline_admin_requests_refused_total{reason=limited}", OFTEN, GUESSED),
    one("HublineKeysGuessed", "hubline_virtual_keys_refused_total", OFTEN, GUESSED),
    one("HublineTlsFailures", "hubline_tls_handshakes_failed_total{reason=timeout}", SLOW, "a: TLS handshakes fail (timeout)"),
    one("HublineCertificateEnds", "hubline_tls_certificate_expiration_timestamp_seconds", f"{14 * DAYS + 25 * 60}x60", "The certificate of a ends in 13d 23h 50m 0s"),
    one("HublineMethodsBlock", "hubline_hub_blocking_polls_total{hub=H}", growing(1, healthy=0.2), "a: methods of H keep their threads"),
    one("HublineCallsDoNotFit", "hubline_hub_unknown_methods_total{hub=H}", SLOW, UNFIT),
    one("HublineCallsDoNotFit", "hubline_hub_binding_failures_total{hub=H}", SLOW, UNFIT),
    one("HublinePanicked", "hubline_task_restarts_total", ONCE, "a: a task has panicked and was started again", 25),
    one("HublineLogLost", "hubline_log_lines_lost_total", ONCE, "a: lines of the log are lost", 25),
    one("HublineTelemetryLost", "hubline_telemetry_exports_failed_total", ONCE, "a: the OpenTelemetry collector does not take what is exported", 25),
    one(
        "HublineRedisAway",
        "hubline_backplane_connected",
        ONE_AWAY,
        "a does not reach Redis: its clients and those of other instances do not hear each other",
    ),
    one(
        "HublineConnectionsFell",
        "signalr_connection_count",
        "1000x17 600x2 400x40",
        "hubline: 400 connections are left, less than half of what there were within 10 minutes",
        23,
        shown=JOB,
    ),
]

CASES = SIMPLE + [
    Case("HublineDown", {of("a", "hubline_ready"): ONE_AWAY, of("a", "up"): "1x60"}, {}, "No instance of Hubline is ready"),
    Case("HublineDown", {of("a", name): "1x20 _x40" for name in ("hubline_ready", "up")}, {}, "No instance of Hubline is ready"),
    Case("HublineHalfOfInstances", ready_of_three(ONE_AWAY, "0x60"), JOB, "hubline: half of the instances or fewer are ready"),
    Case(
        "HublineVersionsDiffer",
        {of("a", "hubline_build_info", version="1"): "1x60", of("b", "hubline_build_info", version="2"): "_x20 1x40"},
        JOB,
        "hubline: instances of 2 versions run together",
        minute=55,
    ),
    Case(
        "HublineSplit",
        {of("a", "redis_connected_clients"): "9x60", of("b", "redis_connected_clients"): "_x20 9x40"},
        JOB,
        "hubline: the instances are 2 clusters, whose clients do not hear each other",
    ),
    Case(
        "HublineWithoutRedis",
        {of(x, "hubline_build_info", version="1"): "1x60" for x in "ab"}
        | {of("a", "hubline_backplane_connected"): "1x60", of("b", "hubline_backplane_connected"): "0x20 _x40"},
        JOB,
        "hubline: 1 instances have no Redis configured",
    ),
    # One alone needs none, several do.
    Case(
        "HublineWithoutRedis",
        {of("a", "hubline_build_info", version="1"): "1x60", of("b", "hubline_build_info", version="1"): "_x20 1x40"},
        JOB,
        "hubline: 2 instances have no Redis configured",
    ),
    Case(
        "HublineDeliveriesSlow",
        {of("a", "hubline_backplane_latency_seconds_bucket", le=le): values for le, values in SLOW_DELIVERIES.items()},
        JOB,
        "hubline: one message in a hundred takes 496ms or longer to other instances",
    ),
    Case(
        "HublineRedisMemory",
        {of("a", "redis_memory_used_bytes"): "850x20 900x40", of("a", "redis_memory_maximum_bytes"): "1000x60"},
        A,
        "Redis has taken 90% of the memory that it may take, as a says",
    ),
    Case(
        "HublineNavigationBehind",
        {of("a", "hubline_navigation_version"): "0+1x20 20x40", of("b", "hubline_navigation_version"): "0+1x60"},
        A,
        "a has not read the navigation state that others have",
    ),
    Case(
        "HublineReconnectStorm",
        {
            of("a", "signalr_connection_count"): "1000x60",
            of("a", "hubline_hub_connections_closed_total", hub="H", reason="transport_lost"): STORM,
        },
        JOB,
        "hubline: connections last less than 100 s on average",
    ),
    Case(
        "HublineNoWebSockets",
        {
            of("a", "signalr_server_active_connections", signalr_transport="long_polling"): "19x20 30x40",
            of("a", "signalr_server_active_connections", signalr_transport="web_sockets"): "81x60",
        },
        JOB,
        "hubline: 30 clients poll, more than a fifth",
    ),
    Case(
        "HublineMethodsSlow",
        {of("a", "hubline_hub_method_duration_seconds_bucket", hub="H", method="M", le=le): values for le, values in SLOW_CALLS.items()},
        JOB | {"hub": "H"},
        "H: one call in a hundred takes longer than 4.96s",
    ),
    Case(
        "HublineFilesRunOut",
        {of("a", "process_open_fds"): "800x20 900x40", of("a", "process_max_fds"): "1000x60"},
        A,
        "a has 90% of its files open, and a connection is a file",
    ),
]
