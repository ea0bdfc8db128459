"""The Bicep files, as far as they can be judged without Azure: they are parsed, and what they hand to the program is what it takes."""

import json
import unittest

from files import DEPLOY, misunderstood
from pycep import BicepParser

AZURE = DEPLOY / "azure"
REDIS = "hubline-redis.westeurope.redis.azure.net"
VALUES = {"databaseConnectionString": "Host=db;Username=a;Password=b", "adminKey": "0123456789abcdef"}


def parsed(name):
    return BicepParser().parse(text=(AZURE / f"{name}.bicep").read_text(encoding="utf-8"))


def settings(pairs):
    """Names and values, with parameters in place and the cache's host and key filled in."""
    result = {}
    for pair in pairs:
        value = str(VALUES.get(pair["value"], pair["value"]))
        value = value.replace("${redis.properties.hostName}", REDIS)
        result[pair["name"]] = value.replace("${redisDatabase.listKeys().primaryKey}", "c2VjcmV0==")
    return result


class Bicep(unittest.TestCase):
    def judge(self, own):
        """Settings of the program, all of which it understands."""
        self.assertEqual(misunderstood(own)[0], [])
        self.assertNotIn("${", json.dumps(own))
        self.assertEqual(int(own["Drain__Delay"]) + int(own["ShutdownTimeout"]), 60)
        self.assertIn(f"{REDIS}:10000,", own["Redis__ConnectionString"])
        for part in ("ssl=True", f"sslHost={REDIS}", "abortConnect=False"):
            self.assertIn(part, own["Redis__ConnectionString"].split(","))

    def judge_secrets(self, file):
        for name in VALUES:
            names = [decorator["type"] for decorator in file["parameters"][name]["decorators"]]
            self.assertIn("secure", names)

    def test_the_cache_is_a_cluster_with_tls_at_port_10000(self):
        database = parsed("managed-redis")["resources"]["database"]["config"]["properties"]
        expected = {"port": 10000, "clientProtocol": "Encrypted", "clusteringPolicy": "OSSCluster"}
        self.assertLessEqual(expected.items(), database.items())

    def test_app_service(self):
        file = parsed("app-service")
        self.judge_secrets(file)
        properties = file["resources"]["app"]["config"]["properties"]
        self.assertIs(properties["clientAffinityEnabled"], False)
        own = settings(properties["siteConfig"]["appSettings"])
        self.assertGreater(int(own["WEBSITES_CONTAINER_STOP_TIME_LIMIT"]), 60)
        self.assertEqual(own["WEBSITES_PORT"], "8080")
        self.judge(own)

    def test_container_apps(self):
        file = parsed("container-apps")
        self.judge_secrets(file)
        properties = file["resources"]["app"]["config"]["properties"]
        ingress, template = properties["configuration"]["ingress"], properties["template"]
        self.assertEqual((ingress["stickySessions"]["affinity"], ingress["targetPort"]), ("none", 8080))
        self.assertGreater(template["terminationGracePeriodSeconds"], 60)
        secrets = settings(properties["configuration"]["secrets"])
        (container,) = template["containers"]
        own = {}
        for variable in container["env"]:
            own[variable["name"]] = secrets[variable["secretRef"]] if "secretRef" in variable else variable["value"]
            self.assertEqual("secretRef" in variable, own[variable["name"]] in secrets.values())
        self.judge(own)
        for probe in container["probes"]:
            self.assertLessEqual(probe["failureThreshold"], 10, "more is refused")
