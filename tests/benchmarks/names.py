"""Ten million names: how long their listing takes, and how much memory what a driver does with them.

A stub answers as a store would that holds so many pictures, a thousand names an answer; it holds none of them. A
process of its own lists them as `fruits run` does, takes their digest, counts categories and cuts them into tasks; with
`--spark` it hands the table to Spark, where a job counts the rows that arrive. After each step it says the seconds and
its peak.

    python tests/benchmarks/names.py --names 10000000 --categories 131
"""

import argparse
import asyncio
import json
import os
import re
import resource
import subprocess
import sys
import time
from pathlib import Path
from urllib.parse import parse_qs, unquote, urlsplit

import psutil
from measure import add_results_option, record

PAGE = 1000
_ENTRY = (
    "<Contents><Key>data/{folder}/{category}/{number:012d}_100.jpg</Key>"
    "<LastModified>2026-01-01T00:00:00.000Z</LastModified><ETag>&quot;{number:032x}&quot;</ETag>"
    "<Size>{size}</Size><StorageClass>STANDARD</StorageClass></Contents>"
)
_HEAD = '<?xml version="1.0" encoding="UTF-8"?><ListBucketResult xmlns="http://s3.amazonaws.com/doc/2006-03-01/">'


class Names:
    """A bucket's names below `data/`: four fifths in Training/, the rest in Test/, the same number in each category."""

    def __init__(self, names: int, categories: int) -> None:
        self.each = {"Training": names * 4 // 5 // categories, "Test": names // 5 // categories}
        self.categories = [f"Category {number:04d}" for number in range(categories)]

    def answer(self, prefix: str, delimiter: str, token: str) -> str:
        """The body of one answer of ListObjectsV2."""
        top, folder, category = ([*prefix.split("/"), "", "", ""])[:3]
        if folder in self.each and category in self.categories:
            return self._page(folder, category, int(token or 0))
        if top == "data" and not folder:
            inside = [f"data/{name}/" for name in self.each]
        elif folder in self.each and not category:
            inside = [f"data/{folder}/{name}/" for name in self.categories]
        else:
            return f"{_HEAD}<KeyCount>0</KeyCount><IsTruncated>false</IsTruncated></ListBucketResult>"
        if not delimiter:  # the question whether there is anything
            return self._page("Training", self.categories[0], 0)
        found = "".join(f"<CommonPrefixes><Prefix>{name}</Prefix></CommonPrefixes>" for name in inside)
        return f"{_HEAD}<KeyCount>{len(inside)}</KeyCount><IsTruncated>false</IsTruncated>{found}</ListBucketResult>"

    def _page(self, folder: str, category: str, start: int) -> str:
        end = min(self.each[folder], start + PAGE)
        entries = "".join(
            _ENTRY.format(folder=folder, category=category, number=number, size=4000 + number % 3000)
            for number in range(start, end)
        )
        more = end < self.each[folder]
        token = f"<NextContinuationToken>{end}</NextContinuationToken>" if more else ""
        said = f"<KeyCount>{end - start}</KeyCount><IsTruncated>{str(more).lower()}</IsTruncated>{token}"
        return f"{_HEAD}{said}{entries}</ListBucketResult>"


async def serve(names: Names) -> None:
    """Answers until it is ended; says its port first."""

    async def talk(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            while True:
                head = await reader.readuntil(b"\r\n\r\n")
                url = urlsplit(head.split(b" ", 2)[1].decode())
                query = {key: values[0] for key, values in parse_qs(url.query, keep_blank_values=True).items()}
                if "list-type" in query:
                    asked = (query.get("prefix", ""), query.get("delimiter", ""), query.get("continuation-token", ""))
                    line, body = "200 OK", names.answer(*map(unquote, asked)).encode()
                else:
                    line, body = "404 Not Found", b"<Error><Code>NoSuchKey</Code></Error>"
                kind = f"HTTP/1.1 {line}\r\nContent-Type: application/xml\r\nContent-Length: {len(body)}\r\n\r\n"
                writer.write(kind.encode() + (b"" if head.startswith(b"HEAD") else body))
                await writer.drain()
        except (asyncio.IncompleteReadError, ConnectionError):
            writer.close()

    server = await asyncio.start_server(talk, "127.0.0.1", 0)
    print(server.sockets[0].getsockname()[1], flush=True)
    await server.serve_forever()


def driver(*, spark: bool) -> None:
    """What a driver does with the names; a line of figures a step."""
    from job import dataset
    from job.dataset import FOLDERS

    begun = time.perf_counter()

    def say(step: str, **more: int) -> None:
        nonlocal begun
        seconds, peak = time.perf_counter() - begun, resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
        print(json.dumps({"step": step, "seconds": round(seconds, 2), "peak_mb": round(peak), **more}), flush=True)
        begun = time.perf_counter()

    say("imports")
    found = {split: dataset.listing(split, "s3://names/data", folder) for split, folder in FOLDERS.items()}
    train = found["train"]
    say("listing", pictures=sum(map(len, found.values())))
    for images in found.values():
        images.digest()
    say("digest")
    say("categories", categories=len(train.categories()))
    count = dataset.planned_partitions(train, 8)
    if not spark:
        say("shards", tasks=len(dataset.shards(train, count, 1, 8)))
        return
    from job.engine.configuration import Configuration
    from job.engine.session import session as started

    with started(Configuration.make(master="local[2]", for_command=True)) as session:
        say("spark")
        frame = dataset.frame(session, train, count, 1, 8)
        say("frame")
        rows = frame.mapInArrow(_lengths, "rows long").toPandas()["rows"].sum()
        java = max(
            (child.memory_info().rss for child in psutil.Process().children(recursive=True) if "java" in child.name()),
            default=0,
        )
        say("job", rows=int(rows), tasks=count, java_mb=java >> 20)


def _lengths(batches):
    import pyarrow as pa

    for batch in batches:
        yield pa.RecordBatch.from_arrays([pa.array([batch.num_rows])], ["rows"])


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--names", type=int, default=10_000_000)
    parser.add_argument("--categories", type=int, default=131)
    parser.add_argument("--spark", action="store_true", help="hand the table to Spark too")
    parser.add_argument("--part", choices=("serve", "driver"), help=argparse.SUPPRESS)
    add_results_option(parser)
    asked = parser.parse_args()
    if asked.part == "serve":
        asyncio.run(serve(Names(asked.names, asked.categories)))
        return
    if asked.part == "driver":
        driver(spark=asked.spark)
        return
    mine = [sys.executable, str(Path(__file__)), "--names", str(asked.names), "--categories", str(asked.categories)]
    with subprocess.Popen([*mine, "--part", "serve"], stdout=subprocess.PIPE, text=True) as store:
        try:
            assert store.stdout
            port = re.fullmatch(r"(\d+)\n", store.stdout.readline())
            assert port
            keys = {"AWS_ACCESS_KEY_ID": "stub", "AWS_SECRET_ACCESS_KEY": "stub", "AWS_REGION": "us-east-1"}
            environment = {**os.environ, **keys, "AWS_ENDPOINT_URL": f"http://127.0.0.1:{port[1]}"}
            more = ["--spark"] if asked.spark else []
            done = subprocess.run(
                [*mine, "--part", "driver", *more], env=environment, stdout=subprocess.PIPE, text=True, check=True
            )
        finally:
            store.terminate()
    print(done.stdout, end="")
    steps = [json.loads(line) for line in done.stdout.splitlines() if line.startswith("{")]
    record("names", {"names": asked.names, "categories": asked.categories, "steps": steps}, asked.results)


if __name__ == "__main__":
    main()
