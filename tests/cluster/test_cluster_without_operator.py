"""A cluster in which the operator is not installed: the last of all, as it takes the kind SparkApplication away."""

import json
from collections.abc import Callable
from typing import Any

import kube

KINDS = "sparkapplications.sparkoperator.k8s.io"


def test_a_cluster_without_the_operator_is_told_at_once(fruits: Callable[..., Any]) -> None:
    others = kube.get("sparkapplications", "--all-namespaces")["items"]
    assert not others, "the cluster has SparkApplications of somebody else, which would go with their kind"
    kind = kube.get("crd", KINDS)
    for key in ("uid", "resourceVersion", "creationTimestamp", "generation", "managedFields"):
        kind["metadata"].pop(key, None)
    kind.pop("status", None)
    try:
        kube.kubectl("delete", "crd", KINDS, "--wait")
        done = fruits("submit", timeout=30)
        examined = fruits("doctor", "--namespace", "fruits", timeout=30)
    finally:
        kube.kubectl("create", "-f", "-", text=json.dumps(kind))
        kube.until(30, "the kind is back", lambda: kube.kubectl("get", "sparkapplications", "--ignore-not-found") == "")
    assert done.returncode == 1
    assert "fruits: The Spark operator is not installed in the cluster" in done.stderr
    assert "helm install spark-operator" in done.stderr
    assert examined.returncode == 1
    assert "fault    operator      The Spark operator is not installed" in examined.stdout
