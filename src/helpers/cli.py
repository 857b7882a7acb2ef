"""Commands of ``python -m helpers``."""

import os
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Annotated

import typer

from helpers import ROOT, InputError
from helpers.catalogue import find_dataset
from helpers.runs import shipping
from helpers.runs.batch import describe_progress, find_missing, run_batch
from helpers.runs.cluster import BatchError
from helpers.runs.config import list_profiles, parse_overrides, parse_seeds
from helpers.runs.files import is_locked, read_progress
from helpers.runs.plan import Job, plan
from helpers.runs.record import CorruptRecord
from helpers.runs.verify import verify as verify_record

app = typer.Typer(
    help="Run the experiments, check their status, and export the tables.",
    epilog=(
        "Exit codes: 0 success; 1 runs failed, differ or are missing; 2 bad input, with a line that"
        " names the remedy; 130 stopped by Ctrl-C; 143 stopped by SIGTERM."
    ),
    pretty_exceptions_enable=False,
    rich_markup_mode=None,  # plain text, whose examples keep their lines
    context_settings={"help_option_names": ["-h", "--help"]},
)

#: Error for an invalid command line; the class is typer's or click's, depending on the version.
UsageError = typer.BadParameter.__base__


def _command(example: str) -> Callable:
    # \b prevents line wrapping.
    return app.command(epilog=f"\b\nExample: python -m helpers {example}")


ProfileOption = typer.Option(help="Name of a file in profiles/.")
Profile = Annotated[str, ProfileOption]
Only = Annotated[
    str, typer.Option(help="Pattern of experiment names, such as 'pathmnist_mixup@*'.")
]
Seeds = Annotated[str, typer.Option(help="Seeds of each experiment, such as 0-2 or 0,3,5-7.")]
Overrides = Annotated[
    list[str] | None, typer.Option("-p", help="Override a parameter of the profile: name=value.")
]


@_command("run --only 'pets_*' -p batch_size=64 -p results=results/mine")
def run(
    profile: Profile = "smoke",
    seeds: Seeds = "0-2",
    only: Only = "*",
    jobs: Annotated[
        int | None,
        typer.Option(min=1, help="Runs at a time; by default one per core, or one per GPU."),
    ] = None,
    scheduler: Annotated[
        str | None, typer.Option(help="Address of a Dask scheduler whose workers make the runs.")
    ] = None,
    p: Overrides = None,
) -> None:
    """Make the missing runs; interrupted ones continue from their last epoch."""
    asked = plan(profile, parse_seeds(seeds), only, parse_overrides(p or []))
    if missing := find_missing(asked):
        from helpers.doctor import fetch_published

        fetch_published(missing)
        run_batch(missing, jobs, scheduler)
    print("run complete" if len(asked) == 1 else f"all {len(asked)} runs complete")


@_command("status --profile paper --seeds 0-4 --only 'pathmnist_*'")
def status(
    profile: Annotated[str | None, ProfileOption] = None,
    seeds: Seeds = "0-2",
    only: Only = "*",
    p: Overrides = None,
) -> None:
    """Show which runs are done, running, interrupted, missing, failed or corrupt.

    Without --profile and -p, show each data set with the profile that the book uses for it.
    """
    states = ("done", "running", "interrupted", "missing", "failed", "corrupt", "shipped")
    counts = dict.fromkeys(states, 0)
    for job in _plan_shown(profile, parse_seeds(seeds), only, parse_overrides(p or [])):
        state, why = _inspect(job)
        counts[state] += 1
        print(f"{job.name:<32} {state:<11} {why}".rstrip())
    print(", ".join(f"{count} {state}" for state, count in counts.items()))
    if counts["done"] + counts["shipped"] < sum(counts.values()):
        raise typer.Exit(1)


def _plan_shown(profile: str | None, seeds: list[int], only: str, overrides: dict) -> list[Job]:
    if profile or overrides:
        return plan(profile or "smoke", seeds, only, overrides)
    from helpers.report.records import Settings, datasets, list_evidence

    best = {dataset: list_evidence(dataset)[0].profile for dataset in datasets()}
    shown = {name: p if p in list_profiles() else "smoke" for name, p in best.items()}
    if results := Settings.read().results:
        overrides = {"results": results}
    names = dict.fromkeys(shown.values())
    jobs = [(name, job) for name in names for job in plan(name, seeds, only, overrides)]
    # A data set of one's own without records is in no list of the book's yet.
    return [job for name, job in jobs if shown.get(find_dataset(job.experiment), name) == name]


