"""What is taken for a secret, and what is not."""

import pytest

from job.secrets import HIDDEN, hide_secret, is_secret, redact

SECRET = [
    "spark.hadoop.fs.s3a.secret.key",
    "spark.hadoop.fs.s3a.access.key",
    "fs.s3a.session.token",
    "fs.s3a.encryption.key",
    "spark.hadoop.fs.s3a.server-side-encryption.key",
    "fs.azure.account.key.store.blob.core.windows.net",
    "fs.azure.sas.box.store.blob.core.windows.net",
    "fs.azure.account.oauth2.client.secret",
    "fs.gs.auth.service.account.private.key",
    "google.cloud.auth.service.account.private.key.id",
    "javax.jdo.option.ConnectionPassword",
    "my.ConnectionPwd",
    "DB_PWD",
    "GITHUB_PAT",
    "personal.pat",
    "fs.gs.encryption.key",
    "fs.gs.auth.refresh.token",
    "fs.azure.encryption.encoded.client-provided-key",
    "fs.s3a.encryption.context",
    "SharedAccessSignature",
    "AccountKey",
    "accessKeyId",
    "SSE_CUSTOMER_KEY",
    "SSH_PASSPHRASE",
    "GITHUB_TOKEN",
    "AWS_SECRET_ACCESS_KEY",
    "AWS_ACCESS_KEY_ID",
    "AZURE_STORAGE_CONNECTION_STRING",
    "API_KEY",
    "spark.ssl.keyStorePassword",
    "spark.authenticate.secret",
    "GOOGLE_APPLICATION_CREDENTIALS",
    "storage_key",
    "AZURE_STORAGE_KEY",
    "google_service_account",
]
PLAIN = [
    "words",
    "keypoints",
    "spark.sql.keyedStatefulRegrouping",
    "spark.driver.memory",
    "spark.hadoop.fs.s3a.endpoint",
    "spark.kubernetes.executor.podNamePrefix",
    "spark.eventLog.dir",
    "path",
    "pattern",
    "pwdx",
    "fs.azure.account.keyprovider.store",
    "spark.sql.streaming.clientKeyed",
    "spark.kubernetes.authenticate.driver.serviceAccountName",
    "spark.hadoop.fs.s3a.path.style.access",
    "spark.sql.shuffle.partitions",
    "cat",
    "spark.sql.files.maxPartitionBytes",
    "spark.sql.columnNameOfCorruptRecord",
]


@pytest.mark.parametrize("name", SECRET)
def test_names_of_secrets_are_known(name: str):
    assert is_secret(name)
    assert hide_secret(f"{name}=hush") == f"{name}={HIDDEN}"
    assert redact(name, "hush") == HIDDEN
    assert "hush" not in str(redact("conf", [f"{name}=hush"]))


@pytest.mark.parametrize("name", PLAIN)
def test_other_names_are_left_alone(name: str):
    assert not is_secret(name)
    assert hide_secret(f"{name}=5") == f"{name}=5"
    assert redact(name, 5) == 5


def test_a_secret_inside_a_value_is_hidden():
    pair = "spark.driver.extraJavaOptions=-Dpassword=hush"
    assert hide_secret(pair) == redact("conf", [pair])[0] == f"spark.driver.extraJavaOptions={HIDDEN}"
    assert redact("conf", ["spark.driver.extraJavaOptions=-Da=5"]) == ["spark.driver.extraJavaOptions=-Da=5"]


def test_a_login_in_an_address_is_left_out():
    assert redact("data", "https://me:hush@store/x") == "https://store/x"
