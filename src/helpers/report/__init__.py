"""What a reader sees: records in, tables, figures and sentences out. Knows no torch."""

from .facts import show_build, show_data
from .figures import plot_history, show_curves
from .findings import show_agreement, show_findings
from .galleries import plot_corruptions, show_corruptions, show_mixup
from .tables import show_table

__all__ = [
    "plot_corruptions",
    "plot_history",
    "show_agreement",
    "show_build",
    "show_corruptions",
    "show_curves",
    "show_data",
    "show_findings",
    "show_mixup",
    "show_table",
]
