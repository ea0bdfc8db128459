"""The HTTP API is as its own description says: schemathesis makes requests of it, right ones and wrong ones, and judges the answers."""

import os
import subprocess
import sys
import time
import unittest
import urllib.request
from pathlib import Path
from tempfile import TemporaryDirectory

from parts.server import START_SECONDS, free_port

HERE = Path(__file__).parent
KEY = "0123456789abcdef0123456789abcdef"
LIMIT_SECONDS = 240


class Description:
    """Mixed into `TestCase` with `EXAMPLES` of each operation, from `SEED` on. Both databases share what one would take alone."""

    def setUp(self):
        url = f"http://127.0.0.1:{free_port()}"
        self.document = f"{url}/openapi/v1.json"
        settings = {
            "Admin__ApiKey": KEY,
            "Admin__WrongKeysPerMinute": "0",
            "ConnectionStrings__Database": self.database(),
        }
        self.server = subprocess.Popen(
            [os.environ["HUBLINE_SERVER"], "serve", "--dev", "--urls", url],
            env=os.environ | settings,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.PIPE,
            text=True,
        )
        self.addCleanup(self.stop)
        limit = time.monotonic() + START_SECONDS
        while True:
            try:
                with urllib.request.urlopen(f"{url}/health"):
                    return
            except OSError:
                if self.server.poll() is not None or time.monotonic() > limit:
                    raise
            time.sleep(0.02)

    def stop(self):
        self.server.terminate()
        self.server.communicate(timeout=30)

    def test_requests_are_answered_as_described(self):
        program = Path(sys.executable).with_name("st")
        command = [program, "--config-file", HERE / "schemathesis.toml", "run", self.document]
        command += ["--header", f"Authorization: Bearer {KEY}", "--checks", "all", "--seed", str(self.SEED)]
        command += ["--max-examples", str(self.EXAMPLES), "--generation-database", "none", "--no-color"]
        with TemporaryDirectory() as directory:
            result = subprocess.run(
                command, capture_output=True, text=True, timeout=LIMIT_SECONDS, cwd=directory
            )
        # Nobody reads the log of 1,000 requests that succeed.
        self.assertEqual(result.returncode, 0, result.stdout + result.stderr)


class Sqlite(Description, unittest.TestCase):
    EXAMPLES, SEED = 8, 1

    def database(self):
        return "Data Source=:memory:"


class PostgreSql(Description, unittest.TestCase):
    EXAMPLES, SEED = 7, 2

    def database(self):
        database = os.environ.get("HUBLINE_TEST_DATABASE")
        if not database:
            self.skipTest("HUBLINE_TEST_DATABASE names no empty database of PostgreSQL, as cargo xtask test does")
        return database


if __name__ == "__main__":
    unittest.main()
