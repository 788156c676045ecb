"""Every pod: what Pod Security `restricted` asks for, no secret in sight, no token where none is needed."""

import json
import re
from typing import Any
from xml.etree import ElementTree as ET

import pytest
from chart import CASES, Document, Rendered, case, environment, render

SECRET = re.compile(r"secret|password|token|access_key", re.IGNORECASE)


def breaches(pod: Document) -> list[str]:
    """What keeps this pod from the level `restricted` of Pod Security, and from a read-only root file system."""
    spec = pod["spec"]
    found = [field for field in ("hostNetwork", "hostPID", "hostIPC") if spec.get(field)]
    found += [
        f"volume {volume['name']}"
        for volume in spec.get("volumes", [])
        if not set(volume) - {"name"}
        <= {"emptyDir", "configMap", "secret", "projected", "downwardAPI", "persistentVolumeClaim", "ephemeral", "csi"}
    ]
    for container in [*spec["containers"], *spec.get("initContainers", [])]:
        context = {**spec.get("securityContext", {}), **container.get("securityContext", {})}
        good = {
            "runAsNonRoot": context.get("runAsNonRoot") is True,
            "runAsUser": context.get("runAsUser") == 185,
            "seccompProfile": context.get("seccompProfile", {}).get("type") == "RuntimeDefault",
            "allowPrivilegeEscalation": context.get("allowPrivilegeEscalation") is False,
            "capabilities": context.get("capabilities") == {"drop": ["ALL"]},
            "readOnlyRootFilesystem": context.get("readOnlyRootFilesystem") is True,
            "hostPort": not any("hostPort" in port for port in container.get("ports", [])),
        }
        found += [f"{container['name']}: {what}" for what, kept in good.items() if not kept]
    return found


@pytest.mark.parametrize("name", CASES)
def test_every_pod_is_as_restricted_as_pod_security_asks(name: str) -> None:
    found = {pod: breaches(template) for pod, template in case(name).pods()}
    # this one gives its driver a root file system to write to, and a sidecar of its own
    allowed = {"fruits-driver": ["spark-kubernetes-driver: readOnlyRootFilesystem", "watcher: readOnlyRootFilesystem"]}
    expected = {pod: allowed.get(pod, []) if name == "ci/templates-values.yaml" else [] for pod in found}
    assert found == expected


def test_a_pod_that_is_not_restricted_is_noticed() -> None:
    assert breaches(
        {
            "spec": {
                "hostNetwork": True,
                "volumes": [{"name": "x", "hostPath": {"path": "/"}}],
                "containers": [{"name": "c", "ports": [{"hostPort": 80}]}],
            }
        }
    ) == [
        "hostNetwork",
        "volume x",
        *(
            f"c: {what}"
            for what in (
                "runAsNonRoot",
                "runAsUser",
                "seccompProfile",
                "allowPrivilegeEscalation",
                "capabilities",
                "readOnlyRootFilesystem",
                "hostPort",
            )
        ),
    ]


@pytest.mark.parametrize("name", CASES)
def test_spark_and_python_can_write_where_they_must(name: str) -> None:
    for pod, template in case(name).pods():
        if template["metadata"]["labels"]["app.kubernetes.io/component"] in {"driver", "executor", "notebook"}:
            mounts = {mount["mountPath"]: mount["name"] for mount in template["spec"]["containers"][0]["volumeMounts"]}
            empty = {volume["name"] for volume in template["spec"]["volumes"] if "emptyDir" in volume}
            assert {mounts["/tmp"], mounts["/opt/spark/work-dir"]} <= empty, pod


@pytest.mark.parametrize("name", CASES)
def test_no_pod_carries_a_secret_in_its_manifest(name: str) -> None:
    for pod, template in case(name).pods():
        for container in [*template["spec"]["containers"], *template["spec"].get("initContainers", [])]:
            for variable in container.get("env", []):
                if SECRET.search(variable["name"]):
                    assert "secretKeyRef" in variable["valueFrom"], (pod, variable)


@pytest.mark.parametrize("name", CASES)
def test_only_what_talks_to_the_api_server_mounts_a_token(name: str) -> None:
    rendered = case(name)
    talks = {"driver", "notebook"}
    for pod, template in rendered.pods():
        component = template["metadata"]["labels"]["app.kubernetes.io/component"]
        if component in talks or pod.endswith(("test-driver-can-start-executors", "test-executor-can-do-nothing")):
            assert template["spec"].get("automountServiceAccountToken", True) is True, pod
        elif component == "test":
            assert template["spec"]["serviceAccountName"] != "default", pod
        else:
            assert template["spec"]["automountServiceAccountToken"] is False, pod


def test_executors_have_a_service_account_without_rights_or_token() -> None:
    rendered = render()
    assert rendered.one("ServiceAccount", "fruits-executor")["automountServiceAccountToken"] is False
    assert rendered.job["executor"]["serviceAccount"] == "fruits-executor"
    assert [subject["name"] for subject in rendered.one("RoleBinding")["subjects"]] == ["fruits-driver"]


