"""A cluster in which the operator is not installed: an API server of its own, so that nobody's cluster is changed."""

import json
import secrets
import subprocess
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import kube
import pytest
from absent import absent
from running import free_port


@pytest.fixture
def bare(tmp_path: Path) -> Iterator[Path]:
    """The kubeconfig of an API server that has only the kinds of Kubernetes."""
    programs = {name: kube.tool(name) for name in ("etcd", "kube-apiserver")}
    missing = [name for name, path in programs.items() if not path]
    if missing:
        absent(f"no {missing[0]} on this machine (.ci/cluster builds it)")
    client, peer, secure = (free_port() for _ in range(3))
    token, key = secrets.token_hex(16), tmp_path / "accounts.key"
    (tmp_path / "tokens.csv").write_text(f"{token},me,me,system:masters\n")
    subprocess.run(["openssl", "genrsa", "-out", key, "2048"], check=True, capture_output=True)
    kubeconfig = tmp_path / "kubeconfig"
    kubeconfig.write_text(
        json.dumps(
            {
                "apiVersion": "v1",
                "kind": "Config",
                "current-context": "bare",
                "contexts": [{"name": "bare", "context": {"cluster": "bare", "user": "me"}}],
                "users": [{"name": "me", "user": {"token": token}}],
                "clusters": [
                    {
                        "name": "bare",
                        "cluster": {
                            "server": f"https://127.0.0.1:{secure}",
                            "certificate-authority": str(tmp_path / "apiserver.crt"),
                        },
                    }
                ],
            }
        )
    )
    commands = (
        [
            programs["etcd"],
            f"--data-dir={tmp_path}/etcd",
            f"--listen-client-urls=http://127.0.0.1:{client}",
            f"--advertise-client-urls=http://127.0.0.1:{client}",
            f"--listen-peer-urls=http://127.0.0.1:{peer}",
            f"--initial-advertise-peer-urls=http://127.0.0.1:{peer}",
            f"--initial-cluster=default=http://127.0.0.1:{peer}",
        ],
        [
            programs["kube-apiserver"],
            f"--etcd-servers=http://127.0.0.1:{client}",
            f"--secure-port={secure}",
            "--bind-address=127.0.0.1",
            f"--cert-dir={tmp_path}",
            f"--token-auth-file={tmp_path}/tokens.csv",
            "--authorization-mode=AlwaysAllow",
            "--service-cluster-ip-range=10.0.0.0/24",
            "--service-account-issuer=https://bare",
            f"--service-account-key-file={key}",
            f"--service-account-signing-key-file={key}",
        ],
    )
    with ExitStack() as running:
        for command in commands:
            process = running.enter_context(
                subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
            )
            running.callback(process.kill)
        kube.until(180, "an API server", lambda: kube.kubectl("--kubeconfig", kubeconfig, "get", "--raw", "/readyz"))
        yield kubeconfig


def test_a_cluster_without_the_operator_is_told_at_once(bare: Path, fruits: Callable[..., Any]) -> None:
    done = fruits("submit", KUBECONFIG=str(bare))
    examined = fruits("doctor", "--namespace", "fruits", KUBECONFIG=str(bare))
    assert done.returncode == 1
    assert "fruits: The Spark operator is not installed in the cluster" in done.stderr
    assert "helm install spark-operator" in done.stderr
    assert examined.returncode == 1
    assert "fault    operator      The Spark operator is not installed" in examined.stdout
