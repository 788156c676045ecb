"""The test cluster as the tests see it: kubectl, helm, addresses of pods and services, the store of the chart."""

import base64
import importlib.util
import json
import os
import re
import subprocess
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from functools import cache
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parents[2]
CHART = ROOT / "helm" / "fruits"
VALUES = (CHART / "values-minikube.yaml", Path(__file__).with_name("values.yaml"))
NAMESPACE = "fruits"
IMAGE = os.environ.get("FRUITS_IMAGE", "localhost/fruits-job:dev")
# Never the user's own cluster by accident: what is in the namespace is deleted.
KUBECONFIG = (
    os.environ.get("FRUITS_TEST_KUBECONFIG")
    or f"{os.environ.get('K8S_STATE', '/var/tmp/fruits-cluster')}/admin.kubeconfig"
)
# What every namespace has of itself, and what comes and goes in one.
_OF_ITSELF = ("configmap/kube-root-ca.crt", "serviceaccount/default")
_PASSING = (
    "events",
    "events.events.k8s.io",
    "leases.coordination.k8s.io",
    "endpoints",
    "endpointslices.discovery.k8s.io",
    "bindings",
    "localsubjectaccessreviews.authorization.k8s.io",
)

Document = dict[str, Any]


@cache
def tool(name: str) -> str | None:
    """Path of a tool, as the tests of the chart find it."""
    spec = importlib.util.spec_from_file_location("chart_render_tools", ROOT / "helm" / "render.py")
    assert spec
    assert spec.loader
    module = importlib.util.module_from_spec(spec)
    import sys

    sys.modules[spec.name] = module
    spec.loader.exec_module(module)
    found: str | None = module.find_tool(name)
    return found


def _run(name: str, arguments: Sequence[str | Path], text: str | None, timeout: float) -> str:
    command = [tool(name) or name, *map(str, arguments)]
    done = subprocess.run(
        command,
        input=text,
        capture_output=True,
        text=True,
        timeout=timeout,
        check=False,
        env={**os.environ, "KUBECONFIG": KUBECONFIG},
    )
    if done.returncode:
        raise AssertionError(f"{name} {' '.join(map(str, arguments))}: {done.stderr.strip()}\n{done.stdout[-2000:]}")
    return done.stdout


def kubectl(*arguments: str | Path, text: str | None = None, timeout: float = 400) -> str:
    return _run("kubectl", ["-n", NAMESPACE, *arguments], text, timeout)


def helm(*arguments: str | Path, timeout: float = 600) -> str:
    return _run("helm", ["-n", NAMESPACE, *arguments], None, timeout)


def values() -> list[str | Path]:
    repository, _, tag = IMAGE.rpartition(":")
    image = ("--set", f"image.repository={repository}", "--set-string", f"image.tag={tag}")
    return [*(item for file in VALUES for item in ("-f", file)), *image]


def get(*arguments: str) -> Document:
    """A document of the cluster, or a list of them under `items`."""
    found: Document = json.loads(kubectl("get", *arguments, "-o", "json"))
    return found


def state(application: str) -> str:
    status = get("sparkapplication", application).get("status", {})
    return str(status.get("applicationState", {}).get("state", ""))


def until(limit: float, what: str, check: Callable[[], Any]) -> Any:
    """The first answer of `check` that is true; fails after `limit` seconds."""
    deadline = time.monotonic() + limit
    while True:
        try:
            answer = check()
        except (AssertionError, OSError, ValueError) as error:  # not yet
            answer, last = None, error
        else:
            last = None
        if answer:
            return answer
        if time.monotonic() > deadline:
            raise AssertionError(f"{what}: not within {limit:.0f} s") from last
        time.sleep(1.0)  # a kubectl each time, which takes the cores from what is waited for


def completed(application: str, limit: float = 400) -> Document:
    """The SparkApplication once it has completed; fails with the end of its log when it fails."""
    try:
        until(limit, f"{application} completes", lambda: going(application) == "COMPLETED")
    except AssertionError as error:
        raise AssertionError(f"{error}\n{kubectl('get', 'pods', '-o', 'wide')}") from error
    return get("sparkapplication", application)


def going(application: str) -> str:
    """Its state; fails with the end of its log when it has failed."""
    now = state(application)
    if now == "FAILED":
        raise SystemError(f"{application} failed: {kubectl('logs', f'{application}-driver', '--tail=40')}")
    return now


@contextmanager
def forwarded(target: str, port: int) -> Iterator[str]:
    """`host:port` on this machine of a port of a pod or service, as long as the block lasts."""
    command = [tool("kubectl") or "kubectl", "-n", NAMESPACE, "port-forward", target, f":{port}"]
    process = subprocess.Popen(
        command,
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        text=True,
        env={**os.environ, "KUBECONFIG": KUBECONFIG},
    )
    try:
        assert process.stdout
        line = process.stdout.readline()
        match = re.search(r"127\.0\.0\.1:(\d+)", line)
        assert match, f"kubectl port-forward {target} {port}: {line}"
        yield f"127.0.0.1:{match[1]}"
    finally:
        process.terminate()
        process.wait()
        if process.stdout:
            process.stdout.close()


def store_secret() -> Document:
    """The Secret of the chart's store, decoded."""
    data = get("secret", "fruits-store")["data"]
    return {key: base64.b64decode(value).decode() for key, value in data.items()}


@contextmanager
def store() -> Iterator[dict[str, str]]:
    """The variables that let this machine use the store in the cluster: as the chart's README says it is done."""
    with forwarded("svc/fruits-minio", 9000) as address:
        yield {"AWS_ENDPOINT_URL": f"http://{address}", "AWS_REGION": "us-east-1", **store_secret()}


def plain_environment(more: Mapping[str, str]) -> dict[str, str]:
    """This process' environment without what concerns the command, and with `more`."""
    ours = ("FRUITS_", "PYSPARK_", "SPARK_", "AWS_")
    return {
        **{name: value for name, value in os.environ.items() if not name.startswith(ours)},
        "KUBECONFIG": KUBECONFIG,
        **more,
    }


@cache
def kinds() -> str:
    """All kinds of which a namespace may have some, separated by commas."""
    found = kubectl("api-resources", "--namespaced", "--verbs=list", "-o", "name").split()
    return ",".join(kind for kind in found if kind not in _PASSING)


def left_over() -> list[str]:
    """Everything in the namespace that is not there by itself, or the operator's."""
    return [
        name
        for name in kubectl("get", kinds(), "-o", "name", "--ignore-not-found").split()
        if name not in _OF_ITSELF and "/spark-operator-" not in name
    ]
