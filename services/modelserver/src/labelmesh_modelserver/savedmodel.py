"""A SavedModel in a TensorFlow session: the way TensorFlow Serving itself runs one, so that its errors are TensorFlow's own.

The session of TensorFlow 1 is what TensorFlow Serving uses for every SavedModel, of TensorFlow 2 as well
(servables/tensorflow/saved_model_bundle_factory.cc, tensorflow/cc/saved_model/loader.cc). It also costs a quarter of a call through
a signature's Python function, and releases Python's lock while it computes.
"""

from __future__ import annotations

import logging
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import tensorflow as tf
from tensorflow.core.protobuf import config_pb2
from tensorflow.python.client import pywrap_tf_session
from tensorflow.python.saved_model import loader_impl

from labelmesh_modelserver.statuses import Code, ServingError, invalid_argument, not_found
from labelmesh_modelserver.tensors import Array

_log = logging.getLogger(__name__)

_NAMES = ("saved_model.pb", "saved_model.pbtxt", "saved_model.cpb")
_INIT_SIGNATURES = ("__saved_model_init_op", "__saved_model_train_op")


class SavedModel:
    """A loaded SavedModel. Safe for use by many threads until it is closed."""

    def __init__(self, path: str, tags: Sequence[str], session_config: Any) -> None:
        """Loads it.

        Raises:
            ServingError: NOT_FOUND, DATA_LOSS, INVALID_ARGUMENT ... where it is incomplete, broken or cannot be restored.
        """
        began = time.monotonic()
        self.path = path
        self._graph = tf.Graph()
        self._session = tf.compat.v1.Session(graph=self._graph, config=session_config)
        try:
            with self._graph.as_default():
                meta_graph = self._load(path, tags)
        except BaseException:
            self._session.close()
            raise
        self._graph.finalize()
        self.signatures: Mapping[str, Any] = dict(meta_graph.signature_def)
        self._handles: dict[str, Any] = {}
        _log.info("SavedModel load for tags { %s } from %s took %.0f ms", " ".join(tags), path, (time.monotonic() - began) * 1000)

    def run(self, feeds: Sequence[tuple[str, Array]], fetches: Sequence[str], timeout_s: float | None = None) -> list[Array]:
        """The tensors named `fetches`, computed from those fed.

        Raises:
            ServingError: with TensorFlow's code and text; DEADLINE_EXCEEDED after `timeout_s` seconds.
        """
        fed = {self._handle(name): value for name, value in feeds}
        fetched = [self._handle(name) for name in fetches]
        options = None
        if timeout_s is not None:
            wanted = config_pb2.RunOptions(timeout_in_ms=max(int(timeout_s * 1000), 1))
            options = pywrap_tf_session.TF_NewBufferFromString(wanted.SerializeToString())
        try:
            # Session.run without its checks in Python, which cost three times the call itself and are not TensorFlow Serving's.
            values: list[Array] = self._session._call_tf_sessionrun(options, fed, fetched, [], None)
        except tf.errors.OpError as problem:
            raise serving_error(problem) from None
        finally:
            if options is not None:
                pywrap_tf_session.TF_DeleteBuffer(options)
        return values

    def close(self) -> None:
        """Frees the session and what it holds."""
        self._session.close()
        self._handles = {}

    def _handle(self, name: str) -> Any:
        handle = self._handles.get(name)
        if handle is None:
            try:
                handle = self._graph.get_tensor_by_name(name)._as_tf_output()
            except (KeyError, ValueError):
                raise invalid_argument(
                    f"Tensor {name}, specified in either feed_devices or fetch_devices was not found in the Graph"
                ) from None
            self._handles[name] = handle
        return handle

    def _load(self, path: str, tags: Sequence[str]) -> Any:
        folder = Path(path)
        if not any((folder / name).is_file() for name in _NAMES):
            raise not_found(
                f"Could not find SavedModel .pb or .pbtxt at supplied export directory path: {path}. Check that the directory exists "
                "and that you have the right permissions for accessing it."
            )
        try:
            loader = loader_impl.SavedModelLoader(path)
            meta_graph = _meta_graph(loader.saved_model, tags)
            _check_complete(folder, meta_graph)
            loader.load(self._session, list(tags))
        except tf.errors.OpError as problem:
            raise serving_error(problem) from problem
        except OSError as problem:
            raise ServingError(Code.DATA_LOSS, f"Can't parse {path} as SavedModel: {problem}") from problem
        except ServingError:
            raise
        except Exception as problem:  # The importer of graphs raises what it likes on a graph that is none.
            raise invalid_argument(f"{path} cannot be loaded: {type(problem).__name__}: {problem}") from problem
        return meta_graph


def serving_error(problem: tf.errors.OpError) -> ServingError:
    """TensorFlow's exception as a status with its code and its text."""
    return ServingError(Code(problem.error_code), problem.message)


def _meta_graph(saved_model: Any, tags: Sequence[str]) -> Any:
    for meta_graph in saved_model.meta_graphs:
        if set(meta_graph.meta_info_def.tags) == set(tags):
            return meta_graph
    raise not_found(
        f"Could not find meta graph def matching supplied tags: {{ {' '.join(tags)} }}. To inspect available tag-sets in the SavedModel, "
        "please use the SavedModel CLI: `saved_model_cli`"
    )


def _check_complete(folder: Path, meta_graph: Any) -> None:
    """Refuses a SavedModel of which a part is missing.

    TensorFlow's loaders take one without its variables folder for one that has no variables, and every call of it then fails.
    """
    if meta_graph.HasField("saver_def") and not (folder / "variables" / "variables.index").is_file():
        raise not_found(f"{folder}/variables/variables.index; No such file or directory: the SavedModel is incomplete")
    for asset in meta_graph.asset_file_def:
        if not (folder / "assets" / asset.filename).is_file():
            raise not_found(f"{folder}/assets/{asset.filename}; No such file or directory: the SavedModel is incomplete")


def session_config(*, intra_op: int, inter_op: int, gpu_memory_fraction: float) -> Any:
    """A ConfigProto; zeros let TensorFlow choose."""
    config = config_pb2.ConfigProto(intra_op_parallelism_threads=intra_op, inter_op_parallelism_threads=inter_op)
    config.gpu_options.per_process_gpu_memory_fraction = gpu_memory_fraction
    config.allow_soft_placement = True
    return config


def devices() -> list[str]:
    """The GPUs TensorFlow sees, by name; empty on a machine without."""
    return [device.name for device in tf.config.list_physical_devices("GPU")]


def tensorflow_version() -> str:
    return str(tf.__version__)
