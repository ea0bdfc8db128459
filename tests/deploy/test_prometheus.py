"""Prometheus with the files of deploy/ scrapes three instances under load: each query of the rules and of the dashboard finds series."""

import asyncio
import json
import math
import os
import re
import subprocess
import tempfile
import threading
import time
import unittest
import urllib.parse
import urllib.request
from pathlib import Path

import expressions
from files import DEPLOY, ROOT, run
from parts.server import free_port, listens
from parts.token import KEY, token
from test_alerts import PROMETHEUS, groups
from websockets.asyncio.client import connect

SECONDS, END = 60, "\x1e"
HANDSHAKE = json.dumps({"protocol": "json", "version": 1}) + END
DASHBOARD = DEPLOY / "grafana/hubline.json"
GUIDE = ROOT / "docs/scaling-out.md"
# Those of the program: recorded series have colons, and those of the process are as everywhere.
OWN = re.compile(r"(hubline|signalr|redis)_\w+$")
# What a machine that is busy with other things may bring.
BUSY = {"HublineMethodsBlock"}
MANAGEMENT_KEY = "a-management-key-of-32-characters"
HUBS = {"/chathub": "ChatHub", "/videocallhub": "VideoCallHub", "/hubs/navigation-state": "NavigationStateHub"}


class Load(threading.Thread):
    """Two clients of the chat on each instance, which write to each other through a room, and one that leaves and comes back."""

    def __init__(self, ports):
        super().__init__(daemon=True)
        self.ports, self.ended, self.errors = ports, False, []

    def run(self):
        asyncio.run(self.all())

    async def all(self):
        clients = [self.client(port, f"user-{port}-{number}") for port in self.ports for number in range(2)]
        clients += [self.returning(port, f"user-{port}") for port in self.ports]
        self.errors += [result for result in await asyncio.gather(*clients, return_exceptions=True) if result]

    def connection(self, port, user):
        return connect(f"ws://127.0.0.1:{port}/chathub?access_token={token(user)}")

    async def returning(self, port, user):
        while not self.ended:
            async with self.connection(port, user) as socket:
                await socket.send(HANDSHAKE)
                await socket.recv()
            await asyncio.sleep(0.5)

    async def client(self, port, user):
        async with self.connection(port, user) as socket:
            await socket.send(HANDSHAKE)
            reading = asyncio.create_task(self.read(socket))
            await self.call(socket, "JoinRoom", "load")
            while not self.ended:
                await self.call(socket, "SendToRoom", "load", "a message")
                await asyncio.sleep(0.1)
            reading.cancel()

    async def call(self, socket, method, *arguments):
        await socket.send(json.dumps({"type": 1, "target": method, "arguments": arguments}) + END)

    async def read(self, socket):
        async for _ in socket:
            pass

    def end(self):
        self.ended = True
        self.join(SECONDS)


