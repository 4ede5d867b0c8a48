{{- /* Problems with workspace and Secrets, and what the cluster lacks. Each list is JSON. */}}

{{- define "osft-pipeline.problems.workspace" -}}
{{- $found := list -}}
{{- $nodes := int .Values.train.nodes -}}
{{- if and (gt $nodes 1) (not (contains "ReadWriteMany" (include "osft-pipeline.accessModes" .))) (or (not .Values.workspace.existingClaim) (include "osft-pipeline.looksUp" .)) -}}
{{- $there := lookup "v1" "PersistentVolumeClaim" .Release.Namespace (include "osft-pipeline.claimName" .) -}}
{{- $remedy := empty $there | ternary "Set workspace.accessModes to [ReadWriteMany] with a storageClass that supports it" "The modes of a claim cannot be changed: set workspace.existingClaim to a claim that is ReadWriteMany" -}}
{{- $found = append $found (printf "train.nodes is %d and the workspace %s is not ReadWriteMany: the second node could not mount it. %s, or set train.nodes to 1." $nodes (include "osft-pipeline.claimName" .) $remedy) -}}
{{- end -}}
{{- with .Values.workspace -}}
{{- if and (hasSuffix "Gi" .size) (lt (trimSuffix "Gi" .size | float64) (float64 .minFreeGiB)) (not .existingClaim) -}}
{{- $found = append $found (printf "workspace.size is %s and workspace.minFreeGiB is %v: preflight would fail on a new volume. Raise the first or lower the second." .size .minFreeGiB) -}}
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
{{- $found = append $found (printf "secrets.%s.existing names the Secret %s, and secrets.%s.create has values for another one. Remove one of the two." $group $given.existing $group) -}}
{{- end -}}
{{- if and (eq $group "s3") $created (not (and $given.create.accessKeyId $given.create.secretAccessKey)) -}}
{{- $found = append $found (printf "secrets.s3.create has only %s, expected accessKeyId and secretAccessKey. Set both." (join ", " $created)) -}}
{{- end -}}
{{- end -}}
{{- toJson $found -}}
{{- end }}

{{- /* Only if Helm asks a cluster, which `helm template` does not. */}}
{{- define "osft-pipeline.problems.cluster" -}}
{{- $found := list -}}
{{- if include "osft-pipeline.live" . -}}
{{- if and (include "osft-pipeline.usesTrainer" .) (not (.Capabilities.APIVersions.Has "trainer.kubeflow.org/v1alpha1/TrainJob")) -}}
{{- $found = append $found "this cluster has no Kubeflow Trainer (no TrainJob in trainer.kubeflow.org/v1alpha1). Install Trainer 2.1 or later, or set ordering: hooks, hooks.timeoutMinutes and train.runAs: job, which do not need it." -}}
{{- end -}}
{{- end -}}
{{- /* Helm stops at a lookup that is denied, so an installer who may not list runtimes turns preflight off. */ -}}
{{- if and (include "osft-pipeline.installed" .) .Values.preflight.enabled (include "osft-pipeline.looksUp" .) (.Capabilities.APIVersions.Has (print "trainer.kubeflow.org/v1alpha1/" .Values.train.runtimeRef.kind)) -}}
{{- with include "osft-pipeline.runtimeProblem" . }}{{ $found = append $found . }}{{ end -}}
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
{{- $found = append $found (printf "workspace.size is %s and the claim %s has %s; Helm does not change a claim that exists. If its storage class allows expansion, enlarge it: kubectl -n %s patch pvc %s -p '{\"spec\":{\"resources\":{\"requests\":{\"storage\":\"%s\"}}}}'" .Values.workspace.size $live.metadata.name $size (include "osft-pipeline.shell" .Release.Namespace) (include "osft-pipeline.shell" $live.metadata.name) .Values.workspace.size) -}}
{{- end -}}
{{- $class := .Values.workspace.storageClass -}}
{{- if and $live (not .Values.workspace.existingClaim) $class (ne (get $live.spec "storageClassName" | default "") (eq $class "-" | ternary "" $class)) -}}
{{- $found = append $found (printf "the claim %s exists with storage class %q, and workspace.storageClass is %q; the storage class of a claim cannot be changed. Set workspace.storageClass back, or set workspace.existingClaim to another claim." $live.metadata.name (get $live.spec "storageClassName" | default "") $class) -}}
{{- end -}}
{{- end -}}
{{- toJson $found -}}
{{- end }}

{{- /* Whether `.Capabilities` come from a cluster, which is not so in `helm template`. */}}
{{- define "osft-pipeline.live" -}}
{{- if .Capabilities.APIVersions.Has "v1/Pod" }}true{{ end -}}
{{- end }}

{{- /* Whether `lookup` works too: Argo CD renders with the capabilities of its cluster, but without lookup. Every namespace
       has this ServiceAccount, and the documented Role may read it. */}}
{{- define "osft-pipeline.looksUp" -}}
{{- if and (include "osft-pipeline.live" .) (lookup "v1" "ServiceAccount" .Release.Namespace "default") }}true{{ end -}}
{{- end }}
