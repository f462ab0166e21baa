"""The gRPC door of ``serve``: calls in, the same steps as HTTP, answers and status codes out."""

import os

# gRPC's older poller moves bytes on the thread that takes completions, the newer one on threads of
# its own: a call costs a seventh less CPU (`make bench`). Both are read when gRPC is imported.
os.environ.setdefault("GRPC_EXPERIMENTS", "-event_engine_client,-event_engine_listener")
# Its C++ part would write lines of another form into the log.
os.environ.setdefault("GRPC_VERBOSITY", "NONE")
