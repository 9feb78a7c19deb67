#!/usr/bin/env bash
# Renew the certificates of this control plane when less than 60 days are left, or now (renew-certificates now), and start
# its static pods anew, which read them at their start. kubeadm's certificates last a year; an upgrade renews them too.
set -euo pipefail

certificates=/etc/kubernetes/pki
days=60

if [ "${1:-}" != now ] && openssl x509 -checkend $((days * 86400)) -noout -in "$certificates/apiserver.crt"; then
  exit 0
fi
/usr/local/bin/kubeadm certs renew all
# kubelet starts a static pod anew when its manifest is another; a label makes it so, and replaces the file at once. With
# Kubespray etcd is no pod.
for pod in etcd kube-apiserver kube-controller-manager kube-scheduler; do
  manifest="/etc/kubernetes/manifests/$pod.yaml"
  [ -e "$manifest" ] || continue
  sed --in-place --expression '/inference-cloud\/renewed:/d' \
    --expression "s|^  labels:\$|&\n    inference-cloud/renewed: \"$(date +%Y%m%d%H%M%S)\"|" "$manifest"
done
