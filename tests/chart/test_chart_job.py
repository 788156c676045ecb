"""The SparkApplication: what the values say about the job is what the operator is told."""

import pytest
from chart import Rendered, case, environment, render


def feature(name: str) -> Rendered:
    return case(f"ci/{name}-values.yaml")


def pairs(flags: list[str]) -> dict[str, str]:
    """Flags with a value; a bare flag has none."""
    return {
        flag: (follower if not follower.startswith("--") else "")
        for flag, follower in zip(flags, [*flags[1:], "--"], strict=True)
        if flag.startswith("--")
    }


def test_the_job_runs_the_images_own_program_in_cluster_mode() -> None:
    job = render().job
    assert (job["type"], job["mode"], job["sparkVersion"]) == ("Python", "cluster", "4.1.4")
    assert job["mainApplicationFile"] == "local:///opt/fruits/main.py"
    assert job["arguments"][0] == "run"


def test_by_default_it_reads_the_sample_and_writes_results_and_event_log_to_the_bucket() -> None:
    assert pairs(render(sets=("storage.bucket=pictures",)).flags()) == {
        "--data": "s3://pictures/sample",
        "--out": "s3://pictures/out",
        "--event-log": "s3://pictures/event-logs",
        "--wait-for-data": "300",
    }


def test_arguments_become_flags() -> None:
    flags = feature("arguments").flags()
    assert pairs(flags) == {
        "--categories": "Apple Red 1,Banana,Kiwi",
        "--train-images": "1000000",
        "--max-bad-fraction": "0.25",
        "--seed": "0",
        "--no-classify": "",
        "--data": "s3://fruits/sample",
        "--event-log": "s3://fruits/event-logs",
        "--wait-for-data": "300",
    }
    assert all(isinstance(flag, str) for flag in flags)


def test_executors_are_one_value() -> None:
    assert render(sets=("executor.instances=7",)).job["executor"]["instances"] == 7


def test_defaults_fit_a_machine_of_4_cpus_and_8_gib() -> None:
    rendered = render("values-minikube.yaml")
    assert render().job == rendered.job
    cpu, memory = 0.0, 0.0
    for role, count in (("driver", 1), ("executor", rendered.job["executor"]["instances"])):
        spec = rendered.job[role]
        cpu += count * cores(spec["coreRequest"])
        memory += count * (mebibytes(spec["memory"]) + mebibytes(spec["memoryOverhead"]))
    for _, pod in rendered.pods():
        for container in pod["spec"]["containers"]:
            requests = container.get("resources", {}).get("requests", {"cpu": "0m", "memory": "0Mi"})
            cpu += cores(requests["cpu"])
            memory += mebibytes(requests["memory"])
    assert cpu <= 4 - 0.95, "the control plane, DNS and the network ask for 0.95 of minikube's CPUs"
    assert memory <= 8 * 1024 - 1024


def cores(text: str) -> float:
    return float(text.removesuffix("m")) / 1000 if text.endswith("m") else float(text)


def mebibytes(text: str) -> float:
    return float(text.rstrip("MGigm")) * (1024 if "g" in text.lower() else 1)


def test_dynamic_allocation_tracks_shuffles_and_executors_hand_over_their_blocks() -> None:
    job = feature("dynamic-allocation").job
    assert job["dynamicAllocation"] == {
        "enabled": True,
        "initialExecutors": 2,
        "minExecutors": 1,
        "maxExecutors": 8,
        "shuffleTrackingEnabled": True,
        "shuffleTrackingTimeout": 600000,
    }
    assert job["sparkConf"]["spark.decommission.enabled"] == "true"
    assert job["sparkConf"]["spark.storage.decommission.shuffleBlocks.enabled"] == "true"
    assert job["sparkConf"]["spark.storage.decommission.replicationReattemptInterval"] == "5s"
    assert job["sparkConf"]["spark.kubernetes.executor.terminationGracePeriodSeconds"] == "60s"
    assert "dynamicAllocation" not in render().job
    assert "spark.decommission.enabled" not in render().job["sparkConf"]


def test_a_pod_that_vanished_is_missed_and_given_up_within_seconds() -> None:
    own = render().job["sparkConf"]
    assert own["spark.kubernetes.executor.missingPodDetectDelta"] == "5s"
    assert own["spark.kubernetes.executor.apiPollingInterval"] == "1s"
    assert own["spark.shuffle.io.connectionTimeout"] == "10s"


