"""Network policies: who may talk to whom. (They are read here, not enforced.)"""

from typing import Any

from chart import Document, Rendered, case, render


def allowed(rules: list[Document], side: str) -> set[tuple[str, int]]:
    """Peers and ports of the rules: a peer is a component of the release, a block of addresses, or `dns`."""
    found = set()
    for rule in rules:
        for peer in rule[side]:
            for port in rule["ports"]:
                found |= {(name, port["port"]) for name in names(peer)}
    return found


def names(peer: Document) -> list[str]:
    if "ipBlock" in peer:
        return [peer["ipBlock"]["cidr"]]
    if "namespaceSelector" in peer:
        return ["dns" if peer.get("podSelector", {}).get("matchLabels", {}).get("k8s-app") == "kube-dns" else "clients"]
    for expression in peer["podSelector"].get("matchExpressions", []):
        return expression["values"]
    return ["release"] if "app.kubernetes.io/instance" in peer["podSelector"].get("matchLabels", {}) else ["clients"]


def policy(rendered: Rendered, component: str) -> dict[str, Any]:
    spec = rendered.one("NetworkPolicy", f"fruits-{component}")["spec"]
    assert spec["podSelector"]["matchLabels"]["app.kubernetes.io/component"] == component
    assert spec["policyTypes"] == ["Ingress", "Egress"]
    return {"in": allowed(spec["ingress"], "from"), "out": allowed(spec["egress"], "to")}


DNS = {("dns", 53), ("169.254.20.10/32", 53)}
API = {
    (block, port)
    for block in ("10.0.0.0/8", "172.16.0.0/12", "192.168.0.0/16", "100.64.0.0/10")
    for port in (443, 6443, 8443)
}


def test_the_driver_talks_to_executors_dns_the_store_and_the_api_server_only() -> None:
    assert policy(render(), "driver") == {
        "in": {("executor", 7078), ("executor", 7079)},
        "out": {("executor", 7079), ("minio", 9000), *DNS, *API},
    }


def test_executors_talk_to_the_driver_each_other_dns_and_the_store_only() -> None:
    assert policy(render(), "executor") == {
        "in": {("driver", 7079), ("executor", 7079)},
        "out": {("driver", 7078), ("driver", 7079), ("executor", 7079), ("minio", 9000), *DNS},
    }


def test_minio_is_reached_from_the_release_and_reaches_nobody() -> None:
    assert policy(render(), "minio") == {"in": {("release", 9000)}, "out": set()}


def test_the_upload_and_the_history_server_reach_the_store_only() -> None:
    assert policy(render(), "upload") == {"in": set(), "out": {("minio", 9000), *DNS}}
    assert policy(render(), "history-server") == {"in": {("test", 18080)}, "out": {("minio", 9000), *DNS}}


def test_what_predicts_arriving_pictures_reaches_the_store_only() -> None:
    assert policy(case("ci/predict-values.yaml"), "predict") == {"in": set(), "out": {("minio", 9000), *DNS}}
    assert "fruits-predict" not in render().text


def test_the_ports_of_the_policies_are_those_that_spark_is_told() -> None:
    rendered = render(sets=("ports.driver=17078", "ports.blockManager=17079"))
    conf = rendered.job["sparkConf"]
    assert (conf["spark.driver.port"], conf["spark.blockManager.port"], conf["spark.driver.blockManager.port"]) == (
        "17078",
        "17079",
        "17079",
    )
    assert policy(rendered, "driver")["in"] == {("executor", 17078), ("executor", 17079)}
    assert policy(rendered, "executor")["in"] == {("driver", 17079), ("executor", 17079)}


def test_the_policies_choose_the_pods_by_labels_that_these_have() -> None:
    rendered = render(sets=("notebook.enabled=true",))
    pods = [template["metadata"]["labels"] for _, template in rendered.pods()]
    for document in rendered.all("NetworkPolicy"):
        chosen = document["spec"]["podSelector"]["matchLabels"].items()
        assert any(chosen <= labels.items() for labels in pods), document["metadata"]["name"]


def test_a_store_outside_is_reached_at_its_own_port_but_not_the_nodes_metadata() -> None:
    rendered = case("ci/existing-secret-values.yaml")
    assert {("0.0.0.0/0", 443), ("0.0.0.0/0", 8443)} <= policy(rendered, "executor")["out"]
    for document in rendered.all("NetworkPolicy"):
        for rule in document["spec"]["egress"]:
            for peer in rule["to"]:
                if peer.get("ipBlock", {}).get("cidr") == "0.0.0.0/0":
                    assert peer["ipBlock"]["except"] == ["169.254.169.254/32"]
    plain = render(
        sets=("minio.enabled=false", "storage.existingSecret=keys", "storage.endpoint=http://store.example.org")
    )
    assert ("0.0.0.0/0", 80) in policy(plain, "executor")["out"]


def test_pod_identity_reaches_its_agent() -> None:
    assert ("169.254.170.23/32", 80) in policy(case("ci/pod-identity-values.yaml"), "executor")["out"]
    assert ("169.254.170.23/32", 80) not in policy(case("ci/irsa-values.yaml"), "executor")["out"]


def test_the_notebook_is_a_driver() -> None:
    rendered = case("ci/notebook-values.yaml")
    assert policy(rendered, "notebook") == {
        "in": {("executor", 7078), ("executor", 7079), ("clients", 4040), ("clients", 8888)},
        "out": {("executor", 7079), ("minio", 9000), *DNS, *API},
    }
    assert ("notebook", 7078) in policy(rendered, "executor")["out"]
    assert ("notebook", 7079) in policy(rendered, "executor")["in"]


def test_only_named_clients_read_the_ui_the_metrics_and_the_history() -> None:
    rendered = case("ci/metrics-values.yaml")
    assert ("clients", 4040) in policy(rendered, "driver")["in"]
    assert ("clients", 18080) in policy(rendered, "history-server")["in"]


def test_policies_can_be_left_to_others() -> None:
    assert case("ci/network-policy-off-values.yaml").all("NetworkPolicy") == []


def test_the_server_is_asked_by_pods_of_the_namespace_and_reaches_the_store_only() -> None:
    found = policy(render(sets=("serve.enabled=true", "serve.model=s3://fruits/out/monday")), "serve")
    assert found == {"in": {("test", 8080), ("clients", 8080)}, "out": {("minio", 9000), *DNS}}
