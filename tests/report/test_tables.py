"""Tables, ablations, calibration and overview: every subset of the arms, every format."""

import io
import warnings
from itertools import combinations, product

import numpy as np
import pandas as pd
import pytest

import made_up
from helpers import InputError, report
from helpers.report import records, tidy
from helpers.report.table_export import link_files, write_csv
from helpers.report.tables import export_table, list_columns, print_cell
from helpers.report.tidy import find_difference, find_estimate
from helpers.report.verdicts import judge, judge_change

NUMBERS = {"pathmnist": (1, 2, 3, 4), "pets": (5, 6, 7, 8)}


def show_all(dataset):
    """Return everything that pages show of a data set, as text."""
    shown = [report.show_table(number) for number in NUMBERS.get(dataset, ())]
    names = ("legend", "other_shifts", "differences", "results", "ablation", "scores")
    names += ("temperatures", "temperature_differences")
    shown += [getattr(report, f"show_{name}")(dataset) for name in names]
    names = ("overview", "cells", "summary", "gaps", "made_from", "claims", "tidy")
    shown += [getattr(report, f"show_{name}")() for name in names]
    shown = [part for part in shown if part is not None]  # no other shifts
    return [part._repr_html_() if hasattr(part, "panels") else part.data for part in shown]


def read_rows(text):
    return [
        [cell.strip() for cell in line.strip("|").split("|")]
        for line in text.split("\n")
        if line.startswith("| ")
    ]


SUBSETS = [chosen for size in range(4) for chosen in combinations(range(3), size)]


@pytest.mark.parametrize(("chosen", "seeds"), [*product(SUBSETS, [(0, 1)]), ((0, 1), (4,))])
def test_every_subset_of_the_arms_renders_every_table(tmp_path, show, chosen, seeds):
    labels = list(records.PAPER_ARMS["pathmnist"])
    for place in chosen:
        experiment = records.PAPER_ARMS["pathmnist"][labels[place]]
        made_up.write_run(tmp_path, "made_up", experiment, 9)  # a seed that only one arm has
        for seed in seeds[: None if place else 1]:
            made_up.write_run(tmp_path, "made_up", experiment, seed)
    show(tmp_path)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        texts = [text for dataset in ("pathmnist", "pets") for text in show_all(dataset)]
    assert not [text for text in texts if " nan " in f"{text} ".lower()]
    rows = read_rows(texts[0])
    assert [row[0] for row in rows[2:]] == labels
    for place, row in enumerate(rows[2:]):
        assert all(("—" in cell) == (place not in chosen) for cell in row[1:])
        assert all("{.paper}" in cell for cell in row[1:])
    command = "python -m helpers run -p results="
    legend = texts[len(NUMBERS["pathmnist"])]
    assert (command in legend) == (not (len(chosen) == 3 and len(seeds) == 1))


def test_another_data_set_with_four_arms_and_another_shift_has_tables_of_its_own(tmp_path, show):
    for arm in ("basic", "big", "small", "odd"):
        for seed in (0, 1):
            name, shifts = f"fog_{arm}", {"haze": (1, 2), "blur": (0.5,)}
            made_up.write_run(tmp_path, "made_up", name, seed, shifts=shifts)
    show(tmp_path)
    text = report.show_results("fog").data
    rows = read_rows(text)
    assert rows[0] == ["Model", "Clean", "Haze", "Blur"]
    assert {"basic", "big", "small", "odd"} <= {row[0] for row in rows}
    assert ["Model", "haze = 1", "haze = 2"] in rows
    pairs = read_rows(report.show_differences("fog").data)
    assert sum(row[0].endswith("− basic") for row in pairs) == 2 * 3
    assert "{.paper}" not in text
    show_all("fog")