def _inspect(job: Job) -> tuple[str, str]:
    try:
        if job.is_done():
            return "done", ""
    except InputError as error:
        return "corrupt" if isinstance(error, CorruptRecord) else "failed", str(error)
    progress = read_progress(job.folder)
    if is_locked(job.folder):
        if progress is None:
            return "running", "training has not begun"
        where = f"on {progress['host']}, process {progress['pid']}"
        return "running", f"{where}: {describe_progress(progress)}"
    if why := job.failure():
        return "failed", why
    if progress is None:
        shipped = ROOT.joinpath("records", *job.folder.parts[-3:]).exists()
        return ("shipped", "in records/") if shipped else ("missing", "")
    epochs = f"after epoch {progress['epoch']} of {progress['epochs']}"
    return "interrupted", f"{epochs}; `run` with the same options continues there"


@_command("verify results/smoke/pathmnist_basic/seed-0")
def verify(record: Annotated[Path, typer.Argument(help="Folder of a run.")]) -> None:
    """Repeat a run in a new process and compare the results bit by bit."""
    files, environment = verify_record(record if record.exists() else ROOT / record)
    for name, difference in files.items():
        print(f"{name:<16} {difference or 'same bits'}")
    if not any(files.values()):
        print(f"verified: {record} repeats bit for bit")
        return
    print(f"not verified: {record} gives different bits; differences in the environment:")
    lines = [f"{name:<16} then {then}, now {now}" for name, (then, now) in environment.items()]
    print("\n".join(lines) or "none recorded")
    raise typer.Exit(1)


@_command("doctor --profile paper --fetch")
def doctor(
    profile: Profile = "smoke",
    fetch: Annotated[
        bool, typer.Option("--fetch", help="Download missing data sets and published weights.")
    ] = False,
) -> None:
    """Check whether this machine has everything to run a profile offline."""
    from helpers.doctor import examine

    complete = True
    for subject, finding, enough in examine(profile, fetch):
        print(f"{'ok' if enough else 'MISSING':<8} {subject:<28} {finding}")
        complete &= enough
    raise typer.Exit(int(not complete))


@_command("ship --profile short")
def ship(profile: Profile = "short") -> None:
    """Copy the records of a profile into records/ without images; for smoke, only checksums."""
    for place, left_out in shipping.ship(profile):
        print(f"{place}: left out {left_out or 'nothing'}")


@_command("examples")
def examples() -> None:
    """Write example images of the data sets in data/ for the book; never downloads or trains."""
    from helpers.experiment.evaluation import write_examples
    from helpers.experiment.published_data import PUBLISHED_FILES

    configs = {find_dataset(job.experiment): job.config for job in plan("paper", [0])}
    for dataset in sorted(configs.keys() & PUBLISHED_FILES.keys()):
        config, target = configs[dataset], ROOT / "results" / "examples" / f"{dataset}.npz"
        values = config.corruptions, config.data_dir, config.image_size
        print(write_examples(target, dataset, *values))


@_command("tables 5 --profile paper --format latex > table-5.tex")
def tables(
    number: Annotated[
        int | None, typer.Argument(min=1, max=8, help="Number of a table; by default all tables.")
    ] = None,
    profile: Annotated[str | None, ProfileOption] = None,
    form: Annotated[str, typer.Option("--format", help="md, csv or latex.")] = "md",
) -> None:
    """Print the paper's tables from the runs, by default from those that the book shows."""
    if profile:
        os.environ |= {"REPORT_PROFILE": profile, "REPORT_RESULTS": ""}
    from helpers.report.records import warn_of_corrupt_records
    from helpers.report.tables import export_table

    warn_of_corrupt_records()
    texts = [export_table(chosen, form) for chosen in ([number] if number else range(1, 9))]
    if form == "csv":  # one table with one header
        texts = ["".join([texts[0], *(text.partition("\n")[2] for text in texts[1:])])]
    print("\n".join(texts).rstrip())


def call(words: list[str]) -> int:
    """Run a command, print its errors one per line, and return its exit code."""
    try:
        if not (ROOT / "book").is_dir():
            why = f"helpers is installed without its repository ({ROOT} has no book/)"
            raise InputError(f"{why}; clone the repository, and `pip install --editable` it")
        # Always under the name `helpers`: shells cannot complete `python -m helpers`.
        code = app(words or ["--help"], prog_name="helpers", standalone_mode=False) or 0
    except UsageError as error:
        print(f"error: {error.format_message()} (see --help)", file=sys.stderr)
        return 2
    except InputError as error:
        for line in str(error).splitlines():
            print(f"error: {line}", file=sys.stderr)
        return 2
    except (BatchError, OSError) as error:  # OSError: output to a full disk, or `| head`
        print(f"error: {error}" if isinstance(error, OSError) else error, file=sys.stderr)
        return 1
    except typer.Abort:
        raise KeyboardInterrupt from None
    if code == 130:  # newer versions of typer return it
        raise KeyboardInterrupt
    return code
