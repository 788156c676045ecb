"""Every module of a folder once: `bytecode.py FOLDER [KEEP,KEEP [ZIP ...]]`.

Packages KEEP keep their source beside the bytecode. Of the others the bytecode stays, where Python finds it without a
source. Packages ZIP go into one zip of bytecode: hundreds of small modules that are seldom
imported take a tenth of the space there.
Bytecode is checked against no source at import, and holds no time: the same source gives the same bytes.
"""

import py_compile
import sys
import zipfile
from pathlib import Path

EPOCH = (1980, 1, 1, 0, 0, 0)


def main() -> None:
    site = Path(sys.argv[1])
    kept, zipped = "".join(sys.argv[2:3]).split(","), sys.argv[3:]
    for path in sorted(site.rglob("*.py")):
        package = path.relative_to(site).parts[0]
        aside = path.parent / "__pycache__" / f"{path.stem}.{sys.implementation.cache_tag}.pyc"
        compiled = aside if package in kept else path.with_suffix(".pyc")
        try:
            py_compile.compile(
                str(path),
                str(compiled),
                doraise=True,
                quiet=1,
                invalidation_mode=py_compile.PycInvalidationMode.UNCHECKED_HASH,
            )
        except py_compile.PyCompileError as error:
            print(f"stays source: {error.file}")  # templates, and code for another Python
            continue
        if package not in kept:
            path.unlink()
    for stub in [path for ending in ("pyi", "pxd", "pyx", "pxi") for path in site.rglob(f"*.{ending}")]:
        stub.unlink()
    for package in zipped:
        pack(site, package)


def pack(site: Path, package: str) -> None:
    folder = site / package
    archive = site / f"{package}.zip"
    with zipfile.ZipFile(archive, "w", zipfile.ZIP_DEFLATED, compresslevel=9) as made:
        for path in sorted(folder.rglob("*.pyc")):
            entry = zipfile.ZipInfo(str(path.relative_to(site)), EPOCH)
            entry.compress_type, entry.external_attr = zipfile.ZIP_DEFLATED, 0o644 << 16
            made.writestr(entry, path.read_bytes())
            path.unlink()
    left = [path for path in folder.rglob("*") if path.is_file() and path.name != "py.typed"]
    if left:
        sys.exit(f"bytecode: {package} has files that are no modules and would be lost: {left[:3]}")
    for path in sorted(folder.rglob("*"), reverse=True):
        path.rmdir() if path.is_dir() else path.unlink()
    folder.rmdir()
    (site / f"{package}.pth").write_text(f"{archive.name}\n")


if __name__ == "__main__":
    main()
