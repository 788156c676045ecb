from job.storage import s3_config
from job.storage.faults import explain


def test_a_name_that_no_bucket_can_have_is_named():
    config = s3_config({"AWS_ACCESS_KEY_ID": "AKIDEXAMPLE", "AWS_SECRET_ACCESS_KEY": "wJalrXUt"})
    error = OSError("400 Bad Request: <Error><Code>InvalidBucketName</Code></Error>")
    assert "'x' can't be a bucket" in explain(error, "s3://x/data", config, "list").message
