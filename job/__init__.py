"""Image classification by visual words, on Spark, on Kubernetes."""

__version__ = "0.1.0"
