"""A saved model on many pictures: list, predict on the executors, score where categories are known, leave a folder."""

from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, replace
from functools import partial
from typing import TYPE_CHECKING, Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from job import dataset, storage
from job.engine import sizes
from job.engine.crashes import apart_after_a_crash, tried_again
from job.engine.versions import versions as versions_of
from job.errors import UserError
from job.experiment import pictures
from job.experiment.clock import Clock, Step, timings
from job.experiment.extract import Partitioning
from job.experiment.fit import MOST_CELLS
from job.experiment.run import default_run_name
from job.learn import intervals
from job.model import batch as parts
from job.model.batch import BatchPrediction
from job.model.predict import OK, UNKNOWN, Model, Rejection
from job.report import predictions, tables
from job.report.console import Console
from job.settings import Settings
from job.storage.tables import from_parquet

if TYPE_CHECKING:
    from pyspark.sql import SparkSession

SCHEMA_VERSION = 1
SETTINGS = (
    "data", "out", "run_name", "partitions", "min_partitions", "seed", "event_log", "public_read", "master", "conf",
)  # fmt: skip
"""Names of the settings of a run that a batch has too."""
_TABLE, _PARTS = "predictions", "_parts"
_MISTAKES = ("ima", "cat", "predicted_cat", "probability")
_READERS = 16
# Mistakes that are listed, the surest of all: as a table they take up some 10 MB.
MOST_MISTAKES = 100_000


@dataclass(frozen=True)
class Batch:
    """What a batch has found.

    Attributes
    ----------
    uri
        Address of its folder.
    pictures, described
        Pictures that were listed, and those that could be described.
    accuracy
        Share of the pictures that were given their own category, among those that lie in the folder of one and were
        given any; None where there are none of these.

    """

    uri: str
    pictures: int
    described: int
    accuracy: float | None


def execute(
    settings: Settings, model: Model, rejection: Rejection, session: Any, console: Console, begun: float
) -> Batch:
    """Predicts everything in a session, which is a context that gives a SparkSession.

    Pictures that an earlier attempt of the same run name, model and pictures has predicted are not predicted again.
    Without a run name, a batch that fails leaves nothing.

    Raises
    ------
    UserError
        In one sentence, with the way out.

    """
    assert settings.data is not None
    name = settings.run_name or default_run_name()
    clock = Clock(partial(_tell, console), begun, console)
    asked = {key: value for key, value in settings.public().items() if key in SETTINGS}
    asked |= {"model": model.uri, **rejection.asked()}
    model.check(rejection.unknown)
    console.start(name, asked, "predict")
    if settings.public_read:
        console.warning("Everybody will be able to read the results (--public-read).")
    folder = storage.RunFolder(settings.out, name, public_read=settings.public_read, goes_on=True)
    folder.check_writable()
    with clock.operation("read_images", "all") as finding:
        images = dataset.listing("all", settings.data, loose=True)
        finding.facts, finding.preview = {"root": images.root, "pictures": len(images)}, images.table.slice(0, 5)
    if settings.event_log:
        storage.make_folder(settings.event_log)
    work = {"model": model.digest, "listing_sha256": images.digest(), **rejection.asked()}
    with _claimed(folder, work, keep=settings.run_name is not None), ExitStack() as stack:
        place = _TABLE if len(images) * len(parts.SCHEMA) > MOST_CELLS else _PARTS
        earlier, rest = _rest(folder, place, images, console)
        with clock.operation("start_spark", "all") as finding:
            spark: SparkSession = stack.enter_context(session)
            versions, cores = versions_of(spark), sizes.total_cores(spark)
            finding.facts = {"spark": versions["pyspark"], "cores": cores}
        made = _predict(spark, settings, model, rejection, rest, folder.uri(place), cores, clock)
        with clock.operation("export", "all"):
            found = _gathered(folder, place, [*earlier, *made], images, model.categories)
            scored, shown = found.tables(model.categories), pictures.mistakes(images.root, found.mistakes)
            _write(folder, place, found, scored)
        clock.total()
        content = {
            "schema_version": SCHEMA_VERSION,
            "kind": "predictions",
            "run_name": name,
            "settings": asked,
            "model": {"uri": model.uri, "digest": model.digest, "categories": len(model.categories), **model.facts},
            "versions": versions,
            "cores": cores,
            "dataset": _dataset(images, found),
            "predicted_earlier": len(images) - len(rest),
            "predicted": found.categories,
            **found.scores(),
            "partitions": {step.operation: step.tasks.partitions for step in clock.steps if step.tasks.partitions},
            "seconds": {step.operation: round(step.seconds, 6) for step in clock.steps},
        }
        if scored:
            known = {**scored, "rejected": found.rejected}
            folder.write("report.html", predictions.render(content, known, shown).encode())
        folder.finish(content)
        console.timings(timings(clock.steps))
        console.done(folder.uri(), found.accuracy, clock.steps[-1].seconds)
    return Batch(folder.uri(), len(images), found.described, found.accuracy)


