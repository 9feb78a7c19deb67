"""How a machine gets the Pulumi engine and the libvirt plugin: found, installed, or built from Go modules."""