def test_a_cell_shows_value_interval_floor_paper_and_verdict(study, show):
    show(study, "paper")
    row = find_estimate("pathmnist", "Basic", "rms_calibration_error_10", "blur")
    numbers = {name: f"{row[name]:.3f}" for name in ("mean", "sd", "low", "high", "noise_floor")}
    text = print_cell(row | {"best": True, "verdict": judge(row)})
    assert text.startswith("**{mean} ± {sd}** [{low} to {high}]{{.interval}}".format(**numbers))
    assert f"[floor {numbers['noise_floor']} (to {row['noise_floor_95']:.3f})]{{.floor}}" in text
    distance = f"{row['mean'] - 0.278:+.3f}".replace("-", "−")
    assert text.endswith(f"[0.278]{{.paper}} [✗ not reproduced ({distance})]{{.verdict}}")
    row |= {"best": False, "verdict": ""}
    assert "◦ as calibrated" in print_cell(row | {"mean": row["noise_floor_95"]})
    assert "◦" not in print_cell(row | {"mean": 0.5})
    assert print_cell(row | {"mean": -0.0001, "low": np.nan}).startswith("0.000 ±")


def test_each_verdict_on_a_cell(study, show, monkeypatch, tmp_path):
    show(study, "paper")
    row = find_estimate("pathmnist", "Basic", "accuracy")
    row |= {"predicted_low": 0.80, "predicted_high": 0.82, "paper": 0.8204}
    assert judge(row) == "reproduced"  # the paper's value is rounded
    assert judge(row | {"paper": 0.8206}) == "not reproduced"
    assert judge(row | {"n_seeds": 2}) == "consistent"
    assert judge(row | {"n_seeds": 2, "spread_from": ""}) == "inconclusive"
    assert judge(row | {"n_seeds": 0}) == judge(row | {"paper": np.nan}) == ""
    made_up.write_run(tmp_path, "short", "pathmnist_basic", 0, True, changes={"epochs": 10})
    made_up.write_run(tmp_path, "short", "pathmnist_mixup", 0, True, changes={"weight_decay": 1.0})
    show(tmp_path, "short")
    assert judge(row) == "consistent"
    assert judge(row | {"paper": 0.9}) == "not consistent"
    assert judge(row | {"arm": "MixUp + Aug"}) == ""
    legend = report.show_legend("pathmnist").data
    why = "(MixUp + Aug): parameters differ from the study's (`weight_decay`)."
    assert f"**The paper's values are not judged** {why}" in legend


def test_beneath_few_seeds_of_the_best_profile_stand_more_of_the_next(tmp_path, monkeypatch):
    monkeypatch.setattr(records, "ROOT", tmp_path)
    made_up.write_run(tmp_path / "records/paper", "paper", "pathmnist_basic", 0, True)
    for experiment, seed in product(("pathmnist_basic", "pathmnist_mixup"), (0, 1, 2)):
        options = {"changes": {"epochs": 10}, "salt": 1}
        made_up.write_run(tmp_path / "records/short", "short", experiment, seed, True, **options)
        made_up.write_run(tmp_path / "results/smoke", "smoke", experiment, seed)  # other images
    text = report.show_table(3).data
    best, beneath = text.split("This table as CSV")[0].split("LaTeX</a>")
    assert "profile paper (80 epochs), 1 seed (0)" in best
    assert "profile short (10 epochs), 3 seeds (0–2)" in beneath
    basic, mixup = read_rows(best)[2:4]
    assert "≈ consistent" in basic[1] or "≠ not consistent" in basic[1]
    assert mixup[1].startswith("—")
    (cells, *_) = pd.read_csv(io.StringIO(export_table(3, "csv"))).groupby("profile", sort=False)
    row, single = cells[1].iloc[0], tidy.load_tables()[0].query("profile == 'short'")
    spread = single.query("arm == 'Basic' and metric == 'accuracy' and shift == 'brightness'")["sd"]
    half = 4.3027 * spread.iloc[0] * 2**0.5
    assert row["predicted_high"] - row["mean"] == pytest.approx(half, rel=1e-4)
    assert (row["profile"], row["spread_from"]) == ("paper", "short")
    assert set(report.differences()["profile"]) == {"short"}
    summary, legend = report.show_summary().data, report.show_legend("pathmnist").data
    assert "profile paper (80 epochs), 1 seed (0): " in summary
    assert "not measured 28. The spread between seeds is taken from profile short." in summary
    assert "those of profile short (10 epochs), 3 seeds (0–2) follow below" in legend
    assert "smoke" not in text + summary + legend


