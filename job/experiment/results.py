"""What a run leaves in its folder: tables, pictures for the report, the model, and last the manifest."""

from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from typing import TYPE_CHECKING, Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from job import storage
from job.columns import rows_of
from job.engine import spark as spark_session
from job.engine.tasks import limited_by
from job.report import html, reference, tables

if TYPE_CHECKING:
    from job.experiment.pipeline import Run

SCHEMA_VERSION = 1
_PICTURES, _WORDS, _PATCHES, _MISTAKES = 12, 30, 8, 20


def matrix_rows(rows: pa.Table, column: str, width: int) -> tuple[pa.Table, NDArray[Any]]:
    """Rows sorted by picture: their other columns as a table, and the column of lists as a matrix (n, width)."""
    ordered = rows.sort_by("ima")
    return ordered.drop_columns([column]), rows_of(ordered[column], width)


def wide(rows: tuple[pa.Table, NDArray[Any]]) -> pa.Table:
    """Both in one table; the matrix' columns are named 0, 1, ..."""
    table, matrix = rows
    columns = np.ascontiguousarray(matrix.T)
    return pa.Table.from_arrays(
        [*table.columns, *(pa.array(column) for column in columns)],
        [*table.column_names, *map(str, range(len(columns)))],
    )


def preview(rows: tuple[pa.Table, NDArray[Any]] | None) -> pa.Table | None:
    return None if rows is None else wide((rows[0].slice(0, 5), rows[1][:5]))


def write(run: "Run") -> None:
    """All files but the manifest, the timings and the report, which tell of this writing too."""
    from job.stages.base import pipeline_files

    folder = run.folder
    for split, bags in run.bags.items():
        counted, reduced = run.bag_rows[split], run.features[split]
        if counted is None or reduced is None:
            bags.write.parquet(spark_session.uri(folder.uri(f"bag_of_words_{split}")))
            features = run.stages[3].transform(run.stages[2].transform(bags))
            features.select("ima", "cat", "label", "features").write.parquet(
                spark_session.uri(folder.uri(f"df_lab_features_{split}"))
            )
        else:
            folder.write(f"bag_of_words_{split}.csv", tables.to_csv(wide(counted)))
            folder.write(f"df_lab_features_{split}.csv", tables.to_csv(wide(reduced)))
    run.tables["rejected"] = pa.concat_tables([part.rejected for part in run.extracted.values()])
    for name in ("rejected", "predictions", "confusion_matrix", "categories"):
        if name in run.tables:
            folder.write(f"{name}.csv", tables.to_csv(run.tables[name]))
    for path, data in pipeline_files(run.model()).items():
        folder.write(f"model/{path}", data)
    if run.settings.export_intermediate:
        _write_intermediate(run)
    run.pictures = pictures(run)


def _write_intermediate(run: "Run") -> None:
    """What the prototype's LOC_EXP wrote: images, descriptors, words of each picture (and the bags of words, which
    every run writes), as Parquet tables with a row a picture."""
    for split, part in run.extracted.items():
        frames = {
            "images": part.frame.select("ima", "cat", "keypoints", "reason"),
            "descriptors": part.frame.select("ima", "cat", "keypoints", "descriptors"),
            "words": run.stages[1].nearest_words(part.frame).select("ima", "cat", "words"),
        }
        for name, frame in frames.items():
            frame.write.parquet(spark_session.uri(run.folder.uri(f"intermediate/{name}_{split}")))


def finish(run: "Run") -> None:
    """Timings, report and manifest; after this the run is whole."""
    timings = run.clock.timings
    run.tables["timings"] = tables.timings_table(
        (t.operation, t.split, t.seconds, t.tasks.tasks or None, t.tasks.partitions or None) for t in timings
    )
    worked = [t for t in timings if t.operation not in ("start_spark", "total")]
    run.tables["task_analysis"] = pa.Table.from_pylist(
        [
            {
                "operation": t.operation,
                "split": t.split,
                "tasks": t.tasks.tasks,
                "min_s": t.tasks.shortest,
                "median_s": t.tasks.median,
                "max_s": t.tasks.longest,
                "skew": t.tasks.skew,
                "busy": t.tasks.busy(t.seconds, run.cores),
                "waited_s": t.tasks.waited,
                "limited_by": limited_by(t.tasks, t.seconds, run.cores),
            }
            for t in worked
        ]
    )
    for name in ("timings", "task_analysis"):
        run.folder.write(f"{name}.csv", tables.to_csv(run.tables[name]))
    content = manifest(run)
    known = {f"df_lab_features_{split}": preview_all(rows) for split, rows in run.features.items() if rows}
    run.folder.write("report.html", html.render(content, {**run.tables, **known}, run.pictures).encode())
    run.folder.finish(content)


def preview_all(rows: tuple[pa.Table, NDArray[Any]]) -> pa.Table:
    """The first two components, which the report's map shows."""
    return wide((rows[0], rows[1][:, :2]))


