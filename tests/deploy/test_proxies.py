"""nginx and HAProxy with the files of deploy/, between clients and instances at their worst."""

import re
import tempfile
import time
import unittest
from pathlib import Path

from files import DEPLOY, run
from parts.server import free_port
from proxies import NGINX, SECONDS, Proxy, nginx_program
from upstream import CUT, STOPPING, Upstream

UPGRADE = "Connection: Upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Version: 13\r\nSec-WebSocket-Key: aGFuZHNoYWtlLXdpdGgtMQ=="


def upstreams(test):
    """Three instances that are not there."""
    made = [Upstream(free_port()) for _ in range(3)]
    for upstream in made:
        test.addCleanup(upstream.end)
    return made


class Nginx(unittest.TestCase):
    def start(self, file):
        self.upstreams = upstreams(self)
        return Proxy.nginx(self, file, [upstream.port for upstream in self.upstreams])

    def test_it_refuses_what_it_does_not_know(self):
        with tempfile.TemporaryDirectory() as directory:
            wrong = Path(directory) / "nginx.conf"
            wrong.write_text(NGINX[0].read_text(encoding="utf-8").replace("proxy_buffering", "proxy_bufering"))
            self.assertIn("proxy_bufering", run(nginx_program(), "-p", directory, "-c", str(wrong), "-t").stderr)

    def test_each_file_serves_on_while_instances_come_and_go(self):
        for file in NGINX:
            with self.subTest(file.relative_to(DEPLOY)):
                self.serves_on(self.start(file))

    def serves_on(self, proxy):
        ports = {upstream.port for upstream in self.upstreams}
        # Four workers, each of which takes turns by itself until they share what they know.
        self.assertEqual(proxy.served_by(60), ports, "each request to the next")

        stopping, cut, _ = self.upstreams
        stopping.state = STOPPING
        self.assertEqual(proxy.served_by(30), ports - {stopping.port}, "an instance that stops is passed over")
        self.assertEqual(proxy.statuses, {200}, "and no negotiation fails")

        cut.state = CUT
        for number in range(12):
            status, _ = proxy.ask("POST", "/chathub?id=1", f"message {number}")
            self.assertIn(status, (200, 502))
        bodies = [body for upstream in self.upstreams for _, _, body in upstream.posts("/chathub?id=1")]
        self.assertEqual(len(bodies), 12, "a message that was posted is never sent twice")
        self.assertEqual(proxy.served_by(30), ports - {stopping.port, cut.port})
        self.assertEqual(proxy.statuses, {200})

        request = "GET /chathub?id=1&access_token=s3cr3t HTTP/1.1\r\nHost: a\r\n{}\r\n\r\n"
        stream = request.format("Accept: text/event-stream").encode()
        self.assertIn(b"200 OK", proxy.first_bytes(stream, b"data: 1\n\n"), "an event is passed on at once")
        socket_request = request.format(UPGRADE).encode() + b"through"
        self.assertIn(b" 101 ", proxy.first_bytes(socket_request, b"through"))

        headers = next(seen[2] for upstream in self.upstreams for seen in upstream.requests if seen[0] == "GET")
        self.assertEqual(headers["X-Forwarded-For"], "127.0.0.1")
        self.assertEqual(headers["X-Forwarded-Proto"], "http")
        self.assertIn("/chathub", proxy.logged())
        self.assertNotIn("s3cr3t", proxy.logged(), "tokens are not in the log")

    def test_each_outlasts_a_poll_and_has_room(self):
        for file in NGINX:
            text = file.read_text(encoding="utf-8")
            self.assertIn("proxy_read_timeout 100s;", text)
            number = lambda name, text=text: int(re.search(rf"{name} (\d+);", text).group(1))
            # Two connections for each of 10,000 clients, though two of the workers have all of them.
            self.assertGreaterEqual(2 * number("worker_connections"), 2 * 10_000)
            self.assertGreaterEqual(number("worker_rlimit_nofile"), number("worker_connections"))


class HAProxy(unittest.TestCase):
    def start(self):
        self.upstreams = upstreams(self)
        return Proxy.haproxy(self, [upstream.port for upstream in self.upstreams])

    def test_an_instance_that_stops_gets_no_request_and_none_is_repeated(self):
        proxy = self.start()
        ports = {upstream.port for upstream in self.upstreams}
        stopping, cut, _ = self.upstreams
        self.until(lambda: proxy.served_by(3) == ports)

        stopping.state = STOPPING
        self.until(lambda: proxy.served_by(3) == ports - {stopping.port} and proxy.statuses == {200})
        before = len(stopping.posts("/chathub"))
        self.assertEqual(proxy.served_by(9), ports - {stopping.port})
        self.assertEqual(len(stopping.posts("/chathub")), before)

        cut.state = CUT
        for number in range(6):
            proxy.ask("POST", "/chathub?id=1&access_token=s3cr3t", f"message {number}")
        seen = sum(len(upstream.posts("/chathub?id=1")) for upstream in self.upstreams)
        self.assertLessEqual(seen, 6, "a message that was posted is never sent twice")
        self.until(lambda: proxy.served_by(3) == ports - {stopping.port, cut.port})
        socket_request = f"GET /chathub HTTP/1.1\r\nHost: a\r\n{UPGRADE}\r\n\r\nthrough".encode()
        self.assertIn(b" 101 ", proxy.first_bytes(socket_request, b"through"))
        self.assertNotIn("s3cr3t", proxy.logged(), "tokens are not in the log")
        self.assertEqual(proxy.ask("GET", "/metrics")[0], 404)

    def until(self, condition):
        limit = time.monotonic() + SECONDS
        while not condition():
            self.assertLess(time.monotonic(), limit)
            time.sleep(0.05)
