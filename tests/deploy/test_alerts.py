"""The rules of deploy/prometheus by promtool: each alert fires on what it is for, not on a little less, and says what to do."""

import json
import re
import tempfile
import unittest
from pathlib import Path

import yaml
from fabricated import CASES, HEALTHY_MINUTES, MINUTES, one
from files import DEPLOY, ROOT, documents, run
from manifests import problems

PROMETHEUS = DEPLOY / "prometheus"
RULES = sorted((PROMETHEUS / "rules").glob("*.yml"))
RECORDING = "hubline-recording"
GUIDE = ROOT / "docs/monitoring.md"
# Debian's Prometheus knows no Kubernetes; its relabelling is Prometheus's own.
DISCOVERY = "    kubernetes_sd_configs: [{ role: pod }]\n"


def groups():
    """All rules by their group, that of the recorded series first."""
    found = [group for file in RULES for group in yaml.safe_load(file.read_text(encoding="utf-8"))["groups"]]
    return {group["name"]: group for group in sorted(found, key=lambda group: group["name"] != RECORDING)}


def alerts():
    """The alerts by their names."""
    return {rule["alert"]: rule for group in groups().values() for rule in group["rules"] if "alert" in rule}


def trial(case):
    """A test as promtool reads it."""
    rule = alerts()[case.alert]
    annotations = {"summary": case.summary, "runbook_url": rule["annotations"]["runbook_url"]}
    firing = {"exp_labels": case.labels | rule["labels"], "exp_annotations": annotations}
    return {
        "interval": "1m",
        "input_series": [{"series": series, "values": values} for series, values in case.series.items()],
        "alert_rule_test": [
            {"alertname": case.alert, "eval_time": f"{HEALTHY_MINUTES}m", "exp_alerts": []},
            {"alertname": case.alert, "eval_time": f"{case.minute}m", "exp_alerts": [firing]},
        ],
    }


class Alerts(unittest.TestCase):
    def tried(self, cases):
        """What promtool says; each case is tried with its own group and the recorded series, which takes less time."""
        recording, *others = groups().values()
        with tempfile.TemporaryDirectory() as directory:
            files = []
            for group in others:
                rules, tests = (Path(directory) / f"{group['name']}{suffix}.yml" for suffix in ("", "-tests"))
                rules.write_text(json.dumps({"groups": [recording, group]}), encoding="utf-8")
                names = {rule["alert"] for rule in group["rules"]}
                trials = [trial(case) for case in cases if case.alert in names]
                tests.write_text(json.dumps({"rule_files": [str(rules)], "evaluation_interval": "1m", "tests": trials}))
                files.append(str(tests))
            return run("promtool", "test", "rules", *files)

    def test_each_fires_when_it_should_and_not_before(self):
        self.assertEqual({case.alert for case in CASES}, set(alerts()), "each is tried")
        self.assertTrue(all(HEALTHY_MINUTES < case.minute < MINUTES for case in CASES))
        result = self.tried(CASES)
        self.assertEqual(result.returncode, 0, result.stderr + result.stdout)

    def test_one_that_does_not_fire_is_found(self):
        for values in ("1x90", "0x90"):
            case = one("HublineInstanceDown", "up", values, "a does not answer Prometheus")
            result = self.tried([case])
            self.assertNotEqual(result.returncode, 0)
            self.assertIn(case.alert, result.stderr + result.stdout)

    def test_each_has_a_section_of_the_guide(self):
        headings = re.findall(r"^### (Hubline\w+)$", GUIDE.read_text(encoding="utf-8"), re.MULTILINE)
        self.assertEqual(headings, list(alerts()), "in their order")
        for name, rule in alerts().items():
            self.assertEqual(rule["annotations"]["runbook_url"], f"docs/monitoring.md#{name.lower()}")
            self.assertIn(rule["labels"]["severity"], ("critical", "warning"))


class Configurations(unittest.TestCase):
    def check(self, file):
        result = run("promtool", "check", "config", str(file))
        self.assertEqual(result.returncode, 0, result.stderr)
        self.assertIn(f"{len(RULES)} rule files found", result.stdout)

    def test_prometheus_takes_the_file_with_addresses(self):
        self.check(PROMETHEUS / "prometheus.yml")

    def test_in_kubernetes_the_pods_of_instances_are_targets(self):
        text = (PROMETHEUS / "kubernetes.yml").read_text(encoding="utf-8")
        self.assertIn(DISCOVERY, text)
        name, port = "__meta_kubernetes_pod_label_app_kubernetes_io_name", "__meta_kubernetes_pod_container_port_name"
        pod = {name: "hubline", port: "metrics", "__meta_kubernetes_pod_phase": "Running"}
        pod |= {"__meta_kubernetes_namespace": "chat", "__meta_kubernetes_pod_name": "hubline-0"}
        others = [{port: "http"}, {name: "redis"}, {"__meta_kubernetes_pod_phase": "Failed"}]
        found = [{"targets": ["10.1.0.1:9090"], "labels": pod | other} for other in ({}, *others)]
        with tempfile.TemporaryDirectory() as directory:
            file = Path(directory) / "prometheus.yml"
            file.write_text(text.replace(DISCOVERY, f"    static_configs: {json.dumps(found)}\n").replace("rules/", f"{PROMETHEUS}/rules/"))
            self.check(file)
            # It looks for so long, whatever it finds.
            result = run("promtool", "check", "service-discovery", "--timeout=1s", str(file), "hubline")
        self.assertEqual(result.returncode, 0, result.stderr)
        labels = [target["labels"] for target in json.loads(result.stdout) if target["labels"]]
        self.assertEqual(len(labels), 1, result.stdout)
        shown = {name: labels[0][name] for name in ("job", "namespace", "pod", "instance")}
        self.assertEqual(shown, {"job": "chat/hubline", "namespace": "chat", "pod": "hubline-0", "instance": "10.1.0.1:9090"})

    def test_objects_of_prometheus_operator_are_right(self):
        (commands,) = re.findall(r"```sh\n(.*?)```", GUIDE.read_text(encoding="utf-8"), re.DOTALL)
        # What would be applied is printed: the last argument is the file, or `-`.
        shown = 'kubectl() { for file; do :; done; cat "$file"; echo ---; }\n'
        result = run("sh", "-euc", shown + commands, cwd=ROOT)
        self.assertEqual(result.returncode, 0, result.stderr)
        objects = documents(result.stdout)
        self.assertEqual([resource["kind"] for resource in objects], ["PodMonitor", "PrometheusRule", "PrometheusRule"])
        applied = [group for resource in objects[1:] for group in resource["spec"]["groups"]]
        self.assertEqual(applied, list(groups().values()))
        self.assertEqual(problems(objects), [])
