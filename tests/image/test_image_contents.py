"""What is in the image, what is not, and what it says of itself."""

import json
import os
import re
import subprocess
import sys
import tarfile
from pathlib import Path

import containers
import pytest
from containers import ROOT, configuration, files, run, tool
from test_image_entrypoint import DRIVER, EXECUTOR, variables

DOCKER = ROOT / "docker"
WANTED = ("fruits", "python", "python3", "java", "spark-submit", "pyspark", "jupyter", "tini")
UNWANTED = ("apt", "apt-get", "pip", "perl", "gcc", "openssl", "curl")
SITE = "/opt/venv/lib/python3.11/site-packages"


def test_it_takes_at_most_900_megabytes_unpacked() -> None:
    assert configuration()["Size"] <= 900_000_000, f"{configuration()['Size'] / 1e6:.0f} MB"


def test_it_says_what_it_is() -> None:
    labels = configuration()["Config"]["Labels"]
    kept = {key.removeprefix("org.opencontainers.image."): value for key, value in labels.items()}
    assert kept["title"] == "fruits-job"
    assert kept["licenses"] == "MIT"
    assert {"description", "version", "revision", "base.name"} <= set(kept)


def test_it_runs_as_uid_and_gid_185() -> None:
    assert run("bash", "-c", "id -u; id -g; id -un").succeeded().out.split() == ["185", "185", "spark"]


def test_what_spark_and_opencv_read_from_the_environment_is_set() -> None:
    variables = dict(pair.split("=", 1) for pair in configuration()["Config"]["Env"])
    assert variables["SPARK_HOME"] == "/opt/spark"
    assert variables["PYSPARK_PYTHON"] == "/opt/venv/bin/python"
    assert {variables[f"{library}_NUM_THREADS"] for library in ("OMP", "OPENBLAS", "MKL")} == {"1"}
    from job.vision import MAX_PIXELS

    assert int(variables["OPENCV_IO_MAX_IMAGE_PIXELS"]) == MAX_PIXELS


@pytest.fixture(scope="module")
def on_the_path() -> set[str]:
    """Those of the commands that are found in the image."""
    program = f"for name in {' '.join((*WANTED, *UNWANTED))}; do command -v $name >/dev/null && echo $name; done; true"
    return set(run("bash", "-c", program).succeeded().out.split())


@pytest.mark.parametrize("command", WANTED)
def test_a_command_is_on_the_path(command: str, on_the_path: set[str]) -> None:
    assert command in on_the_path


@pytest.mark.parametrize(
    "file",
    [
        "/opt/entrypoint.sh",
        "/opt/decom.sh",
        "/opt/fruits/main.py",
        "/opt/spark/bin/spark-class",
        "/opt/java/lib/server/classes.0.zst",
    ],
)
def test_a_file_that_others_rely_on_is_there(file: str) -> None:
    assert file in files()


def test_jars_that_were_left_out_are_gone() -> None:
    listed = (DOCKER / "leave_out_jars.txt").read_text().splitlines()
    names = {line for line in listed if line.endswith(".jar") and not line.startswith("#")}
    assert len(names) > 70
    assert not names & {Path(path).name for path in files()}


@pytest.mark.parametrize(
    "jar",
    [
        "spark-core_2.13",
        "spark-mllib_2.13",
        "spark-kubernetes_2.13",
        "hadoop-client-api",
        "hadoop-aws",
        "s3",
        "sts",
        "spark-hadoop-cloud_2.13",
        "parquet-hadoop",
    ],
)
def test_a_jar_that_is_needed_is_there_once(jar: str) -> None:
    found = [path for path in files() if re.fullmatch(rf"/opt/spark/jars/{re.escape(jar)}-[\d.]+\.jar", path)]
    assert len(found) == 1, found


def test_s3_jars_are_those_of_the_lock_table() -> None:
    rows = re.findall(
        r"^[^#:]+:([^:]+):(\S+) ([0-9a-f]{64})$", (ROOT / "job" / "engine" / "s3a_jars.txt").read_text(), re.MULTILINE
    )
    sums = "".join(f"{checksum}  {artifact}-{version}.jar\n" for artifact, version, checksum in rows)
    checked = run("bash", "-c", f"cd /opt/spark/jars && sha256sum --quiet -c <<<'{sums}'")
    assert (checked.code, len(rows) > 30) == (0, True), checked.err


