"""Photographs for the report: pictures with their keypoints, what words and histograms look like, worst mistakes."""

from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from dataclasses import dataclass
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from job import dataset, storage
from job.cores import available_cores
from job.experiment.fit import Matrix
from job.experiment.recipe import Block
from job.experiment.results import RunResult
from job.learn.encodings import ENCODINGS
from job.learn.issues.base import Issue
from job.report import blocks, html, tables
from job.vision import drawing, pixels
from job.vision.descriptors import DESCRIPTORS
from job.vision.picture import Picture

_PICTURES, _WORDS, _PATCHES, _MISTAKES, _LOOKS, _ISSUES = 12, 30, 8, 20, 128, 12


@dataclass(frozen=True)
class _Seen:
    """A training picture that was read again: by descriptor its keypoints, where it has some, and its packed rows."""

    name: str
    cat: str
    colour: NDArray[np.uint8]
    found: dict[str, tuple[Any, Any]]


def pictures(result: RunResult) -> html.Pictures:
    """All photographs of a run. Pictures are read again; one that can't be read any more is left out."""
    with ThreadPoolExecutor(available_cores()) as pool:
        seen = _seen(result, pool)
        drawn = [
            _block(seen, block, encoder.codebook, pool)
            for block, encoder in zip(result.recipe.blocks, result.fitted.encoders, strict=True)
        ]
        return html.Pictures(
            _keypoints(seen, result, pool),
            [block for block in drawn if block],
            _mistakes(result, pool),
            {kind: _issues(result, kind, pool) for kind in ("label", "near_duplicate", "outlier")},
        )


def _seen(result: RunResult, pool: ThreadPoolExecutor) -> list[_Seen]:
    """Some training pictures, described as the run did."""
    split = result.splits[next(iter(result.splits))]
    # without those that could not be described: one that ended a worker would end this process as well
    rejected = pc.is_in(split.images.table["ima"], split.extracted.rejected["path"].combine_chunks())
    train = split.images.take(np.flatnonzero(pc.invert(rejected)))
    specs = [DESCRIPTORS.get(name) for name in result.recipe.descriptors]

    def look(found: tuple[str, str, Any]) -> _Seen | None:
        name, cat, content = found
        picture = _picture(content, mask=result.recipe.mask)
        if picture is None:
            return None
        with suppress(pixels.Unusable):
            own = {spec.name: (spec.keypoints(picture), spec.describe(picture)) for spec in specs}
            return _Seen(name, cat, picture.colour, own)
        return None

    return [found for found in pool.map(look, _some(train)) if found]


def _keypoints(seen: Sequence[_Seen], result: RunResult, pool: ThreadPoolExecutor) -> list[html.Figure]:
    """Some pictures with the keypoints of the first descriptor that has any."""
    name = next((name for name in result.recipe.descriptors if _has_places(name)), None)
    if name is None:
        return []

    def draw(one: _Seen) -> html.Figure:
        points = one.found[name][0]
        return html.Figure(f"{one.name}: {len(points)} keypoints", drawing.draw_keypoints(one.colour, points))

    return list(pool.map(draw, seen[:_PICTURES]))


def _block(seen: Sequence[_Seen], block: Block, codebook: Any, pool: ThreadPoolExecutor) -> blocks.Block | None:
    """What a block looks like; None where there is nothing to be seen of it."""
    spec, encoding = DESCRIPTORS.get(block.descriptor), ENCODINGS.get(block.encoding)
    if encoding.looks is not None:
        found = encoding.looks(codebook)
        # dark ones first: in the order of words, which is random, one sees less
        order = np.argsort(found.reshape(len(found), -1).mean(axis=1), kind="stable")
        order = order[np.linspace(0, len(order) - 1, min(_LOOKS, len(order))).astype(int)]
        shown = [(int(word), drawing.enlarged(found[word], 30)) for word in order]
        return blocks.looks(block.descriptor, shown, len(found))
    if spec.local:
        words = codebook.arrays.get("words")
        if words is None or not _has_places(block.descriptor):
            return None
        return blocks.places(block.descriptor, _places(seen, block.descriptor, words, pool), len(words))
    rows = _means(seen, block.descriptor)
    if not rows:
        return None
    each = f"up to {max(1, -(-len(seen) // len(rows)))} training pictures"
    if spec.palette is not None:
        return blocks.colours(block.descriptor, rows, spec.palette(), each)
    return blocks.values(block.descriptor, rows, each)


