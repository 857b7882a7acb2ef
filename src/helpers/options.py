"""The options that several commands have, and what the shell completes them to."""

from typing import Annotated

import typer

from helpers.runs.parameters import PROFILES, list_experiments


def complete_profile(incomplete: str) -> list[str]:
    """Return what the shell may complete a profile's name to."""
    return sorted(path.stem for path in PROFILES.glob(f"{incomplete}*.yaml"))


def complete_experiment(incomplete: str) -> list[str]:
    """Return what the shell may complete an experiment's name to."""
    return [name for name in list_experiments() if name.startswith(incomplete)]


Profile = Annotated[
    str, typer.Option(help="Name of a file in profiles/.", autocompletion=complete_profile)
]
Seeds = Annotated[str, typer.Option(help="Seeds of each experiment, such as 0-2 or 0,3,5-7.")]
Only = Annotated[
    str,
    typer.Option(
        help="Pattern of experiment names, such as 'pathmnist_*'.",
        autocompletion=complete_experiment,
    ),
]
Overrides = Annotated[
    list[str] | None, typer.Option("-p", help="A parameter in place of the profile's: name=value.")
]
