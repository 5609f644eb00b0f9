"""kube-vip's manifest, for k3s: Kairos' own `kubevip` block works with p2p alone."""

from __future__ import annotations

import json

from ..errors import DocumentProblem

IMAGE = "ghcr.io/kube-vip/kube-vip:v1.0.1"
MANIFEST_PATH = "/var/lib/rancher/k3s/server/manifests/kairos-netboot-kube-vip.yaml"

# What it may do, and a copy of it on each server; the one that holds the lease has the address.
_MANIFEST = """\
apiVersion: v1
kind: ServiceAccount
metadata: {{name: kube-vip, namespace: kube-system}}
---
apiVersion: rbac.authorization.k8s.io/v1
kind: ClusterRole
metadata: {{name: "system:kube-vip-role"}}
rules:
  - {{apiGroups: [""], resources: [services/status], verbs: [update]}}
  - {{apiGroups: [""], resources: [services, endpoints], verbs: [list, get, watch, update]}}
  - {{apiGroups: [""], resources: [nodes], verbs: [list, get, watch, update, patch]}}
  - apiGroups: [coordination.k8s.io]
    resources: [leases]
    verbs: [list, get, watch, update, create]
  - apiGroups: [discovery.k8s.io]
    resources: [endpointslices]
    verbs: [list, get, watch, update]
---
apiVersion: rbac.authorization.k8s.io/v1
kind: ClusterRoleBinding
metadata: {{name: "system:kube-vip-binding"}}
roleRef: {{apiGroup: rbac.authorization.k8s.io, kind: ClusterRole, name: "system:kube-vip-role"}}
subjects:
  - {{kind: ServiceAccount, name: kube-vip, namespace: kube-system}}
---
apiVersion: apps/v1
kind: DaemonSet
metadata: {{name: kube-vip, namespace: kube-system}}
spec:
  selector: {{matchLabels: {{app.kubernetes.io/name: kube-vip}}}}
  template:
    metadata: {{labels: {{app.kubernetes.io/name: kube-vip}}}}
    spec:
      hostNetwork: true
      serviceAccountName: kube-vip
      nodeSelector: {{node-role.kubernetes.io/control-plane: "true"}}
      tolerations:
        - {{effect: NoSchedule, operator: Exists}}
        - {{effect: NoExecute, operator: Exists}}
      containers:
        - name: kube-vip
          image: {image}
          args: [manager]
          env:
{env}
          securityContext:
            capabilities: {{add: [NET_ADMIN, NET_RAW], drop: [ALL]}}
"""
_ENV = {
    "vip_arp": "true",
    "vip_leaderelection": "true",
    "vip_leasename": "plndr-cp-lock",
    "vip_leaseduration": "5",
    "vip_renewdeadline": "3",
    "vip_retryperiod": "1",
    "cp_enable": "true",
    "cp_namespace": "kube-system",
    "port": "6443",
}


def manifest(address: str, interface: str, image: object) -> str:
    """`interface` empty: kube-vip takes the one of the default route. Raises DocumentProblem."""
    if not isinstance(image, str) or not image or not image.isprintable() or " " in image:
        raise DocumentProblem("the variable 'kube_vip_image' is no image: name it as in a manifest")
    subnet = "128" if ":" in address else "32"
    env = {**_ENV, "address": address, "vip_subnet": subnet}
    env |= {"vip_interface": interface} if interface else {}
    lines = [f"            - {{name: {key}, value: {json.dumps(v)}}}" for key, v in env.items()]
    node = "{fieldRef: {fieldPath: spec.nodeName}}"
    lines.append(f"            - {{name: vip_nodename, valueFrom: {node}}}")
    return _MANIFEST.format(image=json.dumps(image), env="\n".join(lines))
