"""Sweeps over grids: the numbers of `evolve`, wherever they are computed and kept."""

import jax.random as jr
import numpy as np
import pytest
import xarray as xr

import qtm
from qtm.sweeps.grid import Grid, count
from qtm.sweeps.store import ZarrStore

UNIT = qtm.Moments(mean=0.0, variance=1.0)
GRID = {"optimum": [0.0, 1.0, 2.0], "width2": [2.0, 5.0, 9.0, 20.0]}
KEY = jr.key(6)


def cycle_of(point):
    return qtm.LifeCycle(
        selection=qtm.Stabilizing(optimum=point["optimum"], width2=point["width2"]),
        mutation=qtm.GaussianMutation(variance=0.1),
        size=15,
    )


def swept(**change):
    arguments = {"cycle_of": cycle_of, "grid": GRID, "state": UNIT, "generations": 3, "key": KEY}
    return qtm.sweep(**{**arguments, **change})


@pytest.fixture
def small_tasks(monkeypatch):
    """Several tasks even of a small grid."""
    monkeypatch.setattr("qtm.sweeps.run._NUMBERS", 5)


def test_a_point_is_what_evolve_gives():
    data = swept(keep="all")
    assert data["mean"].dims == ("optimum", "width2", "generation")
    assert data["mean"].shape == (3, 4, 4)
    for i, (o, w) in enumerate((o, w) for o in GRID["optimum"] for w in GRID["width2"]):
        path = qtm.evolve(cycle_of({"optimum": o, "width2": w}), UNIT, 3, key=jr.fold_in(KEY, i))
        point = data.sel(optimum=o, width2=w)
        np.testing.assert_allclose(point["mean"], path.mean, rtol=1e-13, atol=1e-15)
        np.testing.assert_allclose(point["variance"], path.variance, rtol=1e-13)


def test_replicates_have_keys_of_their_own_and_more_of_them_change_none():
    few, more = swept(replicates=2), swept(replicates=3)
    assert more["variance"].dims == ("optimum", "width2", "replicate")
    np.testing.assert_array_equal(few["variance"], more["variance"][..., :2])
    alone = swept(key=jr.fold_in(KEY, 1))
    np.testing.assert_allclose(alone["variance"], more["variance"][..., 1], rtol=1e-13)
    assert np.unique(more["variance"]).size == more["variance"].size


def test_traits_and_what_jax_cannot_trace():
    """A text and a population size are axes too; several traits are a dimension."""

    def cycle(point):
        guidance = qtm.Guidance(2.0, qtm.Moments(0.0, [1.5, 2.0]), operator=point["operator"])
        return qtm.LifeCycle(selection=guidance, size=point["size"])

    grid = {"operator": ["tilt", "ddim"], "size": [10, 40]}
    data = qtm.sweep(cycle, grid, UNIT, generations=1, fixed=["size"])
    assert data["variance"].dims == ("operator", "size", "trait")
    ddim = data["variance"].sel(operator="ddim", size=10)
    np.testing.assert_allclose(ddim, 0.9 / np.array([1.5, 2.0]))


@pytest.mark.parametrize("kind", ["zarr", "nc"])
def test_a_killed_sweep_goes_on(tmp_path, monkeypatch, small_tasks, kind):
    path, uninterrupted = tmp_path / f"out.{kind}", swept(keep="all")
    write, written = ZarrStore.write, []

    def killed(self, number, region, results):
        if len(written) == 4:
            raise KeyboardInterrupt
        written.append(number)
        write(self, number, region, results)

    monkeypatch.setattr(ZarrStore, "write", killed)
    with pytest.raises(KeyboardInterrupt):
        swept(keep="all", out=path)
    assert kind == "zarr" or not path.exists()
    written.clear()
    counts = []
    monkeypatch.setattr(
        ZarrStore, "write", lambda self, *task: (counts.append(1), write(self, *task))
    )
    done = []
    data = swept(keep="all", out=path, progress=done.append)
    assert 0 < len(counts) < 12  # finished tasks are not computed again
    assert done[0] == 4
    assert sum(done) == 12
    xr.testing.assert_equal(data.compute(), uninterrupted)
    assert data.chunks  # opened lazily
    assert sorted(file.name for file in tmp_path.iterdir()) == [path.name]
    again = []
    swept(keep="all", out=path, progress=again.append)
    assert again == [12]


