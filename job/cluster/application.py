"""The SparkApplication that is submitted: the shipped one or the user's, checked, and set to what was asked for."""

import copy
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from decimal import Decimal
from pathlib import Path
from typing import Any

from job.cluster.command_line import Command, Run
from job.errors import UsageError

GROUP, VERSION, KIND, PLURAL = "sparkoperator.k8s.io", "v1beta2", "SparkApplication", "sparkapplications"
# Says that `fruits submit` made it, and may replace it.
MADE_BY = {"app.kubernetes.io/managed-by": "fruits-submit"}
DEFAULT_NAMESPACE = "fruits"
_NAME = re.compile(r"[a-z]([-a-z0-9]{0,42}[a-z0-9])?")
_CPU = re.compile(r"(\d+(?:\.\d+)?)(m?)")
# Amounts that the operator wants as texts, be they numbers.
_TEXTS = ("coreRequest", "coreLimit", "memory", "memoryOverhead")
# Maps whose keys have dots themselves.
_FLAT = ("sparkConf", "hadoopConf")

Document = dict[str, Any]


@dataclass(frozen=True)
class Wanted:
    """What the command line says of the application; None leaves it as the manifest has it."""

    name: str | None = None
    namespace: str | None = None
    image: str | None = None
    executors: int | None = None
    executor_cores: int | None = None
    fields: tuple[str, ...] = ()
    """`driver.memory=2g`: fields of the spec."""


def shipped() -> Path:
    """The manifest that comes with the package: `k8s/sparkapplication.yaml`, which the wheel has beside this file."""
    here = Path(__file__)
    places = (here.with_name("sparkapplication.yaml"), here.parents[2] / "k8s" / "sparkapplication.yaml")
    return next((path for path in places if path.is_file()), places[0])


def load(file: Path) -> Document:
    """The one SparkApplication in a file. Raises UsageError when it is none that can be submitted."""
    import yaml

    try:
        documents = [document for document in yaml.safe_load_all(file.read_text(encoding="utf-8")) if document]
    except OSError as error:
        raise UsageError(f"The manifest '{file}' can't be read ({error.strerror}): check --manifest.") from None
    except (yaml.YAMLError, UnicodeDecodeError) as error:
        raise UsageError(f"The manifest '{file}' is no YAML: {' '.join(str(error).split())[:200]}.") from None
    if len(documents) != 1:
        raise UsageError(
            f"The manifest '{file}' has {len(documents)} documents: give a file with one {KIND} and nothing else."
        )
    return check(documents[0], str(file))


def check(document: Any, source: str) -> Document:
    """The document, if the operator and `submit` can do something with it. Raises UsageError."""
    if not isinstance(document, dict):
        raise UsageError(f"The manifest '{source}' is no {KIND}: it must begin with apiVersion and kind.")
    api = f"{GROUP}/{VERSION}"
    for key, right in (("apiVersion", api), ("kind", KIND)):
        if document.get(key) != right:
            raise UsageError(f"{key} in '{source}' is '{document.get(key)}': it must be {right}.")
    metadata, spec = document.get("metadata"), document.get("spec")
    if not isinstance(metadata, dict) or not isinstance(spec, dict):
        raise UsageError(
            f"The manifest '{source}' lacks {'spec' if isinstance(metadata, dict) else 'metadata'}: "
            "compare it with k8s/sparkapplication.yaml."
        )
    _check_spec(spec, source)
    return document


def _check_spec(spec: Document, source: str) -> None:
    for key, rights in (("type", ("Python",)), ("mode", ("cluster", None))):
        if spec.get(key) not in rights:
            raise UsageError(
                f"spec.{key} in '{source}' is '{spec.get(key)}': it must be {rights[0]}, as the job is a "
                "Python program whose driver runs in the cluster."
            )
    for key in ("mainApplicationFile", "sparkVersion", "driver", "executor"):
        if not spec.get(key):
            raise UsageError(f"spec.{key} is missing in '{source}': compare it with k8s/sparkapplication.yaml.")
    arguments = spec.get("arguments", [])
    if not isinstance(arguments, list) or not all(isinstance(item, str) for item in arguments):
        raise UsageError(f"spec.arguments in '{source}' is no list of texts: put numbers into quotes.")
    if spec.get("suspend"):
        raise UsageError(f"spec.suspend in '{source}' is true, so that the job would never start: remove it.")


