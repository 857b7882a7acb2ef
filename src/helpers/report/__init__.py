"""What a reader sees: records in, tables, figures and sentences out. Knows no torch."""

from importlib import import_module

#: Module to what it offers here. Imported when first asked for: the Sphinx extension draws nothing.
_OFFERS = {
    "beyond": "show_beyond",
    "claims": "show_claims",
    "contrasts": "show_contrasts",
    "explorer": "show_explorer",
    "export": "export_table show_table",
    "figures": "plot_history plot_temperatures show_curves show_deferral show_reliability"
    " show_risk_coverage show_strengths",
    "findings": "show_findings",
    "galleries": "plot_corruptions show_corruptions show_errors show_mixup",
    "overview": "show_cells show_made_from show_overview show_summary",
    "provenance": "show_build show_runs",
    "scores": "show_metrics show_scores",
    "switches": "show_ablation",
    "tables": "show_reading",
    "temperature": "show_beyond_temperature show_temperatures",
}

_HOMES = {name: module for module, names in _OFFERS.items() for name in names.split()}

__all__ = sorted(_HOMES)


def __getattr__(name: str):
    if name not in _HOMES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(import_module(f".{_HOMES[name]}", __name__), name)
