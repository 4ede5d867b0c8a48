{{- /* What nodes, quotas and storage classes rule out. They are asked with the rights of whoever installs, who alone may
       see them: no account of this chart may. Each list is JSON. */}}

{{- define "osft-pipeline.problems.capacity" -}}
{{- $found := list -}}
{{- if and (include "osft-pipeline.live" .) .Values.preflight.clusterFacts -}}
{{- $nodes := include "set preflight.clusterFacts to false, or ask for the right to list nodes and storage classes" (list "v1" "Node") | fromJsonArray -}}
{{- /* A cluster without nodes is one that `lookup` was not allowed to ask, as under Argo CD. */ -}}
{{- if $nodes -}}
{{- $found = concat $found (include "osft-pipeline.storageProblems" . | fromJsonArray) -}}
{{- range $stage := prepend (include "osft-pipeline.stages" . | fromJsonArray) "preflight" -}}
{{- $context := dict "root" $ "stage" $stage "nodes" $nodes "options" (include "osft-pipeline.podOptions" (dict "root" $ "stage" $stage) | fromJson) -}}
{{- $found = concat $found (include "osft-pipeline.nodeProblems" $context | fromJsonArray) (include "osft-pipeline.quotaProblems" $context | fromJsonArray) -}}
{{- end -}}
{{- end -}}
{{- end -}}
{{- toJson $found -}}
{{- end }}

{{- /* Every object of a kind that belongs to no namespace. Helm shows this name when the user may not list them. */}}
{{- define "set preflight.clusterFacts to false, or ask for the right to list nodes and storage classes" -}}
{{- $items := list -}}
{{- range (lookup (index . 0) (index . 1) "" "").items -}}
{{- $items = append $items (dict "metadata" (pick .metadata "name" "labels" "annotations") "allocatable" (dig "status" "allocatable" dict .)) -}}
{{- end -}}
{{- toJson $items -}}
{{- end }}

{{- define "osft-pipeline.storageProblems" -}}
{{- $found := list -}}
{{- $class := .Values.workspace.storageClass -}}
{{- if not (or .Values.workspace.existingClaim (eq $class "-") (lookup "v1" "PersistentVolumeClaim" .Release.Namespace (include "osft-pipeline.claimName" .))) -}}
{{- $names := list -}}
{{- $default := "" -}}
{{- range include "set preflight.clusterFacts to false, or ask for the right to list nodes and storage classes" (list "storage.k8s.io/v1" "StorageClass") | fromJsonArray -}}
{{- $names = append $names .metadata.name -}}
{{- if eq (dig "annotations" "storageclass.kubernetes.io/is-default-class" "" .metadata) "true" }}{{ $default = .metadata.name }}{{ end -}}
{{- end -}}
{{- $there := join ", " (sortAlpha $names) | default "none at all" -}}
{{- if and $class (not (has $class $names)) -}}
{{- $found = append $found (printf "workspace.storageClass is %s, and this cluster has %s. Name one of them, or a claim in workspace.existingClaim." $class $there) -}}
{{- else if not (or $class $default) -}}
{{- $found = append $found (printf "workspace.storageClass is empty, and no storage class of this cluster is its default (seen: %s). Name one, or a claim in workspace.existingClaim." $there) -}}
{{- end -}}
{{- end -}}
{{- toJson $found -}}
{{- end }}

{{- /* What a stage's pod asks of a node, as a map; Kubernetes takes a limit for a request that is not given. */}}
{{- define "osft-pipeline.podRequests" -}}
{{- $resources := include "osft-pipeline.resources" (merge (dict "options" (deepCopy .options)) .) | fromYaml -}}
{{- merge (dict) (get $resources "requests" | default dict) (get $resources "limits" | default dict) | toJson -}}
{{- end }}

{{- define "osft-pipeline.lowerIt" -}}
{{- $section := include "osft-pipeline.section" .stage -}}
Lower {{ $section }}.pod.resources{{ if int (include "osft-pipeline.gpus" .) }} or {{ $section }}.gpus, or correct stageDefaults.gpuResource{{ end }}.
{{- end }}

