"""Files of deploy/, and programs beside the interpreter that runs this."""

import os
import re
import shlex
import subprocess
import sys
from pathlib import Path

import yaml

ROOT = Path(__file__).parent.parent.parent
DEPLOY = ROOT / "deploy"
# What a program may take: a net, none comes near it.
SECONDS = 60
# Variables of others: what stands within a connection string, and settings of App Service.
NOT_READ = ("REDIS_PASSWORD", "WEBSITES_")


def tool(name):
    """A program that a Python package has brought."""
    return str(Path(sys.executable).with_name(name))


def run(*command, **options):
    """The finished process, with its output as text."""
    return subprocess.run(command, capture_output=True, text=True, timeout=SECONDS, check=False, **options)


def documents(text):
    """The objects of a YAML text with several documents, without empty ones."""
    return [document for document in yaml.safe_load_all(text) if document]


def variables(file):
    """The variables of an environment file, as Docker and systemd read it."""
    lines = [line.strip() for line in Path(file).read_text(encoding="utf-8").splitlines()]
    return dict(line.split("=", 1) for line in lines if line and not line.startswith("#"))


def image_variables():
    """The variables that the image sets."""
    lines = (DEPLOY / "Dockerfile").read_text(encoding="utf-8").replace("\\\n", " ").splitlines()
    words = next(line for line in lines if line.startswith("ENV ")).removeprefix("ENV ")
    return dict(word.split("=", 1) for word in shlex.split(words))


def misunderstood(environment):
    """What is wrong with variables, according to `hubline config` with them and those of the image: its error, or the names of those
    that it has no key for. And what it printed."""
    minimal = {name: os.environ[name] for name in ("PATH", "HOME") if name in os.environ}
    result = run(os.environ["HUBLINE_SERVER"], "config", env=minimal | image_variables() | environment, cwd="/")
    if result.returncode != 0:
        return [result.stderr], result.stdout
    read = [name for name, value in environment.items() if value and not name.startswith(NOT_READ)]
    shown = re.findall(r"^\S+ = .*\(environment variable (\w+)\)$", result.stdout, re.MULTILINE)
    return [name for name in read if name not in shown], result.stdout
