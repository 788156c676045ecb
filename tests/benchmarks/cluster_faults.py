"""Faults on the real cluster: what becomes of runs on two executors, and how much longer they take.

In the cluster of FRUITS_TEST_KUBECONFIG (else of .ci/cluster), whose namespace is to be empty, the chart is installed
with its store and generated pictures. Runs to which nothing happens come first, with two executors and with one: a run
that loses one of two in the midst of extraction should take at most 15 s more than one that has one from the start.
Then each kind of fault is provoked in a run of its own, at random moments of extraction, and what it leaves is held
against the first.

    python tests/benchmarks/cluster_faults.py --kinds pod-kill,node-drain --repeats 3 \\
        --set sparkConf.spark.speculation=true

With `--variant NAME=FIELD;FIELD` (as often as one likes) turns of runs follow: one with a single executor from the
start, then one of each variant of the fields and each kind. A plain `NAME=` has none of its own.

What is done on the node itself (the API server stops for 20 s, the network between executors is cut) needs root on it.
"""

import argparse
import json
import os
import random
import re
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any, NamedTuple

import psutil
from measure import add_results_option, record, spread

sys.path.insert(0, str(Path(__file__).parents[1]))
sys.path.insert(0, str(Path(__file__).parents[1] / "kubernetes"))
sys.path.insert(0, str(Path(__file__).parents[1] / "s3"))
sys.path.insert(0, str(Path(__file__).parents[1] / "faults"))
import kube
from outcome import assert_same, flaws
from provoke import disk_fill

from job import storage
from job.cluster import application, results
from job.errors import UserError

HALF_A_CORE = ("driver.coreRequest=100m", "executor.coreRequest=500m", "executor.coreLimit=500m")
RETRIED = ("restartPolicy.onFailureRetries=2", "restartPolicy.onFailureRetryInterval=3")
PLAIN_LOG = ("--conf", "spark.eventLog.compress=false", "--conf", "spark.eventLog.rolling.enabled=false")
DEADLINE = 420.0
SCRATCH = "/var/data/scratch"
_OF_SCRATCH = "sparkConf.spark.kubernetes.executor.volumes.emptyDir.spark-local-dir-1"
# What runs in which some kinds are provoked have of their own.
OWN_FIELDS = {
    # as the chart sets it where decommissioning is wanted
    "decommission": (
        "sparkConf.spark.decommission.enabled=true",
        "sparkConf.spark.storage.decommission.enabled=true",
        "sparkConf.spark.storage.decommission.rddBlocks.enabled=true",
        "sparkConf.spark.storage.decommission.shuffleBlocks.enabled=true",
        "sparkConf.spark.storage.decommission.replicationReattemptInterval=5s",
        "sparkConf.spark.kubernetes.executor.terminationGracePeriodSeconds=60s",
    ),
    # a scratch of its own, small, to which all goes that executors keep
    "disk-fill": (
        f"{_OF_SCRATCH}.mount.path={SCRATCH}",
        f"{_OF_SCRATCH}.options.medium=Memory",
        f"{_OF_SCRATCH}.options.sizeLimit=128Mi",
        "sparkConf.spark.memory.fraction=0.001",
    ),
}
# Takes memory until the kernel ends what has most of the container's.
HOG = (
    "import os, time\n"
    "for _ in range(40):\n"
    "    if not os.fork():\n"
    "        kept = b'\\1' * (64 << 20)\n"
    "        time.sleep(20)\n"
    "        os._exit(0)\n"
    "    time.sleep(0.2)\n"
)


def executors(name: str) -> list[str]:
    """Pods of the executors that run."""
    labels = f"spark-role=executor,sparkoperator.k8s.io/app-name={name}"
    found = kube.get("pods", "-l", labels, "--field-selector=status.phase=Running")["items"]
    return [pod["metadata"]["name"] for pod in found if "deletionTimestamp" not in pod["metadata"]]


def one_of(name: str) -> str:
    return random.choice(kube.until(60, "an executor", lambda: executors(name)))


