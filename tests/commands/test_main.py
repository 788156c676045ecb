"""The command as a whole: help, versions, wrong usage, exit codes, and one sentence for any error."""

import os
import re
import shlex
import subprocess
import sys
from dataclasses import fields
from importlib import import_module
from pathlib import Path

import pytest
from running import Answer, clean_environment, fruits

from job import __version__
from job.commands import main as cli
from job.commands import parsers
from job.errors import UserError
from job.experiment.choices import choices
from job.given import flag_name
from job.presets import PRESETS
from job.settings import Settings

COMMANDS = list(cli.COMMANDS)
ROOT = Path(cli.__file__).parents[2]


def nothing_left(folder: Path) -> bool:
    return not folder.exists() or not list(folder.iterdir())


# ---- help


def test_the_installed_command_the_module_and_the_package_say_the_same_version():
    installed = str(Path(sys.executable).with_name("fruits"))
    expected = Answer(0, f"fruits {__version__}\n", "")
    assert fruits("--version", command=(installed,)) == fruits("--version") == expected


def test_help_lists_every_command(answer):
    found = answer("--help")
    assert found.code == 0
    assert {"run", "sample"} <= set(COMMANDS)
    for command in COMMANDS:
        assert re.search(rf"\n    {command}\s", found.out)


@pytest.mark.parametrize("command", COMMANDS)
def test_help_of_each_command_is_readable(command, answer, monkeypatch):
    monkeypatch.setenv("COLUMNS", "80")
    found = answer(command, "--help")
    assert found.code == 0
    assert found.err == ""
    assert f"usage: fruits {command}" in found.out
    lines = found.out.splitlines()
    assert len(lines) <= 50, "it fits a screen"
    lines, examples = lines[: lines.index("examples:")], lines[lines.index("examples:") + 1 :]
    assert examples
    assert max(map(len, lines)) <= 80
    # each option has a line that says what it is for
    options = [place for place, line in enumerate(lines) if line.startswith("  -")]
    assert options
    for place in options:
        text = lines[place].split("  ", 2)[-1].strip()
        assert "  " in lines[place].strip() or lines[place + 1].startswith(" " * 20), text
    assert "None" not in found.out
    assert "%(" not in found.out


@pytest.mark.parametrize("command", COMMANDS)
def test_the_examples_of_the_help_are_command_lines_that_it_takes(command):
    examples = import_module(f"job.commands.{command}").EXAMPLES
    for line in [*examples, *parsers.EXAMPLES]:
        found = re.search(r"fruits ([a-z]+.*?)(?:\)| > |$)", line.partition("#")[0].strip())
        if found is None:
            assert "COMMAND" in line
            continue
        words = shlex.split(found[1])
        if words[0] == command:
            cli._parsed(words)


def test_help_of_a_command_names_the_others_that_its_options_are_from(answer):
    usual, whole = answer("run", "--help").out, answer("run", "--help-all").out
    assert "--help-all" in usual
    assert "--vocabulary-sample" not in usual
    assert "[FRUITS_VOCABULARY_SAMPLE]" in " ".join(whole.split())
    assert "[FRUITS_QUIET]" in whole


def test_help_lists_the_variables_that_are_no_settings(answer):
    said = answer("--help").out
    for name in ("JAVA_HOME", "AWS_ENDPOINT_URL", "KUBECONFIG", "FRUITS_CLASS_ARCHIVE", "XDG_CACHE_HOME"):
        assert name in said


def test_help_of_run_has_every_setting_its_choices_and_its_variable(answer):
    found = answer("run", "--help-all").out
    for spec in fields(Settings):
        assert flag_name(spec.name) in found
        assert f"[FRUITS_{spec.name.upper()}]" in found
    said = " ".join(found.split())
    for listed in choices().values():
        assert f"({', '.join(listed)})" in said
    for name in PRESETS:
        assert f"{name} is {PRESETS.get(name).help}" in said
    assert "FRUITS_WORDS=50" in found