def _places(
    seen: Sequence[_Seen], name: str, words: NDArray[Any], pool: ThreadPoolExecutor
) -> list[tuple[int, list[bytes]]]:
    """By words the patches of pictures that have them."""
    from job.learn.assign import assign

    spec = DESCRIPTORS.get(name)
    chosen: dict[int, list[tuple[Any, Any]]] = {}
    for one in seen:
        points, packed = one.found[name]
        rows = spec.unpack(packed)[:, : words.shape[1]]  # without their places
        for word, point in zip(assign(rows, words), points, strict=True):
            if word < _WORDS and len(chosen.setdefault(int(word), [])) < _PATCHES:
                chosen[int(word)].append((one.colour, point))
    cut = pool.map(
        lambda word: (word, [drawing.patch(*place, span=spec.span) for place in chosen[word]]), sorted(chosen)
    )
    return list(cut)


def _means(seen: Sequence[_Seen], name: str) -> list[tuple[str, NDArray[np.float64]]]:
    """Mean row of a descriptor by category, in the order of their names."""
    spec = DESCRIPTORS.get(name)
    by_category: dict[str, list[NDArray[np.float64]]] = {}
    for one in seen:
        rows = spec.unpack(one.found[name][1])
        if len(rows):
            by_category.setdefault(one.cat, []).append(rows[0].astype(np.float64))
    return [(cat, np.mean(by_category[cat], axis=0)) for cat in sorted(by_category)]


def _has_places(name: str) -> bool:
    spec = DESCRIPTORS.get(name)
    return spec.local and spec.points is not None


def _mistakes(result: RunResult, pool: ThreadPoolExecutor) -> list[html.Figure]:
    """The scored pictures that were taken for others with the highest probability, each beside the training picture
    whose features are nearest, where features are in the driver."""
    if result.scores is None:
        return []
    worst = tables.worst_mistakes(result.scores.predictions, _MISTAKES).to_pylist()
    train, test = result.splits[next(iter(result.splits))], result.splits[result.scores.split]
    near = nearest(train.encoded.features, test.encoded.features, [row["ima"] for row in worst])

    def look_near(found: tuple[str, str], content: Any) -> html.Figure | None:
        name, cat = found
        return _thumbnail(f"nearest: {cat}, {name.rsplit('/', 1)[-1]}", content)

    figures = _taken_for_others(test.images.root, worst, pool)
    others: list[html.Figure | None] = [None] * len(worst)
    if near:
        contents = storage.read_many(train.images.root, [name for name, _ in near], max_bytes=pixels.MAX_BYTES)
        others = list(pool.map(look_near, near, contents))
    return [figure._replace(beside=other) for figure, other in zip(figures, others, strict=True) if figure]


def mistakes(root: str, wrong: pa.Table) -> list[html.Figure]:
    """Pictures below `root` of the first rows `ima, cat, predicted_cat, probability` of mistakes. Pictures are read
    again; one that can't be read any more is left out."""
    worst = wrong.slice(0, _MISTAKES).to_pylist()
    if not worst:
        return []
    with ThreadPoolExecutor(available_cores()) as pool:
        return [figure for figure in _taken_for_others(root, worst, pool) if figure]


def _taken_for_others(root: str, worst: Sequence[dict[str, Any]], pool: ThreadPoolExecutor) -> list[html.Figure | None]:
    """A picture of each mistake, which says what was taken for what; None for one that can't be read any more."""

    def look(row: dict[str, Any], content: Any) -> html.Figure | None:
        return _thumbnail(f"{row['cat']} taken for {row['predicted_cat']} ({row['probability']:.0%})", content)

    contents = storage.read_many(root, [row["ima"] for row in worst], max_bytes=pixels.MAX_BYTES)
    return list(pool.map(look, worst, contents))


