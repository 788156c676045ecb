"""Which known vulnerabilities are in an image, by its bill of materials: `scan.py BOM`.

Python packages are looked up by pip-audit, Debian's in its security tracker, jars in OSV's database. What could not be
looked up is said, and is not counted as free of faults. Exit codes: 0 all was looked up and nothing is known, 1
something is known, 3 nothing is known but not all could be looked up.
"""

import argparse
import json
import re
import subprocess
import sys
import tempfile
import urllib.error
import urllib.request
from collections.abc import Iterator
from pathlib import Path
from typing import Any, NamedTuple

TRACKER = "https://security-tracker.debian.org/tracker/data/json"
OSV = "https://api.osv.dev/v1/querybatch"
Component = dict[str, Any]


class Known(NamedTuple):
    """A vulnerability that is known of a package; `fixed`: the version without it, empty if there is none yet."""

    package: str
    version: str
    identity: str
    fixed: str | None


def main() -> int:
    parser = argparse.ArgumentParser(description="known vulnerabilities of what a bill of materials lists")
    parser.add_argument("bill", metavar="BOM", type=Path)
    parser.add_argument("--tracker", default=TRACKER, help="Debian's security tracker, as JSON (default: %(default)s)")
    parser.add_argument("--osv", default=OSV, help="OSV's batch query (default: %(default)s)")
    arguments = parser.parse_args()
    components = json.loads(arguments.bill.read_text(encoding="utf-8"))["components"]
    of = {
        kind: [one for one in components if one["purl"].startswith(f"pkg:{kind}/")]
        for kind in ("pypi", "deb", "maven", "generic")
    }
    left: list[str] = []
    found = set(python(of["pypi"], left))
    found |= set(debian(of["deb"], arguments.tracker, left))
    found |= set(jars(of["maven"], arguments.osv, left))
    if of["generic"]:
        left.append(f"no database goes by the names of {', '.join(one['name'] for one in of['generic'])}.")
    for sentence in left:
        print(f"scan: {sentence}", file=sys.stderr)
    for one in sorted(found, key=lambda one: one[:3]):
        cure = "" if one.fixed is None else f", fixed in {one.fixed}" if one.fixed else ", not fixed yet"
        print(f"{one.package} {one.version}: {one.identity}{cure}")
    print(f"{len(found)} known vulnerabilities{' in what could be looked up' if left else ''}")
    return 1 if found else 3 if left else 0


def python(packages: list[Component], left: list[str]) -> Iterator[Known]:
    """By pip-audit; the project itself is on no index. `left` gets a sentence about what could not be looked up."""
    wanted = {one["name"]: one["version"] for one in packages if one["name"] != "fruits-job"}
    with tempfile.NamedTemporaryFile("w", suffix=".txt") as listed:
        listed.writelines(f"{name}=={version}\n" for name, version in wanted.items())
        listed.flush()
        command = [sys.executable, "-m", "pip_audit", "--disable-pip", "--no-deps", "--progress-spinner=off"]
        asked = subprocess.run(
            [*command, "--format=json", f"--requirement={listed.name}"], capture_output=True, text=True, check=False
        )
    try:
        answered = json.loads(asked.stdout)["dependencies"]
    except ValueError:
        why = (asked.stderr.strip().splitlines() or ["no answer"])[-1]
        left.append(f"{len(wanted)} Python packages were not looked up: {why}")
        return
    skipped = [one["name"] for one in answered if "skip_reason" in one]
    for one in answered:
        for known in one.get("vulns", []):
            yield Known(one["name"], one["version"], known["id"], ", ".join(known["fix_versions"]))
    if skipped:
        left.append(
            f"{len(skipped)} of {len(wanted)} Python packages were not looked up: "
            f"the index that pip-audit asks does not answer for them ({', '.join(skipped[:3])}, ...)"
        )


def debian(packages: list[Component], address: str, left: list[str]) -> Iterator[Known]:
    """What is open or was fixed in a later version, but for what Debian calls unimportant: it can't be exploited."""
    tracker = fetch(address, None, left, f"{len(packages)} Debian packages were not looked up")
    sources = {
        (of["fruits:source"], of["fruits:source_version"], of["fruits:release"])
        for of in ({pair["name"]: pair["value"] for pair in one["properties"]} for one in packages)
    }
    for source, version, release in sources:
        for identity, known in tracker.get(source, {}).items():
            here = known.get("releases", {}).get(release, {})
            fixed = here.get("fixed_version", "")
            if here.get("urgency") == "unimportant" or here.get("status") not in ("open", "resolved"):
                continue
            if here["status"] == "open" or (fixed != "0" and older(version, fixed)):
                yield Known(source, version, identity, fixed if here["status"] == "resolved" else "")


def jars(packages: list[Component], address: str, left: list[str]) -> Iterator[Known]:
    """OSV says which vulnerabilities there are, not what they are fixed in."""
    queries = [{"package": {"purl": one["purl"]}} for one in packages]
    answer = fetch(address, {"queries": queries}, left, f"{len(packages)} jars were not looked up")
    for one, known in zip(packages, answer.get("results", []), strict=False):
        for vulnerability in known.get("vulns", []):
            yield Known(f"{one['group']}:{one['name']}", one["version"], vulnerability["id"], None)


def fetch(address: str, query: dict[str, Any] | None, left: list[str], lost: str) -> dict[str, Any]:
    """The answer of a database; nothing, and a sentence in `left`, where there is none."""
    data = json.dumps(query).encode() if query else None
    request = urllib.request.Request(address, data)  # noqa: S310  (whoever builds the image gives the address)
    try:
        with urllib.request.urlopen(request, timeout=60) as answer:  # noqa: S310  (as above)
            content: dict[str, Any] = json.load(answer)
            return content
    except (OSError, ValueError) as error:
        reason = error.reason if isinstance(error, urllib.error.URLError) else error
        left.append(f"{lost}: {address} does not answer ({reason}).")
        return {}


def older(one: str, other: str) -> bool:
    """Whether the first of two Debian versions comes before the second (deb-version(7))."""
    return key(one) < key(other)


def key(version: str) -> tuple[Any, ...]:
    epoch, colon, rest = version.partition(":")
    upstream, _, revision = (rest if colon else version).rpartition("-")
    if not upstream:
        upstream, revision = revision, ""
    return (int(epoch) if colon else 0, parts(upstream), parts(revision))


def parts(text: str) -> list[Any]:
    """Alternately what is no digit (first a tilde, then the end, letters, the rest) and numbers."""
    split: list[Any] = []
    for word, number in re.findall(r"(\D*)(\d*)", text):
        split.append([-1 if sign == "~" else ord(sign) if sign.isalpha() else ord(sign) + 256 for sign in word] + [0])
        split.append(int(number or 0))
    return split


if __name__ == "__main__":
    sys.exit(main())
