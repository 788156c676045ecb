"""`fruits tune` as a whole: describe once, fit candidates side by side in ever more pictures, score the winner."""

import threading
import time
from collections.abc import Iterable, Mapping, Sequence
from contextlib import ExitStack
from dataclasses import replace
from functools import partial
from typing import TYPE_CHECKING, Any

import numpy as np
import pyarrow as pa

from job import dataset, storage
from job.engine import sizes
from job.engine.versions import versions as versions_of
from job.errors import UserError
from job.experiment import run, work
from job.experiment.clock import Clock
from job.experiment.extract import Extracted, Partitioning
from job.experiment.rounds import Rounds
from job.experiment.tuning import outputs, plan, ranking, results
from job.experiment.tuning.candidates import Candidate, candidate, name_of
from job.experiment.tuning.contest import Contest
from job.experiment.tuning.features import histograms
from job.experiment.tuning.options import Options, work_of
from job.experiment.tuning.plan import Pictures
from job.experiment.tuning.ranking import DONE, DROPPED, FAILED, UNFINISHED, Result
from job.experiment.tuning.results import Outcome, Tuned
from job.experiment.tuning.sampling import BATCH, Sampler, span
from job.learn import groups, intervals
from job.report.console import Console
from job.report.tables import to_csv
from job.settings import Settings

if TYPE_CHECKING:
    from pyspark.sql import SparkSession

_FOLDS = "folds.csv"


def execute(
    settings: Settings, options: Options, data: str | None, session: Any, console: Console, begun: float
) -> Tuned:
    """Compares the candidates in a session, which is a context that gives a SparkSession.

    Results of candidates are kept in the run's folder while it works, so that an attempt that was stopped can be gone
    on with.

    Raises
    ------
    UserError
        In one sentence, with the way out.

    """
    name = settings.run_name or run.default_run_name()
    clock = Clock(run.told(console), begun, console)
    asked = {key: value for key, value in settings.public().items() if key not in results.NOT_OURS}
    console.start(name, {**asked, **options.public()}, "tune")
    if settings.public_read:
        console.warning("Everybody will be able to read the results (--public-read).")
    folder = storage.RunFolder(settings.out, name, public_read=settings.public_read, goes_on=True)
    folder.check_writable()
    images = run.list_splits(settings, data, clock, console)
    work.rounds_of(settings, images)  # raises UserError where the protocol can't be made of these pictures
    if settings.event_log:
        storage.make_folder(settings.event_log)
    with results.claimed(folder, work_of(settings, options, images), resume=options.resume) as begun_before:
        if options.resume and not begun_before:
            console.warning(f"There is no beginning of a run '{name}' in '{settings.out}': all is done from the start.")
        try:
            tuned = _tuned(settings, options, images, session, folder, clock, console)
            outputs.write(tuned, settings, data, images, folder)
        except BaseException:
            if results.names_kept(folder):
                console.warning(f"Results so far are kept: go on with --run-name {name} --resume.")
            raise
    outputs.tell(tuned, console, folder)
    return tuned


def _tuned(
    settings: Settings,
    options: Options,
    images: Mapping[str, dataset.Images],
    session: Any,
    folder: storage.RunFolder,
    clock: Clock,
    console: Console,
) -> Tuned:
    """What the search finds in the session."""
    with ExitStack() as stack:
        with clock.operation("start_spark", "all") as finding:
            threading.Thread(target=run.load_ahead, daemon=True).start()
            spark: SparkSession = stack.enter_context(session)
            versions, cores = versions_of(spark), sizes.total_cores(spark)
            finding.facts = {"spark": versions["pyspark"], "cores": cores}
        found = _Search(spark, settings, options, images, folder, cores, clock, console).work()
    clock.total()
    return Tuned(
        name=folder.name,
        settings={key: value for key, value in settings.public().items() if key not in results.NOT_OURS},
        versions=versions,
        cores=cores,
        arguments=options.public(),
        steps=tuple(clock.steps),
        **found,
    )


