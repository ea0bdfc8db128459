"""The systemd unit, by systemd's own checks. That it runs is `cargo xtask unit`."""

import os
import re
import shlex
import tempfile
import unittest
from pathlib import Path

from files import DEPLOY, misunderstood, run, variables

UNIT = DEPLOY / "systemd/hubline.service"
# Of 10. Most services of a distribution are above 9; what is left is that it opens sockets and reads its program.
EXPOSURE = 1.5
VALUES = {
    "ConnectionStrings__Database": "Host=db.example.org;Database=hubline;Username=hubline;Password=a;SSL Mode=VerifyFull",
    "ConnectionStrings__RedisSignalR": "redis.example.org:6380,password=a,ssl=true",
    "Admin__ApiKey": "0123456789abcdef",
    "Cors__AllowedOrigins": "https://app.example.org",
    "ForwardedHeaders__KnownProxies": "10.0.0.2",
}


class Unit(unittest.TestCase):
    def test_systemd_takes_it(self):
        with tempfile.TemporaryDirectory() as directory:
            unit = Path(directory) / UNIT.name
            text = UNIT.read_text(encoding="utf-8")
            unit.write_text(text.replace("/usr/local/bin/hubline", os.environ["HUBLINE_SERVER"]), encoding="utf-8")
            result = run("systemd-analyze", "verify", "--man=no", str(unit))
            self.assertEqual((result.returncode, result.stderr), (0, ""))
            unit.write_text(f"{text}\nNoSuchKey=1\n", encoding="utf-8")
            self.assertIn("NoSuchKey", run("systemd-analyze", "verify", "--man=no", str(unit)).stderr)

    def test_it_can_do_little(self):
        result = run("systemd-analyze", "security", "--offline=yes", "--no-pager", str(UNIT))
        exposure = float(re.search(r"Overall exposure level .*: ([0-9.]+)", result.stdout).group(1))
        self.assertLessEqual(exposure, EXPOSURE)

    def test_settings_are_those_of_the_program(self):
        text = (DEPLOY / "systemd/hubline.env").read_text(encoding="utf-8")
        commented = re.findall(r"^#(\w+)=", text, re.MULTILINE)
        self.assertGreater(len(commented), 3)
        own = {name: VALUES[name] for name in commented} | variables(DEPLOY / "systemd/hubline.env")
        unit = re.search(r"^Environment=(.*)$", UNIT.read_text(encoding="utf-8"), re.MULTILINE).group(1)
        own = dict(word.split("=", 1) for word in shlex.split(unit)) | own
        self.assertEqual(misunderstood(own)[0], [])
