"""Of every host. docs/deploys.md lists what each deploy's table may hold."""

# How they are reached. A user other than root needs sudo: `_sudo = True`, and with a password `_sudo_password`.
ssh_user = "root"
# Keys of hosts that nobody has seen are refused, so that nobody can stand in for a host: ssh-keyscan, and compare.
ssh_strict_host_key_checking = "yes"

agent = {
    "home": {
        "url": "https://home.example.net:8443",
        "ca": "~/.config/hostward/ca.pem",
        # A one-time token for each host that is not enrolled yet.
        "token": {"command": ["ssh", "root@home.example.net", "hostward-collector", "token", "create"]},
    },
    "config": {
        "checks": {"disk": {"used": {"warning": 80, "critical": 95}}},
    },
}

patch = {"select": "security"}
