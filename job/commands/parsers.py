"""The commands of `fruits`, and a parser of their options."""

import argparse
from collections.abc import Mapping, Sequence
from importlib import import_module

from job import __version__
from job.parser import Parser

GROUPS: Mapping[str, Mapping[str, str]] = {
    "learn and predict": {
        "run": "the whole pipeline, on a generated sample or on your pictures",
        "tune": "compares recipes on your pictures, and names the one to use",
        "predict": "what a saved model says of new pictures",
        "serve": "a saved model behind HTTP",
    },
    "look at runs": {
        "runs": "the runs in a folder",
        "show": "the main figures of a run, or its report",
        "compare": "two runs beside each other",
    },
    "pictures": {
        "sample": "write generated pictures of fruits",
        "upload": "a folder into a bucket",
        "pack": "many small pictures into Parquet",
    },
    "on many machines": {
        "submit": "a run, a prediction or a comparison on a Kubernetes cluster",
        "benchmark": "the same run on 1, 2, 4 ... executors",
        "plan": "executors, time and cost for N pictures",
    },
    "this machine": {
        "doctor": "what works here, and what to do about what does not",
        "completion": "what makes a shell complete commands and options",
    },
}
COMMANDS: Mapping[str, str] = {name: about for listed in GROUPS.values() for name, about in listed.items()}
"""Name of a command -> its line in `fruits --help`.

Each is a module of this package with `DESCRIPTION` (the sentences above the options in its own help), `EXAMPLES` (the
command lines below them), `add_arguments(parser)` and `main(arguments) -> exit code`. To add a command is to write that
module and its line here. A module may name in `REST` the list of arguments that what stands behind `--` is added to,
wherever options stand.
"""
EXAMPLES = (
    "fruits run                             # generated pictures, all defaults",
    "fruits run --data pictures",
    "fruits show --open                     # the report of the newest run",
    "fruits predict apple.jpg               # what its model says of a picture",
    "fruits COMMAND --help",
)
FOOTER = (
    "Settings may also be variables of the environment (--words 50 as FRUITS_WORDS=50). JAVA_HOME is the Java that is "
    "used; AWS_ENDPOINT_URL, AWS_REGION, AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY lead to a store; KUBECONFIG to a "
    "cluster; FRUITS_CLASS_ARCHIVE=off goes without an archive of classes in the user's cache (XDG_CACHE_HOME)."
)


def parser(commands: Sequence[str] = tuple(COMMANDS)) -> Parser:
    """A parser that knows all commands by name, and the options of `commands`: only their modules are imported."""
    top = Parser(prog="fruits", description="Image classification by visual words, on Spark, on Kubernetes.")
    top.examples, top.footer, top.commands = EXAMPLES, FOOTER, GROUPS
    top.add_argument("--version", action="version", version=f"fruits {__version__}", help="show the version and exit")
    of_commands = top.add_subparsers(title="commands", dest="command", metavar="COMMAND", required=True)
    for name, about in COMMANDS.items():
        command = of_commands.add_parser(name, help=about, allow_abbrev=False)
        if name in commands:
            module = import_module(f"job.commands.{name}")
            command.description, command.examples = module.DESCRIPTION, module.EXAMPLES
            command.footer = getattr(module, "FOOTER", "")
            command.set_defaults(function=module.main)
            module.add_arguments(command)
            command.offer_all()
    return top


def parsers_of(top: argparse.ArgumentParser) -> Mapping[str, Parser]:
    """The parser of each command."""
    (commands,) = (action for action in top._actions if isinstance(action, argparse._SubParsersAction))  # noqa: SLF001  (argparse tells its options no other way)
    found: Mapping[str, Parser] = commands.choices
    return found


def options(one: argparse.ArgumentParser) -> list[str]:
    """All options of a parser, long and short."""
    return list(one._option_string_actions)  # noqa: SLF001  (as above)


def options_of(top: argparse.ArgumentParser, command: str) -> list[str]:
    """The long options of one of its commands."""
    return [option for option in options(parsers_of(top)[command]) if option.startswith("--")]
