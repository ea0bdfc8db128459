"""Instances that are replaced one after the other behind the proxies of deploy/: whoever is connected goes on, and nobody is refused."""

import itertools
import json
import os
import signal
import subprocess
import tempfile
import threading
import time
import unittest
import urllib.error
import urllib.request

from parts.server import free_port, listens
from proxies import NGINX, SECONDS, Proxy
from websockets.exceptions import ConnectionClosed
from websockets.sync.client import connect

END = "\x1e"
CLIENTS = 12
# HAProxy asks each second.
DRAIN = {"Drain__Delay": "2", "ShutdownTimeout": "5"}


class Client(threading.Thread):
    """Connects, and does so again at once whenever it is told to. `errors` are requests that failed and connections that ended otherwise,
    `cuts` those that were cut before their handshake."""

    def __init__(self, port):
        super().__init__(daemon=True)
        self.port = port
        self.address, self.errors, self.cuts = f"127.0.0.1:{port}", [], 0
        self.connections, self.ended = 0, False
        self.socket = None

    def run(self):
        while not self.ended:
            try:
                self.connection()
            except (OSError, ConnectionClosed, urllib.error.URLError) as error:
                if not self.ended:
                    self.errors.append(repr(error))

    def connection(self):
        """From the negotiation until the server says Close."""
        url = f"http://{self.address}/chathub/negotiate?negotiateVersion=1"
        with urllib.request.urlopen(urllib.request.Request(url, method="POST"), timeout=SECONDS) as response:
            token = json.load(response)["connectionToken"]
        with connect(f"ws://{self.address}/chathub?id={token}") as self.socket:
            try:
                self.socket.send(json.dumps({"protocol": "json", "version": 1}) + END)
                answer = self.socket.recv()
            except ConnectionClosed:
                self.cuts += 1
                return
            assert answer.startswith("{}" + END), answer
            self.connections += 1
            for frame in itertools.chain([answer[len(END) + 2 :]], self.socket):
                for message in map(json.loads, filter(None, frame.split(END))):
                    if message["type"] == 7 and message.get("allowReconnect"):
                        return
        if not self.ended:
            self.errors.append("closed without being told to come back")

    def end(self):
        self.ended = True
        if self.socket:
            self.socket.close()
        self.join(SECONDS)


class RollingRestart(unittest.TestCase):
    def setUp(self):
        directory = self.enterContext(tempfile.TemporaryDirectory(prefix="hubline-rolling-"))
        self.redis, self.ports = free_port(), [free_port() for _ in range(3)]
        self.log = self.enterContext(open(f"{directory}/log", "w+b"))
        redis = ["redis-server", "--port", str(self.redis), "--save", "", "--dir", directory]
        self.start(redis, self.redis)
        self.instances = {port: self.instance(port) for port in self.ports}

    def start(self, command, port, **environment):
        process = subprocess.Popen(command, env=os.environ | environment, stdout=self.log, stderr=self.log)
        self.addCleanup(process.wait, SECONDS)
        self.addCleanup(process.kill)
        self.until(lambda: listens(port), process)
        return process

    def instance(self, port):
        """One that is ready."""
        command = [os.environ["HUBLINE_SERVER"], "serve", "--urls", f"http://127.0.0.1:{port}"]
        settings = DRAIN | {"ConnectionStrings__Database": "Data Source=:memory:"}
        process = self.start([*command, "--redis", f"127.0.0.1:{self.redis}"], port, **settings)
        self.until(lambda: self.is_ready(port), process)
        return process

    def is_ready(self, port):
        try:
            with urllib.request.urlopen(f"http://127.0.0.1:{port}/health/ready"):
                return True
        except OSError:
            # An error status among them, and a connection from before it served.
            return False

    def until(self, condition, process=None):
        limit = time.monotonic() + SECONDS
        while not condition():
            alive = process is None or process.poll() is None
            self.assertTrue(alive and time.monotonic() < limit, self.logged())
            time.sleep(0.02)

    def logged(self):
        self.log.seek(0)
        return self.log.read().decode()

    def test_clients_go_on_behind_nginx_and_behind_haproxy_without_retries(self):
        proxies = [Proxy.nginx(self, NGINX[0], self.ports), Proxy.haproxy(self, self.ports)]
        clients = [Client(proxy.port) for proxy in proxies for _ in range(CLIENTS)]
        # HAProxy takes an instance for ready until it has asked.
        for client in clients:
            client.start()
            self.addCleanup(client.end)
        self.until(lambda: all(client.connections for client in clients))
        for port in self.ports:
            self.instances[port].send_signal(signal.SIGTERM)
            self.assertEqual(self.instances[port].wait(SECONDS), 0)
            self.instances[port] = self.instance(port)
            # The next one stops once both proxies use this one again.
            for proxy in proxies:
                self.until(lambda proxy=proxy, port=port: self.is_used(proxy, port))
        for client in clients:
            client.end()
        self.assertEqual([error for client in clients for error in client.errors], [])
        # nginx sees that negotiations are refused, not that an instance is not ready: it may send a WebSocket to one that just ends, whose
        # client then tries again. HAProxy asks.
        cuts = {proxy.port: sum(client.cuts for client in clients if client.port == proxy.port) for proxy in proxies}
        nginx, haproxy = (cuts[proxy.port] for proxy in proxies)
        self.assertEqual(haproxy, 0)
        self.assertLessEqual(nginx, CLIENTS // 2)
        # Each was on at least one of the three instances, and all were replaced.
        self.assertTrue(all(client.connections >= 2 for client in clients))

    def is_used(self, proxy, port):
        """Whether one of a few requests through the proxy lands there, by its log."""
        names = (f"upstream=127.0.0.1:{port} ", f" hubline-{self.ports.index(port) + 1} ")
        before = len(proxy.logged())
        for _ in range(6):
            proxy.ask("GET", "/health/live")
        return any(name in proxy.logged()[before:] for name in names)
