"""The parser of a command line: errors in a sentence, and help that fits a screen."""

import argparse
from collections.abc import Collection, Iterable, Mapping, Sequence
from typing import Any, NoReturn

from job.errors import UsageError

_COLUMN, _WIDE_COLUMN = 22, 26


class Parser(argparse.ArgumentParser):
    """A parser whose errors are UsageErrors: one sentence, and no exit.

    `--help` lists the usual options, each with a few words. Where there are others (`unusual`), `--help-all` lists all
    options, with all that is to be said of them and the variables of the environment that stand for them.

    Attributes
    ----------
    examples
        Command lines that its help ends with.
    footer
        Sentences below the options.
    commands
        By title, commands and what they are for, in place of the list that argparse would make.

    """

    def __init__(self, *arguments: Any, **options: Any) -> None:
        super().__init__(*arguments, **{**options, "add_help": False})
        self.examples: Sequence[str] = ()
        self.footer = ""
        self.commands: Mapping[str, Mapping[str, str]] = {}
        self.add_argument("-h", "--help", action="help", help="show this help and exit")
        self._whole = False

    def error(self, message: str) -> NoReturn:
        """Raise UsageError with the sentence."""
        raise UsageError(f"{message[:1].upper()}{message[1:]}: see `{self.prog} --help`.")

    def group(self, title: str) -> argparse._ArgumentGroup:
        """The group of options of that title, made where it is not there."""
        found = [group for group in self._action_groups if group.title == title]
        return found[0] if found else self.add_argument_group(title)

    def hide(self, *options: str) -> None:
        """Leave these options to the long help."""
        for option in options:
            setattr(self._option_string_actions[option], "unusual", True)  # noqa: B010  (an attribute of our own)

    def format_help(self) -> str:
        """The help that was asked for."""
        layout = _Layout(self.prog, whole=self._whole)
        forms = [_form(action) for action in self._get_positional_actions()]
        layout.add_usage(" ".join(["%(prog)s [options]", *forms]), (), ())
        layout.add_text(self.description)
        for title, listed in self.commands.items():
            layout.start_section(title)
            layout.add_lines(f"    {name:<12}{about}" for name, about in listed.items())
            layout.end_section()
        own, *groups = self._groups()
        for group in [*([] if self.commands else groups), own]:
            shown = [action for action in group._group_actions if self._whole or not is_unusual(action)]  # noqa: SLF001  (argparse tells them no other way)
            if shown:
                layout.start_section(group.title)
                layout.add_text(group.description)
                layout.add_arguments(shown)
                layout.end_section()
        layout.add_text(self.footer)
        text = layout.format_help()
        lines = "".join(f"  {line}\n" for line in self.examples)
        return f"{text}\nexamples:\n{lines}" if lines else text

    def offer_all(self) -> None:
        """Add `--help-all`, where there are unusual options."""
        if any(is_unusual(action) for action in self._actions):
            self.add_argument("--help-all", action=_HelpAll, nargs=0, help="show all options, and all about them")

    def _groups(self) -> list[argparse._ArgumentGroup]:
        """The group of options of no other group, then the others."""
        own = self._optionals
        return [own, *(group for group in self._action_groups if group is not own)]

    def show_all(self) -> str:
        """The help with all options."""
        self._whole = True
        return self.format_help()


class _HelpAll(argparse.Action):
    def __call__(self, parser: argparse.ArgumentParser, *_: Any) -> None:
        assert isinstance(parser, Parser)
        print(parser.show_all(), end="")  # noqa: T201  (the command's answer)
        parser.exit()


class _Layout(argparse.HelpFormatter):
    def __init__(self, prog: str, *, whole: bool) -> None:
        super().__init__(prog, max_help_position=_WIDE_COLUMN if whole else _COLUMN)
        self._is_whole = whole

    def add_lines(self, lines: Iterable[str]) -> None:
        """Lines as they are."""
        text = "".join(f"{line}\n" for line in lines)
        self._add_item(lambda: text, [])

    def _expand_help(self, action: argparse.Action) -> str:
        text = super()._expand_help(action)
        if self._is_whole:
            variable = getattr(action, "variable", None)
            return f"{text} [{variable}]" if variable else text
        return getattr(action, "brief", None) or text


def describe(
    action: argparse.Action,
    *,
    brief: str = "",
    variable: str = "",
    unusual: bool = False,
    values: Collection[str] = (),
) -> None:
    """Say more of an option: its few words in the short help, its variable, whether it is in the long help only, and
    values that a shell may offer."""
    for name, value in (("brief", brief), ("variable", variable), ("unusual", unusual), ("values", tuple(values))):
        setattr(action, name, value)


def values_of(action: argparse.Action) -> tuple[str, ...]:
    """Values that a shell may offer for an option."""
    return tuple(getattr(action, "values", ())) or tuple(map(str, action.choices or ()))


def is_unusual(action: argparse.Action) -> bool:
    """Whether an option is in the long help only."""
    return bool(getattr(action, "unusual", False))


def _form(action: argparse.Action) -> str:
    """A positional argument in the line of usage."""
    name = action.metavar if isinstance(action.metavar, str) else action.dest
    if name.startswith("["):
        return name
    return {"?": f"[{name}]", "*": f"[{name} ...]", "+": f"{name} [{name} ...]"}.get(str(action.nargs), name)
