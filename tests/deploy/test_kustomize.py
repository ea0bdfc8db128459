"""The kustomizations, rendered by kubectl."""

import shutil
import tempfile
import unittest
from pathlib import Path

from files import DEPLOY, documents, misunderstood, run, tool
from manifests import Checks, hubline, of, problems

KUBERNETES = DEPLOY / "kubernetes"


def rendered(directory):
    result = run(tool("kubectl"), "kustomize", str(directory))
    assert result.returncode == 0, result.stderr
    return documents(result.stdout)


class Overlays(Checks, unittest.TestCase):
    def test_each_is_right(self):
        kinds = {
            "redis": set(),
            "ingress": {"Ingress"},
            "gateway-api": {"HTTPRoute"},
            "gateway-api-retry": {"HTTPRoute"},
            "hpa": {"HorizontalPodAutoscaler"},
            "keda": {"ScaledObject"},
        }
        overlays = {path.name: path for path in (KUBERNETES / "overlays").iterdir()}
        self.assertEqual(set(overlays), set(kinds))
        base = {"ServiceAccount", "Deployment", "Service", "PodDisruptionBudget", "NetworkPolicy"}
        for name, path in overlays.items():
            with self.subTest(name):
                objects = rendered(path)
                self.assertEqual({resource["kind"] for resource in objects}, base | {"PersistentVolumeClaim"} | kinds[name])
                self.judge(objects)
                if name.startswith("gateway-api"):
                    (route,) = of(objects, "HTTPRoute")
                    retries = [rule for rule in route["spec"]["rules"] if "retry" in rule]
                    self.assertEqual(len(retries), int(name.endswith("retry")))

    def test_the_base_alone_is_right(self):
        self.judge(rendered(KUBERNETES / "base"))

    def test_what_is_wrong_is_found(self):
        objects = rendered(KUBERNETES / "overlays/gateway-api")
        hubline(objects)["spec"]["template"]["spec"]["containers"][0]["imagePulPolicy"] = "Always"
        (route,) = of(objects, "HTTPRoute")
        route["spec"]["rules"][0]["retrys"] = 1
        unknown = {"apiVersion": "example.org/v1", "kind": "Unknown", "metadata": {"name": "a"}}
        found = "\n".join(problems([*objects, unknown]))
        for word in ("imagePulPolicy", "retrys", "Unknown"):
            self.assertIn(word, found)

    def test_secrets_of_two_files_are_those_that_the_base_asks_for(self):
        asked = {}
        for variable in hubline(rendered(KUBERNETES / "base"))["spec"]["template"]["spec"]["containers"][0]["env"]:
            if secret := variable.get("valueFrom", {}).get("secretKeyRef"):
                asked.setdefault(secret["name"], set()).add(secret["key"])
        with tempfile.TemporaryDirectory() as directory:
            secrets = Path(directory) / "secrets"
            shutil.copytree(KUBERNETES / "secrets", secrets)
            self.assertNotEqual(run(tool("kubectl"), "kustomize", str(secrets)).returncode, 0, "not without them")
            (secrets / "redis.env").write_text("password=a\n", encoding="utf-8")
            (secrets / "hubline.env").write_text("admin-key=b\ndatabase=Host=c;Password=d\n", encoding="utf-8")
            made = {secret["metadata"]["name"]: set(secret["data"]) for secret in rendered(secrets)}
        self.assertEqual(made, asked)

    def test_settings_are_those_of_the_program(self):
        container = hubline(rendered(KUBERNETES / "base"))["spec"]["template"]["spec"]["containers"][0]
        values = {"REDIS_PASSWORD": "r1", "ConnectionStrings__Database": "Host=db;Username=a;Password=b"}
        values["Admin__ApiKey"] = "0123456789abcdef"
        own = {variable["name"]: variable.get("value") or values[variable["name"]] for variable in container["env"]}
        own["Redis__ConnectionString"] = own["Redis__ConnectionString"].replace("$(REDIS_PASSWORD)", "r1")
        wrong, printed = misunderstood(own)
        self.assertEqual(wrong, [])
        self.assertIn("9090", printed)
