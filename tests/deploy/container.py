"""An image's root, run as a container runs it: namespaces of its own, its program as process 1, its user, and nothing writable but the
volume and /tmp. `python container.py ROOT CONFIG VOLUME`, within new namespaces, becomes that process."""

import ctypes
import json
import os
import subprocess
import sys
import time
from pathlib import Path

PR_SET_NO_NEW_PRIVS = 38
DEVICES = ("null", "zero", "random", "urandom")


def environment(config):
    return dict(entry.split("=", 1) for entry in config["Env"])


class Container:
    """A container that runs until it is stopped, or ends. `config` is the image's."""

    def __init__(self, root, config, volume, variables=()):
        self.config, self.environment = config, environment(config) | dict(variables)
        own = config | {"Env": [f"{name}={value}" for name, value in self.environment.items()]}
        command = ["unshare", "--mount", "--pid", "--net", "--uts", "--ipc", "--fork", "--kill-child"]
        command += [sys.executable, __file__, str(root), json.dumps(own), str(volume)]
        self.process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)
        children = Path(f"/proc/{self.process.pid}/task/{self.process.pid}/children")
        while not (child := children.read_text().split()):
            time.sleep(0.01)
        self.pid = int(child[0])

    def inside(self, *command):
        """Runs a program of the image beside it, as `docker exec` does."""
        user, group = self.config["User"].split(":")
        nsenter = ["nsenter", f"--target={self.pid}", "--mount", "--pid", "--net", "--ipc", "--root"]
        nsenter += [f"--wdns={self.config.get('WorkingDir') or '/'}", f"--setuid={user}", f"--setgid={group}", "--"]
        return subprocess.run([*nsenter, *command], env=self.environment, capture_output=True, text=True, timeout=120)

    def network(self, *command):
        """A command of this machine that reaches the container's ports."""
        return ["nsenter", f"--target={self.pid}", "--net", "--", *command]

    def wait(self, seconds):
        """Its exit code and what it printed."""
        printed, _ = self.process.communicate(timeout=seconds)
        return self.process.returncode, printed


def become(root, config, volume):
    def mount(*words):
        subprocess.run(["mount", *words], check=True)

    mount("--make-rprivate", "/")
    mount("--bind", root, root)
    # Mount points, which the root itself need not have.
    for directory in ("proc", "dev", "tmp", volume_of(config)):
        os.makedirs(os.path.join(root, directory.lstrip("/")), exist_ok=True)
    mount("-t", "proc", "proc", f"{root}/proc")
    mount("-t", "tmpfs", "tmpfs", f"{root}/dev")
    for device in DEVICES:
        Path(f"{root}/dev/{device}").touch()
        mount("--bind", f"/dev/{device}", f"{root}/dev/{device}")
    mount("-t", "tmpfs", "tmpfs", f"{root}/tmp")
    mount("--bind", volume, f"{root}{volume_of(config)}")
    mount("-o", "remount,bind,ro", root)
    subprocess.run(["ip", "link", "set", "lo", "up"], check=True)
    os.chroot(root)
    os.chdir(config.get("WorkingDir") or "/")
    user, group = map(int, config["User"].split(":"))
    os.setgroups([])
    os.setgid(group)
    os.setuid(user)
    ctypes.CDLL(None).prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0)
    words = config["Entrypoint"] + config["Cmd"]
    os.execve(words[0], words, environment(config))


def volume_of(config):
    (volume,) = config["Volumes"]
    return volume


if __name__ == "__main__":
    become(sys.argv[1], json.loads(sys.argv[2]), sys.argv[3])
