"""What a reader sees: records in, tables, figures and sentences out. Knows no torch."""

from .ablation import show_ablation
from .claims import show_claims
from .contrasts import show_contrasts
from .diagrams import show_reliability, show_risk_coverage, show_strengths
from .facts import show_build, show_data
from .figures import plot_history, show_curves
from .findings import show_agreement, show_findings
from .galleries import plot_corruptions, show_corruptions, show_mixup
from .provenance import show_runs
from .scores import show_scores
from .survival import show_survival
from .tables import show_reading, show_table
from .temperature import plot_temperatures, show_beyond_temperature, show_temperatures

__all__ = [
    "plot_corruptions",
    "plot_history",
    "plot_temperatures",
    "show_ablation",
    "show_agreement",
    "show_beyond_temperature",
    "show_build",
    "show_claims",
    "show_contrasts",
    "show_corruptions",
    "show_curves",
    "show_data",
    "show_findings",
    "show_mixup",
    "show_reading",
    "show_reliability",
    "show_risk_coverage",
    "show_runs",
    "show_scores",
    "show_strengths",
    "show_survival",
    "show_table",
    "show_temperatures",
]
