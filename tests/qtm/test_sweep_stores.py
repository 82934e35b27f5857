"""Stores of sweeps: read by other programs, locked by one writer, kept when a cluster is lost."""

import os
import signal
import subprocess
import sys
import time
import warnings
from pathlib import Path

import dask
import numpy as np
import pytest
import xarray as xr
import zarr

import qtm
from qtm.sweeps import cluster
from qtm.sweeps.claim import claim
from tests.helpers.life_cycles import UNIT, optimum_at_o

ROOT = str(Path(__file__).parents[2])


def of_texts(point):
    guidance = qtm.Guidance(2.0, qtm.Moments(0.0, 1.5), operator=point["operator"])
    return qtm.LifeCycle(selection=guidance, size=point["size"])


TEXTS = {"operator": ["tilt", "ddim"], "size": [10, 40]}


@pytest.fixture
def small_tasks(monkeypatch):
    monkeypatch.setattr("qtm.sweeps.run._NUMBERS", 2)


@pytest.mark.parametrize("open_it", [
    lambda path: xr.open_zarr(path),
    lambda path: xr.open_dataset(path, engine="zarr"),
    lambda path: xr.open_zarr(path, consolidated=False),
])  # fmt: skip
def test_xarray_opens_a_store_without_a_warning(tmp_path, open_it):
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        swept = qtm.sweep(of_texts, TEXTS, UNIT, 2, keep="all", fixed=["size"],
                          out=tmp_path / "o.zarr")  # fmt: skip
        data = open_it(tmp_path / "o.zarr").load()
    assert set(data.data_vars) == {"mean", "variance"}
    assert set(data.coords) == {"operator", "size", "generation"}
    # As they were given: neither a 0 nor an empty text is a missing value.
    np.testing.assert_array_equal(data["generation"], [0, 1, 2])
    assert data["operator"].values.tolist() == TEXTS["operator"]
    assert data["size"].dtype.kind == "i"
    xr.testing.assert_equal(data, swept.compute())
    assert data["mean"].attrs["units"] == "feature units"
    alone = qtm.evolve(of_texts({"operator": "ddim", "size": 40}), UNIT, 2)
    np.testing.assert_allclose(
        data["variance"].sel(operator="ddim", size=40), alone.variance, rtol=1e-12
    )


def test_texts_of_any_letters_are_read_again(tmp_path):
    """Even by a reader of Zarr without xarray, and through netCDF."""
    names = ["", "日本", "a b", "$_%"]

    def cycle(point):
        return qtm.LifeCycle(selection=qtm.Directional(float(len(point["name"]))))

    for kind in ("zarr", "nc"):
        data = qtm.sweep(cycle, {"name": names}, UNIT, 1, out=tmp_path / f"o.{kind}")
        assert data["name"].values.tolist() == names
        np.testing.assert_allclose(data["mean"], [0, 2, 3, 3], rtol=1e-12)
    group = zarr.open_group(tmp_path / "o.zarr", mode="r")
    assert np.asarray(group["name"]).tolist() == names
    assert np.asarray(group["sweep/finished"]).all()


HOLD = """
import sys, time
from pathlib import Path
from qtm.sweeps.claim import claim
with claim(Path(sys.argv[1])):
    print("held", flush=True)
    time.sleep(60)
"""


@pytest.mark.parametrize("kind", ["zarr", "nc"])
def test_a_store_has_one_writer_and_outlives_it(tmp_path, monkeypatch, kind):
    monkeypatch.setattr("qtm.sweeps.claim._PATIENCE", 0.1)
    path = tmp_path / f"o.{kind}"
    holder = subprocess.Popen(
        [sys.executable, "-c", HOLD, str(path)], stdout=subprocess.PIPE, text=True,
        env={**os.environ, "PYTHONPATH": ROOT},
    )  # fmt: skip
    try:
        assert holder.stdout.readline() == "held\n"
        with pytest.raises(ValueError, match=f"another sweep is writing .*o.{kind}"):
            qtm.sweep(optimum_at_o, {"o": [1.0]}, UNIT, 2, out=path)
        assert not path.exists()
    finally:
        holder.send_signal(signal.SIGKILL)
        holder.wait()
    qtm.sweep(optimum_at_o, {"o": [1.0]}, UNIT, 2, out=path)
    assert [p.name for p in tmp_path.iterdir()] == [path.name]


def test_a_claim_ends_with_an_error(tmp_path):
    with pytest.raises(KeyError), claim(tmp_path / "x.zarr"):
        raise KeyError
    with claim(tmp_path / "x.zarr"):
        pass
    assert not list(tmp_path.iterdir())


