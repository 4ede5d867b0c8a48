{{- /* Arguments of osft-train: each parameter of training_hub's osft() has its flag. */}}
{{- define "osft-pipeline.args.train" -}}
{{ include "osft-pipeline.args.training" . }}
{{- include "osft-pipeline.args.around" . }}
{{- end }}

{{- /* What decides the tuned model, and so the run id. Flags with ternary are false by default in the engine. */}}
{{- define "osft-pipeline.args.training" -}}
{{- $model := .Values.model }}
{{- $processes := include "osft-pipeline.processes" . }}
{{- $document := include "osft-pipeline.documentColumn" . }}
{{- with .Values.train }}
{{- include "osft-pipeline.flags" (list
  (list "method" .method)
  (list "nnodes" .nodes)
  (list "gpus" .gpus)
  (list "nproc-per-node" $processes)
  (list "unfreeze-rank-ratio" (include "osft-pipeline.number" .unfreezeRankRatio))
  (list "effective-batch-size" .effectiveBatchSize)
  (list "max-tokens-per-gpu" .maxTokensPerGpu)
  (list "gpu-memory-gib" (eq (toString .maxTokensPerGpu) "auto" | ternary (include "osft-pipeline.number" $.Values.preflight.training.gpuMemoryGiB) ""))
  (list "max-seq-len" .maxSequenceLength)
  (list "learning-rate" (include "osft-pipeline.number" .learningRate))
  (list "num-epochs" .epochs)
  (list "max-steps" (.maxSteps | empty | ternary "" .maxSteps))
  (list "target-patterns" (.targetPatterns | empty | ternary "" (toRawJson .targetPatterns)))
  (list "seed" .seed)
  (list "use-liger" .useLiger)
  (list "unmask-messages" (ternary true "" .unmaskMessages))
  (list "is-pretraining" (ternary true "" .pretraining.enabled))
  (list "block-size" .pretraining.blockSize)
  (list "document-column-name" $document)
  (list "lr-scheduler" .scheduler.name)
  (list "warmup-steps" .scheduler.warmupSteps)
  (list "lr-scheduler-kwargs" .scheduler.kwargs)
  (list "beta1" (include "osft-pipeline.number" .adamw.beta1))
  (list "beta2" (include "osft-pipeline.number" .adamw.beta2))
  (list "eps" (include "osft-pipeline.number" .adamw.eps))
  (list "weight-decay" (include "osft-pipeline.number" .adamw.weightDecay))
  (list "checkpoint-at-epoch" (ternary true "" .checkpoints.everyEpoch))
  (list "save-final-checkpoint" .checkpoints.final)
  (list "trust-remote-code" (ternary true "" $model.trustRemoteCode))
  (list "extra" .extraArgs)
) }}
{{- include "osft-pipeline.args.adapter" . }}
{{- end }}
{{- end }}

{{- /* Adapters, for the methods that train them; scope: train. */}}
{{- define "osft-pipeline.args.adapter" -}}
{{- if has .method (list "lora" "qlora") }}
{{- include "osft-pipeline.flags" (list
  (list "lora-r" .lora.r)
  (list "lora-alpha" (include "osft-pipeline.number" .lora.alpha))
  (list "lora-dropout" (include "osft-pipeline.number" .lora.dropout))
  (list "lora-target-modules" (.lora.targetModules | empty | ternary "" (toRawJson .lora.targetModules)))
  (list "lora-bias" .lora.bias)
  (list "lora-use-dora" (ternary true "" .lora.useDora))
  (list "lora-use-rslora" (ternary true "" .lora.useRslora))
  (list "lora-merge" (ternary "" false .lora.merge))
) }}
{{- end }}
{{- if eq .method "qlora" }}
{{- include "osft-pipeline.flags" (list
  (list "quantization-type" .quantization.quantType)
  (list "quantization-compute-dtype" .quantization.computeDtype)
  (list "quantization-double" .quantization.doubleQuant)
) }}
{{- end }}
{{- end }}

{{- /* What does not decide it: checkpoints and tracking. */}}
{{- define "osft-pipeline.args.around" -}}
{{- $overwrite := .Values.runOverwrite }}
{{- with .Values.train }}
{{- include "osft-pipeline.flags" (list
  (list "run-overwrite" (ternary true "" $overwrite))
  (list "checkpoint-minutes" .checkpoints.everyMinutes)
  (list "enable-jit-checkpoint" .checkpoints.onPreemption)
  (list "eval-every" (eq (toString .evalEvery) "auto" | ternary "auto" (include "osft-pipeline.number" .evalEvery)))
  (list "svd-cache" .svdCache)
  (list "checkpoint-storage" .checkpoints.storage)
  (list "data-output-dir" .dataOutputDir)
  (list "wandb-project" .tracking.wandb.project)
  (list "wandb-entity" .tracking.wandb.entity)
  (list "wandb-run-name" .tracking.wandb.runName)
  (list "mlflow-tracking-uri" .tracking.mlflow.uri)
  (list "mlflow-experiment-name" .tracking.mlflow.experiment)
  (list "mlflow-run-name" .tracking.mlflow.runName)
  (list "tensorboard-log-dir" .tracking.tensorboardLogDir)
) }}
{{- end }}
{{- end }}

{{- /* Processes of one node: one for each GPU, at least one. */}}
{{- define "osft-pipeline.processes" -}}
{{- with .Values.train }}{{ eq (toString .processesPerNode) "auto" | ternary (max 1 (int .gpus)) .processesPerNode }}{{ end -}}
{{- end }}
