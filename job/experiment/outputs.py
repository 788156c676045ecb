"""What a run leaves in its folder: tables, the model, the report, and last the manifest; from `RunResult` alone."""

import json
from collections.abc import Iterable, Sequence
from dataclasses import replace
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

import numpy as np
import pyarrow as pa

from job import storage
from job.columns import lists
from job.experiment import rounds
from job.experiment.clock import Clock
from job.experiment.extract import originals
from job.experiment.fit import Fitted, Matrix
from job.experiment.manifest import manifest
from job.experiment.pictures import pictures
from job.experiment.results import RunResult
from job.learn import scores
from job.model import card, mlflow_flavour
from job.model import format as model_format
from job.report import html, tables
from job.storage.tables import PartsOfParquet, to_parquet
from job.storage.uris import hadoop_uri

if TYPE_CHECKING:
    from pyspark.sql import DataFrame

# A table of more cells is no CSV but a folder of Parquet: as text it would be about 20 bytes a cell.
MOST_TEXT_CELLS = 5_000_000
# Training pictures by which the axes of the report's map are found.
_MAP_PICTURES = 1000


def write(result: RunResult, folder: storage.RunFolder, clock: Clock, *, intermediate: bool) -> RunResult:
    """Writes everything; after this the run is whole. The record with the steps `export` and `total`, and pictures.

    `intermediate` also writes images, descriptors and words of each picture as Parquet tables.
    """
    spark = next(iter(result.splits.values())).extracted.frame.sparkSession
    with clock.operation("export", "all", spark):
        _write_tables(result, folder)
        model = model_files(result)
        for path, data in model.items():
            folder.write(f"{model_format.MODEL_FOLDER}/{path}", data)
        if intermediate:
            _write_intermediate(result, folder)
        shown = pictures(result)
    clock.total()
    done = replace(result, steps=tuple(clock.steps), pictures=shown)
    _finish(done, folder, json.loads(model[model_format.CONTENT])["sha256"])
    return done


def _write_tables(result: RunResult, folder: storage.RunFolder) -> None:
    for name, split in result.splits.items():
        bags, features = split.encoded.bag_matrix, split.encoded.features
        frame = originals(split.encoded.bags)
        if bags is not None:
            widths = [encoder.width for encoder in result.fitted.encoders]
            _write_matrix(folder, f"bag_of_words_{name}", bags, result.fitted.bag_columns, widths)
        if features is not None:
            _write_matrix(folder, f"df_lab_features_{name}", features, ["features"], [result.fitted.width])
        if bags is None or features is None:
            _write_on_executors(
                folder,
                result.fitted,
                frame,
                f"bag_of_words_{name}" if bags is None else None,
                f"df_lab_features_{name}" if features is None else None,
            )
    found = {"rejected": result.rejected(), **(result.scores.tables() if result.scores else {})}
    found["data_issues"] = result.issues.table()
    if result.rounds:
        found["protocols"] = rounds.table(result.rounds)
    if result.curve:
        found["learning_curve"] = _curve(result)
    for name, table in found.items():
        folder.write(f"{name}.csv", tables.to_csv(table))


def _curve(result: RunResult) -> pa.Table:
    """The learning curve as a table, a row a point."""
    return pa.Table.from_pylist(
        [
            {
                "pictures_a_category": point.each,
                "pictures": point.pictures,
                "accuracy": point.accuracy.mean,
                "low": point.accuracy.low,
                "high": point.accuracy.high,
            }
            for point in result.curve
        ]
    )


def _write_matrix(
    folder: storage.RunFolder, name: str, matrix: Matrix, columns: Sequence[str], widths: Sequence[int]
) -> None:
    """A table that the driver holds, copies left out: as CSV, or where it is large as Parquet, with the vectors in
    columns of arrays as Spark writes them."""
    own = matrix.originals()
    if own.values.size <= MOST_TEXT_CELLS:
        folder.write(f"{name}.csv", tables.to_csv(own.wide()))
        return
    table = own.rows
    for column, block in zip(columns, np.split(own.values, np.cumsum(widths)[:-1], axis=1), strict=True):
        table = table.append_column(column, lists(block))
    folder.write(f"{name}/part-00000.parquet", to_parquet(table))


def _write_on_executors(
    folder: storage.RunFolder, fitted: Fitted, bags: "DataFrame", counted: str | None, featured: str | None
) -> None:
    """The tables of these names, from bags that the executors keep: in each a file of Parquet for each partition, with
    the vectors in columns of arrays, which every reader of Parquet knows."""
    from pyspark import TaskContext

    columns, blocks, made = fitted.bag_columns, fitted.blocks_of(), fitted.vectors_of()
    # without components features are float32 values times a number, and no more exact as float64
    kind = np.float64 if fitted.reducer is not None else np.float32
    addresses = {name: folder.uri(name) for name in (counted, featured) if name}
    public_read = folder.public_read

    def work(batches: Iterable[pa.RecordBatch]) -> Iterable[pa.RecordBatch]:
        files = {name: PartsOfParquet(repeated=["cat"]) for name in addresses}
        for batch in batches:
            rows = pa.Table.from_batches([batch])
            if counted:
                own = rows.select(["ima", "cat"])
                for column, block in zip(columns, blocks(batch), strict=True):
                    own = own.append_column(column, lists(block))
                files[counted].add(own)
            if featured:
                features = lists(made(batch).astype(kind))
                files[featured].add(rows.select(["ima", "cat", "label"]).append_column("features", features))
        context = TaskContext.get()
        part = f"part-{context.partitionId() if context else 0:05d}.parquet"
        for name, file in files.items():
            if data := file.close():
                storage.write_bytes(storage.join(addresses[name], part), data, public_read=public_read)
                stored = storage.stored_file(f"{name}/{part}", data)
                yield pa.RecordBatch.from_pylist([stored._asdict()])

    frame = fitted.indexer.transform(bags).select("ima", "cat", "label", *columns)
    found = frame.mapInArrow(work, "path string, bytes long, sha256 string").toArrow()
    folder.know(storage.StoredFile(**row) for row in found.to_pylist())


