"""The queue, its leases, and the labels that come of them."""

from __future__ import annotations

from monitoring.panels import Board, Query, Row, graph, number, rate

_LOOP = 'grpc_method=~"/labelmesh.labeling.v1.AnnotationService/(LeaseImage|SubmitAnnotation|SkipImage|UndoAnnotation)"'

BOARD = Board(
    "labeling",
    "labelmesh labeling",
    "Do people get images, and do their labels arrive.",
    (
        Row(
            "Now",
            (
                number(
                    "Images waiting",
                    "Of open projects, that want labels and are held by nobody.",
                    "short",
                    'max(labelmesh_labeling_images{state="waiting"})',
                    limits=(1e9, 2e9),
                ),
                number(
                    "Images held",
                    "By annotators, right now.",
                    "short",
                    'max(labelmesh_labeling_images{state="leased"})',
                    limits=(1e9, 2e9),
                ),
                number(
                    "Labels an hour",
                    "Of people.",
                    "short",
                    'sum(rate(labelmesh_labeling_annotations_total{author="person"}[10m])) * 3600',
                    limits=(1e9, 2e9),
                ),
                number(
                    "Oldest waiting image",
                    "At either end of an open project's queue.",
                    "s",
                    "max(labelmesh_labeling_oldest_waiting_seconds)",
                    limits=(7 * 86400, 14 * 86400),
                ),
                number(
                    "Oldest lease",
                    "How long somebody has held an image.",
                    "s",
                    "max(labelmesh_labeling_oldest_lease_seconds)",
                    limits=(86400, 7 * 86400),
                ),
                number(
                    "Not returned",
                    "A lease that ran out although others were given images since.",
                    "s",
                    "max(labelmesh_labeling_unreturned_lease_seconds)",
                    limits=(60, 600),
                ),
            ),
        ),
        Row(
            "Queue and leases",
            (
                graph(
                    "Queue",
                    "Images of open projects that want labels.",
                    "short",
                    Query("max by (state) (labelmesh_labeling_images)", "{{state}}"),
                    stacked=True,
                ),
                graph(
                    "Leases",
                    "Overdue ones wait for somebody to ask in their project; they come back then.",
                    "short",
                    Query("max by (state) (labelmesh_labeling_leases)", "{{state}}"),
                ),
                graph(
                    "Annotations",
                    "Written a second, by people and by models.",
                    "cps",
                    Query("sum by (author) (rate(labelmesh_labeling_annotations_total[$__rate_interval]))", "{{author}}"),
                ),
                graph(
                    "The labeling loop",
                    "Calls a second.",
                    "reqps",
                    Query(rate("grpc_server_handled_total", "grpc_method", where=_LOOP), "{{grpc_method}}"),
                ),
                graph(
                    "How long an annotator waits",
                    "99 in 100 calls of the loop are faster.",
                    "s",
                    Query(
                        "histogram_quantile(0.99, sum by (grpc_method, le) "
                        f"(rate(grpc_server_handling_seconds_bucket{{{_LOOP}}}[$__rate_interval])))",
                        "{{grpc_method}}",
                    ),
                ),
                graph(
                    "Open projects, and whether the figures are true",
                    "At 0 the figures above cannot be looked up.",
                    "short",
                    Query("max(labelmesh_labeling_projects_open)", "open projects"),
                    Query("min(labelmesh_labeling_figures_up)", "figures can be looked up"),
                ),
            ),
        ),
    ),
)
