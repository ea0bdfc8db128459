"""The server under test."""

import os
import random
import socket
import subprocess
import time
import urllib.error
import urllib.request

START_SECONDS = 20
# Below the range that Linux takes outgoing ports from.
PORTS = range(20_000, 32_000)


def free_port():
    while True:
        port = random.choice(PORTS)
        with socket.socket() as probe:
            if probe.connect_ex(("127.0.0.1", port)) != 0:
                return port


class Server:
    """The program that HUBLINE_CONFORMANCE_SERVER names, with the recorded hubs."""

    def __init__(self):
        self.port = free_port()
        self.url = f"http://127.0.0.1:{self.port}"
        self.process = subprocess.Popen(
            [os.environ["HUBLINE_CONFORMANCE_SERVER"], "--urls", self.url, "--keep-alive", "1"],
            stdout=subprocess.DEVNULL,
        )
        self._wait_until_healthy()

    def _wait_until_healthy(self):
        limit = time.monotonic() + START_SECONDS
        while True:
            try:
                with urllib.request.urlopen(f"{self.url}/health"):
                    return
            except urllib.error.URLError:
                if self.process.poll() is not None or time.monotonic() > limit:
                    self.stop()
                    raise
            time.sleep(0.02)

    def stop(self):
        self.process.terminate()
        try:
            self.process.wait(10)
        except subprocess.TimeoutExpired:
            self.process.kill()
            self.process.wait()