def test_the_driver_may_do_what_sparks_scheduler_does_and_no_more() -> None:
    rules = {resource: set(rule["verbs"]) for rule in render().one("Role")["rules"] for resource in rule["resources"]}
    assert rules == {
        "pods": {"get", "list", "watch", "create", "patch", "delete", "deletecollection"},
        "configmaps": {"create", "deletecollection"},
        "persistentvolumeclaims": {"list", "create", "delete", "deletecollection"},
        "services": {"deletecollection"},
    }
    assert render().all("ClusterRole") == render().all("ClusterRoleBinding") == []


def test_helm_test_asks_for_exactly_what_the_role_grants() -> None:
    rendered = render()
    granted = {resource: rule["verbs"] for rule in rendered.one("Role")["rules"] for resource in rule["resources"]}
    assert json.loads(environment(rendered.pod("fruits-test-driver-can-start-executors"))["CAN"]) == granted
    assert environment(rendered.pod("fruits-test-executor-can-do-nothing"))["CAN"] == "{}"
    for name, pod in rendered.pods():
        if "-test-" in name:
            assert pod["metadata"]["annotations"]["helm.sh/hook"] == "test"
            # an uninstallation would leave it
            assert "hook-succeeded" in pod["metadata"]["annotations"]["helm.sh/hook-delete-policy"]


def test_service_accounts_that_exist_are_used_and_not_made() -> None:
    rendered = case("ci/existing-service-accounts-values.yaml")
    assert rendered.all("ServiceAccount") == rendered.all("Role") == rendered.all("RoleBinding") == []
    assert (rendered.job["driver"]["serviceAccount"], rendered.job["executor"]["serviceAccount"]) == (
        "spark-driver",
        "spark-executor",
    )


def test_a_role_of_amazon_is_the_annotation_of_both_service_accounts() -> None:
    rendered = case("ci/irsa-values.yaml")
    role = "arn:aws:iam::123456789012:role/fruits"
    for account in rendered.all("ServiceAccount"):
        assert account["metadata"]["annotations"] == {"eks.amazonaws.com/role-arn": role}
    for account in case("ci/pod-identity-values.yaml").all("ServiceAccount"):
        assert "annotations" not in account["metadata"]


def hadoop_conf(rendered: Rendered) -> dict[str, str]:
    """What the history server is told about the store."""
    site = ET.fromstring(rendered.one("ConfigMap", "fruits-history-server")["data"]["core-site.xml"])
    return {part.findtext("name", ""): part.findtext("value", "") for part in site}


@pytest.mark.parametrize(
    ("name", "provider"),
    [
        ("default", "EnvironmentVariableCredentialsProvider"),
        ("existing-secret", "EnvironmentVariableCredentialsProvider"),
        ("irsa", "WebIdentityTokenFileCredentialsProvider"),
        ("pod-identity", "ContainerCredentialsProvider"),
    ],
)
def test_who_a_pod_is_at_the_store_is_named_once_and_for_all(name: str, provider: str) -> None:
    rendered = case(f"ci/{name}-values.yaml")
    assert hadoop_conf(rendered)["fs.s3a.aws.credentials.provider"] == (
        f"software.amazon.awssdk.auth.credentials.{provider}"
    )
    keys = {"AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY"}
    for _, pod in rendered.pods():
        variables: dict[str, Any] = environment(pod)
        if "AWS_REGION" in variables:
            assert (keys & set(variables) == keys) is (provider == "EnvironmentVariableCredentialsProvider")


def test_an_existing_secret_is_used_and_none_is_made() -> None:
    rendered = case("ci/existing-secret-values.yaml")
    assert rendered.all("Secret") == []
    variables = environment(rendered.job["driver"]["template"])
    key = "AWS_SECRET_ACCESS_KEY"
    assert variables[key] == {"secretKeyRef": {"name": "store-keys", "key": key}}
    assert variables["AWS_SESSION_TOKEN"]["secretKeyRef"]["optional"] is True
    assert variables["AWS_ENDPOINT_URL"] == "https://s3.example.org:8443"
    assert hadoop_conf(rendered)["fs.s3a.path.style.access"] == "true"
    container = rendered.job["executor"]["template"]["spec"]["containers"][0]
    assert container["envFrom"] == [{"secretRef": {"name": "more-settings"}}]


def test_the_password_of_minio_is_random_and_one_for_all() -> None:
    first, second = (render(sets=(f"job.arguments.seed={seed}",)).one("Secret")["data"] for seed in (1, 2))
    assert first["AWS_SECRET_ACCESS_KEY"] != second["AWS_SECRET_ACCESS_KEY"]
    variables = environment(render().pod("fruits-minio"))
    source = {"secretKeyRef": {"name": "fruits-store", "key": "AWS_SECRET_ACCESS_KEY"}}
    assert variables["MINIO_ROOT_PASSWORD"] == source
    assert environment(render().job["driver"]["template"])["AWS_SECRET_ACCESS_KEY"] == source


def test_an_amazon_endpoint_is_not_asked_in_path_style() -> None:
    conf = hadoop_conf(case("values-eks.yaml"))
    assert "fs.s3a.path.style.access" not in conf
    assert "fs.s3a.endpoint" not in conf
    assert conf["fs.s3a.endpoint.region"] == "eu-west-1"
