"""The server under test."""

import os
import random
import socket
import subprocess
import time
import urllib.error
import urllib.request

START_SECONDS = 20
# Below the range that Linux takes outgoing ports from. A block belongs to one process, which claims it by a UDP socket on the
# first number, as crates/testkit does.
BLOCK = 50
BLOCKS = range(20_000, 32_000, BLOCK)
claims = []


def claimed_ports():
    """The ports of this process: a block of them, and another when it is used up."""
    while True:
        first = random.choice(BLOCKS)
        claim = socket.socket(type=socket.SOCK_DGRAM)
        try:
            claim.bind(("127.0.0.1", first))
        except OSError:
            claim.close()
            continue
        claims.append(claim)
        yield from range(first, first + BLOCK)


def listens(port):
    with socket.socket() as probe:
        return probe.connect_ex(("127.0.0.1", port)) == 0


ports = claimed_ports()


def free_port():
    return next(port for port in ports if not listens(port))


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
