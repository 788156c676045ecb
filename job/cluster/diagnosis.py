"""What keeps a job from starting, and why it failed: told from the documents of the cluster, in one sentence each."""

import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from typing import Any, NamedTuple

from job.cluster.application import memory_fields

Document = dict[str, Any]

DRIVER, EXECUTOR = "spark-kubernetes-driver", "spark-kubernetes-executor"
COMPLETED, FAILED = "COMPLETED", "FAILED"
# Waiting reasons that nothing but a change of the manifest or the node ends, and those that may pass by themselves.
_NEVER_PULLED = ("ErrImageNeverPull", "InvalidImageName")
_NOT_PULLED = (*_NEVER_PULLED, "ErrImagePull", "ImagePullBackOff", "RegistryUnavailable", "ImageInspectError")
_NOT_MADE = ("CreateContainerConfigError", "CreateContainerError", "RunContainerError")
# Told when they last: the configuration of a driver that has just been made is always a moment late.
NOT_STARTED = ("FailedMount", "FailedAttachVolume", "FailedCreatePodSandBox")
_SCALING_UP = ("TriggeredScaleUp", "Nominated")
_SHORT_OF = re.compile(r"Insufficient ([\w/-]+(?:\.[\w/-]+)*)")
_REFUSED = re.compile(r"([\w./ \"'-]*(?:is forbidden|exceeded quota)[^\n]*)")
_KILLED = 137
USAGE = 2
# How the command begins the sentence with which it ends.
_OWN = "fruits: "


@dataclass(frozen=True)
class Snapshot:
    """A job at one moment: the SparkApplication, its pods, the namespace's events, the last lines of the driver's
    log."""

    application: Document
    pods: Sequence[Document] = ()
    events: Sequence[Document] = ()
    log: Sequence[str] = field(default=())

    @property
    def state(self) -> str:
        """State of the application, such as RUNNING; empty before the operator has seen it."""
        return str((self.application.get("status", {}).get("applicationState") or {}).get("state") or "")

    @property
    def message(self) -> str:
        """The operator's message about a failure, or an empty text."""
        return str((self.application.get("status", {}).get("applicationState") or {}).get("errorMessage") or "")

    @property
    def spec(self) -> Document:
        """The application's spec."""
        return dict(self.application["spec"])

    @property
    def driver(self) -> Document | None:
        """The driver's pod, or None where there is none."""
        return next(iter(self.of_role("driver")), None)

    @property
    def executors(self) -> list[Document]:
        """The executors' pods."""
        return self.of_role("executor")

    def of_role(self, role: str) -> list[Document]:
        """The pods whose label says that they are of this role, `driver` or `executor`."""
        return [pod for pod in self.pods if pod["metadata"].get("labels", {}).get("spark-role") == role]

    def events_of(self, thing: Document) -> list[Document]:
        """Events of this very pod or application, not of an earlier one of its name."""
        uid = thing["metadata"].get("uid")
        return [event for event in self.events if event.get("involvedObject", {}).get("uid") == uid]


class Patience(NamedTuple):
    """Seconds for which a trouble is borne: `start` for want of room, `scaling` while a node is on its way, `passing`
    for what passes soon or never, as a pull or a missing Secret, `operator` until it has submitted the job: 10 s, and
    more when it is busy."""

    start: float
    scaling: float
    passing: float
    operator: float


def patience(start: float) -> Patience:
    """The patience of somebody who waits `start` seconds for a pod to start."""
    return Patience(start, max(600.0, start), min(30.0, start), max(60.0, start))


class Trouble(NamedTuple):
    """Something that keeps the job from starting, and for how many seconds it may. Its `kind` stays the same while
    the words of the sentence change."""

    kind: str
    sentence: str
    patience: float