def _issues(result: RunResult, kind: str, pool: ThreadPoolExecutor) -> list[html.Figure]:
    """The first pictures that something may be wrong with, each beside its twin where it has one."""
    shown = result.issues.of(kind)[:_ISSUES]
    train = next(iter(result.splits))

    def read(named: Sequence[tuple[str, str]]) -> list[Any]:
        found: list[Any] = [None] * len(named)
        for split in dict.fromkeys(split for split, _ in named):
            places = [place for place, (own, _) in enumerate(named) if own == split]
            names = [named[place][1] for place in places]
            contents = storage.read_many(result.splits[split].images.root, names, max_bytes=pixels.MAX_BYTES)
            for place, content in zip(places, contents, strict=True):
                found[place] = content
        return found

    figures = pool.map(
        _thumbnail, [_said(issue, train) for issue in shown], read([(issue.split, issue.ima) for issue in shown])
    )
    if not any(issue.other for issue in shown):
        return [figure for figure in figures if figure]
    others = pool.map(_thumbnail, [issue.other for issue in shown], read([(train, issue.other) for issue in shown]))
    return [figure._replace(beside=other) for figure, other in zip(figures, others, strict=True) if figure]


def _said(issue: Issue, train: str) -> str:
    """What stands below an issue's picture: of a copy its whole name, since its twin may be called the same."""
    if issue.other:
        return issue.ima if issue.split == train else f"Leak: {issue.ima}"
    said = f"{issue.cat}, rather {issue.suggested}" if issue.suggested else issue.cat
    return f"{said}: {issue.ima.rsplit('/', 1)[-1]}"


def nearest(known: Matrix | None, scored: Matrix | None, names: Sequence[str]) -> list[tuple[str, str]]:
    """Name and category of the training picture whose features are nearest to those of each of `names`, by Euclidean
    distance, copies aside; nothing where features are not in the driver. Of equally near ones it is the first."""
    if known is None or scored is None or not names:
        return []
    known = known.originals()
    places = {name: place for place, name in enumerate(scored.rows["ima"].to_pylist())}
    wanted = np.asarray(scored.values[[places[name] for name in names]], np.float64)
    values = np.asarray(known.values, np.float64)
    distances = np.einsum("nd,nd->n", values, values) - 2.0 * (wanted @ values.T)
    rows = distances.argmin(axis=1).tolist()
    found, cats = known.rows["ima"], known.rows["cat"]
    return [(found[row].as_py(), cats[row].as_py()) for row in rows]


def _thumbnail(caption: str, content: Any) -> html.Figure | None:
    picture = _picture(content)
    if picture is None:
        return None
    with suppress(pixels.Unusable):
        return html.Figure(caption, drawing.thumbnail(picture.colour, 100))
    return None


def _picture(content: Any, *, mask: bool = True) -> Picture | None:
    """A picture that was read; None where it is unusable, or another by now, its descriptors being from the cache."""
    with suppress(pixels.Unusable):
        return None if isinstance(content, storage.Fault) else Picture.decode(content, mask=mask)
    return None


def _some(images: dataset.Images) -> list[tuple[str, str, Any]]:
    """A few pictures of a split, from all categories in turn: name, category and content."""
    wanted = min(len(images), _PICTURES * len(images.categories()))
    few = dataset.choose(images, wanted).table
    by_category: dict[str, list[str]] = {}
    for name, cat in zip(few["ima"].to_pylist(), few["cat"].to_pylist(), strict=True):
        by_category.setdefault(cat, []).append(name)
    turns = [
        (names[turn], cat) for turn in range(_PICTURES) for cat, names in by_category.items() if turn < len(names)
    ][: 4 * _PICTURES]
    contents = storage.read_many(images.root, [name for name, _ in turns], max_bytes=pixels.MAX_BYTES)
    return [(name, cat, content) for (name, cat), content in zip(turns, contents, strict=True)]
