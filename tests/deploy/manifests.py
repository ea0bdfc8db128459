"""What is the same for every set of Kubernetes objects: each is as its schema says, and together they are what Hubline needs."""

import functools
import json
import re
from pathlib import Path

import kubernetes_validate
from files import run

VERSION = "1.37"
# The oldest that the chart says it is for.
OLDEST = "1.27"
# Judged by models of their own projects.
CUSTOM = {"HTTPRoute", "ScaledObject", "PodMonitor", "PrometheusRule"}
# Seconds of Drain__Delay and ShutdownTimeout together, and until Kubernetes kills.
DRAIN, GRACE = 60, 75


def problems(objects):
    """What is wrong with the objects each by itself; a kind without a schema is wrong."""
    found = []
    for resource in objects:
        if resource["kind"] not in CUSTOM:
            found += problem(json.dumps(resource))
    custom = [resource for resource in objects if resource["kind"] in CUSTOM]
    if custom:
        judge = Path(__file__).with_name("custom-resources.mjs")
        result = run("node", str(judge), input=json.dumps(custom))
        assert result.returncode == 0, result.stderr
        for resource, errors in zip(custom, json.loads(result.stdout), strict=True):
            found += [f"{named(resource)}: {error}" for error in errors]
    return found


@functools.cache
def problem(text):
    """What the schemas of Kubernetes say of an object; most are the same in several sets."""
    found, resource = [], json.loads(text)
    for version in (OLDEST, VERSION):
        try:
            kubernetes_validate.validate(resource, version, strict=True)
        except (kubernetes_validate.ValidationError, kubernetes_validate.SchemaNotFoundError) as error:
            found.append(f"{version} {named(resource)}: {error}")
    return found


def named(resource):
    return f"{resource['kind']} {resource['metadata']['name']}"


