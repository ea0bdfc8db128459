"""python image.py DIRECTORY [PROGRAM]: builds the image of deploy/Dockerfile with buildah and runs its root. As root, without Docker:
images of the same names as its base images are made of Debian packages and of the Rust toolchain of this machine. With PROGRAM its last
stage alone is built, around that program. Storage is in DIRECTORY, and is removed afterwards."""

import json
import os
import re
import shutil
import subprocess
import sys
import time
from pathlib import Path

from container import Container
from files import DEPLOY, ROOT
from machine import call, debian, output

IMAGE = "hubline"
BUILDER, RUNTIME = "docker.io/library/rust:1.95-bookworm", "gcr.io/distroless/cc-debian12:nonroot"
# What distroless/cc consists of.
RUNTIME_PACKAGES = ["base-files", "netbase", "tzdata", "ca-certificates", "libc6", "libssl3", "libgcc-s1", "libgomp1", "libstdc++6"]
BUILDER_PACKAGES = ["gcc", "libc6-dev", "ca-certificates"]
TOOLCHAIN = "/usr/local/rustup"
AUTHORITIES = "etc/ssl/certs/ca-certificates.crt"
SECONDS = 60


class Buildah:
    """buildah with a storage of its own."""

    def __init__(self, directory):
        self.storage = directory / "storage"
        self.options = ["--root", self.storage, "--runroot", directory / "run", "--storage-driver", "vfs"]

    def __call__(self, *words):
        call("buildah", *self.options, *words)

    def output(self, *words):
        return output("buildah", *self.options, *words).strip()

    def commit(self, root, name, *config):
        """Makes an image of a directory."""
        container = self.output("from", "scratch")
        self("add", "--quiet", container, root, "/")
        self("config", *config, container)
        self("commit", "--quiet", "--rm", "--format", "docker", container, name)

    def has(self, name):
        return name in self.output("images", "--format", "{{.Name}}:{{.Tag}}")


def runtime_base(buildah, directory, system):
    """The files of a few packages, with the user `nonroot` and without a shell."""
    root = directory / "runtime"
    shutil.rmtree(root, ignore_errors=True)
    root.mkdir()
    for package in RUNTIME_PACKAGES:
        (archive,) = (system / "var/cache/apt/archives").glob(f"{package}_*.deb")
        call("dpkg-deb", "--extract", archive, root)
    shutil.copy(system / AUTHORITIES, root / AUTHORITIES)
    (root / "etc/passwd").write_text("root:x:0:0:root:/root:/sbin/nologin\nnonroot:x:65532:65532:nonroot:/home/nonroot:/sbin/nologin\n")
    (root / "etc/group").write_text("root:x:0:\nnonroot:x:65532:\n")
    shutil.rmtree(root / "usr/sbin", ignore_errors=True)
    for name in (root / "usr/bin").glob("*"):
        name.unlink()
    path = "PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"
    buildah.commit(root, RUNTIME, "--env", path, "--env", f"SSL_CERT_FILE=/{AUTHORITIES}", "--user", "65532")
    shutil.rmtree(root)


def builder_base(buildah, system):
    """A C compiler. The Rust of this machine is mounted where the official image has its own."""
    # Registries may be behind an authority that this machine knows.
    shutil.copy(f"/{AUTHORITIES}", system / AUTHORITIES)
    path = f"PATH=/usr/local/cargo/bin:{TOOLCHAIN}/bin:/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"
    buildah.commit(system, BUILDER, "--env", path, "--env", "CARGO_HOME=/usr/local/cargo")


def build(buildah, directory, program):
    options = ["--isolation", "chroot", "--format", "docker", "--layers=false", "--tag", IMAGE]
    if program is None:
        sysroot = output("rustc", "--print", "sysroot").strip()
        options += ["--volume", f"{sysroot}:{TOOLCHAIN}:ro"]
        jobs = os.environ.get("CARGO_BUILD_JOBS")
        options += ["--build-arg", f"CARGO_BUILD_JOBS={jobs}"] if jobs else []
        return buildah("build", *options, "--file", DEPLOY / "Dockerfile", ROOT)
    context = directory / "context"
    shutil.rmtree(context, ignore_errors=True)
    (context / "image/usr/local/bin").mkdir(parents=True)
    for empty in ("app", "var/lib/hubline"):
        (context / "image" / empty).mkdir(parents=True)
    shutil.copy(program, context / "image/usr/local/bin/hubline")
    recipe = (DEPLOY / "Dockerfile").read_text(encoding="utf-8")
    last = recipe[recipe.rindex("\nFROM ") :]
    (context / "Dockerfile").write_text(f"FROM scratch AS build\nCOPY image /image\n{last}", encoding="utf-8")
    buildah("build", *options, "--file", context / "Dockerfile", context)


def say(what, holds, detail=""):
    print(f"{'✓' if holds else '✗'} {what}{': ' + detail if detail else ''}", flush=True)
    return bool(holds)


