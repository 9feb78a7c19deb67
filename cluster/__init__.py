"""The plan, the facts and the laws, in plain Python: no Pulumi resource is registered from here."""
