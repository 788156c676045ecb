"""Every setting of a run, in one frozen model: where it comes from, what it may be, and why it is refused.

A value is taken from the flag, else from the environment (`FRUITS_WORDS=50`), else from the file named by
`--config` (TOML, `words = 50`), else from the preset, else from the default below.
"""

import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import MISSING, Field, InitVar, dataclass, field, fields
from types import MappingProxyType
from typing import Any, ClassVar

from job.errors import UsageError
from job.given import Given, check_file, flag_name, truth, values_given
from job.near_miss import did_you_mean
from job.numbers import whole_number
from job.presets import PRESETS, WEIGHING
from job.secrets import NO_LOGIN, hide_secret, holds_login, redact, without_logins
from job.spark_values import check_spark_value, spark_master

_RUN_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,127}")


def setting(
    default: Any,
    help_: str,
    parse: Callable[[Any], Any] = str,
    *,
    metavar: str | None = None,
    chosen: bool = False,
    repeat: bool = False,
) -> Any:
    """One setting: its default, its line in the help, and how its text becomes a value.

    A `chosen` one is a name of a registry: which names there are is said by who resolves the settings.
    """
    return field(
        default=default,
        metadata={"help": help_, "parse": parse, "metavar": metavar, "chosen": chosen, "repeat": repeat},
    )


def _fraction(text: str) -> float:
    try:
        value = float(text)
    except ValueError:
        value = -1.0
    if not 0.0 <= value <= 1.0:
        raise ValueError("a number from 0 to 1")
    return value


def _part(text: str) -> float:
    try:
        value = float(text)
    except ValueError:
        value = 0.0
    if not 0.0 < value < 1.0:
        raise ValueError("a number above 0 and below 1, such as 0.2")
    return value


def _names(given: str | Sequence[str]) -> tuple[str, ...]:
    listed = given.split(",") if isinstance(given, str) else given
    names = tuple(dict.fromkeys(name.strip() for name in listed if name.strip()))
    if not names:
        raise ValueError("names separated by commas")
    return names


def _sample(text: str) -> int | str:
    if text in ("all", "default"):
        return text
    try:
        return whole_number(1)(text)
    except ValueError as error:
        raise ValueError(f"{error}, 'all' or 'default'") from None


def _location(text: str) -> str:
    scheme, separator, _ = text.partition("://")
    if not text.strip() or (separator and scheme.lower() not in ("s3", "s3a", "s3n", "file")):
        raise ValueError("a folder or an s3:// address")
    return text


def _run_name(text: str) -> str:
    if not _RUN_NAME.fullmatch(text):
        raise ValueError("letters, digits, '.', '_' and '-', at most 128, starting with a letter or digit")
    return text


def _features(text: str) -> str:
    if not re.fullmatch(r"[a-z0-9_-]+(:[a-z0-9_-]+(:[1-9]\d*)?)?(\+[a-z0-9_-]+(:[a-z0-9_-]+(:[1-9]\d*)?)?)*", text):
        raise ValueError(
            "blocks such as rootsift:counts:500+orb: descriptors joined by +, each with an encoding and words"
        )
    return text


def _levels(text: str) -> str:
    if not re.fullmatch(r"[a-z]+(:[a-z]+)*(\+[a-z]+(:[a-z]+)*)*", text):
        raise ValueError("levels such as mild, strong, mild+strong or strong:light:blur, or off")
    return text


def _conf(given: str | Sequence[str]) -> tuple[str, ...]:
    pairs = tuple(given.split("\n") if isinstance(given, str) else given)
    if not all(re.fullmatch(r"[\w.-]+=.*", pair, re.DOTALL) for pair in pairs):
        raise ValueError("KEY=VALUE")
    return pairs


