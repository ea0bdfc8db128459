"""What every client can do, whatever its transport and hub protocol. One method, one feature."""

import asyncio
import itertools

from parts.inbox import in_time
from parts.proxy import Proxy
from parts.server import Server

UNEXPECTED = "An unexpected error occurred invoking '{}' on the server."
TEXT = 'Grüße, "quotes" \\ \u2028 😀'
_names = itertools.count()


def unique(what):
    return f"{what} {next(_names)}"


class Features:
    """Mixed into `IsolatedAsyncioTestCase` with `CLIENT`, `TRANSPORT` and `PROTOCOL`.

    `CLIENT(url, transport, protocol, token)` has: `start`, `stop`, `invoke`, `stream`, `upload` (coroutines), and
    the inboxes `received` (the arguments of Receive) and `states`.
    """

    @classmethod
    def setUpClass(cls):
        cls.server = Server()

    @classmethod
    def tearDownClass(cls):
        cls.server.stop()

    LACKING = {}

    def setUp(self):
        reason = self.LACKING.get(self._testMethodName)
        if reason:
            self.skipTest(reason)

    async def asyncSetUp(self):
        asyncio.get_running_loop().set_debug(False)
        self.clients = []
        self.proxy = await Proxy(self.server.port).start()

    async def asyncTearDown(self):
        # signalrcore's stop ends only when something more arrives, be it the connection's end, of which it may complain.
        stopping = asyncio.gather(*(client.stop() for client in self.clients), return_exceptions=True)
        await self.proxy.end()
        await in_time(stopping, "the clients' end")

    async def open(self, path="/conformance", user=None):
        client = self.CLIENT(self.proxy.url + path, self.TRANSPORT, self.PROTOCOL, user)
        await in_time(client.start(), "the connection")
        self.clients.append(client)
        who = await client.invoke("WhoAmI")
        client.id = who[self.key("connectionId")]
        return client

    async def fails(self, message, client, method, *arguments):
        with self.assertRaises(RuntimeError) as caught:
            await client.invoke(method, *arguments)
        self.assertEqual(str(caught.exception), message)

    async def test_connect(self):
        client = await self.open()
        self.assertRegex(client.id, r"^[\w-]{22}$")

    async def test_results(self):
        client = await self.open()
        self.assertEqual(await client.invoke("Add", 1, 2), 3)
        self.assertEqual(await client.invoke("EchoString", TEXT), TEXT)
        self.assertEqual(await client.invoke("EchoInts", [1, -2, 300]), [1, -2, 300])
        self.assertIsNone(await client.invoke("Nothing"))

    async def test_error_texts(self):
        client = await self.open()
        await self.fails(UNEXPECTED.format("ThrowHub") + " HubException: no tea", client, "ThrowHub", "no tea")
        await self.fails(UNEXPECTED.format("Throw"), client, "Throw", "secret")
        missing = "Failed to invoke 'Nope' due to an error on the server. HubException: Method does not exist."
        await self.fails(missing, client, "Nope")
        self.assertEqual(await client.invoke("Add", 20, 22), 42)

    async def test_events(self):
        ada, bob = await self.open(), await self.open()
        text = unique("to all")
        await ada.invoke("SendAll", text)
        await ada.received.has([ada.id, text])
        await bob.received.has([ada.id, text])

    async def test_many_in_order(self):
        client = await self.open()
        await client.invoke("BurstTo", client.id, 100, "text ")
        await client.received.has([client.id, "text 99"])
        self.assertEqual(client.received.entries, [[client.id, f"text {i}"] for i in range(100)])

    async def test_groups(self):
        ada, bob = await self.open(), await self.open()
        group, inside, outside, mark = (unique(what) for what in ("group", "inside", "outside", "mark"))
        await ada.invoke("JoinGroup", group)
        await bob.invoke("SendGroup", group, inside)
        await ada.received.has([bob.id, inside])
        await ada.invoke("LeaveGroup", group)
        await bob.invoke("SendGroup", group, outside)
        await bob.invoke("SendAll", mark)
        await ada.received.has([bob.id, mark])
        await bob.received.has([bob.id, mark])
        self.assertEqual(ada.received.entries, [[bob.id, inside], [bob.id, mark]])
        self.assertEqual(bob.received.entries, [[bob.id, mark]])

    async def test_streams(self):
        client = await self.open()
        self.assertEqual(await client.stream("Counter", 50, 0), list(range(50)))
        self.assertEqual(await client.stream("Counter", 0, 0), [])

    async def test_uploads(self):
        client = await self.open()
        # These clients send uploads without an id, so nobody is told the result: only that it goes on is seen.
        await client.upload("UploadSum", [1, 2, 3])
        self.assertEqual(await client.invoke("Add", 1, 2), 3)

    async def test_token(self):
        ada = await self.open("/authorized", user="ada")
        self.assertEqual(await ada.invoke("SignedIn"), "ada")

    async def test_token_missing(self):
        with self.assertRaises(Exception) as caught:
            await self.open("/authorized")
        told = f"{type(caught.exception).__name__}: {caught.exception}"
        self.assertRegex(told, "^AuthorizationError|^HTTPError: HTTP Error 401: Unauthorized")

    async def test_reconnect(self):
        client = await self.open()
        client.expect_cut()
        self.proxy.cut()
        await in_time(client.reconnected(), "the new connection")
        self.assertNotEqual((await client.invoke("WhoAmI"))[self.key("connectionId")], client.id)
        text = unique("after the cut")
        await client.invoke("SendCaller", text)
        await client.received.has([(await client.invoke("WhoAmI"))[self.key("connectionId")], text])

    def key(self, name):
        return name if self.PROTOCOL == "json" else name[0].upper() + name[1:]

    async def test_stop(self):
        client = await self.open()
        other = await self.open()
        self.clients.remove(client)
        await in_time(client.stop(), "the client's end")
        lines = []
        while not any(line.startswith("disconnected") for line in lines):
            lines += await other.invoke("TakeLog")
            await asyncio.sleep(0.02)
