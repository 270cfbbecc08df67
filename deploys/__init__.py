"""What administrators do to hosts, with pyinfra: each file here is a deploy, and a function for other deploys."""
