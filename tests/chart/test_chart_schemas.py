"""Every file of values gives manifests that Kubernetes and the operators know, field by field."""

import json
import subprocess
from collections import defaultdict
from pathlib import Path

import pytest
import yaml
from chart import CASES, ROOT, case
from kubernetes_schemas import LOCATION


def check(kubeconform: str, schemas: Path, folder: Path) -> dict[str, list[str]]:
    """What kubeconform finds wrong, for each file of a folder."""
    location = f"{schemas}/{LOCATION}"
    command = [kubeconform, "-strict", "-output", "json", "-verbose", "-schema-location", location, str(folder)]
    said = subprocess.run(command, capture_output=True, text=True, check=False)
    resources = json.loads(said.stdout)["resources"]
    assert resources, said.stderr
    faults = defaultdict(list)
    for resource in resources:
        found = faults[Path(resource["filename"]).stem]
        if resource["status"] != "statusValid":
            found.append(f"{resource['kind']} {resource['name']}: {resource['msg']}")
    return dict(faults)


def as_pod(name: str, template: dict) -> dict:
    """A pod template as the Pod that Spark makes of it: an image is filled in."""
    containers = [{"image": "filled-in-by-spark", **container} for container in template["spec"]["containers"]]
    return {
        "apiVersion": "v1",
        "kind": "Pod",
        "metadata": {**template.get("metadata", {}), "name": name},
        "spec": {**template["spec"], "containers": containers},
    }


@pytest.fixture(scope="session")
def faults(kubeconform: str, schemas: Path, tmp_path_factory: pytest.TempPathFactory) -> dict[str, list[str]]:
    """One run of kubeconform over everything: documents as rendered, and pod templates as pods."""
    folder = tmp_path_factory.mktemp("rendered")
    for name in CASES:
        rendered = case(name)
        # the operator's CRD leaves pod templates unchecked, and a ConfigMap is only text
        pods = [as_pod(pod, template) for pod, template in rendered.pods()]
        (folder / f"{Path(name).stem}.yaml").write_text(
            rendered.text + "\n---\n" + yaml.safe_dump_all(pods), encoding="utf-8"
        )
    for path in (ROOT / "k8s").glob("*.yaml"):
        (folder / f"k8s-{path.name}").write_text(path.read_text(encoding="utf-8"), encoding="utf-8")
    return check(kubeconform, schemas, folder)


@pytest.mark.parametrize("name", CASES)
def test_kubernetes_and_the_operators_know_every_field(name: str, faults: dict[str, list[str]]) -> None:
    assert faults[Path(name).stem] == []


@pytest.mark.parametrize("name", ["minikube", "eks", "sparkapplication", "namespace"])
def test_a_plain_manifest_is_known_field_by_field(name: str, faults: dict[str, list[str]]) -> None:
    assert faults[f"k8s-{name}"] == []


@pytest.mark.parametrize(
    ("kind", "path"),
    [
        ("SparkApplication", ("spec", "restartPolicies")),
        ("SparkApplication", ("spec", "driver", "memories")),
        ("Deployment", ("spec", "template", "spec", "containerz")),
        ("NetworkPolicy", ("spec", "egres")),
    ],
)
def test_a_field_that_does_not_exist_is_found(
    kind: str, path: tuple[str, ...], kubeconform: str, schemas: Path, tmp_path: Path
) -> None:
    document = json.loads(json.dumps(case("ci/default-values.yaml").all(kind)[0]))
    place = document
    for key in path[:-1]:
        place = place[key]
    place[path[-1]] = {}
    (tmp_path / "wrong.yaml").write_text(yaml.safe_dump(document), encoding="utf-8")
    assert any(path[-1] in fault for fault in check(kubeconform, schemas, tmp_path)["wrong"])
