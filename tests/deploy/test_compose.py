"""The Compose files: valid by the specification's schema, whole, and with what the two users' own files have."""

import json
import re
import unittest

import jsonschema
import yaml
from files import DEPLOY, misunderstood, variables

FILES = {name: DEPLOY / name / "compose.yaml" for name in (".", "conduit", "teledoctor")}
SCHEMA = json.loads((DEPLOY.parent / "tests/deploy/compose-spec/compose-spec.json").read_text(encoding="utf-8"))
SECRETS = {"POSTGRES_PASSWORD": "p1", "REDIS_PASSWORD": "r1", "ADMIN_KEY": "0123456789abcdef"}


def loaded(name):
    return yaml.safe_load(FILES[name].read_text(encoding="utf-8"))


def interpolated(value):
    """With the variables of .env.example, where they are set, or their defaults."""

    def one(match):
        variable, operator, rest = match.group(1), match.group(2), match.group(3) or ""
        return SECRETS.get(variable, rest if operator == ":-" else "")

    return re.sub(r"\$\{(\w+)(:[-?])?([^}]*)\}", one, value)


def environment(service, directory):
    """What the container gets: its files of variables, and over them what the service sets."""
    files = service.get("env_file", [])
    result = {}
    for file in [files] if isinstance(files, str) else files:
        result |= variables(directory / file)
    own = service.get("environment", {})
    if isinstance(own, list):
        own = dict(entry.split("=", 1) for entry in own)
    return result | {key: interpolated(value) for key, value in own.items()}


def hubline_services(compose):
    return {name: service for name, service in compose["services"].items() if "hubline:" in service["image"]}


def published(service):
    """Ports of the host, a range in full."""
    for port in map(interpolated, service.get("ports", [])):
        host = port.split(":")[0].split("-")
        yield from range(int(host[0]), int(host[-1]) + 1)


class Files(unittest.TestCase):
    def test_each_is_valid(self):
        validator = jsonschema.Draft7Validator(SCHEMA)
        for name in FILES:
            errors = [f"{error.json_path}: {error.message}" for error in validator.iter_errors(loaded(name))]
            self.assertEqual(errors, [], name)
        wrong = loaded(".")
        wrong["services"]["nginx"]["healthchek"] = {}
        self.assertEqual(len(list(validator.iter_errors(wrong))), 1, "the schema refuses what it does not know")

    def test_what_they_name_is_there(self):
        for name, file in FILES.items():
            compose, services = loaded(name), loaded(name)["services"]
            taken = [port for service in services.values() for port in published(service)]
            self.assertEqual(len(taken), len(set(taken)), f"{name}: a port of the host for one container each")
            for service in services.values():
                for other in service.get("depends_on", []):
                    self.assertIn(other, services, name)
                for volume in service.get("volumes", []):
                    source = volume.split(":")[0]
                    there = (file.parent / source).is_file() if "/" in source else source in compose["volumes"]
                    self.assertTrue(there, f"{name}: {source}")
                replicas = service.get("deploy", {}).get("replicas", 1)
                self.assertIn(len(list(published(service))), (0, replicas), name)
                if build := service.get("build"):
                    context = (file.parent / build["context"]).resolve()
                    self.assertTrue((context / build["dockerfile"]).is_file(), name)

    def test_settings_are_those_of_the_program(self):
        for name, file in FILES.items():
            services = hubline_services(loaded(name))
            self.assertGreaterEqual(len(services), 2, name)
            for service, definition in services.items():
                wrong, printed = misunderstood(environment(definition, file.parent))
                self.assertEqual(wrong, [], f"{name} {service}")
                self.assertNotIn("${", printed)
                self.assertIn("Host=postgres", printed)

    def test_tables_are_made_once_before_instances_start(self):
        for name, file in FILES.items():
            services = hubline_services(loaded(name))
            migrate = services.pop("migrate")
            self.assertEqual(migrate["command"], ["migrate"])
            for definition in services.values():
                self.assertEqual(definition["depends_on"]["migrate"]["condition"], "service_completed_successfully")
                own = environment(definition, file.parent)
                skipped = own.get("Database__SkipMigrations") or own.get("CONDUIT_SKIP_DATABASE_INIT")
                self.assertEqual(skipped, "true", name)

    def test_a_secret_that_is_not_set_is_asked_for(self):
        text = FILES["."].read_text(encoding="utf-8")
        for secret in SECRETS:
            self.assertRegex(text, rf"\$\{{{secret}:\?[^}}]+\}}")
            self.assertIn(f"{secret}=\n", (DEPLOY / ".env.example").read_text(encoding="utf-8"))


