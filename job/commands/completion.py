"""`fruits completion`: what makes a shell complete commands, options and their values."""

import argparse
import re
from collections.abc import Callable, Iterator, Mapping
from typing import NamedTuple

from job.commands.options import add_debug
from job.parser import Parser, values_of

DESCRIPTION = (
    "Prints what makes a shell complete commands, options and their values: a script that is made from this version's "
    "options, so that completing starts no Python."
)
EXAMPLES = (
    "source <(fruits completion bash)       # in ~/.bashrc",
    "source <(fruits completion zsh)        # in ~/.zshrc, after compinit",
    "fruits completion fish > ~/.config/fish/completions/fruits.fish",
)
# Metavars of values that may be files or folders, and of values that are names of runs.
_FILES = {"URI", "FILE", "DIR", "PICTURE", "BENCHMARK", "folder", "source", "target", "uri"}
_RUNS = {"RUN", "A", "B"}


class Option(NamedTuple):
    """One option: its spellings, what it is for, whether a value follows, and which."""

    names: tuple[str, ...]
    about: str
    takes_value: bool
    values: tuple[str, ...]
    metavar: str


class Command(NamedTuple):
    """One command: what it is for, its options, and its positional arguments in the form of options without names."""

    about: str
    options: tuple[Option, ...]
    positional: tuple[Option, ...]


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Which shell."""
    parser.add_argument("shell", choices=tuple(SHELLS), help="bash, zsh or fish")
    add_debug(parser)


def main(arguments: argparse.Namespace) -> int:
    """Prints the script."""
    print("\n".join(SHELLS[arguments.shell](commands())))  # noqa: T201  (the command's answer)
    return 0


def commands() -> dict[str, Command]:
    """All commands with all their options."""
    from job.commands.parsers import COMMANDS, parser, parsers_of

    known = parsers_of(parser())
    return {name: _command(about, known[name]) for name, about in COMMANDS.items()}


def _command(about: str, parser: Parser) -> Command:
    found = [_option(action) for action in parser._actions if action.help != argparse.SUPPRESS]  # noqa: SLF001  (argparse tells its options no other way)
    return Command(
        about,
        tuple(option for option in found if option.names),
        tuple(option for option in found if not option.names),
    )


def _option(action: argparse.Action) -> Option:
    about = re.sub(r"\s+", " ", getattr(action, "brief", "") or action.help or "")
    metavar = action.metavar if isinstance(action.metavar, str) else action.dest
    return Option(tuple(action.option_strings), about, action.nargs != 0, values_of(action), metavar)


# ---- bash


def bash(found: Mapping[str, Command]) -> Iterator[str]:
    """A script for bash 4 and later."""
    yield from (
        "_fruits() {",
        "  local word command='' values='' current=${COMP_WORDS[COMP_CWORD]} before=${COMP_WORDS[COMP_CWORD-1]}",
        "  # bash takes --option=value apart at the equals sign",
        "  if [[ $current == '=' ]]; then current=''",
        "  elif [[ $before == '=' ]]; then before=${COMP_WORDS[COMP_CWORD-2]}; fi",
        '  for word in "${COMP_WORDS[@]:1:COMP_CWORD-1}"; do',
        f"    case $word in {'|'.join(found)}) command=$word; break;; esac",
        "  done",
        "  COMPREPLY=()",
        "  case $command:$before in",
    )
    for name, command in found.items():
        for option in command.options:
            if option.takes_value:
                pattern = "|".join(f"{name}:{spelling}" for spelling in option.names)
                yield f"    {pattern}) {_in_bash(option)} return;;"
    yield "  esac"
    yield "  case $command in"
    yield f"    '') values='{' '.join(found)} --help --version';;"
    for name, command in found.items():
        options = " ".join(spelling for option in command.options for spelling in option.names)
        place = command.positional[0] if command.positional else None
        other = _in_bash(place) if place else ""
        yield f"    {name}) if [[ $current == -* ]]; then values='{options}'; else {other} return; fi;;"
    yield from (
        "  esac",
        '  COMPREPLY=($(compgen -W "$values" -- "$current"))',
        "}",
        "complete -F _fruits fruits",
    )


def _in_bash(option: Option) -> str:
    """Statements that complete a value, each with its semicolon."""
    if option.values:
        return f"COMPREPLY=($(compgen -W '{' '.join(option.values)}' -- \"$current\"));"
    if option.metavar in _RUNS:
        return 'COMPREPLY=($(cd "${FRUITS_OUT:-out}" 2>/dev/null && compgen -d -- "$current"));'
    if option.metavar in _FILES:
        return 'compopt -o filenames; mapfile -t COMPREPLY < <(compgen -f -- "$current");'
    return ":;"


# ---- zsh


def zsh(found: Mapping[str, Command]) -> Iterator[str]:
    """A script for zsh, to be sourced or put into its path of functions as `_fruits`."""
    yield "#compdef fruits"
    yield "_fruits_runs() { local -a found; found=(${FRUITS_OUT:-out}/*(/N:t)); compadd -a found }"
    yield "_fruits() {"
    yield "  local -a found"
    yield "  if (( CURRENT == 2 )); then"
    yield "    found=("
    yield from (f"      {_quoted(f'{name}:{command.about}')}" for name, command in found.items())
    yield "    )"
    yield "    _describe command found"
    yield "    return"
    yield "  fi"
    yield "  local command=$words[2]"
    yield "  shift words; (( CURRENT-- ))"
    yield "  case $command in"
    for name, command in found.items():
        specs = [spec for option in command.options for spec in _zsh_options(option)]
        specs += [f"*:{_plain(option.metavar)}:{_in_zsh(option)}" for option in command.positional[:1]]
        yield f"    {name}) _arguments -S {' '.join(map(_quoted, specs))};;"
    yield "  esac"
    yield "}"
    # sourced, it registers itself; called by compinit, it completes
    yield 'if [[ $funcstack[1] == _fruits ]]; then _fruits "$@"; else compdef _fruits fruits; fi'


def _zsh_options(option: Option) -> Iterator[str]:
    about = _plain(option.about)
    for spelling in option.names:
        if not option.takes_value:
            yield f"{spelling}[{about}]"
        else:
            sign = "=" if spelling.startswith("--") else ""
            yield f"*{spelling}{sign}[{about}]:{_plain(option.metavar)}:{_in_zsh(option)}"


def _in_zsh(option: Option) -> str:
    if option.values:
        return f"({' '.join(option.values)})"
    if option.metavar in _RUNS:
        return "_fruits_runs"
    return "_files" if option.metavar in _FILES else " "


def _plain(text: str) -> str:
    """A text without what zsh's specifications are made of."""
    return re.sub(r"[\[\]:\\]", " ", text)


