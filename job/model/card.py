"""The card of a model: what it is, what it was made from, how good it is and where it ends, in plain words.

It is a `README.md` with the front matter that Hugging Face's hub reads, and the same figures for programs in
`eval_results.yaml`. Both lie beside the model, whose checksums leave them out: whoever has the model may add to them.
"""

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

CARD, RESULTS = "README.md", "eval_results.yaml"
# Categories and mistakes that a card names before it refers to the run's tables.
_MOST_CATEGORIES, _MOST_CONFUSIONS = 200, 15
# What the recipes beside the run's own are called.
_BESIDE = {"hsv": "a histogram of colours (`hsv`)", "reference": "the prototype (`reference`)"}


@dataclass(frozen=True, kw_only=True)
class Evidence:
    """What a card is made of.

    Attributes
    ----------
    manifest
        The run's manifest, as JSON values.
    day
        The day on which the model was made, as `2026-11-28`.
    categories
        For each category `cat, precision, recall, support`; empty where nothing was scored.
    confusions
        True category, predicted category and number of pictures, of wrong predictions, most frequent first.

    """

    manifest: Mapping[str, Any]
    day: str
    categories: Sequence[Mapping[str, Any]]
    confusions: Sequence[tuple[str, str, int]]

    @property
    def name(self) -> str:
        """Name of the run."""
        return str(self.manifest["run_name"])

    @property
    def metrics(self) -> list[dict[str, Any]]:
        """The figures of the scored split, each with `type`, `name` and `value`."""
        kinds = {"accuracy": "Accuracy", "calibration_error": "Expected calibration error"}
        values = ((kind, name, self.manifest.get(kind)) for kind, name in kinds.items())
        return [
            {"type": kind, "name": name, "value": float(value)} for kind, name, value in values if value is not None
        ]


def card(found: Evidence) -> str:
    """The card as Markdown."""
    parts = [_front_matter(found), _what(found), _use(), _data(found), _recipe(found), _figures(found)]
    return "\n".join([*parts, _limits(found)])


def results(found: Evidence) -> str:
    """The figures as YAML: a list of `task, dataset, metrics`, one for the scored split and one for each row of the
    protocol's rounds that has figures."""
    import yaml

    entries = [_result(found, "test", found.metrics)]
    for row in found.manifest.get("protocol", []):
        if row["accuracy"] is None:
            continue
        figures = {"type": "accuracy", "value": row["accuracy"], "interval": [row["low"], row["high"]]}
        dataset = f"{row['round']}, {row['split']}"
        entries.append(_result(found, dataset, [figures], model=row["model"], pictures=row["pictures"]))
    return str(yaml.safe_dump([entry for entry in entries if entry["metrics"]], sort_keys=False, allow_unicode=True))


def _result(found: Evidence, split: str, metrics: list[dict[str, Any]], **more: Any) -> dict[str, Any]:
    return {
        "task": {"type": "image-classification"},
        "dataset": {"name": "pictures of the run", "type": "folder", "split": split},
        "run": found.name,
        **more,
        "metrics": metrics,
    }


def _front_matter(found: Evidence) -> str:
    import yaml

    content: dict[str, Any] = {
        "library_name": "fruits-job",
        "pipeline_tag": "image-classification",
        "tags": ["image-classification", "bag-of-visual-words"],
    }
    if found.metrics:
        content["metrics"] = ["accuracy"]
        result = {
            "task": {"type": "image-classification"},
            "dataset": {"name": "pictures of the run", "type": "folder"},
            "metrics": found.metrics,
        }
        content["model-index"] = [{"name": found.name, "results": [result]}]
    return f"---\n{yaml.safe_dump(content, sort_keys=False, allow_unicode=True)}---\n"


def _what(found: Evidence) -> str:
    train = found.manifest["dataset"]["train"]
    names = sorted(train["categories"])
    shown = ", ".join(map(_plain, names[:_MOST_CATEGORIES]))
    more = f" and {len(names) - _MOST_CATEGORIES} more" if len(names) > _MOST_CATEGORIES else ""
    return (
        f"# {_plain(found.name)}\n\n"
        f"This model says which of {len(names)} categories a picture shows, and how sure that is. It was made on "
        f"{found.day} by `fruits` {found.manifest['versions'].get('fruits', '')}.\n\n"
        f"Categories: {shown}{more}.\n"
    )


def _use() -> str:
    return (
        "## How to use it\n\n"
        "```sh\nfruits predict --model . apple.jpg     # at once, without Spark\n"
        "fruits serve --model .                 # over HTTP\n```\n\n"
        "```python\nfrom job import load_model\n\nprint(load_model('.').predict('apple.jpg'))\n```\n\n"
        "With MLflow: `mlflow.pyfunc.load_model('.')`, on a frame with the bytes of pictures in the column `picture`.\n"
    )