def _write_intermediate(result: RunResult, folder: storage.RunFolder) -> None:
    """What the prototype's LOC_EXP wrote: images, descriptors, words of each picture (and the bags of words, which
    every run writes), as Parquet tables with one row for each picture."""
    for name, split in result.splits.items():
        frame, columns = originals(split.extracted.frame), list(split.extracted.columns.values())
        frames = {
            "images": frame.select("ima", "cat", "keypoints", "reason"),
            "descriptors": frame.select("ima", "cat", "keypoints", *columns),
        }
        if len(result.fitted.encoders) == 1 and "words" in result.fitted.encoders[0].codebook.arrays:
            frames["words"] = result.fitted.encoders[0].nearest_words(frame).select("ima", "cat", "words")
        for kind, table in frames.items():
            table.write.parquet(hadoop_uri(folder.uri(f"intermediate/{kind}_{name}")))


def model_files(result: RunResult) -> dict[str, bytes]:
    """The files of the saved model: Spark ML's, and `model.json`, by which it is read without Spark."""
    from job.stages.base import ARRAYS, pipeline_files, stage_folders

    fitted, pipeline = result.fitted, result.fitted.pipeline()
    files = pipeline_files(pipeline)
    places = {stage.uid: f"{folder}/{ARRAYS}" for folder, stage in stage_folders(pipeline).items()}

    def arrays(stage: Any) -> str | None:
        place = places[stage.uid]
        return place if place in files else None

    def part(stage: Any) -> dict[str, Any] | None:
        return None if stage is None else {"arrays": arrays(stage)}

    classifier = part(fitted.classifier)
    if classifier is not None:
        classifier = {"name": result.recipe.classifier, **classifier}
    description = {
        "categories": list(fitted.categories),
        "blocks": [
            {"descriptor": block.descriptor, "encoding": block.encoding, "arrays": arrays(encoder)}
            for block, encoder in zip(result.recipe.blocks, fitted.encoders, strict=True)
        ],
        "scaling": part(fitted.scaler),
        "components": part(fitted.reducer),
        "classifier": classifier,
        "picture": {"max_bytes": result.recipe.max_bytes, "mask": result.recipe.mask},
        "versions": dict(result.versions),
        "recipe": result.recipe.public(),
        "facts": {"run_name": result.name, "accuracy": result.accuracy},
    }
    return model_format.assemble(files, description)


def _map(result: RunResult) -> dict[str, pa.Table]:
    """The first two components of all pictures, which the report's map shows: those of the run, or where it has none,
    those of a thousand training pictures. Nothing where features are not in the driver."""
    known = result.fitted.train.features
    if known is None:
        return {}
    projection = None
    if not result.recipe.components:
        from job.learn import pca

        values = known.originals().values
        projection = pca.fit_rows(values[:: -(-len(values) // _MAP_PICTURES)], 2)
    found = {}
    for name, split in result.splits.items():
        if split.encoded.features is not None:
            own = split.encoded.features.originals()
            if projection is not None:
                own = Matrix(own.rows, pca.project(own.values, projection))
            found[f"df_lab_features_{name}"] = own.first(len(own.values), 2).wide()
    return found


def beside_model(result: RunResult, content: dict[str, Any], digest: str) -> dict[str, bytes]:
    """What lies beside the files of the model, by paths: its card, the figures in it for programs, and what MLflow
    wants. `content` is the run's manifest, `digest` the model's. The example for MLflow is a generated picture, of the
    category whose skin is drawn fastest."""
    from job.vision.sample import sample_picture

    evidence = card.Evidence(
        manifest=content,
        day=datetime.now(UTC).date().isoformat(),
        categories=result.scores.categories.to_pylist() if result.scores else [],
        confusions=_confusions(result.scores.confusion_matrix) if result.scores else [],
    )
    texts = {card.CARD: card.card(evidence), card.RESULTS: card.results(evidence)}
    found = {name: text.encode() for name, text in texts.items()}
    return {**found, **mlflow_flavour.files(digest, sample_picture(8, 0, split="test"))}


def _confusions(matrix: pa.Table) -> list[tuple[str, str, int]]:
    """Wrong predictions as `card.Evidence` wants them."""
    names = matrix.column(0).to_pylist()  # a category may have the name of this column
    counts = np.column_stack([column.to_numpy() for column in matrix.columns[1:]])
    return [(names[true], names[predicted], count) for true, predicted, count in scores.confusions(counts)]


def _finish(result: RunResult, folder: storage.RunFolder, digest: str) -> None:
    """Timings, report, the model's card and the manifest."""
    found: dict[str, pa.Table] = {
        "timings": result.timings(),
        "task_analysis": result.analysis(),
        "rejected": result.rejected(),
        **(result.scores.tables() if result.scores else {}),
    }
    for name in ("timings", "task_analysis"):
        folder.write(f"{name}.csv", tables.to_csv(found[name]))
    found["data_issues"] = result.issues.table()
    guesses = result.scores.guesses() if result.scores else None
    if guesses is not None:
        found["guesses"] = guesses
    if result.curve:
        found["learning_curve"] = _curve(result)
    found |= _map(result)
    content = manifest(result)
    for path, data in beside_model(result, content, digest).items():
        folder.write(f"{model_format.MODEL_FOLDER}/{path}", data)
    folder.write("report.html", html.render(content, found, result.pictures).encode())
    folder.finish(content)
