"""The chart as the tests see it: rendered, parsed, and the pods that come of it."""

import importlib.util
import subprocess
from collections.abc import Iterator, Sequence
from functools import cache
from pathlib import Path
from types import ModuleType
from typing import Any

import yaml

ROOT = Path(__file__).resolve().parents[2]
CHART = ROOT / "helm" / "fruits"
EKS = ("storage.bucket=pictures", "storage.roleArn=arn:aws:iam::123456789012:role/fruits")
# Every file of values that is shipped or stands for a feature, with what must be set beside it.
CASES: dict[str, tuple[str, ...]] = {
    **{f"ci/{path.name}": () for path in sorted((CHART / "ci").glob("*-values.yaml"))},
    "values-minikube.yaml": (),
    "values-eks.yaml": EKS,
}

Document = dict[str, Any]


def _load(path: Path) -> ModuleType:
    spec = importlib.util.spec_from_file_location("chart_render", path)
    assert spec
    assert spec.loader
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


render_script = _load(ROOT / "helm" / "render.py")


class Rendered:
    """The documents of one rendering."""

    def __init__(self, text: str) -> None:
        self.text = text
        self.documents: list[Document] = [document for document in yaml.safe_load_all(text) if document]

    def all(self, kind: str) -> list[Document]:
        return [document for document in self.documents if document["kind"] == kind]

    def one(self, kind: str, name: str | None = None) -> Document:
        found = [document for document in self.all(kind) if name in (None, document["metadata"]["name"])]
        assert len(found) == 1, f"{len(found)} of kind {kind}, name {name}"
        return found[0]

    @property
    def job(self) -> Document:
        """The spec of the SparkApplication, scheduled or not."""
        scheduled = self.all("ScheduledSparkApplication")
        return scheduled[0]["spec"]["template"] if scheduled else self.one("SparkApplication")["spec"]

    def flags(self) -> list[str]:
        return self.job["arguments"]

    def pods(self) -> Iterator[tuple[str, Document]]:
        """Name and `{metadata, spec}` of every pod that comes of these documents."""
        for document in self.documents:
            kind, name = document["kind"], document["metadata"]["name"]
            if kind == "Pod":
                yield name, document
            elif kind in {"Deployment", "StatefulSet", "Job"}:
                yield name, document["spec"]["template"]
            elif kind == "CronJob":
                yield name, document["spec"]["jobTemplate"]["spec"]["template"]
            elif kind in {"SparkApplication", "ScheduledSparkApplication"}:
                for role in ("driver", "executor"):
                    yield f"{name}-{role}", self.job[role]["template"]
            elif "executor.yaml" in document.get("data", {}):
                yield f"{name}-executor", yaml.safe_load(document["data"]["executor.yaml"])

    def pod(self, name: str) -> Document:
        return dict(self.pods())[name]


@cache
def render(*values: str, sets: Sequence[str] = (), release: str = "fruits") -> Rendered:
    """The chart with these files of values and `key=value` settings."""
    arguments = [item for name in values for item in ("-f", name)]
    arguments += [item for setting in sets for item in ("--set", setting)]
    return Rendered(render_script.helm_template(*arguments, release=release))


def case(name: str) -> Rendered:
    return render(name, sets=CASES[name])


def refusal(*sets: str, values: Sequence[str] = ()) -> str:
    """What Helm says when it refuses these settings. Fails when it does not."""
    try:
        rendered = render(*values, sets=sets)
    except subprocess.CalledProcessError as error:
        return str(error.stderr)
    raise AssertionError(f"{sets} were accepted:\n{rendered.text[:500]}")


def environment(pod: Document, container: int = 0) -> dict[str, Any]:
    """The variables of a container: their value, or where it comes from."""
    env = pod["spec"]["containers"][container].get("env", [])
    return {item["name"]: item.get("value", item.get("valueFrom")) for item in env}
