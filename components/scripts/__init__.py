"""What commands of the plan run for a VM: ``python -m components.scripts.NAME``, told by environment variables."""
