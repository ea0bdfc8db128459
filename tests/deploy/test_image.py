"""The recipe of the image. That it builds, and what the image does, is `cargo xtask image`."""

import json
import shutil
import tempfile
import unittest
from pathlib import Path

from files import DEPLOY, ROOT, image_variables, run, tool


class Recipe(unittest.TestCase):
    def test_hadolint_finds_nothing(self):
        result = run(tool("hadolint"), "--failure-threshold", "style", str(DEPLOY / "Dockerfile"))
        self.assertEqual((result.returncode, result.stdout), (0, ""))
        with tempfile.NamedTemporaryFile("w", suffix="Dockerfile") as wrong:
            wrong.write("FROM debian\nRUN cd /tmp\n")
            wrong.flush()
            self.assertNotEqual(run(tool("hadolint"), wrong.name).returncode, 0)

    def test_the_context_has_all_that_cargo_reads(self):
        kept = [line[1:] for line in (ROOT / ".dockerignore").read_text().splitlines() if line.startswith("!")]
        with tempfile.TemporaryDirectory() as context:
            for name in kept:
                source, target = ROOT / name, Path(context) / name
                target.parent.mkdir(parents=True, exist_ok=True)
                self.assertTrue(source.exists(), name)
                shutil.copytree(source, target) if source.is_dir() else shutil.copy(source, target)
            result = run("cargo", "metadata", "--offline", "--locked", "--no-deps", "--format-version=1", cwd=context)
            self.assertEqual(result.returncode, 0, result.stderr)
            packages = {package["name"]: package for package in json.loads(result.stdout)["packages"]}
            self.assertIn("hubline", [target["name"] for target in packages["hubline-server"]["targets"]])

    def test_it_serves_as_somebody_on_the_port_that_it_says(self):
        lines = (DEPLOY / "Dockerfile").read_text(encoding="utf-8").splitlines()
        self.assertIn("USER 65532:65532", lines)
        self.assertIn(f"EXPOSE {image_variables()['ASPNETCORE_HTTP_PORTS']}", lines)
        volume = next(json.loads(line.split(maxsplit=1)[1]) for line in lines if line.startswith("VOLUME"))
        self.assertIn(f"Data Source={volume[0]}/", image_variables()["ConnectionStrings__Database"])
