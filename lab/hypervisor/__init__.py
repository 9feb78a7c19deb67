"""A private hypervisor: a real libvirtd in namespaces of its own, for rehearsals and tests that want the real thing.

Nothing of it is seen outside, and nothing outlives it: its QEMU processes, networks, mounts and files go with it.
"""