@pytest.mark.parametrize("kind", ["zarr", "nc"])
@pytest.mark.parametrize(
    ("change", "named"),
    [
        ({"grid": {**GRID, "optimum": [0.0, 1.0, 2.5]}}, "optimum"),
        ({"generations": 4}, "generations"),
        ({"key": jr.key(7)}, "key"),
        ({"state": qtm.Moments(0.0, 2.0)}, "state"),
        ({"replicates": 2}, "replicates"),
        ({"cycle_of": lambda p: qtm.LifeCycle(selection=qtm.Directional(p["width2"]))}, "cycle_of"),
    ],
)
def test_the_store_of_another_sweep_is_refused(tmp_path, kind, change, named):
    path = tmp_path / f"out.{kind}"
    swept(out=path)
    with pytest.raises(ValueError, match=f"belongs to another sweep, they differ in .*{named}"):
        swept(out=path, **change)
    xr.testing.assert_equal(swept(out=path).compute(), swept())


def test_families_have_two_variances_more():
    def cycle(point):
        base = qtm.Families(mean=0.0, within=0.5, between=0.5)
        return qtm.FamilyCycle(0.9, scale=point["scale"], base=base, uptake=0.5)

    start = qtm.Families(mean=0.2, within=0.6, between=0.4)
    data = qtm.sweep(cycle, {"scale": [1.0, 1.5, 2.0]}, start, generations=3, keep="all")
    for w in (1.0, 1.5, 2.0):
        path = qtm.evolve(cycle({"scale": w}), start, 3)
        for name in ("mean", "variance", "within", "between"):
            np.testing.assert_allclose(
                data[name].sel(scale=w), getattr(path, name), rtol=1e-12, atol=1e-15
            )


def test_a_cluster_computes_the_same(tmp_path, small_tasks):
    from distributed import Client, LocalCluster

    here = swept(replicates=2)
    with (
        LocalCluster(2, threads_per_worker=1, processes=False, dashboard_address=":0") as cluster,
        Client(cluster, set_as_default=False) as client,
    ):
        by_client = swept(replicates=2, scheduler=client)
        by_address = swept(
            replicates=2, scheduler=cluster.scheduler_address, out=tmp_path / "out.zarr"
        )
    xr.testing.assert_equal(here, by_client)
    xr.testing.assert_equal(here, by_address.compute())


@pytest.mark.parametrize("most", [1, 3, 4, 5, 8, 11, 12, 100])
def test_tasks_cover_the_grid_once(most):
    grid = Grid.of({"a": range(3), "b": ["x", "y"], "c": range(4)}, (), 2)
    tasks = grid.tasks(grid.pieces(most))
    covered = np.zeros(grid.shape, int)
    for task in tasks:
        covered[task] += 1
        assert count(task) <= most
        assert len(grid.fixed_at(task)) == 1
    assert (covered == 1).all()


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"grid": {"width2": []}}, "width2 must be a list of at least 1 number or text"),
        ({"grid": {"width2": [[1.0]]}}, "width2 must be a list"),
        ({"grid": {"width2": [1.0, np.nan]}}, "width2 must be finite, got nan"),
        ({"grid": {"mean": [1.0]}}, "must be an identifier other than .*got 'mean'"),
        ({"fixed": ["size"]}, "fixed must name axes of the grid, got 'size'"),
        ({"key": None, "replicates": 2}, "key must be given for replicates, got None"),
        ({"replicates": 0}, "replicates must be a whole number of at least 1, got 0"),
        ({"out": "out.csv"}, "out must end in .zarr or .nc, got 'out.csv'"),
        ({"keep": "none"}, "keep must be one of last, all"),
    ],
)
def test_errors(change, message):
    with pytest.raises(ValueError, match=message):
        swept(**change)


@pytest.mark.parametrize("kind", ["zarr", "nc"])
def test_what_is_no_store_is_left_alone(tmp_path, kind):
    path = tmp_path / f"out.{kind}"
    if kind == "zarr":
        path.mkdir()
        (path / "precious").write_text("x")
    else:
        path.write_text("x")
    with pytest.raises(ValueError, match="of a sweep, it is not"):
        swept(out=path)
    assert (path / "precious" if kind == "zarr" else path).read_text() == "x"