def of_pod(pod: str, part: str) -> list[psutil.Process]:
    """Processes of a pod on this machine whose command line has that part."""
    uid = kube.get("pod", pod)["metadata"]["uid"]
    found = []
    for process in psutil.process_iter(["cmdline"]):
        try:
            if (
                part in " ".join(process.info["cmdline"] or ())
                and uid in Path(f"/proc/{process.pid}/cgroup").read_text()
            ):
                found.append(process)
        except OSError:
            continue
    return found


def pod_kill(name: str) -> None:
    kube.kubectl("delete", "pod", one_of(name), "--force", "--grace-period=0")


def pod_delete(name: str) -> None:
    kube.kubectl("delete", "pod", one_of(name), "--wait=false")


def pod_kill_two(name: str) -> None:
    kube.kubectl("delete", "pod", *executors(name), "--force", "--grace-period=0")


def stress_memory(name: str) -> None:
    pod = one_of(name)
    command = [kube.tool("kubectl") or "kubectl", "-n", kube.NAMESPACE, "exec", pod, "--", "python3", "-c", HOG]
    subprocess.run(command, env={**os.environ, "KUBECONFIG": kube.KUBECONFIG}, capture_output=True, check=False)


def container_kill(name: str) -> None:
    for process in of_pod(one_of(name), "worker_daemon")[1:2]:
        process.kill()


def process_stop(name: str) -> None:
    stopped = of_pod(one_of(name), "")
    for process in stopped:
        process.suspend()
    time.sleep(60)
    for process in stopped:
        if process.is_running():
            process.resume()


def stress_cpu(name: str) -> None:
    workers = of_pod(one_of(name), "worker_daemon")
    until = time.monotonic() + 30
    while time.monotonic() < until:
        for process in workers:
            if process.is_running():
                process.suspend()
        time.sleep(0.09)
        for process in workers:
            if process.is_running():
                process.resume()
        time.sleep(0.01)


def node_drain(name: str) -> None:
    (node,) = {item["metadata"]["name"] for item in json.loads(kube.kubectl("get", "nodes", "-o", "json"))["items"]}
    selector = (
        f"spark-role=executor,spark-exec-id={kube.get('pod', one_of(name))['metadata']['labels']['spark-exec-id']}"
    )
    try:
        kube.kubectl("drain", node, f"--pod-selector={selector}", "--force", "--delete-emptydir-data", "--timeout=60s")
        time.sleep(10)
    finally:
        kube.kubectl("uncordon", node)


def driver_kill(name: str) -> None:
    kube.kubectl("delete", "pod", f"{name}-driver", "--force", "--grace-period=0")


def store_restart(name: str) -> None:
    pod = kube.get("pods", "-l", "app.kubernetes.io/component=minio")["items"][0]["metadata"]["name"]
    for process in of_pod(pod, "minio"):
        process.terminate()


def api_server_stop(name: str) -> None:
    state = Path(kube.KUBECONFIG).parent
    number = int((state / "run" / "kube-apiserver.pid").read_text())
    os.kill(number, signal.SIGSTOP)
    time.sleep(20)
    os.kill(number, signal.SIGCONT)


def network_partition(name: str) -> None:
    two = kube.until(60, "two executors", lambda: found if len(found := executors(name)) > 1 else [])
    pods = [kube.get("pod", pod) for pod in two[:2]]
    java = of_pod(two[0], "ExecutorBackend")[0]
    inside = ["nsenter", "-t", str(java.pid), "-n", "ip", "route"]
    other = f"{pods[1]['status']['podIP']}/32"
    subprocess.run([*inside, "add", "blackhole", other], check=True)
    time.sleep(30)
    subprocess.run([*inside, "del", "blackhole", other], check=False)


def scratch_fill(name: str) -> None:
    for pod in executors(name):
        disk_fill(SCRATCH, of_pod(pod, "ExecutorBackend")[-1].pid)


KINDS: dict[str, Callable[[str], None]] = {
    "pod-kill": pod_kill,
    "pod-delete": pod_delete,
    "pod-kill-two": pod_kill_two,
    "stress-memory": stress_memory,
    "container-kill": container_kill,
    "process-stop": process_stop,
    "stress-cpu": stress_cpu,
    "node-drain": node_drain,
    "driver-kill": driver_kill,
    "store-restart": store_restart,
    "api-server-stop": api_server_stop,
    "network-partition": network_partition,
    # Kubernetes has the executor hand over its blocks before it ends it
    "decommission": pod_delete,
    "disk-fill": scratch_fill,
}