def troubles(now: Snapshot, limits: Patience) -> list[Trouble]:
    """What keeps the job from starting at this moment; none when it goes on."""
    if not now.state:
        return [
            Trouble(
                "operator",
                "The Spark operator has not taken the job up: its controller does not run, or "
                "looks after other namespaces (`fruits doctor` tells which).",
                limits.operator,
            )
        ]
    if now.state == "SUBMISSION_FAILED":
        return [
            Trouble("submission", f"The Spark operator can't submit the job: {refusal(now.message)}.", limits.passing)
        ]
    if now.state == "SUSPENDED":
        return [Trouble("suspended", "The job is suspended: somebody has set spec.suspend.", 0.0)]
    driver = now.driver
    if driver is None:
        return []
    found = _of_pod(now, driver, "driver", limits)
    if found or container_state(driver, DRIVER)[0] != "running":
        return [found] if found else []
    executors = now.executors
    if any(container_state(pod, EXECUTOR)[0] == "running" for pod in executors):
        return []
    waiting = [trouble for pod in executors if (trouble := _of_pod(now, pod, "executor", limits))]
    if waiting:
        return waiting[:1]
    refused = next((match[1] for line in reversed(now.log) if (match := _REFUSED.search(line))), None)
    if refused and not executors:
        return [Trouble("executors", f"The driver can't start executors: {_clean(refused)}.", limits.passing)]
    return []


def _of_pod(now: Snapshot, pod: Document, role: str, limits: Patience) -> Trouble | None:
    """What a pod waits for that it may not get."""
    who = "The driver" if role == "driver" else "An executor"
    if pod["metadata"].get("deletionTimestamp"):
        return None
    for condition in pod["status"].get("conditions") or []:
        if condition["type"] == "PodScheduled" and condition["status"] == "False":
            scaling = any(event.get("reason") in _SCALING_UP for event in now.events_of(pod))
            said = condition.get("message") or condition.get("reason") or ""
            return Trouble(f"{role} room", _unscheduled(pod, role, said), limits.scaling if scaling else limits.start)
    kind, detail = container_state(pod, DRIVER if role == "driver" else EXECUTOR)
    if kind != "waiting":
        return None
    reason, message = detail.get("reason", ""), detail.get("message", "")
    image = _container(pod["spec"]["containers"], DRIVER if role == "driver" else EXECUTOR).get("image", "")
    if reason in _NOT_PULLED:
        said = _clean(message) if message and not message.startswith("Back-off") else _pull_error(now, pod)
        hint = (
            "put it on the node (`minikube image load`, `kind load`)"
            if reason == "ErrImageNeverPull"
            else "check its name and tag, and image pull secrets for a private registry (--image)"
        )
        why = f" ({said})" if said else ""
        return Trouble(
            f"{role} image",
            f"{who}'s image '{image}' can't be pulled{why}: {hint}.",
            0.0 if reason in _NEVER_PULLED else limits.passing,
        )
    if reason in _NOT_MADE:
        return Trouble(
            f"{role} container",
            f"{who}'s container can't be made: {_clean(message) or reason}; the "
            "namespace lacks what the chart or k8s/minikube.yaml puts there, or the manifest names it "
            "wrongly.",
            limits.passing,
        )
    failed = [event.get("message", "") for event in now.events_of(pod) if event.get("reason") in NOT_STARTED]
    if failed:
        return Trouble(f"{role} pod", f"{who}'s pod can't start: {_clean(failed[-1])}.", limits.start)
    return None


def _unscheduled(pod: Document, role: str, message: str) -> str:
    """Which resource is short, and what the pod asks for."""
    who = "The driver's pod" if role == "driver" else "No executor's pod"
    verb = "fits on no node" if role == "driver" else "fits on a node"
    short = sorted(set(_SHORT_OF.findall(message)))
    requests = (
        _container(pod["spec"]["containers"], DRIVER if role == "driver" else EXECUTOR)
        .get("resources", {})
        .get("requests", {})
    )
    if not short:
        return f"{who} {verb}: {_clean(message)}; check node selectors, tolerations and affinity."
    asked = " and ".join(f"{requests.get(name, 'some')} of {name}" for name in short)
    fields = {"cpu": f"{role}.coreRequest", "memory": f"{role}.memory"}
    give = " or ".join(fields.get(name, name) for name in short)
    fewer = ", fewer --executors" if role == "executor" else ""
    return (
        f"{who} {verb}: it asks for {asked}, and no node has that much left; lower {give} (--set){fewer}, or add nodes."
    )