def _tell(console: Console, step: Step) -> None:
    if step.operation != "export":
        console.step(step.operation, step.split, step.facts, preview=step.preview, seconds=step.seconds)


@contextmanager
def _claimed(folder: storage.RunFolder, work: Mapping[str, Any], *, keep: bool) -> Iterator[None]:
    """The folder is this batch's own. When it fails, what it wrote is kept for another attempt, or removed.

    Raises UserError when the folder holds the beginning of other work.
    """
    folder.claim()
    begun = folder.begun()
    if begun not in (None, work):
        folder.release()
        raise UserError(
            f"The run '{folder.name}' in '{folder.out}' was begun with another model, other pictures or another "
            f"--reject-below or --reject-unknown: choose another --run-name, or remove '{folder.root}'.",
            2,
        )
    try:
        if begun is None:
            folder.begin(work)
        yield
    except BaseException:
        if keep:
            folder.release()
        else:
            folder.discard()
        raise


def _rest(
    folder: storage.RunFolder, place: str, images: dataset.Images, console: Console
) -> tuple[list[str], dataset.Images]:
    """The files of predictions that earlier attempts have left, and the pictures that are in none of them."""

    def names_in(part: str) -> pa.ChunkedArray | None:
        try:
            return from_parquet(storage.read_bytes(folder.uri(f"{place}/{part}")), ["ima"])["ima"]
        except (pa.ArrowInvalid, KeyError):
            return None  # half-written

    there = folder.parts(place)
    with ThreadPoolExecutor(_READERS) as pool:
        read = dict(zip(there, pool.map(names_in, there), strict=True))
    folder.remove(place, [part for part, names in read.items() if names is None])
    whole = {part: names for part, names in read.items() if names is not None}
    if not whole:
        return [], images
    done = pa.concat_arrays([chunk for names in whole.values() for chunk in names.chunks])
    missing = pc.invert(pc.is_in(images.table["ima"], done))
    console.warning(f"{len(done)} pictures were predicted by an earlier attempt of this run, which is gone on with.")
    return list(whole), images.take(np.flatnonzero(missing.to_numpy()))


def _predict(
    spark: "SparkSession",
    settings: Settings,
    model: Model,
    rejection: Rejection,
    images: dataset.Images,
    target: str,
    cores: int,
    clock: Clock,
) -> list[str]:
    """Has the executors predict these pictures and write files of them to `target`; names of the files."""
    from pyspark import cloudpickle

    with clock.operation("predict", "all", spark, pictures=len(images)) as finding:
        if not len(images):
            return []
        count = Partitioning(cores, settings.partitions, settings.min_partitions).of(images)
        # by cloudpickle, since a model holds functions that have no name, which a broadcast by itself does not take
        pack: Any = cloudpickle.dumps
        packed = spark.sparkContext.broadcast(pack(model))
        task = BatchPrediction(
            model.digest, partial(getattr, packed, "value"), rejection, target, public_read=settings.public_read
        )

        def found_by(*, apart: bool) -> pa.Table:
            def work(batches: Iterable[pa.RecordBatch]) -> Iterator[pa.RecordBatch]:
                again = tried_again()
                for batch in batches:
                    if batch.num_rows:
                        yield task.work(batch, apart=apart or again)

            frame = dataset.frame(spark, images, count, settings.seed, cores)
            return frame.mapInArrow(work, "part string, pictures long").toArrow()

        found = apart_after_a_crash(found_by)
        finding.facts = {"pictures": int(pc.sum(found["pictures"]).as_py() or 0), "partitions": count}
    return list(dict.fromkeys(found["part"].to_pylist()))


