"""The real cluster: that of `.ci/cluster`, or of FRUITS_TEST_KUBECONFIG. Its namespace `fruits` is emptied.

Without a cluster a user's tests skip, and those of CI fail.
"""

import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import kube
import pytest
from absent import absent


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """They share one namespace: in one process, and in the order in which they stand."""
    for item in items:
        if Path(__file__).parent in item.path.parents:
            item.add_marker(pytest.mark.xdist_group("cluster"))


@pytest.fixture(scope="session", autouse=True)
def cluster() -> None:
    """A cluster with the operator, whose namespace `fruits` is empty."""
    try:
        for name in ("kubectl", "helm"):
            assert kube.tool(name), f"{name} is not installed"
        kube.kubectl("get", "--raw", "/readyz", "--request-timeout=60s")
        kube.kubectl("get", "crd", "sparkapplications.sparkoperator.k8s.io")
    except AssertionError as error:
        absent(f"no cluster with the Spark operator (.ci/cluster brings one up): {error}")
    kube.kubectl("apply", "-f", kube.ROOT / "k8s" / "namespace.yaml")
    if "fruits" in kube.helm("list", "-q").split():  # of an earlier run that was stopped
        kube.helm("uninstall", "fruits", "--wait")
    kube.kubectl("delete", "sparkapplications", "--all", "--wait")
    kube.until(240, "an empty namespace", lambda: not kube.left_over())


@pytest.fixture
def fruits() -> Callable[..., "subprocess.CompletedProcess[str]"]:
    """The command on this machine."""

    def run(*arguments: object, timeout: float = 400, **more: str) -> "subprocess.CompletedProcess[str]":
        return subprocess.run(
            [sys.executable, "-m", "job", *map(str, arguments)],
            env=kube.plain_environment(more),
            capture_output=True,
            text=True,
            timeout=timeout,
            check=False,
        )

    return run
