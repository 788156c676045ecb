"""Removes from a tree what an image of Spark for Kubernetes never loads, by exact names: `leave_out.py LIST ROOT`.

A line of the list is a path below ROOT (file or folder), `JAR!PREFIX`: the entries of that jar below PREFIX, or
`FOLDER: NAME NAME ...`: what is in that folder except these. `{ext}` stands for the file ending of this platform's
extension modules, `*` for a checksum in a name (it must fit one path), ` @x86_64` at the end for "on such a machine".
Names that are not there are an error, all of them at once: what was installed has changed, and the list has to be
looked at again.
"""

import glob
import os
import platform
import shutil
import sys
import sysconfig
import zipfile
from collections import defaultdict
from pathlib import Path

EPOCH = (1980, 1, 1, 0, 0, 0)


def main() -> int:
    listed, root = Path(sys.argv[1]), Path(sys.argv[2])
    ending = sysconfig.get_config_var("EXT_SUFFIX")
    missing: list[str] = []
    inside: dict[Path, list[str]] = defaultdict(list)
    before = size(root)
    for line in listed.read_text(encoding="utf-8").splitlines():
        name, _, machine = line.partition("#")[0].strip().format(ext=ending).partition(" @")
        if not name or machine not in ("", platform.machine()):
            continue
        path, _, prefix = name.partition("!")
        folder, _, kept = name.partition(":")
        if prefix:
            inside[root / path].append(prefix)
        elif kept:
            missing += [f"{folder}/{one}" for one in kept.split() if not (root / folder / one).exists()]
            for one in sorted(set(os.listdir(root / folder)) - set(kept.split())):
                remove(root / folder / one)
        elif not remove(expand(root, name)):
            missing.append(name)
    for jar, prefixes in inside.items():
        missing += thin(jar, prefixes) if jar.exists() else [jar.name]
    for name in missing:
        print(f"{listed.name}: '{name}' is not there", file=sys.stderr)
    print(f"left out {(before - size(root)) / 1e6:.0f} of {before / 1e6:.0f} MB in {root}")
    return 1 if missing else 0


def expand(root: Path, name: str) -> Path:
    """The one path that fits a name with `*`; where none or several do, the name itself, which is not there."""
    found = glob.glob(name, root_dir=root) if "*" in name else [name]
    return root / (found[0] if len(found) == 1 else name)


def remove(path: Path) -> bool:
    """Whether there was something to remove."""
    if path.is_dir():
        shutil.rmtree(path)
        return True
    there = path.exists()
    path.unlink(missing_ok=True)
    return there


def thin(jar: Path, prefixes: list[str]) -> list[str]:
    """Writes the jar without the entries below these prefixes; gives those that fit no entry."""
    used: set[str] = set()
    aside = jar.with_suffix(".thin")
    with zipfile.ZipFile(jar) as old, zipfile.ZipFile(aside, "w", zipfile.ZIP_DEFLATED, compresslevel=9) as new:
        for entry in old.infolist():
            prefix = next((p for p in prefixes if entry.filename.startswith(p)), None)
            if prefix:
                used.add(prefix)
            elif not entry.is_dir():
                plain = zipfile.ZipInfo(entry.filename, EPOCH)
                plain.compress_type, plain.external_attr = zipfile.ZIP_DEFLATED, 0o644 << 16
                new.writestr(plain, old.read(entry))
    aside.replace(jar)
    return [f"{jar.name}!{prefix}" for prefix in prefixes if prefix not in used]


def size(root: Path) -> int:
    return sum(os.lstat(Path(folder) / name).st_size for folder, _, names in os.walk(root) for name in names)


if __name__ == "__main__":
    sys.exit(main())
