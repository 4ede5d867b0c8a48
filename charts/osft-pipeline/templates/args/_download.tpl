{{- /* Arguments of osft-download. */}}
{{- define "osft-pipeline.args.download" -}}
{{ include "osft-pipeline.args.data" . }}
{{- include "osft-pipeline.flags" (list
  (list "timeout-seconds" .Values.data.timeoutSeconds)
  (list "run-overwrite" (ternary true "" .Values.runOverwrite))
) }}
{{- with .Values.eval }}
{{- if and .enabled .downloadBenchmarks }}
{{- include "osft-pipeline.flags" (list
  (list "benchmarks" .tasks)
  (list "benchmarks-include-path" .includePath)
  (list "benchmark-revisions" .benchmarkRevisions)
) }}
{{- end }}
{{- end }}
{{- include "osft-pipeline.args.plan" . }}
{{- end }}

{{- /*
The training that is planned at the end of the download, and what it may take. None with train.configMap: what that sets
is known in the pods only.
*/}}
{{- define "osft-pipeline.args.plan" -}}
{{- $limits := dict -}}
{{- range $key, $limit := .Values.preflight.training -}}
{{- with include "osft-pipeline.number" $limit }}{{ $_ := set $limits $key (float64 .) }}{{ end -}}
{{- end -}}
{{- $keys := list "method" "gpus" "nodes" "processesPerNode" "effectiveBatchSize" "maxTokensPerGpu" "maxSequenceLength" "epochs" "maxSteps" "useLiger" "svdCache" -}}
{{- $training := dict -}}
{{- range $keys }}{{ $_ := set $training . (get $.Values.train .) }}{{ end -}}
{{- with .Values.train -}}
{{- $_ := set $training "checkpoints" (pick .checkpoints "everyEpoch" "onPreemption") -}}
{{- if .pretraining.enabled }}{{ $_ := set $training "pretraining" (pick .pretraining "enabled" "blockSize") }}{{ end -}}
{{- if eq .method "osft" }}{{ $_ := set $training "unfreezeRankRatio" (include "osft-pipeline.number" .unfreezeRankRatio | float64) }}{{ $_ := set $training "targetPatterns" .targetPatterns }}{{ end -}}
{{- if has .method (list "lora" "qlora") }}{{ $_ := set $training "lora" (pick .lora "r" "targetModules") }}{{ end -}}
{{- end -}}
{{- if and .Values.train.enabled (not (or .Values.train.configMap.name .Values.train.configMap.content)) }}
{{- include "osft-pipeline.flags" (list (list "training" $training) (list "training-limits" $limits)) }}
{{- end }}
{{- end }}

{{- /* What decides the rows, their tokens and the base model, and so the run id. */}}
{{- define "osft-pipeline.args.data" -}}
{{- $model := .Values.model }}
{{- $train := .Values.train }}
{{- $columns := include "osft-pipeline.columns" . | fromJson }}
{{- with .Values.data }}
{{- include "osft-pipeline.flags" (list
  (list "model-uri" $model.uri)
  (list "from-run" $model.fromRun)
  (list "model-revision" $model.revision)
  (list "trust-remote-code" (ternary true "" $model.trustRemoteCode))
  (list "resize-embeddings" (ternary true "" $model.resizeEmbeddings))
  (list "uri" (include "osft-pipeline.uris" .uri | fromJsonArray))
  (list "config" .config)
  (list "revision" .revision)
  (list "split" .split)
  (list "eval-uri" (include "osft-pipeline.uris" .evalUri | fromJsonArray))
  (list "format" .format)
  (list "columns" $columns)
  (list "system-role" .systemRole)
  (list "train-fraction" (include "osft-pipeline.number" .trainFraction))
  (list "subset" .subset)
  (list "shuffle" .shuffle)
  (list "seed" .seed)
  (list "overlap" .overlap)
  (list "min-tokens" .minTokens)
  (list "max-seq-len" $train.maxSequenceLength)
  (list "unmask-messages" $train.unmaskMessages)
  (list "pretraining" $train.pretraining.enabled)
  (list "on-invalid" .onInvalid)
  (list "max-invalid" .maxInvalid)
  (list "s3-endpoint" .s3.endpoint)
  (list "s3-region" .s3.region)
) }}
{{- end }}
{{- end }}

{{- /* The chart's names of columns to those of the data, as JSON, with the column of plain text for training. */}}
{{- define "osft-pipeline.columns" -}}
{{- $columns := deepCopy .Values.data.columns -}}
{{- with include "osft-pipeline.documentColumn" . }}{{ $_ := set $columns "document" . }}{{ end -}}
{{- toJson $columns -}}
{{- end }}

{{- define "osft-pipeline.documentColumn" -}}
{{- if .Values.train.pretraining.enabled }}{{ .Values.train.pretraining.documentColumn | default .Values.data.columns.document }}{{ end -}}
{{- end }}

{{- /* The reference to a Secret with the address of the rows (OSFT_DATA_URI), for addresses that carry a credential. */}}
{{- define "osft-pipeline.secretUri" -}}
{{- with get .Values.data.pod "env" }}{{ get . "OSFT_DATA_URI" | default "" | toJson }}{{ end -}}
{{- end }}
