{{- /* How values become flags, and how a stage's pod options are laid over the defaults. */}}

{{- /* A number as people write it. `--set` hands fractions over as text. */}}
{{- define "osft-pipeline.number" -}}
{{- if not (or (kindIs "invalid" .) (eq (toString .) "")) -}}
{{- $number := float64 . -}}
{{- /* 1000000 and not 1e+06, 5e-06 and not 0.000005. */ -}}
{{- if eq $number (floor $number) }}{{ int64 $number }}{{ else }}{{ $number }}{{ end -}}
{{- end -}}
{{- end }}

{{- /*
Pairs of flag and value as a YAML list of arguments. Empty values give no flag, true and false give --x and --no-x,
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

{{- /* One address or a list of them, as a JSON list without empty ones. */}}
{{- define "osft-pipeline.uris" -}}
{{- kindIs "slice" . | ternary . (list .) | compact | toJson -}}
{{- end }}

{{- /* Whether `.Capabilities` are a cluster's. Not so in `helm template`. */}}
{{- define "osft-pipeline.live" -}}
{{- if .Capabilities.APIVersions.Has "v1/Pod" }}true{{ end -}}
{{- end }}

{{- /* Whether `lookup` answers, too. Argo CD renders with the capabilities of its cluster and without any look-up. Every
       namespace has this ServiceAccount, and who installs may read it. */}}
{{- define "osft-pipeline.looksUp" -}}
{{- if and (include "osft-pipeline.live" .) (lookup "v1" "ServiceAccount" .Release.Namespace "default") }}true{{ end -}}
{{- end }}