def manifest(run: "Run") -> dict[str, Any]:
    """Everything about the run but its files, which the folder adds."""
    from job.vision import descriptors

    found = run.stages[1].vocabulary
    descriptor_bytes = descriptors.get(run.settings.descriptor).bytes
    seconds: dict[str, Any] = {}
    for t in run.clock.timings:
        if t.split == "all" or t.operation in ("fit_vocabulary", "fit_classifier", "evaluate"):
            seconds[t.operation] = round(t.seconds, 6)
        else:
            seconds.setdefault(t.operation, {})[t.split] = round(t.seconds, 6)
    content: dict[str, Any] = {
        "schema_version": SCHEMA_VERSION,
        "run_name": run.name,
        "settings": run.settings.public(),
        "versions": run.versions,
        "cores": run.cores,
        "dataset": {
            split: {
                "root": run.images[split].root,
                "listing_sha256": run.images[split].digest(),
                "images": part.images,
                "bytes": int(pc.sum(run.images[split].table["size"]).as_py()),
                "described": part.described,
                "without_descriptors": part.without_descriptors,
                "rejected": part.rejected.num_rows - part.without_descriptors,
                "descriptors": part.descriptors,
                "descriptor_bytes": part.descriptors * descriptor_bytes,
                "categories": run.images[split].categories(),
            }
            for split, part in run.extracted.items()
        },
        "dimensions": {
            "bag_of_words": [run.extracted["train"].described, 2 + run.settings.words],
            "features": [run.extracted["train"].described, 1 + run.settings.components],
        },
        # train's, where an operation has both splits
        "partitions": {t.operation: t.tasks.partitions for t in reversed(run.clock.timings) if t.tasks.partitions},
        "seconds": seconds,
        "vocabulary": {
            "words": run.settings.words,
            "inertia": found.inertia,
            "iterations": found.iterations,
            "descriptors": found.descriptors,
        },
        "analysis": run.tables["task_analysis"].to_pylist(),
    }
    if run.accuracy is not None:
        content["accuracy"] = run.accuracy
    return content


def reference_beside(run: "Run") -> pa.Table | None:
    """The prototype's seconds, when this run did the same work."""
    same = (
        run.settings.words == reference.WORDS
        and len(run.images["train"]) == reference.TRAIN_IMAGES
        and len(run.images["test"]) == reference.TEST_IMAGES
    )
    return reference.emr_table() if same else None


def pictures(run: "Run") -> html.Pictures:
    """Photographs for the report: some with keypoints, patches of the words, the worst mistakes."""
    from job.stages.base import driver_cores

    with ThreadPoolExecutor(driver_cores()) as pool:
        return html.Pictures(*_described(run, pool), _mistakes(run, pool))


def _described(run: "Run", pool: ThreadPoolExecutor) -> tuple[list[html.Figure], list[tuple[int, list[bytes]]]]:
    """Training pictures with their keypoints drawn, and by words the patches that have them."""
    from job.learn.assign import assign
    from job.vision import descriptors, drawing
    from job.vision.picture import Picture

    spec, words = descriptors.get(run.settings.descriptor), run.stages[1].words

    def look(picture: tuple[str, Any]) -> tuple[str, Any, Any, Any] | None:
        name, content = picture
        colour = _colour(content)
        if colour is None:
            return None
        decoded = Picture.decode(content)
        return name, colour, spec.keypoints(decoded), spec.describe(decoded)

    seen = [found for found in pool.map(look, _some(run, "train")) if found]
    chosen: dict[int, list[tuple[Any, Any]]] = {}
    for _, colour, points, packed in seen:
        for word, point in zip(assign(spec.unpack(packed), words), points, strict=True):
            if word < _WORDS and len(chosen.setdefault(int(word), [])) < _PATCHES:
                chosen[int(word)].append((colour, point))
    drawn = pool.map(
        lambda found: html.Figure(f"{found[0]}: {len(found[2])} keypoints", drawing.draw_keypoints(found[1], found[2])),
        seen[:_PICTURES],
    )
    span = spec.span
    cut = pool.map(lambda word: (word, [drawing.patch(*place, span=span) for place in chosen[word]]), sorted(chosen))
    return list(drawn), list(cut)


def _mistakes(run: "Run", pool: ThreadPoolExecutor) -> list[html.Figure]:
    """The test pictures that were taken for others with the highest probability."""
    from job.vision import drawing
    from job.vision.pixels import MAX_BYTES

    if "predictions" not in run.tables:
        return []
    worst = tables.worst_mistakes(run.tables["predictions"], _MISTAKES).to_pylist()

    def look(row: dict[str, Any], content: Any) -> html.Figure | None:
        caption = f"{row['cat']} taken for {row['predicted_cat']} ({row['probability']:.0%})"
        colour = _colour(content)
        return None if colour is None else html.Figure(caption, drawing.thumbnail(colour, 100))

    contents = storage.read_many(run.images["test"].root, [row["ima"] for row in worst], max_bytes=MAX_BYTES)
    return [figure for figure in pool.map(look, worst, contents) if figure]


def _colour(content: Any) -> NDArray[np.uint8] | None:
    """A picture that was read; None where it is unusable, or another by now, its descriptors being from the cache."""
    from job.vision import pixels

    with suppress(pixels.Unusable):
        return None if isinstance(content, storage.Fault) else pixels.decode_colour(content)
    return None


def _some(run: "Run", split: str) -> list[tuple[str, Any]]:
    """A few pictures of a split, from all categories in turn: name and content."""
    from job.vision import pixels

    images = run.images[split]
    by_category: dict[str, list[str]] = {}
    for name, cat in zip(images.table["ima"].to_pylist(), images.table["cat"].to_pylist(), strict=True):
        if len(by_category.setdefault(cat, [])) < _PICTURES:
            by_category[cat].append(name)
    turns = [names[turn] for turn in range(_PICTURES) for names in by_category.values() if turn < len(names)]
    names = turns[: 4 * _PICTURES]
    return list(zip(names, storage.read_many(images.root, names, max_bytes=pixels.MAX_BYTES), strict=True))
