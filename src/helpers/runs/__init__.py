"""Many runs: their configuration, their processes and their records. Imports no torch."""

from .run import begin

__all__ = ["begin"]
