"""Many runs: their parameters, their processes and their files of results. Knows no torch."""

from .ablation import begin_ablation
from .run import begin

__all__ = ["begin", "begin_ablation"]
