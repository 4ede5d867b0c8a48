{{- /* Arguments of osft-register. */}}
{{- define "osft-pipeline.args.register" -}}
{{- $values := .Values }}
{{- $ca := include "osft-pipeline.caVolume" . }}
{{- $release := .Release }}
{{- with .Values.register }}
{{- include "osft-pipeline.flags" (list
  (list "address" .address)
  (list "port" .port)
  (list "name" .name)
  (list "version" .version)
  (list "author" .author)
  (list "owner" .owner)
  (list "description" .description)
  (list "version-description" .versionDescription)
  (list "format-name" .format.name)
  (list "format-version" .format.version)
  (list "on-conflict" .onConflict)
  (list "metadata" .metadata)
  (list "uri" .uri)
  (list "ca-file" (empty $ca | ternary "" "/etc/osft/ca/ca.crt"))
  (list "insecure-skip-tls-verify" (ternary true "" .tls.skipVerify))
  (list "timeout-seconds" .timeoutSeconds)
  (list "namespace" $release.Namespace)
  (list "release" $release.Name)
  (list "eval" $values.eval.enabled)
) }}
{{- end }}
{{- end }}