def test_volcano_gets_queue_priority_and_resources() -> None:
    job = feature("batch-scheduler-volcano").job
    assert job["batchScheduler"] == "volcano"
    assert job["batchSchedulerOptions"] == {
        "queue": "batch",
        "priorityClassName": "high",
        "resources": {"cpu": "3", "memory": "6Gi"},
    }


def test_yunikorn_is_told_where_the_gang_may_stand() -> None:
    job = feature("batch-scheduler-yunikorn").job
    assert job["batchScheduler"] == "yunikorn"
    assert job["executor"]["nodeSelector"] == job["executor"]["template"]["spec"]["nodeSelector"] == {"pool": "batch"}
    assert job["executor"]["tolerations"] == [{"key": "batch", "operator": "Exists"}]
    assert "tolerations" not in feature("placement").job["executor"], "elsewhere the pod template says it"


def test_a_schedule_makes_a_scheduled_application() -> None:
    rendered = feature("schedule")
    spec = rendered.one("ScheduledSparkApplication")["spec"]
    assert rendered.all("SparkApplication") == []
    assert (spec["schedule"], spec["timeZone"], spec["concurrencyPolicy"]) == ("15 3 * * *", "Europe/Berlin", "Replace")
    assert (spec["successfulRunHistoryLimit"], spec["failedRunHistoryLimit"]) == (3, 1)
    assert spec["suspend"] is True
    assert "suspend" not in spec["template"]
    assert spec["template"] == render().job


def test_a_suspended_job_is_not_submitted() -> None:
    assert feature("suspend").job["suspend"] is True
    assert "suspend" not in render().job


def test_retries_and_time_to_live_are_the_operators() -> None:
    job = feature("retries").job
    assert job["restartPolicy"] == {
        "type": "Always",
        "onFailureRetries": 4,
        "onFailureRetryInterval": 30,
        "onSubmissionFailureRetries": 5,
        "onSubmissionFailureRetryInterval": 20,
    }
    assert job["timeToLiveSeconds"] == 86400
    assert job["executor"]["deleteOnTermination"] is False
    assert "timeToLiveSeconds" not in render().job


def test_executors_whose_pods_vanish_are_missed_after_seconds() -> None:
    """Spark by itself looks twice a minute: a task of a pod that was deleted was started again 41 s later."""
    conf = render().job["sparkConf"]
    assert conf["spark.kubernetes.executor.apiPollingInterval"] == "1s"
    assert conf["spark.kubernetes.executor.missingPodDetectDelta"] == "5s"
    assert conf["spark.kubernetes.executor.enablePollingWithResourceVersion"] == "true"


def test_the_users_spark_properties_beat_the_charts_and_are_text() -> None:
    job = feature("spark-conf").job
    assert job["sparkConf"]["spark.ui.port"] == "4050"
    assert job["sparkConf"]["spark.speculation"] == "true"
    assert job["sparkConf"]["spark.kubernetes.executor.annotation.example.org/id"] == "{{EXECUTOR_ID}}"
    assert job["hadoopConf"]["fs.s3a.connection.maximum"] == "200"
    assert job["driver"]["javaOptions"] == "-XX:+UseG1GC"
    assert environment(job["executor"]["template"])["FRUITS_WORDS"] == "100"


def test_a_private_image_is_pulled_with_its_secret_by_every_pod() -> None:
    rendered = feature("private-image")
    assert rendered.job["image"] == "images.example.org/vision/fruits-job:2.0"
    assert rendered.job["imagePullPolicy"] == "Always"
    assert rendered.job["imagePullSecrets"] == ["images-example-org"]
    for name, pod in rendered.pods():
        # Spark gives its pods what stands in the SparkApplication, or in the notebook's configuration
        if pod["metadata"]["labels"]["app.kubernetes.io/component"] not in {"driver", "executor"}:
            assert pod["spec"]["imagePullSecrets"] == [{"name": "images-example-org"}], name
    assert "images-example-org" in rendered.one("ConfigMap", "fruits-notebook")["data"]["spark-defaults.conf"]


