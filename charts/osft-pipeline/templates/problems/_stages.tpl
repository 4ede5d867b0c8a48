{{- /* Problems between values of model, data, train, eval and register. Each list is JSON. */}}

{{- define "osft-pipeline.problems.data" -}}
{{- $found := list -}}
{{- with .Values.data -}}
{{- if and .enabled (eq "[]" (include "osft-pipeline.uris" .uri)) (not (include "osft-pipeline.secretUri" $ | trimAll "\"")) -}}
{{- $found = append $found "data.uri is empty. Set it to hf://<org>/<dataset>, s3://<bucket>/<key>, https://<address> or pvc://<claim>/<path>." -}}
{{- end -}}
{{- $found = concat $found (include "osft-pipeline.problems.addresses" $ | fromJsonArray) -}}
{{- if and (eq .format "processed") $.Values.train.pretraining.enabled -}}
{{- $found = append $found "data.format is processed and train.pretraining.enabled is true: pretraining cuts text into blocks, and these rows are tokenized already. Set data.format to auto or train.pretraining.enabled to false." -}}
{{- end -}}
{{- $column := $.Values.train.pretraining.documentColumn -}}
{{- if and $column .columns.document (ne $column .columns.document) -}}
{{- $found = append $found (printf "train.pretraining.documentColumn is %q and data.columns.document is %q: both name the column that holds the text. Remove one of them, or set both to the same name." $column .columns.document) -}}
{{- end -}}
{{- $most := int64 $.Values.train.maxSequenceLength -}}
{{- if and (ge (int64 .minTokens) $most) (ne .format "processed") (not $.Values.train.pretraining.enabled) -}}
{{- $found = append $found (printf "data.minTokens is %d and train.maxSequenceLength is %d: no row can have at least the first and fewer than the second number of tokens. Lower data.minTokens or raise train.maxSequenceLength." (int64 .minTokens) $most) -}}
{{- end -}}
{{- end -}}
{{- toJson $found -}}
{{- end }}

