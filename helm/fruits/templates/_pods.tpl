{{/* The pods of Spark: what driver, executors and the notebook's executors have in common. */}}

{{- define "fruits.writableMounts" -}}
- {name: tmp, mountPath: /tmp}
- {name: work-dir, mountPath: /opt/spark/work-dir}
{{- end -}}

{{- define "fruits.writableVolumes" -}}
- {name: tmp, emptyDir: {}}
- {name: work-dir, emptyDir: {}}
{{- end -}}

{{/* Pod template of a role, `driver` or `executor`. Takes a dict of `root` and `role`. */}}
{{- define "fruits.podTemplate" -}}
{{- $own := include "fruits.podTemplate.own" . -}}
{{- $users := (get .root.Values .role).template -}}
{{- if $users -}}
{{- include "fruits.podTemplate.merge" (dict "own" ($own | fromYaml) "users" $users "container" (printf "spark-kubernetes-%s" .role)) -}}
{{- else -}}
{{- $own -}}
{{- end -}}
{{- end -}}

{{- define "fruits.podTemplate.own" -}}
{{- $root := .root -}}
{{- $role := get .root.Values .role -}}
metadata:
  labels:
    {{- include "fruits.selectorLabels" $root | nindent 4 }}
    app.kubernetes.io/component: {{ .role }}
    {{- with merge (deepCopy $role.labels) $root.Values.commonLabels }}
    {{- toYaml . | nindent 4 }}
    {{- end }}
  {{- with $role.annotations }}
  annotations:
    {{- toYaml . | nindent 4 }}
  {{- end }}
spec:
  {{- if eq .role "executor" }}
  automountServiceAccountToken: false
  {{- end }}
  {{- with $role.priorityClassName }}
  priorityClassName: {{ . }}
  {{- end }}
  {{- with $role.nodeSelector }}
  nodeSelector:
    {{- toYaml . | nindent 4 }}
  {{- end }}
  {{- with $role.tolerations }}
  tolerations:
    {{- toYaml . | nindent 4 }}
  {{- end }}
  {{- with $role.affinity }}
  affinity:
    {{- toYaml . | nindent 4 }}
  {{- end }}
  securityContext:
    {{- toYaml $root.Values.podSecurityContext | nindent 4 }}
  containers:
    - name: spark-kubernetes-{{ .role }}
      env:
        {{- include "fruits.storage.env" $root | nindent 8 }}
        {{- with concat $root.Values.job.env $role.env }}
        {{- toYaml . | nindent 8 }}
        {{- end }}
      {{- with $root.Values.job.envFrom }}
      envFrom:
        {{- toYaml . | nindent 8 }}
      {{- end }}
      securityContext:
        {{- toYaml $root.Values.securityContext | nindent 8 }}
      volumeMounts:
        {{- include "fruits.writableMounts" $root | nindent 8 }}
  volumes:
    {{- include "fruits.writableVolumes" $root | nindent 4 }}
{{- end -}}

{{/* The user's template over our own: maps are merged, lists appended, the Spark container is completed.
Takes a dict of `own`, `users` and the name of the Spark `container`. */}}
{{- define "fruits.podTemplate.merge" -}}
{{- $container := .container -}}
{{- $spec := .users.spec | default dict -}}
{{- $main := index .own.spec.containers 0 -}}
{{- $others := list -}}
{{- range $spec.containers -}}
{{- if eq .name $container -}}
{{- $main = include "fruits.merge" (dict "own" $main "users" . "join" (list "env" "envFrom" "volumeMounts")) | fromJson -}}
{{- else -}}
{{- $others = append $others . -}}
{{- end -}}
{{- end -}}
{{- $join := list "volumes" "initContainers" "tolerations" "imagePullSecrets" "hostAliases" "topologySpreadConstraints" -}}
{{- $merged := include "fruits.merge" (dict "own" .own.spec "users" (omit $spec "containers") "join" $join) | fromJson -}}
{{- $_ := set $merged "containers" (prepend $others $main) -}}
{{- $metadata := include "fruits.merge" (dict "own" .own.metadata "users" (.users.metadata | default dict)) | fromJson -}}
{{- toYaml (dict "metadata" $metadata "spec" $merged) -}}
{{- end -}}

{{/* Two maps as one, as a JSON object: the user's value wins, false and 0 too (which sprig's merge leaves out); the
lists named in `join` are joined. */}}
{{- define "fruits.merge" -}}
{{- $own := .own -}}
{{- $join := .join | default list -}}
{{- range $key, $value := .users -}}
{{- $before := get $own $key -}}
{{- if and (kindIs "map" $value) (kindIs "map" $before) -}}
{{- $_ := set $own $key (include "fruits.merge" (dict "own" $before "users" $value) | fromJson) -}}
{{- else if and (has $key $join) (kindIs "slice" $before) -}}
{{- $_ := set $own $key (concat $before $value) -}}
{{- else -}}
{{- $_ := set $own $key $value -}}
{{- end -}}
{{- end -}}
{{- toJson $own -}}
{{- end -}}
