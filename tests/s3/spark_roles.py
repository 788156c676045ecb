"""Spark with the role of a service account at one bucket and that of a pod at another: `python spark_roles.py A B`."""

import json
import sys

from job.engine import s3a
from job.engine.configuration import Configuration
from job.engine.session import session as spark_session
from job.settings import Settings
from job.storage import Credentials


def main(account: str, pod: str) -> None:
    provider = s3a._PROVIDERS[Credentials.CONTAINER]
    configuration = Configuration.of(Settings(data=f"s3://{account}", master="local[1]", conf=(
        "spark.driver.extraJavaOptions=-XX:TieredStopAtLevel=1 -XX:+UseSerialGC",
        f"spark.hadoop.fs.s3a.bucket.{pod}.aws.credentials.provider={provider}")))  # fmt: skip
    with spark_session(configuration) as session:
        found = []
        for bucket in (account, pod):
            session.range(10).coalesce(1).write.parquet(f"s3://{bucket}/table")
            found.append(session.read.parquet(f"s3a://{bucket}/table").count())
    print(json.dumps(found))


if __name__ == "__main__":
    main(*sys.argv[1:])
