{{- /* Arguments of osft-eval. */}}
{{- define "osft-pipeline.args.eval" -}}
{{- $model := .Values.model }}
{{- $overwrite := .Values.runOverwrite }}
{{- $author := .Values.register.author }}
{{- $tracking := .Values.train.tracking }}
{{- $gates := include "osft-pipeline.gates" .Values.eval.gates | fromJson }}
{{- with .Values.eval }}
{{- include "osft-pipeline.flags" (list
  (list "run-overwrite" (ternary true "" $overwrite))
  (list "tasks" (.tasks | default (list "none")))
  (list "include-path" .includePath)
  (list "download-benchmarks" (ternary true "" .downloadBenchmarks))
  (list "benchmark-revisions" .benchmarkRevisions)
  (list "num-fewshot" .fewshot)
  (list "limit" .limit)
  (list "batch-size" .batchSize)
  (list "gen-kwargs" .genKwargs)
  (list "model-args" .modelArgs)
  (list "backend" .backend)
  (list "base-url" .baseUrl)
  (list "gpus" (include "osft-pipeline.gpus" (dict "root" $ "stage" "eval")))
  (list "chat-template" .chatTemplate)
  (list "log-samples" .logSamples)
  (list "seed" .seed)
  (list "holdout" .holdout.enabled)
  (list "holdout-limit" .holdout.limit)
  (list "holdout-generate" .holdout.generate)
  (list "holdout-max-new-tokens" .holdout.maxNewTokens)
  (list "mix-mode" (.mix.mode | default "off"))
  (list "mix-share" (include "osft-pipeline.number" .mix.share))
  (list "mix-tolerance" (include "osft-pipeline.number" .mix.tolerance))
  (list "mix-candidates" .mix.candidates)
  (list "gates" $gates)
  (list "author" $author)
  (list "mlflow-tracking-uri" $tracking.mlflow.uri)
  (list "wandb-project" $tracking.wandb.project)
  (list "primary-metric" .primaryMetric)
  (list "verbosity" .verbosity)
  (list "trust-remote-code" (ternary true "" $model.trustRemoteCode))
) }}
{{- end }}
{{- end }}

{{- /* The gates that are set, as JSON. */}}
{{- define "osft-pipeline.gates" -}}
{{- $gates := dict -}}
{{- range $key := list "maxTaskDrop" "maxEarlierRise" "significance" -}}
{{- with include "osft-pipeline.number" (get $ $key) }}{{ $_ := set $gates $key (float64 .) }}{{ end -}}
{{- end -}}
{{- $tasks := dict -}}
{{- range $name, $points := .tasks }}{{ $_ := set $tasks $name (include "osft-pipeline.number" $points | float64) }}{{ end -}}
{{- with $tasks }}{{ $_ := set $gates "tasks" . }}{{ end -}}
{{- if .holdoutMustImprove }}{{ $_ := set $gates "holdoutMustImprove" true }}{{ end -}}
{{- toJson $gates -}}
{{- end }}
