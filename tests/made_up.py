"""Made-up records: random logits with consistent scores, for tests of what reads records."""

import io
import json
import sys
from itertools import cycle, islice

import numpy as np
import pandas as pd

from helpers import metrics
from helpers.runs.config import list_experiments, read_defaults
from helpers.runs.record import keep_notebook, read_record, run_folder, write_record

#: Experiment to the strength of the signal in its logits.
EXPERIMENTS = {
    **{"pathmnist_basic": 1.0, "pathmnist_mixup": 1.6, "pathmnist_pretrained": 2.2},
    **{"pets_scratch": 1.5, "pets_supervised": 3.0, "pets_barlow_twins": 2.5},
}
SIGMAS = (0.3, 0.5, 0.7, 0.9)
SHIFTS = {
    "pathmnist": {"brightness": (0.8, 0.9, 1.1, 1.2), "blur": SIGMAS},
    "pets": {"brightness": (0.6, 0.8, 1.2, 1.4), "blur": SIGMAS},
}
STAND_INS = {"pathmnist": "tissue", "pets": "creatures"}
IMAGES = 300


def write_records(results, profile, seeds=(0, 1, 2), official=False, salt=0, **options):
    """Write a record and an executed notebook for each experiment and seed."""
    for experiment in EXPERIMENTS:
        for seed in seeds:
            write_run(results, profile, experiment, seed, official, salt, **options)


def show(monkeypatch, results, profile):
    """Let helpers.report read these records."""
    monkeypatch.setenv("REPORT_PROFILE", profile)
    monkeypatch.setenv("REPORT_RESULTS", str(results))
    forget()


def forget():
    """Clear what helpers.report remembers within a process."""
    for name, module in list(sys.modules.items()):
        if name.startswith("helpers.report"):
            for value in vars(module).values():
                getattr(value, "cache_clear", lambda: None)()


def write_run(
    results,
    profile,
    experiment,
    seed,
    official=False,
    salt=0,
    right=None,
    spoil=dict,
    *,
    variant="",
    changes=None,
    shifts=None,
    signal=None,
    leave_out=(),
):
    """Write one record and its executed notebook; another salt gives other numbers.

    With `official` it claims the published images and the study's parameters, but for `changes`.
    `right`, a fraction of images, or the `signal` replaces the experiment's random logits, and
    `spoil` (predictions to others) what is written; files to `leave_out` are named.
    """
    dataset = experiment.split("_")[0]
    shifts = shifts or SHIFTS.get(dataset, SHIFTS["pathmnist"])
    classes = [f"class {label}" for label in range(37 if dataset == "pets" else 9)]
    generator = np.random.default_rng([salt, seed, *experiment.encode(), *variant.encode()])
    conditions = [("clean", np.nan)] + [(name, s) for name in shifts for s in shifts[name]]
    corruption, strength = map(np.array, zip(*conditions, strict=True))
    images = np.random.default_rng([salt, *dataset.encode()])  # the same for all its runs
    labels, validation_labels = images.integers(len(classes), size=(2, IMAGES))
    signal = EXPERIMENTS.get(experiment, 1.0) if signal is None else signal
    sizes = signal * np.where(corruption == "clean", 1.4, 1.0)
    logits = np.stack([_draw_logits(labels, len(classes), size, generator) for size in sizes])
    if right is not None:
        wrong = np.arange(IMAGES) >= round(right * IMAGES)
        logits[:] = 3 * np.eye(len(classes))[(labels + wrong) % len(classes)]
    outcomes = [metrics.Outcome(part, labels) for part in logits]
    pairs = [(outcome.confidence, outcome.correct) for outcome in outcomes]
    scores = pd.DataFrame(
        {
            "corruption": corruption,
            "strength": strength,
            "accuracy": [correct.mean() for _, correct in pairs],
            "rms_calibration_error": [metrics.rms_calibration_error(*pair) for pair in pairs],
            "noise_floor": 0.02,
            "noise_floor_95": 0.03,
        }
    )
    known = experiment if experiment in list_experiments() else "pathmnist_basic"
    parameters = read_defaults(known) | {"corruptions": {k: list(v) for k, v in shifts.items()}}
    parameters |= {"seed": seed, "variant": variant} | ({} if official else {"epochs": 5})
    name = dataset if official else STAND_INS.get(dataset, "fog")
    data = {"official": official, "sha256": name, "classes": classes, "name": name}
    run = {
        "experiment": experiment,
        "variant": variant,
        "seed": seed,
        "profile": profile,
        "parameters": parameters | (changes or {}),
        "config_hash": f"{experiment}@{variant}",
        "data": data | {"train": 1000, "validation": 200, "test": IMAGES},
        "weights": {"initialisation": "random", "sha256": None, "official": True},
        "environment": {
            **{"device": "cpu", "threads": 1, "python": "3.11", "torch": "2", "torchvision": "0"},
            **{"numpy": "2", "git_commit": "0123456789abcdef", "git_dirty": False},
        },
        "started": "2026-01-01T00:00:00+00:00",
        "train_seconds": 60.0,
        "evaluate_seconds": 3.0,
        "peak_memory_bytes": 300_000_000,
        "best_epoch": 5,
    }
    predictions = {
        "logits": logits,
        "labels": labels,
        "corruption": corruption,
        "strength": strength,
        "validation_logits": _draw_logits(validation_labels, len(classes), sizes[0], generator),
        "validation_labels": validation_labels,
    }
    contents = {
        "history.csv": _history(generator).to_csv(index=False).encode(),
        "metrics.csv": scores.to_csv(index=False).encode(),
        "predictions.npz": _pack(spoil(predictions)),
        "examples.npz": _pack(_examples(generator, logits, labels, corruption, strength, dataset)),
    }
    contents = {name: content for name, content in contents.items() if name not in leave_out}
    record = write_record(run_folder(results, experiment, seed, variant), run, contents)
    keep_notebook(record.folder, _notebook(record))
    return read_record(record.folder)


