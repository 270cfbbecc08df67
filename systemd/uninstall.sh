#!/bin/sh
# `make uninstall`: stops the services and removes what install.sh put on this host. What belongs to the administrator
# stays: the configuration, the state folders, and the users.
set -eu
prefix=$1

[ "$(id -u)" = 0 ] || { echo "hostward: uninstalling removes from $prefix, /usr/local/bin and /etc: run it as root" >&2; exit 1; }

for unit in hostward-agent.service hostward-jobs.socket hostward-logs.service hostward-collector.service; do
    [ -e "/etc/systemd/system/$unit" ] || continue
    if [ -d /run/systemd/system ]; then systemctl disable --now "$unit"; else systemctl disable "$unit"; fi
    rm "/etc/systemd/system/$unit"
done
if [ -e "/etc/systemd/system/hostward-backup-watch@.service" ]; then
    [ ! -d /run/systemd/system ] || systemctl stop "hostward-backup-watch@*.service"
    systemctl disable hostward-backup-watch@.service
    rm "/etc/systemd/system/hostward-backup-watch@.service"
fi
# Debian's logrotate.service goes on with logrotate, from the state that ours left.
rm -f /etc/systemd/system/logrotate.service.d/hostward.conf
rmdir /etc/systemd/system/logrotate.service.d 2>/dev/null || true
# Runs under way end with the socket's last connection, which the agent held.
rm -f "/etc/systemd/system/hostward-jobs@.service"
[ ! -d /run/systemd/system ] || systemctl daemon-reload

for command in hostward hostward-collector; do
    [ "$(readlink "/usr/local/bin/$command")" != "$prefix/current/bin/$command" ] || rm "/usr/local/bin/$command"
done
rm -f "$prefix/current"
# Nothing but environments of ours: PREFIX may be a folder that others use too.
for program in "$prefix"/*/bin/hostward; do
    [ ! -e "$program" ] || rm -rf "$(dirname "$(dirname "$program")")"
done
rmdir "$prefix" 2>/dev/null || true
echo "hostward is uninstalled; these stay, as far as they are there: /etc/hostward, /var/lib/hostward," \
    "/var/lib/hostward-logs, /var/lib/hostward-collector, the users hostward and hostward-scratch"
