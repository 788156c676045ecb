"""A few pictures of each category, drawn so that neither their order nor other categories matter."""

from collections.abc import Sequence
from hashlib import blake2b

import numpy as np
from numpy.typing import NDArray

from job.learn.protocols.base import Names


def some(pictures: Names, count: int, seed: int, draw: str, among: Sequence[int] | None = None) -> NDArray[np.intp]:
    """Row numbers of up to `count` pictures of each category, ascending.

    A picture's chance depends on `seed`, the name of the `draw` and the picture's own name, so that a larger count
    takes the same pictures and more. `among` are the row numbers to choose from; None: all.
    """
    keys: dict[str, list[tuple[bytes, int]]] = {}
    for row in range(len(pictures.names)) if among is None else among:
        text = f"{seed}\0{draw}\0{pictures.names[row]}".encode(errors="surrogateescape")
        keys.setdefault(pictures.cats[row], []).append((blake2b(text, digest_size=8).digest(), row))
    chosen = [row for each in keys.values() for _, row in sorted(each)[:count]]
    return np.array(sorted(chosen), np.intp)
