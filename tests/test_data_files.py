"""Source files of a user's data set: other content is noticed, other times are not."""

import os

import pytest

from helpers.data_files import describe_source, has_changed


@pytest.mark.parametrize("kind", ["file", "folder"])
def test_other_content_is_noticed_and_a_touched_file_is_not(tmp_path, kind):
    source = tmp_path / "mine"
    victim = source / "train/cat/a.png" if kind == "folder" else source
    victim.parent.mkdir(parents=True, exist_ok=True)
    victim.write_bytes(b"picture")
    recorded = describe_source(source)
    assert (recorded["files"], recorded["bytes"]) == (1, 7)
    os.utime(victim, (1, 1))
    assert not has_changed(source, recorded)
    victim.write_bytes(b"another")
    assert has_changed(source, recorded)
    victim.write_bytes(b"picture")
    assert not has_changed(source, recorded)
    if kind == "folder":
        for name in ("notes.txt", ".hidden.png"):
            (source / name).write_text("x")
        assert not has_changed(source, recorded)
        victim.rename(victim.with_name("b.png"))
        assert has_changed(source, recorded)
        victim.with_name("b.png").rename(victim)
        (source / "train/dog").mkdir()
        (source / "train/dog/a.PNG").write_bytes(b"new")
        assert has_changed(source, recorded)
    assert not has_changed(tmp_path / "missing", recorded)


def test_content_is_not_read_where_nothing_was_touched(tmp_path, monkeypatch):
    (tmp_path / "a.png").write_bytes(b"picture")
    recorded = describe_source(tmp_path)
    monkeypatch.setattr("helpers.data_files.digest_file", lambda path: pytest.fail("read"))
    assert not has_changed(tmp_path, recorded)
