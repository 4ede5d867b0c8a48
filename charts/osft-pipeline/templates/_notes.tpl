{{- /* A command that prints a file of the workspace, for namespaces of any Pod Security level. Params: root, file. */}}
{{- define "osft-pipeline.readCommand" -}}
{{- $name := include "osft-pipeline.releaseName" (dict "root" .root "stage" "read") -}}
{{- $image := include "osft-pipeline.image" (dict "root" .root "image" "download") -}}
{{- $container := dict "name" $name "image" $image "command" (list "cat" (print "/workspace/" .file)) "volumeMounts" (list (dict "name" "workspace" "mountPath" "/workspace"))
  "securityContext" (dict "allowPrivilegeEscalation" false "capabilities" (dict "drop" (list "ALL"))) -}}
{{- $spec := dict "containers" (list $container) "volumes" (list (dict "name" "workspace" "persistentVolumeClaim" (dict "claimName" (include "osft-pipeline.claimName" .root))))
  "securityContext" (dict "runAsNonRoot" true "seccompProfile" (dict "type" "RuntimeDefault")) -}}
kubectl -n {{ .root.Release.Namespace }} run {{ $name }} --rm -iq --restart=Never --image={{ $image }} --overrides='{{ toRawJson (dict "spec" $spec) }}'
{{- end }}
