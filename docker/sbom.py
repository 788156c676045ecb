"""A software bill of materials of an image, as CycloneDX 1.6: `sbom.py IMAGE FILE`.

What is in it is read from the image itself, by the Python that is in there: Debian's packages from dpkg's list,
Python's from their metadata, jars from what their builds left in them, and the Java runtime. Same image, same file.
`FRUITS_CONTAINER_TOOL` names another tool than podman or docker.
"""

import hashlib
import json
import os
import re
import shutil
import subprocess
import sys
import uuid
import zipfile
from collections.abc import Iterator
from importlib import metadata
from pathlib import Path
from typing import Any
from urllib.parse import quote

Component = dict[str, Any]
# Jars in which nothing says it.
GROUPS = {
    "RoaringBitmap": "org.roaringbitmap",
    "arpack_combined_all": "net.sourceforge.f2j",
    "jsr305": "com.google.code.findbugs",
    "log4j-1.2-api": "org.apache.logging.log4j",
    "lz4-java": "org.lz4",
    "objenesis": "org.objenesis",
    "oro": "oro",
    "reactive-streams": "org.reactivestreams",
    "scala-library": "org.scala-lang",
    "scala-reflect": "org.scala-lang",
    "third-party-jackson-core": "software.amazon.awssdk",
    "tink": "com.google.crypto.tink",
    "xz": "org.tukaani",
}


def main() -> None:
    if sys.argv[1:] == ["--inside"]:
        json.dump(inventory(), sys.stdout)
        return
    if len(sys.argv) != 3:
        sys.exit("sbom: which image, and into which file? sbom.py IMAGE FILE")
    image, file = sys.argv[1:]
    tool = os.environ.get("FRUITS_CONTAINER_TOOL") or next(filter(shutil.which, ("podman", "docker")), "podman")
    command = [tool, "run", "--rm", "--interactive", "--network=none", image, "python", "-", "--inside"]
    program = Path(__file__).read_text(encoding="utf-8")
    asked = subprocess.run(command, input=program, capture_output=True, text=True, check=False)
    if asked.returncode:
        sys.exit(f"sbom: {image} could not be asked: {(asked.stderr.strip().splitlines() or ['no reason given'])[-1]}")
    components = json.loads(asked.stdout)
    Path(file).parent.mkdir(parents=True, exist_ok=True)
    text = json.dumps(document(components), indent=1) + "\n"
    if fault := breach(text):
        sys.exit(f"sbom: the bill of {image} is not what CycloneDX 1.6 says: {fault}")
    Path(file).write_text(text, encoding="utf-8")
    kinds = [component["purl"].partition("/")[0] for component in components]
    counts = ", ".join(f"{kinds.count(kind)} {kind.removeprefix('pkg:')}" for kind in sorted(set(kinds)))
    print(f"{file}: {len(components)} components ({counts})")


def breach(text: str) -> str | None:
    """What in a bill is not as CycloneDX's own schema says; None where all of it is."""
    try:
        from cyclonedx.schema import SchemaVersion
        from cyclonedx.validation.json import JsonStrictValidator

        found = JsonStrictValidator(SchemaVersion.V1_6).validate_str(text)
    except ImportError as error:
        print(f"sbom: not checked against the schema, which the extra dev brings ({error})", file=sys.stderr)
        return None
    return None if found is None else str(found).partition("\n")[0]


def document(components: list[Component]) -> dict[str, Any]:
    """The bill, without a time; its serial number is made of its content."""
    content = hashlib.sha256(json.dumps(components, sort_keys=True).encode()).hexdigest()
    version = next(one["version"] for one in components if one["purl"].startswith("pkg:pypi/fruits-job@"))
    about = {"type": "container", "bom-ref": "image", "name": "fruits-job", "version": version}
    return {
        "bomFormat": "CycloneDX",
        "specVersion": "1.6",
        "serialNumber": f"urn:uuid:{uuid.uuid5(uuid.NAMESPACE_URL, content)}",
        "version": 1,
        "metadata": {"component": about},
        "components": components,
        "dependencies": [{"ref": "image", "dependsOn": [one["bom-ref"] for one in components]}],
    }


def inventory() -> list[Component]:
    """All components of the system that this runs on, in the order of their addresses."""
    found = [*debian(), *python(), *jars(Path(os.environ["SPARK_HOME"]) / "jars"), java()]
    return sorted(found, key=lambda one: str(one["bom-ref"]))


