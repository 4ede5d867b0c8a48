{{- /*
Every name, made in one place. Run-bound objects carry the run id, so that changed values never meet an immutable field
of an older object. Helpers take the root context, or (dict "root" $ "stage" "eval") where a stage is named.
*/}}

{{- /* Folder of the run. Only what decides the tuned model counts: see values.yaml, runId. */}}
{{- define "osft-pipeline.runId" -}}
{{- $inputs := print (include "osft-pipeline.args.data" .) (include "osft-pipeline.args.training" .) (include "osft-pipeline.secretUri" .) -}}
{{- .Values.runId | default (printf "%s-%s" .Release.Name (sha256sum $inputs | trunc 8)) -}}
{{- end }}

{{- /* TrainingRuntime, and the TrainJob of ordering cluster. The last part changes with anything in the pods: more memory
       after an out-of-memory kill makes a new TrainJob that goes on in the same run. */}}
{{- define "osft-pipeline.runtimeName" -}}
{{- /* What it means and not how it is written: a comment or a line break in the templates restarts nothing. */ -}}
{{- $spec := print (include "osft-pipeline.runtimeSpec" . | fromYaml | toJson) (include "osft-pipeline.queueLabels" .) -}}
{{- printf "%s-%s" (include "osft-pipeline.runId" .) (sha256sum $spec | trunc 4) -}}
{{- end }}

{{- /* As a hook the TrainJob is made anew by every upgrade, so it needs no such part. */}}
{{- define "osft-pipeline.trainJobName" -}}
{{- if eq .Values.ordering "hooks" }}{{ include "osft-pipeline.runId" . }}-train
{{- else }}{{ include "osft-pipeline.runtimeName" . }}{{ end -}}
{{- end }}

{{- /* Job of one stage in ordering hooks. */}}
{{- define "osft-pipeline.jobName" -}}
{{ include "osft-pipeline.runId" .root }}-{{ .stage }}
{{- end }}

{{- /* What belongs to the release and not to a run: preflight, wait, verify, cleanup, credentials. */}}
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

{{- /* Stage -> key in the values. Preflight stands for all helpers around the stages. */}}
{{- define "osft-pipeline.section" -}}
{{ get (dict "download" "data" "train" "train" "eval" "eval" "register" "register") . | default "preflight" }}
{{- end }}
