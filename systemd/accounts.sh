# The agent's users and folders, where they are not there yet. For install.sh, and for deploys, which run it on hosts.
getent passwd hostward >/dev/null ||
    useradd --system --user-group --home-dir /var/lib/hostward --no-create-home --shell /usr/sbin/nologin hostward
# As whom root has dumps tried: it owns nothing, and nothing else runs as it.
getent passwd hostward-scratch >/dev/null ||
    useradd --system --user-group --home-dir /nonexistent --no-create-home --shell /usr/sbin/nologin hostward-scratch
install -d -m 755 /etc/hostward /etc/hostward/agent.d
# As systemd would make it. It is there before the first start, so that what root puts there is the agent's.
install -d -m 700 -o hostward -g hostward /var/lib/hostward
