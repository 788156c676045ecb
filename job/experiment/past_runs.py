"""Runs that are over: found below an address, read from what they have left, and set beside each other."""

import json
from collections.abc import Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

import numpy as np
import pyarrow as pa

from job import storage
from job.errors import UsageError, UserError, tell
from job.learn.intervals import Interval, difference, interval
from job.near_miss import did_you_mean
from job.report.tables import from_csv
from job.storage.runfolder import MANIFEST

LATEST = "latest"
"""In place of a run's name: the newest whole one."""
REPORT = "report.html"
_LOOKED_AT_ONCE = 16
# What a manifest says of the pictures of a split, in numbers.
_COUNTS = ("images", "without_descriptors", "rejected")
# No figure of a manifest is as large; JSON as Python reads it also has Infinity and NaN, which is less than nothing.
_MOST = 1e18
# Settings that say where a run was made and where it went, and not what was done.
_PLACES = ("out", "run_name", "debug", "dry_run")


@dataclass(frozen=True)
class PastRun:
    """A whole run: `address` of its folder, `finished` in seconds since 1970, and what its manifest says."""

    address: str
    finished: float
    manifest: Mapping[str, Any]

    @property
    def name(self) -> str:
        """The name of its folder."""
        return self.address.rstrip("/").rsplit("/", 1)[-1]

    @property
    def when(self) -> str:
        """The UTC time at which it was finished, as ISO 8601 writes it."""
        return datetime.fromtimestamp(self.finished, UTC).strftime("%Y-%m-%dT%H:%M:%SZ")

    @property
    def pictures(self) -> int:
        """Pictures of all splits, or of the only one that a batch of predictions has."""
        found = self.manifest.get("dataset", {})
        splits = [found] if "images" in found else [split for split in found.values() if isinstance(split, Mapping)]
        return sum(int(split.get("images", 0)) for split in splits)

    @property
    def accuracy(self) -> float | None:
        """Share of right predictions; None where nothing was classified."""
        found = self.manifest.get("accuracy")
        return None if found is None else float(found)

    @property
    def seconds(self) -> Mapping[str, float]:
        """Seconds by operation, those of several splits together; `total` is the whole run."""
        found = self.manifest.get("seconds", {})
        return {
            name: float(sum(value.values()) if isinstance(value, Mapping) else value) for name, value in found.items()
        }

    @property
    def settings(self) -> Mapping[str, Any]:
        """All settings by name."""
        found: Mapping[str, Any] = self.manifest.get("settings", {})
        return found

    def file(self, name: str) -> str | None:
        """The address of one of its files; None where it has none of that name."""
        there = any(file.get("path") == name for file in self.manifest.get("files", ()))
        return storage.join(self.address, name) if there else None

    def recalls(self) -> dict[str, float]:
        """Share of right predictions by category; nothing where nothing was classified."""
        address = self.file("categories.csv")
        if address is None:
            return {}
        table = from_csv(storage.read_bytes(address), {"cat": pa.string(), "recall": pa.float64()})
        rows = zip(table["cat"].to_pylist(), table["recall"].to_pylist(), strict=True)
        return {cat: recall for cat, recall in rows if recall is not None}

    def mean_recall(self) -> Interval | None:
        """The mean share of right predictions over categories, with its interval; None where nothing was classified."""
        found = self.recalls()
        return interval(np.array(list(found.values()))) if found else None


def past_runs(out: str) -> list[PastRun]:
    """All whole runs directly below an address, the newest first. One whose manifest can't be read is told of and left
    out. Raises UserError when the store does not work."""
    root = storage.normalise(out)
    with ThreadPoolExecutor(_LOOKED_AT_ONCE) as pool:
        found = pool.map(lambda name: _read(storage.join(root, name)), storage.list_folders(root))
        whole = [run for run in found if run is not None]
    return sorted(whole, key=lambda run: (run.finished, run.name), reverse=True)


