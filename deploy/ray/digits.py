"""The service as an application of Ray Serve: requests pass through Ray's proxies.

    python -m ray.serve.scripts run --working-dir deploy/ray --app-dir deploy/ray digits:app
    python -m ray.serve.scripts build --app-dir deploy/ray digits:app -o config.yaml
    python -m ray.serve.scripts deploy config.yaml

Ray's own command for this is also called ``serve`` and takes the name of ours, or ours takes its:
the module always works. Settings come from the environment of the nodes, or of a ``runtime_env``
(``MNIST_MODELS``, ...). The nodes need ``mnist-serve[ray]`` and see the models under the same path.
"""

from __future__ import annotations

from fastapi import FastAPI
from ray import serve

from service.api.operations import check_ready
from service.app import create_app
from service.errors import Unavailable


def build() -> FastAPI:
    """Builds the whole service in the replica; its settings come from the environment."""
    return create_app()


@serve.deployment(
    autoscaling_config={
        "min_replicas": 1,
        "max_replicas": 8,
        "target_ongoing_requests": 8,
        "upscale_delay_s": 5,
        "downscale_delay_s": 60,
    },
    # The service batches by itself, so that it must see many requests at once.
    max_ongoing_requests=256,
    health_check_period_s=2,
    health_check_timeout_s=10,
    graceful_shutdown_wait_loop_s=1,
    graceful_shutdown_timeout_s=30,
    ray_actor_options={"num_cpus": 1},
)
@serve.ingress(build)
class Digits:
    """A replica: the champion, followed within two seconds."""

    app: FastAPI  # the ingress sets it

    async def check_health(self) -> None:
        """Raises if the champion cannot answer; Ray then replaces the replica."""
        try:
            check_ready(self.app.state.core)
        except Unavailable as reason:
            raise RuntimeError(reason.detail) from None


app = Digits.bind()
