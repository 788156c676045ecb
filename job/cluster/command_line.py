"""The command that a job of the cluster runs, and its arguments: those of the manifest with those of the command line,
checked as the command itself would check them, before anything is submitted."""

from argparse import Namespace
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Protocol

from job.cluster import run_arguments
from job.cluster.run_arguments import Flags
from job.given import flag_name
from job.parser import Parser

# Settings of a run in the manifest that another command takes over, where it has them: where things go, and how Spark
# works there. What is read is said anew.
_KEPT = ("out", "event_log", "conf")


class Command(Protocol):
    """A command of `fruits` that can be a job."""

    @property
    def name(self) -> str:
        """Its name, the first of the arguments."""

    def merge(self, of_manifest: Sequence[str], given: Sequence[str], run_name: str) -> list[str]:
        """The job's arguments, with a run name where neither has one.

        Raises UsageError for what the command would refuse.
        """

    def flags(self, arguments: Sequence[str]) -> Flags:
        """Option -> value of what is given in a whole command line."""


@dataclass(frozen=True)
class Run:
    """`fruits run`."""

    name: str = "run"

    def merge(self, of_manifest: Sequence[str], given: Sequence[str], run_name: str) -> list[str]:
        """See `Command`: each setting takes the place of the manifest's."""
        return run_arguments.merge(of_manifest, given, run_name)

    def flags(self, arguments: Sequence[str]) -> Flags:
        """See `Command`."""
        return run_arguments.parse(arguments)


@dataclass(frozen=True)
class Other:
    """Another command.

    Attributes
    ----------
    name
        Its name.
    parser
        Knows its options, without its name.
    check
        Raises UsageError for options that it would refuse as a job.

    """

    name: str
    parser: Parser
    check: Callable[[Namespace], None]

    def merge(self, of_manifest: Sequence[str], given: Sequence[str], run_name: str) -> list[str]:
        """See `Command`: of a manifest for `fruits run`, only where the results go and Spark's settings are kept."""
        line = [*self._kept(of_manifest, given), *given]
        named = self.flags([self.name, *line]).get("run_name")
        line += [] if named else [flag_name("run_name"), run_name]
        self.check(self.parser.parse_args(line))
        return [self.name, *line]

    def flags(self, arguments: Sequence[str]) -> Flags:
        """See `Command`."""
        found = vars(self.parser.parse_args(list(arguments)[1:]))
        return {name: value for name, value in found.items() if value is not None}

    def _kept(self, of_manifest: Sequence[str], given: Sequence[str]) -> list[str]:
        if of_manifest[:1] == [self.name]:
            return list(of_manifest[1:])
        if of_manifest[:1] != ["run"]:
            return []
        flags = run_arguments.parse(of_manifest)
        kept = {name: run_arguments.render({name: flags[name]}) for name in _KEPT if name in flags}
        _, unknown = self.parser.parse_known_args([*(text for line in kept.values() for text in line), *given])
        return [text for name, line in kept.items() if flag_name(name) not in unknown for text in line]
