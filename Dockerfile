# The service on a GPU host. The base brings vLLM, torch and CUDA; another one, for a build without
# them, by --build-arg BASE=.
ARG BASE=vllm/vllm-openai:v0.32.0
FROM ${BASE}

LABEL org.opencontainers.image.title="scientific-reviewer" \
      org.opencontainers.image.description="Reviews scientific papers: a PDF in, a review and a verdict out" \
      org.opencontainers.image.licenses="AGPL-3.0-or-later"

# Debian and Ubuntu keep pip off their Python; this image has no other use for it.
ARG PIP_BREAK_SYSTEM_PACKAGES=1

WORKDIR /opt/reviewer

# The requirements before the code, so that a change of code does not install them again. pip moves
# nothing that the base has: where one of our ranges would have it otherwise, the build fails.
COPY pyproject.toml ./
RUN python3 -m pip list --format=freeze > base.txt \
    && python3 -c "import tomllib; print(*tomllib.load(open('pyproject.toml', 'rb'))['project']['dependencies'], sep='\n')" > needs.txt \
    && python3 -m pip install --no-cache-dir --constraint base.txt --requirement needs.txt \
    && rm base.txt needs.txt

COPY README.md LICENSE ./
COPY app app
COPY training training
RUN python3 -m pip install --no-cache-dir --no-deps . \
    && rm -rf build ./*.egg-info \
    && useradd --uid 10001 --gid 0 --create-home --home-dir /data reviewer \
    && install --directory --owner=reviewer --group=root --mode=0770 \
        /data/huggingface /data/vllm /data/reviewer /data/reviews

# What is compiled for the GPU at the first start (Triton, FlashInfer, CUDA) is kept with vLLM's own
# compiled graphs; in the home folder it would be lost with the container.
ENV HF_HOME=/data/huggingface \
    VLLM_CACHE_ROOT=/data/vllm \
    TRITON_CACHE_DIR=/data/vllm/triton \
    FLASHINFER_WORKSPACE_BASE=/data/vllm/flashinfer \
    CUDA_CACHE_PATH=/data/vllm/cuda \
    XDG_CACHE_HOME=/data/vllm/other \
    REVIEWER_CACHE_DIR=/data/reviewer \
    REVIEWER_DATA_DIR=/data/reviews \
    REVIEWER_HOST=0.0.0.0 \
    REVIEWER_PORT=8000

USER 10001
WORKDIR /data
EXPOSE 8000

# The first start downloads the model. No proxy: HTTP_PROXY may be set for that download.
HEALTHCHECK --interval=15s --timeout=5s --start-period=20m --retries=4 \
    CMD ["python3", "-c", "import urllib.request as u; u.build_opener(u.ProxyHandler({})).open('http://127.0.0.1:8000/readyz', timeout=4)"]

ENTRYPOINT ["reviewer"]
CMD ["serve"]