# ---- wrong usage: exit code 2, one sentence, nothing done


@pytest.mark.parametrize(
    ("arguments", "parts"),
    [
        ((), ["fruits --help"]),
        (("fly",), ["fly", "run", "fruits --help"]),
        (("run", "--wordz", "3"), ["'--wordz'", "fruits run --help"]),
        (("run", "--word", "3"), ["'--word'", "fruits run --help"]),
        (("run", "--wordz=3"), ["'--wordz=3' (did you mean '--words'?)", "fruits run --help"]),
        (("predict", "a.jpg", "--jsno"), ["'--jsno' (did you mean '--json'?)", "fruits predict --help"]),
        (("rum",), ["'rum' (did you mean 'run'?)", "fruits --help"]),
        (("-q", "run"), ["'-q'", "put it after the command (`fruits run -q`)"]),
        (("--words", "5"), ["'--words'", "put it after the command (`fruits run --words`)"]),
        (("--words=5", "run"), ["'--words'", "put it after the command (`fruits run --words`)"]),
        (("--folds", "5", "tune"), ["'--folds'", "put it after the command (`fruits tune --folds`)"]),
        (("--wordz", "5"), ["There is no command '5'"]),
        (("run", "--descriptor", "ORB"), ["'ORB' (did you mean 'orb'?)"]),
        (("sample", "x", "--words", "3"), ["'--words'", "fruits sample --help"]),
        (("run", "--words"), ["--words", "fruits run --help"]),
        (("run", "--words", "-5"), ["--words", "'-5'", "2 or more"]),
        (("run", "--train-images=-1"), ["--train-images", "'-1'", "1 or more"]),
        (("run", "--words", "3.5"), ["--words", "'3.5'"]),
        (("run", "--preset", "best"), ["--preset", "'best'", "accurate, sift, fast, reference"]),
        (("run", "--descriptor", "akaze"), ["--descriptor", "'akaze'", "orb"]),
        (("run", "--preset", "sift", "--words", "30", "--components", "31"), ["--components 31", "--words 30"]),
        (("run", "--data", "a", "--train", "b"), ["--data", "--train"]),
        (("run", "--config", "none.toml"), ["none.toml"]),
        (("run", "--conf", "novalue"), ["--conf", "'novalue'", "KEY=VALUE"]),
        (("run", "--out", "gs://bucket/x", "--data", "."), ["gs://bucket/x"]),
        (("run", "extra"), ["extra"]),
        (("sample",), ["folder", "fruits sample --help"]),
        (("sample", "x", "--categories", "0"), ["--categories", "'0'", "1 or more"]),
        (("sample", "x", "--categories", "--5"), ["--categories"]),
        (("sample", "x", "--seed", "²"), ["--seed", "'²'", "0 or more"]),
        (("sample", "x", "--train-images", "2", "--categories", "3"), ["2 training pictures", "3 categories"]),
    ],
)
def test_wrong_usage_is_told_in_a_sentence(arguments, parts, answer, monkeypatch, tmp_path):
    monkeypatch.chdir(tmp_path)
    found = answer(*arguments)
    assert found.code == 2
    assert found.out == ""
    for part in parts:
        assert part in found.sentence()
    assert nothing_left(tmp_path)


@pytest.mark.parametrize("arguments", [("--debug", "run"), ("--debug",)])
def test_an_option_before_the_command_is_told_to_come_after_it(arguments, answer):
    found = answer(*arguments)
    assert found.code == 2
    assert found.err.splitlines()[-1] == (
        "fruits: The option '--debug' is one of a command's own: put it after the command (`fruits run --debug`)."
    )


def test_a_bad_variable_of_the_environment_is_named(answer, monkeypatch):
    monkeypatch.setenv("FRUITS_WORDS", "many")
    found = answer("run")
    assert found.code == 2
    assert "FRUITS_WORDS is 'many'" in found.sentence()


