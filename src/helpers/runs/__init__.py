"""Many runs: their parameters, their processes and their files of results. Knows no torch."""

from .run import begin

__all__ = ["begin"]