@pytest.mark.parametrize(
    "part",
    [
        "rocksdb",
        "/R/",
        "sparkR",
        "pyspark/examples",
        "numpy/_core/tests",
        "scala-compiler",
        "hive-exec",
        "debugpy/",
        "babel/locale-data/fr.dat",
    ],
)
def test_nothing_is_left_of(part: str) -> None:
    assert not [path for path in files() if part in path and path.startswith("/opt")]


def test_a_module_is_there_once() -> None:
    compiled = {path for path in files() if path.endswith(".pyc") and "__pycache__" not in path}
    assert not [path for path in compiled if path.removesuffix("c") in files()]
    twice = [path for path in files() if "/__pycache__/" in path and path.startswith(SITE)]
    sources = {path for path in files() if path.endswith(".py")}
    assert {path.split("/")[6] for path in twice} <= {"cv2", "job", "pyspark"}
    assert all(re.sub(r"__pycache__/(.+)\.cpython-\d+\.pyc", r"\1.py", path) in sources for path in twice)


@pytest.mark.parametrize("program", UNWANTED)
def test_nothing_is_there_to_install_or_to_fetch_with(program: str, on_the_path: set[str]) -> None:
    assert program not in on_the_path


def test_nobody_can_change_the_program() -> None:
    found = run(
        "find",
        "/opt",
        "/usr",
        "/etc",
        "(",
        "-perm",
        "-0002",
        "-o",
        "-user",
        "185",
        ")",
        "!",
        "-type",
        "l",
        "!",
        "-path",
        "/opt/spark/work-dir",
    )
    assert found.succeeded().out == ""


def test_every_library_finds_the_libraries_it_is_linked_to() -> None:
    listed = run(
        "bash", "-c", "find /opt /usr -name '*.so*' -type f | xargs ldd 2>/dev/null | grep 'not found' | sort -u"
    ).out
    # these two are found by who loads the libraries that want them: Java, and SciPy's modules
    missing = {re.split(r"[-.]", line.strip())[0] for line in listed.splitlines()}
    assert missing <= {"libjvm", "libquadmath"}, listed


SESSION = (
    "from pyspark.sql import SparkSession\n"
    "s = SparkSession.builder.master('local[1]').config('spark.ui.enabled', False).getOrCreate()\n"
    "s.range(9).mapInArrow(lambda batches: batches, 'id long').collect()"
)


@pytest.mark.parametrize(
    ("role", "least"),
    [
        ("python /tmp/session.py", 9000),
        ("/opt/entrypoint.sh driver /tmp/session.py", 9000),
        ("fruits run --train-images 9 --test-images 9 --preset sift --words 5", 9000),
        ("! timeout 60 /opt/entrypoint.sh executor", 2000),
    ],
    ids=["python", "driver", "fruits", "executor"],
)
def test_classes_come_from_the_archive(role: str, least: int) -> None:
    options = "-Xlog:class+load:file=/tmp/%p.log -Xlog:cds:file=/tmp/%p.cds"
    answer = run(
        "bash",
        "-c",
        f'echo "{SESSION}" >/tmp/session.py; export JDK_JAVA_OPTIONS="{options}"; {role} >&2 || exit; '
        "cat $(ls -S /tmp/*.log | head -1); cat /tmp/*.cds",
        options=(*containers.RESTRICTED, *variables({**DRIVER, **EXECUTOR})),
    ).succeeded()
    loaded = [
        line
        for line in answer.out.splitlines()
        if " source: " in line and not re.search(r"Lambda|Proxy|\d\.jar@|__", line)
    ]
    archived = sum("shared objects file" in line for line in loaded)
    assert len(loaded) > least
    assert archived > 0.95 * len(loaded), f"{archived} of {len(loaded)}"
    # where it was made for: no pointer had to be changed
    assert "alternative address" not in answer.out


def test_opencv_describes_as_on_this_machine(pictures: Path) -> None:
    """What the image leaves out must not change what is computed by a bit."""
    program = containers.ROOT / "tests" / "image" / "describe.py"
    mounted = ("-v", f"{pictures}:/data:ro", "-v", f"{program}:/describe.py:ro")
    inside = run("python", "/describe.py", "/data", options=(*containers.RESTRICTED, *mounted)).succeeded().out
    outside = subprocess.run([sys.executable, program, pictures], capture_output=True, text=True, check=True).stdout
    assert inside == outside
    assert inside.count("\n") > 5


