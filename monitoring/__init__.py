"""What Prometheus, Grafana and the collector of traces are told about the mesh. `python -m monitoring.generate` writes the dashboards."""
