"""An inventory to start from: copy this folder, and name your hosts.

    pyinfra inventory/example.py deploys/agent.py --dry        # what would change; --diff shows files too
    pyinfra inventory/example.py deploys/agent.py --limit web  # a group, or a host
    hostward-rollout patch --inventory inventory/example.py    # in waves

Each list is a group. What a group's hosts have in common stands in `group_data/GROUP.py`, what all have in
`group_data/all.py`; tables are merged, the host's over its groups' (a later one over an earlier) over everybody's.
Secrets are not written here: `{"file": …}` or `{"command": […]}` says where they come from.
"""

# A host is its name, for ssh and at home, or the name and what is different there.
web = [
    "web1.example.net",
    ("web2.example.net", {"zone": "b", "agent": {"config": {"checks": {"disk": {"used": {"warning": 90}}}}}}),
]

databases = [
    # `ssh_hostname` is where it is reached, where that is not its name.
    ("db1.example.net", {"ssh_hostname": "192.0.2.11", "patch": {"reboot": False}}),
]
