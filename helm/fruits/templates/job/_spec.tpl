{{/* What the SparkApplication and the ScheduledSparkApplication have in common. */}}

{{/* Flags of the command, as a JSON array: what the values say, the event log, the wait for the sample. */}}
{{- define "fruits.job.arguments" -}}
{{- $added := dict -}}
{{- $reads := has .Values.job.command (list "run" "tune") -}}
{{- if .Values.eventLog.enabled -}}
{{- $_ := set $added "event-log" .Values.eventLog.uri -}}
{{- end -}}
{{- $data := tpl (toString .Values.job.arguments.data) . | trimSuffix "/" -}}
{{- if and $reads .Values.upload.enabled (eq $data (include "fruits.upload.uri" .)) -}}
{{- $_ := set $added "wait-for-data" .Values.upload.waitSeconds -}}
{{- end -}}
{{- $flags := include "fruits.merge" (dict "own" $added "users" .Values.job.arguments) | fromJson -}}
{{- $text := include "fruits.flags" (dict "root" . "flags" $flags) | fromJsonArray -}}
{{- toJson (prepend $text .Values.job.command) -}}
{{- end -}}

{{/* Spark properties, as a JSON object. Driver and executors prove to each other by a secret that Spark makes for each
application that they belong together, and encrypt what they say. That a running pod was deleted by force is seen when
Spark looks which pods there are: here each second, by itself twice a minute. Who reads from it gives up after ten
seconds, not after two minutes, and makes again what it had. An executor that hands over its blocks looks whether all
are moved each five seconds, not each thirty, in which none takes its place (tests/benchmarks/cluster_faults.py). */}}
{{- define "fruits.job.sparkConf" -}}
{{- $trust := dict
      "spark.authenticate" true
      "spark.network.crypto.enabled" true
      "spark.network.crypto.authEngineVersion" 2
      "spark.network.crypto.cipher" "AES/GCM/NoPadding" -}}
{{- $watch := dict
      "spark.kubernetes.executor.apiPollingInterval" "1s"
      "spark.kubernetes.executor.missingPodDetectDelta" "5s"
      "spark.kubernetes.executor.enablePollingWithResourceVersion" true
      "spark.shuffle.io.connectionTimeout" "10s" -}}
{{- $ports := dict
      "spark.driver.port" .Values.ports.driver
      "spark.driver.blockManager.port" .Values.ports.blockManager
      "spark.blockManager.port" .Values.ports.blockManager
      "spark.ui.port" .Values.ports.ui -}}
{{- $decommissioning := dict -}}
{{- if .Values.executor.decommissioning.enabled -}}
{{- $decommissioning = dict
      "spark.decommission.enabled" true
      "spark.storage.decommission.enabled" true
      "spark.storage.decommission.rddBlocks.enabled" true
      "spark.storage.decommission.shuffleBlocks.enabled" true
      "spark.storage.decommission.replicationReattemptInterval" "5s"
      "spark.kubernetes.executor.terminationGracePeriodSeconds"
        (printf "%ss" (include "fruits.scalar" .Values.executor.decommissioning.gracePeriodSeconds)) -}}
{{- end -}}
{{- $metrics := dict -}}
{{- if .Values.metrics.enabled -}}
{{- $metrics = dict
      "spark.ui.prometheus.enabled" true
      "spark.metrics.namespace" (include "fruits.jobName" .)
      "spark.metrics.conf.*.sink.prometheusServlet.class" "org.apache.spark.metrics.sink.PrometheusServlet"
      "spark.metrics.conf.*.sink.prometheusServlet.path" "/metrics/prometheus" -}}
{{- end -}}
{{- include "fruits.properties" (list $trust $watch $ports $decommissioning $metrics .Values.job.sparkConf) -}}
{{- end -}}

