"""One run of the pipeline as its objects in the cluster tell it."""