class Monitored(unittest.TestCase):
    """Redis, three instances, their clients and Prometheus."""

    def setUp(self):
        self.directory = Path(self.enterContext(tempfile.TemporaryDirectory(prefix="hubline-prometheus-")))
        self.log = self.enterContext((self.directory / "log").open("w+b"))
        self.redis, self.prometheus = free_port(), free_port()
        self.ports, self.management = ([free_port() for _ in range(3)] for _ in range(2))
        redis = ["redis-server", "--port", str(self.redis), "--save", "", "--maxmemory", "1gb", "--dir", str(self.directory)]
        self.redis_process = self.start(redis, self.redis)
        self.certificate()
        for port, management in zip(self.ports, self.management, strict=True):
            self.instance(port, management)
        for management in self.management:
            self.until(lambda management=management: self.is_ready(management), "ready")
        self.start(self.prometheus_command(), self.prometheus)
        self.load = Load(self.ports)
        self.load.start()
        self.addCleanup(self.load.end)

    def start(self, command, port, **environment):
        process = subprocess.Popen(command, env=os.environ | environment, stdout=self.log, stderr=self.log)
        self.addCleanup(process.wait, SECONDS)
        self.addCleanup(process.kill)
        self.until(lambda: listens(port) or process.poll() is not None, command[0])
        self.assertIsNone(process.poll(), self.logged())
        return process

    def certificate(self):
        command = "openssl req -x509 -newkey ec -pkeyopt ec_paramgen_curve:prime256v1 -nodes -subj /CN=localhost -days 90"
        made = run(*command.split(), "-keyout", "key.pem", "-out", "certificate.pem", cwd=self.directory)
        self.assertEqual(made.returncode, 0, made.stderr)

    def instance(self, port, management):
        """One with everything that has figures of its own: keys, tokens, TLS, a collector (which is away)."""
        settings = {
            "Management__Urls": f"http://127.0.0.1:{management}",
            "Management__Key": MANAGEMENT_KEY,
            "Jwt__Key": KEY.decode(),
            "ConnectionStrings__Database": "Data Source=:memory:",
            "Kestrel__Certificates__Default__Path": str(self.directory / "certificate.pem"),
            "Kestrel__Certificates__Default__KeyPath": str(self.directory / "key.pem"),
            "OTEL_EXPORTER_OTLP_ENDPOINT": "http://127.0.0.1:9",
        }
        urls = f"http://127.0.0.1:{port};https://127.0.0.1:{free_port()}"
        command = [os.environ["HUBLINE_SERVER"], "serve", "--urls", urls, "--redis", f"127.0.0.1:{self.redis}"]
        self.start(command, port, **settings)

    def is_ready(self, port):
        """Also `False` while this address is not listened on yet, though others are."""
        try:
            with urllib.request.urlopen(f"http://127.0.0.1:{port}/health/ready"):
                return True
        except OSError:
            return False

    def prometheus_command(self):
        """With the files as they are, but for addresses, and times that a test can wait for."""
        text = (PROMETHEUS / "prometheus.yml").read_text(encoding="utf-8")
        targets = ", ".join(f'"127.0.0.1:{port}"' for port in self.management)
        for old, new in (
            ('"10.0.0.11:9090", "10.0.0.12:9090", "10.0.0.13:9090"', targets),
            ("scrape_interval: 15s", "scrape_interval: 500ms"),
            ("evaluation_interval: 15s", "evaluation_interval: 500ms"),
            ("    # authorization: ", "    authorization: "),
            ("/etc/prometheus/hubline-management-key", str(self.directory / "key")),
        ):
            self.assertEqual(text.count(old), 1, old)
            text = text.replace(old, new)
        (self.directory / "key").write_text(MANAGEMENT_KEY, encoding="utf-8")
        (self.directory / "prometheus.yml").write_text(text, encoding="utf-8")
        (self.directory / "rules").mkdir()
        for file in (PROMETHEUS / "rules").glob("*.yml"):
            (self.directory / "rules" / file.name).write_text(in_a_test(file.read_text(encoding="utf-8")), encoding="utf-8")
        command = ["prometheus", f"--config.file={self.directory}/prometheus.yml", f"--storage.tsdb.path={self.directory}/data"]
        return [*command, f"--web.listen-address=127.0.0.1:{self.prometheus}", "--log.level=warn"]

    def until(self, condition, what):
        limit = time.monotonic() + SECONDS
        while not condition():
            self.assertLess(time.monotonic(), limit, f"{what}: {self.logged()}")
            time.sleep(0.1)

    def logged(self):
        self.log.seek(0)
        return self.log.read().decode()

    def ask(self, path, **parameters):
        """The data of an answer of Prometheus."""
        url = f"http://127.0.0.1:{self.prometheus}/api/v1/{path}?{urllib.parse.urlencode(parameters)}"
        try:
            with urllib.request.urlopen(url, timeout=SECONDS) as response:
                return json.load(response)["data"]
        except urllib.error.HTTPError as error:
            raise AssertionError(f"{parameters}: {error.read().decode()}") from error

    def series(self, expression):
        """Labels and value of each series. A number alone has no labels."""
        data = self.ask("query", query=expression)
        if data["resultType"] == "scalar":
            return [({}, float(data["result"][1]))]
        return [(one["metric"], float(one["value"][1])) for one in data["result"]]

    def problem(self, expression, shown):
        """What is wrong with an expression whose labels are shown somewhere; `None` if nothing."""
        found = self.series(expression)
        if not any(math.isfinite(value) for _, value in found):
            return f"nothing for {expression}: {found}"
        for labels, _ in found:
            if missing := shown - set(labels):
                return f"no {missing} in {labels} of {expression}"
        for selector in expressions.selectors(expression):
            parts = self.series(selector)
            if not parts:
                return f"nothing for {selector} of {expression}"
            if any(not expressions.matched_on(expression) <= set(labels) for labels, _ in parts):
                return f"{selector} cannot be matched in {expression}"
        for inner, named in expressions.aggregations(expression):
            if any(not named <= set(labels) for labels, _ in self.series(inner)):
                return f"no {named} in {inner}"
        return None

    def test_each_query_finds_series_and_a_healthy_cluster_alerts_nobody(self):
        queries = list(rule_queries()) + list(self.dashboard_queries())
        left = dict.fromkeys(queries)
        limit = time.monotonic() + SECONDS
        while left and time.monotonic() < limit:
            left = {query: found for query in left if (found := self.problem(*query))}
            time.sleep(0.2)
        self.assertEqual("\n".join(left.values()), "")
        self.assertEqual(self.load.errors, [])

        rules = [rule for group in self.ask("rules")["groups"] for rule in group["rules"]]
        self.assertEqual({rule["health"] for rule in rules}, {"ok"}, rules)
        self.assertEqual(len(rules), sum(len(group["rules"]) for group in groups().values()))
        self.assertLessEqual(self.alerts("firing"), {"HublineTelemetryLost"} | BUSY, "the collector alone is away")

        with self.subTest("the guide lists what there is"):
            self.assertEqual(self.metrics(), documented_metrics())

        self.redis_process.kill()
        self.until(lambda: {"HublineRedisAway", "HublineDirectoryAway"} <= self.alerts("pending"), "Redis is away")
        self.assertNotIn("HublineDatabaseAway", self.alerts("pending"))
        with self.subTest("what is not there is found"):
            for expression, shown in (
                ("hubline_nothing", set()),
                ("hubline_ready", {"hub"}),
                ("sum by (hub) (hubline_ready)", set()),
                ('sum(hubline_hub_connections_closed_total{reason=~"slow_client|slow"})', set()),
            ):
                self.assertIsNotNone(self.problem(expression, frozenset(shown)), expression)

    def metrics(self):
        """The names of what the instances report, of a histogram its own."""
        names = {name for name in self.ask("label/__name__/values", **{"match[]": '{job="hubline"}'}) if OWN.match(name)}
        histograms = {name.removesuffix("_bucket") for name in names if name.endswith("_bucket")}
        parts = {f"{histogram}_{part}" for histogram in histograms for part in ("bucket", "count", "sum")}
        return (names - parts) | histograms

    def alerts(self, state):
        """The names of those that fire, or would if nothing changed."""
        return {alert["labels"]["alertname"] for alert in self.ask("alerts")["alerts"] if alert["state"] == state}

    def dashboard_queries(self):
        """Those of panels and variables, with values as Grafana puts them in."""
        dashboard = json.loads(DASHBOARD.read_text(encoding="utf-8"))
        values = {
            "$__rate_interval": "30s",
            "$instance": "|".join(f"127.0.0.1:{port}" for port in self.management),
            "$hub": "|".join(HUBS.values()),
            "$job": "hubline",
        }

        def filled(expression):
            for name, value in values.items():
                expression = expression.replace(name, value)
            return expression

        for panel in dashboard["panels"]:
            for target in panel.get("targets", []):
                yield filled(target["expr"]), frozenset(expressions.shown(target["legendFormat"]))
        for variable in dashboard["templating"]["list"]:
            if variable["type"] == "query":
                self.assertIn(f"${variable['name']}", values)
                selector, label = variable["query"]["query"].removeprefix("label_values(").removesuffix(")").rsplit(", ", 1)
                yield filled(selector), frozenset({label})


def documented_metrics():
    """The names in the first column of the guide's table."""
    _, section = GUIDE.read_text(encoding="utf-8").split("### Metrics\n", 1)
    rows = re.findall(r"^\| (`.*?) \|", section.split("\n## ", 1)[0], re.MULTILINE)
    return {name for row in rows for name in re.findall(r"`([^`]*)`", row) if OWN.match(name)}


def rule_queries():
    """Those of the rules, with 0 and 1 for what an alert does not meet and meets; and the labels that it shows."""
    for group in groups().values():
        for rule in group["rules"]:
            shown = expressions.shown(rule.get("annotations", {}).get("summary", ""))
            if "record" in rule:
                yield rule["record"], frozenset()
            yield in_a_test(expressions.unconditional(rule["expr"])), frozenset(shown)


def in_a_test(text):
    """A minute ago a test had not begun."""
    return text.replace("offset 1m", "offset 1s")
