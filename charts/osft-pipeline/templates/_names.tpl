{{- /*
All names. Objects of a run have the run id in their name, so that changed values create new objects instead of changing
immutable fields of old ones. Helpers take the root context, or (dict "root" $ "stage" "eval") where a stage is named.
*/}}

{{- /* Folder of the run. It depends only on what decides the tuned model: see runId in values.yaml.
       Every label has it, so it is computed once. */}}
{{- define "osft-pipeline.runId" -}}
{{- if not (hasKey . "RunId") -}}
{{- $inputs := print (include "osft-pipeline.args.data" .) (include "osft-pipeline.args.training" .) (include "osft-pipeline.secretUri" .) (include "osft-pipeline.configSource" .) -}}
{{- $_ := set . "RunId" (.Values.runId | default (printf "%s-%s" .Release.Name (sha256sum $inputs | trunc 8))) -}}
{{- end -}}
{{- .RunId -}}
{{- end }}

{{- /* TrainingRuntime, and the TrainJob of ordering cluster. The last part changes with every change of the pods: with
       more memory after an out-of-memory kill, a new TrainJob continues the same run. */}}
{{- define "osft-pipeline.runtimeName" -}}
{{- /* The hash of the parsed spec: a changed comment or line break in the templates restarts nothing. */ -}}
{{- if not (hasKey . "RuntimeName") -}}
{{- $spec := print (include "osft-pipeline.runtimeSpec" . | fromYaml | toJson) (include "osft-pipeline.queueLabels" .) -}}
{{- $_ := set . "RuntimeName" (printf "%s-%s" (include "osft-pipeline.runId" .) (sha256sum $spec | trunc 4)) -}}
{{- end -}}
{{- .RuntimeName -}}
{{- end }}

{{- /* As a hook, the TrainJob is created again by every upgrade, so it needs no such part. */}}
{{- define "osft-pipeline.trainJobName" -}}
{{- if eq .Values.ordering "hooks" }}{{ include "osft-pipeline.runId" . }}-train
{{- else }}{{ include "osft-pipeline.runtimeName" . }}{{ end -}}
{{- end }}

{{- /* Job of one stage with ordering hooks. */}}
{{- define "osft-pipeline.jobName" -}}
{{ include "osft-pipeline.runId" .root }}-{{ .stage }}
{{- end }}

{{- /* Objects of the release rather than of a run: preflight, wait, verify, cleanup, credentials. */}}
{{- define "osft-pipeline.releaseName" -}}
{{ .root.Release.Name }}-{{ .stage }}
{{- end }}

{{- define "osft-pipeline.claimName" -}}
{{ .Values.workspace.existingClaim | default (printf "%s-workspace" .Release.Name) }}
{{- end }}

{{- /* GPUs of one stage. Params: root, stage. */}}
{{- define "osft-pipeline.gpus" -}}
{{- $train := int .root.Values.train.gpus -}}
{{- if eq .stage "train" }}{{ $train }}
{{- else if eq .stage "eval" }}{{ kindIs "invalid" .root.Values.eval.gpus | ternary (min 1 $train) .root.Values.eval.gpus }}
{{- else }}0{{ end -}}
{{- end }}

{{- /* Key of a stage in the values; that of preflight for all helpers around the stages. */}}
{{- define "osft-pipeline.section" -}}
{{ get (dict "download" "data" "train" "train" "eval" "eval" "register" "register") . | default "preflight" }}
{{- end }}
