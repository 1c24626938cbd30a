"""Writes the contract as the browser needs it, and prints the names of its files, one per line.

Left out are the rules of protovalidate and the HTTP mappings: the browser uses neither, and they would be a third of
what it downloads. Method options of our own (labelmesh/options) stay: the page reads from them what counts as activity.

Usage: python browser_contract.py OUT_FILE
"""

from __future__ import annotations

import importlib.resources
import sys
from pathlib import Path

from google.protobuf import descriptor_pb2
from labelmesh.options.v1 import options_pb2  # noqa: F401  (makes its options known, so that they are kept)

LEFT_OUT = ("buf/validate/", "google/api/annotations.proto", "google/api/http.proto")


def browser_contract(full: bytes) -> descriptor_pb2.FileDescriptorSet:
    """The FileDescriptorSet `full` without the files in LEFT_OUT and without options that come from them."""
    contract = descriptor_pb2.FileDescriptorSet.FromString(full)
    kept = [file for file in contract.file if not file.name.startswith(LEFT_OUT)]
    for file in kept:
        dependencies = [name for name in file.dependency if not name.startswith(LEFT_OUT)]
        del file.dependency[:], file.public_dependency[:], file.weak_dependency[:]
        file.dependency.extend(dependencies)
        if not file.name.startswith("google/protobuf/"):
            file.DiscardUnknownFields()
    return descriptor_pb2.FileDescriptorSet(file=kept)


def main() -> None:
    """Reads the installed contract and writes what the browser needs of it."""
    full = (importlib.resources.files("labelmesh.contract") / "descriptors.binpb").read_bytes()
    contract = browser_contract(full)
    Path(sys.argv[1]).write_bytes(contract.SerializeToString())
    print("\n".join(file.name for file in contract.file if not file.name.startswith("google/protobuf/")))


if __name__ == "__main__":
    main()