@dataclass(frozen=True, kw_only=True)
class Settings:
    """The settings of `fruits run`. Build one with `resolve`, which validates; a bare constructor does not."""

    data: str | None = setting(
        None, "folder or s3:// address with Training/ and Test/ (default: a generated sample)", _location, metavar="URI"
    )
    train: str | None = setting(
        None, "training pictures, one folder a category (with --test, instead of --data)", _location, metavar="URI"
    )
    test: str | None = setting(None, "test pictures, one folder a category", _location, metavar="URI")
    test_fraction: float | None = setting(
        None,
        "--data is one folder of categories: keep this part of each back to test with, the same pictures every time",
        _part,
        metavar="F",
    )
    labels: str | None = setting(
        None,
        "CSV file of pictures below --data (path) and what they show (category); with --test-fraction",
        _location,
        metavar="FILE",
    )
    out: str = setting("out", "where the run's folder is written", _location, metavar="URI")
    categories: tuple[str, ...] = setting((), "only these categories", _names, metavar="A,B")
    train_images: int | None = setting(
        None, "use N training pictures, spread evenly over the categories", whole_number(1), metavar="N"
    )
    test_images: int | None = setting(
        None, "use N test pictures, spread evenly over the categories", whole_number(1), metavar="N"
    )
    preset: str = setting(
        "accurate",
        "settings to start from, each of which another flag replaces",
        chosen=True,
    )
    descriptor: str | None = setting(
        None,
        "what describes a picture, in place of a preset's blocks of features: words, classifier and copies that are "
        "not given are then as in the preset sift",
        chosen=True,
    )
    words: int = setting(
        None,
        "size K of the visual vocabulary; with several blocks of features, of each that has words and says no number "
        "of its own: by default those of the small patches",
        whole_number(2),
        metavar="K",
    )
    features: str | None = setting(
        None,
        "blocks of features side by side, such as rootsift:counts:500+orb; DESCRIPTOR, :ENCODING and :WORDS each; they "
        "win over --descriptor",
        _features,
        metavar="A+B",
    )
    components: int = setting(
        None,
        "principal components kept (default: int(K - 0.3 K); all, with --features)",
        whole_number(1),
        metavar="N",
    )
    augment: str | None = setting(
        None,
        "changed copies of training pictures: off, mild, strong, or several such as mild+strong; kinds of change by "
        "name: strong:light:blur; a preset's are left out where another --classifier could not weigh them",
        _levels,
        metavar="LEVELS",
    )
    augment_images: int = setting(
        130, "of each category, copies are made of N training pictures at most", whole_number(1), metavar="N"
    )
    keep_background: bool = setting(False, "don't leave out the background of pictures", truth)
    vocabulary_sample: int | str = setting(
        None,
        "descriptors that the vocabulary is trained on: a number, 'all', or 'default' (1000 a word, at least 100,000)",
        _sample,
        metavar="N|all",
    )
    classifier: str = setting(None, "what learns the categories", chosen=True)
    protocol: str = setting("standard", "how training and test pictures are chosen", chosen=True)
    learning_curve: bool = setting(
        False, "also score the classifier on fewer training pictures a category, and more and more of them", truth
    )
    no_classify: bool = setting(False, "stop after the features", truth)
    export_intermediate: bool = setting(False, "also write images, descriptors and words per image as tables", truth)
    min_partitions: int = setting(
        1, "at least this many partitions, where there are as many pictures", whole_number(1), metavar="N"
    )
    partitions: int | None = setting(
        None, "exactly so many partitions (default: as cores and bytes want it)", whole_number(1), metavar="N"
    )
    seed: int = setting(123, "seed of every draw", whole_number(0, 2**63 - 1), metavar="N")
    max_bad_fraction: float = setting(
        0.5, "fail when more than this part of the pictures is unusable", _fraction, metavar="F"
    )
    cache: str | None = setting(
        None, "keep descriptors here, for later runs and after a crash", _location, metavar="URI"
    )
    event_log: str | None = setting(
        None, "write Spark's event log here, for the history server", _location, metavar="URI"
    )
    run_name: str | None = setting(None, "name of the run's folder (default: the UTC time)", _run_name, metavar="NAME")
    public_read: bool = setting(False, "make the results on S3 readable by everybody", truth)
    master: str | None = setting(
        None, "Spark master (default: local[*], or the cluster that started the job)", spark_master, metavar="URL"
    )
    conf: tuple[str, ...] = setting((), "a Spark setting; may be repeated", _conf, metavar="KEY=VALUE", repeat=True)
    wait_for_data: int = setting(
        0,
        "wait so many seconds for the data: until `fruits upload` has put it there whole",
        whole_number(0),
        metavar="SECONDS",
    )
    dry_run: bool = setting(False, "print the settings and the plan, do no work", truth)
    debug: bool = setting(False, "show the traceback of an error", truth)

    origins: InitVar[Mapping[str, Given] | None] = None
    _origins: ClassVar[Mapping[str, Given]] = MappingProxyType({})

    def __post_init__(self, origins: Mapping[str, Given] | None) -> None:
        """Keep where settings are from, which is no setting itself and makes no two of them differ."""
        object.__setattr__(self, "_origins", dict(origins or {}))

    def came_from(self) -> dict[str, str]:
        """Where each setting is from: "flag", "environment", "file", "preset" or "default"; no values."""
        return {f.name: self.given(f.name).place for f in fields(self)}

    def given(self, name: str) -> Given:
        """How a setting was given, for a sentence that finds fault with it."""
        return self._origins.get(name) or Given("default", flag_name(name), getattr(self, name))

    def public(self) -> dict[str, Any]:
        """All settings as JSON values, for the manifest and the console; values of secret Spark keys are hidden, and
        logins are left out of addresses."""
        values = {f.name: redact(f.name, getattr(self, f.name)) for f in fields(self)}
        values["conf"] = [hide_secret(pair) for pair in self.conf]
        return values

    def spark_conf(self) -> dict[str, str]:
        """`--conf` pairs as a dict; the last of a key wins."""
        return dict(pair.split("=", 1) for pair in self.conf)


