"""Ansible module: the cluster's own store in a tar file on a control plane; see ``module_utils/cloud_node/etcd``."""

from __future__ import annotations

import subprocess

from ansible.module_utils.basic import AnsibleModule

from ansible.module_utils.cloud_node import etcd

DOCUMENTATION = """
module: cloud_etcd
short_description: a snapshot of etcd, or of what k3s has in its place, with the keys that belong to it
description: Writes etcd.tar into a folder and says what is in it; changes nothing else.
options:
  folder:
    description: an empty folder that only its owner and root may enter.
    type: path
    required: true
  owner:
    description: the user who may read the tar file.
    type: str
    required: true
  kubectl:
    description: words of the command, for an etcd that runs in a pod.
    type: list
    elements: str
    required: true
  node:
    description: the name of this control plane.
    type: str
    required: true
author: inference-cloud
"""


def main() -> None:
    """Run as a module."""
    module = AnsibleModule(
        argument_spec={
            "folder": {"type": "path", "required": True},
            "owner": {"type": "str", "required": True},
            "kubectl": {"type": "list", "elements": "str", "required": True},
            "node": {"type": "str", "required": True},
        }
    )
    try:
        said = etcd.snapshot(**module.params)
    except (OSError, ValueError, KeyError, LookupError, subprocess.SubprocessError) as error:
        module.fail_json(msg=f"etcd: {error}")
    module.exit_json(changed=True, said=said)


if __name__ == "__main__":
    main()
