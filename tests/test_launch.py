"""What the launcher starts, again and again; trainings that it starts are in test_workers.py."""

import importlib.util
from pathlib import Path

import pytest

from dnnlib.errors import UserError

ROOT = Path(__file__).resolve().parent.parent


@pytest.fixture
def launch():
    spec = importlib.util.spec_from_file_location("launch", ROOT / "tools" / "launch.py")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@pytest.mark.parametrize(
    ("given", "second"),
    [
        ([], ["--resume", "auto"]),
        (["--resume", "results/00000-a"], ["--resume", "results/00000-a"]),
        (["--resume=results/00000-a"], ["--resume=results/00000-a"]),
    ],
)
def test_after_a_loss_it_goes_on_with_the_run_that_was_named(launch, monkeypatch, given, second):
    started = []

    def run(_, commands):
        started.append([command[2 : command.index("--workers")] for command in commands])
        return [launch.LOST, 0] if len(started) == 1 else [0, 0]

    monkeypatch.setattr(launch.Job, "run", run)
    monkeypatch.setattr(launch, "enter_private_network", lambda: None)
    monkeypatch.setattr("sys.argv", ["launch.py", "--local", "2", "--", "--train=a", *given])
    with pytest.raises(SystemExit) as ended:
        launch.main()
    assert ended.value.code == 0
    assert started == [[["--train=a", *given]] * 2, [["--train=a", *second]] * 2]


def test_ports_that_cannot_be_closed_are_not_opened_unless_told(launch, monkeypatch):
    def not_allowed():
        raise PermissionError(1, "Operation not permitted")

    started = []
    monkeypatch.setattr(launch, "enter_private_network", not_allowed)
    monkeypatch.setattr(launch.Job, "run", lambda _, commands: started.extend(commands) or [0])
    monkeypatch.setattr("sys.argv", ["launch.py", "--local", "2", "--", "--train=a"])
    with pytest.raises(UserError, match="Operation not permitted.*--open-ports after the --"):
        launch.main()
    assert not started
    monkeypatch.setattr("sys.argv", ["launch.py", "--local", "2", "--", "--train=a", "--open-ports"])
    with pytest.raises(SystemExit) as ended:
        launch.main()
    assert ended.value.code == 0 and len(started) == 2 and all("--open-ports" in command for command in started)
