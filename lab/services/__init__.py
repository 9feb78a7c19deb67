"""The platform's services as processes on loopback: real PostgreSQL, MinIO, MLflow and model servers, and no cluster.

They are configured by the functions that render the cluster's Helm values and Secrets; docs/services.md tells the rest.
"""
