"""python unit.py PROGRAM DIRECTORY: starts deploy/systemd/hubline.service in a Debian system of its own, which systemd-nspawn boots,
and prints what systemd says of it. As root; the system is made in DIRECTORY, or used again."""

import os
import re
import shutil
import sys
from pathlib import Path

from files import DEPLOY
from machine import call, debian

# What the system does once it is up. Its output is the result.
TRIAL = """#!/bin/sh
exec > /trial.log 2>&1
say() { echo "== $*"; }
attempt() { say "$*"; "$@"; echo "-> $?"; }
set -a; . /etc/hubline/hubline.env; set +a
attempt systemctl start hubline
for n in $(seq 300); do hubline check --self > /dev/null 2>&1 && break; sleep 0.1; done
attempt hubline check --self
attempt systemctl show hubline --property=ActiveState,SubState,NRestarts
pid=$(systemctl show hubline --property=MainPID --value)
say "the process"
grep -E '^(Uid|CapEff|CapBnd|NoNewPrivs|Seccomp):' /proc/$pid/status
tr '\\0' ' ' < /proc/$pid/cmdline; echo
say "what it may write to"
for path in /usr/local/bin /etc/hubline /var/lib/hubline /var/log /home /tmp; do
    nsenter --target $pid --mount -- setpriv --reuid=$(awk '/^Uid/{print $2}' /proc/$pid/status) --regid=$(awk '/^Gid/{print $2}' /proc/$pid/status) \\
        --clear-groups sh -c "touch $path/trial 2> /dev/null" && echo "$path: yes" || echo "$path: no"
done
attempt ls -ln /var/lib/private/hubline
say "systemctl stop hubline"
begun=$(date +%s%N)
systemctl stop hubline
echo "-> $? after $(( ($(date +%s%N) - begun) / 1000000 )) ms"
attempt systemctl show hubline --property=ActiveState,Result,ExecMainStatus
say "killed, it is started again"
systemctl start hubline
systemctl kill --signal=SIGKILL hubline
for n in $(seq 300); do [ "$(systemctl show hubline --property=NRestarts --value)" = 1 ] && hubline check --self > /dev/null 2>&1 && break; sleep 0.1; done
attempt hubline check --self
attempt systemctl show hubline --property=NRestarts
systemctl stop hubline
attempt systemd-analyze verify --man=no hubline.service
say "systemd-analyze security hubline"
systemd-analyze security --no-pager hubline | tail -1
say "the log"
journalctl --unit=hubline --no-hostname --output=cat --quiet
systemctl poweroff
"""
SERVICE = """[Service]
Type=oneshot
ExecStart=/trial.sh
[Install]
WantedBy=multi-user.target
"""


def prepare(root, program):
    shutil.copy(program, root / "usr/local/bin/hubline")
    shutil.copy(DEPLOY / "systemd/hubline.service", root / "etc/systemd/system/hubline.service")
    (root / "etc/hubline").mkdir(exist_ok=True)
    target = root / "etc/hubline/hubline.env"
    shutil.copy(DEPLOY / "systemd/hubline.env", target)
    target.chmod(0o600)
    (root / "trial.sh").write_text(TRIAL, encoding="utf-8")
    (root / "trial.sh").chmod(0o755)
    (root / "trial.log").unlink(missing_ok=True)
    (root / "etc/systemd/system/trial.service").write_text(SERVICE, encoding="utf-8")
    call("systemctl", "--quiet", f"--root={root}", "enable", "trial.service")
    shutil.rmtree(root / "var/lib/private/hubline", ignore_errors=True)


def judge(log):
    """What is not as it has to be."""
    steps = log.split("== ")
    wanted = {
        "it starts": ("systemctl start hubline", r"-> 0$"),
        "it is healthy": ("hubline check --self", r"-> 0$"),
        "it is active": ("systemctl show hubline --property=ActiveState,SubState", r"^ActiveState=active$"),
        "it is nobody": ("the process", r"^Uid:\t6\d{4}\t"),
        "it has no capabilities": ("the process", r"^CapEff:\t0{16}$"),
        "it gains none": ("the process", r"^NoNewPrivs:\t1$"),
        "its calls are filtered": ("the process", r"^Seccomp:\t2$"),
        "it writes to its state": ("what it may", r"^/var/lib/hubline: yes$"),
        "it writes not to its program": ("what it may", r"^/usr/local/bin: no$"),
        "it writes not to its settings": ("what it may", r"^/etc/hubline: no$"),
        "its database is there": ("ls -ln", r" hubline\.db$"),
        "it stops by itself": ("systemctl show hubline --property=ActiveState,Result", r"^Result=success\nExecMainStatus=0$"),
        "it is started again": ("systemctl show hubline --property=NRestarts", r"^NRestarts=1$"),
        "systemd finds nothing wrong": ("systemd-analyze verify", r"-> 0$"),
    }
    found = {what: [re.search(pattern, step, re.MULTILINE) for step in steps if step.startswith(title)]
             for what, (title, pattern) in wanted.items()}
    return [what for what, matches in found.items() if not matches or not all(matches)]


def main(program, directory):
    root = debian(Path(directory).absolute(), ["systemd", "systemd-sysv", "dbus", "ca-certificates"])
    prepare(root, program)
    command = ["systemd-nspawn", "--register=no", "--keep-unit", "--quiet", "--directory", root, "--boot"]
    call(*command, "--private-network", "--console=pipe", stdout=sys.stderr)
    log = (root / "trial.log").read_text(encoding="utf-8")
    print(log)
    missing = judge(log)
    print("missing: " + ", ".join(missing) if missing else "All of it is as it should be.")
    return bool(missing)


if __name__ == "__main__":
    if os.geteuid() != 0 or len(sys.argv) != 3:
        sys.exit(__doc__)
    sys.exit(main(*sys.argv[1:]))
