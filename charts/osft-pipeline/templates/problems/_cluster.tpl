{{- /* What can be wrong with workspace and secrets, and what a live cluster lacks. Each list is JSON. */}}

{{- define "osft-pipeline.problems.workspace" -}}
{{- $found := list -}}
{{- $nodes := int .Values.train.nodes -}}
{{- if and (gt $nodes 1) (not (contains "ReadWriteMany" (include "osft-pipeline.accessModes" .))) (or (not .Values.workspace.existingClaim) (include "osft-pipeline.looksUp" .)) -}}
{{- $there := lookup "v1" "PersistentVolumeClaim" .Release.Namespace (include "osft-pipeline.claimName" .) -}}
{{- $remedy := empty $there | ternary "Set workspace.accessModes to [ReadWriteMany] with a storageClass that offers it" "A claim keeps its modes: name one that is ReadWriteMany in workspace.existingClaim" -}}
{{- $found = append $found (printf "train.nodes is %d and the workspace %s is not ReadWriteMany: the second node could not mount it. %s, or set train.nodes to 1." $nodes (include "osft-pipeline.claimName" .) $remedy) -}}
{{- end -}}
{{- with .Values.workspace -}}
{{- if and (hasSuffix "Gi" .size) (lt (trimSuffix "Gi" .size | float64) (float64 .minFreeGiB)) (not .existingClaim) -}}
{{- $found = append $found (printf "workspace.size is %s and workspace.minFreeGiB is %v: preflight would refuse a new volume. Raise the first or lower the second." .size .minFreeGiB) -}}
{{- end -}}
{{- end -}}
{{- toJson $found -}}
{{- end }}

{{- define "osft-pipeline.problems.secrets" -}}
{{- $found := list -}}
{{- range $group, $given := .Values.secrets -}}
{{- $created := list -}}
{{- range $field, $value := $given.create }}{{ if $value }}{{ $created = append $created $field }}{{ end }}{{ end -}}
{{- if and $given.existing $created -}}
{{- $found = append $found (printf "secrets.%s names the secret %s and gives values to create one. Keep one of the two." $group $given.existing) -}}
{{- end -}}
{{- if and (eq $group "s3") $created (not (and $given.create.accessKeyId $given.create.secretAccessKey)) -}}
{{- $found = append $found (printf "secrets.s3.create has only %s. S3 needs accessKeyId and secretAccessKey." (join ", " $created)) -}}
{{- end -}}
{{- end -}}
{{- toJson $found -}}
{{- end }}

{{- /* Only with a cluster that answers; `helm template` knows nothing of one. */}}
{{- define "osft-pipeline.problems.cluster" -}}
{{- $found := list -}}
{{- if include "osft-pipeline.live" . -}}
{{- if and (include "osft-pipeline.usesTrainer" .) (not (.Capabilities.APIVersions.Has "trainer.kubeflow.org/v1alpha1/TrainJob")) -}}
{{- $found = append $found "this cluster has no Kubeflow Trainer (no TrainJob in trainer.kubeflow.org/v1alpha1). Install Trainer 2.1 or later, or go without: ordering: hooks with hooks.timeoutMinutes, and train.runAs: job." -}}
{{- end -}}
{{- end -}}
{{- if include "osft-pipeline.looksUp" . -}}
{{- $claims := .Values.data.enabled | ternary (include "osft-pipeline.claims" . | fromJsonArray) list -}}
{{- range append $claims .Values.workspace.existingClaim | compact -}}
{{- if not (lookup "v1" "PersistentVolumeClaim" $.Release.Namespace .) -}}
{{- $found = append $found (printf "the PersistentVolumeClaim %s does not exist in namespace %s; a pod that mounts it would stay Pending. Create it, or correct the name." . $.Release.Namespace) -}}
{{- end -}}
{{- end -}}
{{- $live := lookup "v1" "PersistentVolumeClaim" .Release.Namespace (include "osft-pipeline.claimName" .) -}}
{{- $size := dig "spec" "resources" "requests" "storage" "0" ($live | default dict) -}}
{{- if and $live (not .Values.workspace.existingClaim) (gt (include "osft-pipeline.amount" .Values.workspace.size | float64) (include "osft-pipeline.amount" $size | float64)) -}}
{{- $found = append $found (printf "workspace.size is %s and the claim %s has %s; Helm leaves a claim that is there alone. Enlarge it, if its storage class allows that: kubectl -n %s patch pvc %s -p '{\"spec\":{\"resources\":{\"requests\":{\"storage\":\"%s\"}}}}'" .Values.workspace.size $live.metadata.name $size (include "osft-pipeline.shell" .Release.Namespace) (include "osft-pipeline.shell" $live.metadata.name) .Values.workspace.size) -}}
{{- end -}}
{{- $class := .Values.workspace.storageClass -}}
{{- if and $live (not .Values.workspace.existingClaim) $class (ne (get $live.spec "storageClassName" | default "") (eq $class "-" | ternary "" $class)) -}}
{{- $found = append $found (printf "the claim %s is there, of storage class %q, and workspace.storageClass is %q, which a claim cannot change. Set it back, or name another claim in workspace.existingClaim." $live.metadata.name (get $live.spec "storageClassName" | default "") $class) -}}
{{- end -}}
{{- end -}}
{{- toJson $found -}}
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
