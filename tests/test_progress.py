"""What a batch tells of a run while it is made."""

import io

from distributed import Client, LocalCluster
from tqdm import tqdm

from helpers.runs import progress


def train(tell):
    """Let a listener take what a training's bar writes."""
    bar = tqdm(total=40, desc="train", mininterval=0, file=progress.Listener(tell))
    bar.update(10)
    bar.set_postfix({"epoch": "1/4", "train_accuracy": "0.9", "validation_accuracy": "0.812"})
    bar.close()


def test_a_bar_tells_epoch_accuracy_and_time_left():
    told = []
    train(told.append)
    assert told[-1].startswith("train, ")
    assert told[-1].endswith(" left, epoch 1/4, accuracy 0.812")
    told.clear()
    progress.Listener(told.append).write("UserWarning: 50% of the images | are <grey>, really")
    assert not told


def on_worker():
    train(progress.tell_batch("pets_scratch seed 0"))


def test_a_worker_tells_the_batch():
    told = []
    with LocalCluster(n_workers=1, dashboard_address=None) as cluster, Client(cluster) as client:
        client.subscribe_topic(progress.TOPIC, lambda event: told.append(event[1]))
        client.submit(on_worker).result()
        client.unsubscribe_topic(progress.TOPIC)
    assert told[-1][0] == "pets_scratch seed 0"
    assert "epoch 1/4, accuracy 0.812" in told[-1][1]


class Terminal(io.StringIO):
    def isatty(self):
        return True


def test_a_terminal_gets_a_line_and_a_log_nothing(monkeypatch):
    for stream, written in [(Terminal(), True), (io.StringIO(), False)]:
        monkeypatch.setattr("sys.stderr", stream)
        lines = progress.Lines()
        lines.show((0.0, ["pets_scratch seed 0", "00:04 left, epoch 1/4"]))
        lines.close("pets_scratch seed 0")
        assert ("pets_scratch seed 0" in stream.getvalue()) is written
        assert (stream.getvalue() == "") is not written
