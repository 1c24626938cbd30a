"""Databases and object storage, as the services see them."""

from __future__ import annotations

from monitoring.panels import Board, Query, Row, graph, quantile, rate

BOARD = Board(
    "data",
    "labelmesh databases and storage",
    "Do the databases and object storage keep up.",
    (
        Row(
            "Databases",
            (
                graph(
                    "Pools in use",
                    "Of the fullest replica. At 100 % calls wait for a connection.",
                    "percentunit",
                    Query("job_pool:database_pool_use:ratio", "{{job}} {{pool}}"),
                ),
                graph(
                    "Waiting for a connection",
                    "Calls, right now.",
                    "short",
                    Query("sum by (job, pool) (database_pool_waiting)", "{{job}} {{pool}}"),
                ),
                graph(
                    "How long",
                    "99 in 100 wait less.",
                    "s",
                    Query(
                        quantile(0.99, "database_pool_wait_seconds", "job", "pool"),
                        "{{job}} {{pool}}",
                    ),
                ),
                graph(
                    "Waited in vain",
                    "A second.",
                    "cps",
                    Query("sum by (job, pool) (rate(database_pool_timeouts_total[$__rate_interval]))", "{{job}} {{pool}}"),
                ),
                graph(
                    "Statements that failed",
                    "A second. Conflicts and constraints are part of the work; the rest is not.",
                    "cps",
                    Query("sum by (job, kind) (rate(database_errors_total[$__rate_interval]))", "{{job}} {{kind}}"),
                ),
                graph(
                    "Databases that answer",
                    "At 0 a service takes no calls.",
                    "short",
                    Query('min by (job) (labelmesh_check_up{check="database"})', "{{job}}"),
                ),
            ),
        ),
        Row(
            "Object storage",
            (
                graph(
                    "Requests",
                    "A second, by what is asked.",
                    "reqps",
                    Query("sum by (job, operation) (rate(object_store_requests_total[$__rate_interval]))", "{{job}} {{operation}}"),
                    stacked=True,
                ),
                graph(
                    "How they end",
                    "A second. What is missing may be missing; what is unavailable should not be.",
                    "reqps",
                    Query("sum by (job, outcome) (rate(object_store_requests_total[$__rate_interval]))", "{{job}} {{outcome}}"),
                ),
                graph(
                    "How long they take",
                    "99 in 100 are faster.",
                    "s",
                    Query(
                        quantile(0.99, "object_store_request_seconds", "job", "operation"),
                        "{{job}} {{operation}}",
                    ),
                ),
                graph(
                    "Through the edge",
                    "Files that browsers read and write, a second, by class of status.",
                    "reqps",
                    Query(
                        rate("envoy_cluster_upstream_rq_xx", "envoy_response_code_class", where='envoy_cluster_name="objects"'),
                        "{{envoy_response_code_class}}xx",
                    ),
                    stacked=True,
                ),
            ),
        ),
    ),
)
