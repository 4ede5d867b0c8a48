{{- /* The pod template of everything that this chart runs. Values of the user are written as JSON, which quotes every
       text; YAML block scalars would lose or gain line breaks at their end. Params: root, stage, container (name; the stage's by default). */}}
{{- define "osft-pipeline.podTemplate" -}}
{{- $options := include "osft-pipeline.podOptions" . | fromJson -}}
{{- $context := merge (dict "options" $options) . -}}
metadata:
  labels:
    {{- merge (include "osft-pipeline.podLabels" . | fromYaml) $options.labels | toYaml | nindent 4 }}
  {{- with $options.annotations }}
  annotations: {{ toRawJson . }}
  {{- end }}
spec:
  {{- /* All other pods have their deadline in their Job. */}}
  {{- if eq .stage "verify" }}
  {{- with include "osft-pipeline.deadline" (dict "root" .root "stage" .stage "minutes" $options.deadlineMinutes) }}
  activeDeadlineSeconds: {{ . }}
  {{- end }}
  {{- end }}
  # Each attempt is a new pod: podFailurePolicy requires it, and it can leave a node with a full disk or a broken GPU.
  restartPolicy: Never
  {{- with include "osft-pipeline.account" $context }}
  serviceAccountName: {{ . | quote }}
  {{- end }}
  automountServiceAccountToken: {{ has .stage (list "wait" "cleanup") }}
  enableServiceLinks: false
  {{- if include "osft-pipeline.jobOfNodes" . }}
  subdomain: {{ include "osft-pipeline.jobName" . | quote }}
  {{- end }}
  {{- with .root.Values.images.pullSecrets }}
  imagePullSecrets:
    {{- range . }}
    - name: {{ . | quote }}
    {{- end }}
  {{- end }}
  {{- range $key := list "priorityClassName" "runtimeClassName" "schedulerName" "nodeSelector" "tolerations" "affinity" "topologySpreadConstraints" }}
  {{- with get $options $key }}
  {{ $key }}: {{ toRawJson . }}
  {{- end }}
  {{- end }}
  terminationGracePeriodSeconds: {{ int64 $options.terminationGraceSeconds }}
  securityContext: {{ include "osft-pipeline.podSecurity" $context }}
  {{- if include "osft-pipeline.downloads" . }}
  initContainers:
    - {{ include "osft-pipeline.container" (dict "root" .root "stage" "download" "options" (include "osft-pipeline.podOptions" (dict "root" .root "stage" "download") | fromJson)) | indent 6 | trim }}
  {{- end }}
  containers:
    - {{ include "osft-pipeline.container" $context | indent 6 | trim }}
    {{- if include "osft-pipeline.checksEval" . }}
    - {{ include "osft-pipeline.evalCheck" . | indent 6 | trim }}
    {{- end }}
  volumes:
    {{- include "osft-pipeline.volumes" $context | nindent 4 }}
{{- end }}

{{- /* The service account of a pod: helpers that use the Kubernetes API have their own. */}}
{{- define "osft-pipeline.account" -}}
{{- if has .stage (list "wait" "cleanup") }}{{ include "osft-pipeline.releaseName" . }}
{{- else }}{{ .options.serviceAccountName }}{{ end -}}
{{- end }}

{{- /* Volumes belong to group 0, which every user of the images is in. OpenShift rejects a group that it did not assign. */}}
{{- define "osft-pipeline.podSecurity" -}}
{{- $group := .root.Values.workspace.fsGroup -}}
{{- if eq (toString $group) "auto" -}}
{{- $group = .root.Capabilities.APIVersions.Has "security.openshift.io/v1" | ternary nil 0 -}}
{{- end -}}
{{- $context := dict -}}
{{- if not (or (kindIs "invalid" $group) (eq (toString $group) "")) -}}
{{- /* Without OnRootMismatch the kubelet would change the group of every file before each pod starts. */ -}}
{{- $context = dict "fsGroup" (int $group) "fsGroupChangePolicy" "OnRootMismatch" -}}
{{- end -}}
{{- range $key, $value := .options.podSecurityContext }}{{ $_ := set $context $key $value }}{{ end -}}
{{- toRawJson $context -}}
{{- end }}
