"""Where the seconds of a run on the cluster go, beside those of the same run in one pod of the same image."""

import json
from datetime import UTC, datetime

import kube

# What the job's log says when a part of it is done.
_SAID = {"Python ready": "event=start ", "Spark ready": "event=step operation=start_spark",
         "training pictures described": "event=step operation=extract_descriptors split=train",
         "test pictures scored": "event=step operation=evaluate", "results written": "event=done"}

Moments = dict[str, float]


def of_application(name: str, begun: datetime | None = None) -> Moments:
    """Seconds from `begun` (else from its creation) to each moment of a completed SparkApplication, in their order.

    Those of the log are exact, the others, which the API server keeps in whole seconds, up to a second too small.
    """
    application, driver = kube.get("sparkapplication", name), kube.get("pod", f"{name}-driver")
    begun = begun or _time(application["metadata"]["creationTimestamp"])
    ended = driver["status"]["containerStatuses"][0]["state"]["terminated"]
    made = {"driver's pod made": _time(driver["metadata"]["creationTimestamp"]),
            "driver's container started": _time(ended["startedAt"]), **_log(f"{name}-driver")}
    started = [_time(event["firstTimestamp"]) for event in kube.get("events")["items"]
               if event["reason"] == "Started" and event["firstTimestamp"]
               and event["involvedObject"]["name"] in application["status"]["executorState"]]
    if started:
        made["executors' containers started"] = max(started)
    made |= {"driver's container ended": _time(ended["finishedAt"]),
             "COMPLETED": _time(application["status"]["terminationTime"])}
    return _since(begun, made)


def alone(application: kube.Document, pod: str = "alone") -> Moments:
    """Seconds from the start of its container to each moment of the same run in one pod on `local[2]`."""
    driver = application["spec"]["driver"]["template"]["spec"]
    (container,) = driver["containers"]
    arguments = [*application["spec"]["arguments"], "--run-name", f"{pod}-{datetime.now(UTC):%H-%M-%S}", "--master",
                 "local[2]"]
    document = {"apiVersion": "v1", "kind": "Pod", "metadata": {"name": pod, "namespace": kube.NAMESPACE}, "spec": {
        **driver, "restartPolicy": "Never", "automountServiceAccountToken": False, "containers": [
            {**container, "name": pod, "image": application["spec"]["image"], "args": ["fruits", *arguments]}]}}
    kube.kubectl("apply", "-f", "-", text=json.dumps(document))
    try:
        kube.kubectl("wait", "--for=jsonpath={.status.phase}=Succeeded", f"pod/{pod}", "--timeout=170s", timeout=180)
        ended = kube.get("pod", pod)["status"]["containerStatuses"][0]["state"]["terminated"]
        return _since(_time(ended["startedAt"]), {**_log(pod), "container ended": _time(ended["finishedAt"])})
    finally:
        kube.kubectl("delete", "pod", pod, "--now")


def table(cluster: Moments, one: Moments) -> str:
    """Both, line by line: the moment, its second on the cluster, its second in one pod."""
    lines = [f"{'':30} {'cluster':>8} {'one pod':>8}"]
    for name in [*cluster, *(name for name in one if name not in cluster)]:
        cells = [f"{moments[name]:8.1f}" if name in moments else " " * 8 for moments in (cluster, one)]
        lines.append(f"{name:30} {cells[0]} {cells[1]}")
    return "\n".join(lines)


def _log(pod: str) -> dict[str, datetime]:
    lines = [line.partition(" ") for line in kube.kubectl("logs", pod, "--timestamps").splitlines()]
    return {name: _time(next(line[0] for line in lines if line[2].startswith(start))) for name, start in _SAID.items()}


def _since(begun: datetime, moments: dict[str, datetime]) -> Moments:
    seconds = {name: (moment - begun).total_seconds() for name, moment in moments.items()}
    return dict(sorted(seconds.items(), key=lambda pair: pair[1]))


def _time(text: str) -> datetime:
    """A time of the API server; those of logs have nanoseconds, of which six digits are kept."""
    whole, _, rest = text.rstrip("Z").partition(".")
    return datetime.strptime(whole, "%Y-%m-%dT%H:%M:%S").replace(microsecond=int((rest or "0")[:6].ljust(6, "0")),
                                                                 tzinfo=UTC)
