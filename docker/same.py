"""Whether two images have the same content: `same.py ONE OTHER`; without names, whether two builds of this source do.

Compared are the paths, kinds, modes, owners and checksums of all files; not the times, which are those of the build.
Of the class archive, which Java never writes twice alike, only that it is there. The builds take no layer from earlier
ones: two cold builds, one after the other.
"""

import hashlib
import os
import re
import shutil
import subprocess
import sys
import tarfile
from pathlib import Path

TOOL = os.environ.get("FRUITS_CONTAINER_TOOL") or next(filter(shutil.which, ("podman", "docker")), "podman")
ARCHIVE = re.compile(r"opt/java/lib/server/classes\.\d+\.zst")


def main() -> int:
    names = sys.argv[1:]
    if not names:
        names = [f"localhost/fruits-same:{number}" for number in "12"]
        for name in names:
            build(name)
    if len(names) != 2:
        sys.exit("same: which two images? same.py ONE OTHER")
    one, other = map(content, names)
    differ = sorted(path for path in one.keys() | other.keys() if one.get(path) != other.get(path))
    for path in differ[:50]:
        print(f"{path}: {one.get(path, 'not there')} and {other.get(path, 'not there')}")
    print(f"{len(differ)} of {len(one.keys() | other.keys())} paths differ")
    return 1 if differ else 0


def build(name: str) -> None:
    here = Path(__file__).parents[1]
    command = [TOOL, "build", "--no-cache", "-f", here / "docker" / "Dockerfile", "-t", name, here]
    done = subprocess.run(command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, check=False)
    if done.returncode:
        sys.exit(f"same: the build failed:\n{done.stdout[-3000:]}")


def content(image: str) -> dict[str, str]:
    """Of each path in the image, what it is."""
    made = subprocess.run([TOOL, "create", image], capture_output=True, text=True, check=False)
    if made.returncode:
        sys.exit(f"same: {image} can't be looked into: {made.stderr.strip()}")
    container = made.stdout.strip()
    try:
        with (
            subprocess.Popen([TOOL, "export", container], stdout=subprocess.PIPE) as export,
            tarfile.open(fileobj=export.stdout, mode="r|") as files,
        ):
            return {file.name: told(file, files) for file in files}
    finally:
        subprocess.run([TOOL, "rm", container], check=False, capture_output=True)


def told(file: tarfile.TarInfo, files: tarfile.TarFile) -> str:
    rights = f"{file.mode:o} {file.uid}:{file.gid}"
    if ARCHIVE.fullmatch(file.name):
        return f"file {rights}"
    if not file.isfile():
        return f"{file.type.decode()} {rights} {file.linkname}".strip()
    data = files.extractfile(file)
    return f"file {rights} {hashlib.file_digest(data, 'sha256').hexdigest()[:16]}" if data else f"file {rights}"


if __name__ == "__main__":
    sys.exit(main())
