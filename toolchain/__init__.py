"""How a machine gets the Pulumi engine: from PATH, from Pulumi's own installer, or built from Go modules."""
