"""What the service is measured against; each is one ASGI application, run by bare uvicorn."""
