{{- /* How values become flags. */}}

{{- /* A number as people write it. `--set` passes fractions as text. */}}
{{- define "osft-pipeline.number" -}}
{{- if not (or (kindIs "invalid" .) (eq (toString .) "")) -}}
{{- $number := float64 . -}}
{{- /* 1000000 and not 1e+06, 5e-06 and not 0.000005. */ -}}
{{- if eq $number (floor $number) }}{{ int64 $number }}{{ else }}{{ $number }}{{ end -}}
{{- end -}}
{{- end }}

{{- /*
Pairs of flag and value as a YAML list of arguments. An empty value adds no flag, true and false become --x and --no-x,
a list repeats its flag, a map becomes JSON. `$$` keeps the kubelet from expanding `$(NAME)` inside a value.
*/}}
{{- define "osft-pipeline.flags" -}}
{{- range . }}
{{- $flag := index . 0 }}
{{- $value := index . 1 }}
{{- if kindIs "bool" $value }}
- --{{ ternary "" "no-" $value }}{{ $flag }}
{{- else if kindIs "slice" $value }}
{{- range $value }}
{{ include "osft-pipeline.flag" (list $flag .) }}
{{- end }}
{{- else if kindIs "map" $value }}
{{- with $value }}
{{ include "osft-pipeline.flag" (list $flag (toRawJson .)) }}
{{- end }}
{{- else if and (not (kindIs "invalid" $value)) (ne (toString $value) "") }}
{{ include "osft-pipeline.flag" (list $flag $value) }}
{{- end }}
{{- end }}
{{- end }}

{{- define "osft-pipeline.flag" -}}
{{- $value := index . 1 -}}
{{- if not (kindIs "string" $value) }}{{ $value = include "osft-pipeline.number" $value }}{{ end -}}
- {{ printf "--%s=%s" (index . 0) ($value | replace "$" "$$") | toRawJson }}
{{- end }}

{{- /* One address or a list of them, as a JSON list without empty ones. */}}
{{- define "osft-pipeline.uris" -}}
{{- kindIs "slice" . | ternary . (list .) | compact | toJson -}}
{{- end }}
