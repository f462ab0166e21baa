"""Compiles ``service/rpc/protocol/*.proto`` for the service: ``python -m tests.write_protocol``."""

from __future__ import annotations

import tempfile
from pathlib import Path

from grpc_tools import protoc

from service.rpc.messages import COMPILED


def compiled() -> bytes:
    """The descriptors of all files, with those that they import."""
    folder = COMPILED.parent
    with tempfile.TemporaryDirectory() as target:
        out = Path(target) / "out"
        wellknown = Path(protoc.__file__).with_name("_proto")
        paths = [f"-I{folder}", f"-I{wellknown}"]
        files = sorted(map(str, folder.glob("*.proto")))
        options = ["--include_imports", f"--descriptor_set_out={out}"]
        assert protoc.main(["protoc", *paths, *options, *files]) == 0
        return out.read_bytes()


if __name__ == "__main__":
    COMPILED.write_bytes(compiled())
