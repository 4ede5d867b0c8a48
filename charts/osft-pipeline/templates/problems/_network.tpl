{{- /* Invalid ports: Kubernetes would reject the NetworkPolicy, and the stage would fail after the stages before it. */}}
{{- define "osft-pipeline.problems.network" -}}
{{- $found := list -}}
{{- range $stage := include "osft-pipeline.stages" . | fromJsonArray -}}
{{- range include "osft-pipeline.reaches" (dict "root" $ "stage" $stage) | fromJsonArray -}}
{{- $endpoint := include "osft-pipeline.endpoint" . | fromJson -}}
{{- if gt (int $endpoint.port) 65535 -}}
{{- $found = append $found (printf "an address of %s.* or of its pod.env has the host %q and the port %d; the largest port is 65535. Correct the port." (include "osft-pipeline.section" $stage) (trunc 64 $endpoint.host) (int $endpoint.port)) -}}
{{- end -}}
{{- end -}}
{{- end -}}
{{- $found | uniq | toJson -}}
{{- end }}