def resolve(
    flags: Mapping[str, Any], environment: Mapping[str, str] | None = None, *, choices: Mapping[str, Sequence[str]]
) -> Settings:
    """Settings from given flags (text or None each), the environment and the file that `config` names. `choices` are
    the allowed names of each setting that is chosen from a registry.

    Raises
    ------
    UsageError
        With one sentence that names where the value came from, the value, and what it may be.
    """
    known = {f.name: f for f in fields(Settings)}
    check_file(known, flags, environment)
    given = values_given(known, flags, environment)
    allowed = {"preset": PRESETS.names, **choices}
    values = {
        name: _parse(known[name], one, allowed[name] if known[name].metadata["chosen"] else None)
        for name, one in given.items()
    }
    return _complete(values, given)


def _parse(spec: Field[Any], given: Given, choices: Sequence[str] | None) -> Any:
    """The value of one setting."""
    parse, raw = spec.metadata["parse"], given.value
    text = " ".join(map(str, raw)) if isinstance(raw, list) else str(raw)
    if choices and text not in choices:
        raise UsageError(
            f"{given.source} is '{text}'{did_you_mean(text, choices)}: choose one of {', '.join(choices)}."
        )
    if parse is _location and holds_login(text):
        raise UsageError(f"{given.source} {NO_LOGIN}")
    try:
        _check_kind(raw, parse)
        value = parse(raw if isinstance(raw, list) else text)
    except ValueError as error:
        shown = without_logins(text.replace("\n", " "))
        raise UsageError(f"{given.source} is '{shown}': it must be {error}.") from None
    if parse is _conf:
        _check_spark_values(value, given)
    return value


def _check_spark_values(pairs: Sequence[str], given: Given) -> None:
    """Raises UsageError for a Spark setting whose value Spark could not read."""
    for pair in pairs:
        key, _, value = pair.partition("=")
        try:
            check_spark_value(key, value)
        except ValueError as error:
            shown = without_logins(value)
            raise UsageError(f"{given.part(key)} is '{shown}': it must be {error}.") from None