{{- define "fruits.job.spec" -}}
{{- $driver := .Values.driver -}}
{{- $executor := .Values.executor -}}
type: Python
mode: cluster
sparkVersion: {{ .Values.job.sparkVersion }}
image: {{ include "fruits.image" . }}
imagePullPolicy: {{ .Values.image.pullPolicy }}
{{- with .Values.image.pullSecrets }}
imagePullSecrets:
  {{- toYaml . | nindent 2 }}
{{- end }}
# The command of the image, as on a laptop.
mainApplicationFile: local:///opt/fruits/main.py
arguments:
  {{- include "fruits.job.arguments" . | fromJsonArray | toYaml | nindent 2 }}
{{- with .Values.job.restartPolicy }}
restartPolicy:
  type: {{ .type }}
  {{- range $key := list "onFailureRetries" "onFailureRetryInterval" "onSubmissionFailureRetries" "onSubmissionFailureRetryInterval" }}
  {{ $key }}: {{ include "fruits.scalar" (get $.Values.job.restartPolicy $key) }}
  {{- end }}
{{- end }}
{{- if not (kindIs "invalid" .Values.job.timeToLiveSeconds) }}
timeToLiveSeconds: {{ include "fruits.scalar" .Values.job.timeToLiveSeconds }}
{{- end }}
{{- with .Values.job.batchScheduler }}
{{- if .name }}
batchScheduler: {{ .name }}
{{- if or .queue .priorityClassName .resources }}
batchSchedulerOptions:
  {{- with .queue }}
  queue: {{ . }}
  {{- end }}
  {{- with .priorityClassName }}
  priorityClassName: {{ . }}
  {{- end }}
  {{- with .resources }}
  resources:
    {{- toYaml . | nindent 4 }}
  {{- end }}
{{- end }}
{{- end }}
{{- end }}
# Fixed ports, so that a NetworkPolicy can name them.
sparkConf:
  {{- include "fruits.job.sparkConf" . | fromJson | toYaml | nindent 2 }}
{{- with .Values.job.hadoopConf }}
hadoopConf:
  {{- include "fruits.properties" (list .) | fromJson | toYaml | nindent 2 }}
{{- end }}
{{- with $executor.dynamicAllocation }}
{{- if .enabled }}
dynamicAllocation:
  enabled: true
  initialExecutors: {{ include "fruits.scalar" $executor.instances }}
  minExecutors: {{ include "fruits.scalar" .minExecutors }}
  maxExecutors: {{ include "fruits.scalar" .maxExecutors }}
  shuffleTrackingEnabled: true
  {{- if not (kindIs "invalid" .shuffleTrackingTimeout) }}
  shuffleTrackingTimeout: {{ include "fruits.scalar" .shuffleTrackingTimeout }}
  {{- end }}
{{- end }}
{{- end }}
# Under `template` stands Spark's own pod template: it needs no webhook of the operator. Image, CPU and memory are
# filled in by Spark.
driver:
  {{- include "fruits.job.resources" $driver | nindent 2 }}
  serviceAccount: {{ include "fruits.driver.serviceAccountName" . }}
  {{- with include "fruits.job.gang" (dict "root" . "role" $driver) }}
  {{- . | nindent 2 }}
  {{- end }}
  template:
    {{- include "fruits.podTemplate" (dict "root" . "role" "driver") | nindent 4 }}
executor:
  instances: {{ include "fruits.scalar" $executor.instances }}
  {{- include "fruits.job.resources" $executor | nindent 2 }}
  deleteOnTermination: {{ not $executor.keepAfterEnd }}
  serviceAccount: {{ include "fruits.executor.serviceAccountName" . }}
  {{- with include "fruits.job.gang" (dict "root" . "role" $executor) }}
  {{- . | nindent 2 }}
  {{- end }}
  template:
    {{- include "fruits.podTemplate" (dict "root" . "role" "executor") | nindent 4 }}
{{- end -}}

{{- define "fruits.job.resources" -}}
cores: {{ include "fruits.scalar" .cores }}
coreRequest: {{ include "fruits.scalar" .coreRequest | quote }}
{{- with .coreLimit }}
coreLimit: {{ include "fruits.scalar" . | quote }}
{{- end }}
memory: {{ .memory }}
memoryOverhead: {{ .memoryOverhead }}
{{- with .javaOptions }}
javaOptions: {{ . | quote }}
{{- end }}
{{- end -}}

{{/* YuniKorn reserves room for the whole gang: the operator tells it what these fields say, not what the templates
say. */}}
{{- define "fruits.job.gang" -}}
{{- if eq .root.Values.job.batchScheduler.name "yunikorn" -}}
{{- $placement := pick .role "nodeSelector" "tolerations" "affinity" -}}
{{- range $key, $value := $placement }}
{{- if $value }}
{{ $key }}:
  {{- toYaml $value | nindent 2 }}
{{- end }}
{{- end }}
{{- end -}}
{{- end -}}
