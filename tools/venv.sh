#!/bin/sh
# Makes a virtual environment hold exactly what a lock file says, and returns at once
# if it already does.
#
#   tools/venv.sh VENV LOCK            only what is locked
#   tools/venv.sh VENV LOCK --project  and this project, editable
#
# Needs a Python of at least 3.11 with pip; PYTHON names another one than is found.
set -eu

venv=$1 lock=$2 project=${3:-}

die() {
    echo "tools/venv.sh: $*" >&2
    exit 1
}

# Prints the path and version of the first command that is a Python we can use. Inside the
# environment itself (it may be active) that is the one it was made from: it outlives it.
find_python() {
    for candidate in ${PYTHON:-python3 python3.14 python3.13 python3.12 python3.11 python}; do
        "$candidate" -c '
import os, sys
sys.version_info >= (3, 11) or sys.exit(1)
ours = os.path.realpath(sys.prefix) == os.path.realpath(sys.argv[1])
outside = sys.prefix == sys.base_prefix
python = os.path.realpath(sys._base_executable) if ours or outside else sys.executable
print(python, ".".join(map(str, sys.version_info[:3])))' "$venv" 2>/dev/null && return
    done
    die "no Python of at least 3.11 found; install one (apt-get install python3 python3-pip)" \
        "or name it: make PYTHON=/path/to/python3.11"
}

# An empty environment, and `pip` set to the command that installs into it.
make_venv() {
    rm -rf "$venv"
    if "$python" -m venv --without-pip "$venv" &&
        "$python" -m pip --python "$venv/bin/python" --version >/dev/null 2>&1; then
        return
    fi
    # This Python has no pip, or an old one; then it has to bring its own.
    rm -rf "$venv"
    "$python" -m venv "$venv" ||
        die "$python has neither pip (22.3 or newer) nor ensurepip;" \
            "run: apt-get install python3-pip python3-venv"
}

install() {
    if [ -x "$venv/bin/pip" ]; then
        "$venv/bin/python" -m pip --disable-pip-version-check --no-input install --quiet "$@"
    else
        "$python" -m pip --python "$venv/bin/python" --disable-pip-version-check --no-input \
            install --quiet "$@"
    fi
}

found=$(find_python)
python=${found% *}
# What the environment, and the project in it, were made from.
wanted_base="$found $(cat "$lock" tools/venv.sh | cksum)"
wanted_project="$(cat pyproject.toml | cksum) $(pwd)"
stamp=$venv/.made-from

if [ "$(sed -n 1p "$stamp" 2>/dev/null)" != "$wanted_base" ] || [ ! -x "$venv/bin/python" ]; then
    echo "setting up $venv with Python ${found##* }, once" >&2
    make_venv
    install --require-hashes --no-deps --only-binary :all: -r "$lock"
    echo "$wanted_base" >"$stamp"
fi
if [ "$project" = --project ] && [ "$(sed -n 2p "$stamp")" != "$wanted_project" ]; then
    install --no-deps --no-build-isolation --force-reinstall --editable .
    printf '%s\n' "$wanted_base" "$wanted_project" >"$stamp"
fi
