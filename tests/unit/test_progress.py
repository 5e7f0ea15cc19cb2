"""A person at the terminal sees how far a long command is; a program gets no bar."""

from __future__ import annotations

from io import StringIO

import pytest

from flask_srvsession.commands.desk import progress, watched


class Terminal(StringIO):
    def isatty(self) -> bool:
        return True


def test_people_see_how_far_a_command_is(monkeypatch: pytest.MonkeyPatch) -> None:
    terminal = Terminal()
    monkeypatch.setattr("sys.stderr", terminal)

    assert [*progress(["a", "b"], "Ending")] == ["a", "b"]
    with watched("Erasing") as watch:
        assert watch is not None
        watch(1, 4)
        watch(4, 4)

    shown = terminal.getvalue()
    assert "Ending" in shown
    assert "Erasing" in shown
    assert "25%" in shown
    assert shown.count("100%") >= 2


def test_a_program_and_a_single_item_get_no_bar(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    assert [*progress(["a", "b"], "Ending")] == ["a", "b"]
    with watched("Erasing") as watch:
        assert watch is None
    monkeypatch.setattr("sys.stderr", terminal := Terminal())
    assert [*progress(["a"], "Ending")] == ["a"]

    assert terminal.getvalue() == ""
    assert capsys.readouterr().err == ""