def _data(found: Evidence) -> str:
    rows = ["| split | pictures | categories | described | could not be used |", "|---|---|---|---|---|"]
    for name, split in found.manifest["dataset"].items():
        unused = split["without_descriptors"] + split["rejected"]
        rows.append(f"| {name} | {split['images']} | {len(split['categories'])} | {split['described']} | {unused} |")
    return "\n".join(["## What it was made from\n", *rows, ""])


def _recipe(found: Evidence) -> str:
    recipe = found.manifest["recipe"]
    rows = ["| setting | value |", "|---|---|"]
    for name, value in recipe.items():
        shown = ", ".join(map(str, value)) if isinstance(value, list | tuple) else value
        rows.append(f"| {name} | {_plain(str(shown))} |")
    return "\n".join(["## How it was made\n", *rows, ""])


def _figures(found: Evidence) -> str:
    if not found.metrics:
        return "## How good it is\n\nIt has no classifier, and nothing was scored: it gives features alone.\n"
    parts = ["## How good it is\n", "| figure | on the test pictures |", "|---|---|"]
    parts += [f"| {metric['name'].lower()} | {metric['value']:.4f} |" for metric in found.metrics]
    parts += ["", *_protocol(found.manifest.get("protocol", [])), *_by_category(found.categories)]
    return "\n".join([*parts, *_confusions(found.confusions)])


def _protocol(rows: Sequence[Mapping[str, Any]]) -> list[str]:
    if not rows:
        return []
    there = {row["model"] for row in rows}
    beside = " and ".join(title for model, title in _BESIDE.items() if model in there)
    lines = [f"In the rounds of its protocol{f', beside {beside}' if beside else ''}:", ""]
    lines += ["| round | scored on | model | accuracy | from | to |", "|---|---|---|---|---|---|"]
    for row in rows:
        measured = row["accuracy"] is not None
        values = (f"{row[name]:.3f}" for name in ("accuracy", "low", "high"))
        figures = " | ".join(values if measured else ("not measured", "-", "-"))
        lines.append(f"| {_plain(row['round'])} | {_plain(row['split'])} | {_plain(row['model'])} | {figures} |")
    return [*lines, ""]


def _by_category(categories: Sequence[Mapping[str, Any]]) -> list[str]:
    lines = ["| category | precision | recall | pictures |", "|---|---|---|---|"]
    for row in categories[:_MOST_CATEGORIES]:
        ratios = " | ".join("-" if row[name] is None else f"{row[name]:.3f}" for name in ("precision", "recall"))
        lines.append(f"| {_plain(row['cat'])} | {ratios} | {row['support']} |")
    if len(categories) > _MOST_CATEGORIES:
        lines.append(f"\n{len(categories) - _MOST_CATEGORIES} more are in the run's `categories.csv`.")
    return [*lines, ""]


def _confusions(confusions: Sequence[tuple[str, str, int]]) -> list[str]:
    if not confusions:
        return ["It made no mistake on the test pictures.", ""]
    lines = ["What it takes for something else most often:", "", "| shown | taken for | pictures |", "|---|---|---|"]
    lines += [f"| {_plain(true)} | {_plain(taken)} | {count} |" for true, taken, count in confusions[:_MOST_CONFUSIONS]]
    return [*lines, ""]


_LIMITS = """## Where it ends

- It knows its categories and nothing else: a picture of something else gets one of them too. Ask it with
  `--reject-unknown 0.02`, so that it answers `unknown` where a picture is unlike all of them (classifiers `lda` and
  `rda`), or with a least probability (`--reject-below`).
- Its figures are those of the pictures that it was scored on. Where these are frames of the same video as those that it
  learned from, other pictures of the same things are harder: `fruits run --protocol rotation` and
  `--protocol robustness` measure it.
- It sees one thing on a plain ground. Photographs of a scene, or with several things, are not what it is for.
"""
_MASKED = "- The ground is found from the border of a picture: a thing that touches all borders is seen whole.\n"


def _limits(found: Evidence) -> str:
    return _LIMITS + (_MASKED if found.manifest["recipe"].get("mask", False) else "")


def _plain(text: str) -> str:
    """A name that comes from outside as text of Markdown, which neither ends a cell nor begins markup."""
    return re.sub(r"([\\`*_{}\[\]<>()#+!|~])", r"\\\1", " ".join(str(text).split()))
