#!/usr/bin/env bash
# When the certificates of this control plane end, etcd's among them, as a textfile for the node exporter: a line a file.
# Kubespray keeps them in /etc/kubernetes/ssl and /etc/ssl/etcd/ssl, kubeadm in /etc/kubernetes/pki, k3s in its own folder;
# kubeconfigs hold theirs within.
set -euo pipefail
shopt -s nullglob
export LC_ALL=C

root=${CERTIFICATE_ROOT:-} # a test's own
folder=$root/var/lib/inference-cloud/textfiles
metric=inference_cloud_certificate_not_after_timestamp_seconds

# ends FILE COMMAND...: print a line for the first certificate that the command prints; none where it prints none
ends() {
  local file=$1 end
  shift
  end=$("$@" 2>/dev/null | openssl x509 -noout -enddate 2>/dev/null) || return 0
  printf '%s{path="%s"} %s\n' "$metric" "${file#"$root"}" "$(date --date "${end#notAfter=}" +%s)"
}

within() { sed -n 's/^ *client-certificate-data: *//p' "$1" | base64 --decode; }

all() {
  echo "# HELP $metric When the certificate in a file on a control plane ends."
  echo "# TYPE $metric gauge"
  local file
  for file in "$root"/etc/kubernetes/{ssl,pki}/{,etcd/}*.crt "$root"/etc/ssl/etcd/ssl/*.pem \
    "$root"/var/lib/kubelet/pki/kubelet-client-current.pem \
    "$root"/var/lib/rancher/k3s/server/tls/{,etcd/}*.crt "$root"/var/lib/rancher/k3s/agent/*.crt; do
    # the same files by another name: Kubespray links pki to ssl
    [[ $file == "$root"/etc/kubernetes/pki/* && -L $root/etc/kubernetes/pki ]] || ends "$file" cat "$file"
  done
  for file in "$root"/etc/kubernetes/*.conf; do
    ends "$file" within "$file"
  done
}

mkdir -p "$folder"
all > "$folder/certificates.new"
chmod 644 "$folder/certificates.new"
mv "$folder/certificates.new" "$folder/certificates.prom"
