"""The Python test of the users' document, in a version that runs."""

import os
import subprocess
import sys
import urllib.request
from pathlib import Path
from unittest import TestCase

from parts.server import free_port

SCRIPT = Path(__file__).resolve().parents[2] / "deploy/scripts/test_message_throughput.py"


class Throughput(TestCase):
    def setUp(self):
        self.url = f"http://127.0.0.1:{free_port()}"
        environment = {**os.environ, "ConnectionStrings__Database": ":memory:"}
        command = [os.environ["HUBLINE_SERVER"], "serve", "--dev", "--urls", self.url]
        self.server = subprocess.Popen(command, env=environment, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True)
        self.addCleanup(self.server.stdout.close)
        self.addCleanup(self.server.wait, 20)
        self.addCleanup(self.server.terminate)
        # It says where to open it once everything is served.
        while not (line := self.server.stdout.readline()).startswith("Open "):
            self.assertTrue(line, "the server has ended")
        urllib.request.urlopen(f"{self.url}/health", timeout=10).close()

    def test_every_client_gets_every_message(self):
        command = [sys.executable, "-B", str(SCRIPT), "--urls", self.url, "--clients", "9", "--seconds", "1"]
        ended = subprocess.run(command, capture_output=True, text=True, timeout=60)
        self.assertEqual(ended.returncode, 0, ended.stdout + ended.stderr)
        for line in ("Connected 9 clients", "Messages sent: ", "P99 latency: "):
            self.assertIn(line, ended.stdout)