def test_metrics_are_prometheuss_on_the_port_of_the_ui() -> None:
    rendered = feature("metrics")
    assert rendered.job["sparkConf"]["spark.ui.prometheus.enabled"] == "true"
    assert rendered.job["sparkConf"]["spark.metrics.conf.*.sink.prometheusServlet.class"].endswith("PrometheusServlet")
    monitor = rendered.one("PodMonitor")
    assert monitor["metadata"]["labels"]["release"] == "prometheus"
    assert [end["path"] for end in monitor["spec"]["podMetricsEndpoints"]] == [
        "/metrics/prometheus/",
        "/metrics/executors/prometheus/",
    ]
    labels = rendered.job["driver"]["template"]["metadata"]["labels"]
    assert monitor["spec"]["selector"]["matchLabels"].items() <= labels.items()
    assert render(sets=("metrics.enabled=true",)).all("PodMonitor") == []


def test_labels_and_annotations_reach_what_they_are_meant_for() -> None:
    rendered = feature("labels")
    application = rendered.one("SparkApplication")["metadata"]
    assert application["labels"]["cost-centre"] == "4711"
    assert application["annotations"] == {"example.org/owner": "vision"}
    assert all(document["metadata"]["labels"]["team"] == "vision" for document in rendered.documents)
    for name, pod in rendered.pods():
        assert pod["metadata"]["labels"]["team"] == "vision", name
    driver, executor = (rendered.job[role]["template"]["metadata"] for role in ("driver", "executor"))
    assert (driver["labels"]["tier"], executor["labels"]["tier"]) == ("driver", "executor")
    assert driver["annotations"] == {"example.org/driver": "yes"}
    assert executor["annotations"] == {"example.org/executor": "yes"}


def test_pods_are_placed_by_their_templates() -> None:
    job = feature("placement").job
    for role in ("driver", "executor"):
        spec = job[role]["template"]["spec"]
        assert spec["priorityClassName"] == "high"
        assert spec["nodeSelector"] == {"pool": "batch"}
        assert spec["tolerations"][0]["key"] == "batch"
        assert "nodeAffinity" in spec["affinity"]


def test_a_users_pod_template_completes_the_charts() -> None:
    own = render().job["driver"]["template"]["spec"]
    template = feature("templates").job["driver"]["template"]
    spark, watcher = template["spec"]["containers"]
    assert template["metadata"]["annotations"] == {"example.org/scan": "off"}
    assert template["metadata"]["labels"]["app.kubernetes.io/component"] == "driver"
    assert template["spec"]["terminationGracePeriodSeconds"] == 5
    assert template["spec"]["securityContext"] == own["securityContext"]
    assert [volume["name"] for volume in template["spec"]["volumes"]] == ["tmp", "work-dir", "pictures"]
    assert [mount["name"] for mount in spark["volumeMounts"]] == ["tmp", "work-dir", "pictures"]
    assert spark["env"] == [*own["containers"][0]["env"], {"name": "MORE", "value": "1"}]
    assert spark["securityContext"] == {**own["containers"][0]["securityContext"], "readOnlyRootFilesystem": False}
    assert watcher["name"] == "watcher"


def test_on_eks_the_driver_is_on_demand_and_the_executors_are_on_spot_nodes() -> None:
    job = case("values-eks.yaml").job
    driver, executor = (job[role]["template"]["spec"] for role in ("driver", "executor"))
    assert driver["nodeSelector"]["eks.amazonaws.com/capacityType"] == "ON_DEMAND"
    assert "tolerations" not in driver
    assert job["driver"]["template"]["metadata"]["annotations"]["karpenter.sh/do-not-disrupt"] == "true"
    assert executor["nodeSelector"]["eks.amazonaws.com/capacityType"] == "SPOT"
    assert executor["tolerations"] == [{"key": "spot", "operator": "Equal", "value": "true", "effect": "NoSchedule"}]
    assert job["sparkConf"]["spark.decommission.enabled"] == "true"
    assert job["dynamicAllocation"]["enabled"] is True


@pytest.mark.parametrize(("release", "name"), [("fruits", "fruits"), ("my-fruits", "my-fruits"), ("lab", "lab-fruits")])
def test_everything_is_named_after_the_release(release: str, name: str) -> None:
    rendered = render(release=release)
    assert rendered.one("SparkApplication")["metadata"]["name"] == name
    assert all(document["metadata"]["name"].startswith(name) for document in rendered.documents)
