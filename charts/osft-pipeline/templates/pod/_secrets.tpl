{{- /* Which Secret sets which variable of which stage. A stage gets only the Secrets that it uses. */}}
{{- define "osft-pipeline.secretTable" -}}
hf:
  stages: [download]
  env: {token: HF_TOKEN}
s3:
  stages: [download]
  env: {accessKeyId: AWS_ACCESS_KEY_ID, secretAccessKey: AWS_SECRET_ACCESS_KEY, sessionToken: AWS_SESSION_TOKEN}
registry:
  stages: [register]
  env: {token: OSFT_REGISTRY_TOKEN}
wandb:
  stages: [train, eval]
  env: {apiKey: WANDB_API_KEY}
mlflow:
  stages: [train, eval]
  env: {token: MLFLOW_TRACKING_TOKEN, username: MLFLOW_TRACKING_USERNAME, password: MLFLOW_TRACKING_PASSWORD}
{{- end }}

{{- /*
References of one stage as a JSON list of group, env, secret, key. Preflight gets those of all stages that run, except
what this release creates: it does not exist yet. Params: root, stage.
*/}}
{{- define "osft-pipeline.secretRefs" -}}
{{- $root := .root -}}
{{- $stage := .stage -}}
{{- $running := include "osft-pipeline.stages" $root | fromJsonArray -}}
{{- $refs := list -}}
{{- range $group, $spec := include "osft-pipeline.secretTable" $root | fromYaml -}}
{{- $given := index $root.Values.secrets $group -}}
{{- $used := false -}}
{{- range $spec.stages }}{{ $used = or $used (eq . $stage) (and (eq $stage "preflight") (has . $running)) }}{{ end -}}
{{- range $field, $env := $used | ternary $spec.env dict -}}
{{- $key := hasKey $given "key" | ternary $given.key (get ($given.keys | default dict) $field) -}}
{{- if and $given.existing $key -}}
{{- $refs = append $refs (dict "group" $group "env" $env "secret" $given.existing "key" $key) -}}
{{- else if and (get $given.create $field) (ne $stage "preflight") -}}
{{- $refs = append $refs (dict "group" $group "env" $env "secret" (include "osft-pipeline.releaseName" (dict "root" $root "stage" "credentials")) "key" $env) -}}
{{- end -}}
{{- end -}}
{{- end -}}
{{- toJson $refs -}}
{{- end }}

{{- /*
References to Secrets in pod.env of the stages that run, as a JSON list of env, secret, key, path, for preflight. Each key of
a Secret is listed once.
*/}}
{{- define "osft-pipeline.givenRefs" -}}
{{- $refs := list -}}
{{- $names := list -}}
{{- $seen := list -}}
{{- range $stage := include "osft-pipeline.stages" . | fromJsonArray -}}
{{- range $name, $value := (include "osft-pipeline.podOptions" (dict "root" $ "stage" $stage) | fromJson).env -}}
{{- $ref := kindIs "map" $value | ternary (dig "valueFrom" "secretKeyRef" dict (kindIs "map" $value | ternary $value dict)) dict -}}
{{- $source := printf "%s/%s" (get $ref "name") (get $ref "key") -}}
{{- if and $ref (not $ref.optional) (not (has $source $seen)) -}}
{{- $env := has $name $names | ternary (printf "%s_%s" $name (upper $stage)) $name -}}
{{- $names = append $names $env -}}
{{- $refs = append $refs (dict "env" $env "secret" $ref.name "key" $ref.key "path" (printf "%s.pod.env.%s" (include "osft-pipeline.section" $stage) $name)) -}}
{{- $seen = append $seen $source -}}
{{- end -}}
{{- end -}}
{{- end -}}
{{- toJson $refs -}}
{{- end }}

{{- /* Values of the Secret that this release creates, as JSON; empty when it creates none. */}}
{{- define "osft-pipeline.credentials" -}}
{{- $data := dict -}}
{{- range $group, $spec := include "osft-pipeline.secretTable" . | fromYaml -}}
{{- range $field, $env := $spec.env -}}
{{- with get (index $.Values.secrets $group).create $field }}{{ $_ := set $data $env . }}{{ end -}}
{{- end -}}
{{- end -}}
{{- if $data }}{{ toJson $data }}{{ end -}}
{{- end }}
