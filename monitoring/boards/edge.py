"""The edge: who comes in, who is turned away, and auth behind it."""

from __future__ import annotations

from monitoring.panels import Board, Query, Row, graph, quantile, rate

_EDGE = 'envoy_http_conn_manager_prefix="edge"'
_BEHIND = 'envoy_cluster_name=~"auth|labeling|inference|augment|objects"'

BOARD = Board(
    "edge",
    "labelmesh edge and auth",
    "Do people get in, and who is kept out.",
    (
        Row(
            "Edge",
            (
                graph(
                    "Requests",
                    "A second, by class of status; gRPC's failures are 2xx here.",
                    "reqps",
                    Query(
                        rate("envoy_http_downstream_rq_xx", "envoy_response_code_class", where=_EDGE),
                        "{{envoy_response_code_class}}xx",
                    ),
                    stacked=True,
                ),
                graph("Connections", "Open, by replica.", "short", Query(f"envoy_http_downstream_cx_active{{{_EDGE}}}", "{{instance}}")),
                graph(
                    "Failed and slow",
                    "Parts of the calls in an hour; 0.1 % and 1 % may be.",
                    "percentunit",
                    Query("labelmesh:edge_failed:ratio1h", "failed"),
                    Query("labelmesh:edge_slow:ratio1h", "slow"),
                ),
                graph(
                    "Calls, by service",
                    "A second, as the edge counts them.",
                    "reqps",
                    Query(
                        rate("envoy_cluster_grpc_total", "edge_service"),
                        "{{edge_service}}",
                    ),
                ),
                graph(
                    "Services' answers",
                    "99 in 100 are faster, milliseconds.",
                    "ms",
                    Query(
                        quantile(0.99, "envoy_cluster_upstream_rq_time", "envoy_cluster_name"),
                        "{{envoy_cluster_name}}",
                    ),
                ),
                graph(
                    "Healthy replicas",
                    "As the edge sees them.",
                    "short",
                    Query(
                        f"max by (envoy_cluster_name) (envoy_cluster_membership_healthy{{{_BEHIND}}})",
                        "{{envoy_cluster_name}}",
                    ),
                ),
                graph(
                    "Tried again",
                    "Requests a second that went to a second replica.",
                    "reqps",
                    Query(rate("envoy_cluster_upstream_rq_retry", "envoy_cluster_name"), "{{envoy_cluster_name}}"),
                ),
                graph(
                    "Turned away",
                    "A second: too many from an address, tokens that are none, calls without permission.",
                    "reqps",
                    Query("sum(rate(envoy_http_local_rate_limit_rate_limited[$__rate_interval]))", "rate limited"),
                    Query(rate("envoy_http_jwt_authn_denied", where=_EDGE), "token refused"),
                    Query(rate("envoy_http_ext_authz_denied", where=_EDGE), "not permitted"),
                ),
                graph("Memory", "Of the gateway.", "bytes", Query("envoy_server_memory_allocated", "{{instance}}")),
            ),
        ),
        Row(
            "Auth",
            (
                graph(
                    "Checks",
                    "A second, by what callers show.",
                    "reqps",
                    Query("sum by (credential) (rate(labelmesh_auth_checks_total[$__rate_interval]))", "{{credential}}"),
                    stacked=True,
                ),
                graph(
                    "Refused",
                    "Checks a second, by reason.",
                    "reqps",
                    Query('sum by (outcome) (rate(labelmesh_auth_checks_total{outcome!~"ALLOWED|OPEN"}[$__rate_interval]))', "{{outcome}}"),
                ),
                graph(
                    "How long a check takes",
                    "Half, and 99 in 100 are faster. Every call waits for one.",
                    "s",
                    Query(quantile(0.5, "labelmesh_auth_check_seconds"), "half"),
                    Query(quantile(0.99, "labelmesh_auth_check_seconds"), "99 %"),
                ),
                graph(
                    "Checks that could not be made",
                    "A second. Nobody is let through then.",
                    "reqps",
                    Query(rate("envoy_http_ext_authz_error", where=_EDGE), "errors"),
                ),
                graph(
                    "Sign-ins",
                    "In five minutes, by outcome.",
                    "short",
                    Query("sum by (outcome) (increase(labelmesh_auth_sign_ins_total[5m]))", "{{outcome}}"),
                ),
                graph(
                    "Passwords",
                    "How long hashing takes; 99 in 100 less.",
                    "s",
                    Query(
                        quantile(0.99, "labelmesh_auth_password_hash_seconds"),
                        "99 %",
                    ),
                ),
                graph("Sessions", "That are alive.", "short", Query("max(labelmesh_auth_sessions_active)", "sessions")),
                graph(
                    "API keys",
                    "Calls a second by key, allowed and refused.",
                    "reqps",
                    Query('sum by (outcome) (rate(labelmesh_auth_checks_total{credential="api_key"}[$__rate_interval]))', "{{outcome}}"),
                ),
                graph(
                    "Signing key",
                    "How long the key that signs now has signed.",
                    "s",
                    Query("max(labelmesh_auth_signing_key_age_seconds)", "age"),
                ),
            ),
        ),
    ),
)
