from unittest import IsolatedAsyncioTestCase

from parts.features import Features
from parts.pysignalr_client import PySignalR


class Json(Features, IsolatedAsyncioTestCase):
    NAME, CLIENT, TRANSPORT, PROTOCOL = "pysignalr", PySignalR, "WebSockets", "json"


class MessagePack(Features, IsolatedAsyncioTestCase):
    NAME, CLIENT, TRANSPORT, PROTOCOL = "pysignalr", PySignalR, "WebSockets", "messagepack"
