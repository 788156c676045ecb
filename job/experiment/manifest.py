"""`manifest.json`: everything about a run but its files, which the run's folder adds."""

from typing import Any

import pyarrow.compute as pc

from job.experiment.results import RunResult, Split

SCHEMA_VERSION = 1
# Operations that work on one split only, whose seconds stand alone.
_OF_ONE_SPLIT = ("fit_vocabulary", "fit_classifier", "evaluate")


def manifest(result: RunResult) -> dict[str, Any]:
    """The manifest of a run, as JSON values."""
    train = result.splits[next(iter(result.splits))]
    content: dict[str, Any] = {
        "schema_version": SCHEMA_VERSION,
        "run_name": result.name,
        "settings": dict(result.settings),
        "settings_from": dict(result.settings_from),
        "recipe": result.recipe.public(),
        "versions": dict(result.versions),
        "cores": result.cores,
        "dataset": {name: _dataset(split) for name, split in result.splits.items()},
        "dimensions": {
            "bag_of_words": [train.extracted.described, 2 + result.fitted.bag_width],
            "features": [train.extracted.described, 1 + result.fitted.width],
        },
        # those of the training pictures, where an operation has several splits
        "partitions": {
            step.operation: step.tasks.partitions for step in reversed(result.steps) if step.tasks.partitions
        },
        "seconds": _seconds(result),
        "vocabulary": _vocabulary(result),
        "analysis": result.analysis().to_pylist(),
    }
    if result.accuracy is not None:
        content["accuracy"] = result.accuracy
    if result.scores is not None:
        content["calibration_error"] = result.scores.calibration_error
    content["data_issues"] = {**result.issues.counts(), "notes": list(result.issues.notes)}
    leaks = result.leaks()
    content["data_issues"] |= {"leaks": len(result.issues.leaks()), "frames": result.issues.frames}
    if leaks is not None:
        content["accuracy_without_leaks"] = leaks.accuracy
    if result.rounds:
        content["protocol"] = [row.public() for row in result.rounds]
    return content


def _dataset(split: Split) -> dict[str, Any]:
    done = split.extracted
    return {
        "root": split.images.root,
        "listing_sha256": split.images.digest(),
        "images": len(split.images),
        "bytes": int(pc.sum(split.images.table["size"]).as_py()),
        "described": done.described,
        "without_descriptors": done.without_descriptors,
        "rejected": done.rejected.num_rows - done.without_descriptors,
        "passed_over": dict(split.images.passed_over),
        "descriptors": done.descriptors,
        "descriptor_bytes": done.descriptor_bytes,
        "categories": split.images.categories(),
    }


def _seconds(result: RunResult) -> dict[str, Any]:
    seconds: dict[str, Any] = {}
    for step in result.steps:
        if step.split == "all" or step.operation in _OF_ONE_SPLIT:
            seconds[step.operation] = round(step.seconds, 6)
        else:
            seconds.setdefault(step.operation, {})[step.split] = round(step.seconds, 6)
    return seconds


def _vocabulary(result: RunResult) -> dict[str, Any]:
    """Words and facts of the only block, or of all blocks together."""
    encoders = result.fitted.encoders
    words = sum(block.words for block, encoder in zip(result.recipe.blocks, encoders, strict=True) if _has(encoder))
    facts = dict(encoders[0].codebook.facts) if len(encoders) == 1 else {}
    return {"words": words, **facts}


def _has(encoder: Any) -> bool:
    return "words" in encoder.codebook.arrays
