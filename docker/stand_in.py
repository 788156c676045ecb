"""Puts a small library in the place of a large one that a wheel's extension module is linked to and nothing here calls.

`stand_in.py LIBRARY_GLOB abort|fail [USER_GLOB ...]`: its functions end the process with a sentence on the error stream
(`abort`), or give -1, which C libraries mean by "failed" (`fail`).
`stand_in.py LIBRARY_GLOB PREFIX:TARGET_GLOB USER_GLOB ...`: its functions are those of the library TARGET, there with
PREFIX before their names: two copies of OpenBLAS become one.

The stand-in has the name (SONAME), the functions and the symbol versions that the users (all files that match
USER_GLOB) import from the one it replaces. Globs that fit no file or more than one library are an error; so are
imported data, which can't be stood in for.
"""

import glob
import os
import platform
import re
import subprocess
import sys
import tempfile
from pathlib import Path

JUMP = {"x86_64": "jmp {}@PLT", "aarch64": "b {}"}[platform.machine()]


def read(*command: str) -> str:
    return subprocess.run(command, check=True, capture_output=True, text=True).stdout


def one(pattern: str) -> Path:
    found = sorted(glob.glob(pattern))
    if len(found) != 1:
        sys.exit(f"stand_in: '{pattern}' fits {len(found)} files, not one")
    return Path(found[0])


def exported(library: Path) -> dict[str, tuple[str, str]]:
    """Name of each symbol that the library defines, with its version and type."""
    rows = re.findall(
        r"^\s*\d+:\s+[0-9a-f]+\s+\S+\s+(FUNC|OBJECT|IFUNC)\s+(?:GLOBAL|WEAK)\s+DEFAULT\s+(?!UND)\S+\s+(\S+)$",
        read("readelf", "--dyn-syms", "--wide", str(library)),
        re.MULTILINE,
    )
    return {name.partition("@")[0]: (name.rpartition("@")[2] if "@" in name else "", kind) for kind, name in rows}


def imported(users: list[Path]) -> set[str]:
    """Names of the symbols that these files expect of others."""
    rows = [re.findall(r"\sUND\s+([^\s@]+)", read("readelf", "--dyn-syms", "--wide", str(user))) for user in users]
    return {name for names in rows for name in names}


def source(wanted: dict[str, tuple[str, str]], how: str, soname: str) -> str:
    lines = ["#include <stdio.h>", "#include <stdlib.h>", f'static const char *self = "{soname}";']
    for name in sorted(wanted):
        if ":" in how:
            lines.append(
                f'__asm__(".globl {name}\\n.type {name},%function\\n{name}: '
                f'{JUMP.format(how.partition(":")[0] + name)}\\n");'
            )
        elif how == "fail":
            lines.append(f"long {name}(void) {{ (void)self; return -1; }}")
        else:
            lines.append(
                f'void {name}(void) {{ fprintf(stderr, "{name}: %s was left out of this image\\n", self); abort(); }}'
            )
    return "\n".join(lines) + "\n"


def main() -> None:
    library, how = one(sys.argv[1]), sys.argv[2]
    users = [Path(path) for pattern in sys.argv[3:] for path in sorted(glob.glob(pattern)) if Path(path) != library]
    if not users:
        sys.exit(f"stand_in: no file fits {sys.argv[3:]}")
    offered = exported(library)
    wanted = {name: offered[name] for name in imported(users) if name in offered}
    data = sorted(name for name, (_, kind) in wanted.items() if kind == "OBJECT")
    if data:
        sys.exit(f"stand_in: {library.name} gives data to others, not only functions: {data}")
    dynamic = read("readelf", "--dynamic", "--wide", str(library))
    soname = re.search(r"\(SONAME\).*\[(.+)\]", dynamic)
    with tempfile.TemporaryDirectory() as folder:
        code, versions, made = (Path(folder) / name for name in ("code.c", "versions.map", "made.so"))
        code.write_text(source(wanted, how, soname[1] if soname else library.name))
        names: dict[str, list[str]] = {}
        for name, (version, _) in wanted.items():
            names.setdefault(version, []).append(name)
        versions.write_text(
            "".join(
                f"{version} {{ global: {' '.join(f'{n};' for n in sorted(group))} }};\n"
                for version, group in sorted(names.items())
                if version
            )
        )
        command = [
            "gcc",
            "-shared",
            "-fPIC",
            "-Os",
            "-s",
            "-Wl,--build-id=none",
            "-o",
            str(made),
            str(code),
            f"-Wl,-soname,{soname[1] if soname else library.name}",
        ]
        if versions.stat().st_size:
            command += [f"-Wl,--version-script={versions}"]
        if ":" in how:
            target = one(how.partition(":")[2])
            command += [
                "-Wl,--no-as-needed",
                str(target),
                f"-Wl,-rpath,$ORIGIN/{os.path.relpath(target.parent, library.parent)}",
            ]
            command += ["-Wl,--no-undefined"]
        subprocess.run(command, check=True)
        before = library.stat().st_size
        library.write_bytes(made.read_bytes())
    print(f"{library.name}: {before / 1e6:.1f} MB, {len(wanted)} functions, now {library.stat().st_size / 1e3:.0f} kB")


if __name__ == "__main__":
    main()