def test_the_traceback_is_shown_with_debug_only(answer, tmp_path):
    plain, debug = (answer("run", "--data", tmp_path / "none", "--dry-run", *more) for more in ((), ("--debug",)))
    assert "none" in plain.sentence()
    assert "Traceback" in debug.err
    assert debug.err.splitlines()[-1] == plain.err.strip()
    assert debug.code == plain.code


@pytest.mark.parametrize(("flag", "shown"), [((), True), (("FRUITS_DEBUG", "0"), False), (("FRUITS_DEBUG", "1"), True)])
def test_the_traceback_is_shown_where_the_settings_file_asks_for_it(flag, shown, answer, tmp_path, monkeypatch):
    (tmp_path / "run.toml").write_text("debug = true\n", encoding="utf-8")
    if flag:
        monkeypatch.setenv(*flag)
    given = ("run", "--data", tmp_path / "none", "--dry-run")
    assert ("Traceback" in answer(*given, "--config", tmp_path / "run.toml").err) is shown
    monkeypatch.setenv("FRUITS_CONFIG", str(tmp_path / "run.toml"))
    assert ("Traceback" in answer(*given).err) is shown


def test_a_settings_file_says_how_much_is_told(answer, sample, tmp_path):
    (tmp_path / "run.toml").write_text("json = true\n", encoding="utf-8")
    given = ("run", "--data", sample, "--preset", "fast", "--dry-run")
    assert answer(*given, "--config", tmp_path / "run.toml").out.startswith("{")
    assert not answer(*given).out.startswith("{")


@pytest.mark.parametrize(
    "arguments",
    [
        ("run", "--data", "s3://key:hush@bucket/x", "--dry-run"),
        ("run", "--out", "s3://key:hu/sh@bucket/x", "--dry-run"),
        ("run", "--data", "s3://key:hush@bucket/x", "--dry-run", "--debug"),
        ("tune", "--data", "s3://key:hush@bucket/x", "--dry-run"),
        ("predict", "--model", "s3://key:hush@bucket/x", "x.jpg"),
        ("predict", "--data", "s3://key:hush@bucket/x"),
        ("runs", "--out", "s3://key:hush@bucket/x"),
        ("show", "--out", "s3://key:hush@bucket/x"),
        ("pack", "s3://key:hush@bucket/x", "s3://bucket/y"),
        ("pack", ".", "s3://key:hush@bucket/x"),
        ("upload", ".", "s3://key:hush@bucket/x"),
        ("submit", "--", "--data", "s3://key:hush@bucket/x"),
    ],
)
def test_a_login_in_an_address_is_refused_and_not_told(arguments, answer, monkeypatch, tmp_path):
    monkeypatch.chdir(tmp_path)
    found = answer(*arguments)
    assert found.code == 2
    said = found.out + found.err
    assert "hush" not in said
    assert "sh@" not in said
    assert "AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY" in found.err.splitlines()[-1]


def test_a_login_in_an_error_from_below_is_left_out(monkeypatch, capsys):
    from job.commands import plan

    def work(_: object) -> int:
        raise OSError("https://me:hush@store/x does not answer")

    monkeypatch.setattr(plan, "main", work)
    assert cli.main(["plan", "--images", "5", "--debug"]) == 1
    said = capsys.readouterr().err
    assert "hush" not in said
    assert "https://store/x does not answer" in said.splitlines()[-1]


def test_wrong_usage_ends_the_process_with_2(tmp_path: Path):
    found = fruits("run", "--preset", "best", "--out", "out", folder=tmp_path)
    assert found.code == 2
    assert "'best'" in found.sentence()
    assert nothing_left(tmp_path)


# ---- errors from below


