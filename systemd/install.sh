#!/bin/sh
# `make install` and `make install-collector`: this checkout into PREFIX/VERSION with a virtual environment of its own,
# PREFIX/current pointing at it, the commands on PATH, the agent's user and folders, the units. What runs goes on as it
# is, and nothing is enabled or started. Doing it again, or with a newer checkout, is how to upgrade; what is built
# takes the place of what was there only when it is complete.
set -eu
python=$1 prefix=$2 version=$3 part=$4
shift 4
cd "$(dirname "$0")/.."
# Root's own mask may keep others out, and the agent is another.
umask 022

[ "$(id -u)" = 0 ] || { echo "hostward: installing writes to $prefix, /usr/local/bin and /etc: run it as root" >&2; exit 1; }
case $prefix in
    [!/]* | *[!A-Za-z0-9/._-]*) echo "hostward: PREFIX=$prefix is not an absolute path of plain characters" >&2; exit 2 ;;
esac

# A host that has the collector keeps it when its agent is installed anew: they are one environment.
[ ! -e "$prefix/current/bin/hostward-collector" ] || part=collector
agent=$(cat systemd/agent.units)
case $part in
    agent) lock=agent commands="hostward" units=$agent ;;
    collector) lock=run commands="hostward hostward-collector" units="$agent hostward-collector.service" ;;
    *) echo "usage: install.sh PYTHON PREFIX VERSION agent|collector [EXTRA...]" >&2; exit 2 ;;
esac

# The drivers of checks, with those that the host has already: what runs goes on finding them after an upgrade.
extras=$( (printf '%s\n' "$@"; cat "$prefix/current/extras" 2>/dev/null || true) | sed '/^$/d' | sort -u)
locks="requirements/$lock.txt"
for extra in $extras; do
    case $extra in
        *[!a-z0-9]*) known= ;;
        *) known=requirements/extras/$extra.txt ;;
    esac
    [ -f "$known" ] || {
        echo "hostward: there is no extra \"$extra\"; expected some of:" $(cd requirements/extras && ls | sed 's/\.txt$//') >&2
        exit 2
    }
    locks="$locks $known"
done

target=$prefix/$version building=$prefix/.$version.new
mkdir -p "$prefix"
trap 'rm -rf "$building"' EXIT
trap 'exit 1' HUP INT TERM
./requirements/venv.sh "$python" "$building"
for file in $locks; do "$building/bin/python" -m pip install --quiet --require-hashes -r "$file"; done
"$building/bin/python" -m pip install --quiet --no-deps --no-build-isolation .
[ "$part" = collector ] || rm "$building/bin/hostward-collector"
"$building/bin/hostward" --version >/dev/null
printf '%s\n' $extras >"$building/extras"
# An environment has its path in its scripts; it was built beside the place where it belongs.
find "$building/bin" "$building/pyvenv.cfg" -type f -exec sed -i "s|$building|$target|g" {} +
rm -rf "$prefix/.$version.old"
[ ! -d "$target" ] || mv "$target" "$prefix/.$version.old"
mv "$building" "$target"
ln -sfn "$version" "$prefix/.current.new"
mv -T "$prefix/.current.new" "$prefix/current"
rm -rf "$prefix/.$version.old"
for command in $commands; do ln -sf "$prefix/current/bin/$command" "/usr/local/bin/$command"; done

. ./systemd/accounts.sh

for unit in $units; do
    sed "s|/opt/hostward/|$prefix/|g" "systemd/$unit" >"/etc/systemd/system/.$unit.new"
    mv "/etc/systemd/system/.$unit.new" "/etc/systemd/system/$unit"
done
# Also where systemd is not running, as in an image that is being made.
[ ! -d /run/systemd/system ] || systemctl daemon-reload

echo "hostward $version is installed in $target: $commands"
for unit in $units; do
    # What root's half does is started anew for each run.
    restart=${unit%.service}
    case $unit in
        hostward-jobs*) continue ;;
        *@.service) unit="${unit%.service}*.service" restart="'$restart*'" ;; # each of its instances
    esac
    ! systemctl is-active --quiet "$unit" 2>/dev/null || echo "${unit%.service} goes on with what was there before; next: systemctl restart $restart"
done
