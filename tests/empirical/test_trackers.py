"""Trackers are told every loss and every metric, on one axis, and are closed."""

import pytest

from empirical.chain import loop, trackers
from empirical.errors import UserError
from tests.helpers.tiny_chain import tiny


@pytest.fixture
def diary():
    """A custom tracker, registered where accelerate looks."""
    from accelerate import tracking

    entries = []

    class Diary(tracking.GeneralTracker):
        name = "diary"
        requires_logging_directory = True

        def __init__(self, run_name, logging_dir):
            super().__init__()
            entries.append(("made", run_name, logging_dir))

        @property
        def tracker(self):
            return entries

        def start(self):
            entries.append(("started",))

        def store_init_configuration(self, values):
            entries.append(("recipe", values))

        def log(self, values, step=None, **kwargs):
            entries.append(("log", step, values))

        def finish(self):
            entries.append(("finished",))

    tracking.register_tracker_class(Diary)
    yield entries
    del tracking.LOGGER_TYPE_TO_CLASS["diary"]


def test_everything_is_told_once(tiny_run, diary, digits):
    with trackers.tracked("diary", tiny(), "mine") as on_generation:
        assert not diary
        loop.run(tiny(), tiny_run.folder, base=digits, on_generation=on_generation)
    made, started, settings, *logs, finished = diary
    assert made == ("made", "mine", str(tiny_run.folder / "tracking"))
    assert (started, finished) == (("started",), ("finished",))
    assert settings[1]["generate/guidance/scale"] == 2.0
    assert settings[1]["model/name"] == "digits"
    assert not (tiny_run.folder / "tracking").exists()
    # Generation 0, then three steps in each of two generations.
    assert [step for _, step, _ in logs] == [0, 1, 2, 3, 4, 5, 6]
    for number, step in enumerate((0, 3, 6)):
        values = logs[step][2]
        generation = tiny_run.generation(number)
        assert values["generation"] == number
        told = {key for key in values if key.startswith("metrics/")}
        assert told == {f"metrics/{key}" for key in trackers.numbers(generation.metrics())}
        assert told
        if number:
            assert values["loss"] == generation.loss()["loss"].iloc[-1]
    assert logs[1][2] == {
        "loss": tiny_run.generation(1).loss()["loss"][0],
        "gradient_norm": tiny_run.generation(1).loss()["gradient_norm"][0],
    }


def test_a_tracker_is_closed_after_an_error(tiny_run, diary):
    def broken():
        with trackers.tracked("diary", tiny(), "mine") as tell:
            tell(tiny_run.generation(0))
            raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        broken()
    assert diary[-1] == ("finished",)


def test_trackers_that_cannot_be_had(monkeypatch):
    from accelerate import tracking

    monkeypatch.setattr(tracking, "get_available_trackers", list)
    for name, said in (
        ("tensorbord", "no tracker 'tensorbord', known are .*tensorboard.*wandb"),
        ("tensorboard", "'tensorboard' is not installed: pip install tensorboard"),
        ("wandb", "'wandb' is not installed: pip install wandb"),
    ):
        with pytest.raises(UserError, match=said), trackers.tracked(name, tiny(), "mine"):
            pass
