#!/usr/bin/env bash
# Part of the build: runs what containers of this image run, notes the classes that it loads, and writes them into an
# archive (class data sharing) that belongs to this Java and to these jars in this order: `train.sh FOLDER`.
set -euo pipefail
work=$(mktemp -d)
cd "$work"
fruits sample sample --train-images 60 --test-images 30 >/dev/null

note() {
  JDK_JAVA_OPTIONS="-XX:DumpLoadedClassList=$work/%p.list" FRUITS_CLASSES=off "$@" >log 2>&1 || { cat log; exit 1; }
}
note fruits run --data sample --out out --run-name alone
# what a driver and its executor load: registered with each other, UI, metrics and event log
mkdir events
note spark-submit --master 'local-cluster[1,2,1024]' --conf spark.driver.host=127.0.0.1 \
  --conf spark.eventLog.enabled=true --conf "spark.eventLog.dir=$work/events" --conf spark.ui.prometheus.enabled=true \
  /opt/fruits/main.py run --data "$work/sample" --out "$work/out" --run-name cluster
# and what only a driver on Kubernetes does
python /src/api.py >port &
api=$!
until [[ -s port ]]; do kill -0 "$api"; sleep 0.1; done
printf 'from pyspark.sql import SparkSession\nSparkSession.builder.getOrCreate().stop()\n' >driver.py
note timeout 60 spark-submit --master "k8s://http://127.0.0.1:$(<port)" --conf spark.driver.host=127.0.0.1 \
  --conf spark.kubernetes.driver.pod.name=driver --conf spark.kubernetes.container.image=none \
  --conf spark.scheduler.minRegisteredResourcesRatio=0 driver.py
kill "$api"
wc -l ./*.list

# Names that another run would not find again are left out. Heap and collector are given, since what lies in the archive
# depends on them: with this one it also has some of Java's objects, which are taken by a heap below 4 GB with the same
# collector as they are, and left by other collectors. Classes are taken by all.
sed -s '/^#/d; /Proxy/d; /EventHandler/d; /^@/!s/ .*//' ./*.list | sort -u >classes
jars=("$SPARK_HOME"/jars/*.jar)
/opt/java/bin/java.bin -Xmx512m -XX:+UseG1GC -Xshare:dump -XX:SharedClassListFile=classes -XX:SharedArchiveFile=archive \
  -cp "$(IFS=:; printf '%s' "${jars[*]}")" >dump.log 2>&1 || { tail dump.log; exit 1; }
printf '%s classes, %s MB\n' "$(wc -l <classes)" "$(($(stat -c %s archive) / 1000000))"
# in pieces, each named by the megabytes before it
split -b 44M -d -a 2 archive piece.
for piece in piece.*; do
  zstd -q -9 -T0 "$piece" -o "$1/classes.$((10#${piece#*.} * 44)).zst"
done
rm -rf "$work"
