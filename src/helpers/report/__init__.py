"""Report: tables, figures and sentences from records. Imports no torch."""

from importlib import import_module

#: Module to the names it offers here. Imported on first use: the Sphinx extension draws nothing.
_OFFERS = {
    "claims": "show_claims",
    "comparisons": "show_ablation show_differences show_temperature_differences",
    "explorer": "show_explorer",
    "figures": "plot_history show_curves show_reliability show_risk_coverage show_strengths",
    "galleries": "plot_corruptions show_corruptions show_errors show_mixup",
    "overview": "show_cells show_gaps show_overview show_summary",
    "provenance": "show_made_from show_quick_check show_runs",
    "tidy": "differences estimates",
    "tables": "export_table show_legend show_other_shifts show_results show_scores show_table"
    " show_temperatures show_tidy",
}

_HOMES = {name: module for module, names in _OFFERS.items() for name in names.split()}

__all__ = sorted(_HOMES)


def __getattr__(name: str):
    if name not in _HOMES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(import_module(f".{_HOMES[name]}", __name__), name)
