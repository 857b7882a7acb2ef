"""Made-up records: random logits with consistent scores, for tests of what reads records."""

import io
import json
import sys
from itertools import cycle, islice

import numpy as np
import pandas as pd

from helpers import metrics
from helpers.runs.integrity import sum_up
from helpers.runs.notebooks import seal
from helpers.runs.parameters import read_defaults
from helpers.runs.record import read_record, run_folder, write_record

EXPERIMENTS = {
    "pathmnist_basic": 1.0,
    "pathmnist_mixup": 1.6,
    "pathmnist_pretrained": 2.2,
    "pets_scratch": 1.5,
    "pets_supervised": 3.0,
    "pets_barlow_twins": 2.5,
}
FACTORS = {"pathmnist": (0.8, 0.9, 1.1, 1.2), "pets": (0.6, 0.8, 1.2, 1.4)}
SIGMAS = (0.3, 0.5, 0.7, 0.9)
STAND_INS = {"pathmnist": "tissue", "pets": "creatures"}


def write_records(results, profile, seeds=(0, 1, 2), official=False, salt=0, spoil=dict):
    """Write a record and an executed notebook for each experiment and seed."""
    for experiment in EXPERIMENTS:
        for seed in seeds:
            write_run(results, profile, experiment, seed, official, salt, spoil=spoil)


def write_other(results, name):
    """Write a record and an executed notebook of an experiment that is none of the six."""
    made = write_run(results / "elsewhere", "made_up", "pathmnist_basic", 0)
    contents = {file: (made.folder / file).read_bytes() for file in made.run["files"]}
    record = write_record(run_folder(results, name, 0), made.run | {"experiment": name}, contents)
    record.notebook.write_bytes(_notebook(record))
    return record


def show(monkeypatch, results, profile):
    """Let helpers.report read these records."""
    monkeypatch.setenv("REPORT_PROFILE", profile)
    monkeypatch.setenv("REPORT_RESULTS", str(results))
    for name, module in sys.modules.items():
        if name.startswith("helpers.report"):
            for value in vars(module).values():
                getattr(value, "cache_clear", lambda: None)()


