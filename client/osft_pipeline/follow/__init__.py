"""A run on the cluster, from its objects, logs and events."""
