#!/bin/sh
# `make install`: this checkout into PREFIX/VERSION with its own virtual environment, PREFIX/current pointing at it, the
# commands on PATH, the user and the units. Run again after a change or for a new version; nothing is enabled or started.
set -eu
python=$1 prefix=$2 version=$3
cd "$(dirname "$0")/.."

[ "$(id -u)" = 0 ] || { echo "hostward: make install writes to $prefix and /etc/systemd: run it as root" >&2; exit 1; }
getent passwd hostward >/dev/null || useradd --system --user-group --home-dir /var/lib/hostward --shell /usr/sbin/nologin hostward

target=$prefix/$version
mkdir -p "$prefix"
./requirements/venv.sh "$python" "$target"
"$target/bin/python" -m pip install --quiet --require-hashes -r requirements/run.txt
"$target/bin/python" -m pip install --quiet --no-deps --no-build-isolation .
ln -sfn "$version" "$prefix/.current.new" && mv -T "$prefix/.current.new" "$prefix/current"
for command in hostward hostward-collector; do ln -sf "$prefix/current/bin/$command" "/usr/local/bin/$command"; done

if [ -d /etc/systemd/system ]; then
    install -m 644 systemd/*.service /etc/systemd/system/
    [ ! -d /run/systemd/system ] || systemctl daemon-reload
fi
echo "installed $version in $target; next: hostward enroll, then systemctl enable --now hostward-agent"
