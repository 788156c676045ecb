"""What is taken for a secret, and what is not."""

import pytest

from job.secrets import HIDDEN, hide_secret, holds_login, is_secret, redact, without_logins

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
    # Azure
    "AZURE_CLIENT_SECRET",
    "AZURE_CLIENT_CERTIFICATE_PASSWORD",
    "AZURE_FEDERATED_TOKEN",
    "AZURE_STORAGE_ACCOUNT_KEY",
    "AZURE_STORAGE_SAS_TOKEN",
    "APPLICATIONINSIGHTS_CONNECTION_STRING",
    "SERVICEBUS_SHARED_ACCESS_KEY",
    "fs.azure.account.oauth2.refresh.token",
    "fs.azure.encryption.encoded.client-provided-key-sha",
    "fs.azure.sas.fixed.token.store.dfs.core.windows.net",
    # Google
    "CLOUDSDK_AUTH_ACCESS_TOKEN",
    "GCLOUD_SERVICE_KEY",
    "GCP_SA_KEY",
    "GCS_HMAC_KEY",
    "GOOGLE_API_KEY",
    "GOOGLE_CREDENTIALS",
    "GOOGLE_OAUTH_ACCESS_TOKEN",
    "fs.gs.auth.client.secret",
    "fs.gs.proxy.password",
    # GitHub
    "ACTIONS_ID_TOKEN_REQUEST_TOKEN",
    "GH_ENTERPRISE_TOKEN",
    "GITHUB_APP_PRIVATE_KEY",
    "GITHUB_DEPLOY_KEY",
    "GITHUB_WEBHOOK_SECRET",
    # S3, encrypted by keys of the client
    "AWS_SESSION_TOKEN",
    "AWS_SSE_C_KEY",
    "SSEC_KEY",
    "S3_MASTER_KEY",
    "x-amz-server-side-encryption-customer-key",
    "fs.s3a.encryption.cse.key",
    "fs.s3a.cse.aes.key",
    "fs.s3a.encryption.cse.rsa.private.key",
    "fs.s3.cse.encryptionMaterials",
    "fs.s3a.proxy.password",
    "fs.s3a.server-side-encryption-key",
    "MINIO_KMS_SECRET_KEY",
    "MINIO_ROOT_PASSWORD",
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
    "AZURE_TENANT_ID",
    "AWS_REGION",
    "GOOGLE_CLOUD_PROJECT",
    "GITHUB_REPOSITORY",
    "fs.s3a.encryption.algorithm",
    "spark.master",
    "visakeypoints",
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


@pytest.mark.parametrize(
    "value",
    [
        "https://store.blob.core.windows.net/box?sv=2024&sig=hush",
        "https://s3.amazonaws.com/b/k?X-Amz-Algorithm=a&X-Amz-Signature=hush",
        "https://storage.googleapis.com/b/k?X-Goog-Signature=hush",
        "AzureWebJobsStorage=DefaultEndpointsProtocol=https;AccountKey=hush",
    ],
)
def test_a_signature_in_an_address_is_hidden(value: str):
    assert "hush" not in str(redact("data", value))
    assert "hush" not in str(redact("conf", [f"spark.a={value}"]))
    assert "hush" not in hide_secret(f"spark.a={value}")


def test_a_login_in_an_address_is_left_out():
    assert redact("data", "https://me:hush@store/x") == "https://store/x"


@pytest.mark.parametrize(
    ("pair", "shown"),
    [
        ("spark.my.url=jdbc:postgresql://u:hush@h/db", "spark.my.url=jdbc:postgresql://h/db"),
        ("spark.hadoop.fs.s3a.proxy.host=http://u:hush@h", "spark.hadoop.fs.s3a.proxy.host=http://h"),
        ("spark.my.urls=http://u:hush@a,http://v:hush@b/c", "spark.my.urls=http://a,http://b/c"),
        ("--conf=spark.my.url=http://u:hush@h", "--conf=spark.my.url=http://h"),
    ],
)
def test_a_login_inside_the_value_of_a_pair_is_left_out(pair: str, shown: str):
    assert hide_secret(pair) == shown
    assert redact("conf", [pair]) == [shown]


@pytest.mark.parametrize(
    ("sentence", "shown"),
    [
        ("No credentials for 's3://k:hush@b/x': set them.", "No credentials for 's3://b/x': set them."),
        ("Can't read s3://k:hu/sh+@b/x or s3://k@b/y.", "Can't read s3://b/x or s3://b/y."),
        ("http://u:hu@sh@h:80/x does not answer", "http://h:80/x does not answer"),
        ("'http://h:9000/a@b' is there, and s3://b/a@b too.", "'http://h:9000/a@b' is there, and s3://b/a@b too."),
        ("s3://arn:aws:s3:eu-west-1:1:accesspoint/a@b", "s3://arn:aws:s3:eu-west-1:1:accesspoint/a@b"),
        ("http://[::1]:9000/a@b", "http://[::1]:9000/a@b"),
    ],
)
def test_logins_are_left_out_of_a_sentence(sentence: str, shown: str):
    assert without_logins(sentence) == shown


@pytest.mark.parametrize("address", ["s3://k:hush@b/x", "S3A://k@b", "s3n://k:hu/sh@b/x"])
def test_an_s3_address_with_a_login_is_known(address: str):
    assert holds_login(address)


@pytest.mark.parametrize(
    "address",
    ["s3://b/a@b", "s3://b", "s3://arn:aws:s3:eu-west-1:1:accesspoint/a@b", "a@b", "/s3://k:hush@b", "b:80/x"],
)
def test_other_addresses_have_no_login(address: str):
    assert not holds_login(address)
