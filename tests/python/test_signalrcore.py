from unittest import IsolatedAsyncioTestCase

from parts.features import Features
from parts.signalrcore_client import SignalRCore


class WebSocketsJson(Features, IsolatedAsyncioTestCase):
    NAME, CLIENT, TRANSPORT, PROTOCOL = "signalrcore", SignalRCore, "WebSockets", "json"


class WebSocketsMessagePack(Features, IsolatedAsyncioTestCase):
    NAME, CLIENT, TRANSPORT, PROTOCOL = "signalrcore", SignalRCore, "WebSockets", "messagepack"
    LACKING = {"test_uploads": "the client leaves the id out of the array, which shifts all that follows"}


class ServerSentEvents(Features, IsolatedAsyncioTestCase):
    NAME, CLIENT, TRANSPORT, PROTOCOL = "signalrcore", SignalRCore, "ServerSentEvents", "json"
    LACKING = {
        "test_reconnect": "the client does not get over a cut connection",
        "test_streams": "the client lets its user listen only after the first items may have come",
    }


class LongPolling(Features, IsolatedAsyncioTestCase):
    NAME, CLIENT, TRANSPORT, PROTOCOL = "signalrcore", SignalRCore, "LongPolling", "json"
    LACKING = {
        "test_reconnect": "the client does not get over a cut connection",
        "test_token": "the client polls without its token",
        **dict.fromkeys(
            ("test_connect", "test_error_texts", "test_results", "test_stop", "test_uploads"),
            "the client POSTs its handshake before it has polled, which ASP.NET Core 11 answers with 400 too",
        ),
        **dict.fromkeys(
            ("test_events", "test_groups", "test_many_in_order", "test_streams"),
            "the client hands on one message of each poll and keeps the others",
        ),
    }
