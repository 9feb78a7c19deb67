"""GPU drivers that change one worker at a time, and a check that CUDA really runs on each.

``parse`` reads what kubectl prints, ``model`` is what it means; ``cuda`` runs a CUDA container on a node; ``turns``
says which node gets what done, ``node`` does it to one, ``rollout`` to all of them, there and back; ``journal`` is what
must not be forgotten. ``python -m cluster.drivers`` is what the program runs.

The operator's own part, read from NVIDIA/gpu-operator v26.7.0 and NVIDIA/k8s-driver-manager v0.9: the driver's
DaemonSets have the update strategy OnDelete (assets/state-driver/0500_daemonset.yaml), so a pod keeps its driver until
it is deleted. With ``driver.upgradePolicy.autoUpgrade`` the operator's upgrade controller deletes pods by itself,
without it never (controllers/upgrade_controller.go). Then the driver manager, which comes first in each new driver pod,
would evict GPU pods and cordon and UNCORDON the node by itself (cmd/driver-manager/main.go), before the driver works:
its ENABLE_GPU_POD_EVICTION and ENABLE_AUTO_DRAIN are set to false in our values.
"""