def _quoted(text: str) -> str:
    return "'" + text.replace("'", "'\\''") + "'"


# ---- fish


def fish(found: Mapping[str, Command]) -> Iterator[str]:
    """A script for fish."""
    names = " ".join(found)
    yield "complete -c fruits -e"
    yield "complete -c fruits -f"
    alone = f"not __fish_seen_subcommand_from {names}"
    yield f"complete -c fruits -n '{alone}' -l help -d 'show this help and exit'"
    yield f"complete -c fruits -n '{alone}' -l version -d 'show the version and exit'"
    for name, command in found.items():
        yield f"complete -c fruits -n '{alone}' -a {name} -d {_in_fish_quotes(command.about)}"
        for option in command.options:
            spelled = " ".join(f"-l {name[2:]}" if name.startswith("--") else f"-s {name[1:]}" for name in option.names)
            value = f" -x{_in_fish(option)}" if option.takes_value else ""
            if option.takes_value and option.metavar in _FILES and not option.values:
                value = " -r -F"
            said = f"{spelled}{value} -d {_in_fish_quotes(option.about)}"
            yield f"complete -c fruits -n '__fish_seen_subcommand_from {name}' {said}"
        for option in command.positional[:1]:
            value = " -F" if option.metavar in _FILES and not option.values else _in_fish(option)
            if value:
                yield f"complete -c fruits -n '__fish_seen_subcommand_from {name}'{value}"


def _in_fish(option: Option) -> str:
    if option.values:
        return f" -a {_in_fish_quotes(' '.join(option.values))}"
    if option.metavar in _RUNS:
        runs = "(set -q FRUITS_OUT; and set -l out $FRUITS_OUT; or set -l out out; path basename $out/*/ 2>/dev/null)"
        return f" -a {_in_fish_quotes(runs)}"
    return ""


def _in_fish_quotes(text: str) -> str:
    return "'" + text.replace("\\", "\\\\").replace("'", "\\'") + "'"


SHELLS: Mapping[str, Callable[[Mapping[str, Command]], Iterator[str]]] = {"bash": bash, "zsh": zsh, "fish": fish}
