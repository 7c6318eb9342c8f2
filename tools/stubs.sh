#!/bin/sh
# Generates the Python stubs beside the .proto files, and the descriptors with the
# comments that reflection serves; needs the generator's Python first on the PATH.
#
#   tools/stubs.sh           write them
#   tools/stubs.sh --check   write nothing, and fail if they are not up to date
set -eu
cd protos

generate() {
    python -m grpc_tools.protoc -I. --python_out="$1" --grpc_python_out="$1" \
        --mypy_out="quiet:$1" --mypy_grpc_out="quiet,only_async:$1" \
        --include_imports --include_source_info \
        --descriptor_set_out="$1/taskline/v1/descriptors.binpb" taskline/v1/*.proto
}

if [ "${1:-}" != --check ]; then
    generate .
    exit
fi

fresh=$(mktemp -d)
mkdir -p "$fresh/taskline/v1"
trap 'rm -rf "$fresh"' EXIT
generate "$fresh"
if ! diff -r --brief -x '*.proto' -x __init__.py -x __pycache__ "$fresh/taskline/v1" taskline/v1; then
    echo 'The committed stubs are not what the contract generates: run `make proto`' \
        'and commit the result.' >&2
    exit 1
fi
echo 'The committed stubs are up to date.'
