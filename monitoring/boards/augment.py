"""Augmentation: workers and what waits for them."""

from __future__ import annotations

from monitoring.panels import Board, Query, Row, graph, number, quantile

BOARD = Board(
    "augment",
    "labelmesh augment",
    "Have the workers enough to do, or too much.",
    (
        Row(
            "Now",
            (
                number("Workers missing", "That should work and do not.", "short", "sum(workers) - sum(workers_up)", limits=(1, 2)),
                number("Busy", "Of the workers.", "percentunit", "sum(workers_busy) / sum(workers)", limits=(0.9, 1.01)),
                number("Jobs waiting", "For a worker.", "short", "sum(worker_jobs_waiting)", limits=(100, 1000)),
                number("Oldest waiting", "Job.", "s", "max(worker_oldest_waiting_seconds)", limits=(2, 10)),
                number("Longest at work", "One job may take 20 s.", "s", "max(worker_longest_work_seconds)", limits=(10, 20)),
                number(
                    "Room taken",
                    "Of what may wait and be in work.",
                    "percentunit",
                    "max(worker_weight / worker_weight_limit)",
                    limits=(0.8, 1),
                ),
            ),
        ),
        Row(
            "Work",
            (
                graph(
                    "Jobs",
                    "A second, by outcome.",
                    "cps",
                    Query("sum by (outcome) (rate(worker_jobs_total[$__rate_interval]))", "{{outcome}}"),
                    stacked=True,
                ),
                graph(
                    "Pixels",
                    "Taken to be augmented, a second.",
                    "short",
                    Query("sum(rate(labelmesh_augment_input_pixels_total[$__rate_interval]))", "pixels"),
                ),
                graph(
                    "Workers",
                    "Busy, up, and as many as there should be.",
                    "short",
                    Query("sum(workers_busy)", "busy"),
                    Query("sum(workers_up)", "up"),
                    Query("sum(workers)", "wanted"),
                ),
                graph(
                    "Waiting for a worker",
                    "Half, and 99 in 100 jobs wait less.",
                    "s",
                    Query(quantile(0.5, "worker_waiting_seconds"), "half"),
                    Query(quantile(0.99, "worker_waiting_seconds"), "99 %"),
                ),
                graph(
                    "At work",
                    "Half, and 99 in 100 jobs take less.",
                    "s",
                    Query(quantile(0.5, "worker_work_seconds"), "half"),
                    Query(quantile(0.99, "worker_work_seconds"), "99 %"),
                ),
                graph(
                    "Workers lost",
                    "That died or were killed over a job, in five minutes.",
                    "short",
                    Query("sum by (instance) (increase(workers_lost_total[5m]))", "{{instance}}"),
                ),
                graph("What waits", "Jobs.", "short", Query("sum(worker_jobs_waiting)", "jobs"), width=12),
                graph(
                    "Weight",
                    "Pixels and bytes that wait or are in work, and what may.",
                    "short",
                    Query("sum(worker_weight)", "taken"),
                    Query("sum(worker_weight_limit)", "limit"),
                    width=12,
                ),
            ),
        ),
    ),
)
