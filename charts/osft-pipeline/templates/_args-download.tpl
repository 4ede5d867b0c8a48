{{- /* Arguments of osft-download. */}}
{{- define "osft-pipeline.args.download" -}}
{{ include "osft-pipeline.args.data" . }}
{{- include "osft-pipeline.flags" (list (list "timeout-seconds" .Values.data.timeoutSeconds)) }}
{{- end }}

{{- /* What decides the rows and the base model, and so the run id. */}}
{{- define "osft-pipeline.args.data" -}}
{{- $model := .Values.model }}
{{- with .Values.data }}
{{- include "osft-pipeline.flags" (list
  (list "model-uri" $model.uri)
  (list "model-revision" $model.revision)
  (list "uri" (include "osft-pipeline.uris" .uri | fromJsonArray))
  (list "config" .config)
  (list "revision" .revision)
  (list "split" .split)
  (list "eval-uri" (include "osft-pipeline.uris" .evalUri | fromJsonArray))
  (list "format" .format)
  (list "columns" .columns)
  (list "train-fraction" (include "osft-pipeline.number" .trainFraction))
  (list "subset" .subset)
  (list "shuffle" .shuffle)
  (list "seed" .seed)
  (list "on-invalid" .onInvalid)
  (list "max-invalid" .maxInvalid)
  (list "s3-endpoint" .s3.endpoint)
  (list "s3-region" .s3.region)
) }}
{{- end }}
{{- end }}

{{- /* An address that carries a credential comes from a secret, as OSFT_DATA_URI. */}}
{{- define "osft-pipeline.secretUri" -}}
{{- with get .Values.data.pod "env" }}{{ get . "OSFT_DATA_URI" | default "" | toJson }}{{ end -}}
{{- end }}
