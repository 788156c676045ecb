import hashlib
import shutil
from pathlib import Path

import pytest

from job.engine import s3a
from job.engine.java import find_java
from job.errors import UserError
from job.storage import s3_config

KEYS = {"AWS_ACCESS_KEY_ID": "AKIDEXAMPLE", "AWS_SECRET_ACCESS_KEY": "wJalrXUt", "AWS_SESSION_TOKEN": "FwoGZXIv"}


@pytest.fixture(autouse=True)
def no_profile(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))


@pytest.fixture
def spark_jars(tmp_path: Path) -> Path:
    """A folder that looks like that of Spark 4.1."""
    folder = tmp_path / "jars"
    folder.mkdir()
    (folder / "hadoop-client-api-3.4.2.jar").touch()
    (folder / "ivy-2.5.3.jar").touch()
    return folder


def conf(tmp_path: Path, **environment: str) -> dict[str, str]:
    files = {"AWS_CONFIG_FILE": str(tmp_path / "c"), "AWS_SHARED_CREDENTIALS_FILE": str(tmp_path / "s")}
    return s3a.s3a_conf(s3_config({**files, **environment}))


def test_no_secret_is_in_sparks_settings(tmp_path: Path):
    shown = repr(conf(tmp_path, **KEYS, AWS_ENDPOINT_URL="http://minio:9000"))
    assert not any(secret in shown for secret in KEYS.values())


def test_the_provider_of_the_credentials_is_named(tmp_path: Path):
    token = tmp_path / "token"
    token.touch()
    key = "spark.hadoop.fs.s3a.aws.credentials.provider"
    sdk = "software.amazon.awssdk.auth.credentials"
    irsa = {"AWS_WEB_IDENTITY_TOKEN_FILE": str(token), "AWS_ROLE_ARN": "arn:aws:iam::123456789012:role/fruits"}
    pod = {"AWS_CONTAINER_CREDENTIALS_FULL_URI": "http://169.254.170.23/v1/credentials"}
    assert conf(tmp_path, **KEYS)[key] == f"{sdk}.EnvironmentVariableCredentialsProvider"
    assert conf(tmp_path, **irsa)[key] == f"{sdk}.WebIdentityTokenFileCredentialsProvider"
    assert conf(tmp_path, **pod)[key] == f"{sdk}.ContainerCredentialsProvider"
    assert conf(tmp_path)[key] == "org.apache.hadoop.fs.s3a.auth.IAMInstanceCredentialsProvider"


def test_an_endpoint_means_path_style_and_its_scheme_tells_about_tls(tmp_path: Path):
    plain = conf(tmp_path, **KEYS, AWS_ENDPOINT_URL="http://minio:9000")
    assert plain["spark.hadoop.fs.s3a.endpoint"] == "http://minio:9000"
    assert plain["spark.hadoop.fs.s3a.path.style.access"] == "true"
    assert plain["spark.hadoop.fs.s3a.connection.ssl.enabled"] == "false"
    amazon = conf(tmp_path, **KEYS, AWS_REGION="eu-west-3")
    assert "spark.hadoop.fs.s3a.endpoint" not in amazon
    assert amazon["spark.hadoop.fs.s3a.endpoint.region"] == "eu-west-3"
    assert amazon["spark.hadoop.fs.s3a.path.style.access"] == "false"
    assert amazon["spark.hadoop.fs.s3a.connection.ssl.enabled"] == "true"


def test_objects_are_public_only_when_asked(tmp_path: Path):
    config = s3_config({"AWS_CONFIG_FILE": str(tmp_path), "AWS_SHARED_CREDENTIALS_FILE": str(tmp_path)})
    assert "PublicRead" not in s3a.s3a_conf(config).values()
    assert s3a.s3a_conf(config, public_read=True)["spark.hadoop.fs.s3a.acl.default"] == "PublicRead"


def test_the_lock_table_fits_the_installed_spark_and_names_no_bundle():
    import pyspark

    api = [path.name for path in (Path(pyspark.__file__).parent / "jars").glob("hadoop-client-api-*.jar")]
    locked = {jar.artifact: jar for jar in s3a.locked_jars()}
    assert api == [f"hadoop-client-api-{locked['hadoop-aws'].version}.jar"]
    assert "bundle" not in locked
    assert {"s3", "sts", "s3-transfer-manager", "apache-client", "netty-nio-client"} <= set(locked)
    assert all(len(jar.sha256) == 64 for jar in locked.values())


def test_jars_that_spark_has_already_are_not_fetched(spark_jars: Path):
    (spark_jars / "hadoop-aws-3.4.2.jar").touch()
    assert s3a.jars(spark_jars, "no-java", print) == ()