def test_opencvs_linear_algebra_works() -> None:
    run(
        "python",
        "-c",
        "import cv2, numpy as np; a = np.random.default_rng(1).normal(size=(150, 150)); "
        "w, u, v = cv2.SVDecomp(a); assert np.allclose(u * w.ravel() @ v, a); "
        "assert np.allclose(cv2.gemm(a, a, 1, None, 0), a @ a); assert np.allclose(a @ cv2.solve(a, a)[1], a)",
    ).succeeded()


@pytest.mark.parametrize("content", ["video.mp4", "video.avi"])
def test_a_video_is_refused_and_ends_nothing(content: str) -> None:
    answer = run(
        "python",
        "-c",
        f"import cv2; open('/tmp/{content}', 'wb').write(bytes(99)); "
        f"print(cv2.VideoCapture('/tmp/{content}').isOpened())",
    ).succeeded()
    assert answer.out.strip() == "False"


def test_an_avif_picture_is_refused_and_ends_nothing() -> None:
    """Pictures come from strangers."""
    head = "bytes.fromhex('000000206674797061766966000000006176696d6966316d69616600000000000000000000000000')"
    answer = run(
        "python", "-c", f"import cv2, numpy as np; print(cv2.imdecode(np.frombuffer({head} * 9, np.uint8), 1))"
    )
    assert answer.succeeded().out.strip() == "None"


def test_the_bill_of_materials_lists_all_packages_and_jars(tmp_path: Path) -> None:
    for name in ("one", "two"):
        subprocess.run([sys.executable, DOCKER / "sbom.py", containers.IMAGE, tmp_path / name], check=True)
    assert (tmp_path / "one").read_bytes() == (tmp_path / "two").read_bytes()
    bill = json.loads((tmp_path / "one").read_text())
    assert (bill["bomFormat"], bill["specVersion"]) == ("CycloneDX", "1.6")
    listed = {component["purl"] for component in bill["components"]}
    assert len(listed) == len(bill["components"])
    assert not [purl for purl in listed if purl.startswith("pkg:generic") or "@" not in purl]
    locked = re.findall(r"^([\w.-]+)==(\S+)", (DOCKER / "requirements.lock").read_text(), re.MULTILINE)
    assert {f"pkg:pypi/{name}@{version}" for name, version in locked} <= listed
    jars = [path for path in files() if path.startswith("/opt/spark/jars/")]
    assert len([purl for purl in listed if purl.startswith("pkg:maven/")]) == len(jars)
    table = re.findall(
        r"^([^#:]+):([^:]+):(\S+) [0-9a-f]{64}$", (ROOT / "job" / "engine" / "s3a_jars.txt").read_text(), re.MULTILINE
    )
    assert {f"pkg:maven/{group}/{artifact}@{version}" for group, artifact, version in table} <= listed
    debian = {component["name"] for component in bill["components"] if component["purl"].startswith("pkg:deb/")}
    assert {"libc6", "bash", "tini", "python3.11-minimal", "openjdk-17-jre-headless"} <= debian


def test_two_images_are_compared_by_their_content(tmp_path: Path) -> None:
    made = {}
    try:
        for name, text in (("one", "a"), ("two", "a"), ("three", "b")):
            (tmp_path / "file").write_text(text)
            os.utime(tmp_path / "file", (0, len(made)))
            with tarfile.open(tmp_path / f"{name}.tar", "w") as tar:
                tar.add(tmp_path / "file", "file")
            done = tool(
                "import",
                '--change=ENTRYPOINT ["/file"]',
                tmp_path / f"{name}.tar",
                f"localhost/fruits-test-{os.getpid()}:{name}",
            )
            assert done.returncode == 0, done.stderr
            made[name] = f"localhost/fruits-test-{os.getpid()}:{name}"
        same = [sys.executable, str(DOCKER / "same.py")]
        equal, differing = (
            subprocess.run([*same, made["one"], made[other]], capture_output=True, text=True, check=False)
            for other in ("two", "three")
        )
        assert (equal.returncode, equal.stdout) == (0, "0 of 1 paths differ\n"), equal.stderr
        assert (differing.returncode, differing.stdout.splitlines()[-1]) == (1, "1 of 1 paths differ")
        assert differing.stdout.startswith("file: ")
    finally:
        tool("rmi", "--force", *made.values())
