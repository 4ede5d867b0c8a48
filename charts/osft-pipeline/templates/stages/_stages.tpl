{{- /* Which stages run, in order, and what they read. Lists are JSON. */}}

{{- define "osft-pipeline.stages" -}}
{{- $stages := list -}}
{{- range $stage := list "download" "train" "eval" "register" -}}
{{- if (index $.Values (include "osft-pipeline.section" $stage)).enabled }}{{ $stages = append $stages $stage }}{{ end -}}
{{- end -}}
{{- toJson $stages -}}
{{- end }}

{{- /* The stages that have their own pods, in order, as a JSON list. */}}
{{- define "osft-pipeline.podStages" -}}
{{- $stages := include "osft-pipeline.stages" . | fromJsonArray -}}
{{- if include "osft-pipeline.downloads" (dict "root" . "stage" "train") }}{{ $stages = without $stages "download" }}{{ end -}}
{{- toJson $stages -}}
{{- end }}

{{- /* Whether a stage's pod begins with the download, in an init container. Params: root, stage. */}}
{{- define "osft-pipeline.downloads" -}}
{{- with .root.Values.data }}{{ if and (eq $.stage "train") .enabled (eq .runAs "initContainer") }}true{{ end }}{{ end -}}
{{- end }}

{{- /* Whether a plain Job trains on several nodes, which find each other by a Service. */}}
{{- define "osft-pipeline.jobOfNodes" -}}
{{- with .root.Values.train }}{{ if and (eq $.stage "train") (eq .runAs "job") (gt (int .nodes) 1) }}true{{ end }}{{ end -}}
{{- end }}

{{- /* Every address that the download stage reads, as a JSON list. */}}
{{- define "osft-pipeline.sources" -}}
{{- $rows := concat (include "osft-pipeline.uris" .Values.data.uri | fromJsonArray) (include "osft-pipeline.uris" .Values.data.evalUri | fromJsonArray) -}}
{{- if and .Values.eval.enabled .Values.eval.downloadBenchmarks }}{{ $rows = append $rows "hf://" }}{{ end -}}
{{- append $rows .Values.model.uri | compact | toJson -}}
{{- end }}

{{- /* Claims named by pvc://, except the workspace itself, as a JSON list. */}}
{{- define "osft-pipeline.claims" -}}
{{- $claims := list -}}
{{- range include "osft-pipeline.sources" . | fromJsonArray -}}
{{- if hasPrefix "pvc://" . }}{{ $claims = append $claims (trimPrefix "pvc://" . | splitList "/" | first) }}{{ end -}}
{{- end -}}
{{- without ($claims | compact | uniq) (include "osft-pipeline.claimName" .) | toJson -}}
{{- end }}

{{- /* Access modes of the workspace: those of the claim if it exists and can be read, otherwise those of the values. */}}
{{- define "osft-pipeline.accessModes" -}}
{{- $claim := lookup "v1" "PersistentVolumeClaim" .Release.Namespace (include "osft-pipeline.claimName" .) -}}
{{- (get $claim "spec" | default dict).accessModes | default .Values.workspace.accessModes | toJson -}}
{{- end }}

{{- /* The waiter and clean-up only use the Kubernetes API. During an upgrade the pods of the run may use a ReadWriteOnce
       volume on another node, and preflight would wait for it forever, so it then does not mount it. Params: root, stage. */}}
{{- define "osft-pipeline.mountsWorkspace" -}}
{{- $busy := and .root.Release.IsUpgrade (not (contains "ReadWriteMany" (include "osft-pipeline.accessModes" .root))) -}}
{{- if not (or (has .stage (list "wait" "cleanup")) (and (eq .stage "preflight") $busy)) }}true{{ end -}}
{{- end }}

{{- /* Whether an uninstall deletes the workspace. */}}
{{- define "osft-pipeline.dropsClaim" -}}
{{- with .Values.workspace }}{{ if not (or .keep .existingClaim) }}true{{ end }}{{ end -}}
{{- end }}

{{- /* Whether a TrainJob is rendered: for the whole run, or for training behind a waiter. */}}
{{- define "osft-pipeline.usesTrainer" -}}
{{- if eq .Values.ordering "cluster" }}true
{{- else if and .Values.train.enabled (eq .Values.train.runAs "trainjob") }}true{{ end -}}
{{- end }}
