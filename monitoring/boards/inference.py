"""Predictions, the models that make them, and trainings."""

from __future__ import annotations

from monitoring.panels import Board, Query, Row, graph, number, quantile, rate

BOARD = Board(
    "inference",
    "labelmesh inference",
    "Do models answer, where does the time go, and how do trainings fare.",
    (
        Row(
            "Now",
            (
                number(
                    "Model server",
                    "As inference sees it.",
                    "short",
                    "max(labelmesh_model_server_up)",
                    limits=(1, 0.5),
                    words=(("0", "away"), ("1", "answers")),
                ),
                number("Predictions", "A second.", "cps", "sum(rate(labelmesh_predictions_total[5m]))", limits=(1e6, 2e6)),
                number(
                    "Refused",
                    "Calls a second that a model had no place for.",
                    "cps",
                    "sum(rate(labelmesh_model_calls_refused_total[5m])) or vector(0)",
                    limits=(0.1, 1),
                ),
                number(
                    "Trainings that go on",
                    "One at a time for each model.",
                    "short",
                    'max(labelmesh_trainings{state="running"})',
                    limits=(1e6, 2e6),
                ),
                number(
                    "Oldest of them",
                    "How long it has gone on.",
                    "s",
                    "max(labelmesh_training_oldest_running_seconds)",
                    limits=(43_200, 86_400),
                ),
                number("Shadows left out", "A second.", "cps", "sum(rate(labelmesh_shadow_calls_dropped_total[10m]))", limits=(0.01, 0.1)),
            ),
        ),
        Row(
            "Predictions",
            (
                graph(
                    "Inputs",
                    "Predicted on a second, by outcome.",
                    "cps",
                    Query("sum by (outcome) (rate(labelmesh_predictions_total[$__rate_interval]))", "{{outcome}}"),
                    stacked=True,
                ),
                graph(
                    "Where the time goes",
                    "On average: fetching, preparing, waiting for a call, the model, storing.",
                    "s",
                    Query(
                        'sum by (stage) (rate(labelmesh_prediction_seconds_sum{stage!="total"}[$__rate_interval])) '
                        '/ sum by (stage) (rate(labelmesh_prediction_seconds_count{stage!="total"}[$__rate_interval]))',
                        "{{stage}}",
                    ),
                    stacked=True,
                ),
                graph(
                    "Slow ones",
                    "99 in 100 are faster, by stage.",
                    "s",
                    Query(
                        quantile(0.99, "labelmesh_prediction_seconds", "stage"),
                        "{{stage}}",
                    ),
                ),
                graph(
                    "Calls in flight",
                    "That the model server has not answered, by model.",
                    "short",
                    Query("sum by (model) (labelmesh_model_calls_in_flight)", "{{model}}"),
                ),
                graph(
                    "Batches",
                    "Inputs in one call, on average.",
                    "short",
                    Query(
                        "sum by (model) (rate(labelmesh_model_batch_size_sum[$__rate_interval])) "
                        "/ sum by (model) (rate(labelmesh_model_batch_size_count[$__rate_interval]))",
                        "{{model}}",
                    ),
                ),
                graph(
                    "Calls to models",
                    "99 in 100 are faster.",
                    "s",
                    Query(
                        quantile(0.99, "labelmesh_model_call_seconds", "model"),
                        "{{model}}",
                    ),
                ),
                graph(
                    "Refused",
                    "Calls a second that a model had no place for.",
                    "cps",
                    Query("sum by (model) (rate(labelmesh_model_calls_refused_total[$__rate_interval]))", "{{model}}"),
                ),
                graph(
                    "Trainings",
                    "The last thousand, by how they stand.",
                    "short",
                    Query("max by (state) (labelmesh_trainings)", "{{state}}"),
                    stacked=True,
                ),
                graph(
                    "Calls to the model server",
                    "A second, by how they ended.",
                    "reqps",
                    Query(rate("grpc_client_handled_total", "grpc_code", where='grpc_target="modelserver"'), "{{grpc_code}}"),
                ),
            ),
        ),
        Row(
            "The model server itself",
            (
                graph(
                    "Requests",
                    "A second, by model and status.",
                    "reqps",
                    Query(
                        rate(":tensorflow:serving:request_count", "model_name", "status"),
                        "{{model_name}} {{status}}",
                    ),
                ),
                graph(
                    "Latency",
                    "Inside the server; 99 in 100 are faster. Its unit is the microsecond.",
                    "µs",
                    Query(
                        quantile(0.99, ":tensorflow:serving:request_latency", "model_name"),
                        "{{model_name}}",
                    ),
                ),
                graph("Up", "Replicas that Prometheus reaches.", "short", Query('count(up{job="modelserver"} == 1)', "replicas")),
            ),
        ),
    ),
)