{{- define "osft-pipeline.problems.train" -}}
{{- $found := list -}}
{{- with .Values.train -}}
{{- if not (or .checkpoints.final .checkpoints.everyEpoch) -}}
{{- $found = append $found "train.checkpoints.final and train.checkpoints.everyEpoch are both false: training would leave no model. Set one of them to true." -}}
{{- end -}}
{{- $auto := eq (toString .maxTokensPerGpu) "auto" -}}
{{- if and (not $auto) (gt (int64 .maxSequenceLength) (int64 .maxTokensPerGpu)) -}}
{{- $found = append $found (printf "train.maxSequenceLength is %d and train.maxTokensPerGpu is %d: rows with more tokens than train.maxTokensPerGpu would be dropped during training. Lower the first or raise the second." (int64 .maxSequenceLength) (int64 .maxTokensPerGpu)) -}}
{{- end -}}
{{- $room := include "osft-pipeline.number" $.Values.preflight.training.gpuMemoryGiB -}}
{{- if and $auto (eq (int .gpus) 0) -}}
{{- $found = append $found "train.maxTokensPerGpu is auto and train.gpus is 0: what fits is counted for the memory of a GPU. Give train.maxTokensPerGpu a number, such as 4096." -}}
{{- else if and $auto (not $room) -}}
{{- $found = append $found "train.maxTokensPerGpu is auto and preflight.training.gpuMemoryGiB is empty: what fits depends on the memory of a GPU. Set preflight.training.gpuMemoryGiB, or give train.maxTokensPerGpu a number." -}}
{{- end -}}
{{- if and $room (eq (int .gpus) 0) -}}
{{- $found = append $found (printf "preflight.training.gpuMemoryGiB is %s and train.gpus is 0: training on the CPU uses the memory of its pod. Remove preflight.training.gpuMemoryGiB, or set train.gpus." $room) -}}
{{- end -}}
{{- $processes := include "osft-pipeline.processes" $ | int -}}
{{- if and (gt (int .gpus) 0) (gt $processes (int .gpus)) -}}
{{- $found = append $found (printf "train.processesPerNode is %d and train.gpus is %d: each process needs its own GPU. Set train.processesPerNode to auto." $processes (int .gpus)) -}}
{{- end -}}
{{- if and .pretraining.enabled (not .pretraining.blockSize) -}}
{{- $found = append $found "train.pretraining.enabled is true and train.pretraining.blockSize is empty. Set it, for instance to 4096." -}}
{{- end -}}
{{- if and (not .pretraining.enabled) (or .pretraining.blockSize .pretraining.documentColumn) -}}
{{- $found = append $found "train.pretraining.blockSize or train.pretraining.documentColumn is set and train.pretraining.enabled is false, so it would be ignored. Set train.pretraining.enabled to true, or remove it." -}}
{{- end -}}
{{- if and (gt (int64 .maxSteps) 0) (ge (int64 .scheduler.warmupSteps) (int64 .maxSteps)) (ne .scheduler.name "constant") -}}
{{- $found = append $found (printf "train.scheduler.warmupSteps is %d and train.maxSteps is %d: the learning rate would never reach its peak. Lower the first or raise the second." (int64 .scheduler.warmupSteps) (int64 .maxSteps)) -}}
{{- end -}}
{{- with .checkpoints.storage }}{{ if and (not (contains "://" .)) (not (include "osft-pipeline.holdsCredential" .)) -}}
{{- $found = append $found (printf "train.checkpoints.storage is %q, expected an fsspec address such as s3://bucket/prefix. Leave it empty to keep full states in the workspace only." .) -}}
{{- end }}{{ end -}}
{{- with .tracking.tensorboardLogDir -}}
{{- $folder := clean . -}}
{{- $inside := isAbs $folder | ternary (hasPrefix "/workspace/" $folder | ternary (trimPrefix "/workspace/" $folder) "") $folder -}}
{{- if has (splitList "/" $inside | first) (list "" "." ".." "runs" "cache") -}}
{{- $found = append $found (printf "train.tracking.tensorboardLogDir is %q, expected a folder inside the workspace other than runs/ and cache/, such as boards. Leave it empty to keep the event files in the run's own folder." .) -}}
{{- end -}}
{{- end -}}
{{- if and .pretraining.enabled .unmaskMessages -}}
{{- $found = append $found "train.unmaskMessages and train.pretraining.enabled are both true: plain text has no messages. Set one of them to false." -}}
{{- end -}}
{{- end -}}
{{- toJson $found -}}
{{- end }}

{{- /* Limits of training that nothing would check. */}}
{{- define "osft-pipeline.problems.limits" -}}
{{- $found := list -}}
{{- $limits := list -}}
{{- range $key, $limit := .Values.preflight.training }}{{ with include "osft-pipeline.number" $limit }}{{ $limits = append $limits (print "preflight.training." $key) }}{{ end }}{{ end -}}
{{- with .Values.train -}}
{{- $unplanned := $limits -}}
{{- if eq (toString .maxTokensPerGpu) "auto" }}{{ $unplanned = without $limits "preflight.training.gpuMemoryGiB" }}{{ end -}}
{{- if and $unplanned (or .configMap.name .configMap.content) -}}
{{- $found = append $found (printf "%s is set, and train.configMap changes the training in ways that the plan cannot see. Set what it sets as values instead (osft migrate), or remove the limits." (join ", " $unplanned)) -}}
{{- end -}}
{{- end -}}
{{- if and $limits (not .Values.train.enabled) -}}
{{- $found = append $found (printf "%s is set and train.enabled is false: there is no training to check. Remove it." (join ", " $limits)) -}}
{{- else if and $limits (not (or .Values.data.enabled .Values.preflight.enabled)) -}}
{{- $found = append $found (printf "%s is set, and data.enabled and preflight.enabled are both false, so nothing would check it. Set preflight.enabled to true, or remove it." (join ", " $limits)) -}}
{{- end -}}
{{- toJson $found -}}
{{- end }}

