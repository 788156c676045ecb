{{/* From values to text. */}}

{{/* One value as text. Numbers of a values file are floating point: 1000000 must not become 1e+06. */}}
{{- define "fruits.scalar" -}}
{{- if and (kindIs "float64" .) (eq . (floor .)) -}}
{{- printf "%.0f" . -}}
{{- else -}}
{{- toString . -}}
{{- end -}}
{{- end -}}

{{/* Maps, the later ones beating the earlier ones, as one map of text, as a JSON object; null leaves a key out. */}}
{{- define "fruits.properties" -}}
{{- $text := dict -}}
{{- range . -}}
{{- range $key, $value := . -}}
{{- if kindIs "invalid" $value -}}
{{- $_ := unset $text $key -}}
{{- else -}}
{{- $_ := set $text $key (include "fruits.scalar" $value) -}}
{{- end -}}
{{- end -}}
{{- end -}}
{{- toJson $text -}}
{{- end -}}

{{/* A map as flags, as a JSON array. Takes a dict of `root` and `flags`. */}}
{{- define "fruits.flags" -}}
{{- $root := .root -}}
{{- $flags := list -}}
{{- range $key, $value := .flags -}}
{{- if kindIs "bool" $value -}}
{{- if $value -}}
{{- $flags = append $flags (printf "--%s" $key) -}}
{{- end -}}
{{- else if not (kindIs "invalid" $value) -}}
{{- $items := list -}}
{{- range (ternary $value (list $value) (kindIs "slice" $value)) -}}
{{- $items = append $items (tpl (include "fruits.scalar" .) $root) -}}
{{- end -}}
{{- $flags = concat $flags (list (printf "--%s" $key) (join "," $items)) -}}
{{- end -}}
{{- end -}}
{{- toJson $flags -}}
{{- end -}}
