"""A run on a Kubernetes cluster, through the Spark operator."""