def test_stand_ins_are_not_judged(drawn, show):
    show(drawn)
    text = report.show_table(1).data
    assert "{.verdict}" not in text
    assert "on tissue (in place of PathMNIST)" in text
    legend = report.show_legend("pathmnist").data
    assert "not judged**: the data are tissue (in place of PathMNIST), not PathMNIST." in legend
    summary = report.show_summary().data
    assert "**The paper's 42 cells of Oxford-IIIT Pets**, profile made_up" in summary
    assert "not judged 42" in summary


def test_files_hold_the_numbers_of_the_table(drawn, show):
    show(drawn)
    for number in range(1, 9):
        cells = pd.read_csv(io.StringIO(export_table(number, "csv")), keep_default_na=True)
        shown = read_rows(report.show_table(number).data)
        texts, lines = export_table(number, "latex"), read_rows(export_table(number, "md"))
        assert [row[0] for row in lines] == [row[0] for row in shown]
        cells = iter(cells.itertuples())
        scale, digits = (1, 3) if number in (2, 6) else (100, 1)
        for row, line in zip(shown[2:], lines[2:], strict=True):
            for cell, plain in zip(row[1:], line[1:], strict=True):
                found = next(cells)
                mean = f"{scale * found.mean:.{digits}f} ± {scale * found.sd:.{digits}f}"
                bold, paper = f"**{mean}**", f"{scale * found.paper:.{digits}f}"
                assert cell.startswith(f"{bold if found.best else mean} [")
                assert plain.startswith(f"{bold if found.best else mean} (")
                assert plain.replace("*", "").endswith(f"({paper})")
                assert f"**{paper}**" * found.paper_bold in cell
                assert mean.replace("±", r"$\pm$") in texts
        assert texts.startswith("% needs \\usepackage{booktabs}")
        assert f"\\label{{tab:{number}}}" in texts
        assert not set(texts) - set(map(chr, range(32, 127))) - {"\n", "’"}


def test_best_is_what_is_printed(tmp_path, show):
    rights = {"pathmnist_basic": 0.5, "pathmnist_mixup": 0.5, "pathmnist_pretrained": 0.4}
    for experiment, right in rights.items():
        made_up.write_run(tmp_path, "made_up", experiment, 0, right=right)
    show(tmp_path)
    bold = [row[1].startswith("**") for row in read_rows(report.show_table(1).data)[2:]]
    assert bold == [True, True, False]


@pytest.mark.parametrize(("number", "form", "word"), [(9, "md", "1 to 8"), (1, "xml", "latex")])
def test_an_unknown_table_or_format_is_one_line(number, form, word):
    with pytest.raises(InputError, match=word) as error:
        export_table(number, form)
    assert "\n" not in str(error.value)


def test_csv_defuses_formulas():
    text = write_csv([{"a": "=1+1", "b": "-x", "c": -0.5}, {"a": "plain", "b": "+1", "c": 2}])
    assert text == "a,b,c\n'=1+1,'-x,-0.5\nplain,+1,2\n"
    assert 'download="x.csv"' in link_files("x", "X", csv='a,"b"\n')
    assert write_csv([]).strip() in ("", '""')


def test_differences_are_marked_by_their_adjusted_p(drawn, show):
    show(drawn)
    text = report.show_differences("pets").data
    row = find_difference("pets", "Supervised", "No Pretraining", "accuracy")
    assert row["p_holm"] < 0.05
    (cells,) = [r for r in read_rows(text) if r[0] == "Supervised − No Pretraining"][:1]
    low, high = (f"{100 * row[end]:+.1f}" for end in ("low", "high"))
    assert cells[1].startswith(f"**{100 * row['mean']:+.1f}** \\* [{low} to {high}]{{.interval}}")
    assert f"Holm p = {row['p_holm']:.3f}" in cells[1] or "Holm p < 0.001" in cells[1]
    assert "below 0.05; profile made_up (5 epochs), 3 seeds (0–2)." in text


