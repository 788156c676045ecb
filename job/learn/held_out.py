"""Which pictures of one folder are kept back to test with: the same ones every time, whatever else is there."""

from collections.abc import Sequence
from hashlib import blake2b

import numpy as np
from numpy.typing import NDArray

from job.learn.frames import TURN


def held_out(names: Sequence[str], cats: Sequence[str], fraction: float) -> NDArray[np.bool_]:
    """True for pictures that are kept back: bool of shape (n,).

    Of each category it is `fraction` (above 0, below 1), rounded, but at least one picture, and all but one at most; of
    a category with a single picture none. Where names tell frames of a video, frames that follow each other are kept
    back: one beside a training picture is nearly the same picture. Others are drawn by the hashes of their names.
    """
    groups: dict[tuple[str, str], list[int]] = {}
    sizes: dict[str, int] = {}
    for row, (name, cat) in enumerate(zip(names, cats, strict=True)):
        found = TURN.search(name)
        video = "" if found is None else f"{name[: found.start(2)]}#"
        groups.setdefault((cat, video), []).append(row)
        sizes[cat] = sizes.get(cat, 0) + 1
    wanted = {cat: min(max(1, round(fraction * size)), size - 1) for cat, size in sizes.items()}
    kept = np.zeros(len(names), np.bool_)
    left = dict(sizes)
    for (cat, video), rows in sorted(groups.items()):
        # the share of what is still wanted, so that the rounding of one video is made up for by the next
        count = round(wanted[cat] * len(rows) / left[cat])
        left[cat] -= len(rows)
        wanted[cat] -= count
        kept[_turn(names, rows, count) if video else _drawn(names, rows, count)] = True
    return kept


def _turn(names: Sequence[str], rows: Sequence[int], count: int) -> list[int]:
    """So many frames that follow each other, the last one being followed by the first. The one that they begin with is
    drawn by the hashes of their names, so that a frame more or less seldom changes it."""
    ordered = sorted(rows, key=lambda row: (_number(names[row]), names[row]))
    begin = ordered.index(_drawn(names, rows, 1)[0])
    return [ordered[(begin + step) % len(ordered)] for step in range(count)]


def _drawn(names: Sequence[str], rows: Sequence[int], count: int) -> list[int]:
    return sorted(rows, key=lambda row: (_hash(names[row]), row))[:count]


def _number(name: str) -> int:
    found = TURN.search(name)
    return int(found[2]) if found else 0


def _hash(text: str) -> bytes:
    return blake2b(text.encode(errors="surrogateescape"), digest_size=8).digest()
