"""Generates the contract: Python modules with type stubs, and one descriptor set with comments for the gateway and the docs.

Used as the wheel's build hook, and by hand: `python protos/generate.py OUT_DIR`. Nothing generated is ever edited or committed.
"""

from __future__ import annotations

import importlib
import importlib.resources
import sys
from pathlib import Path
from typing import Any

from hatchling.builders.hooks.plugin.interface import BuildHookInterface

HERE = Path(__file__).resolve().parent
GENERATED = HERE / "build" / "generated"
VALIDATE = "buf/validate/validate.proto"
# Not imported by our files, but a client needs it to read the details of an error.
ERROR_DETAILS = "google/rpc/error_details.proto"


def _run_protoc(arguments: list[str]) -> None:
    from grpc_tools import protoc

    if protoc.main(["protoc", *arguments]) != 0:
        raise RuntimeError("protoc refused the contract; its messages are above")


def _write_validate_descriptors(path: Path) -> None:
    """Writes the descriptors of protovalidate's rules, which its wheel carries instead of a .proto file."""
    from google.protobuf import descriptor_pb2
    from protovalidate._gen.buf.validate import validate_pb

    file = descriptor_pb2.FileDescriptorProto.FromString(validate_pb.desc().proto.to_binary())
    dependencies = descriptor_pb2.FileDescriptorSet()
    for module in ("descriptor", "duration", "field_mask", "timestamp"):
        pb2 = importlib.import_module(f"google.protobuf.{module}_pb2")
        pb2.DESCRIPTOR.CopyToProto(dependencies.file.add())
    known = {dependency.name for dependency in dependencies.file}
    missing = set(file.dependency) - known
    if missing:
        raise RuntimeError(f"{VALIDATE} needs {sorted(missing)} too")
    dependencies.file.append(file)
    path.write_bytes(dependencies.SerializeToString())


def write_descriptor_set(path: Path) -> None:
    """Writes every file of the contract with all imports and source comments as one FileDescriptorSet."""
    _run_protoc(
        [*_inputs(path.parent), "--include_imports", "--include_source_info", f"--descriptor_set_out={path}", *_sources(), ERROR_DETAILS]
    )


def _sources() -> list[str]:
    return sorted(str(path.relative_to(HERE)) for path in (HERE / "labelmesh").rglob("*.proto"))


def _inputs(scratch: Path) -> list[str]:
    """Where protoc finds imports: ours, Google's API files and the well-known types as sources, protovalidate's rules as descriptors."""
    scratch.mkdir(parents=True, exist_ok=True)
    validate = scratch / "validate.binpb"
    _write_validate_descriptors(validate)
    # By a module: the packages around it have no files of their own.
    site = Path(str(importlib.import_module("google.api.annotations_pb2").__file__)).parents[2]
    well_known = Path(str(importlib.resources.files("grpc_tools"))) / "_proto"
    return [f"-I{HERE}", f"-I{site}", f"-I{well_known}", f"--descriptor_set_in={validate}"]


def generate(out: Path) -> None:
    """Writes the generated tree into `out`: labelmesh/**, buf/validate/** and labelmesh/contract/descriptors.binpb."""
    inputs = _inputs(out.parent)
    out.mkdir(parents=True, exist_ok=True)
    scripts = Path(sys.executable).parent
    plugins = [f"--plugin={name}={scripts / name}" for name in ("protoc-gen-mypy", "protoc-gen-mypy_grpc")]
    outputs = [f"--python_out={out}", f"--grpc_python_out={out}", f"--mypy_out=quiet:{out}", f"--mypy_grpc_out=quiet:{out}"]
    _run_protoc([*inputs, *plugins, *outputs, *_sources()])
    _run_protoc([*inputs, *plugins, f"--python_out={out}", f"--mypy_out=quiet:{out}", VALIDATE])
    contract = out / "labelmesh" / "contract"
    contract.mkdir(parents=True, exist_ok=True)
    (contract / "__init__.py").write_text('"""The contract as data: `descriptors.binpb`, a FileDescriptorSet with comments."""\n')
    write_descriptor_set(contract / "descriptors.binpb")
    for scrap in contract.glob("validate.binpb"):
        scrap.unlink()
    for package in (contract, *(path.parent for path in out.rglob("*_pb2.py"))):
        (package / "py.typed").touch()


class ContractBuildHook(BuildHookInterface[Any]):
    """Generates the contract when the wheel is built."""

    def initialize(self, version: str, build_data: dict[str, Any]) -> None:
        out = GENERATED
        if out.exists():
            import shutil

            shutil.rmtree(out)
        generate(out)
        for path in out.rglob("*"):
            if path.is_file():
                build_data["force_include"][str(path)] = str(path.relative_to(out))
        build_data["pure_python"] = True


if __name__ == "__main__":
    generate(Path(sys.argv[1]).resolve())
