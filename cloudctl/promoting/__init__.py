"""How a promotion reaches the cluster, MLflow and the object store of a stack."""