class Users(unittest.TestCase):
    """Every service, port, volume and variable that stands in the users' documents."""

    def test_conduit(self):
        services = loaded("conduit")["services"]
        database = "Host=postgres;Database=conduit;Username=conduit;Password=conduit123"
        redis = "redis-signalr:6379,abortConnect=false,connectTimeout=5000,syncTimeout=5000"
        for number, port in enumerate(("5000:5000", "5001:5000", "5002:5000"), 1):
            service = services[f"api-{number}"]
            self.assertEqual(service["ports"], [port])
            for variable in (
                "ASPNETCORE_URLS=http://+:5000",
                f"ConnectionStrings__Database={database}",
                f"ConnectionStrings__RedisSignalR={redis}",
                "CONDUIT_SKIP_DATABASE_INIT=true",
            ):
                self.assertIn(variable, service["environment"])
            self.assertEqual(service["container_name"], f"conduit_api-{number}_1")
        redis = services["redis-signalr"]
        self.assertEqual((redis["image"], redis["ports"]), ("redis:7-alpine", ["6379:6379"]))
        self.assertEqual((redis["container_name"], redis["volumes"]), ("redis-signalr", ["redis-signalr-data:/data"]))
        self.assertEqual(redis["command"], "redis-server --appendonly yes")
        postgres = services["postgres"]
        self.assertEqual((postgres["image"], postgres["ports"]), ("postgres:15", ["5432:5432"]))
        expected = {"POSTGRES_DB": "conduit", "POSTGRES_USER": "conduit", "POSTGRES_PASSWORD": "conduit123"}
        self.assertEqual(postgres["environment"], expected)
        nginx = services["nginx"]
        self.assertEqual((nginx["image"], nginx["ports"]), ("nginx:alpine", ["80:80"]))
        self.assertEqual(nginx["volumes"], ["./nginx-test.conf:/etc/nginx/nginx.conf:ro"])

    def test_teledoctor(self):
        services = loaded("teledoctor")["services"]
        redis = services["redis"]
        self.assertEqual((redis["image"], redis["ports"]), ("redis:7-alpine", ["6379:6379"]))
        self.assertEqual((redis["container_name"], redis["volumes"]), ("teledoctor-redis", ["redis-data:/data"]))
        self.assertEqual(redis["command"], "redis-server --appendonly yes --requirepass YourRedisPassword")
        check = {key: redis["healthcheck"][key] for key in ("interval", "timeout", "retries")}
        self.assertEqual(check, {"interval": "5s", "timeout": "3s", "retries": 5})
        webapi = services["webapi"]
        for variable in (
            "Redis__ConnectionString=redis:6379,password=YourRedisPassword",
            "SignalR__UseRedisBackplane=true",
        ):
            self.assertIn(variable, webapi["environment"])
        self.assertEqual(webapi["depends_on"]["redis"], {"condition": "service_healthy"})
        self.assertEqual(webapi["deploy"], {"replicas": 3})
        self.assertIn(5000, list(published(webapi)))
        self.assertTrue(webapi["ports"][0].endswith(":8080"))
        nginx = services["nginx"]
        self.assertEqual((nginx["image"], nginx["ports"]), ("nginx:alpine", ["80:80"]))
        self.assertEqual(nginx["volumes"], ["./nginx/nginx.conf:/etc/nginx/nginx.conf:ro"])
        # The database of the instances is the one that this file starts.
        own, postgres = variables(DEPLOY / "teledoctor.env")["ConnectionStrings__Database"], services["postgres"]
        for part, variable in (("Database", "DB"), ("Username", "USER"), ("Password", "PASSWORD")):
            self.assertIn(f"{part}={postgres['environment'][f'POSTGRES_{variable}']}", own)
