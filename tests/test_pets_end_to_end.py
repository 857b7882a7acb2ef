"""The three Pets experiments on JPEGs through the real loader: on real photographs in CI."""

import pytest

from helpers.runs.record import read_records
from test_batch import helpers

WORDS = [
    *["--profile", "paper", "--only", "pets_*", "--seeds", "0"],
    *[
        "-p",
        "network=resnet18",
        "-p",
        "image_size=64",
        "-p",
        "epochs=2",
        "-p",
        "pretraining_epochs=2",
        "-p",
        "batch_size=64",
    ],
    *["-p", "twins_batch_size=64", "-p", "projector=[64, 64]", "-p", "dataset=pets"],
    # Pretraining in the domain, since no published weights can be had everywhere.
    "-p",
    "stand_in_weights={'imagenet': 'pretrain_supervised/seed-0/weights.pt',"
    " 'barlow_twins': 'pretrain_barlow_twins/seed-0/weights.pt'}",
]


@pytest.fixture(scope="module")
def records(pets_root, tmp_path_factory):
    results = tmp_path_factory.mktemp("results") / "pets"
    done = helpers("run", *WORDS, "-p", f"data_dir={pets_root}", "-p", f"results={results}")
    assert done.returncode == 0, done.stderr
    return {record.experiment: record for record in read_records(results)}


def test_all_three_arms_and_both_pretrainings_ran_on_pets(records):
    assert list(records) == [
        "pets_barlow_twins",
        "pets_scratch",
        "pets_supervised",
        "pretrain_barlow_twins",
        "pretrain_supervised",
    ]
    for record in records.values():
        assert record.run["data"]["name"] == "pets"
        assert record.run["data"]["official"] is False  # a part of the published set
        assert len(record.run["data"]["classes"]) == 37
        assert len(record.history) == 2


@pytest.mark.parametrize("arm", ["scratch", "supervised", "barlow_twins"])
def test_every_condition_was_evaluated_on_every_test_image(records, arm):
    record = records[f"pets_{arm}"]
    count = record.run["data"]["test"]
    assert record.predictions["logits"].shape == (9, count, 37)
    assert record.metrics.strength.tolist()[1:] == [0.6, 0.8, 1.2, 1.4, 0.3, 0.5, 0.7, 0.9]
    assert record.metrics.accuracy.between(0, 1).all()
    assert record.examples["images"].shape == (9, 4, 3, 64, 64)


def test_the_pretrained_arms_started_from_the_pretrained_weights(records):
    for arm in ("supervised", "barlow_twins"):
        checkpoint = records[f"pretrain_{arm}"].run["files"]["weights.pt"]
        assert records[f"pets_{arm}"].run["weights"]["sha256"] == checkpoint
    assert records["pets_scratch"].run["weights"]["initialisation"] == "random"
