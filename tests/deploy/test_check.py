"""`hubline check` behind the proxies of deploy/, where each request of a client lands on another instance."""

import json
import os
import subprocess
import tempfile
import time
import unittest

from files import run
from parts.server import free_port, listens
from proxies import NGINX, SECONDS, Proxy

KEY = "an-admin-key-that-nobody-guesses-0123456789"


class Check(unittest.TestCase):
    def setUp(self):
        self.directory = self.enterContext(tempfile.TemporaryDirectory(prefix="hubline-check-"))
        self.log = self.enterContext(open(f"{self.directory}/log", "w+b"))
        self.redis, self.ports = free_port(), [free_port() for _ in range(3)]
        self.start(["redis-server", "--port", str(self.redis), "--save", "", "--dir", self.directory], self.redis)
        for port in self.ports:
            settings = {"ConnectionStrings__Database": "Data Source=:memory:", "Admin__ApiKey": KEY}
            command = [os.environ["HUBLINE_SERVER"], "serve", "--urls", f"http://127.0.0.1:{port}"]
            self.start([*command, "--redis", f"127.0.0.1:{self.redis}"], port, **settings)
            self.until(lambda port=port: self.check("--self", "--set", f"urls=http://127.0.0.1:{port}").returncode == 0)

    def start(self, command, port, **environment):
        process = subprocess.Popen(command, env=os.environ | environment, stdout=self.log, stderr=self.log)
        self.addCleanup(process.wait, SECONDS)
        self.addCleanup(process.kill)
        self.until(lambda: listens(port))

    def until(self, condition):
        limit = time.monotonic() + SECONDS
        while not condition():
            self.log.seek(0)
            self.assertLess(time.monotonic(), limit, self.log.read().decode())
            time.sleep(0.05)

    def check(self, *arguments):
        return run(os.environ["HUBLINE_SERVER"], "check", *arguments, cwd=self.directory, env=os.environ | {"Admin__ApiKey": KEY})

    def test_messages_cross_over_every_transport(self):
        proxies = [Proxy.nginx(self, NGINX[0], self.ports), Proxy.haproxy(self, self.ports)]
        urls = ";".join(f"http://127.0.0.1:{proxy.port}" for proxy in proxies)
        result = self.check("--json", "--strict", "--urls", urls, "--redis", f"127.0.0.1:{self.redis}")
        report = json.loads(result.stdout)
        self.assertEqual(result.returncode, 0, report)
        texts = {step["step"]: step["text"] for step in report["steps"]}
        self.assertIn("36 of 36 messages arrived, between 2 addresses over WebSockets, ServerSentEvents, LongPolling", texts["Messages"])
        self.assertIn("6 of 6 messages were seen", texts["Channels"])
        self.assertIn("to which 3 instances listen", texts["Channels"])
