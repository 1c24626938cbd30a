from __future__ import annotations

import pytest
from labelmesh_modelserver.flags import parse
from labelmesh_modelserver.statuses import Code, ServingError


def test_the_defaults_are_tensorflow_servings() -> None:
    """Source: model_servers/main.cc and server.h, Server::Options."""
    flags = parse(["--model_base_path=/m"])
    assert (flags.port, flags.rest_api_port, flags.model_name, flags.saved_model_tags) == (8500, 0, "default", "serve")
    assert (flags.file_system_poll_wait_seconds, flags.model_config_file_poll_wait_seconds) == (1, 0)
    assert (flags.max_num_load_retries, flags.load_retry_interval_micros) == (5, 60_000_000)
    assert (flags.enable_batching, flags.enable_model_warmup, flags.enforce_session_run_timeout) == (False, True, True)
    assert (flags.allow_version_labels_for_unavailable_models, flags.enable_signature_method_name_check) == (False, False)
    assert flags.per_process_gpu_memory_fraction == 0


@pytest.mark.parametrize(
    ("given", "wanted"),
    [("--enable_batching", True), ("--enable_batching=true", True), ("--enable_batching=1", True), ("--enable_batching=false", False)],
)
def test_booleans_are_written_as_tensorflow_takes_them(given: str, wanted: bool) -> None:
    assert parse(["--model_base_path=/m", given]).enable_batching is wanted


def test_channel_arguments_that_look_like_numbers_are_numbers() -> None:
    flags = parse(["--model_base_path=/m", "--grpc_channel_arguments=grpc.max_connection_age_ms=2000,grpc.lb=x"])
    assert flags.grpc_channel_arguments == (("grpc.max_connection_age_ms", 2000), ("grpc.lb", "x"))


@pytest.mark.parametrize(
    ("arguments", "text"),
    [
        ([], "Both server_options.model_base_path and server_options.model_config_file are empty!"),
        (
            ["--model_base_path=/m", "--batching_parameters_file=/b"],
            "server_options.batching_parameters_file is set without setting server_options.enable_batching to true.",
        ),
        (
            [
                "--model_base_path=/m",
                "--tensorflow_session_parallelism=1",
                "--tensorflow_intra_op_parallelism=1",
                "--tensorflow_inter_op_parallelism=1",
            ],
            "Either configure server_options.tensorflow_session_parallelism or (server_options.tensorflow_intra_op_parallelism, "
            "server_options.tensorflow_inter_op_parallelism) separately. You cannot configure all.",
        ),
    ],
)
def test_flags_that_contradict_each_other_are_refused_in_tensorflow_servings_words(arguments: list[str], text: str) -> None:
    """Source: model_servers/server.cc, Server::BuildAndStart."""
    with pytest.raises(ServingError) as refused:
        parse(arguments)
    assert (refused.value.code, refused.value.text) == (Code.INVALID_ARGUMENT, text)


def test_flags_that_tune_what_is_not_there_are_taken_and_named() -> None:
    flags = parse(["--model_base_path=/m", "--rest_api_timeout_in_ms=100", "--flush_filesystem_caches=false", "--enable_profiler"])
    assert flags.ignored == ("--enable_profiler", "--flush_filesystem_caches", "--rest_api_timeout_in_ms")


@pytest.mark.parametrize("flag", ["--ssl_config_file=/s", "--platform_config_file=/p", "--prefer_tflite_model", "--model_bas_path=/m"])
def test_flags_whose_promise_cannot_be_kept_are_refused(flag: str, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit):
        parse(["--model_base_path=/m", flag])
    assert f"unrecognized arguments: {flag}" in capsys.readouterr().err