def _check_kind(raw: Any, parse: Callable[[Any], Any]) -> None:
    if isinstance(raw, list):
        if parse not in (_names, _conf):
            raise ValueError("one value, not a list")
        if not all(isinstance(item, str) for item in raw):
            raise ValueError("a list of texts")
    elif not isinstance(raw, str | int | float) or (isinstance(raw, bool) and parse is not truth):
        raise ValueError("text in quotes" if parse in (str, spark_master, _location, _run_name) else "text or a number")


def _of_preset(name: str, given: Mapping[str, Any]) -> dict[str, Any]:
    """What a preset decides beside the values that were given."""
    preset = PRESETS.get(name)
    values = dict(preset.values)
    if values.get("features") and "descriptor" in given and "features" not in given:
        # one block was asked for, in place of the preset's
        values = {**(PRESETS.get(preset.alone).values if preset.alone else values), "features": None}
    if values.get("augment") and given.get("classifier", values.get("classifier")) not in WEIGHING:
        values["augment"] = "off"
    return values


def _complete(values: dict[str, Any], given: Mapping[str, Given]) -> Settings:
    """Fill in what the preset decides, then check what concerns more than one setting. `given` are the values as they
    were given."""
    defaults = {f.name: f.default for f in fields(Settings) if f.default is not MISSING}
    preset = values.get("preset", defaults["preset"])
    decided = _of_preset(preset, values)
    filled = {**defaults, **decided, **values}
    if filled["components"] is None:
        filled["components"] = 0 if filled["features"] else max(1, int(filled["words"] - 0.3 * filled["words"]))
    of_preset = {
        name: Given("preset", flag_name(name), f"{value} of --preset {preset}") for name, value in decided.items()
    }
    settings = Settings(**filled, origins={**of_preset, **given})
    _check_sizes(settings)
    _check_pictures(settings)
    _check_classifier(settings)
    return settings


def _check_sizes(settings: Settings) -> None:
    """Raises UsageError for numbers that don't fit together."""
    words, sample = settings.given("words"), settings.vocabulary_sample
    if settings.components > settings.words and not settings.features:
        raise UsageError(
            f"{settings.given('components')} is more than {words}: there are at most as many components as words."
        )
    if isinstance(sample, int) and sample < settings.words:
        raise UsageError(
            f"{settings.given('vocabulary_sample')} is less than {words}: a word needs a descriptor, better a thousand."
        )


def _check_pictures(settings: Settings) -> None:
    """Raises UsageError where it is not said, or said in two ways, which pictures are meant."""
    source = {f.name: settings.given(f.name).source for f in fields(settings)}
    if settings.data and (settings.train or settings.test):
        other = source["train" if settings.train else "test"]
        raise UsageError(f"{source['data']} is given together with {other}: give either --data, or --train and --test.")
    if bool(settings.train) != bool(settings.test):
        missing, there = ("--test", source["train"]) if settings.train else ("--train", source["test"])
        raise UsageError(f"{missing} is missing: {there} and {missing} go together.")
    if settings.labels and not settings.test_fraction:
        raise UsageError(
            f"{source['labels']} is given without --test-fraction: say which part is kept back to test with, such as "
            "0.2."
        )
    if settings.test_fraction and not settings.data:
        raise UsageError(f"{source['test_fraction']} is given without --data: it is for one folder of categories.")
    if settings.wait_for_data and not settings.data:
        raise UsageError(f"{settings.given('wait_for_data')} is given without --data: there is nothing to wait for.")


def _check_classifier(settings: Settings) -> None:
    """Raises UsageError for what scores a classifier where none is wanted."""
    if not settings.no_classify:
        return
    for name, is_wanted in (
        ("protocol", settings.protocol != Settings.protocol),
        ("learning_curve", settings.learning_curve),
    ):
        if is_wanted:
            raise UsageError(
                f"{settings.given(name)} is given together with {settings.given('no_classify')}: it scores a "
                "classifier, so leave one of them out."
            )
