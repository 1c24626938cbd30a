"""How the mesh is: what the edge promises, then rate, errors and duration of every service."""

from __future__ import annotations

from monitoring.panels import Board, Query, Row, graph, number, quantile, rate

SERVICES = 'job=~"auth|labeling|inference|augment"'

BOARD = Board(
    "overview",
    "labelmesh overview",
    "Start here: is anybody kept from working, and by which part.",
    (
        Row(
            "What the edge promises",
            (
                number("Parts that answer", "Of six.", "short", "count(count by (job) (up == 1))", limits=(6, 5)),
                number("Failed, last hour", "0.1 % may fail.", "percentunit", "labelmesh:edge_failed:ratio1h", limits=(0.001, 0.0144)),
                number("Slow, last hour", "1 % may take over 1 s.", "percentunit", "labelmesh:edge_slow:ratio1h", limits=(0.01, 0.144)),
                number("Calls at the edge", "A second, streams left out.", "reqps", "labelmesh:edge_calls:rate2m", limits=(1e6, 2e6)),
                number(
                    "People signed in", "Sessions that are alive.", "short", "max(labelmesh_auth_sessions_active)", limits=(50_000, 50_001)
                ),
                number("Alerts", "That are firing.", "short", 'count(ALERTS{alertstate="firing"}) or vector(0)', limits=(1, 3)),
            ),
        ),
        Row(
            "Rate, errors, duration",
            (
                graph("Calls", "Unary calls a second, by service.", "reqps", Query("job:grpc_server_calls:rate5m", "{{job}}")),
                graph(
                    "Failures",
                    "The part of them that a service could not answer. What callers do wrong is no failure.",
                    "percentunit",
                    Query("job:grpc_server_failed:ratio5m", "{{job}}"),
                ),
                graph(
                    "Duration",
                    "Half of the calls are faster than the one, 99 in 100 than the other.",
                    "s",
                    Query(
                        quantile(0.5, "grpc_server_handling_seconds", "job"),
                        "{{job}} half",
                    ),
                    Query(
                        quantile(0.99, "grpc_server_handling_seconds", "job"),
                        "{{job}} 99 %",
                    ),
                ),
                graph(
                    "Busiest methods",
                    "Calls a second.",
                    "reqps",
                    Query("topk(10, sum by (grpc_method) (rate(grpc_server_handled_total[$__rate_interval])))", "{{grpc_method}}"),
                ),
                graph(
                    "Methods that fail",
                    "Failures a second, by code.",
                    "reqps",
                    Query(
                        "topk(10, sum by (grpc_method, grpc_code) (rate(grpc_server_handled_total{"
                        'grpc_code=~"UNKNOWN|DEADLINE_EXCEEDED|INTERNAL|UNAVAILABLE|DATA_LOSS",grpc_type="unary"}[$__rate_interval])))',
                        "{{grpc_method}} {{grpc_code}}",
                    ),
                ),
                graph(
                    "Slowest methods",
                    "99 in 100 calls are faster.",
                    "s",
                    Query("topk(10, job_method:grpc_server_handling_seconds:p99_5m)", "{{grpc_method}}"),
                ),
                graph(
                    "What callers are told",
                    "Refusals and failures a second, by code; streams are renewed by UNAVAILABLE.",
                    "reqps",
                    Query(
                        rate("grpc_server_handled_total", "grpc_code", where='grpc_code!="OK"'),
                        "{{grpc_code}}",
                    ),
                    stacked=True,
                ),
                graph(
                    "Streams",
                    "Being served, by service. Each keeps a thread.",
                    "short",
                    Query("sum by (job) (grpc_server_streams_in_flight)", "{{job}}"),
                ),
                graph(
                    "How long streams last",
                    "Half of them end sooner.",
                    "s",
                    Query(quantile(0.5, "grpc_server_stream_seconds", "job"), "{{job}}"),
                ),
            ),
        ),
        Row(
            "Room",
            (
                graph(
                    "Threads in use",
                    "Of the busiest replica. At 100 % further calls wait.",
                    "percentunit",
                    Query("job:grpc_server_saturation:ratio", "{{job}}"),
                ),
                graph(
                    "Cores",
                    "Processor time a second, by service, without augmentation's workers.",
                    "short",
                    Query(rate("process_cpu_seconds_total", "job", where=SERVICES), "{{job}}"),
                ),
                graph(
                    "Memory",
                    "Resident, by replica.",
                    "bytes",
                    Query(f"process_resident_memory_bytes{{{SERVICES}}}", "{{job}} {{instance}}"),
                ),
                graph(
                    "Calls between services",
                    "A second, by caller and callee, and how they ended.",
                    "reqps",
                    Query(
                        rate("grpc_client_handled_total", "job", "grpc_target", "grpc_code"),
                        "{{job}} to {{grpc_target}} {{grpc_code}}",
                    ),
                    width=12,
                ),
                graph(
                    "How long callers wait",
                    "99 in 100 calls between services are faster.",
                    "s",
                    Query(
                        quantile(0.99, "grpc_client_handling_seconds", "job", "grpc_target"),
                        "{{job}} to {{grpc_target}}",
                    ),
                    width=12,
                ),
            ),
        ),
    ),
)
