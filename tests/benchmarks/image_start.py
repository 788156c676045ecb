"""Seconds from `podman run` to the end of the first Spark task: the image beside a plain one with the same packages.

Three ways to a session, as the image's roles take them: `python` (a notebook's kernel, a script), `driver`
(spark-submit, as the operator starts a driver) and `fruits` (the command). The images take turns, after a run of each
that does not count. `--plain` names an image made from plain.Dockerfile; it is built when it is not there.
"""

import argparse
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

import measure

PLAIN = Path(__file__).with_name("plain.Dockerfile")
# A task in a Python worker: the JVM, its executor and the worker are up when it is done.
TASK = "session.sparkContext.parallelize([1], 1).map(lambda one: one + 1).collect()\nprint('first task', flush=True)\n"
PLAINLY = (
    "from pyspark.sql import SparkSession\nsession = SparkSession.builder.master('local[2]').getOrCreate()\n"
    + TASK
    + "session.stop()\n"
)
COMMAND = (
    "from job.engine.configuration import Configuration\nfrom job.engine.jvm import Jvm\n"
    "from job.engine.session import session as started\n"
    "plan = Configuration.make(master='local[2]', for_command=True)\n"
    "with started(plan, Jvm(plan)) as session:\n" + "".join(f"    {line}\n" for line in TASK.splitlines())
)
WAYS = {"python": ("plainly.py", PLAINLY), "driver": ("plainly.py", PLAINLY), "fruits": ("command.py", COMMAND)}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--image", default="localhost/fruits-job:dev")
    parser.add_argument("--plain", default="localhost/fruits-plain:dev")
    parser.add_argument("--tool", default=next(filter(shutil.which, ("podman", "docker")), "podman"))
    parser.add_argument("--ways", default=",".join(WAYS), help="(default: %(default)s)")
    parser.add_argument("--repeats", type=int, default=7)
    parser.add_argument("--option", action="append", default=[], help="one more for `podman run`; can be repeated")
    measure.add_results_option(parser)
    arguments = parser.parse_args()
    tool = arguments.tool
    if subprocess.run([tool, "image", "inspect", arguments.plain], capture_output=True, check=False).returncode:
        build = [tool, "build", "-f", PLAIN, "-t", arguments.plain, measure.CHECKOUT]
        subprocess.run(build, check=True, stdout=sys.stderr)
    with tempfile.TemporaryDirectory() as kept:
        folder = Path(kept)
        folder.chmod(0o755)
        for name, program in WAYS.values():
            (folder / name).write_text(program)
        for way in arguments.ways.split(","):
            compare(way, arguments, folder)


def compare(way: str, arguments: argparse.Namespace, folder: Path) -> None:
    program = f"/programs/{WAYS[way][0]}"
    here = [arguments.tool, "run", "--rm", "--network=none", "--tmpfs=/tmp", f"--volume={folder}:/programs:ro"]
    here += arguments.option
    ours = ["driver", program] if way == "driver" else ["python", program]
    plain = ["/opt/spark/bin/spark-submit", program] if way == "driver" else ["python3", program]
    bound = ["--env=SPARK_DRIVER_BIND_ADDRESS=127.0.0.1"]
    starts: dict[str, Callable[[], float]] = {
        "image": lambda: first_task([*here, *bound, arguments.image, *ours]),
        "plain": lambda: first_task([*here, arguments.plain, *plain]),
        "image_without_class_archive": lambda: first_task(
            [*here, *bound, "--env=FRUITS_CLASSES=off", arguments.image, *ours]
        ),
    }
    seconds: dict[str, list[float]] = {name: [] for name in starts}
    for repeat in range(arguments.repeats + 1):
        for name, start in starts.items():
            taken = start()
            if repeat:
                seconds[name].append(taken)
    figures = {name: measure.spread(values) for name, values in seconds.items()}
    ratio = {key: round(figures["image"][key] / figures["plain"][key], 3) for key in ("min", "median")}
    print(f"{way}: {ratio['min']:.0%} of the plain image's time (minimum), {ratio['median']:.0%} (median)")
    for name, values in figures.items():
        print(f"  {name:<28} {values['min']:6.2f} s minimum {values['median']:6.2f} s median")
    sizes = {"image": size(arguments.tool, arguments.image), "plain": size(arguments.tool, arguments.plain)}
    measure.record(
        "image_start", {"way": way, "seconds": figures, "ratio": ratio, "megabytes": sizes}, arguments.results
    )


def first_task(command: list[str]) -> float:
    """Seconds until the program in the container says that its first task is done; waits for its end."""
    with tempfile.TemporaryFile("w+") as log:
        begin = time.perf_counter()
        with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=log, text=True) as process:
            assert process.stdout is not None
            said = next((line for line in process.stdout if line.startswith("first task")), None)
            seconds = time.perf_counter() - begin
            process.stdout.read()
        if said is None or process.returncode:
            log.seek(0)
            sys.exit(f"{' '.join(command)} ended with exit code {process.returncode}:\n{log.read()[-2000:]}")
    return seconds


def size(tool: str, image: str) -> int:
    asked = subprocess.run(
        [tool, "image", "inspect", "--format", "{{.Size}}", image], capture_output=True, text=True, check=True
    )
    return round(int(asked.stdout) / 1e6)


if __name__ == "__main__":
    main()
