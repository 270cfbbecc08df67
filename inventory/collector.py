"""The inventory that home knows: hosts, with their groups, tags, systems and states as groups to choose from.

    pyinfra inventory/collector.py deploys/report.py
    pyinfra inventory/collector.py deploys/patch.py --limit debian_12_pending_security
    hostward-rollout patch --inventory inventory/collector.py --limit web

It asks the home that `~/.config/hostward/home.toml` names, or the file in HOSTWARD_HOME_FILE. docs/deploys.md says
which groups there are. Data for them stands in `group_data/`, as for `example.py`.
"""

from deploys.kit.fleet import groups

globals().update(groups())
