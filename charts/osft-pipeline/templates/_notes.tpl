{{- /* A word of a command as a shell reads it: quoted if it contains a character that a shell interprets. */}}
{{- define "osft-pipeline.shell" -}}
{{- if regexMatch "^[-A-Za-z0-9_./:=@%+,]+$" . }}{{ . }}{{ else }}{{ printf "'%s'" (replace "'" "'\\''" .) }}{{ end -}}
{{- end }}

{{- /* A command that prints how the pods of the run ended. Params: root, statuses (containerStatuses or initContainerStatuses). */}}
{{- define "osft-pipeline.lastWords" -}}
{{- $ended := printf ".status.%s[0].state.terminated" .statuses -}}
kubectl -n {{ include "osft-pipeline.shell" .root.Release.Namespace }} get pods -l {{ print "osft-pipeline/run=" (include "osft-pipeline.runId" .root) | include "osft-pipeline.shell" }} -o custom-columns='POD:.metadata.name,CODE:{{ $ended }}.exitCode,REASON:{{ $ended }}.reason,WHY:{{ $ended }}.message'
{{- end }}

{{- /*
A command that prints a file of the workspace, in namespaces of any Pod Security level. The pod waits for a line before it
prints, because output from before kubectl attaches is lost. Params: root, file.
*/}}
{{- define "osft-pipeline.readCommand" -}}
{{- $name := include "osft-pipeline.releaseName" (dict "root" .root "stage" "read") -}}
{{- $image := include "osft-pipeline.image" (dict "root" .root "image" "download") -}}
{{- $claim := dict "claimName" (include "osft-pipeline.claimName" .root) -}}
{{- $container := dict "name" $name "image" $image "stdin" true "stdinOnce" true
  "command" (list "sh" "-c" (print "read go; cat " (include "osft-pipeline.shell" (print "/workspace/" .file))))
  "volumeMounts" (list (dict "name" "workspace" "mountPath" "/workspace"))
  "securityContext" (dict "allowPrivilegeEscalation" false "capabilities" (dict "drop" (list "ALL"))) -}}
{{- $spec := dict "containers" (list $container)
  "volumes" (list (dict "name" "workspace" "persistentVolumeClaim" $claim))
  "securityContext" (dict "runAsNonRoot" true "seccompProfile" (dict "type" "RuntimeDefault")) -}}
{{- range .root.Values.images.pullSecrets }}{{ $_ := set $spec "imagePullSecrets" (append (get $spec "imagePullSecrets" | default list) (dict "name" .)) }}{{ end -}}
echo | kubectl -n {{ include "osft-pipeline.shell" .root.Release.Namespace }} run {{ include "osft-pipeline.shell" $name }} --rm -iq --restart=Never {{ print "--image=" $image | include "osft-pipeline.shell" }} {{ print "--overrides=" (toRawJson (dict "spec" $spec)) | include "osft-pipeline.shell" }}
{{- end }}
