"""The one place that holds the version; importlib.metadata would cost every start 40 ms."""

__version__ = "0.1.0"
