{{- /*
Whether preflight checks the options of evaluation with the evaluation program itself: in a second container with the eval
image, beside the one that checks Secrets, addresses and the workspace. It is not an init container, because Helm does not
print logs of those. Only for what Helm cannot check itself, because the image is large. Params: root, stage.
*/}}
{{- define "osft-pipeline.checksEval" -}}
{{- /* A test compares this list with the tasks in the image. */ -}}
{{- $shipped := list "osft_retention" "osft_capitals" "osft_currencies" "osft_elements" "osft_opposites" "osft_verbs" "osft_grammar" "osft_chat" "osft_instructions" "osft_turns" -}}
{{- $blind := not (include "osft-pipeline.mountsWorkspace" .) -}}
{{- if eq .stage "preflight" -}}
{{- $env := (include "osft-pipeline.podOptions" (dict "root" .root "stage" "eval") | fromJson).env -}}
{{- with .root.Values.eval -}}
{{- $asks := or .includePath .gates.tasks .primaryMetric (ne .backend "hf") -}}
{{- range .tasks }}{{ $asks = or $asks (not (has . $shipped)) }}{{ end -}}
{{- /* Files in a workspace that is not mounted would be reported as missing. */ -}}
{{- range list .includePath (get $env "HF_HOME") }}{{ if and $blind (hasPrefix "/workspace" (toString .)) }}{{ $asks = false }}{{ end }}{{ end -}}
{{- if and .enabled $asks }}true{{ end -}}
{{- end -}}
{{- end -}}
{{- end }}

{{- /* The second container of preflight: the same arguments, variables and mounts as evaluation, without GPUs and Secrets. */}}
{{- define "osft-pipeline.evalCheck" -}}
{{- $options := include "osft-pipeline.podOptions" (dict "root" .root "stage" "eval") | fromJson -}}
{{- $resources := (include "osft-pipeline.podOptions" (dict "root" .root "stage" "preflight") | fromJson).resources -}}
{{- include "osft-pipeline.overlay" (dict "under" $resources "over" (include "osft-pipeline.checkMemory" . | fromYaml) "depth" 1) -}}
{{- include "osft-pipeline.container" (dict "root" .root "stage" "eval" "container" "eval-check" "check" true "options" (set $options "resources" $resources)) -}}
{{- end }}

{{- /* lm-eval with its index of 14,000 tasks takes 270 MiB; the items of a user's tasks need more. */}}
{{- define "osft-pipeline.checkMemory" -}}
requests: {memory: 512Mi}
limits: {memory: 2Gi}
{{- end }}
