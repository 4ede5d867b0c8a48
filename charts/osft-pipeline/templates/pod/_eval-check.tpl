{{- /*
Whether preflight looks at the options of evaluation, with the program that evaluates: a second container, in the eval image,
beside the one that looks at secrets, addresses and the workspace. No init container, as Helm prints no log of one. Only for
what Helm cannot judge by itself; the image is large. Params: root, stage.
*/}}
{{- define "osft-pipeline.checksEval" -}}
{{- /* A test holds this list to what the image ships. */ -}}
{{- $shipped := list "osft_retention" "osft_capitals" "osft_currencies" "osft_elements" "osft_opposites" "osft_verbs" "osft_grammar" -}}
{{- $blind := not (include "osft-pipeline.mountsWorkspace" .) -}}
{{- if eq .stage "preflight" -}}
{{- $env := (include "osft-pipeline.podOptions" (dict "root" .root "stage" "eval") | fromJson).env -}}
{{- with .root.Values.eval -}}
{{- $asks := or .includePath .gates.tasks .primaryMetric (ne .backend "hf") -}}
{{- range .tasks }}{{ $asks = or $asks (not (has . $shipped)) }}{{ end -}}
{{- /* What lies in a workspace that is not mounted would be reported as missing. */ -}}
{{- range list .includePath (get $env "HF_HOME") }}{{ if and $blind (hasPrefix "/workspace" (toString .)) }}{{ $asks = false }}{{ end }}{{ end -}}
{{- if and .enabled $asks }}true{{ end -}}
{{- end -}}
{{- end -}}
{{- end }}

{{- /* The second container of preflight: the very arguments, variables and mounts of evaluation, without its GPUs and secrets. */}}
{{- define "osft-pipeline.evalCheck" -}}
{{- $options := include "osft-pipeline.podOptions" (dict "root" .root "stage" "eval") | fromJson -}}
{{- $resources := (include "osft-pipeline.podOptions" (dict "root" .root "stage" "preflight") | fromJson).resources -}}
{{- include "osft-pipeline.overlay" (dict "under" $resources "over" (include "osft-pipeline.checkMemory" . | fromYaml) "depth" 1) -}}
{{- include "osft-pipeline.container" (dict "root" .root "stage" "eval" "container" "eval-check" "check" true "options" (set $options "resources" $resources)) -}}
{{- end }}

{{- /* lm-eval with its index of 14,000 tasks takes 270 MiB; the items of a user's tasks come on top. */}}
{{- define "osft-pipeline.checkMemory" -}}
requests: {memory: 512Mi}
limits: {memory: 2Gi}
{{- end }}
