"""The methods of the gRPC services by their paths, and the scope that each needs.

This module imports no gRPC: the metrics have the paths as their endpoints.
"""

from service.api.v2 import ABSENT
from service.settings import Scope

INFERENCE, HEALTH = "inference.GRPCInferenceService", "grpc.health.v1.Health"
REFLECTION = "grpc.reflection.v1.ServerReflection"
PREDICTION, MODELS = "tensorflow.serving.PredictionService", "tensorflow.serving.ModelService"
SERVICES = (INFERENCE, HEALTH, REFLECTION, PREDICTION, MODELS)


def _paths(service: str, scope: Scope | None, names: str) -> dict[str, Scope | None]:
    return {f"/{service}/{name}": scope for name in names.split()}


METHODS: dict[str, Scope | None] = {
    **_paths(INFERENCE, None, "ServerLive ServerReady"),
    **_paths(INFERENCE, "predict", "ServerMetadata ModelReady ModelMetadata ModelConfig"),
    **_paths(INFERENCE, "predict", "ModelStatistics ModelInfer ModelStreamInfer"),
    **_paths(INFERENCE, "admin", "RepositoryIndex RepositoryModelLoad RepositoryModelUnload"),
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
