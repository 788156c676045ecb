"""The model behind HTTP: what is made for it, and values that could only fail."""

import pytest
from chart import Rendered, case, environment, refusal, render

ON = ("serve.enabled=true", "serve.model=s3://fruits/out/monday")


@pytest.fixture
def full() -> Rendered:
    return case("ci/serve-values.yaml")


def test_nothing_of_it_is_there_by_default() -> None:
    assert "fruits-serve" not in render().text


def test_pods_serve_the_model_that_is_named(full: Rendered) -> None:
    args = full.pod("fruits-serve")["spec"]["containers"][0]["args"]
    assert args[0] == "serve"
    flags = dict(zip(args[1::2], args[2::2], strict=True))
    assert flags == {
        "--model": "s3://fruits/out/monday",
        "--host": "0.0.0.0",
        "--port": "8080",
        "--drain": "5s",
        "--workers": "2",
        "--reject-below": "0.6",
    }


def test_its_flags_are_those_of_the_command(full: Rendered) -> None:
    from job.commands.main import parser

    args = full.pod("fruits-serve")["spec"]["containers"][0]["args"]
    assert parser(("serve",)).parse_args(args).model == "s3://fruits/out/monday"


def test_another_model_is_another_pod(full: Rendered) -> None:
    other = render("ci/serve-values.yaml", sets=("serve.model=s3://fruits/out/tuesday",))
    assert full.pod("fruits-serve") != other.pod("fruits-serve")


def test_a_pod_is_not_asked_before_it_is_ready_and_ends_when_it_has_answered(full: Rendered) -> None:
    spec = full.pod("fruits-serve")["spec"]
    (container,) = spec["containers"]
    assert container["readinessProbe"]["httpGet"]["path"] == "/readyz"
    assert container["livenessProbe"]["httpGet"]["path"] == "/healthz"
    assert spec["terminationGracePeriodSeconds"] > 5 + 10 + 5  # the drain, a deadline, and what is left


def test_it_reaches_the_store_as_the_executors_do(full: Rendered) -> None:
    spec = full.pod("fruits-serve")["spec"]
    assert spec["serviceAccountName"] == "fruits-executor"
    assert spec["automountServiceAccountToken"] is False
    assert environment(full.pod("fruits-serve"))["AWS_ENDPOINT_URL"] == "http://fruits-minio:9000"


def test_an_autoscaler_decides_alone_how_many_pods_there_are(full: Rendered) -> None:
    assert "replicas" not in full.one("Deployment", "fruits-serve")["spec"]
    scaler = full.one("HorizontalPodAutoscaler")["spec"]
    assert (scaler["minReplicas"], scaler["maxReplicas"]) == (2, 6)
    assert scaler["scaleTargetRef"]["name"] == "fruits-serve"
    assert render(sets=ON).one("Deployment", "fruits-serve")["spec"]["replicas"] == 2


def test_an_ingress_and_a_budget_stand_for_the_service(full: Rendered) -> None:
    (rule,) = full.one("Ingress")["spec"]["rules"]
    assert rule["http"]["paths"][0]["backend"]["service"] == {"name": "fruits-serve", "port": {"name": "http"}}
    assert full.one("Ingress")["spec"]["tls"] == [{"secretName": "fruits-tls", "hosts": ["fruits.example.com"]}]
    budget = full.one("PodDisruptionBudget")["spec"]
    assert budget["selector"]["matchLabels"].items() <= full.pod("fruits-serve")["metadata"]["labels"].items()


def test_prometheus_reads_it(full: Rendered) -> None:
    monitor = full.one("PodMonitor", "fruits-serve")["spec"]
    assert monitor["podMetricsEndpoints"][0]["path"] == "/metrics"


def test_helm_test_sends_a_picture(full: Rendered) -> None:
    pod = full.one("Pod", "fruits-test-serve-answers")
    assert pod["spec"]["containers"][0]["env"] == [{"name": "URL", "value": "http://fruits-serve:80"}]
    assert "sample_picture" in full.one("ConfigMap", "fruits-tests")["data"]["first_picture.py"]


@pytest.mark.parametrize(
    ("sets", "said"),
    [
        (("serve.enabled=true",), "serve.model is empty"),
        ((*ON, "serve.ingress.enabled=true"), "serve.ingress.host is empty"),
        ((*ON, "serve.autoscaling.minReplicas=20"), "more than serve.autoscaling.maxReplicas"),
        ((*ON, "serve.model=monday"), "serve"),
    ],
)
def test_values_that_could_only_fail_are_refused(sets, said) -> None:
    assert said in refusal(*sets)