def judge_files(root, config, whole):
    size = sum(file.lstat().st_size for file in root.rglob("*") if not file.is_symlink() and file.is_file())
    shells = [name for name in ("bin/sh", "bin/bash", "bin/dash", "usr/bin/env", "usr/bin/apt") if (root / name).exists()]
    owned = [str(file.relative_to(root)) for file in root.rglob("*") if file.lstat().st_uid == 65532]
    yield say("size", True, f"{size / 1e6:.0f} MB, of which hubline {(root / 'usr/local/bin/hubline').stat().st_size / 1e6:.0f} MB")
    yield say("user, port, volume", config["User"] == "65532:65532" and list(config["ExposedPorts"]) == ["8080/tcp"],
              f"{config['User']}, {' '.join(config['ExposedPorts'])}, {' '.join(config['Volumes'])}")
    yield say("health check", config["Healthcheck"]["Test"] == ["CMD", "/usr/local/bin/hubline", "check", "--self"])
    yield say("no shell, no package manager", not shells, " ".join(shells))
    yield say("its user owns the volume alone", owned == ["var/lib/hubline"], " ".join(owned))
    if whole:
        bill = json.loads((root / "usr/share/sbom/hubline.cdx.json").read_text(encoding="utf-8"))
        names = {component["name"] for component in bill["components"]}
        yield say("bill of materials", {"tokio", "hyper", "rustls"} <= names, f"{bill['bomFormat']} {bill['specVersion']}, {len(names)} crates")
        sections = output("readelf", "--sections", "--wide", root / "usr/local/bin/hubline")
        yield say("the program has its dependencies in it", ".dep-v0" in sections)


def judge_run(root, config, directory):
    volume = directory / "volume"
    shutil.rmtree(volume, ignore_errors=True)
    volume.mkdir()
    os.chown(volume, 65532, 65532)
    container = Container(root, config, volume, [("Drain__Delay", "2"), ("ShutdownTimeout", "5")])
    try:
        yield from judge_container(container, volume)
        yield from judge_end(container)
    finally:
        container.process.kill()


def judge_container(container, volume):
    begun = time.monotonic()
    check = container.config["Healthcheck"]["Test"][1:]
    while (result := container.inside(*check)).returncode and time.monotonic() < begun + SECONDS:
        time.sleep(0.1)
    yield say("health check", result.returncode == 0, f"after {time.monotonic() - begun:.1f} s: {told(result)}")
    status = Path(f"/proc/{container.pid}/status").read_text()
    user, capabilities = (re.search(rf"^{name}:\s+(\S+)", status, re.MULTILINE).group(1) for name in ("Uid", "CapEff"))
    nobody = user == "65532" and int(capabilities, 16) == 0
    yield say("process 1 is nobody", nobody, f"user {user}, capabilities {capabilities}")
    mounts = [line.split() for line in Path(f"/proc/{container.pid}/mounts").read_text().splitlines()]
    read_only = {words[1]: "ro" in words[3].split(",") for words in mounts}
    yield say("its file system is read-only, but for the volume", read_only["/"] and not read_only["/var/lib/hubline"])
    files = sorted(file.name for file in volume.iterdir())
    yield say("SQLite is on the volume", "hubline.db" in files, " ".join(files))


def judge_end(container):
    client = container.network(sys.executable, str(Path(__file__).with_name("client.py")), "8080")
    with subprocess.Popen(client, stdout=subprocess.PIPE, text=True) as client:
        yield say("a client connects", client.stdout.readline() == "open\n")
        begun = time.monotonic()
        drained = container.inside("/usr/local/bin/hubline", "drain", "--self")
        yield say("hubline drain --self", drained.returncode == 0, f"{time.monotonic() - begun:.1f} s: {told(drained)}")
        # As `docker stop`, and Kubernetes after preStop.
        subprocess.run(["kill", "-TERM", str(container.pid)], check=False, stderr=subprocess.DEVNULL)
        code, printed = container.wait(SECONDS)
        yield say("it ends by itself", code == 0, f"exit code {code}, {time.monotonic() - begun:.1f} s after that began")
        last = client.communicate(timeout=SECONDS)[0].strip()
        yield say("its client was told to come back", last and json.loads(last).get("allowReconnect") is True, last)
    print("".join(f"  {line}\n" for line in printed.splitlines()), end="")


def told(result):
    """What a program printed, on one line."""
    return "; ".join((result.stdout + result.stderr).split("\n")).strip("; ")


def main(directory, program=None):
    directory = Path(directory).absolute()
    directory.mkdir(parents=True, exist_ok=True)
    buildah = Buildah(directory)
    system = debian(directory / "system", sorted({*RUNTIME_PACKAGES, *BUILDER_PACKAGES} - {"base-files", "libc6"}))
    try:
        runtime_base(buildah, directory, system)
        if program is None:
            builder_base(buildah, system)
        build(buildah, directory, program)
        config = json.loads(buildah.output("inspect", "--type", "image", IMAGE))["Docker"]["config"]
        root = Path(buildah.output("mount", buildah.output("from", "--pull-never", IMAGE)))
        held = [*judge_files(root, config, program is None), *judge_run(root, config, directory)]
    finally:
        buildah("rm", "--all")
        buildah("rmi", "--all", "--force")
        shutil.rmtree(buildah.storage, ignore_errors=True)
    return not all(held)


if __name__ == "__main__":
    if os.geteuid() != 0 or len(sys.argv) not in (2, 3):
        sys.exit(__doc__)
    sys.exit(main(*sys.argv[1:]))
