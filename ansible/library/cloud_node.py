"""Ansible module: ask a node about itself and its way to others; see ``module_utils/cloud_node``. Changes nothing."""

from __future__ import annotations

import time

from ansible.module_utils.basic import AnsibleModule

from ansible.module_utils.cloud_node import certificates, cluster, facts, listen, pods, probe

DOCUMENTATION = """
module: cloud_node
short_description: facts of a node and of its way to other nodes
description: Collects, and judges nothing.
options:
  ask:
    description:
      - facts, listen (in the background, for some seconds), probe, pods, stop (the listener), cluster (by kubectl), or
        certificates.
    type: str
    required: true
    choices: [facts, listen, probe, pods, stop, cluster, certificates]
  about:
    description: arguments of the function of that name, each by its own name.
    type: dict
    default: {}
  sent:
    description: the controller's clock when it asked, in seconds of the epoch; handed back.
    type: float
author: inference-cloud
"""

ASK = {
    "facts": facts.collect,
    "listen": listen.start,
    "probe": probe.probe,
    "pods": pods.probe,
    "stop": listen.stop,
    "cluster": cluster.collect,
    "certificates": certificates.collect,
}


def main() -> None:
    """Run as a module."""
    now = time.time()
    module = AnsibleModule(
        argument_spec={
            "ask": {"type": "str", "required": True, "choices": list(ASK)},
            "about": {"type": "dict", "default": {}},
            "sent": {"type": "float"},
        },
        supports_check_mode=True,
    )
    try:
        said = ASK[module.params["ask"]](**module.params["about"])
    except OSError as error:
        module.fail_json(msg=f"{module.params['ask']}: {error}")
    module.exit_json(changed=False, said=said, now=now, sent=module.params["sent"])


if __name__ == "__main__":
    main()