def component(purl: str, name: str, version: str, **more: Any) -> Component:
    return {"type": "library", "bom-ref": purl, "name": name, "version": version, "purl": purl, **more}


def properties(**values: str) -> list[dict[str, str]]:
    return [{"name": f"fruits:{name}", "value": value} for name, value in values.items() if value]


def system() -> dict[str, str]:
    return dict(re.findall(r'^(\w+)="?([^"\n]*)', Path("/etc/os-release").read_text(), re.MULTILINE))


def debian() -> Iterator[Component]:
    """With the release, the source package and its version, by which Debian's tracker goes."""
    release = system()
    for paragraph in Path("/var/lib/dpkg/status").read_text().split("\n\n"):
        of = dict(re.findall(r"^([\w-]+): (.*)$", paragraph, re.MULTILINE))
        if not of.get("Status", "").endswith(" installed"):
            continue
        source, _, version = of.get("Source", of["Package"]).partition(" ")
        purl = (
            f"pkg:deb/debian/{of['Package']}@{quote(of['Version'])}"
            f"?arch={of['Architecture']}&distro=debian-{release['VERSION_ID']}"
        )
        of_source = properties(
            release=release["VERSION_CODENAME"], source=source, source_version=version.strip("()") or of["Version"]
        )
        yield component(purl, of["Package"], of["Version"], properties=of_source)


def python() -> Iterator[Component]:
    for package in metadata.distributions():
        name = re.sub(r"[-_.]+", "-", package.metadata["Name"]).lower()
        licence = package.metadata.get("License-Expression")
        licences = {"licenses": [{"expression": licence}]} if licence else {}
        yield component(f"pkg:pypi/{name}@{quote(package.version)}", name, package.version, **licences)


def jars(folder: Path) -> Iterator[Component]:
    for path in sorted(folder.glob("*.jar")):
        whole = re.fullmatch(r"(.+)-(\d[\w.]*(?:-[A-Za-z][\w.]*)*)", path.stem)
        artifact, version = whole.groups() if whole else (path.stem, "")
        with zipfile.ZipFile(path) as jar:
            group = coordinate(jar, artifact)
        place = f"maven/{group}" if group else "generic"
        checksum = hashlib.sha256(path.read_bytes()).hexdigest()
        more: dict[str, Any] = {"group": group} if group else {}
        yield component(
            f"pkg:{place}/{artifact}@{quote(version)}",
            artifact,
            version,
            **more,
            hashes=[{"alg": "SHA-256", "content": checksum}],
            properties=properties(file=str(path)),
        )


def coordinate(jar: zipfile.ZipFile, artifact: str) -> str:
    """The Maven group: of the jar's own pom among those of what is shaded into it, or what its manifest says."""
    poms = [re.fullmatch(r"META-INF/maven/([^/]+)/([^/]+)/pom\.(?:properties|xml)", name) for name in jar.namelist()]
    groups = {pom[2]: pom[1] for pom in poms if pom}
    if artifact in groups:
        return groups[artifact]
    said = jar.read("META-INF/MANIFEST.MF").decode(errors="replace") if "META-INF/MANIFEST.MF" in jar.namelist() else ""
    vendor = re.search(r"^(?:Implementation-Vendor-Id|Specification-Vendor-Id): ([a-z][\w.-]+)\s*$", said, re.MULTILINE)
    return vendor[1] if vendor else GROUPS.get(artifact, "")


def java() -> Component:
    """The runtime, which jlink took out of Debian's package: under that package's name and version."""
    said = subprocess.run(["java", "-version"], capture_output=True, text=True, check=True).stderr
    build = re.search(r"\(build ([^,)]+)", said)
    version = re.sub(r"-Debian-(\d+)deb", r"-\1~deb", build[1] if build else "unknown")
    major = version.partition(".")[0]
    release = system()
    purl = f"pkg:deb/debian/openjdk-{major}-jre-headless@{quote(version)}?distro=debian-{release['VERSION_ID']}"
    of_source = properties(release=release["VERSION_CODENAME"], source=f"openjdk-{major}", source_version=version)
    return component(purl, f"openjdk-{major}-jre-headless", version, properties=of_source)


if __name__ == "__main__":
    main()