@pytest.mark.slow
@pytest.mark.parametrize("kind", ["zarr", "nc"])
def test_two_that_start_at_once_leave_a_store_that_is_right(tmp_path, kind):
    code = (
        "import sys, qtm\n"
        "from tests.helpers.life_cycles import UNIT, optimum_at_o\n"
        "qtm.sweep(optimum_at_o, {'o': [1.0, 2.0]}, UNIT, 2, out=sys.argv[1])\n"
    )
    words = [sys.executable, "-c", code, str(tmp_path / f"o.{kind}")]
    both = [subprocess.Popen(words, stderr=subprocess.PIPE, text=True,
                             env={**os.environ, "PYTHONPATH": ROOT}) for _ in range(2)]  # fmt: skip
    errors = [process.communicate()[1] for process in both]
    assert 0 in [process.returncode for process in both]
    for process, text in zip(both, errors, strict=True):
        assert process.returncode == 0 or "another sweep is writing" in text.splitlines()[-1]
    data = qtm.sweep(optimum_at_o, {"o": [1.0, 2.0]}, UNIT, 2, out=tmp_path / f"o.{kind}")
    xr.testing.assert_equal(data.compute(), qtm.sweep(optimum_at_o, {"o": [1.0, 2.0]}, UNIT, 2))


def test_the_rest_of_a_killed_end_is_removed(tmp_path):
    """Between the netCDF file and the removal of its parts."""
    path = tmp_path / "o.nc"
    qtm.sweep(optimum_at_o, {"o": [1.0]}, UNIT, 2, out=path)
    (tmp_path / ".o.nc.zarr").mkdir()
    qtm.sweep(optimum_at_o, {"o": [1.0]}, UNIT, 2, out=path)
    assert [p.name for p in tmp_path.iterdir()] == ["o.nc"]


def test_a_scheduler_that_is_lost_costs_nothing(tmp_path, small_tasks):
    from distributed import LocalCluster

    grid = {"o": np.linspace(0.0, 1.0, 12)}
    cluster = LocalCluster(1, threads_per_worker=1, processes=False, dashboard_address=":0")
    done = []

    def progress(count):
        done.append(count)
        if len(done) == 3:
            cluster.close()

    call = {"grid": grid, "state": UNIT, "generations": 2, "out": tmp_path / "o.zarr"}
    with pytest.raises(ConnectionError, match=r"scheduler at .* was lost; finished tasks are kept"):
        qtm.sweep(optimum_at_o, scheduler=cluster.scheduler_address, progress=progress, **call)
    counted = []
    data = qtm.sweep(optimum_at_o, progress=counted.append, **call)
    assert dask.config.get("scheduler", None) is None
    assert counted[0] >= 2
    assert sum(counted) == 12
    xr.testing.assert_equal(data.compute(), qtm.sweep(optimum_at_o, grid, UNIT, 2))


def test_workers_that_do_not_come_back_are_said(tmp_path, small_tasks, monkeypatch):
    from distributed import LocalCluster

    monkeypatch.setattr("qtm.sweeps.cluster._LOOK", 0.2)
    monkeypatch.setattr("qtm.sweeps.cluster._ALONE", 0.6)
    with LocalCluster(1, threads_per_worker=1, processes=False, dashboard_address=":0") as local:

        def progress(count):
            if count:
                local.scale(0)
                end = time.monotonic() + 60
                while local.scheduler.workers and time.monotonic() < end:
                    time.sleep(0.05)

        with pytest.raises(ConnectionError, match=r"has had no workers for 0\.6 seconds"):
            qtm.sweep(
                optimum_at_o, {"o": np.linspace(0, 1, 40)}, UNIT, 2, out=tmp_path / "o.zarr",
                scheduler=local.scheduler_address, progress=progress,
            )  # fmt: skip


def test_results_that_were_lost_with_their_worker_are_not_awaited_for_ever(monkeypatch):
    """A worker may leave between the end of a task and the transfer of its result."""
    monkeypatch.setattr("qtm.sweeps.cluster._ALONE", 3 * cluster._LOOK)
    workers, calls = [{"a": 1}, {}, {}, {"b": 1}, {}, {}, {}], []

    class Client:
        def nthreads(self):
            return workers.pop(0)

    def attempt(timeout):
        calls.append(timeout)
        raise TimeoutError

    with pytest.raises(ConnectionError, match="has had no workers for"):
        cluster._while_workers_live(Client(), attempt)
    assert calls == [cluster._LOOK] * 7
    assert cluster._while_workers_live(Client(), lambda timeout: "result") == "result"


def test_where_no_scheduler_is(monkeypatch):
    monkeypatch.setattr("qtm.sweeps.cluster._PATIENCE", "0.2s")
    for address in ("tcp://127.0.0.1:9", "nonsense"):
        with pytest.raises(ValueError, match=f"there is no Dask scheduler at {address}"):
            qtm.sweep(optimum_at_o, {"o": [1.0]}, UNIT, 1, scheduler=address)
        # Dask would else compute every array of this process on a cluster that is not there.
        assert dask.config.get("scheduler", None) is None


def test_a_worker_with_other_code_computes_nothing(monkeypatch):
    from distributed import Client, LocalCluster

    theirs = {"qtm": "9.9", "source": "0", "jax": "1"}
    monkeypatch.setattr("qtm.sweeps.task.code", lambda: theirs)  # the default was taken before
    with (
        LocalCluster(1, threads_per_worker=1, processes=False, dashboard_address=":0") as cluster,
        Client(cluster, set_as_default=False) as client,
        pytest.raises(ValueError, match=r"a worker has other code of qtm or JAX \(qtm 9\.9"),
    ):
        qtm.sweep(optimum_at_o, {"o": [1.0]}, UNIT, 1, scheduler=client)
