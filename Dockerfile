# Three images from one recipe:
#   docker build -t mnist-serve .                      the service on the CPU, no TensorFlow
#   docker build -t mnist-train --target train .       `train`, into the same models volume
#   docker build -t mnist-serve-gpu --target gpu .     the service on CUDA; the host brings the driver
#
# Libraries, the project and the models are a layer each, rarest change first. The environments are
# filled by the base image's pip and hold none of their own.

ARG PYTHON=3.13

FROM python:${PYTHON}-slim AS base
ENV PATH=/opt/venv/bin:$PATH \
    PYTHONDONTWRITEBYTECODE=1 \
    PYTHONUNBUFFERED=1 \
    HOME=/tmp
WORKDIR /app

FROM base AS pip
ENV PIP_NO_CACHE_DIR=1 PIP_DISABLE_PIP_VERSION_CHECK=1 PIP_ROOT_USER_ACTION=ignore
RUN ["python", "-m", "venv", "--without-pip", "/opt/venv"]

FROM pip AS serve-libraries
COPY requirements/image.txt requirements/
RUN ["pip", "--python", "/opt/venv", "install", "--require-hashes", "-r", "requirements/image.txt"]

FROM serve-libraries AS train-libraries
COPY requirements/train.txt requirements/
RUN ["pip", "--python", "/opt/venv", "install", "--require-hashes", "-r", "requirements/train.txt"]

FROM pip AS gpu-libraries
COPY requirements/gpu.txt requirements/
RUN ["pip", "--python", "/opt/venv", "install", "--require-hashes", "-r", "requirements/gpu.txt"]

# The project alone, laid out to be copied over any of the environments. Every image has /app/models,
# so this build needs no packaged champion.
FROM serve-libraries AS project
COPY pyproject.toml setup.py README.md LICENSE NOTICE ./
COPY service service
COPY training training
RUN ["pip", "--python", "/opt/venv", "install", "--no-deps", "--no-build-isolation", "--prefix", "/project", "."]

# The packages of each image that serves as a CycloneDX SBOM, which the tool validates.
FROM pip AS sbom-tool
RUN ["python", "-m", "venv", "--without-pip", "/opt/sbom"]
COPY requirements/sbom.txt requirements/
RUN ["pip", "--python", "/opt/sbom", "install", "--require-hashes", "-r", "requirements/sbom.txt"]

FROM sbom-tool AS serve-sbom
COPY --from=serve-libraries /opt/venv /opt/venv
COPY --from=project /project /opt/venv
RUN ["/opt/sbom/bin/cyclonedx-py", "environment", "--output-reproducible", "--output-file", "/sbom.cdx.json", "/opt/venv/bin/python"]

FROM sbom-tool AS gpu-sbom
COPY --from=gpu-libraries /opt/venv /opt/venv
COPY --from=project /project /opt/venv
RUN ["/opt/sbom/bin/cyclonedx-py", "environment", "--output-reproducible", "--output-file", "/sbom.cdx.json", "/opt/venv/bin/python"]

# What every image has beside its libraries. Only the models belong to the user it runs as, so that
# a volume over them starts with the committed champion and can be written to.
FROM base AS image
LABEL org.opencontainers.image.title="mnist-serve" \
      org.opencontainers.image.licenses="Apache-2.0"
ENV MNIST_HOST=0.0.0.0 \
    ORT_DISABLE_TELEMETRY=1
COPY --chown=10001:10001 models models
USER 10001:10001

FROM image AS train
ENV MPLCONFIGDIR=/tmp/matplotlib
COPY --from=train-libraries /opt/venv /opt/venv
COPY --from=project /project /opt/venv
CMD ["train"]

# Exits with 0 once the champion is loaded, checked and warmed, wherever MNIST_PORT puts the service and
# whether or not it speaks TLS. Where clients need a certificate, which this has not, an open port is enough.
FROM image AS service
EXPOSE 8000 8001
ENV MNIST_GRPC_PORT=8001
HEALTHCHECK --interval=10s --timeout=3s --start-period=20s --retries=3 \
    CMD ["python", "-IS", "-c", "import os, socket, ssl, urllib.request as http; e = os.environ; port = e.get('MNIST_PORT', 8000); socket.create_connection(('127.0.0.1', port), 2) if 'MNIST_TLS_CLIENT_CA' in e else http.urlopen('http%s://127.0.0.1:%s/health/ready' % ('s' * ('MNIST_TLS_CERT' in e), port), timeout=2, context=ssl._create_unverified_context())"]
CMD ["serve"]

FROM service AS gpu
ENV MNIST_PROVIDER=cuda \
    NVIDIA_VISIBLE_DEVICES=all \
    NVIDIA_DRIVER_CAPABILITIES=compute,utility
COPY --from=gpu-sbom /sbom.cdx.json /usr/share/sbom/mnist-serve.cdx.json
COPY --from=gpu-libraries /opt/venv /opt/venv
COPY --from=project /project /opt/venv

FROM service AS serve
ENV MNIST_PROVIDER=cpu
COPY --from=serve-sbom /sbom.cdx.json /usr/share/sbom/mnist-serve.cdx.json
COPY --from=serve-libraries /opt/venv /opt/venv
COPY --from=project /project /opt/venv