def ending(now: Snapshot, executors_killed: int = 0) -> tuple[int, str]:
    """Exit code of a job that has ended, 0, 1 or 2, and why it failed (empty when it did not)."""
    if now.state == COMPLETED:
        return 0, ""
    driver = now.driver
    if driver is None:
        return 1, f"The job failed: {refusal(now.message) or 'the operator gives no reason'}."
    if driver["status"].get("reason") == "Evicted":
        return 1, f"The driver's pod was evicted from its node: {_clean(driver['status'].get('message', ''))}."
    kind, detail = container_state(driver, DRIVER)
    code, reason = int(detail.get("exitCode", 1)), detail.get("reason", "no reason")
    if reason == "OOMKilled" or (kind == "terminated" and code == _KILLED):
        return 1, _killed(now, driver, sure=reason == "OOMKilled")
    if any("java.lang.OutOfMemoryError" in line for line in now.log):
        return 1, (
            "The driver's JVM ran out of heap: it had "
            f"{now.spec['driver'].get('memory', 'the default')}; give it more, --set driver.memory=..."
        )
    if executors_killed and code != USAGE:
        return 1, (
            f"{executors_killed} executors were killed for memory: each had "
            f"{memory_fields(now.spec, 'executor')}; give them more, --set "
            "executor.memoryOverhead=..., or fewer cores each."
        )
    own = [line.removeprefix(_OWN) for line in now.log if line.startswith(_OWN)]
    if own:
        return USAGE if code == USAGE else 1, own[-1]
    namespace, name = now.application["metadata"]["namespace"], driver["metadata"]["name"]
    return 1, (
        f"The driver ended with exit code {code} ({reason}): its log says why (`kubectl -n {namespace} logs {name}`)."
    )


def _killed(now: Snapshot, driver: Document, *, sure: bool) -> str:
    limit = _container(driver["spec"]["containers"], DRIVER).get("resources", {}).get("limits", {}).get("memory")
    had = f"{limit} in all ({memory_fields(now.spec, 'driver')})" if limit else memory_fields(now.spec, "driver")
    overhead = _doubled(now.spec["driver"].get("memoryOverhead") or "512m")
    how = "was killed for memory" if sure else "was killed (exit code 137), as for want of memory"
    return f"The driver {how}: it had {had}; give it more, for example --set driver.memoryOverhead={overhead}."


def _doubled(size: str) -> str:
    match = re.fullmatch(r"(\d+)(\w*)", str(size))
    return f"{int(match[1]) * 2}{match[2]}" if match else "1g"


def executors_killed(pods: Iterable[Document]) -> set[str]:
    """Names of executors that were killed for memory."""
    return {pod["metadata"]["name"] for pod in pods if container_state(pod, EXECUTOR)[1].get("reason") == "OOMKilled"}


def container_state(pod: Document, container: str) -> tuple[str, Document]:
    """('waiting' | 'running' | 'terminated' | '', its details) of a container of a pod."""
    status = _container(pod["status"].get("containerStatuses") or [], container)
    return next(iter((status.get("state") or {}).items()), ("", {}))


def refusal(message: str) -> str:
    """The cause in what spark-submit says: what the API server refused, or the innermost exception."""
    said = re.findall(r"Message: (.+?)(?:\. Received status|$)", message, re.MULTILINE)
    causes = re.findall(
        r"^\s*(?:Caused by|Exception in thread \"main\"):? ?[\w.$]*(?:Exception|Error): (.+)$", message, re.MULTILINE
    )
    lines = [line for line in message.splitlines() if line.strip()]
    return _clean((said or causes or lines or [""])[-1])


def _pull_error(now: Snapshot, pod: Document) -> str:
    said = [
        event["message"]
        for event in now.events_of(pod)
        if event.get("reason") == "Failed" and "Failed to pull" in event.get("message", "")
    ]
    return _clean(said[-1].rpartition(": ")[2]) if said else ""


def _container(containers: Sequence[Document], name: str) -> Document:
    """The one of that name, else the first: a pod template may have named it otherwise."""
    return next((one for one in containers if one["name"] == name), containers[0] if containers else {})


def _clean(text: str) -> str:
    return " ".join(text.split()).rstrip(".")[:300]
