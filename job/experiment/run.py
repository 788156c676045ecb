"""A whole run: list, describe, learn, encode, classify, score, and leave it all in a folder."""

import math
import os
import tempfile
import threading
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager, nullcontext, suppress
from dataclasses import fields, replace
from datetime import UTC, datetime
from importlib import import_module
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pyarrow.compute as pc

from job import __version__, dataset, storage
from job.engine import sizes
from job.engine.configuration import Configuration, started_by_spark_submit
from job.engine.versions import versions as versions_of
from job.errors import UsageError
from job.experiment.clock import Clock, Step
from job.experiment.recipe import Recipe
from job.report.console import Console
from job.settings import Settings
from job.splits import FOLDERS

if TYPE_CHECKING:
    from pyspark.sql import SparkSession

    from job.experiment.results import RunResult

SPLITS = tuple(FOLDERS)
# Modules that are needed in the session and take long to import: pyspark.ml brings pandas and scipy.
_LATER = (
    "job.experiment.work",
    "job.experiment.outputs",
    "job.stages.classifier",
    "job.stages.vocabulary",
    "job.stages.reducer",
    "scipy.optimize",
)


def run(*, spark: "SparkSession | None" = None, console: Console | None = None, **values: Any) -> "RunResult":
    """Make a whole run from Python, as the command `fruits run` does.

    Parameters
    ----------
    spark
        The session to work in. None: the active one, or where there is none a session of its own, stopped at the end.
    console
        Where steps are told; None: nowhere.
    values
        Settings by name (`data="pictures", words=50`), as `fruits run --help` lists them; the environment is not
        looked at.

    Returns
    -------
    The run's record. Its frames can be used only as long as the session is there.

    Raises
    ------
    UserError
        In one sentence, with the way out.

    """
    from pyspark.sql import SparkSession

    from job.experiment.choices import choices
    from job.settings import resolve

    texts = {name: _text(value) for name, value in values.items()}
    unknown = set(texts) - {spec.name for spec in fields(Settings)} - {"config"}
    if unknown:
        raise UsageError(f"There is no setting '{min(unknown)}': see `fruits run --help`.")
    settings = resolve(texts, {}, choices=choices())
    data = data_of(settings)
    own = spark or SparkSession.getActiveSession()
    console = console or Console(quiet=True)
    begun = time.perf_counter()
    if own is not None:
        return execute(settings, data, nullcontext(own), console, begun)
    from job.engine.session import session

    return execute(settings, data, session(Configuration.of(settings)), console, begun)


def _text(value: Any) -> Any:
    """A setting's value as text, or as a list of texts, which is what settings are read from."""
    if value is None or isinstance(value, str):
        return value
    if isinstance(value, bool):
        return str(value).lower()
    return [str(item) for item in value] if isinstance(value, list | tuple) else str(value)


def default_run_name() -> str:
    """The UTC time, as a name of a folder."""
    return datetime.now(UTC).strftime("%Y-%m-%dT%H-%M-%S-%fZ")


def data_of(settings: Settings) -> str | None:
    """The address given, or the generated sample, written where this machine keeps temporary files."""
    if settings.data or settings.train:
        return settings.data
    from job.vision import sample

    if started_by_spark_submit() or not (settings.master or "local").startswith("local"):
        raise UsageError(
            "--data is missing: the generated sample is for this machine only, and a cluster's executors "
            "could not read it; give --data s3://bucket/prefix (`fruits sample` and `fruits upload` put "
            "one there)."
        )
    folder = Path(tempfile.gettempdir()) / f"fruits-sample-{__version__}-{os.getuid()}"
    sample.write_sample(folder)
    return str(folder)


def listings(settings: Settings, data: str | None) -> Iterator[dataset.Images]:
    """All pictures of each split, in the order of SPLITS, in the categories asked for.

    A folder of which pictures are kept back to test with is listed once: between two looks a picture might come.
    """
    whole = _one_folder(settings, data) if data is not None and settings.test_fraction else None
    for split, own in zip(SPLITS, (settings.train, settings.test), strict=True):
        if own:
            yield dataset.listing(split, own, "", settings.categories)
        elif whole is not None and settings.test_fraction:
            yield dataset.split_off(replace(whole, split=split), settings.test_fraction)
        else:
            assert data is not None
            yield dataset.listing(split, data, dataset.split_folder(split), settings.categories)


def _one_folder(settings: Settings, data: str) -> dataset.Images:
    """All pictures of a folder that has no splits. Raises UsageError when it has."""
    if settings.labels:
        return dataset.labelled(SPLITS[0], data, settings.labels, settings.categories)
    if not storage.is_packed(data) and set(FOLDERS.values()) <= set(storage.list_folders(data)):
        raise UsageError(
            f"{settings.given('test_fraction')} is for one folder of categories, and '{data}' has "
            f"{' and '.join(f'{name}/' for name in FOLDERS.values())} of its own: leave it out, or name one of the two."
        )
    return dataset.listing(SPLITS[0], data, "", settings.categories)


def chosen(settings: Settings, images: dataset.Images) -> dataset.Images:
    """As many of the pictures of a split as were asked for."""
    wanted = {"train": settings.train_images, "test": settings.test_images}[images.split]
    return dataset.choose(images, wanted, option=f"--{images.split}-images")


def warn_of_fewer(settings: Settings, images: dataset.Images, console: Console) -> None:
    """Warns where more pictures of a split were asked for than there are."""
    name = f"{images.split}_images"
    wanted = getattr(settings, name)
    if wanted is not None and wanted > len(images):
        split = {"train": "training"}.get(images.split, images.split)
        console.warning(
            f"{settings.given(name)} is more than the {len(images)} {split} pictures there are: all are used."
        )