def write_run(results, profile, experiment, seed, official=False, salt=0, right=None, spoil=dict):
    """Write one record and its executed notebook; another salt gives other numbers.

    With `right` every condition has just this fraction of its images right; `spoil` takes the
    predictions and returns what is written in their place.
    """
    dataset = experiment.split("_")[0]
    classes = [f"class {label}" for label in range(9 if dataset == "pathmnist" else 37)]
    generator = np.random.default_rng([salt, seed, *experiment.encode()])
    corruption = np.array(["clean"] + ["brightness"] * 4 + ["blur"] * 4)
    strength = np.array([np.nan, *FACTORS[dataset], *SIGMAS])
    images = np.random.default_rng([salt, *dataset.encode()])  # the same for all its runs
    labels, validation_labels = images.integers(len(classes), size=(2, 300))
    signal = EXPERIMENTS[experiment] * np.where(corruption == "clean", 1.4, 1.0)
    logits = np.stack([_draw_logits(labels, len(classes), size, generator) for size in signal])
    if right is not None:
        wrong = np.arange(len(labels)) >= round(right * len(labels))
        answers = (labels + wrong) % len(classes)
        logits[:] = 3 * np.eye(len(classes))[answers]
    validation_logits = _draw_logits(validation_labels, len(classes), signal[0], generator)
    scores = pd.DataFrame(
        {
            "corruption": corruption,
            "strength": strength,
            "accuracy": [metrics.accuracy(part, labels) for part in logits],
            "rms_calibration_error": [
                metrics.rms_calibration_error(metrics.confidence(p), metrics.correct(p, labels))
                for p in logits
            ],
        }
    )
    side = 28 if dataset == "pathmnist" else 32
    run = {
        "experiment": experiment,
        "seed": seed,
        "profile": profile,
        "parameters": read_defaults(experiment) | ({} if official else {"epochs": 5}),
        "recipe_hash": experiment,
        "data": {
            "name": dataset if official else STAND_INS[dataset],
            "official": official,
            "sha256": dataset,
            "classes": classes,
            "train": 1000,
            "validation": 200,
            "test": len(labels),
        },
        "weights": {"initialisation": "random", "sha256": None, "official": True},
        "environment": {
            "device": "cpu",
            "threads": 1,
            "python": "3.11",
            "torch": "2",
            "torchvision": "0",
            "numpy": "2",
            "git_commit": "0123456789abcdef",
            "git_dirty": False,
        },
        "started": "2026-01-01T00:00:00+00:00",
        "train_seconds": 60.0,
        "evaluate_seconds": 3.0,
        "peak_memory_bytes": 300_000_000,
        "best_epoch": 5,
    }
    wrong = (logits.argmax(axis=-1) != labels).argmax(axis=1)  # the first, or 0, of a condition
    examples = {
        "images": generator.integers(256, size=(9, 4, 3, side, side), dtype=np.uint8),
        "labels": np.arange(4),
        "mixup": generator.integers(256, size=(3, 3, side, side), dtype=np.uint8),
        "mixup_labels": np.array([0, 3]),
        "mistakes": generator.integers(256, size=(3, 3, side, side), dtype=np.uint8),
        "mistakes_index": wrong[[0, 3, 7]],
        "mistakes_condition": np.array([0, 3, 7]),
        "corruption": corruption,
        "strength": strength,
    }
    predictions = {
        "logits": logits,
        "labels": labels,
        "corruption": corruption,
        "strength": strength,
        "validation_logits": validation_logits,
        "validation_labels": validation_labels,
    }
    contents = {
        "history.csv": _history(generator).to_csv(index=False).encode(),
        "metrics.csv": scores.to_csv(index=False).encode(),
        "predictions.npz": _pack(spoil(predictions)),
        "examples.npz": _pack(examples),
    }
    record = write_record(run_folder(results, experiment, seed), run, contents)
    record.notebook.write_bytes(_notebook(record))
    return record


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
    """Write the records anew with hostile names and values, and with paths below a home."""
    for path in sorted(results.glob("*/seed-*/run.json")):
        run = json.loads(path.read_text())
        count = len(run["data"]["classes"])
        run["data"]["classes"] = list(islice(cycle(HOSTILE), count))
        run["recipe_hash"] = HOSTILE[5]
        run["data"]["sha256"] = HOSTILE[1]
        run["environment"] |= {"device": HOSTILE[0], "torch": HOSTILE[2], "git_commit": HOSTILE[5]}
        if run["seed"] == 1:
            run["data"]["name"] = HOSTILE[0]
        run["parameters"] |= {"network": HOSTILE[1], "precision": HOSTILE[5], "note": HOSTILE}
        run["parameters"]["initialisation"] = HOSTILE[3]
        start = f"{home}/results/`<b>start</b>`/weights.pt"
        run["weights"] |= {"initialisation": start, "official": False}
        path.write_text(json.dumps(run | {"checksum": sum_up(run)}))
    for path in sorted(results.glob("*/seed-*.ipynb")):
        notebook = json.loads(path.read_text())
        notebook["metadata"]["papermill"] = {"output_path": f"{home}/{path.name}"}
        warning = f"{home}/.venv/lib/x.py:3: UserWarning: mind {json.dumps(HOSTILE[0])}\n"
        for name in ("stderr", "stdout"):
            output = {"name": name, "output_type": "stream", "text": warning}
            notebook["cells"][-1]["outputs"].append(output)
        path.write_bytes(seal(json.dumps(notebook).encode(), read_record(path.with_suffix(""))))


def _draw_logits(labels, classes, signal, generator):
    logits = generator.normal(size=(len(labels), classes))
    return (logits + signal * np.eye(classes)[labels]).astype(np.float16)


def _history(generator):
    epoch = np.arange(1, 6)
    train = 0.9 - 0.5 / epoch + generator.normal(scale=0.01, size=5)
    validation = train - 0.05 * generator.random(5)
    return pd.DataFrame(
        {
            "epoch": epoch,
            "train_loss": 2 - train,
            "train_accuracy": train,
            "validation_loss": 2 - validation,
            "validation_accuracy": validation,
        }
    )


def _pack(arrays):
    buffer = io.BytesIO()
    np.savez(buffer, **arrays)
    return buffer.getvalue()


def _notebook(record):
    text = f"stored output of seed {record.seed}\n"
    output = {"name": "stdout", "output_type": "stream", "text": text}
    cells = [
        {"cell_type": "markdown", "metadata": {}, "source": f"# {record.experiment}"},
        {
            "cell_type": "code",
            "execution_count": 1,
            "metadata": {},
            "outputs": [output],
            "source": "raise SystemExit('a build must not execute this')",
        },
    ]
    kernel = {"display_name": "Python 3", "language": "python", "name": "python3"}
    notebook = {"cells": cells, "metadata": {"kernelspec": kernel}}
    return seal(json.dumps(notebook | {"nbformat": 4, "nbformat_minor": 4}).encode(), record)
