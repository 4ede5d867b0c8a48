{{- /* Options of a pod: those of its stage over the defaults of all stages. */}}

{{- /* Pod options of a stage as JSON: maps are laid over the defaults, all else replaces them. Params: root, stage. */}}
{{- define "osft-pipeline.podOptions" -}}
{{- $section := include "osft-pipeline.section" .stage -}}
{{- $options := deepCopy .root.Values.stageDefaults -}}
{{- include "osft-pipeline.overlay" (dict "under" $options "over" (index .root.Values $section).pod "depth" 2) -}}
{{- toJson $options -}}
{{- end }}

{{- /* sprig's merge functions take 0, false and "" for missing; this one does not. One entry of `env` is never mixed. */}}
{{- define "osft-pipeline.overlay" -}}
{{- $under := .under -}}
{{- $depth := .depth -}}
{{- range $key, $value := .over -}}
{{- if kindIs "invalid" $value -}}
{{- else if and (gt $depth 0) (kindIs "map" $value) (kindIs "map" (get $under $key)) -}}
{{- include "osft-pipeline.overlay" (dict "under" (get $under $key) "over" $value "depth" (ternary 1 0 (eq $key "resources"))) -}}
{{- else -}}
{{- $_ := set $under $key $value -}}
{{- end -}}
{{- end -}}
{{- end }}

{{- /* An amount such as 250m, 32Gi or 4 as a number. */}}
{{- define "osft-pipeline.amount" -}}
{{- if kindIs "string" . -}}
{{- $units := dict "m" 0.001 "k" 1e3 "M" 1e6 "G" 1e9 "T" 1e12 "P" 1e15 "Ki" 1024.0 "Mi" 1048576.0 "Gi" 1073741824.0 "Ti" 1099511627776.0 "Pi" 1125899906842624.0 -}}
{{- mulf (regexFind "^[0-9.]+" . | float64) (get $units (regexFind "[A-Za-z]+$" .) | default 1.0) -}}
{{- else }}{{ float64 . }}{{ end -}}
{{- end }}
