# ruff: noqa: INP001 - a script, in no package
"""Writes what is made from the chart: the manifests in `k8s/` and the table of values in the chart's README.

`python helm/render.py` writes them; with `--check` it writes nothing and exits with 1 when a file is not up to date.
"""

import argparse
import json
import os
import re
import shutil
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml

ROOT = Path(__file__).resolve().parent.parent
CHART = ROOT / "helm" / "fruits"
TABLE = re.compile(r"(?<=<!-- values -->\n).*?(?=<!-- /values -->)", re.DOTALL)
# Helm's own marks, which mean nothing in a manifest that Helm does not look after.
HELM_LINES = re.compile(r"^ *(helm\.sh/chart|app\.kubernetes\.io/managed-by): .*\n|^# Source: .*\n", re.MULTILINE)


@dataclass(frozen=True)
class Manifest:
    """A file of `k8s/`: what stands above it, and how the chart is asked for it."""

    name: str
    head: str
    arguments: tuple[str, ...]


MANIFESTS = (
    Manifest(
        "minikube.yaml",
        """\
A cluster of one machine with 4 CPUs and 8 GiB: MinIO, the generated sample in its bucket, the job, the history
server. The Spark operator must be there and look after the namespace (README.md). No password stands in here: the
second command makes one.

  kubectl apply -f k8s/namespace.yaml
  kubectl -n fruits create secret generic fruits-store --from-literal=AWS_ACCESS_KEY_ID=fruits \\
    --from-literal=AWS_SECRET_ACCESS_KEY="$(openssl rand -hex 16)"
  kubectl apply -f k8s/minikube.yaml
  kubectl -n fruits get sparkapplication fruits --watch
""",
        ("-f", "values-minikube.yaml", "--set", "storage.existingSecret=fruits-store"),
    ),
    Manifest(
        "eks.yaml",
        """\
Amazon EKS with S3: the pods take the role of their service accounts (IRSA), the driver runs on demand, the
executors on spot nodes. The Spark operator must be there and look after the namespace (README.md). Put your own
account, role, region, image and bucket in place of the ones below:

  kubectl apply -f k8s/namespace.yaml
  sed 's/123456789012/<account>/g; s/eu-west-1/<region>/g; s/my-bucket/<bucket>/g' k8s/eks.yaml | kubectl apply -f -
  kubectl -n fruits get sparkapplication fruits --watch
""",
        (
            "-f",
            "values-eks.yaml",
            "--set",
            "storage.bucket=my-bucket",
            "--set",
            "storage.roleArn=arn:aws:iam::123456789012:role/fruits",
            "--set",
            "image.repository=123456789012.dkr.ecr.eu-west-1.amazonaws.com/fruits-job",
        ),
    ),
    Manifest(
        "sparkapplication.yaml",
        """\
One run of the job by itself: what the Spark operator is given. In the namespace it needs what the chart or
k8s/minikube.yaml has made: the service accounts, the store with the sample, its Secret.

  kubectl apply -f k8s/sparkapplication.yaml
  kubectl -n fruits get sparkapplication fruits-run --watch
  kubectl -n fruits logs --follow fruits-run-driver
""",
        (
            "-f",
            "values-minikube.yaml",
            "--set",
            "storage.existingSecret=fruits-store,job.name=fruits-run",
            "--set",
            "upload.enabled=false",
            "--show-only",
            "templates/job/sparkapplication.yaml",
        ),
    ),
)


def find_tool(name: str) -> str | None:
    """Path of a tool: FRUITS_<NAME>, else the PATH, else where the test cluster keeps it."""
    given = os.environ.get(f"FRUITS_{name.upper()}")
    kept = Path(os.environ.get("K8S_CACHE", Path.home() / ".cache" / "fruits-cluster")) / "bin" / name
    return given or shutil.which(name) or (str(kept) if os.access(kept, os.X_OK) else None)


def helm_template(*arguments: str, release: str = "fruits", chart: Path = CHART) -> str:
    """The text that `helm template` renders in namespace `fruits`. Raises CalledProcessError with Helm's stderr."""
    helm = find_tool("helm")
    if helm is None:
        raise FileNotFoundError("helm is not installed: install Helm 3 or set FRUITS_HELM to its path.")
    command = [helm, "template", release, str(chart), "--namespace", "fruits", *arguments]
    return subprocess.run(command, cwd=chart, capture_output=True, text=True, check=True).stdout


def manifest(wanted: Manifest) -> str:
    """The whole text of a file of `k8s/`."""
    documents = helm_template("--skip-tests", *wanted.arguments).split("\n---\n")
    kept = [
        HELM_LINES.sub("", document).removeprefix("---\n").strip()
        for document in documents
        if "app.kubernetes.io/component: test\n" not in document
    ]
    head = "".join(f"# {line}".rstrip() + "\n" for line in wanted.head.splitlines())
    return f"{head}# Made from helm/fruits by `make manifests`: change it there.\n" + "\n---\n".join(kept) + "\n"


@dataclass(frozen=True)
class Value:
    """A documented value: its path with dots, its default, its description."""

    path: str
    default: Any
    text: str


def documented_values(source: str) -> Iterator[Value]:
    """The values of a values.yaml that have a comment starting with `# --` above them, in their order."""
    defaults = yaml.safe_load(source)
    above: list[tuple[int, str]] = []  # indent and key of the maps that a line stands in
    text: list[str] = []
    for line in source.splitlines():
        comment = re.match(r" *# (-- )?(.*)", line)
        key = re.match(r"( *)([A-Za-z][\w-]*):", line)
        if comment:
            if comment[1]:
                text = [comment[2]]
            elif text:
                text.append(comment[2])
        elif key:
            indent = len(key[1])
            above = [(i, name) for i, name in above if i < indent] + [(indent, key[2])]
            if text:
                path = [name for _, name in above]
                default = defaults
                for name in path:
                    default = default[name]
                yield Value(".".join(path), default, " ".join(text))
            text = []
        else:
            text = []


def readme() -> str:
    """The chart's README with its table of values as values.yaml has them."""
    rows = ["| value | default | what it is |", "|---|---|---|"]
    for value in documented_values((CHART / "values.yaml").read_text(encoding="utf-8")):
        text = value.text.replace("|", r"\|")
        rows.append(f"| `{value.path}` | `{json.dumps(value.default)}` | {text} |")
    table = "\n".join(rows) + "\n"
    return TABLE.sub(lambda _: table, (CHART / "README.md").read_text(encoding="utf-8"))


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--check", action="store_true", help="write nothing; exit 1 when a file is not up to date")
    check = parser.parse_args().check
    try:
        made = {ROOT / "k8s" / wanted.name: manifest(wanted) for wanted in MANIFESTS}
    except FileNotFoundError as error:
        sys.exit(str(error))
    except subprocess.CalledProcessError as error:
        sys.exit(error.stderr.strip())
    made[CHART / "README.md"] = readme()
    stale = [path for path, text in made.items() if not path.exists() or path.read_text(encoding="utf-8") != text]
    for path in stale:
        sys.stdout.write(f"{'not up to date' if check else 'written'}: {path.relative_to(ROOT)}\n")
        if not check:
            path.write_text(made[path], encoding="utf-8")
    return 1 if check and stale else 0


if __name__ == "__main__":
    sys.exit(main())