def past_run(named: str, out: str) -> PastRun:
    """The run of that name below `out`, or in the folder at that address, or with `latest` the newest.

    Raises UserError when there is none.
    """
    if named != LATEST:
        for address in _addresses(named, out):
            found = _read(address)
            if found is not None:
                return found
    runs = past_runs(out)
    if named == LATEST and runs:
        return runs[0]
    where = storage.normalise(out)
    if not runs:
        raise UserError(f"There is no whole run in '{where}': make one with `fruits run`, or give --out.")
    raise UserError(
        f"There is no whole run '{named}' in '{where}'{did_you_mean(named, (run.name for run in runs))}: `fruits runs` "
        "lists them."
    )


def _addresses(named: str, out: str) -> Iterator[str]:
    """Where a run may be that is called so."""
    if "/" not in named:
        yield storage.join(out, named)
    yield storage.normalise(named)


def _read(address: str) -> PastRun | None:
    """The run in a folder; None where there is no whole one."""
    place = storage.join(address, MANIFEST)
    finished = storage.modified(place)
    if finished is None:
        return None
    try:
        manifest = json.loads(storage.read_bytes(place))
    except (ValueError, RecursionError):
        manifest = None
    if not _is_manifest(manifest):
        tell(f"'{place}' is no manifest of a run: it is left out.")
        return None
    return PastRun(address, finished, manifest)


def _is_manifest(found: Any) -> bool:
    """Whether what is read of a manifest is of the kinds that runs write. Other commands leave some of it out."""
    if not isinstance(found, Mapping):
        return False
    parts = [found.get(name, {}) for name in ("dataset", "seconds", "settings")]
    files = found.get("files", [])
    if not all(isinstance(part, Mapping) for part in parts) or not isinstance(files, list):
        return False
    pictures, seconds, _ = parts
    # those of a batch of predictions stand for themselves
    splits = [pictures, *(split for split in pictures.values() if isinstance(split, Mapping))]
    taken = [part for each in seconds.values() for part in (each.values() if isinstance(each, Mapping) else [each])]
    figures = [split.get(name, 0) for split in splits for name in _COUNTS]
    figures += [found[name] for name in ("accuracy", "cores") if found.get(name) is not None]
    return (
        all(isinstance(file, Mapping) for file in files)
        and all(isinstance(split.get("categories", {}), Mapping) for split in splits)
        and all(isinstance(figure, int | float) and abs(figure) < _MOST for figure in [*figures, *taken])
    )


@dataclass(frozen=True)
class Comparison:
    """Two runs beside each other.

    `settings` has by name both values of those that differ. `accuracy` is the mean difference (first less
    second) of the share of right predictions over categories that both have, with its interval; None
    where there are none. `seconds` has by operation those of both, None where one did not do it.
    """

    first: PastRun
    second: PastRun
    settings: Mapping[str, tuple[Any, Any]]
    accuracy: Interval | None
    categories: int
    same_pictures: bool
    seconds: Mapping[str, tuple[float | None, float | None]]


def compare(first: PastRun, second: PastRun) -> Comparison:
    """Sets two runs beside each other. Raises UsageError when they are the same."""
    if first.address == second.address:
        raise UsageError(f"Both runs are '{first.name}': name two.")
    names = [name for name in {**first.settings, **second.settings} if name not in _PLACES]
    both = {name: (first.settings.get(name), second.settings.get(name)) for name in names}
    mine, others = first.recalls(), second.recalls()
    common = sorted(set(mine) & set(others))
    seconds = {
        name: (first.seconds.get(name), second.seconds.get(name)) for name in {**first.seconds, **second.seconds}
    }
    return Comparison(
        first,
        second,
        {name: values for name, values in both.items() if values[0] != values[1]},
        difference(np.array([mine[cat] for cat in common]), np.array([others[cat] for cat in common]))
        if common
        else None,
        len(common),
        _listings(first) == _listings(second),
        seconds,
    )


def _listings(run: PastRun) -> list[Any]:
    """What tells the pictures of a run from others."""
    found = run.manifest.get("dataset", {})
    return [split.get("listing_sha256") for split in found.values() if isinstance(split, Mapping)]
