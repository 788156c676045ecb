"""The plain manifests and the chart's README: made from the chart, and up to date."""

import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
import yaml
from chart import CHART, ROOT, render_script

K8S = ROOT / "k8s"
MADE = [manifest.name for manifest in render_script.MANIFESTS]


@pytest.mark.parametrize("manifest", render_script.MANIFESTS, ids=MADE)
def test_a_manifest_is_what_the_chart_renders(manifest: object) -> None:
    written = (K8S / manifest.name).read_text(encoding="utf-8")
    assert written == render_script.manifest(manifest), "run `make manifests`"


def test_the_table_of_values_in_the_readme_is_up_to_date() -> None:
    assert (CHART / "README.md").read_text(encoding="utf-8") == render_script.readme(), "run `make manifests`"


def test_the_script_says_which_file_is_stale_and_mends_it(tmp_path: Path) -> None:
    for folder in ("helm", "k8s"):
        shutil.copytree(ROOT / folder, tmp_path / folder)
    stale = tmp_path / "k8s" / "eks.yaml"
    right = stale.read_text(encoding="utf-8")
    stale.write_text(right.replace("SPOT", "CHEAP"), encoding="utf-8")

    def run(*arguments: str) -> tuple[int, str]:
        script = [sys.executable, str(tmp_path / "helm" / "render.py"), *arguments]
        said = subprocess.run(script, capture_output=True, text=True, check=False)
        return said.returncode, said.stdout

    assert run("--check") == (1, "not up to date: k8s/eks.yaml\n")
    assert run() == (0, "written: k8s/eks.yaml\n")
    assert stale.read_text(encoding="utf-8") == right
    assert run("--check") == (0, "")


@pytest.mark.parametrize("name", MADE)
def test_a_manifest_holds_no_secret_and_no_trace_of_helm(name: str) -> None:
    text = (K8S / name).read_text(encoding="utf-8")
    assert "kind: Secret\n" not in text
    assert "helm.sh" not in text
    assert "managed-by" not in text
    for variable in re.findall(r"- name: (?:AWS_|MINIO_ROOT_).*(?:KEY|PASSWORD|USER).*\n *(.*)", text):
        assert variable.startswith("valueFrom: {secretKeyRef:"), variable


@pytest.mark.parametrize("name", MADE)
def test_a_manifest_starts_with_the_commands_that_apply_it(name: str) -> None:
    head = (K8S / name).read_text(encoding="utf-8").split("\napiVersion", 1)[0]
    assert all(line.startswith("#") for line in head.splitlines())
    assert f"k8s/{name}" in head


@pytest.mark.parametrize("name", MADE)
def test_everything_of_a_manifest_is_in_the_namespace(name: str) -> None:
    documents = list(yaml.safe_load_all((K8S / name).read_text(encoding="utf-8")))
    assert {document["metadata"]["namespace"] for document in documents} == {"fruits"}


def test_the_secret_that_the_first_lines_make_is_the_one_that_the_pods_ask_for() -> None:
    text = (K8S / "minikube.yaml").read_text(encoding="utf-8")
    made = re.search(r"create secret generic (\S+) --from-literal=(\w+)=.*\\\n#\s+--from-literal=(\w+)=", text)
    assert made
    asked = set(re.findall(r"secretKeyRef: {name: ([\w-]+), key: (\w+)}", text))
    assert asked == {(made[1], made[2]), (made[1], made[3])}


def test_the_small_one_is_one_application_that_fits_on_two_screens() -> None:
    text = (K8S / "sparkapplication.yaml").read_text(encoding="utf-8")
    assert [document["kind"] for document in yaml.safe_load_all(text)] == ["SparkApplication"]
    assert len(text.splitlines()) <= 150


def test_the_namespace_enforces_the_restricted_level() -> None:
    namespace = yaml.safe_load((K8S / "namespace.yaml").read_text(encoding="utf-8"))
    assert namespace["metadata"]["labels"]["pod-security.kubernetes.io/enforce"] == "restricted"