SAID = {
    "what a worker said to the user": (
        """An exception was thrown from the Python worker. Please see the stack trace.
Traceback (most recent call last):
  File "x.py", line 1
job.errors.UserError: 's3://b/x' can't be read: check the address.

    at org.apache.spark.X(X.scala:1)
""",
        "'s3://b/x' can't be read: check the address.",
    ),
    "an error of Python in a worker": (
        """An exception was thrown from the Python worker. Please see the stack trace.
Traceback (most recent call last):
  File "x.py", line 1
ValueError: bad
    at org.apache.spark.X(X.scala:1)
""",
        "The work failed: ValueError: bad (--debug shows where).",
    ),
    "an error of Java and its cause": (
        """An error occurred while calling o1.x.
: org.apache.spark.SparkException: Job aborted
    at a.B.c(B.java:1)
Caused by: java.io.IOException: Stream is corrupted
    at a.B.c(B.java:2)
""",
        "The work failed: java.io.IOException: Stream is corrupted (--debug shows where).",
    ),
    "an error of Java that says nothing": (
        """An error occurred while calling None.x.
: java.lang.ExceptionInInitializerError
	at a.B.<init>(B.java:1)
Caused by: java.lang.NullPointerException
	at a.B.c(B.java:2)
	... 17 more
""",
        "The work failed: java.lang.NullPointerException (--debug shows where).",
    ),
    "control groups that Java can't read": (
        """An error occurred while calling None.org.apache.spark.api.java.JavaSparkContext.
: java.lang.ExceptionInInitializerError
	at org.apache.spark.metrics.ExecutorMetricType$.<clinit>(ExecutorMetricType.scala:212)
Caused by: java.lang.NullPointerException
	at java.base/java.util.Objects.requireNonNull(Unknown Source)
	at java.base/jdk.internal.platform.CgroupUtil.readStringValue(Unknown Source)
""",
        (
            "Java can't read the control groups (cgroups) that this process is in, and what they allow it: set "
            "JAVA_TOOL_OPTIONS=-XX:-UseContainerSupport."
        ),
    ),
    "one line": ("It is Tuesday.", "The work failed: It is Tuesday (--debug shows where)."),
    "nothing": ("", "The work failed: RuntimeError (--debug shows where)."),
}


@pytest.mark.parametrize("case", sorted(SAID))
def test_an_error_from_below_becomes_one_sentence(case):
    text, sentence = SAID[case]
    assert cli._sentence(RuntimeError(text)) == sentence


# ---- start and end of the process


def run_python(code: str, *arguments: str) -> Answer:
    done = subprocess.run(
        [sys.executable, "-c", code, *arguments],
        env=clean_environment(),
        capture_output=True,
        text=True,
        timeout=300,
        check=False,
    )
    return Answer(done.returncode, done.stdout, done.stderr)


def test_help_loads_no_command_and_no_library():
    code = (
        "import sys\n"
        "from job.commands import main\n"
        "try: main.main(['--help'])\n"
        "except SystemExit: pass\n"
        "print('LOADED', *sorted(sys.modules))"
    )
    loaded = set(run_python(code).out.partition("LOADED ")[2].split())
    assert "argparse" in loaded
    assert not loaded & {f"job.commands.{name}" for name in COMMANDS}
    assert not loaded & {"numpy", "cv2", "pyarrow", "pyspark", "yaml", "rich", "kubernetes", "subprocess"}


@pytest.mark.parametrize("command", COMMANDS)
def test_a_command_loads_none_of_the_others(command):
    code = (
        "import sys\n"
        "from job.commands import main\n"
        "try: main.main([sys.argv[1], '--help'])\n"
        "except SystemExit: pass\n"
        "print('LOADED', *sorted(sys.modules))"
    )
    loaded = set(run_python(code, command).out.partition("LOADED ")[2].split())
    assert {name for name in COMMANDS if f"job.commands.{name}" in loaded} == {command}
    assert not loaded & {"numpy", "cv2", "pyarrow", "pyspark", "yaml", "rich", "kubernetes"}


def test_no_module_of_the_package_but_the_entries_imports_the_parser():
    root = Path(cli.__file__).parents[1]
    wanting = [
        path.relative_to(root).as_posix()
        for path in root.rglob("*.py")
        if re.search(r"commands\.main|commands import main", path.read_text(encoding="utf-8"))
    ]
    assert wanting == ["__main__.py"]


