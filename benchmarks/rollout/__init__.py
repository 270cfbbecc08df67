"""What rolling out the agent takes on real hosts, beside an Ansible playbook, and what the waves themselves take."""
