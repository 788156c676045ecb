"""A driver that makes one run after another on executors of its own, which outlive the runs.

Reads one command a line from its input, its arguments as a JSON list. What the command says goes to the output and the
error stream, and after it `event=ended code=...` to each of the two. `python tests/faults/house.py KEY=VALUE ...` takes
further settings of Spark.
"""

import json
import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[1]))
from running import Shared

from job.commands import main as cli
from job.engine.configuration import Configuration
from job.engine.jvm import Jvm
from job.engine.session import session


def main() -> None:
    configuration = Configuration.make(
        master=sys.argv[1],
        conf=dict(setting.split("=", 1) for setting in sys.argv[2:]),
        addresses=["s3://any/"],
        for_command=True,
    )
    with session(configuration, Jvm(configuration)) as spark:
        commands = Shared(spark)
        print("event=ready", flush=True)
        for line in sys.stdin:
            with commands.in_place():
                code = cli.main(json.loads(line))
            for stream in (sys.stderr, sys.stdout):
                print(f"event=ended code={code}", file=stream, flush=True)


if __name__ == "__main__":
    main()
