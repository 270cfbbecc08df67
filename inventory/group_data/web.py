"""Of the group `web`, over what all hosts have."""

agent = {"config": {"checks": {"systemd": {"units": ["nginx"]}}}}

# After a patch the cache comes back before what fills it.
patch = {"restart": {"order": ["redis-server.service", "nginx.service"]}}
