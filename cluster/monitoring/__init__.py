"""What is measured, what is shown, and who is told: alert rules, dashboards, scrapes outside the cluster, routes."""
