"""Runs: their configuration, processes and records. Imports no torch."""

from .run import begin

__all__ = ["begin"]
