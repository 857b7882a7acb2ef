"""The command line: ``python -m helpers run``, ``status`` and ``verify``."""

import sys
from pathlib import Path
from typing import Annotated

import typer

from helpers import InputError
from helpers.runs.batch import BatchError, run_batch
from helpers.runs.integrity import DamagedRecord
from helpers.runs.parameters import parse_overrides, parse_seeds
from helpers.runs.plan import plan
from helpers.runs.verify import verify as verify_record

app = typer.Typer(
    help="Make the runs of the report, see which are there, and repeat one.",
    add_completion=False,
    pretty_exceptions_enable=False,
)

#: Words that the command line does not take; the class is typer's or click's, by its version.
UsageError = typer.BadParameter.__base__

Profile = Annotated[str, typer.Option(help="Name of a file in profiles/.")]
Seeds = Annotated[str, typer.Option(help="Seeds of each experiment, such as 0-2 or 0,3,5-7.")]
Only = Annotated[str, typer.Option(help="Pattern of experiment names, such as 'pathmnist_*'.")]
Overrides = Annotated[
    list[str] | None, typer.Option("-p", help="A parameter in place of the profile's: name=value.")
]


@app.command()
def run(
    profile: Profile = "smoke",
    seeds: Seeds = "0-2",
    only: Only = "*",
    jobs: Annotated[
        int | None,
        typer.Option(min=1, help="Runs at a time; by default one a core, with a GPU one."),
    ] = None,
    scheduler: Annotated[
        str | None, typer.Option(help="Address of a Dask scheduler that makes the runs.")
    ] = None,
    p: Overrides = None,
) -> None:
    """Make the runs that are missing; exit code 0 only if all asked-for runs are there."""
    asked = plan(profile, parse_seeds(seeds), only, parse_overrides(p or []))
    run_batch(asked, jobs, scheduler)
    print(f"all {len(asked)} runs are there")


@app.command()
def status(
    profile: Profile = "smoke", seeds: Seeds = "0-2", only: Only = "*", p: Overrides = None
) -> None:
    """Tell which runs are done, missing or failed; exit code 0 whatever they are."""
    counts = dict.fromkeys(("done", "missing", "failed", "damaged"), 0)
    for job in plan(profile, parse_seeds(seeds), only, parse_overrides(p or [])):
        try:
            state, lines = "done" if job.is_done() else "missing", []
            if state == "missing" and (lines := job.failure()):
                state = "failed"
        except InputError as error:
            state = "damaged" if isinstance(error, DamagedRecord) else "failed"
            lines = [str(error)]
        counts[state] += 1
        why = "\n    ".join(lines)
        print(f"{job.name:<32} {state:<8} {why}".rstrip())
    print(", ".join(f"{count} {state}" for state, count in counts.items()))


@app.command()
def verify(
    record: Annotated[
        Path,
        typer.Argument(help="Folder of a run, such as results/smoke/pathmnist_basic/seed-0."),
    ],
) -> None:
    """Repeat a run in a new process; exit code 0 only if it gives the same bits."""
    found = verify_record(record)
    for name, difference in found.files.items():
        print(f"{name:<16} {difference or 'same bits'}")
    if found.same:
        print(f"verified: {record} repeats bit by bit")
        return
    print(f"not verified: {record} gives other bits; what differs of the environment:")
    for name, (then, now) in found.environment.items():
        print(f"{name:<16} then {then}, now {now}")
    if not found.environment:
        print("nothing that the record knows")
    raise typer.Exit(1)


def main() -> int:
    """Return the exit code: 1 for runs that failed or differ, 2 for bad input, 130 for Ctrl-C."""
    try:
        code = app(standalone_mode=False) or 0
    except UsageError as error:
        print(f"error: {error.format_message()} (see --help)", file=sys.stderr)
        return 2
    except InputError as error:
        print(f"error: {error}", file=sys.stderr)
        return 2
    except BatchError as error:
        print(error, file=sys.stderr)
        return 1
    except (KeyboardInterrupt, typer.Abort):
        code = 130  # newer versions of typer return it
    if code == 130:
        print("stopped; the same command goes on with what is missing", file=sys.stderr)
    return code


if __name__ == "__main__":
    sys.exit(main())