class Checks:
    """Mixed into test cases."""

    def judge(self, objects):
        self.assertEqual(problems(objects), [])
        for deployment in of(objects, "Deployment"):
            self.judge_pods(deployment["spec"]["template"]["spec"])
            labels = deployment["spec"]["template"]["metadata"]["labels"]
            self.assertLessEqual(deployment["spec"]["selector"]["matchLabels"].items(), labels.items())
        self.judge_hubline(objects)
        self.judge_references(objects)

    def judge_pods(self, pod):
        """Nobody is root, nothing is written to but volumes, nothing may be gained."""
        context = pod["securityContext"]
        self.assertTrue(context["runAsNonRoot"])
        self.assertGreater(context["runAsUser"], 0)
        self.assertEqual(context["seccompProfile"], {"type": "RuntimeDefault"})
        self.assertIs(pod["automountServiceAccountToken"], False)
        for container in pod["containers"]:
            expected = {
                "allowPrivilegeEscalation": False,
                "readOnlyRootFilesystem": True,
                "capabilities": {"drop": ["ALL"]},
            }
            self.assertEqual(container["securityContext"], expected)
            self.assertIn("memory", container["resources"]["limits"])
            self.judge_variables(container)

    def judge_variables(self, container):
        """Kubernetes replaces $(NAME) only by variables that stand above, in `command` and `args` by all."""
        above = set()
        for variable in container.get("env", []):
            for name in re.findall(r"\$\((\w+)\)", str(variable.get("value", ""))):
                self.assertIn(name, above, f"{variable['name']} uses {name} before it is there")
            self.assertNotIn(variable["name"], above, "a variable is set once")
            above.add(variable["name"])
            if "PASSWORD" in variable["name"].upper():
                self.assertNotIn("value", variable, "a secret comes from a secret")
        for word in container.get("command", []) + container.get("args", []):
            self.assertLessEqual(set(re.findall(r"\$\((\w+)\)", word)), above)

    def judge_hubline(self, objects):
        deployment = hubline(objects)
        spec, pod = deployment["spec"], deployment["spec"]["template"]["spec"]
        self.assertEqual(spec["strategy"]["rollingUpdate"], {"maxSurge": 1, "maxUnavailable": 0})
        container = pod["containers"][0]
        values = {variable["name"]: variable.get("value") for variable in container["env"]}
        self.assertEqual(int(values["Drain__Delay"]) + int(values["ShutdownTimeout"]), DRAIN)
        self.assertEqual(pod["terminationGracePeriodSeconds"], GRACE)
        stop = container["lifecycle"]["preStop"]["exec"]["command"]
        self.assertEqual(stop, ["/usr/local/bin/hubline", "drain", "--self"])
        ready = container["readinessProbe"]
        self.assertEqual(ready["httpGet"], {"path": "/health/ready", "port": "http"})
        noticed = ready["periodSeconds"] * ready["failureThreshold"] + ready["timeoutSeconds"]
        self.assertLess(noticed, int(values["Drain__Delay"]), "seen before clients are told to go")
        for probe in ("startupProbe", "livenessProbe"):
            self.assertEqual(container[probe]["httpGet"], {"path": "/health/live", "port": "http"})
        ports = {port["name"]: port["containerPort"] for port in container["ports"]}
        self.assertEqual(values["Management__Urls"], f"http://+:{ports['metrics']}")

    def judge_references(self, objects):
        """Names and labels that lead from one object to another lead somewhere."""
        deployments = of(objects, "Deployment")
        pods = [deployment["spec"]["template"] for deployment in deployments]

        def chosen(labels):
            return [pod for pod in pods if labels.items() <= pod["metadata"]["labels"].items()]

        ports = {}
        for service in of(objects, "Service"):
            (pod,) = chosen(service["spec"]["selector"])
            names = {port["name"] for container in pod["spec"]["containers"] for port in container["ports"]}
            self.assertLessEqual({port["targetPort"] for port in service["spec"]["ports"]}, names)
            self.assertEqual(service["spec"].get("sessionAffinity", "None"), "None")
            ports[service["metadata"]["name"]] = {port["port"] for port in service["spec"]["ports"]}
        for budget in of(objects, "PodDisruptionBudget"):
            self.assertEqual(len(chosen(budget["spec"]["selector"]["matchLabels"])), 1)
        for policy in of(objects, "NetworkPolicy"):
            self.assertEqual(len(chosen(policy["spec"]["podSelector"]["matchLabels"])), 1)
        names = {deployment["metadata"]["name"]: deployment["spec"] for deployment in deployments}
        for scaler in of(objects, "HorizontalPodAutoscaler") + of(objects, "ScaledObject"):
            self.assertNotIn("replicas", names[scaler["spec"]["scaleTargetRef"]["name"]])
        claims = {claim["metadata"]["name"] for claim in of(objects, "PersistentVolumeClaim")}
        for pod in pods:
            for volume in pod["spec"].get("volumes", []):
                if claim := volume.get("persistentVolumeClaim"):
                    self.assertIn(claim["claimName"], claims)
        for route in of(objects, "HTTPRoute"):
            for rule in route["spec"]["rules"]:
                self.assertNotIn("sessionPersistence", rule)
                for backend in rule["backendRefs"]:
                    self.assertIn(backend["port"], ports[backend["name"]])
                # Only a negotiation may be repeated.
                if "retry" in rule:
                    for match in rule["matches"]:
                        self.assertEqual(match["path"]["type"], "Exact")
                        self.assertTrue(match["path"]["value"].endswith("/negotiate"))
        for ingress in of(objects, "Ingress"):
            annotations = " ".join(ingress["metadata"].get("annotations", {})).lower()
            for word in ("affinity", "cookie", "sticky", "hash"):
                self.assertNotIn(word, annotations)


def of(objects, kind):
    return [resource for resource in objects if resource["kind"] == kind]


def hubline(objects):
    """The Deployment of the instances."""
    (found,) = [
        deployment
        for deployment in of(objects, "Deployment")
        if deployment["spec"]["template"]["spec"]["containers"][0]["name"] == "hubline"
    ]
    return found
