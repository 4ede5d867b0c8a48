"""A one-node Kubernetes on this machine, from its own programs: `scripts/dev-cluster`."""