# ---- what was found


@dataclass(frozen=True)
class _Part:
    """What one file of predictions says: its number of rows; the rows themselves, unless there are too many in all;
    pictures by status and by predicted category; `path, reason` of those that could not be described; and for each
    picture that lies in the folder of a category and was given one, true label * categories + predicted label; the
    number of pictures that lie in the folder of a category; and `ima, cat, predicted_cat, probability` of those that
    were given another category than their own, the surest first, as far as they may be listed."""

    rows: int
    table: pa.Table | None
    statuses: Mapping[str, int]
    categories: Mapping[str, int]
    rejected: pa.Table
    pairs: NDArray[np.int64]
    labelled: int
    mistakes: pa.Table | None


@dataclass(frozen=True)
class _Found:
    """The same of all files together; `table` is sorted by name."""

    table: pa.Table | None
    statuses: Mapping[str, int]
    categories: Mapping[str, int]
    rejected: pa.Table
    true: NDArray[np.int64]
    predicted: NDArray[np.int64]
    labelled: int
    mistakes: pa.Table

    @property
    def described(self) -> int:
        """Pictures that could be described."""
        return self.statuses.get(OK, 0) + self.statuses.get(UNKNOWN, 0)

    @property
    def accuracy(self) -> float | None:
        """Share of right ones among the labelled pictures that were given a category; None where there are none."""
        return float((self.true == self.predicted).mean()) if len(self.true) else None

    def scores(self) -> dict[str, Any]:
        """What the manifest says of pictures that lie in the folder of a category; nothing where there are none."""
        if not self.labelled:
            return {}
        right = self.true == self.predicted
        known: dict[str, Any] = {
            "pictures": self.labelled,
            "answered": len(right),
            "categories": len(np.unique(self.true)),
            "mistakes": int((~right).sum()),
        }
        if self.accuracy is None:
            return {"labelled": known}
        shares = intervals.accuracies(right, self.true, int(self.true.max()) + 1)
        return {
            "labelled": {**known, "category_accuracy": intervals.interval(shares)._asdict()},
            "accuracy": self.accuracy,
        }

    def tables(self, categories: Sequence[str]) -> dict[str, pa.Table]:
        """Tables of the labelled pictures that were given a category, by name; none where there are none of these."""
        if not len(self.true):
            return {}
        return {
            "confusion_matrix": tables.confusion_matrix(self.true, self.predicted, categories),
            "categories": tables.categories_table(self.true, self.predicted, categories),
            "mistakes": self.mistakes,
        }


class _Mistakes:
    """The surest of the mistakes that are added to it. It holds twice as many as are listed at most, and one part."""

    def __init__(self) -> None:
        self._parts: list[pa.Table] = []
        self._rows = 0

    def add(self, part: pa.Table) -> None:
        """Takes the mistakes of one file of predictions."""
        self._parts.append(part)
        self._rows += part.num_rows
        if self._rows > 2 * MOST_MISTAKES:
            self._parts = [self.table()]
            self._rows = self._parts[0].num_rows

    def table(self) -> pa.Table:
        """The surest of all, the surest first."""
        return tables.worst_mistakes(pa.concat_tables(self._parts), MOST_MISTAKES).combine_chunks()