def _examples(generator, logits, labels, corruption, strength, dataset):
    side, last = 32 if dataset == "pets" else 28, len(corruption) - 1
    wrong = (logits.argmax(axis=-1) != labels).argmax(axis=1)  # the first, or 0, of a condition
    places = np.array([0, 3, 7]).clip(max=last)
    draw = generator.integers
    return {
        "images": draw(256, size=(last + 1, 4, 3, side, side), dtype=np.uint8),
        "labels": np.arange(4),
        "mixup": draw(256, size=(3, 3, side, side), dtype=np.uint8),
        "mixup_labels": np.array([0, 3]),
        "mistakes": draw(256, size=(3, 3, side, side), dtype=np.uint8),
        "mistakes_index": wrong[places],
        "mistakes_condition": places,
        "corruption": corruption,
        "strength": strength,
    }


#: Texts that would be markup somewhere: in HTML, in Markdown, in a table or in an equation.
HOSTILE = (
    "<script>alert(1)</script>",
    '"><img src=x onerror=alert(2)>',
    "[link](javascript:alert(3))",
    "$\\href{javascript:alert(4)}{x}$",
    "{{ alert5 }}",
    "</td></table> | cell | `code` ```",
    "{raw}`html` **bold** <!-- alert6",
    "' onmouseover='alert(7)",
)


def make_hostile(results, home):
    """Write the records again with hostile names and values, and with paths below a home."""
    for folder in sorted(path.parent for path in results.glob("*/seed-*/run.json")):
        record = read_record(folder)
        run = {k: v for k, v in record.run.items() if k not in ("files", "checksum", "left_out")}
        run["data"]["classes"] = list(islice(cycle(HOSTILE), len(run["data"]["classes"])))
        run["config_hash"], run["data"]["sha256"] = HOSTILE[5], HOSTILE[1]
        run["environment"] |= {"device": HOSTILE[0], "torch": HOSTILE[2], "git_commit": HOSTILE[5]}
        run["data"]["name"] = HOSTILE[0] if run["seed"] == 1 else run["data"]["name"]
        run["parameters"] |= {"network": HOSTILE[1], "precision": HOSTILE[5], "note": HOSTILE}
        run["parameters"]["initialisation"] = HOSTILE[3]
        start = f"{home}/results/`<b>start</b>`/weights.pt"
        run["weights"] |= {"initialisation": start, "official": False}
        contents = {name: (folder / name).read_bytes() for name in record.run["files"]}
        for path in sorted(folder.iterdir()):
            path.unlink()
        folder.rmdir()
        notebook = json.loads(folder.with_suffix(".ipynb").read_text())
        notebook["metadata"]["papermill"] = {"output_path": f"{home}/{folder.name}.ipynb"}
        warning = f"{home}/.venv/lib/x.py:3: UserWarning: mind {json.dumps(HOSTILE[0])}\n"
        for name in ("stderr", "stdout"):
            output = {"name": name, "output_type": "stream", "text": warning}
            notebook["cells"][-1]["outputs"].append(output)
        write_record(folder, run, contents)
        keep_notebook(folder, json.dumps(notebook).encode())


def _draw_logits(labels, classes, signal, generator):
    logits = generator.normal(size=(len(labels), classes))
    return (logits + signal * np.eye(classes)[labels]).astype(np.float16)


def _history(generator):
    epoch = np.arange(1, 6)
    train = 0.9 - 0.5 / epoch + generator.normal(scale=0.01, size=5)
    validation = train - 0.05 * generator.random(5)
    columns = {"epoch": epoch, "train_loss": 2 - train, "train_accuracy": train}
    columns |= {"validation_loss": 2 - validation, "validation_accuracy": validation}
    return pd.DataFrame(columns)


def _pack(arrays):
    buffer = io.BytesIO()
    np.savez(buffer, **arrays)
    return buffer.getvalue()


def _notebook(record):
    text = f"stored output of seed {record.seed}\n"
    code = {
        "cell_type": "code",
        "execution_count": 1,
        "metadata": {},
        "outputs": [{"name": "stdout", "output_type": "stream", "text": text}],
        "source": "raise SystemExit('a build must not execute this')",
    }
    head = {"cell_type": "markdown", "metadata": {}, "source": f"# {record.experiment}"}
    kernel = {"display_name": "Python 3", "language": "python", "name": "python3"}
    notebook = {"cells": [head, code], "metadata": {"kernelspec": kernel}}
    return json.dumps(notebook | {"nbformat": 4, "nbformat_minor": 4}).encode()
