"""The systemd unit, by systemd's own checks. That it runs is `cargo xtask unit`."""

import os
import re
import tempfile
import unittest
from pathlib import Path

from files import DEPLOY, configuration, run, variables

UNIT = DEPLOY / "systemd/hubline.service"
# Of 10. Most services of a distribution are above 9; what is left is that it opens sockets and reads its program.
EXPOSURE = 1.5


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

    def test_the_environment_file_is_understood(self):
        result = configuration(variables(DEPLOY / "systemd/hubline.env"))
        self.assertEqual(result.returncode, 0, result.stderr)
        self.assertIn("8080", result.stdout)