@pytest.fixture(scope="session")
def varied(tmp_path_factory):
    """Two variants of an arm: one as it was, one that loses to all."""
    folder = tmp_path_factory.mktemp("varied")
    signals = {"pathmnist_basic": 1.0, "pathmnist_mixup": 2.0}
    for seed, (experiment, signal) in product((0, 1, 2), signals.items()):
        made_up.write_run(folder, "made_up", experiment, seed, signal=signal)
    for seed, (name, signal) in product((0, 1, 2), {"same": 2.0, "worse": 0.2}.items()):
        change = {"changes": {"second_forward": name == "worse"}, "signal": signal}
        made_up.write_run(folder, "made_up", "pathmnist_mixup", seed, variant=name, **change)
    return folder


def test_an_ablation_says_which_conclusions_hold(varied, show):
    show(varied)
    rows = read_rows(report.show_ablation("pathmnist").data)
    same, same_minus, worse, worse_minus = rows[3:7]
    assert same[0].startswith("MixUp + Aug (same): `second_forward` True → False [seeds 0–2]")
    assert same_minus[0] == "MixUp + Aug (same) minus Basic"
    assert "✓ holds" in same_minus[1]
    assert "✗ fails" in worse_minus[1]
    arm = "pathmnist", "MixUp + Aug"
    row = find_difference(*arm, arm[1], "accuracy", variant="worse")
    expected = find_estimate(*arm, "accuracy")["mean"]
    assert row["mean"] < 0.1 - expected / 2
    text = f"{100 * row['mean']:+.1f} [{100 * row['low']:+.1f} to".replace("-", "−")
    assert worse[1].startswith(text)
    assert "No ablation" in report.show_ablation("pets").data


def test_a_conclusion_needs_two_seeds_and_intervals_without_0():
    up = {"n_seeds": 2, "mean": 1, "low": 0.5, "high": 1.5}
    down = up | {"mean": -1, "low": -1.5, "high": -0.5}
    assert judge_change(up, up) == "holds"
    assert judge_change(up, down) == "fails"
    assert judge_change(up, up | {"low": -0.5}) == judge_change(up | {"n_seeds": 1}, up)
    assert judge_change(up | {"n_seeds": 1}, up) == "inconclusive"


def test_calibration_tables_show_every_metric_and_both_temperatures(drawn, show):
    show(drawn)
    rows = read_rows(report.show_scores("pets").data)
    assert len(rows) == 2 + 3 * (1 + 11)
    row = find_estimate("pets", "Self-Supervised", "brier_score", "blur")
    (cell,) = [r[3] for r in rows if r[0] == "Brier score"][2:]
    assert cell == f"{row['mean']:.3f} ± {row['sd']:.3f}"
    tempered = read_rows(report.show_temperatures("pets").data)[3]
    warm = find_estimate("pets", "No Pretraining", "rms_calibration_error_10_tempered")
    assert tempered[0].startswith("No Pretraining at T = ")
    assert tempered[1].startswith(f"{warm['mean']:.3f} ±")
    rows = read_rows(report.show_temperature_differences("pets").data)
    assert rows[3][0] == "Supervised − No Pretraining at its temperature"
    assert rows[-1][0].startswith("Self-Supervised at its temperature − No Pretraining at its")


def test_the_overview_is_short_and_from_the_tables(drawn, show):
    show(drawn)
    text = report.show_overview().data
    rows = read_rows(text)
    assert text.count(":class: overview") == 2  # real and drawn images never share a table
    assert len(rows) == 2 * (2 + 3)
    lost = find_estimate("pathmnist", "Basic", "accuracy_lost", "blur")
    assert rows[2][3].replace("*", "") == f"{100 * lost['mean']:.1f} [14.8]{{.paper}}"
    summary = report.show_summary().data
    assert f"Blur costs Basic {100 * lost['mean']:.1f} and MixUp + Aug " in summary
    row = find_difference("pets", "Supervised", "No Pretraining", "accuracy")
    mean, low, high = (f"{100 * row[end]:+.1f}" for end in ("mean", "low", "high"))
    assert "In accuracy, Supervised is significantly better on clean images" in summary
    assert f"than No Pretraining: {mean} points on clean images ({low} to {high})" in summary
    assert "profile made_up (5 epochs), 3 seeds (0–2)" in report.show_made_from().data
    assert list_columns("pets") == [("clean", None), ("brightness", None), ("blur", None)]