class _Search:
    """Works through the rungs."""

    def __init__(
        self,
        spark: "SparkSession",
        settings: Settings,
        options: Options,
        images: Mapping[str, dataset.Images],
        folder: storage.RunFolder,
        cores: int,
        clock: Clock,
        console: Console,
    ) -> None:
        self._spark, self._settings, self._options, self._images = spark, settings, options, images
        self._folder, self._cores, self._clock, self._console = folder, cores, clock, console
        self._partitioning = Partitioning(cores, settings.partitions, settings.min_partitions)
        self._deadline = None if options.budget is None else clock.begun + options.budget
        self._field = options.field
        # what candidates have found, by rung and place, and why those failed that have found nothing
        self._raw: dict[tuple[int, int], Mapping[str, Any]] = {}
        self._failed: dict[int, str] = {}
        candidates = options.field.candidates
        train = images["train"]
        categories = len(train.categories())
        able = sum(one.recipe is not None for one in candidates)
        ends = plan.sizes(len(train), categories, able + options.trials)
        rung = plan.rungs(train, ends)
        table = train.table.append_column("rung", pa.array(rung, pa.int32()))
        self._train = replace(train, table=table)
        self._contest = Contest(
            spark,
            self._train,
            [one.recipe for one in candidates],
            self._partitioning,
            clock,
            seed=settings.seed,
            span=span(options.space, settings) if options.trials else (),
        )

    def work(self) -> dict[str, Any]:
        """All rungs, and the winner on the test pictures."""
        pictures, rejected = self._pictures()
        self._try(pictures)
        field = self._field
        problems = {place: one.problem for place, one in enumerate(field.candidates) if one.recipe is None}
        outcomes = {place: Outcome(FAILED, None, said) for place, said in problems.items()}
        alive = self._order(place for place in range(len(field.candidates)) if place not in problems)
        found: list[dict[int, Result]] = []
        last = len(pictures.rungs) - 1
        for rung in range(len(pictures.rungs)):
            with self._clock.operation("cross_validate", f"rung {rung + 1}") as finding:
                finding.parts = partial(self._compared, rung, alive)
                own, failed = self._rung(pictures, rung, alive)
                found.append(own)
                for place in alive:
                    before = outcomes[place].result if place in outcomes else None
                    if place in failed:
                        outcomes[place] = Outcome(FAILED, before, failed[place])
                    elif place in own:
                        outcomes[place] = Outcome(DONE if rung == last else UNFINISHED, own[place])
                    else:
                        said = f"The budget was over before it was fitted on {pictures.rungs[rung]} pictures."
                        outcomes[place] = Outcome(UNFINISHED, before, said)
                finding.facts = {"pictures": pictures.rungs[rung], "candidates": len(own), "failed": len(failed)}
            if rung == last or not own:
                break
            alive = self._onwards(own, outcomes, rung, pictures)
        if not any(found):
            raise UserError(_nothing(outcomes, self._options))
        top = max(number for number, own in enumerate(found) if own)
        best = ranking.winner(found[top])
        test = self._rescore(field.candidates[best])
        return {
            "root": self._images["train"].root,
            "field": field,
            "pictures": pictures,
            "rejected": rejected,
            "rungs": tuple(found),
            "outcomes": outcomes,
            "extractions": tuple(self._contest.extractions),
            "route": self._contest.route,
            "winner": best,
            "test": test,
        }

    def _onwards(
        self, own: Mapping[int, Result], outcomes: dict[int, Outcome], rung: int, pictures: Pictures
    ) -> list[int]:
        """The candidates of the next rung; the others are marked."""
        field = self._field
        going = ranking.survivors(own, (field.default, field.hsv))
        for place in own:
            if place not in going:
                said = f"Dropped after {pictures.rungs[rung]} pictures: others were more accurate, or cheaper."
                outcomes[place] = Outcome(DROPPED, own[place], said)
        return self._order(going)

    def _order(self, places: Iterable[int]) -> list[int]:
        """Those that others are compared with come first, so that they are finished before a budget is over; then those
        with the longest vectors, which take longest."""
        field = self._field

        def key(place: int) -> tuple[bool, int, int]:
            recipe = field.candidates[place].recipe
            assert recipe is not None
            words = sum(block.words for block in recipe.blocks)
            return place not in (field.default, field.hsv), -words * (1 + len(recipe.copies)), place

        return sorted(places, key=key)

    # ---- candidates that are sought

    def _try(self, pictures: Pictures) -> None:
        """Seeks candidates in the space: some are asked for, compared on the pictures of the first rung, and told."""
        if not self._options.trials:
            return
        sampler = Sampler(self._options.space, self._settings.seed)
        with self._clock.operation("seek_candidates", "rung 1") as finding:
            for first in range(0, self._options.trials, BATCH):
                if self._over():
                    break
                asked = [sampler.ask() for _ in range(min(BATCH, self._options.trials - first))]
                places = [self._place(given) for _, given in asked]
                able = [place for place in dict.fromkeys(places) if self._field.candidates[place].recipe is not None]
                own, _ = self._rung(pictures, 0, able, keep=True)
                for (trial, _), place in zip(asked, places, strict=True):
                    sampler.tell(trial, own[place].mean if place in own else None)
            finding.facts = {"candidates": len(self._field.candidates)}

    def _place(self, given: Mapping[str, Any]) -> int:
        """The place of the candidate with these settings, which is added where it is not there."""
        one = candidate(name_of(given), given, self._settings)
        for place, known in enumerate(self._field.candidates):
            if known.recipe == one.recipe if one.recipe else known.name == one.name:
                return place
        self._field = replace(self._field, candidates=(*self._field.candidates, one))
        self._contest.add(one.recipe)
        return len(self._field.candidates) - 1

    # ---- pictures

    def _pictures(self) -> tuple[Pictures, pa.Table]:
        """The pictures in their folds: as an earlier attempt has kept them, or described now."""
        kept = self._kept_pictures()
        if kept is not None:
            return kept
        described = self._contest.describe()
        self._check(described.extracted)
        rejected = described.extracted.rejected
        gone = set(rejected["path"].to_pylist())
        rows = [row for row in self._train.table.to_pylist() if row["ima"] not in gone]
        rows.sort(key=lambda row: (row["rung"], row["ima"]))
        names, cats = [row["ima"] for row in rows], [row["cat"] for row in rows]
        options = self._options
        own, by = plan.grouped(names, cats, options.folds, options.group_by, lambda: histograms(described, names))
        folds = groups.assigned(own, cats, options.folds, self._settings.seed)
        rung = np.array([row["rung"] for row in rows])
        ends = tuple(int((rung <= number).sum()) for number in range(int(rung.max()) + 1))
        found = Pictures(names, cats, ends, own, folds, by)
        table = found.table().replace_schema_metadata({"grouped_by": by})
        self._folder.write(_FOLDS, to_csv(table))
        self._folder.write("rejected.csv", to_csv(rejected))
        return found, rejected

    def _kept_pictures(self) -> tuple[Pictures, pa.Table] | None:
        if not self._options.resume or not storage.exists(self._folder.uri(_FOLDS)):
            return None
        try:
            table = outputs.from_csv(storage.read_bytes(self._folder.uri(_FOLDS)))
            rejected = outputs.from_csv(storage.read_bytes(self._folder.uri("rejected.csv")))
        except (pa.ArrowInvalid, UserError):
            return None
        by = "pattern" if self._options.group_by is not None else "frames"
        names, cats = table["ima"].to_pylist(), table["cat"].to_pylist()
        if by == "frames" and groups.turns(names, cats, self._options.folds) is None:
            by = "duplicates"
        return Pictures.of(table, by), rejected

    def _check(self, done: Extracted) -> None:
        recipe = self._field.candidates[self._field.hsv].recipe
        assert recipe is not None
        work.check_usable(self._settings, replace(recipe, blocks=()), done)

    # ---- a rung

    def _rung(
        self, pictures: Pictures, rung: int, alive: Sequence[int], *, keep: bool = False
    ) -> tuple[dict[int, Result], dict[int, str]]:
        """Results of a rung by candidate, and why others failed. What is missing in both was not begun."""
        options, settings, raw = self._options, self._settings, self._raw
        self._remember(rung, alive)
        todo = [place for place in alive if (rung, place) not in raw and place not in self._failed]
        if todo and not self._over():
            trainings = plan.trainings(pictures, rung, options.folds, settings.protocol, settings.seed)

            def done(place: int, found: Mapping[str, Any] | None, sentence: str) -> None:
                one = self._field.candidates[place]
                if found is None:
                    self._failed[place] = sentence
                    self._console.warning(f"The candidate {one.name} failed: {sentence}")
                    return
                results.keep(self._folder, one, rung, found)
                raw[rung, place] = found
                self._tell(one, rung, self._result(found, rung, pictures))

            self._contest.compete(pictures, rung, trainings, todo, done, self._over, keep=keep)
        own = {place: self._result(raw[rung, place], rung, pictures) for place in alive if (rung, place) in raw}
        return own, {place: self._failed[place] for place in alive if place in self._failed}

    def _compared(self, rung: int, alive: Sequence[int]) -> tuple[int, int, str]:
        """How many of these candidates are done."""
        done = sum((rung, place) in self._raw or place in self._failed for place in alive)
        return done, len(alive), "candidates"

    def _remember(self, rung: int, alive: Sequence[int]) -> None:
        """Takes what an earlier attempt has kept."""
        if not self._options.resume:
            return
        there, count = results.names_kept(self._folder), 0
        for place in alive:
            if (rung, place) not in self._raw:
                one = self._field.candidates[place]
                earlier = results.kept(self._folder, one, rung, self._options.folds, there)
                if earlier is not None:
                    self._raw[rung, place] = earlier
                    count += 1
        if count:
            were = "candidate was" if count == 1 else "candidates were"
            self._console.warning(f"{count} {were} fitted by an earlier attempt, and not again.")

    def _result(self, found: Mapping[str, Any], rung: int, pictures: Pictures) -> Result:
        folds = found["folds"]
        return Result(
            rung,
            ranking.shares_of(folds, self._options.folds, len(pictures.categories)),
            sum(sum(split["pictures"]) for one in folds for split in one["splits"]),
            float(np.mean([one["fit_seconds"] for one in folds])) + found["words_seconds"],
            found["milliseconds"],
            found["bytes"],
        )

    def _tell(self, one: Candidate, rung: int, result: Result) -> None:
        known = result.accuracy
        facts = {
            "candidate": one.name,
            "accuracy": round(known.mean, 4),
            "interval": f"{known.low:.3f} to {known.high:.3f}",
            "fit_seconds": round(result.fit_seconds, 2),
            "ms_per_picture": None if result.milliseconds is None else round(result.milliseconds, 2),
        }
        self._console.step("fit_candidate", f"rung {rung + 1}", facts)

    def _over(self) -> bool:
        """Whether the budget is used up."""
        return self._deadline is not None and time.perf_counter() >= self._deadline

    # ---- the winner

    def _rescore(self, one: Candidate) -> list[dict[str, Any]]:
        """The winner, learned from all training pictures as by `fruits run`, scored once on the test pictures."""
        recipe = one.recipe
        assert recipe is not None

        def check(done: Extracted) -> None:
            work.check_usable(self._settings, recipe, done)

        rows = []
        with self._clock.operation("score_winner", "test") as finding:
            quiet = self._clock.aside()
            rounds = Rounds(self._spark, recipe, self._images, self._partitioning, clock=quiet, check=check)
            for number, part in enumerate(work.rounds_of(self._settings, self._images)):
                known = self._contest.known(recipe) if part.train.rows is None and not number else None
                for split, scores in rounds.scores(part, *(known or ())).items():
                    shares = np.array(
                        [np.nan if value is None else value for value in scores.categories["recall"].to_pylist()]
                    )
                    sure = intervals.interval(shares.astype(np.float64))
                    rows.append(
                        {
                            "round": part.name,
                            "split": split,
                            "pictures": scores.predictions.num_rows,
                            "right": scores.accuracy,
                            "accuracy": sure.mean,
                            "low": sure.low,
                            "high": sure.high,
                            "calibration_error": scores.calibration_error,
                        }
                    )
            finding.facts = {"candidate": one.name, "accuracy": round(float(np.mean([r["accuracy"] for r in rows])), 4)}
        return rows


def _nothing(outcomes: Mapping[int, Outcome], options: Options) -> str:
    """Why there is no winner."""
    failed = [outcome.sentence for outcome in outcomes.values() if outcome.status == FAILED]
    if len(failed) == len(outcomes):
        return f"Every candidate failed; the first one said: {failed[0]}"
    return f"The budget of {options.budget:g} s was over before one candidate was fitted: raise --budget."
