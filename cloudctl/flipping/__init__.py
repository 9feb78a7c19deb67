"""``cloudctl flip`` on real hosts: libvirt and the HPC cluster's commands, the Kubernetes API, the lease file."""