def prepare(
    document: Document, wanted: Wanted, given: Sequence[str], run_name: str, command: Command | None = None
) -> Document:
    """A copy with name, image, executors, further fields and the arguments of a command set: of `fruits run`, unless
    another one is given."""
    made = copy.deepcopy(document)
    metadata, spec = made["metadata"], made["spec"]
    metadata.pop("generateName", None)
    metadata["name"] = wanted.name or metadata.get("name") or f"fruits-{run_name.lower()}"
    if not _NAME.fullmatch(metadata["name"]):
        raise UsageError(
            f"The name '{metadata['name']}' can't be that of a {KIND}: use at most 44 lower-case letters, "
            "digits and '-', starting with a letter (--name)."
        )
    metadata["namespace"] = wanted.namespace or metadata.get("namespace") or DEFAULT_NAMESPACE
    metadata["labels"] = {**(metadata.get("labels") or {}), **MADE_BY}
    made.pop("status", None)
    for assignment in wanted.fields:
        _set(spec, assignment)
    if wanted.image:
        spec["image"] = wanted.image
    if not spec.get("image"):
        raise UsageError("spec.image is missing: give --image.")
    if wanted.executors:
        spec["executor"]["instances"] = wanted.executors
        spec.pop("dynamicAllocation", None)
    if wanted.executor_cores:
        _set_cores(spec["executor"], wanted.executor_cores)
    spec["arguments"] = _arguments(spec.get("arguments") or [], given, run_name, command or Run())
    return made


def runs(document: Document, command: Command) -> bool:
    """Whether its arguments are those of the command."""
    return bool(document["spec"].get("arguments", [])[:1] == [command.name])


def _arguments(of_manifest: list[str], given: Sequence[str], run_name: str, command: Command) -> list[str]:
    if isinstance(command, Run) and of_manifest and of_manifest[0] != command.name:
        return list(given) or of_manifest  # a program of the user's own
    return command.merge(of_manifest or [command.name], given, run_name)


def _set(spec: Document, assignment: str) -> None:
    """`driver.memory=2g`: sets a field of the spec; the value is YAML."""
    import yaml

    path, separator, text = assignment.partition("=")
    if not separator or not path:
        raise UsageError(f"--set '{assignment}' is no KEY=VALUE: write for example --set driver.memory=2g.")
    first, _, rest = path.partition(".")
    keys = [first, rest] if first in _FLAT and rest else path.split(".")
    place: Any = spec
    for key in keys[:-1]:
        place = place.setdefault(key, {}) if isinstance(place, dict) else None
    if not isinstance(place, dict):
        raise UsageError(f"--set '{assignment}' names no field of the spec: '{path}' goes through a value or a list.")
    try:
        value = yaml.safe_load(text)
    except yaml.YAMLError:
        raise UsageError(f"--set '{assignment}' has no YAML value: put it into quotes.") from None
    place[keys[-1]] = str(value) if first in _FLAT or keys[-1] in _TEXTS else value


def _set_cores(executor: Document, cores: int) -> None:
    """Task slots, and the CPU reserved in proportion to them."""
    before = int(executor.get("cores") or 1)
    executor["cores"] = cores
    for key in ("coreRequest", "coreLimit"):
        amount = _CPU.fullmatch(str(executor.get(key) or ""))
        if amount:
            number = Decimal(amount[1]) * cores / before
            executor[key] = f"{number.normalize():f}{amount[2]}"


def memory_fields(spec: Mapping[str, Any], role: str) -> str:
    """`driver.memory 1g, driver.memoryOverhead 512m`, as the spec has them."""
    part = spec.get(role) or {}
    said = [f"{role}.{key} {part[key]}" for key in ("memory", "memoryOverhead") if part.get(key)]
    return ", ".join(said) or f"{role}.memory is not set"
