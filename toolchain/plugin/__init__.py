"""How a machine gets the libvirt plugin: from PATH, from Pulumi, or built from Go modules."""