def execute(settings: Settings, data: str | None, session: Any, console: Console, begun: float) -> "RunResult":
    """Runs everything in a session, which is a context that gives a SparkSession.

    Raises UserError, and leaves nothing half-written.
    """
    name = settings.run_name or default_run_name()
    recipe = Recipe.of(settings)
    clock = Clock(told(console), begun, console)
    console.start(name, settings.public())
    if settings.public_read:
        console.warning("Everybody will be able to read the results (--public-read).")
    folder = storage.RunFolder(settings.out, name, public_read=settings.public_read)
    folder.check_writable()
    images = list_splits(settings, data, clock, console)
    check_protocol(settings, images)
    if settings.event_log:
        storage.make_folder(settings.event_log)
    with _claimed(folder), ExitStack() as stack:
        with clock.operation("start_spark", "all") as finding:
            threading.Thread(target=load_ahead, daemon=True).start()
            spark: SparkSession = stack.enter_context(session)
            from job.experiment import outputs, work  # loaded while the session was waited for

            if sizes.has_fixed_executors(spark):
                work.warm_up(spark, images["train"], recipe)
            versions, cores = versions_of(spark), sizes.total_cores(spark)
            finding.facts = {
                "spark": versions["pyspark"],
                "cores": cores,
                "application": spark.sparkContext.applicationId,
            }
        result = work.result_of(spark, settings, recipe, images, cores, clock, name, versions, console)
        done = outputs.write(result, folder, clock, intermediate=settings.export_intermediate)
        work.warn_of_leaks(done, console)
        console.rounds([row.public() for row in done.rounds])
        console.timings(done.timings(), work.reference_beside(done))
        console.done(folder.uri(), done.accuracy, done.seconds)
    return done


@contextmanager
def _claimed(folder: storage.RunFolder) -> Iterator[None]:
    """The folder is this run's own; when the run fails, all that it wrote is removed."""
    folder.claim()
    try:
        yield
    except BaseException:
        folder.discard()
        raise


def told(console: Console) -> Any:
    """A listener that tells each step of a clock on a console, but for those that are told apart."""

    def tell(step: Step) -> None:
        if step.operation not in ("read_images", "export"):
            console.step(step.operation, step.split, step.facts, preview=step.preview, seconds=step.seconds)

    return tell


def load_ahead() -> None:
    """Loads modules while the JVM and its executors are waited for.

    What can't be loaded is told where it is wanted. After an interruption nothing is: it may have come while the main
    thread loaded a module that one of these needs.
    """
    with suppress(Exception):
        for name in _LATER:
            import_module(name)
        from job.report import html

        html.template()


def list_splits(settings: Settings, data: str | None, clock: Clock, console: Console) -> dict[str, dataset.Images]:
    """The pictures of all splits, chosen and told."""
    found = {}
    coming = listings(settings, data)
    for split in SPLITS:
        with clock.operation("read_images", split):
            found[split] = next(coming)
    dataset.check_categories(found["train"], found["test"], classify=not settings.no_classify)
    for images in found.values():
        warn_of_fewer(settings, images, console)
    found = {split: chosen(settings, images) for split, images in found.items()}
    for split, step in zip(SPLITS, clock.steps, strict=True):
        images = found[split]
        facts: dict[str, Any] = {"root": images.root, "pictures": len(images), "categories": len(images.categories())}
        if images.passed_over:
            facts["of_no_picture_kind"] = ", ".join(f"{count} {kind}" for kind, count in images.passed_over.items())
        left = left_alone(settings, images)
        if left:
            facts["left_alone"] = ", ".join(f"{name}/" for name in left)
        console.step("read_images", split, facts, preview=images.table.slice(0, 5), seconds=step.seconds)
        console.categories(split, images.categories())
    return found


def check_protocol(settings: Settings, images: dict[str, dataset.Images]) -> None:
    """Raises UserError when the protocol can't be made of these pictures, before anything is started for them."""
    if settings.protocol != Settings.protocol:
        from job.experiment import work

        work.rounds_of(settings, images)


def left_alone(settings: Settings, images: dataset.Images) -> list[str]:
    """Folders of a data set on this machine, beside those of its training and test pictures: `Validation`."""
    root = images.root
    if images.split != SPLITS[0] or settings.data is None or settings.test_fraction or storage.is_remote(root):
        return []
    return (
        [] if storage.is_packed(root) else [name for name in storage.list_folders(root) if name not in FOLDERS.values()]
    )


def plan(settings: Settings, data: str | None, cores: int, console: Console) -> list[dict[str, Any]]:
    """What a run would do, for `--dry-run`: pictures, bytes and partitions of each split; no work is done."""
    images = dict(zip(SPLITS, listings(settings, data), strict=True))
    dataset.check_categories(images["train"], images["test"], classify=not settings.no_classify)
    check_protocol(settings, {split: chosen(settings, found) for split, found in images.items()})
    rows = []
    for split, found in images.items():
        warn_of_fewer(settings, found, console)
        own = chosen(settings, found)
        count = dataset.planned_partitions(own, cores, exactly=settings.partitions, least=settings.min_partitions)
        rows.append(
            {
                "split": split,
                "pictures": len(own),
                "categories": len(own.categories()),
                "bytes": int(pc.sum(own.table["size"]).as_py()),
                "partitions": count,
                "pictures_per_task": math.ceil(len(own) / count),
            }
        )
    return rows
