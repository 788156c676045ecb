"""JSON schemas for kubeconform, made from what Kubernetes and the operators publish about their own kinds.

All of it comes as Go modules: Kubernetes' OpenAPI description, the operators' CustomResourceDefinitions. An unknown
field is an error, as it is for `kubectl apply --validate=strict`.
"""

import json
import os
import subprocess
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import yaml

KUBERNETES = "k8s.io/kubernetes@v1.33.13"
# Module, and the files of it that define the kinds the chart makes.
OPERATORS = {
    "github.com/kubeflow/spark-operator/v2@v2.4.0": "charts/spark-operator-chart/crds/*sparkapplications.yaml",
    "github.com/prometheus-operator/prometheus-operator@v0.85.0": "example/prometheus-operator-crd/*_podmonitors.yaml",
}
# Where kubeconform looks inside the folder.
LOCATION = "{{ .ResourceKind }}{{ .KindSuffix }}.json"

Schema = dict[str, Any]


class Schemas:
    """A folder of schemas, made once and kept in the user's cache."""

    def __init__(self) -> None:
        cache = Path(os.environ.get("XDG_CACHE_HOME", Path.home() / ".cache"))
        versions = "-".join(module.rpartition("@")[2] for module in (KUBERNETES, *OPERATORS))
        self._folder = cache / "fruits-chart-schemas" / versions

    def folder(self) -> Path:
        if not self._folder.exists():
            self._folder.parent.mkdir(parents=True, exist_ok=True)
            with tempfile.TemporaryDirectory(dir=self._folder.parent) as made:
                folder = Path(made) / "schemas"
                folder.mkdir()
                for name, schema in self._schemas():
                    (folder / f"{name}.json").write_text(json.dumps(schema), encoding="utf-8")
                folder.rename(self._folder)
        return self._folder

    @staticmethod
    def _schemas() -> Iterator[tuple[str, Schema]]:
        swagger = module_folder(KUBERNETES) / "api" / "openapi-spec" / "swagger.json"
        yield from from_openapi(json.loads(swagger.read_text(encoding="utf-8"))["definitions"])
        for module, files in OPERATORS.items():
            for path in module_folder(module).glob(files):
                for resource in yaml.load_all(path.read_text(encoding="utf-8"), yaml.CSafeLoader):
                    yield from from_definition(resource)


def module_folder(module: str) -> Path:
    """Where Go keeps a module, fetched if need be."""
    command = ["go", "mod", "download", "-json", module]
    said = subprocess.run(command, cwd=tempfile.gettempdir(), capture_output=True, text=True, check=True).stdout
    return Path(json.loads(said)["Dir"])


def file_name(kind: str, group: str, version: str) -> str:
    """As kubeconform fills in `LOCATION`: the first part of the group stands for it."""
    return "-".join(part for part in (kind.lower(), group.partition(".")[0], version) if part)


def from_openapi(definitions: dict[str, Schema]) -> Iterator[tuple[str, Schema]]:
    """A schema for each kind among the definitions, with the definitions that it needs."""
    strict = {name: _strict(definition) for name, definition in definitions.items()}
    quantity = "io.k8s.apimachinery.pkg.api.resource.Quantity"
    strict[quantity] = {"type": ["string", "number"]}
    for name, definition in definitions.items():
        for kind in definition.get("x-kubernetes-group-version-kind", []):
            needed = _reachable(strict, name)
            schema = {**strict[name], "definitions": {other: strict[other] for other in needed}}
            yield file_name(kind["kind"], kind["group"], kind["version"]), schema


def from_definition(resource: Schema) -> Iterator[tuple[str, Schema]]:
    """A schema for each version of a CustomResourceDefinition."""
    group, kind = resource["spec"]["group"], resource["spec"]["names"]["kind"]
    for version in resource["spec"]["versions"]:
        schema = _strict(version["schema"]["openAPIV3Schema"])
        schema["properties"]["metadata"] = {"type": "object"}
        yield file_name(kind, group, version["name"]), schema


def _strict(schema: Any) -> Any:
    """The schema with unknown fields forbidden, and with the two types that JSON Schema spells otherwise."""
    if isinstance(schema, list):
        return [_strict(item) for item in schema]
    if not isinstance(schema, dict):
        return schema
    if schema.get("x-kubernetes-int-or-string") or schema.get("format") == "int-or-string":
        return {"type": ["string", "integer"]}
    result = {key: _strict(value) for key, value in schema.items() if key not in {"description", "format"}}
    named = isinstance(schema.get("properties"), dict) and schema.get("type", "object") == "object"
    if named and "additionalProperties" not in schema and not schema.get("x-kubernetes-preserve-unknown-fields"):
        result["additionalProperties"] = False
    return result


def _reachable(definitions: dict[str, Schema], name: str) -> set[str]:
    """The definitions that a definition refers to, directly or not."""
    found: set[str] = set()
    open_: list[Any] = [definitions[name]]
    while open_:
        item = open_.pop()
        if isinstance(item, list):
            open_.extend(item)
        elif isinstance(item, dict):
            reference = item.get("$ref")
            if isinstance(reference, str):
                other = reference.rpartition("/")[2]
                if other not in found:
                    found.add(other)
                    open_.append(definitions[other])
            open_.extend(item.values())
    return found
