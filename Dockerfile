# The service on a GPU host. The base brings vLLM, torch and CUDA; another one, for a build without
# them, by --build-arg BASE=.
ARG BASE=vllm/vllm-openai:v0.32.0
FROM ${BASE}

LABEL org.opencontainers.image.title="scientific-reviewer" \
      org.opencontainers.image.description="Reviews scientific papers: a PDF in, a review and a verdict out" \
      org.opencontainers.image.licenses="AGPL-3.0-or-later"

WORKDIR /opt/reviewer
COPY pyproject.toml README.md LICENSE ./
COPY app app
COPY training training

# pip leaves what the base has and our ranges allow: vLLM runs on just those versions.
RUN PIP_BREAK_SYSTEM_PACKAGES=1 python3 -m pip install --no-cache-dir . \
    && useradd --uid 10001 --create-home --home-dir /data reviewer \
    && install --directory --owner=reviewer /data/huggingface /data/vllm /data/reviewer

ENV HF_HOME=/data/huggingface \
    VLLM_CACHE_ROOT=/data/vllm \
    REVIEWER_CACHE_DIR=/data/reviewer \
    REVIEWER_HOST=0.0.0.0 \
    REVIEWER_PORT=8000

USER 10001
WORKDIR /data
EXPOSE 8000

# The first start downloads the model.
HEALTHCHECK --interval=15s --timeout=5s --start-period=20m --retries=4 \
    CMD ["python3", "-c", "import urllib.request as u; u.urlopen('http://127.0.0.1:8000/readyz', timeout=4)"]

ENTRYPOINT ["reviewer"]
CMD ["serve"]