@pytest.mark.parametrize("command", [("run",), ("predict", "x.jpg"), ("runs",)])
def test_a_current_folder_that_was_removed_is_told(command: tuple[str, ...], tmp_path: Path):
    """`Java could not start Spark`, `[Errno 2] No such file or directory`."""
    (tmp_path / "gone").mkdir()
    wrapped = ("sh", "-c", 'rmdir ../gone && exec "$@"', "sh", sys.executable, "-m", "job")
    environment = clean_environment(PYTHONPATH=str(ROOT))
    answer = fruits(*command, environment=environment, folder=tmp_path / "gone", command=wrapped)
    assert answer.code == 1
    assert answer.sentence() == ("The current folder was removed, or can't be reached: change to another one (cd).")


ENDING = """
import atexit, sys
from job.commands import main
def told():
    sys.stdout.write('said at exit')
atexit.register(told)
sys.stdout.write('said before, ')
sys.argv = ['fruits', *sys.argv[1:]]
main.command()
"""


def test_the_process_ends_with_its_code_its_output_and_what_was_registered_to_be_done():
    found = run_python(ENDING, "fly")
    assert found.code == 2
    assert found.out == "said before, said at exit"
    assert found.err.startswith("fruits: ")


INTERRUPTED = """
from job.commands import main
def interrupted(_):
    exec("raise KeyboardInterrupt")
main._parsed = interrupted
main.command()
"""


def test_an_interruption_in_the_midst_of_text_that_python_runs_ends_with_the_exit_code_of_one(tmp_path: Path):
    """As while a dataclass is made: Python itself then ends by the signal, when it was started with `-m`."""
    (tmp_path / "interrupted.py").write_text(INTERRUPTED)
    command = (sys.executable, "-m", "interrupted")
    found = fruits(command=command, environment=clean_environment(PYTHONPATH=f"{ROOT}:{tmp_path}"))
    assert found == Answer(130, "", "fruits: Interrupted: nothing was left half-written.\n")


def test_a_reader_that_goes_away_is_no_error(tmp_path: Path):
    line = f"{sys.executable} -m job run --help | head -c 1 >/dev/null; echo ${{PIPESTATUS[0]}}"
    done = subprocess.run(["bash", "-c", line], env=clean_environment(), capture_output=True, text=True, check=False)
    assert "Traceback" not in done.stderr


# ---- SIGTERM


@pytest.mark.parametrize("command", COMMANDS)
def test_a_sigterm_is_answered_as_ctrl_c_by_every_command(command, monkeypatch, capsys):
    import importlib
    import signal

    before = signal.getsignal(signal.SIGTERM)
    given = {
        "sample": ["folder"],
        "upload": ["folder", "s3://bucket/x"],
        "pack": ["folder", "target"],
        "plan": ["--images", "5"],
        "compare": ["a", "b"],
        "completion": ["bash"],
    }
    cleaned = []

    def work(_: object) -> int:
        try:
            os.kill(os.getpid(), signal.SIGTERM)
            signal.pause()
        finally:
            cleaned.append(command)
        return 0

    monkeypatch.setattr(importlib.import_module(f"job.commands.{command}"), "main", work)
    assert cli.main([command, *given.get(command, [])]) == 130
    assert cleaned == [command]
    assert capsys.readouterr().err == "fruits: Interrupted: nothing was left half-written.\n"
    assert signal.getsignal(signal.SIGTERM) is before


def test_an_error_for_the_user_keeps_its_exit_code(monkeypatch, capsys):
    from job.commands import plan

    def work(_: object) -> int:
        raise UserError("It is broken.", 7)

    monkeypatch.setattr(plan, "main", work)
    assert cli.main(["plan", "--images", "5"]) == 7
    assert capsys.readouterr().err == "fruits: It is broken.\n"