def _gathered(
    folder: storage.RunFolder, place: str, made: Sequence[str], images: dataset.Images, categories: Sequence[str]
) -> _Found:
    """Reads all files of predictions, checks that they hold every picture once, and removes others beside them."""
    there, keep = set(folder.parts(place)), place == _PARTS
    folder.remove(place, there - set(made))
    if not there.issuperset(made):
        raise UserError(
            f"The executors' files of predictions are not in '{folder.uri(place)}': give --out an s3:// address, or a "
            "folder that all machines share."
        )
    with ThreadPoolExecutor(_READERS) as pool:
        read = pool.map(lambda part: _read(folder.uri(f"{place}/{part}"), categories, keep=keep), dict.fromkeys(made))
        found, mistakes = [], _Mistakes()
        for part in read:
            mistakes.add(part.mistakes)
            found.append(replace(part, mistakes=None))
    table = pa.concat_tables([part.table for part in found if part.table is not None]).sort_by("ima") if keep else None
    same = table is None or table["ima"].combine_chunks().equals(images.table["ima"].combine_chunks())
    rows = sum(part.rows for part in found)
    if rows != len(images) or not same:
        raise UserError(
            f"Of {len(images)} pictures {rows} came back from prediction: the result would be wrong; please report "
            "this."
        )
    pairs = np.concatenate([part.pairs for part in found])
    return _Found(
        table,
        _sum(part.statuses for part in found),
        _sum(part.categories for part in found),
        pa.concat_tables([part.rejected for part in found]).sort_by("path").combine_chunks(),
        pairs // len(categories),
        pairs % len(categories),
        sum(part.labelled for part in found),
        mistakes.table(),
    )


def _read(uri: str, categories: Sequence[str], *, keep: bool) -> _Part:
    table = from_parquet(storage.read_bytes(uri))
    folders = dataset.folders_of(table["ima"])
    true = pc.index_in(folders, pa.array(categories, pa.string()))
    both = pc.and_(pc.is_valid(true), pc.is_valid(table["prediction"]))
    pairs = true.filter(both).to_numpy().astype(np.int64) * len(categories)
    pairs += table["prediction"].filter(both).to_numpy().astype(np.int64)
    answered = table.append_column("cat", folders).filter(both).select(list(_MISTAKES))
    bad = table.filter(pc.invert(pc.is_in(table["status"], pa.array([OK, UNKNOWN]))))
    return _Part(
        table.num_rows,
        table if keep else None,
        _counts(table["status"]),
        _counts(table["predicted_cat"]),
        bad.select(["ima", "status"]).rename_columns(["path", "reason"]),
        pairs,
        len(true) - true.null_count,
        tables.worst_mistakes(answered, MOST_MISTAKES),
    )


def _counts(column: pa.ChunkedArray) -> dict[str, int]:
    found = pc.value_counts(column.drop_null())
    return {item["values"].as_py(): item["counts"].as_py() for item in found}


def _sum(counts: Iterable[Mapping[str, int]]) -> dict[str, int]:
    total: Counter[str] = Counter()
    for each in counts:
        total.update(each)
    return dict(sorted(total.items()))


def _write(folder: storage.RunFolder, place: str, found: _Found, scored: Mapping[str, pa.Table]) -> None:
    """The tables of the folder, in place of the files that they were gathered from where they are small."""
    folder.write("rejected.csv", tables.to_csv(found.rejected))
    if found.table is not None:
        folder.write(f"{_TABLE}.csv", tables.to_csv(found.table))
    for name, table in scored.items():
        folder.write(f"{name}.csv", tables.to_csv(table))
    if place == _PARTS:
        folder.remove(place, folder.parts(place))


def _dataset(images: dataset.Images, found: _Found) -> dict[str, Any]:
    without = found.statuses.get("no_descriptors", 0)
    return {
        "root": images.root,
        "listing_sha256": images.digest(),
        "images": len(images),
        "bytes": int(pc.sum(images.table["size"]).as_py()),
        "described": found.described,
        "unknown": found.statuses.get(UNKNOWN, 0),
        "without_descriptors": without,
        "rejected": found.rejected.num_rows - without,
    }
