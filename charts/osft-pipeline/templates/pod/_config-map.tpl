{{- /* Settings of train.configMap, which download and training read. Helpers take the root context unless they say otherwise. */}}

{{- /* Name of the ConfigMap; empty without one. That of a content changes with it, so that other content makes other pods. */}}
{{- define "osft-pipeline.configMap" -}}
{{- with .Values.train.configMap -}}
{{- if .content }}{{ printf "%s-config-%s" (include "osft-pipeline.runId" $) (include "osft-pipeline.configContent" $ | sha256sum | trunc 4) }}
{{- else }}{{ .name }}{{ end -}}
{{- end -}}
{{- end }}

{{- /* What the content says, as JSON: comments and line breaks do not count. */}}
{{- define "osft-pipeline.configContent" -}}
{{- .Values.train.configMap.content | fromYaml | toJson -}}
{{- end }}

{{- /* What the run id depends on: the content, or the name and key. Empty without a ConfigMap. */}}
{{- define "osft-pipeline.configSource" -}}
{{- with .Values.train.configMap -}}
{{- if .content }}{{ include "osft-pipeline.configContent" $ }}{{ else if .name }}{{ printf "%s/%s" .name .key }}{{ end -}}
{{- end -}}
{{- end }}

{{- /* Whether a pod mounts it. Preflight looks for one that exists already. Params: root, stage. */}}
{{- define "osft-pipeline.mountsConfig" -}}
{{- if include "osft-pipeline.configMap" .root -}}
{{- if or (has .stage (list "download" "train")) (and (eq .stage "preflight") (not .root.Values.train.configMap.content)) }}true{{ end -}}
{{- end -}}
{{- end }}

{{- /* Optional for preflight, so that it can start and report a missing one. Params: root, stage. */}}
{{- define "osft-pipeline.configVolume" -}}
{{- if include "osft-pipeline.mountsConfig" . }}
- name: training-config
  configMap:
    name: {{ include "osft-pipeline.configMap" .root | quote }}
    items: [{key: {{ with .root.Values.train.configMap }}{{ empty .content | ternary .key "training_config.yaml" | quote }}{{ end }}, path: training_config.yaml}]
    {{- if eq .stage "preflight" }}
    optional: true
    {{- end }}
{{- end }}
{{- end }}

{{- /*
Arguments of a container. With train.configMap, values that are at their default are not passed on, so that the file sets
them: a flag wins over the file. The processes and the kind of rows are passed on always, as the stage alone would decide
them otherwise. Params: root, stage.
*/}}
{{- define "osft-pipeline.arguments" -}}
{{- $args := print "osft-pipeline.args." .stage -}}
{{- if and (has .stage (list "download" "train")) (include "osft-pipeline.configMap" .root) -}}
{{- $values := .root.Files.Get "defaults.yaml" | fromYaml -}}
{{- $method := .root.Values.train.method -}}
{{- $own := list "--nproc-per-node=1" "--no-pretraining" -}}
{{- if ne $method $values.train.method }}{{ $own = append $own (print "--method=" $method) }}{{ end -}}
{{- $_ := set $values.train "method" $method -}}
{{- $defaults := include $args (dict "Values" $values "Release" .root.Release "Chart" .root.Chart) | fromYamlArray -}}
{{- range include $args .root | fromYamlArray -}}
{{- if or (has . $own) (not (has . $defaults)) }}
- {{ toRawJson . }}
{{- end -}}
{{- end }}
- --training-config=/etc/osft/training/training_config.yaml
{{- else -}}
{{ include $args .root }}
{{- end -}}
{{- end }}
