"""A Debian system of its own, made with debootstrap: for the unit, and for the base images."""

import subprocess
from pathlib import Path

RELEASE, MIRROR = "bookworm", "http://deb.debian.org/debian"


def call(*command, **options):
    """Runs a program that has to succeed."""
    subprocess.run([str(word) for word in command], check=True, **options)


def output(*command, **options):
    words = [str(word) for word in command]
    return subprocess.run(words, check=True, stdout=subprocess.PIPE, text=True, **options).stdout


def debian(directory, packages):
    """Installs a minimal system with these packages, unless it is there. Its packages' files stay in var/cache/apt/archives."""
    directory = Path(directory)
    if not (directory / "etc/debian_version").exists():
        print(f"debootstrap {RELEASE} with {' '.join(packages)}", flush=True)
        include = f"--include={','.join(packages)}"
        call("debootstrap", "--variant=minbase", include, RELEASE, directory, MIRROR, stdout=subprocess.DEVNULL)
    return directory