def test_jars_of_another_hadoop_are_refused(spark_jars: Path):
    (spark_jars / "hadoop-aws-3.4.1.jar").touch()
    with pytest.raises(UserError, match=r"has hadoop-aws 3\.4\.1 with Hadoop 3\.4\.2"):
        s3a.jars(spark_jars, "no-java", print)


def test_a_spark_without_locked_jars_is_refused(spark_jars: Path):
    (spark_jars / "hadoop-client-api-3.4.2.jar").rename(spark_jars / "hadoop-client-api-3.5.0.jar")
    with pytest.raises(UserError, match=r"has Hadoop 3\.5\.0, but s3:// needs 3\.4\.2"):
        s3a.jars(spark_jars, "no-java", print)


class FakeIvy:
    """Puts files with the given content where Ivy would."""

    def __init__(self, content: bytes | None) -> None:
        self.content = content

    def __call__(self, missing: list[s3a.Jar], _work: Path, found: Path, *_: object) -> str:
        found.mkdir()
        for jar in missing if self.content is not None else []:
            (found / jar.file).write_bytes(self.content or b"")
        return "no network"


def test_jars_are_fetched_once_and_checked(spark_jars: Path, monkeypatch: pytest.MonkeyPatch):
    table = [s3a.Jar("g", "a", "1", hashlib.sha256(b"right").hexdigest())]
    monkeypatch.setattr(s3a, "locked_jars", lambda: table)
    told: list[str] = []
    monkeypatch.setattr(s3a, "_ivy", FakeIvy(b"wrong"))
    with pytest.raises(UserError, match=r"a-1\.jar came with a wrong checksum"):
        s3a.jars(spark_jars, "java", told.append)
    assert list(s3a.cache_folder().iterdir()) == []
    monkeypatch.setattr(s3a, "_ivy", FakeIvy(None))
    with pytest.raises(UserError, match=r"a-1\.jar, which Spark needs for s3://, could not be fetched \(no network\)"):
        s3a.jars(spark_jars, "java", told.append)
    monkeypatch.setattr(s3a, "_ivy", FakeIvy(b"right"))
    assert s3a.jars(spark_jars, "java", told.append) == (str(s3a.cache_folder() / "a-1.jar"),)
    assert told[-1].startswith("Fetching 1 jars that Spark needs for s3:// into ")
    monkeypatch.setattr(s3a, "_ivy", FakeIvy(b"again"))
    assert s3a.jars(spark_jars, "java", told.append) == (str(s3a.cache_folder() / "a-1.jar"),)
    assert len(told) == 3
    shutil.rmtree(s3a.cache_folder())


def test_a_maven_repository_out_of_reach_is_one_sentence(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    import pyspark

    real = Path(pyspark.__file__).parent / "jars"
    settings = tmp_path / ".ivy2" / "ivysettings.xml"
    settings.parent.mkdir()
    settings.write_text(
        '<ivysettings><settings defaultResolver="maven"/><resolvers>'
        '<ibiblio name="maven" m2compatible="true" usepoms="false" root="http://127.0.0.1:9/"/></resolvers></ivysettings>'
    )
    monkeypatch.setenv("HOME", str(tmp_path))
    with pytest.raises(UserError, match=r"could not be fetched \(.*\): connect to a Maven repository, or put the jars"):
        s3a.jars(real, find_java(), print)


# ---- who fetches from behind a proxy, or without a home


def test_java_is_told_of_the_proxies_that_the_environment_names_without_their_passwords():
    """Doubtful: fetching the jars ignored proxy variables."""
    environment = {
        "https_proxy": "http://me:secret@proxy.example:3128",
        "HTTP_PROXY": "proxy.example",
        "NO_PROXY": "localhost, .internal",
    }
    assert s3a._proxies(environment) == [
        "-Dhttp.proxyHost=proxy.example",
        "-Dhttp.proxyPort=80",
        "-Dhttps.proxyHost=proxy.example",
        "-Dhttps.proxyPort=3128",
        "-Dhttp.nonProxyHosts=localhost|*.internal",
    ]


@pytest.mark.parametrize("environment", [{}, {"NO_PROXY": "a"}, {"HTTPS_PROXY": ""}, {"HTTPS_PROXY": "http://a:b:c"}])
def test_without_a_usable_proxy_java_is_told_nothing(environment: dict[str, str]):
    assert s3a._proxies(environment) == []


def test_a_user_without_a_home_is_told_where_to_keep_the_jars(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.delenv("XDG_CACHE_HOME")
    monkeypatch.setattr(Path, "home", _no_home)
    with pytest.raises(UserError, match="no home folder: set XDG_CACHE_HOME"):
        s3a.cache_folder()


def _no_home() -> Path:
    raise RuntimeError("Could not determine home directory.")
