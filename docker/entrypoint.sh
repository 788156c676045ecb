#!/usr/bin/env bash
# What a container of this image does, told by its first argument:
#   driver, executor   Spark's contract with Kubernetes: these two are started by its scheduler
#   history-server     Spark's history server; spark.history.fs.logDirectory comes from SPARK_HISTORY_OPTS or --properties-file
#   run, predict, ...  a command of `fruits`, as are options (`--help`); nothing at all gives the help
#   anything else      is started as it stands
set -euo pipefail

say() { printf 'entrypoint: %s\n' "$*" >&2; }

# Java and Hadoop ask the system for the user's name: a uid without one gets it from a file of its own.
if ! getent passwd "$(id -u)" >/dev/null; then
  for wrapper in /usr/lib/*/libnss_wrapper.so; do
    names=$(mktemp -d) || { say "no folder for temporary files can be written: mount one at /tmp (--tmpfs /tmp)"; break; }
    printf 'spark:x:%s:%s::%s:/usr/sbin/nologin\n' "$(id -u)" "$(id -g)" "$HOME" >"$names/passwd"
    printf 'spark:x:%s:\n' "$(id -g)" >"$names/group"
    export LD_PRELOAD=$wrapper NSS_WRAPPER_PASSWD=$names/passwd NSS_WRAPPER_GROUP=$names/group
  done
fi

case ${1-} in
  driver)
    shift
    say "driver at ${SPARK_DRIVER_BIND_ADDRESS-}: $*"
    set -- "$SPARK_HOME/bin/spark-submit" \
      --conf "spark.driver.bindAddress=$SPARK_DRIVER_BIND_ADDRESS" \
      --conf "spark.executorEnv.SPARK_DRIVER_POD_IP=$SPARK_DRIVER_BIND_ADDRESS" \
      --deploy-mode client "$@"
    ;;
  executor)
    shift
    say "executor $SPARK_EXECUTOR_ID of $SPARK_APPLICATION_ID, $SPARK_EXECUTOR_CORES cores, for $SPARK_DRIVER_URL"
    # one variable an option, in the order of their numbers
    mapfile -t options < <(compgen -v SPARK_JAVA_OPT_ | sort -V)
    for place in "${!options[@]}"; do options[place]=${!options[place]}; done
    # as in spark-class: jars in a fixed order, then what was mounted
    jars=("$SPARK_HOME"/jars/*.jar)
    classpath=$(IFS=:; printf '%s' "${jars[*]}")
    for more in "${SPARK_EXTRA_CLASSPATH-}" "${SPARK_CONF_DIR-}" "${HADOOP_CONF_DIR-}" "${SPARK_DIST_CLASSPATH-}" "$PWD"; do
      classpath+=${more:+:$more}
    done
    set -- "$JAVA_HOME/bin/java" "${options[@]}" "-Xms$SPARK_EXECUTOR_MEMORY" "-Xmx$SPARK_EXECUTOR_MEMORY" \
      -cp "$classpath" org.apache.spark.scheduler.cluster.k8s.KubernetesExecutorBackend \
      --driver-url "$SPARK_DRIVER_URL" --executor-id "$SPARK_EXECUTOR_ID" --cores "$SPARK_EXECUTOR_CORES" \
      --app-id "$SPARK_APPLICATION_ID" --hostname "$SPARK_EXECUTOR_POD_IP" \
      --resourceProfileId "$SPARK_RESOURCE_PROFILE_ID" --podName "$SPARK_EXECUTOR_POD_NAME"
    ;;
  history-server)
    shift
    say "history server on port 18080"
    set -- "$SPARK_HOME/bin/spark-class" org.apache.spark.deploy.history.HistoryServer "$@"
    ;;
  '') set -- fruits --help ;;
  -* | run | predict | serve | tune | submit | benchmark | plan | sample | upload | pack | doctor | \
    runs | show | compare) set -- fruits "$@" ;;
esac
exec /usr/bin/tini -s -- "$@"
