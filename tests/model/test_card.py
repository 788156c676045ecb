"""The card of a model: its front matter, its figures, and names from outside that must not become markup."""

import yaml

from job.model.card import Evidence, card, results

MANIFEST = {
    "run_name": "monday",
    "accuracy": 0.975,
    "calibration_error": 0.0123,
    "versions": {"fruits": "0.1.0"},
    "dataset": {
        "train": {
            "images": 40,
            "described": 39,
            "without_descriptors": 1,
            "rejected": 0,
            "categories": {"A": 20, "B|<b>": 20},
        },
        "test": {
            "images": 8,
            "described": 8,
            "without_descriptors": 0,
            "rejected": 0,
            "categories": {"A": 4, "B|<b>": 4},
        },
    },
    "recipe": {"blocks": ["hsv:root"], "classifier": "logistic", "mask": True},
    "protocol": [
        {"round": "r", "split": "test", "model": "recipe", "pictures": 8, "accuracy": 0.9, "low": 0.8, "high": 1.0},
    ],
}
CATEGORIES = [
    {"cat": "A", "precision": 1.0, "recall": 0.95, "support": 4},
    {"cat": "B|<b>", "precision": None, "recall": 1.0, "support": 4},
]


def evidence(**more) -> Evidence:
    return Evidence(
        manifest={**MANIFEST, **more}, day="2026-11-28", categories=CATEGORIES, confusions=[("A", "B|<b>", 1)]
    )


def front_matter(text: str) -> dict:
    _, found, _ = text.split("---\n", 2)
    return yaml.safe_load(found)


def test_the_front_matter_has_what_a_hub_reads() -> None:
    found = front_matter(card(evidence()))
    assert found["library_name"] == "fruits-job"
    assert found["pipeline_tag"] == "image-classification"
    (result,) = found["model-index"][0]["results"]
    assert {metric["type"]: metric["value"] for metric in result["metrics"]} == {
        "accuracy": 0.975,
        "calibration_error": 0.0123,
    }


def test_the_card_says_data_settings_figures_mistakes_and_limits() -> None:
    text = card(evidence())
    for said in (
        "2 categories",
        "| train | 40 | 2 | 39 | 1 |",
        "| classifier | logistic |",
        "| accuracy | 0.9750 |",
        "| A | 1.000 | 0.950 | 4 |",
        "| r | test | recipe | 0.900 | 0.800 | 1.000 |",
        "## Where it ends",
    ):
        assert said in text


def test_names_from_outside_are_no_markup() -> None:
    text = card(evidence())
    assert "<b>" not in text.replace("\\<b\\>", "")
    assert r"B\|\<b\>" in text


def test_a_model_without_a_classifier_has_a_card_without_figures() -> None:
    text = card(evidence(accuracy=None, calibration_error=None, protocol=[]))
    assert "it gives features alone" in text
    assert "model-index" not in front_matter(text)
    assert yaml.safe_load(results(evidence(accuracy=None, calibration_error=None, protocol=[]))) == []


def test_a_recipe_that_measured_nothing_in_a_round_has_a_row_without_figures() -> None:
    none = {"round": "r", "split": "test", "model": "reference", "pictures": 0}
    found = evidence(protocol=[*MANIFEST["protocol"], {**none, **dict.fromkeys(("accuracy", "low", "high"))}])
    text = card(found)
    assert "| r | test | reference | not measured | - | - |" in text
    assert "In the rounds of its protocol, beside the prototype (`reference`):" in text
    assert [entry.get("model") for entry in yaml.safe_load(results(found))] == [None, "recipe"]


def test_the_figures_for_programs_have_the_rows_of_the_protocol() -> None:
    first, second = yaml.safe_load(results(evidence()))
    assert first["metrics"][0] == {"type": "accuracy", "name": "Accuracy", "value": 0.975}
    assert second["model"] == "recipe"
    assert second["metrics"] == [{"type": "accuracy", "value": 0.9, "interval": [0.8, 1.0]}]
