"""Shim: kernels are no longer preloaded."""  # until the second house is done


def preload(*names: str) -> None:
    """Do nothing."""


def wait_until_loaded() -> None:
    """Do nothing."""
