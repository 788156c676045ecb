#!/usr/bin/env bash
# Kubernetes calls this before it stops an executor that Spark has said to decommission: the executor hands over its
# blocks, and this waits until it is gone (or until the pod's grace period is over).
set -euo pipefail
for folder in /proc/[0-9]*; do
  command=$(tr '\0' ' ' 2>/dev/null <"$folder/cmdline") || continue
  [[ $command == *java* && $command == *ExecutorBackend* && $command != *tini* ]] || continue
  executor=${folder#/proc/}
  printf 'decom: asking executor (process %s) to hand over its blocks\n' "$executor" >&2
  kill -s PWR "$executor"
  while kill -0 "$executor" 2>/dev/null; do sleep 0.5; done
  exit 0
done
printf 'decom: there is no executor here\n' >&2