{{- /* What only other methods use would be ignored. */}}
{{- define "osft-pipeline.problems.method" -}}
{{- $found := list -}}
{{- $method := .Values.train.method -}}
{{- $defaults := (.Files.Get "defaults.yaml" | fromYaml).train -}}
{{- range $key, $methods := dict "unfreezeRankRatio" (list "osft") "targetPatterns" (list "osft") "lora" (list "lora" "qlora") "quantization" (list "qlora") -}}
{{- if and (not (has $method $methods)) (ne (get $.Values.train $key | toJson) (get $defaults $key | toJson)) -}}
{{- $found = append $found (printf "train.%s is set and train.method is %s, which does not use it. Set train.method to %s, or remove train.%s." $key $method (join " or " $methods) $key) -}}
{{- end -}}
{{- end -}}
{{- if and .Values.model.resizeEmbeddings (has $method (list "lora" "qlora")) -}}
{{- $found = append $found (printf "model.resizeEmbeddings is true and train.method is %s: adapters leave the embeddings as they are. Set train.method to osft or sft, or model.resizeEmbeddings to false." $method) -}}
{{- end -}}
{{- if has $method (list "lora" "qlora") -}}
{{- $found = concat $found (include "osft-pipeline.problems.adapter" . | fromJsonArray) -}}
{{- end -}}
{{- toJson $found -}}
{{- end }}

{{- /* What an adapter that is not merged cannot be. */}}
{{- define "osft-pipeline.problems.adapter" -}}
{{- $found := list -}}
{{- with .Values.train -}}
{{- if not .lora.merge -}}
{{- if hasKey .extraArgs "save_dtype" -}}
{{- $found = append $found "train.extraArgs has save_dtype and train.lora.merge is false, which leaves an adapter, saved in float32: save_dtype is for whole models. Remove it, or set train.lora.merge to true." -}}
{{- end -}}
{{- $unlike := list -}}
{{- if .lora.useDora }}{{ $unlike = append $unlike "train.lora.useDora is true" }}{{ end -}}
{{- if ne .lora.bias "none" }}{{ $unlike = append $unlike (printf "train.lora.bias is %s" .lora.bias) }}{{ end -}}
{{- if gt (int64 .lora.r) 512 }}{{ $unlike = append $unlike (printf "train.lora.r is %d" (int64 .lora.r)) }}{{ end -}}
{{- if and $.Values.eval.enabled (has $.Values.eval.backend (list "vllm" "auto")) $unlike -}}
{{- $found = append $found (printf "eval.backend is %s, train.lora.merge is false and %s: vLLM loads only adapters without DoRA and biases, up to rank 512. Set train.lora.merge to true, or eval.backend to hf." $.Values.eval.backend (join " and " $unlike)) -}}
{{- end -}}
{{- end -}}
{{- end -}}
{{- toJson $found -}}
{{- end }}

{{- define "osft-pipeline.problems.eval" -}}
{{- $found := list -}}
{{- with .Values.eval -}}
{{- if and .enabled (not .tasks) (not .holdout.enabled) -}}
{{- $found = append $found "eval.tasks is empty and eval.holdout.enabled is false: there is nothing to evaluate. Name a task, or set eval.enabled to false." -}}
{{- end -}}
{{- if and (eq .backend "openai") (not .baseUrl) -}}
{{- $found = append $found "eval.backend is openai and eval.baseUrl is empty. Set it to the server's address, or choose hf or vllm." -}}
{{- end -}}
{{- if and (ne .backend "openai") .baseUrl -}}
{{- $found = append $found (printf "eval.baseUrl is set and eval.backend is %s, which does not use a server. Set eval.backend to openai, or remove eval.baseUrl." .backend) -}}
{{- end -}}
{{- $found = concat $found (include "osft-pipeline.problems.mix" $ | fromJsonArray) -}}
{{- $hub := list -}}
{{- range .tasks }}{{ if not (hasPrefix "osft_" .) }}{{ $hub = append $hub . }}{{ end }}{{ end -}}
{{- $staged := hasKey ((include "osft-pipeline.podOptions" (dict "root" $ "stage" "eval") | fromJson).env) "HF_HOME" -}}
{{- if and .enabled $hub (not (or .downloadBenchmarks .includePath $staged)) -}}
{{- $found = append $found (printf "eval.tasks names %s, not included in the eval image, and eval.downloadBenchmarks is false: evaluation would fail after training. Set eval.downloadBenchmarks to true, or set eval.includePath to a folder with the files of the task." (join ", " $hub)) -}}
{{- end -}}
{{- $nothingHeldOut := and (eq (include "osft-pipeline.number" $.Values.data.trainFraction) "1") (eq "[]" (include "osft-pipeline.uris" $.Values.data.evalUri)) -}}
{{- if and .gates.holdoutMustImprove (or $nothingHeldOut (not .holdout.enabled)) -}}
{{- $found = append $found "eval.gates.holdoutMustImprove is true and there are no held-out rows. Set data.evalUri, or data.trainFraction below 1 with eval.holdout.enabled: true." -}}
{{- end -}}
{{- if and (not .tasks) (or .gates.tasks (not (kindIs "invalid" .gates.maxTaskDrop))) -}}
{{- $found = append $found "eval.gates limits the drop of tasks and eval.tasks is empty. Set eval.tasks, or remove eval.gates.maxTaskDrop and eval.gates.tasks." -}}
{{- end -}}
{{- end -}}
{{- toJson $found -}}
{{- end }}

