#!/bin/sh
# Makes the virtual environment. Debian keeps ensurepip in a package of its own (python3-venv), so a
# machine with "only Python" may lack it: install it where we may, say what to do where we may not.
set -eu
python=$1 venv=$2

"$python" -c 'import sys; sys.exit(sys.version_info < (3, 11))' || {
    echo "hostward: $python is $("$python" --version 2>&1); Python 3.11 or later is needed (make PYTHON=/path/to/python3 ...)" >&2
    exit 2
}
if ! "$python" -c 'import ensurepip, venv' 2>/dev/null; then
    if [ "$(id -u)" = 0 ] && command -v apt-get >/dev/null; then
        echo "hostward: installing python3-venv"
        apt-get update -qq && DEBIAN_FRONTEND=noninteractive apt-get install -y -qq python3-venv >/dev/null
    else
        echo "hostward: $python has no venv module; run: sudo apt-get install python3-venv" >&2
        exit 2
    fi
fi
rm -rf "$venv"
"$python" -m venv "$venv"
