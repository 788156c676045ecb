#!/usr/bin/env bash
# Part of the build: runs what containers of this image run, notes the classes that it loads, and writes them into an
# archive (class data sharing) that belongs to this Java and to these jars in this order: `train.sh ARCHIVE`.
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
wc -l ./*.list

# Names that another run would not find again are left out. Heap and collector are given, since what lies in the archive
# depends on them; a heap below 4 GB, as drivers and executors mostly have, takes it without a change to pointers.
sed -s '/^#/d; /Proxy/d; /EventHandler/d; /^@/!s/ .*//' ./*.list | sort -u >classes
jars=("$SPARK_HOME"/jars/*.jar)
/opt/java/bin/java.bin -Xmx512m -XX:+UseG1GC -Xshare:dump -XX:SharedClassListFile=classes -XX:SharedArchiveFile=archive \
  -cp "$(IFS=:; printf '%s' "${jars[*]}")" >dump.log 2>&1 || { tail dump.log; exit 1; }
printf '%s classes, %s MB\n' "$(wc -l <classes)" "$(($(stat -c %s archive) / 1000000))"
zstd -q -19 -T0 archive -o "$1"
rm -rf "$work"
