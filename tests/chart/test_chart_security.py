"""What NSA/CISA's guidance and the CIS benchmark ask of workloads, beside Pod Security: see docs/security.md."""

import re

import pytest
from chart import CASES, Document, Rendered, case, render

# The sidecar that the user of one case brings along.
USERS = "watcher"
# What a user may ask for by a value, and one case does.
LEFT = {"ci/network-policy-off-values.yaml"}
ASKED = {"ci/history-server-alone-values.yaml": "NodePort"}


def containers(rendered: Rendered) -> list[tuple[str, Document]]:
    return [
        (f"{pod}/{container['name']}", container)
        for pod, template in rendered.pods()
        for container in [*template["spec"]["containers"], *template["spec"].get("initContainers", [])]
        if container["name"] != USERS
    ]


@pytest.mark.parametrize("name", CASES)
def test_roles_name_what_they_grant_and_hold_in_their_namespace_alone(name: str) -> None:
    """CIS 5.1.1 to 5.1.4: no cluster role, no wildcard, no secrets; pods are made by the driver and the notebook."""
    rendered = case(name)
    assert not [document["kind"] for document in rendered.documents if document["kind"].startswith("ClusterRole")]
    for role in rendered.all("Role"):
        for rule in role["rules"]:
            values = [*rule["apiGroups"], *rule["resources"], *rule["verbs"]]
            assert "*" not in values, role["metadata"]["name"]
            assert not {"secrets", "pods/exec", "pods/attach", "serviceaccounts/token"} & set(rule["resources"])
            assert not {"escalate", "bind", "impersonate"} & set(rule["verbs"])
    for binding in rendered.all("RoleBinding"):
        assert binding["roleRef"]["kind"] == "Role"
        assert {subject["kind"] for subject in binding["subjects"]} == {"ServiceAccount"}


@pytest.mark.parametrize("name", CASES)
def test_no_pod_has_the_namespace_s_default_service_account_and_a_token_of_it(name: str) -> None:
    """CIS 5.1.5 and 5.1.6."""
    rendered = case(name)
    for pod, template in rendered.pods():
        spec = template["spec"]
        account = spec.get("serviceAccountName")
        if account in (None, "default") and not pod.endswith(("-driver", "-executor")):
            assert spec["automountServiceAccountToken"] is False, pod
    if {"SparkApplication", "ScheduledSparkApplication"} & {document["kind"] for document in rendered.documents}:
        assert not {rendered.job[role]["serviceAccount"] for role in ("driver", "executor")} & {"", "default"}


@pytest.mark.parametrize("name", CASES)
def test_every_container_has_limits_so_that_none_takes_the_node(name: str) -> None:
    """NSA/CISA, resource policies. Those of driver and executors are made by the operator, of memory and overhead."""
    for place, container in containers(case(name)):
        if container["name"].startswith("spark-kubernetes-"):
            continue
        resources = container.get("resources", {})
        assert {"cpu", "memory"} <= set(resources.get("requests", {})), place
        assert "memory" in resources.get("limits", {}), place


@pytest.mark.parametrize("name", CASES)
def test_images_have_a_version(name: str) -> None:
    """NSA/CISA, image hygiene: neither `latest` nor no tag at all."""
    for place, container in containers(case(name)):
        image = container.get("image")
        if image is not None:
            assert re.search(r"@sha256:[0-9a-f]{64}$|:(?!latest$)[\w.+-]+$", image), (place, image)


@pytest.mark.parametrize("name", CASES)
def test_a_network_policy_of_its_own_stands_for_every_pod(name: str) -> None:
    """CIS 5.3.2, NSA/CISA network separation: of each pod both directions are denied but for what a policy names."""
    rendered = case(name)
    policies = rendered.all("NetworkPolicy")
    if name in LEFT:
        assert not policies
        return
    assert policies
    chosen = [policy["spec"]["podSelector"].get("matchLabels", {}) for policy in policies]
    assert all(set(policy["spec"]["policyTypes"]) == {"Ingress", "Egress"} for policy in policies)
    for pod, template in rendered.pods():
        labels = template["metadata"]["labels"]
        if labels["app.kubernetes.io/component"] == "test":  # of `helm test`, for seconds, without ports
            continue
        assert any(wanted and wanted.items() <= labels.items() for wanted in chosen), (pod, labels)


@pytest.mark.parametrize("name", CASES)
def test_nothing_is_opened_to_the_outside_unless_it_is_asked_for(name: str) -> None:
    """NSA/CISA: services are of the cluster alone, and no port of a node is taken."""
    for service in case(name).all("Service"):
        assert service["spec"].get("type", "ClusterIP") in ("ClusterIP", ASKED.get(name)), service["metadata"]["name"]
        assert not [port for port in service["spec"]["ports"] if "nodePort" in port]


def test_pods_can_do_nothing_with_the_host() -> None:
    """CIS 5.2.2 to 5.2.5 and 5.2.12: by name, for the case that has most."""
    more = ("notebook.enabled=true", "serve.enabled=true", "serve.model=s3://fruits/out/a")
    for pod, template in render("values-minikube.yaml", sets=more).pods():
        spec = template["spec"]
        asked = {key for key, value in spec.items() if value}
        assert not {"hostNetwork", "hostPID", "hostIPC", "hostUsers", "shareProcessNamespace"} & asked, pod
        assert not [volume for volume in spec.get("volumes", []) if "hostPath" in volume], pod


def test_two_releases_in_a_namespace_share_no_name_and_choose_no_pod_of_each_other() -> None:
    one, two = render(release="one"), render(release="two")
    names = [{(document["kind"], document["metadata"]["name"]) for document in found.documents} for found in (one, two)]
    assert not names[0] & names[1]
    chosen = [policy["spec"]["podSelector"]["matchLabels"] for policy in one.all("NetworkPolicy")]
    for _, template in two.pods():
        labels = template["metadata"]["labels"]
        assert not [wanted for wanted in chosen if wanted.items() <= labels.items()]
    others = [template["metadata"]["labels"] for _, template in two.pods()]
    for policy in one.all("NetworkPolicy"):
        for rule in [*policy["spec"].get("ingress", []), *policy["spec"].get("egress", [])]:
            for peer in [*rule.get("from", []), *rule.get("to", [])]:
                wanted = peer.get("podSelector", {}).get("matchLabels", {})
                if wanted and "namespaceSelector" not in peer:
                    assert not [labels for labels in others if wanted.items() <= labels.items()]
