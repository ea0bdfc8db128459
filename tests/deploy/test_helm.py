"""The chart, linted and rendered by Helm's own library."""

import json
import re
import unittest

import helm_python as helm
from files import DEPLOY, documents, misunderstood
from manifests import Checks, hubline, of

CHART = str(DEPLOY / "helm/hubline")
DATABASE = {"database": {"connectionString": "Host=db;Database=hubline;Username=hubline;Password=s3cret"}}
GATEWAY = {"enabled": True, "parentRefs": [{"name": "public", "namespace": "gateway"}], "hostnames": ["a.example.org"]}
EXISTING = {
    "database": {"existingSecret": "mine", "existingSecretKey": "db"},
    "redis": {"existingSecret": "mine", "existingSecretKey": "redis-password"},
    "admin": {"existingSecret": "mine"},
}
ALL_OPTIONS = {
    "image": {"repository": "registry.example.org/hubline", "tag": "1.2.3", "pullSecrets": ["registry"]},
    "settings": {"Cors__AllowedOrigins": "https://app.example.org", "Limits__MessagesPerSecond": 1000},
    "settingsSecret": "settings",
    "admin": {"key": "0123456789abcdef"},
    "redis": {"persistence": {"enabled": False}},
    "metrics": {"podMonitor": {"enabled": True, "labels": {"release": "prometheus"}, "keySecret": "settings"}},
    "service": {"annotations": {"a": "b"}},
    "ingress": {"enabled": True, "className": "haproxy", "annotations": {"c": "d"}, "tlsSecret": "tls"},
    "networkPolicy": {"clients": [{"namespaceSelector": {}}], "egress": [{"ports": [{"port": 4318}]}]},
    "serviceAccount": {"annotations": {"e": "f"}},
    "podAnnotations": {"g": "h"},
    "podLabels": {"i": "j"},
    "nodeSelector": {"kubernetes.io/os": "linux"},
    "tolerations": [{"key": "k", "operator": "Exists"}],
    "affinity": {"nodeAffinity": {}},
}
VARIANTS = {
    "least": ({}, set()),
    "existing secrets": (EXISTING, set()),
    "all options": (ALL_OPTIONS, {"Ingress", "PodMonitor"}),
    "Redis elsewhere": ({"redis": {"enabled": False}, "externalRedis": {"existingSecret": "mine"}}, set()),
    "Gateway API": ({"gateway": GATEWAY}, {"HTTPRoute"}),
    "Gateway API with retry": ({"gateway": GATEWAY | {"retry": True}}, {"HTTPRoute"}),
    "hpa": ({"autoscaling": {"kind": "hpa"}}, {"HorizontalPodAutoscaler"}),
    "keda": ({"autoscaling": {"kind": "keda"}}, {"ScaledObject"}),
}