def install(pictures: int) -> None:
    """The store with the pictures, and the accounts of the pods."""
    if "fruits" in kube.helm("list", "-q").split():
        return
    kube.kubectl("apply", "-f", kube.ROOT / "k8s" / "namespace.yaml")
    sets = {
        "job.enabled": "false",
        "historyServer.enabled": "false",
        "upload.sampleArguments.train-images": str(pictures),
        "upload.sampleArguments.test-images": str(pictures // 4),
    }
    given = [item for key, value in sets.items() for item in ("--set", f"{key}={value}")]
    kube.helm("install", "fruits", kube.CHART, *kube.values(), *given)
    kube.until(
        180, "the pictures are in the store",
        lambda: any(job.get("status", {}).get("succeeded") for job in kube.get("jobs")["items"]),
    )  # fmt: skip


def moments(name: str, provoked: float) -> list[str]:
    """When executors were missed and came, and tasks failed or were begun a second time: seconds after the fault."""
    application_id = kube.get("sparkapplication", name)["status"]["sparkApplicationId"]
    found = []
    with kube.store() as environment:
        os.environ.update(environment)
        try:
            lines = storage.read_bytes(f"s3://fruits/event-logs/{application_id}").decode().splitlines()
        except UserError:  # one that failed leaves a log of another name
            return []
    for event in map(json.loads, lines):
        kind, info = event["Event"], event.get("Task Info", {})
        if kind in ("SparkListenerExecutorRemoved", "SparkListenerExecutorAdded"):
            at, what = (
                event["Timestamp"],
                f"executor {event['Executor ID']} {kind.removeprefix('SparkListenerExecutor')}",
            )
        elif kind == "SparkListenerTaskStart" and (info["Attempt"] or info["Speculative"]):
            at, what = (
                info["Launch Time"],
                f"attempt {info['Attempt']} of task {info['Index']} on {info['Executor ID']}",
            )
        elif kind == "SparkListenerTaskEnd" and info["Failed"]:
            at, what = info["Finish Time"], f"task {info['Index']} failed on {info['Executor ID']}"
        else:
            continue
        found.append(f"{at / 1000 - provoked:.1f} {what}")
    return found


def log(name: str) -> str:
    return kube.kubectl("logs", f"{name}-driver")


def one(
    name: str, kind: str | None, step: str, after: float, fields: list[str], arguments: list[str], instances: int = 2
) -> dict[str, Any]:
    """A run, the fault so many seconds after a step, and what is told of it."""
    wanted = application.Wanted(
        name=name, image=kube.IMAGE, executors=instances, fields=(*HALF_A_CORE, *RETRIED, *fields)
    )
    given = ["--data", "s3://fruits/sample", *PLAIN_LOG, *arguments]
    document = application.prepare(application.load(application.shipped()), wanted, given, name)
    kube.kubectl("apply", "-f", "-", text=json.dumps(document))
    begun, provoked, found = time.monotonic(), time.time(), dict[str, Any](kind=kind, after=round(after, 1))
    try:
        kube.until(150, "extraction begins", lambda: "operation=start_spark" in log(name))
        described = time.monotonic()
        if kind:
            kube.until(DEADLINE, f"{step} is over", lambda: f"operation={step}" in log(name))
            time.sleep(after)
            found["executors"] = len(executors(name))
            provoked = time.time()
            KINDS[kind](name)
        kube.until(DEADLINE, "it ends", lambda: kube.state(name) in ("COMPLETED", "FAILED"))
        found["state"], found["seconds"] = kube.state(name), round(time.monotonic() - described, 1)
        found["all_seconds"] = round(time.monotonic() - begun, 1)
        steps = re.findall(r"operation=(\w+) split=(\w+).*?\bseconds=([\d.]+)", log(name))
        found["steps"] = {f"{operation} {split}": float(seconds) for operation, split, seconds in steps}
        found["events"] = moments(name, provoked)
        found["reasons"] = sorted(set(re.findall(r"Lost executor \d+ on \S+ (.{0,120})", log(name))))
        if found["state"] == "FAILED":
            found["said"] = log(name).splitlines()[-1]
    except AssertionError as error:
        found["state"], found["said"] = "HUNG", str(error)[:500]
    finally:
        kube.kubectl("delete", "sparkapplication", name)
        kube.until(90, "its pods are gone", lambda: not kube.get("pods", "-l", "spark-role")["items"])
    return found


def judge(found: dict[str, Any], name: str, calm: str, folder: Path) -> None:
    """Whether what the run left is what the calm one left, and whole."""
    with kube.store() as environment:
        os.environ.update(environment)
        try:
            there = results.fetch("s3://fruits/out", name, folder)
        except UserError as error:
            found["left"] = f"nothing whole ({str(error)[:100]})"
            return
    found["flaws"] = flaws(there)
    try:
        assert_same(there, folder / calm)
        found["left"] = "the same"
    except AssertionError as error:
        found["left"] = f"another: {error}"[:500]


class Planned(NamedTuple):
    kind: str | None
    instances: int
    variant: str = ""
    fields: tuple[str, ...] = ()


def plan(asked: argparse.Namespace) -> list[Planned]:
    """Runs to which nothing happens; then those of each kind, or turns of all variants of each kind."""
    kinds = [kind for kind in asked.kinds.split(",") if kind]
    calm = [Planned(None, count) for count in range(2, asked.executors - 1, -1) for _ in range(asked.calm)]
    if not asked.variant:
        return calm + [Planned(kind, 2) for kind in kinds] * asked.repeats
    given = [variant.partition("=") for variant in asked.variant]
    turn = [Planned(None, 1)]
    turn += [Planned(kind, 2, name, tuple(filter(None, text.split(";")))) for kind in kinds for name, _, text in given]
    return calm + turn * asked.repeats


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--kinds", default=",".join(KINDS))
    parser.add_argument("--repeats", type=int, default=1)
    parser.add_argument(
        "--calm", type=int, default=2, help="runs to which nothing happens, of each number of executors"
    )
    parser.add_argument("--pictures", type=int, default=1200, help="training pictures, generated (1200)")
    parser.add_argument("--step", default="start_spark", help="after which something happens (start_spark)")
    parser.add_argument("--after", type=float, help="so many seconds after it; drawn")
    parser.add_argument(
        "--executors", type=int, default=1, help="fewest executors of the runs to which nothing happens"
    )
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--variant", action="append", default=[], help="NAME=FIELD;FIELD: see above")
    parser.add_argument("--set", action="append", default=[], dest="fields", help="as of `fruits submit`")
    add_results_option(parser)
    parser.add_argument("arguments", nargs="*", help="further arguments of `fruits run`")
    asked = parser.parse_args()
    random.seed(asked.seed)
    install(asked.pictures)
    stamp, rows = f"{int(time.time()) % 100000}", []
    calm: dict[int, list[float]] = {}
    with TemporaryDirectory() as folder:
        first = f"f{stamp}-0"
        for number, run in enumerate(plan(asked)):
            name, usual = f"f{stamp}-{number}", (calm.get(2) or [20.0])[0]
            after = random.uniform(0.05, 0.2) * usual if asked.after is None else asked.after
            fields = [*asked.fields, *OWN_FIELDS.get(run.kind or "", ()), *run.fields]
            found = one(name, run.kind, asked.step, after, fields, asked.arguments, run.instances)
            if run.kind is None and found["state"] == "COMPLETED":
                calm.setdefault(run.instances, []).append(found["seconds"])
            judge(found, name, first, Path(folder))
            rows.append({**found, "instances": run.instances, "variant": run.variant})
            print(json.dumps(rows[-1]), flush=True)
    record(
        "cluster_faults",
        {"fields": asked.fields, "arguments": asked.arguments, "pictures": asked.pictures,
         "calm": {str(count): spread(seconds) for count, seconds in calm.items()}, "runs": rows},
        asked.results,
    )  # fmt: skip


if __name__ == "__main__":
    main()
