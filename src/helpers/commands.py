"""The commands: ``python -m helpers --help`` tells what there is."""

import os
from pathlib import Path
from typing import Annotated

import typer

from helpers import ROOT, InputError
from helpers.exits import EXIT_CODES
from helpers.options import Only, Overrides, Profile, Seeds
from helpers.runs.batch import run_batch
from helpers.runs.files import list_beside
from helpers.runs.integrity import DamagedRecord
from helpers.runs.leftovers import list_leftovers, remove
from helpers.runs.parameters import parse_overrides, parse_seeds
from helpers.runs.plan import plan
from helpers.runs.verify import verify as verify_record

app = typer.Typer(
    help="Make the runs of the report, see which are there, and take their numbers along.",
    epilog=EXIT_CODES,
    pretty_exceptions_enable=False,
    rich_markup_mode=None,  # plain text, whose examples keep their lines
    context_settings={"help_option_names": ["-h", "--help"]},
)


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
    """Make the runs that are missing.

    Exit code 0 only if all asked-for runs are there.

    \b
    Examples:
      python -m helpers run
      python -m helpers run --profile paper --seeds 0-4 --jobs 2
      python -m helpers run --only 'pets_*' -p batch_size=64 -p results=results/mine
    """
    asked = plan(profile, parse_seeds(seeds), only, parse_overrides(p or []))
    run_batch(asked, jobs, scheduler)
    print("the run is there" if len(asked) == 1 else f"all {len(asked)} runs are there")


@app.command()
def status(
    profile: Profile = "smoke", seeds: Seeds = "0-2", only: Only = "*", p: Overrides = None
) -> None:
    """Tell which runs are done, missing, failed or damaged.

    Exit code 0 only if all are done.

    \b
    Examples:
      python -m helpers status
      python -m helpers status --profile paper --seeds 0-4 --only 'pathmnist_*'
    """
    counts = dict.fromkeys(("done", "missing", "failed", "damaged"), 0)
    for job in plan(profile, parse_seeds(seeds), only, parse_overrides(p or [])):
        try:
            state, lines = "done" if job.is_done() else "missing", []
            if state == "missing" and (lines := job.failure()):
                state = "failed"
            elif state == "missing" and list_beside(job.folder, "checkpoint"):
                lines = ["begun; the same `run` goes on from its last saved epoch"]
        except InputError as error:
            state = "damaged" if isinstance(error, DamagedRecord) else "failed"
            lines = [str(error)]
        counts[state] += 1
        why = "\n    ".join(lines)
        print(f"{job.name:<32} {state:<8} {why}".rstrip())
    print(", ".join(f"{count} {state}" for state, count in counts.items()))
    if counts["done"] < sum(counts.values()):
        raise typer.Exit(1)


@app.command()
def verify(
    record: Annotated[
        Path,
        typer.Argument(help="Folder of a run, such as results/smoke/pathmnist_basic/seed-0."),
    ],
) -> None:
    """Repeat a run in a new process, and compare the bits.

    Exit code 0 only if they are the same.

    \b
    Example:
      python -m helpers verify results/smoke/pathmnist_basic/seed-0
    """
    found = verify_record(record if record.exists() else ROOT / record)
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


@app.command()
def doctor(
    profile: Profile = "smoke",
    fetch: Annotated[
        bool, typer.Option("--fetch", help="Get missing data sets and published weights.")
    ] = False,
) -> None:
    """Tell what this machine has and lacks for a profile.

    Device, memory, disk, packages, data sets, published weights, and what gets those that are
    missing. Exit code 0 only if the profile would run without network.

    \b
    Examples:
      python -m helpers doctor
      python -m helpers doctor --profile paper
      python -m helpers doctor --profile paper --fetch
    """
    from helpers.doctor import examine

    lacking = 0
    for what, found, enough in examine(profile, fetch):
        print(f"{'ok' if enough else 'MISSING':<8} {what:<28} {found}", flush=True)
        lacking += not enough
    if lacking:
        raise typer.Exit(1)


@app.command()
def tables(
    number: Annotated[
        int | None, typer.Argument(min=1, max=8, help="Which table; by default all.")
    ] = None,
    profile: Annotated[
        str | None,
        typer.Option(help="Name of the folder below results/; by default as the book chooses it."),
    ] = None,
    form: Annotated[str, typer.Option("--format", help="md, csv or latex.")] = "md",
) -> None:
    """Print the paper's tables from the runs: md, csv, latex.

    \b
    Examples:
      python -m helpers tables 1
      python -m helpers tables 5 --profile paper --format latex > table-5.tex
      python -m helpers tables --format csv
    """
    if profile:
        os.environ |= {"REPORT_PROFILE": profile, "REPORT_RESULTS": ""}
    from helpers.report.damage import warn_of_damaged
    from helpers.report.export import export_table
    from helpers.report.source import Source

    warn_of_damaged(Source.from_environment())
    texts = [export_table(chosen, form) for chosen in ([number] if number else range(1, 9))]
    if form == "csv":  # of all tables one, with one line of heads
        texts = ["".join([texts[0], *(text.partition("\n")[2] for text in texts[1:])])]
    print("\n".join(texts).rstrip())


@app.command()
def clean(yes: Annotated[bool, typer.Option("--yes", help="Do not ask.")] = False) -> None:
    """Remove builds of the book, and what killed runs left.

    Never a record, never data. Tells what and how many bytes, and asks. The next `run` goes on
    from the states of trainings that are not over; without them, it starts those anew.

    \b
    Examples:
      python -m helpers clean
      python -m helpers clean --yes
    """
    found = list_leftovers()
    for path, size in found:
        state = " (the next run would go on from it)" if path.suffix == ".checkpoint" else ""
        print(f"{size:>14,} bytes  {path}{state}")
    if not found:
        print("nothing to remove")
    elif yes or _agree(f"Remove these {sum(size for _, size in found):,} bytes?"):
        remove([path for path, _ in found])
        print("removed")


def _agree(question: str) -> bool:
    try:
        return typer.confirm(question)
    except typer.Abort as error:
        if isinstance(error.__context__, EOFError):
            raise InputError("clean asks, and nobody answers; --yes does not ask") from None
        raise
