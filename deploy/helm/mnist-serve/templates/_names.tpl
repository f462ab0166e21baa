{{- define "mnist.fullname" -}}
{{- if .Values.fullnameOverride -}}
{{- .Values.fullnameOverride | trunc 63 | trimSuffix "-" -}}
{{- else -}}
{{- $name := default .Chart.Name .Values.nameOverride -}}
{{- if contains $name .Release.Name -}}
{{- .Release.Name | trunc 63 | trimSuffix "-" -}}
{{- else -}}
{{- printf "%s-%s" .Release.Name $name | trunc 63 | trimSuffix "-" -}}
{{- end -}}
{{- end -}}
{{- end -}}

{{- define "mnist.selector" -}}
app.kubernetes.io/name: {{ default .Chart.Name .Values.nameOverride }}
app.kubernetes.io/instance: {{ .Release.Name }}
app.kubernetes.io/component: serve
{{- end -}}

{{- define "mnist.labels" -}}
{{ include "mnist.selector" . }}
app.kubernetes.io/version: {{ .Chart.AppVersion | quote }}
{{- end -}}

{{- define "mnist.image" -}}
{{- $image := index . 0 -}}{{- $chart := index . 1 -}}
{{- if eq (toString $image.tag) "latest" -}}
{{- fail (printf "image.tag of %s is latest: nobody could tell what runs, nor go back to it; name a version or a digest" $image.repository) -}}
{{- end -}}
{{- if $image.digest -}}
{{ $image.repository }}@{{ $image.digest }}
{{- else -}}
{{ $image.repository }}:{{ default $chart.AppVersion $image.tag }}
{{- end -}}
{{- end -}}

{{- define "mnist.claim" -}}
{{- default (printf "%s-models" (include "mnist.fullname" .)) .Values.models.claim.existing -}}
{{- end -}}

{{- define "mnist.keysSecret" -}}
{{- if .Values.access.keys.existingSecret -}}
{{ .Values.access.keys.existingSecret }}
{{- else if .Values.access.keys.content -}}
{{ include "mnist.fullname" . }}-keys
{{- end -}}
{{- end -}}

{{- define "mnist.podSecurity" -}}
runAsNonRoot: true
runAsUser: 10001
runAsGroup: 10001
fsGroup: 10001
fsGroupChangePolicy: OnRootMismatch
seccompProfile:
  type: RuntimeDefault
{{- end -}}

{{- define "mnist.containerSecurity" -}}
allowPrivilegeEscalation: false
readOnlyRootFilesystem: true
capabilities:
  drop: [ALL]
{{- end -}}

{{- define "mnist.probe" -}}
{{- $root := index . 0 -}}
{{- if and $root.Values.tls.existingSecret $root.Values.tls.clientCertificates -}}
tcpSocket:
  port: http
{{- else -}}
httpGet:
  path: {{ index . 1 }}
  port: http
  {{- if $root.Values.tls.existingSecret }}
  scheme: HTTPS
  {{- end }}
{{- end }}
{{- end -}}