{{- /* Params: root, stage, options, nodes. */}}
{{- define "osft-pipeline.nodeProblems" -}}
{{- $found := list -}}
{{- $requests := include "osft-pipeline.podRequests" . | fromJson -}}
{{- $section := include "osft-pipeline.section" .stage -}}
{{- $selector := .options.nodeSelector -}}
{{- $most := dict -}}
{{- $fits := false -}}
{{- $candidates := 0 -}}
{{- range $node := .nodes -}}
{{- $labels := $node.metadata.labels | default dict -}}
{{- $matches := true -}}
{{- range $key, $value := $selector }}{{ if ne (get $labels $key | toString) (toString $value) }}{{ $matches = false }}{{ end }}{{ end -}}
{{- if $matches -}}
{{- $candidates = add1 $candidates -}}
{{- $enough := true -}}
{{- range $name, $asked := $requests -}}
{{- $has := get $node.allocatable $name | default "0" -}}
{{- if lt (include "osft-pipeline.amount" (get $most $name | default "0") | float64) (include "osft-pipeline.amount" $has | float64) }}{{ $_ := set $most $name $has }}{{ end -}}
{{- if gt (include "osft-pipeline.amount" $asked | float64) (include "osft-pipeline.amount" $has | float64) }}{{ $enough = false }}{{ end -}}
{{- end -}}
{{- if $enough }}{{ $fits = true }}{{ end -}}
{{- end -}}
{{- end -}}
{{- $remedy := "Where an autoscaler adds nodes, set preflight.clusterFacts to false." -}}
{{- if and $selector (not $candidates) -}}
{{- $found = append $found (printf "%s.pod.nodeSelector asks for %s, and none of %d nodes has that. Correct it. %s" $section (toJson $selector) (len .nodes) $remedy) -}}
{{- else if not $fits -}}
{{- $short := list -}}
{{- range $name, $asked := $requests -}}
{{- if gt (include "osft-pipeline.amount" $asked | float64) (include "osft-pipeline.amount" (get $most $name | default "0") | float64) }}{{ $short = append $short (printf "%v of %s, of which the largest node has %s" $asked $name (get $most $name | default "none")) }}{{ end -}}
{{- end -}}
{{- $short = $short | default (list (printf "%s together, which no single node has" (toJson $requests))) -}}
{{- $found = append $found (printf "the pod of %s asks for %s: it would wait for ever. %s %s" .stage (join "; and for " $short) (include "osft-pipeline.lowerIt" .) $remedy) -}}
{{- end -}}
{{- toJson $found -}}
{{- end }}

{{- /* Quotas that no pod of a stage could ever satisfy; what others use now may come free. Params: root, stage, options. */}}
{{- define "osft-pipeline.quotaProblems" -}}
{{- $found := list -}}
{{- $namespace := .root.Release.Namespace -}}
{{- $section := include "osft-pipeline.section" .stage -}}
{{- $resources := include "osft-pipeline.resources" (merge (dict "options" (deepCopy .options)) .) | fromYaml -}}
{{- $asks := dict -}}
{{- range $name, $asked := include "osft-pipeline.podRequests" . | fromJson }}{{ $_ := set $asks (print "requests." $name) $asked }}{{ $_ := set $asks $name $asked }}{{ end -}}
{{- range $name, $asked := get $resources "limits" }}{{ $_ := set $asks (print "limits." $name) $asked }}{{ end -}}
{{- $pods := eq .stage "train" | ternary (int .root.Values.train.nodes) 1 -}}
{{- $each := gt $pods 1 | ternary (printf " on each of %d nodes" $pods) "" -}}
{{- $defaults := (lookup "v1" "LimitRange" $namespace "").items -}}
{{- range $quota := (lookup "v1" "ResourceQuota" $namespace "").items -}}
{{- if not (or $quota.spec.scopes $quota.spec.scopeSelector) -}}
{{- range $name, $hard := $quota.spec.hard -}}
{{- $asked := get $asks $name -}}
{{- if and $asked (gt (mulf $pods (include "osft-pipeline.amount" $asked)) (include "osft-pipeline.amount" $hard | float64)) -}}
{{- $found = append $found (printf "%s asks for %v of %s%s, and the quota %s of namespace %s allows %v in all: its pods would never be made. %s Or have the quota raised." $.stage $asked $name $each $quota.metadata.name $namespace $hard (include "osft-pipeline.lowerIt" $)) -}}
{{- else if and (not $asked) (not $defaults) (has $name (list "cpu" "memory" "requests.cpu" "requests.memory" "limits.cpu" "limits.memory")) -}}
{{- $found = append $found (printf "the quota %s of namespace %s counts %s, and the pod of %s sets none: Kubernetes would refuse it. Set it in %s.pod.resources or for all stages in stageDefaults.resources." $quota.metadata.name $namespace $name $.stage $section) -}}
{{- end -}}
{{- end -}}
{{- end -}}
{{- end -}}
{{- toJson $found -}}
{{- end }}
