"""Pictures that show nearly the same, as groups which no split may tear apart, and folds made of whole groups.

A score on a picture whose neighbour was learned from says little. Frames of a turning fruit, pictures that somebody
says belong together, and near-duplicates are therefore in one fold.
"""

import re
from collections.abc import Hashable, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from job.learn.frames import frame

# Pictures of up to this many of a category are compared with each other, 8 bytes a pair.
_COMPARED = 4000
# Distance between unit vectors of pictures below which they are near-duplicates, and the same. Of 70 pictures of
# Fruits-360 and their copies, by `soft-hsv`, mirrored ones were at 0, those at 0.7 of the size at up to 0.12, those
# compressed again with quality 60 at up to 0.14.
ALIKE, SAME = 0.15, 0.005

Groups = NDArray[np.int64]


def turns(names: Sequence[str], cats: Sequence[str], folds: int) -> Groups | None:
    """Groups of frames by their names, int64 (n,); None where a name is not one of Fruits-360.

    A turn is one group where its category has at least as many turns as there are `folds`. Where it has fewer, which is
    the rule, each turn is cut into as many arcs of neighbouring frames as there are folds.
    """
    frames = [found for found in map(frame, names) if found is not None]
    if not names or len(frames) < len(names):
        return None
    by_turn: dict[tuple[str, str], list[tuple[int, int]]] = {}
    for row, (found, cat) in enumerate(zip(frames, cats, strict=True)):
        by_turn.setdefault((cat, found.video), []).append((found.number, row))
    turns_of: dict[str, int] = {}
    for cat, _ in by_turn:
        turns_of[cat] = turns_of.get(cat, 0) + 1
    groups, count = np.empty(len(names), np.int64), 0
    for (cat, _), members in sorted(by_turn.items()):
        rows = np.array([row for _, row in sorted(members)])
        arcs = 1 if turns_of[cat] >= folds else min(folds, len(rows))
        groups[rows] = count + np.arange(len(rows)) * arcs // len(rows)
        count += arcs
    return groups


def matching(names: Sequence[str], pattern: re.Pattern[str]) -> Groups:
    """Groups by what a pattern finds in a name: its first group, or all of it where it has none; int64 (n,).

    Names in which it finds nothing are groups of their own. ValueError where it finds nothing in any of them.
    """

    def key(name: str) -> Hashable:
        found = pattern.search(name)
        return (name,) if found is None else (found[1] or "" if pattern.groups else found[0])

    keys = [key(name) for name in names]
    if not any(isinstance(found, str) for found in keys):
        raise ValueError(f"the pattern '{pattern.pattern}' is in none of the {len(names)} names, such as '{names[0]}'")
    return numbered(keys)


def numbered(keys: Sequence[Hashable]) -> Groups:
    """Equal keys as equal numbers, counted from 0 in the order in which they first come; int64 (n,)."""
    known: dict[Hashable, int] = {}
    return np.array([known.setdefault(key, len(known)) for key in keys], np.int64)


def alike(rows: NDArray[Any], cats: Sequence[str], folds: int) -> Groups:
    """Groups of near-duplicates within each category, from histograms (n, d): int64 (n,).

    Pictures are joined by single linkage of the roots of their histograms at length 1. A group that would be larger
    than a fold's share of its category is parted where its pictures differ most, unless they are the same picture.
    """
    unit = np.sqrt(np.asarray(rows, np.float32))
    unit /= np.maximum(np.linalg.norm(unit, axis=1, keepdims=True), 1e-12)
    labels = numbered(cats)
    groups, count = np.empty(len(labels), np.int64), 0
    for label in range(int(labels.max()) + 1 if len(labels) else 0):
        members = np.flatnonzero(labels == label)
        limit = max(1, len(members) // folds)
        for part in _comparable(unit, members):
            for found in _linked(unit[part], limit):
                groups[part[found]] = count
                count += 1
    return groups


def _comparable(unit: NDArray[np.float32], members: NDArray[np.intp]) -> list[NDArray[np.intp]]:
    """The members of a category in parts that can be compared: a large one is cut along its first principal axis."""
    if len(members) <= _COMPARED:
        return [members]
    centred = unit[members] - unit[members].mean(axis=0)
    axis = np.linalg.eigh((centred.T @ centred).astype(np.float64))[1][:, -1]
    places = centred @ axis
    order = np.argsort(places, kind="stable")
    gaps = np.diff(places[order])
    count, reach = -(-len(members) // _COMPARED), max(1, _COMPARED // 8)
    cuts = []
    for cut in (len(members) * np.arange(1, count) // count).tolist():
        # near-duplicates lie close to each other: a cut is where the gap is largest
        near = gaps[cut - reach : cut + reach]
        cuts.append(cut - reach + 1 + int(near.argmax()))
    return np.split(members[order], cuts)


def _linked(unit: NDArray[np.float32], limit: int) -> list[NDArray[np.intp]]:
    """Row numbers of each group of near-duplicates; groups of more than `limit` are parted."""
    if len(unit) == 1:
        return [np.zeros(1, np.intp)]
    from scipy.cluster.hierarchy import linkage, to_tree
    from scipy.spatial.distance import pdist

    found = []
    waiting: list[Any] = [to_tree(linkage(pdist(unit.astype(np.float64)), "single"))]
    while waiting:
        node = waiting.pop()
        if node.is_leaf() or (node.dist <= ALIKE and (node.count <= limit or node.dist <= SAME)):
            found.append(np.array(sorted(node.pre_order()), np.intp))
        else:
            waiting += [node.get_left(), node.get_right()]
    return sorted(found, key=lambda rows: int(rows[0]))


def assigned(groups: Groups, cats: Sequence[str], folds: int, seed: int) -> NDArray[np.int64]:
    """The fold of each picture, 0 to `folds` - 1, int64 (n,): groups stay whole, categories are spread evenly.

    Large groups come first, equal ones in an order drawn by `seed`; each goes where its categories have least so far.
    """
    labels = numbered(cats)
    totals = np.bincount(labels).astype(np.float64)
    filled = np.zeros((folds, len(totals)))
    _, places, sizes = np.unique(groups, return_inverse=True, return_counts=True)
    order = np.lexsort((np.random.default_rng(seed).permutation(len(sizes)), -sizes))
    by_group = np.split(np.argsort(places, kind="stable"), np.cumsum(sizes)[:-1])
    found = np.empty(len(groups), np.int64)
    for group in order:
        rows = by_group[group]
        own, counts = np.unique(labels[rows], return_counts=True)
        crowded = ((filled[:, own] + counts) ** 2 - filled[:, own] ** 2) / totals[own] ** 2
        fold = int(np.lexsort((filled.sum(axis=1), np.round(crowded.sum(axis=1), 12)))[0])
        found[rows] = fold
        filled[fold, own] += counts
    return found