class Chart(Checks, unittest.TestCase):
    def setUp(self):
        self.chart = self.enterContext(helm.Chart.load(CHART))

    def rendered(self, values):
        files = self.chart.render(DATABASE | values, name="demo", namespace="hubline")
        return [each for name, text in files.items() if name.endswith(".yaml") for each in documents(text)]

    def test_lint_finds_nothing(self):
        result = helm.lint(CHART, DATABASE)
        self.assertEqual(result["errors"], [])
        self.assertEqual([each["error"] for each in result["messages"]], ["icon is recommended"])

    def test_each_way_to_install_it_is_right(self):
        for name, (values, kinds) in VARIANTS.items():
            with self.subTest(name):
                objects = self.rendered(values)
                self.judge(objects)
                self.assertLessEqual(kinds, {resource["kind"] for resource in objects})
                self.judge_secrets(objects)

    def judge_secrets(self, objects):
        """What is asked of a secret of the chart is in it, and secrets stand nowhere else."""
        made = {secret["metadata"]["name"]: secret["stringData"] for secret in of(objects, "Secret")}
        for deployment in of(objects, "Deployment"):
            for variable in deployment["spec"]["template"]["spec"]["containers"][0]["env"]:
                if secret := variable.get("valueFrom", {}).get("secretKeyRef"):
                    self.assertTrue(secret["name"] == "mine" or secret["key"] in made[secret["name"]], secret)
        others = str([resource for resource in objects if resource["kind"] != "Secret"])
        for values in made.values():
            for value in values.values():
                self.assertNotIn(value, others)

    def test_options_arrive(self):
        objects = self.rendered(ALL_OPTIONS)
        pod = hubline(objects)["spec"]["template"]
        container = pod["spec"]["containers"][0]
        values = {variable["name"]: variable.get("value") for variable in container["env"]}
        self.assertEqual(container["image"], "registry.example.org/hubline:1.2.3")
        self.assertEqual(values["Cors__AllowedOrigins"], "https://app.example.org")
        self.assertEqual(values["Limits__MessagesPerSecond"], "1000")
        self.assertEqual(container["envFrom"], [{"secretRef": {"name": "settings"}}])
        self.assertEqual((pod["metadata"]["labels"]["i"], pod["metadata"]["annotations"]["g"]), ("j", "h"))
        self.assertEqual(of(objects, "PersistentVolumeClaim"), [])
        (policy,) = [each for each in of(objects, "NetworkPolicy") if "redis" not in each["metadata"]["name"]]
        self.assertIn({"ports": [{"port": 4318}]}, policy["spec"]["egress"])

    def test_settings_are_those_of_the_program(self):
        container = hubline(self.rendered(ALL_OPTIONS))["spec"]["template"]["spec"]["containers"][0]
        secret = {"ConnectionStrings__Database": "Host=db;Username=a;Password=b", "Admin__ApiKey": "0123456789abcdef"}
        own = {variable["name"]: variable.get("value") for variable in container["env"]} | secret
        self.assertEqual(misunderstood({name: value for name, value in own.items() if value})[0], [])

    def test_pods_are_new_where_secrets_are(self):
        def checksum(values):
            return hubline(self.rendered(values))["spec"]["template"]["metadata"]["annotations"]["checksum/secrets"]

        least, other_key = checksum({}), checksum({"admin": {"key": "another-key-0123"}})
        other_database = checksum({"database": {"connectionString": "Host=other;Username=a;Password=b"}})
        self.assertEqual(len({least, other_key, other_database}), 3)
        # The password that the chart makes is another one in each rendering outside of a cluster.
        self.assertEqual([checksum({}), checksum({"replicaCount": 5})], [least, least])

    def test_prometheus_operator_finds_the_pods(self):
        objects = self.rendered(ALL_OPTIONS)
        (monitor,) = of(objects, "PodMonitor")
        pod = hubline(objects)["spec"]["template"]
        self.assertLessEqual(monitor["spec"]["selector"]["matchLabels"].items(), pod["metadata"]["labels"].items())
        self.assertEqual(monitor["metadata"]["labels"]["release"], "prometheus")
        (endpoint,) = monitor["spec"]["podMetricsEndpoints"]
        self.assertIn(endpoint["port"], [port["name"] for port in pod["spec"]["containers"][0]["ports"]])
        self.assertEqual(endpoint["authorization"], {"credentials": {"name": "settings", "key": "Management__Key"}})
        self.assertEqual(of(self.rendered({}), "PodMonitor"), [])

    def test_two_releases_beside_each_other_share_nothing(self):
        names = []
        for release in ("one", "two"):
            files = self.chart.render(DATABASE, name=release, namespace="hubline")
            objects = [each for name, text in files.items() if name.endswith(".yaml") for each in documents(text)]
            names += [(each["kind"], each["metadata"]["name"]) for each in objects]
        self.assertEqual(len(names), len(set(names)))

    def test_what_cannot_work_is_refused_with_the_reason(self):
        for values, reason in (
            ({"database": {"connectionString": ""}}, "database.existingSecret or database.connectionString is needed"),
            ({"redis": {"enabled": False}}, "externalRedis.existingSecret is needed"),
            ({"gateway": {"enabled": True}}, "gateway.parentRefs is needed"),
            ({"replicaCount": 0}, "replicaCount"),
            ({"replicaCont": 3}, "replicaCont"),
            ({"drain": {"timeoutSeconds": "55"}}, "timeoutSeconds"),
            ({"autoscaling": {"kind": "cpu"}}, "kind"),
            ({"admin": {"key": "short"}}, "key"),
        ):
            with self.subTest(reason), self.assertRaisesRegex(helm.HelmError, re.escape(reason)):
                self.rendered(values)

    def test_every_value_is_in_the_schema_and_the_other_way_round(self):
        schema = json.loads((DEPLOY / "helm/hubline/values.schema.json").read_text(encoding="utf-8"))
        schema["properties"].pop("global")

        def compare(values, schema, path):
            if "properties" not in schema:
                return
            self.assertEqual(set(values), set(schema["properties"]), path)
            for name, value in values.items():
                compare(value, schema["properties"][name], f"{path}.{name}")

        compare(self.chart.values, schema, "values")
