"""Photographs for the report: some pictures with their keypoints, patches of the words, the worst mistakes."""

from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from typing import Any

from job import dataset, storage
from job.cores import available_cores
from job.experiment.results import RunResult
from job.report import html, tables
from job.vision import pixels
from job.vision.picture import Picture

_PICTURES, _WORDS, _PATCHES, _MISTAKES = 12, 30, 8, 20


def pictures(result: RunResult) -> html.Pictures:
    """All photographs of a run. Pictures are read again; one that can't be read any more is left out."""
    with ThreadPoolExecutor(available_cores()) as pool:
        return html.Pictures(*_described(result, pool), _mistakes(result, pool))


def _described(result: RunResult, pool: ThreadPoolExecutor) -> tuple[list[html.Figure], list[tuple[int, list[bytes]]]]:
    """Training pictures with their keypoints drawn, and by words the patches that have them."""
    from job.learn.assign import assign
    from job.vision import drawing
    from job.vision.descriptors import DESCRIPTORS

    local = next((place for place, block in enumerate(result.recipe.blocks) if _has_places(block.descriptor)), None)
    if local is None:
        return [], []
    spec = DESCRIPTORS.get(result.recipe.blocks[local].descriptor)
    words = result.fitted.encoders[local].codebook.arrays.get("words")

    def look(found: tuple[str, Any]) -> tuple[str, Any, Any, Any] | None:
        name, content = found
        picture = _picture(content)
        if picture is None:
            return None
        with suppress(pixels.Unusable):
            return name, picture.colour, spec.keypoints(picture), spec.describe(picture)
        return None

    train = result.splits[next(iter(result.splits))].images
    seen = [found for found in pool.map(look, _some(train)) if found]
    chosen: dict[int, list[tuple[Any, Any]]] = {}
    if words is not None:
        for _, colour, points, packed in seen:
            for word, point in zip(assign(spec.unpack(packed), words), points, strict=True):
                if word < _WORDS and len(chosen.setdefault(int(word), [])) < _PATCHES:
                    chosen[int(word)].append((colour, point))
    drawn = pool.map(
        lambda found: html.Figure(f"{found[0]}: {len(found[2])} keypoints", drawing.draw_keypoints(found[1], found[2])),
        seen[:_PICTURES],
    )
    cut = pool.map(
        lambda word: (word, [drawing.patch(*place, span=spec.span) for place in chosen[word]]), sorted(chosen)
    )
    return list(drawn), list(cut)


def _has_places(name: str) -> bool:
    from job.vision.descriptors import DESCRIPTORS

    spec = DESCRIPTORS.get(name)
    return spec.local and spec.points is not None


def _mistakes(result: RunResult, pool: ThreadPoolExecutor) -> list[html.Figure]:
    """The scored pictures that were taken for others with the highest probability."""
    from job.vision import drawing

    if result.scores is None:
        return []
    worst = tables.worst_mistakes(result.scores.predictions, _MISTAKES).to_pylist()

    def look(row: dict[str, Any], content: Any) -> html.Figure | None:
        caption = f"{row['cat']} taken for {row['predicted_cat']} ({row['probability']:.0%})"
        picture = _picture(content)
        if picture is None:
            return None
        with suppress(pixels.Unusable):
            return html.Figure(caption, drawing.thumbnail(picture.colour, 100))
        return None

    root = result.splits[result.scores.split].images.root
    contents = storage.read_many(root, [row["ima"] for row in worst], max_bytes=pixels.MAX_BYTES)
    return [figure for figure in pool.map(look, worst, contents) if figure]


def _picture(content: Any) -> Picture | None:
    """A picture that was read; None where it is unusable, or another by now, its descriptors being from the cache."""
    with suppress(pixels.Unusable):
        return None if isinstance(content, storage.Fault) else Picture.decode(content)
    return None


def _some(images: dataset.Images) -> list[tuple[str, Any]]:
    """A few pictures of a split, from all categories in turn: name and content."""
    wanted = min(len(images), _PICTURES * len(images.categories()))
    few = dataset.choose(images, wanted).table
    by_category: dict[str, list[str]] = {}
    for name, cat in zip(few["ima"].to_pylist(), few["cat"].to_pylist(), strict=True):
        by_category.setdefault(cat, []).append(name)
    turns = [names[turn] for turn in range(_PICTURES) for names in by_category.values() if turn < len(names)]
    names = turns[: 4 * _PICTURES]
    return list(zip(names, storage.read_many(images.root, names, max_bytes=pixels.MAX_BYTES), strict=True))
