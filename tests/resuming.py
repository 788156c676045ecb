"""A run that is killed in the midst of extraction and started again, and what its cache has by then."""

import re
import subprocess
import sys
import time
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path

import psutil
from running import Answer, clean_environment, fruits

from job import storage
from job.kept import NAME


class Cache:
    """The described pictures below an address, looked at again and again."""

    def __init__(self, address: str) -> None:
        self.address = address
        self._read: dict[str, set[str]] = {}

    def names(self, split: str) -> set[str]:
        """The pictures of a split that are there now."""
        for folder in storage.list_folders(self.address):
            place = storage.join(self.address, folder)
            for name, size in storage.files(place).items():
                uri = storage.join(place, name)
                if NAME.fullmatch(name) and uri not in self._read:
                    self._read[uri] = set(storage.read_columns(uri, size, ["ima"])["ima"].to_pylist())
        return {name for names in self._read.values() for name in names if name.startswith(f"{split}/")}


def killed_at(share: float, pictures: int, cache: Cache, log: Path, arguments: Sequence[object]) -> set[str]:
    """Starts `fruits run`, and kills all its processes once `share` of its training pictures are described.

    Returns those that the cache has then.
    """
    with log.open("wb") as out:
        command = [sys.executable, "-m", "job", "run", *map(str, arguments)]
        process = subprocess.Popen(command, env=clean_environment(), stdout=out, stderr=out, start_new_session=True)
        deadline = time.monotonic() + 300
        while len(cache.names("Training")) < share * pictures:
            assert process.poll() is None, log.read_text()
            assert time.monotonic() < deadline, log.read_text()
            time.sleep(0.01)
        children = psutil.Process(process.pid).children(recursive=True)
        for each in [*children, process]:
            with suppress(psutil.NoSuchProcess):
                each.kill()
        process.wait()
    _, alive = psutil.wait_procs(children, timeout=120)
    assert not alive
    # a store may still be at what it was sent whole
    before: set[str] = set()
    while (found := cache.names("Training")) != before:
        before = found
        time.sleep(0.3)
    return found


def started_again(arguments: Sequence[object]) -> tuple[Answer, dict[str, int]]:
    """The same command in a process of its own, to its end; and by split how many pictures came from the cache."""
    answer = fruits("run", *arguments)
    assert answer.code == 0, answer.err
    found = re.findall(r"event=step operation=extract_descriptors split=(\w+) .*?from_cache=(\d+)", answer.out)
    return answer, {split: int(count) for split, count in found}
