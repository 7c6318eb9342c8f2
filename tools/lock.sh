#!/bin/sh
# Writes the lock files: every library with its version and the hashes of all its
# files, for any platform and Python 3.11 or newer. Names no host: where files come
# from is the business of whoever installs.
set -eu

tool=$(mktemp -d)
trap 'rm -rf "$tool"' EXIT
"${PYTHON:-python3}" -m venv "$tool"
"$tool/bin/python" -m pip --disable-pip-version-check install --quiet 'uv>=0.8'

compile() {
    "$tool/bin/uv" pip compile --quiet --upgrade --universal --python-version 3.11 --generate-hashes \
        --no-header --no-annotate --no-emit-index-url --no-emit-find-links "$@"
}

compile --all-extras --output-file requirements.lock pyproject.toml
compile --group proto --output-file requirements-proto.lock
if grep -n '://' requirements.lock requirements-proto.lock; then
    echo 'tools/lock.sh: the lines above name a host' >&2
    exit 1
fi
