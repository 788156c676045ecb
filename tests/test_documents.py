"""What the documents say: links that lead somewhere, commands that exist, examples that run, messages that are said."""

import re
import shlex
from pathlib import Path

import pytest

from job.commands.main import parser
from job.errors import UsageError
from job.model.predict import REASONS, UNKNOWN

ROOT = Path(__file__).parents[1]
DOCUMENTS = sorted([*ROOT.glob("*.md"), *(ROOT / "docs").glob("*.md"), ROOT / "helm" / "fruits" / "README.md"])


def text(path: Path) -> str:
    return path.read_text(encoding="utf-8")


def commands() -> list[str]:
    """Lines of `fruits ...` in the examples of all documents, continued lines joined."""
    found = []
    for path in DOCUMENTS:
        for block in re.findall(r"```sh\n(.*?)```", text(path), re.DOTALL):
            lines = block.replace("\\\n", " ").splitlines()
            found += [line for line in lines if re.match(r"(\.venv/bin/)?fruits ", line)]
    return found


def anchors(path: Path) -> set[str]:
    titles = re.findall(r"^#+ (.+)$", text(path), re.MULTILINE)
    return {re.sub(r"[^\w\- ]", "", title).strip().lower().replace(" ", "-") for title in titles}


@pytest.mark.parametrize("path", DOCUMENTS, ids=lambda path: path.relative_to(ROOT).as_posix())
def test_links_lead_to_files_and_headings_that_are_there(path: Path) -> None:
    for link in re.findall(r"\]\(([^)\s]+)\)", text(path)):
        if re.match(r"[a-z]+:", link):
            continue
        name, _, heading = link.partition("#")
        target = path if not name else (path.parent / name).resolve()
        assert target.exists(), link
        assert not heading or heading in anchors(target), link


@pytest.mark.parametrize("line", commands())
def test_commands_of_the_documents_are_known_with_all_their_options(line: str) -> None:
    words = [word for word in shlex.split(line.removeprefix(".venv/bin/"), comments=True) if word not in ("...", "&")]
    _, command, *options = words
    own = options[: options.index("--")] if "--" in options else options
    if own == ["--help"]:
        return
    try:
        _, unknown = parser((command,)).parse_known_args([command, *own])
    except UsageError as error:
        raise AssertionError(f"{line}: {error.message}") from error
    assert not unknown, line


def test_there_are_commands_to_look_at() -> None:
    assert {shlex.split(line)[1] for line in commands()} >= {"run", "predict", "serve", "tune", "submit", "benchmark"}


def test_the_example_of_a_descriptor_describes_a_picture() -> None:
    from job.vision.picture import Picture
    from job.vision.sample import sample_picture

    (source,) = re.findall(r"```python\n(.*?)```", text(ROOT / "docs" / "adding.md"), re.DOTALL)
    names: dict = {}
    exec(compile(source, "adding.md", "exec"), names)
    rows = names["MEANS"].describe(Picture.decode(sample_picture(0, 0), 1 << 20))
    assert rows.shape == (1, 6)
    assert rows.dtype == names["MEANS"].dtype


def test_messages_in_the_table_of_symptoms_are_ones_that_the_program_says() -> None:
    # sentences stand in the source over several lines, as parts of text
    source = " ".join(re.sub(r'"\s*f?"', "", text(path)) for path in sorted((ROOT / "job").rglob("*.py")))
    rows = re.findall(r"^\| ([^|]*`[^|]*) \|", text(ROOT / "docs" / "troubleshooting.md"), re.MULTILINE)
    said = [part for row in rows for part in re.findall(r"`([^`]+)`", row) if " " in part and "fruits" not in part]
    assert len(said) >= 4
    for message in said:
        for part in message.split("..."):
            assert part.strip() in re.sub(r"\{[^}]*\}", "", source), message


def test_every_test_that_a_document_names_is_there() -> None:
    named = [name for path in DOCUMENTS for name in re.findall(r"`(tests/[\w/]+\.py(?:::\w+)?)`", text(path))]
    assert len(named) > 30
    for name in named:
        file, _, function = name.partition("::")
        assert (ROOT / file).is_file(), name
        assert not function or re.search(rf"^def {function}\(", text(ROOT / file), re.MULTILINE), name


@pytest.mark.parametrize("name", ["README.md", "docs/file-formats.md"])
def test_every_reason_for_which_a_picture_is_rejected_is_documented(name: str) -> None:
    found = re.findall(r"`empty`(?:,\s+`[a-z_]+`)+", text(ROOT / name))
    (listed,) = [part for part in found if "`unreadable`" in part]
    assert set(re.findall(r"`([a-z_]+)`", listed)) == set(REASONS) - {UNKNOWN}
