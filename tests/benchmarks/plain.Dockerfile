# What image_start.py compares the image with: the same base, the same Python packages and pyspark's own Spark, by the
# lines that a Dockerfile usually has.
# podman build -f tests/benchmarks/plain.Dockerfile -t fruits-plain .
ARG BASE=docker.io/library/debian:bookworm-slim
FROM ${BASE}
# hadolint ignore=DL3008
RUN apt-get update \
 && apt-get install -y --no-install-recommends ca-certificates openjdk-17-jre-headless python3 python3-pip tini \
 && rm -rf /var/lib/apt/lists/* \
 && groupadd --system --gid 185 spark \
 && useradd --system --uid 185 --gid spark --home-dir /home/spark --create-home spark
COPY docker/requirements.lock /src/
# hadolint ignore=DL3042
RUN pip install --no-cache-dir --break-system-packages --no-deps -r /src/requirements.lock \
 && ln -s "$(python3 -c 'import os, pyspark; print(os.path.dirname(pyspark.__file__))')" /opt/spark
COPY pyproject.toml README.md LICENSE /src/
COPY k8s/sparkapplication.yaml /src/k8s/
COPY job /src/job
RUN pip install --no-cache-dir --break-system-packages --no-deps /src
ENV SPARK_HOME=/opt/spark PYSPARK_PYTHON=/usr/bin/python3 PYTHONUNBUFFERED=1 LANG=C.UTF-8
WORKDIR /home/spark
USER 185:185
ENTRYPOINT ["/usr/bin/tini", "--"]
