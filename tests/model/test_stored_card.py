"""The card beside a model, as it is read by who serves the model."""

from pathlib import Path

import pytest
import yaml

from job.model import stored_card
from job.model.stored_card import StoredCard

FIGURES = [{"dataset": {"split": "test"}, "metrics": [{"type": "accuracy", "value": 0.97}]}]


def write(folder: Path, **files: bytes | str) -> str:
    for name, content in files.items():
        path = folder / {"card": "README.md", "figures": "eval_results.yaml"}[name]
        path.write_bytes(content if isinstance(content, bytes) else content.encode())
    return str(folder)


def test_the_text_and_the_figures_beside_a_model_are_read(tmp_path: Path) -> None:
    found = stored_card.read(write(tmp_path, card="# Pêche\n\n- `<b>`\n", figures=yaml.safe_dump(FIGURES)))
    assert found == StoredCard("# Pêche\n\n- `<b>`\n", FIGURES, ())


def test_a_model_without_a_card_has_none_and_nothing_is_said_of_it(tmp_path: Path) -> None:
    assert stored_card.read(str(tmp_path)) == StoredCard(None, None, ())
    assert stored_card.read(write(tmp_path, card="", figures="")) == StoredCard(None, None, ())


@pytest.mark.parametrize(
    ("content", "said"),
    [(b"x" * (stored_card.MOST + 1), "has more than 250,000 bytes"), (b"\xff\xfe", "is no text in UTF-8")],
    ids=["large", "bytes"],
)
def test_a_card_that_is_too_large_or_no_text_is_left_out_and_told(tmp_path: Path, content: bytes, said: str) -> None:
    found = stored_card.read(write(tmp_path, card=content))
    sentence = f"'{tmp_path}/README.md' is left out of the card, because it {said}."
    assert found == StoredCard(None, None, (sentence,))


@pytest.mark.parametrize(
    "content",
    [
        "a: [1",
        "- !!python/object/apply:os.system ['true']",
        "- .nan",
        "- 2026-11-28",
        "a: 1",
        "- 1: 2\n  ? [1, 2]\n  : 3",
        '- "\\ud800"',
        "[" * 3000 + "]" * 3000,
        # each line has the one before it nine times: a few hundred bytes that would be gigabytes of JSON
        "a0: &a0 [x]\n" + "".join(f"a{n}: &a{n} [{', '.join([f'*a{n - 1}'] * 9)}]\n" for n in range(1, 12)),
        b"- \xff",
        b"- " + b"x" * stored_card.MOST,
    ],
    ids=["broken", "code", "nan", "date", "no_list", "keys", "surrogate", "deep", "aliases", "bytes", "large"],
)
def test_figures_that_are_no_list_of_plain_values_are_left_out_and_told(tmp_path: Path, content: bytes | str) -> None:
    found = stored_card.read(write(tmp_path, card="# card\n", figures=content))
    assert (found.text, found.figures) == ("# card\n", None)
    (sentence,) = found.complaints
    assert sentence.startswith(f"'{tmp_path}/eval_results.yaml' is left out of the card, because it ")


def test_figures_that_a_run_writes_are_read_as_they_are(tmp_path: Path) -> None:
    from test_card import evidence

    from job.model import card

    made = evidence()
    found = stored_card.read(write(tmp_path, card=card.card(made), figures=card.results(made)))
    assert found.text == card.card(made)
    assert found.figures == yaml.safe_load(card.results(made))
    assert found.complaints == ()
