"""Builds the stage images on a machine with buildah, without a daemon and without a registry."""