{{- /* What no mix of base and tuned model can be, and values that its mode does not use. */}}
{{- define "osft-pipeline.problems.mix" -}}
{{- $found := list -}}
{{- $mode := .Values.eval.mix.mode | default "off" -}}
{{- with .Values.eval -}}
{{- if and (ne $mode "off") (eq .backend "openai") -}}
{{- $found = append $found (printf "eval.mix.mode is %s and eval.backend is openai: a mix is another model than the one that the server has. Set eval.backend to hf or vllm, or eval.mix.mode to off." $mode) -}}
{{- end -}}
{{- if and (eq $mode "fixed") (kindIs "invalid" .mix.share) -}}
{{- $found = append $found "eval.mix.mode is fixed and eval.mix.share is empty. Set it, such as to 0.5." -}}
{{- end -}}
{{- if and (eq $mode "auto") .enabled (or (not .tasks) (not .holdout.enabled)) -}}
{{- $found = append $found "eval.mix.mode is auto, which chooses by tasks and held-out rows, and eval.tasks is empty or eval.holdout.enabled is false. Set both, or eval.mix.mode to off." -}}
{{- end -}}
{{- if and (ne $mode "fixed") (not (kindIs "invalid" .mix.share)) -}}
{{- $found = append $found (printf "eval.mix.share is set and eval.mix.mode is %s, which does not use it. Set eval.mix.mode to fixed, or remove eval.mix.share." $mode) -}}
{{- end -}}
{{- end -}}
{{- toJson $found -}}
{{- end }}

{{- define "osft-pipeline.problems.register" -}}
{{- $found := list -}}
{{- $taken := list -}}
{{- range $key, $_ := .Values.register.metadata -}}
{{- if regexMatch "^(osft_|base_model|data_|training_|eval_)" $key }}{{ $taken = append $taken $key }}{{ end -}}
{{- end -}}
{{- if $taken -}}
{{- $found = append $found (printf "register.metadata holds %s, but names that begin with osft_, base_model, data_, training_ or eval_ are reserved for the pipeline. Choose other names." (join ", " $taken)) -}}
{{- end -}}
{{- with .Values.register.address }}{{ if and (contains "://" .) (not (regexMatch "^https?://" .)) (not (include "osft-pipeline.holdsCredential" .)) -}}
{{- $found = append $found (printf "register.address is %s, expected http://<host>, https://<host> or <host>:<port>. Correct it." .) -}}
{{- end }}{{ end -}}
{{- with .Values.register.tls -}}
{{- if and .caSecret .caConfigMap -}}
{{- $found = append $found "register.tls.caSecret and register.tls.caConfigMap are both set. Remove one." -}}
{{- end -}}
{{- if and .skipVerify (or .caSecret .caConfigMap) -}}
{{- $found = append $found "register.tls.skipVerify is true, so the CA in register.tls.caSecret or register.tls.caConfigMap would be ignored. Set register.tls.skipVerify to false, or remove the CA." -}}
{{- end -}}
{{- end -}}
{{- toJson $found -}}
{{- end }}
