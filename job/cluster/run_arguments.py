"""The arguments of `fruits run` inside a SparkApplication: those of the manifest, with those of the command line."""

from collections.abc import Mapping, Sequence
from dataclasses import fields
from typing import Any

from job.errors import UsageError
from job.experiment.choices import choices
from job.experiment.flags import TELLING, run_parser
from job.given import HIDES, flag_name
from job.settings import Settings, resolve

Flags = dict[str, Any]
_ADDRESSES = ("data", "train", "test", "labels", "model", "out", "event_log", "cache")


def merge(of_manifest: Sequence[str], given: Sequence[str], run_name: str) -> list[str]:
    """The manifest's arguments of `run` with those given in their place, and a run name where neither has one.

    Raises UsageError for what `fruits run` would refuse: nothing is submitted for it.
    """
    flags, ours = parse(of_manifest), parse(["run", *given])
    for name in ours:
        for hidden in HIDES.get(name, ()):
            flags.pop(hidden, None)
    conf = [*flags.get("conf", []), *ours.get("conf", [])]
    merged = {"run_name": run_name, **flags, **ours, **({"conf": conf} if conf else {})}
    settings(merged)
    return ["run", *render(merged)]


def parse(arguments: Sequence[str]) -> Flags:
    """Setting -> text, or a list of texts where a flag may be repeated, of a whole `run ...` command line; and how much
    it is to tell."""
    found = vars(run_parser().parse_args(list(arguments)[1:]))
    if found.get("config"):
        raise UsageError(
            f"--config {found['config']} is a file of this machine, which the cluster's pods can't read: "
            "give its settings as flags."
        )
    names = [*(spec.name for spec in fields(Settings)), *TELLING]
    return {name: found[name] for name in names if found.get(name) is not None}


def settings(flags: Mapping[str, Any]) -> Settings:
    """The settings that the job will have, whatever this machine's environment says. Raises UsageError."""
    return resolve(flags, environment={}, choices=choices())


def out(flags: Mapping[str, Any]) -> str:
    """Where the job, of whatever command, will write the folder of its results."""
    return settings({name: flags[name] for name in ("out",) if name in flags}).out


def render(flags: Mapping[str, Any]) -> list[str]:
    """The command line of these settings."""
    line: list[str] = []
    for spec in fields(Settings):
        value = flags.get(spec.name)
        for text in value if isinstance(value, list) else [value]:
            if text is None:
                continue
            name = flag_name(spec.name)
            if spec.type in (bool, "bool"):
                line.append(name)
            else:
                line += [f"{name}={text}"] if text.startswith("-") else [name, text]
    return [*line, *(flag_name(name) for name in TELLING if flags.get(name))]


def without_conf(line: Sequence[str]) -> list[str]:
    """A command line that `render` has made, without its `--conf KEY=VALUE`."""
    left: list[str] = []
    items = iter(line)
    for item in items:
        if item == flag_name("conf"):
            next(items)
        elif not item.startswith(f"{flag_name('conf')}="):
            left.append(item)
    return left


def check_addresses(flags: Mapping[str, Any]) -> None:
    """Raises UsageError for an address that the pods of the shipped manifest, which mount no volume, can't reach."""
    from job.model.addresses import LATEST
    from job.storage.uris import is_remote

    for name in _ADDRESSES:
        address = flags.get(name)
        if address and not is_remote(address) and (name, address) != ("model", LATEST):
            raise UsageError(
                f"{flag_name(name)} '{address}' is a folder of this machine, which the cluster's pods "
                "can't reach: give an s3:// address (`fruits upload` puts a folder into a bucket)."
            )
