"""The gRPC door of ``serve``: calls in, the same steps as HTTP, answers and status codes out.

This file has the methods by their paths, and imports no gRPC: the metrics have them too.
"""

import os

from service.api.v2 import ABSENT
from service.settings import Scope

# gRPC's older poller moves bytes on the thread that takes completions, the newer one on threads of
# its own: a call costs a seventh less CPU (`make bench`). Both are read when gRPC is imported.
os.environ.setdefault("GRPC_EXPERIMENTS", "-event_engine_client,-event_engine_listener")
# Its C++ part would write lines of another form into the log.
os.environ.setdefault("GRPC_VERBOSITY", "NONE")

INFERENCE, HEALTH = "inference.GRPCInferenceService", "grpc.health.v1.Health"
REFLECTION = "grpc.reflection.v1.ServerReflection"
PREDICTION, MODELS = "tensorflow.serving.PredictionService", "tensorflow.serving.ModelService"
SERVICES = (INFERENCE, HEALTH, REFLECTION, PREDICTION, MODELS)


def _paths(service: str, scope: Scope | None, names: str) -> dict[str, Scope | None]:
    return {f"/{service}/{name}": scope for name in names.split()}


METHODS: dict[str, Scope | None] = {
    **_paths(INFERENCE, None, "ServerLive ServerReady"),
    **_paths(INFERENCE, "predict", "ServerMetadata ModelReady ModelMetadata ModelConfig"),
    **_paths(INFERENCE, "predict", "ModelStatistics ModelInfer ModelStreamInfer RepositoryIndex"),
    **_paths(INFERENCE, "admin", "RepositoryModelLoad RepositoryModelUnload"),
    **_paths(PREDICTION, "predict", "Predict Classify GetModelMetadata"),
    **_paths(MODELS, "predict", "GetModelStatus"),
    **_paths(HEALTH, None, "Check Watch"),
    **_paths(REFLECTION, None, "ServerReflectionInfo"),
}
"""No scope: everybody may call it."""
TIMED = tuple(f"/{INFERENCE}/{name}" for name in ("ModelInfer", "ModelStreamInfer"))
"""The methods with a histogram of their own."""
REFUSED = {
    "TraceSetting": ABSENT["trace"],
    "LogSettings": ABSENT["logging"],
    **{
        f"{kind}SharedMemory{what}": ABSENT["sharedmemory"]
        for kind in ("System", "Cuda")
        for what in ("Status", "Register", "Unregister")
    },
}
"""The methods of Triton that the service does not have, and what it says about each."""
