"""`kubectl apply` of the plain manifests, with the images of the test cluster in their place."""

import secrets

import kube


def manifest(name: str) -> str:
    text = (kube.ROOT / "k8s" / name).read_text()
    return (
        text.replace("image: fruits-job:0.1.0", f"image: {kube.IMAGE}")
        .replace("image: quay.io/minio/minio:RELEASE.2025-09-07T16-13-09Z", "image: localhost/minio:1")
        .replace('coreRequest: "500m"', 'coreRequest: "100m"')
        .replace('coreRequest: "800m"', 'coreRequest: "100m"')
    )


def test_applied_manifests_run_to_completion_and_go_without_a_trace() -> None:
    text = manifest("minikube.yaml")
    assert text.count(kube.IMAGE) >= 4
    kube.kubectl(
        "create",
        "secret",
        "generic",
        "fruits-store",
        "--from-literal=AWS_ACCESS_KEY_ID=fruits",
        f"--from-literal=AWS_SECRET_ACCESS_KEY={secrets.token_hex(16)}",
    )
    try:
        kube.kubectl("apply", "-f", "-", text=text)
        kube.completed("fruits")
        written = kube.kubectl(
            "exec", "deploy/fruits-minio", "--", "mc", "find", "store/fruits/out", "--name", "manifest.json"
        )
        assert written.count("manifest.json") == 1
    finally:
        kube.kubectl("delete", "--ignore-not-found", "--wait", "-f", "-", text=text, timeout=400)
        kube.kubectl("delete", "secret", "fruits-store")
    kube.until(240, "an empty namespace", lambda: not kube.left_over())
