"""Sweeps of chains: finished ones are skipped, none ends another, and any can be gone on with."""

import os
import shutil
import time

import pytest
from filelock import FileLock

from empirical.errors import UserError
from empirical.sweeps import cluster, grid, local, run, work
from empirical.sweeps.local import LocalPool, Slot
from empirical.sweeps.status import status
from tests.helpers import sweep_pools
from tests.helpers.sweep_pools import Here
from tests.helpers.tiny_chain import TINY, contents

NAMES = ("seed=0", "seed=1")


@pytest.fixture
def two():
    table = {**TINY, "sweep": {"seed": [0, 1]}}
    return grid.Grid("# kept\n" + _toml(table), grid.parse(table))


def _toml(table):
    import tomli_w

    return tomli_w.dumps(table)


def _sentences(failed):
    return {name: failure.sentence for name, failure in failed.items()}


def test_a_sweep_is_its_chains_and_goes_on_after_failures_and_interruptions(
    two, tiny_run, tmp_path
):
    out = tmp_path / "sweep"
    # The first chain is nearly done, but an image of it is gone.
    shutil.copytree(tiny_run.folder, out / "seed=0")
    (out / "grid.toml").write_text(two.text)
    (out / "seed=0" / "moments.csv").unlink()
    lost = out / "seed=0" / "gen_001" / "images" / "00003.png"
    image = lost.read_bytes()
    lost.unlink()
    sweep = run.prepare(two, out, Here())
    assert set(sweep.surveys) == set(NAMES)
    done = []

    def interrupt(count):
        done.append(count)
        if sum(done) > 100:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        sweep.run(Here(), interrupt)
    assert [each.state for each in status(out)] == ["failed", "interrupted"]
    assert "00003.png' is missing" in status(out)[0].error
    failed = run.prepare(two, out, Here()).run(Here())
    assert "00003.png' is missing" in _sentences(failed)["seed=0"]
    assert [each.state for each in status(out)] == ["failed", "done"]
    assert run.prepare(two, out, Here()).surveys.keys() == {"seed=0"}
    lost.write_bytes(image)
    assert run.prepare(two, out, Here()).run(Here()) == {}
    assert contents(out / "seed=0") == contents(tiny_run.folder)
    assert not list(out.glob("*.error.txt"))
    assert (out / "grid.toml").read_text() == two.text
    assert [(each.done, each.total, each.state) for each in status(out)] == [(2, 2, "done")] * 2
    # With nothing left to do no worker is used.
    assert run.prepare(two, out, None).work == 0


@pytest.mark.slow
@pytest.mark.parametrize("spoil", [lambda text: text.replace("2.0", "3.0"), lambda text: "{"])
def test_a_chain_whose_recipe_was_edited_ends_no_other(two, tiny_run, tmp_path, spoil):
    out = tmp_path / "sweep"
    shutil.copytree(tiny_run.folder, out / "seed=0")
    (out / "grid.toml").write_text(two.text)
    edited = out / "seed=0" / "recipe.toml"
    edited.write_text(spoil(edited.read_text()))
    failed = run.prepare(two, out, Here()).run(Here())
    assert failed.keys() == {"seed=0"}
    assert [each.state for each in status(out)] == ["failed", "done"]
    assert "recipe" in status(out)[0].error
    # Also where the runs lie in a folder without a grid.
    (out / "grid.toml").unlink()
    assert [each.name for each in status(out)] == ["seed=0", "seed=1"]


@pytest.mark.slow
def test_a_model_that_is_kept_gives_the_chain_of_a_new_one(tiny_run, tmp_path):
    """Two chains in turn in one worker process; the second equals a chain made elsewhere."""
    import torch

    table = {**TINY, "sweep": {"seed": [1, 0]}}
    chains = grid.Grid(_toml(table), grid.parse(table))
    counts = []
    with LocalPool([Slot("", torch.get_num_threads())]) as pool:
        sweep = run.prepare(chains, tmp_path / "s", pool)
        assert sweep.run(pool, counts.append) == {}
    assert contents(tmp_path / "s" / "seed=0") == contents(tiny_run.folder)
    assert sum(counts) == sweep.work


def test_nothing_begins_where_a_chain_cannot_run(tmp_path):
    for wrong, complaint in (
        ({"data": {"name": "nowhere"}}, "the chain 'b' cannot run: the data 'nowhere'"),
        ({"finetune": {"targets": ["to_z"]}}, "the chain 'b' cannot run: 'finetune.targets'"),
        ({"generate": {"steps": 2000}}, "the chain 'b' cannot run: 'generate.steps' is 2000"),
    ):
        arms = [{"name": "a"}, {"name": "b", **wrong}]
        chains = grid.Grid("", grid.parse({**TINY, "arms": arms}))
        with pytest.raises(UserError, match=complaint):
            run.prepare(chains, tmp_path / "sweep", Here())
        assert not (tmp_path / "sweep").exists()


def test_a_folder_of_something_else_is_refused(two, tmp_path):
    (tmp_path / "file").write_text("")
    with pytest.raises(UserError, match="is a file"):
        run.prepare(two, tmp_path / "file", Here())
    with pytest.raises(UserError, match="not empty and holds no sweep"):
        run.prepare(two, tmp_path, Here())
    (tmp_path / "s").mkdir()
    (tmp_path / "s" / "grid.toml").write_text(_toml({**TINY, "sweep": {"seed": [0, 2]}}))
    with pytest.raises(UserError, match="another grid: the chain 'seed=2' is there alone"):
        run.prepare(two, tmp_path / "s", Here())
    (tmp_path / "s" / "grid.toml").write_text(_toml({"sweep": {"seed": [0, 1]}}))
    with pytest.raises(UserError, match="the chain 'seed=0' has another recipe there"):
        run.prepare(two, tmp_path / "s", Here())


def test_one_sweep_and_one_chain_at_a_time(two, tmp_path):
    sweep = run.Sweep(two, tmp_path, {})
    with FileLock(tmp_path / ".lock"), pytest.raises(UserError, match="another process is at work"):
        sweep.run(Here())
    sweep.run(Here())
    (tmp_path / "seed=1").mkdir()
    with FileLock(tmp_path / "seed=1" / ".lock"):
        assert [each.state for each in status(tmp_path)] == ["waiting", "running"]
    assert [each.state for each in status(tmp_path)] == ["waiting", "waiting"]


def test_status_of_runs_without_a_grid(tiny_run, tmp_path):
    (chain,) = status(tiny_run.folder)
    assert (chain.name, chain.done, chain.total, chain.state, chain.error) == (
        "tiny",
        2,
        2,
        "done",
        "",
    )
    assert time.time() - chain.updated.timestamp() < 3600
    assert [each.name for each in status(tiny_run.folder.parent)] == ["tiny"]
    with pytest.raises(UserError, match="nor holds runs"):
        status(tmp_path)


def test_no_task_ends_another():
    counts = []
    tasks = {
        "refused": sweep_pools.refuse,
        "broken": sweep_pools.break_off,
        "dead": sweep_pools.die,
        "counted": sweep_pools.count,
    }
    with LocalPool([Slot("", 1)]) as pool:
        results = dict(pool.work(tasks, counts.append))
        # The worker that died has a successor, which has done the rest.
        (again,) = dict(pool.work({"again": sweep_pools.count}, counts.append)).values()
    assert results["refused"].sentence == "no such thing"
    assert results["broken"].sentence == "ZeroDivisionError: by nothing"
    assert "break_off" in results["broken"].details
    assert results["dead"].sentence == "its worker process was killed by SIGKILL (out of memory?)"
    assert "last words" in results["dead"].details
    assert results["counted"] == again != os.getpid()
    assert sum(counts) == 20


def test_each_worker_has_its_device_and_threads():
    before = dict(os.environ)
    tasks = {str(i): sweep_pools.environment for i in range(4)}
    with LocalPool([Slot("", 1), Slot("", 3)]) as pool:
        results = dict(pool.work(tasks, print))
    assert {environment[:2] for environment in results.values()} <= {("", "1"), ("", "3")}
    assert len({environment[2] for environment in results.values()}) <= 2
    assert dict(os.environ) == before


def test_an_interrupted_crew_leaves_no_process():
    def interrupt(count):
        raise KeyboardInterrupt

    started = time.monotonic()
    with pytest.raises(KeyboardInterrupt), LocalPool([Slot("", 1)]) as pool:
        list(pool.work({"long": sweep_pools.count, "longer": sweep_pools.dawdle}, interrupt))
    assert time.monotonic() - started < 30
    assert not pool._busy
    assert not pool._idle


def test_slots(monkeypatch):
    import torch

    monkeypatch.setattr(local, "_cores", lambda: 8)
    assert local.slots(None, None, "cpu") == [Slot("", 1)] * 8
    assert local.slots(2, None, "cpu") == [Slot("", 4)] * 2
    assert local.slots(16, None, "cpu") == [Slot("", 1)] * 16
    monkeypatch.delenv("CUDA_VISIBLE_DEVICES", raising=False)
    monkeypatch.setattr(torch.cuda, "device_count", lambda: 2)
    assert local.slots(None, None, None) == [Slot("0", 4), Slot("1", 4)]
    assert local.slots(4, 1, "cuda") == [Slot("0", 1), Slot("1", 1)] * 2
    assert local.slots(None, 1, "cuda:1") == [Slot("1", 1)]
    assert LocalPool(local.slots(4, 1, "cuda")).capacity == 2
    assert LocalPool(local.slots(16, None, "cpu")).capacity == 8
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "3,5")
    assert [slot.device for slot in local.slots(3, 1, None)] == ["3", "5", "3"]
    with pytest.raises(UserError, match="'cuda:2', allowed here are cpu, cuda, cuda:0, cuda:1"):
        local.slots(None, None, "cuda:2")
    monkeypatch.setattr(torch.cuda, "device_count", lambda: 0)
    with pytest.raises(UserError, match=r"'cuda', allowed here are cpu$"):
        local.slots(None, None, "cuda")


def test_large_models_get_fewer_workers(monkeypatch):
    monkeypatch.setattr(local, "_cores", lambda: 8)
    monkeypatch.setattr(local, "_available_memory", lambda: 20_000_000_000)
    for memory, slots in ((10**9, [Slot("", 1)] * 8), (6 * 10**9, [Slot("", 2)] * 3)):
        with LocalPool([Slot("", 1)] * 8) as pool:
            pool.fit(memory)
            assert pool.slots == slots


def test_a_cluster_does_the_same():
    from dask import config
    from distributed import LocalCluster

    counts, tasks = (
        [],
        {"a": sweep_pools.count, "b": sweep_pools.refuse, "c": sweep_pools.break_off},
    )
    options = {"processes": False, "dashboard_address": None}
    with (
        # The worker, here a thread, makes its client the default of this process.
        config.set(scheduler=None),
        LocalCluster(1, threads_per_worker=1, resources={"GPU": 1}, **options) as dask,
    ):
        with cluster.ClusterPool(dask.scheduler_address) as pool:
            assert pool.capacity == 1
            assert pool._on_gpus()
            results = dict(pool.work(tasks, counts.append))
            deadline = time.monotonic() + 10
            while sum(counts) < 10 and time.monotonic() < deadline:
                time.sleep(0.01)
        with pytest.raises(UserError, match="'cuda:0', allowed on a cluster are cpu and cuda"):
            cluster.ClusterPool(dask.scheduler_address, "cuda:0").__enter__()
    assert sum(counts) == 10
    assert results["a"] == os.getpid()
    assert results["b"] == work.Failure("no such thing")
    assert results["c"].sentence == "ZeroDivisionError: by nothing"


def test_a_result_whose_worker_left_is_not_awaited_for_ever(monkeypatch):
    monkeypatch.setattr(cluster, "_PATIENCE", 3 * cluster._LOOK)

    class Client:
        """Two looks with a worker, then none."""

        looks = 0

        def nthreads(self):
            self.looks += 1
            return {"worker": 1} if self.looks <= 2 else {}

    class Lost:
        status = "finished"
        error = TimeoutError()

        def result(self, timeout):
            raise self.error

    class Broken:
        status = "error"

        def exception(self, timeout):
            return TimeoutError("of the task itself")

    pool = cluster.ClusterPool("tcp://here", _client=Client())
    with pytest.raises(UserError, match="'tcp://here' has had no workers for 15 s; what is"):
        pool._outcome(Lost())
    assert pool._client.looks == 5
    assert pool._outcome(Broken()).sentence == "its Dask worker was lost: of the task itself"
    Lost.error = ConnectionError("closed")
    with pytest.raises(UserError, match="the connection to the Dask scheduler at 'tcp://here' was"):
        pool._outcome(Lost())


def test_a_cluster_that_cannot_be_used():
    from distributed import LocalCluster

    options = {"processes": False, "dashboard_address": None}
    with (
        LocalCluster(1, threads_per_worker=2, **options) as dask,
        pytest.raises(UserError, match=r"has 2 threads.*--nthreads 1"),
    ):
        cluster.ClusterPool(dask.scheduler_address).__enter__()
    with pytest.raises(UserError, match="no Dask scheduler answers at 'nonsense://x'"):
        cluster.ClusterPool("nonsense://x").__enter__()


@pytest.mark.slow
def test_a_sweep_is_lengthened_as_its_chains_are(two, tiny_run, tmp_path):
    out = tmp_path / "sweep"
    shutil.copytree(tiny_run.folder, out / "seed=0")
    (out / "grid.toml").write_text(two.text)
    table = {**TINY, "generations": 3, "sweep": {"seed": [0]}}
    with pytest.raises(UserError, match="'seed=1' is there alone"):
        run.prepare(grid.Grid(_toml(table), grid.parse(table)), out, Here())
    table["sweep"] = {"seed": [0, 1]}
    longer = grid.Grid(_toml(table), grid.parse(table))
    assert run.prepare(longer, out, Here()).run(Here()) == {}
    assert [(each.done, each.total, each.state) for each in status(out)] == [(3, 3, "done")] * 2
    theirs = contents(tiny_run.folder)
    ours = {name: data for name, data in contents(out / "seed=0").items() if name in theirs}
    assert ours.keys() == theirs.keys()
    differing = {name for name in theirs if ours[name] != theirs[name]}
    assert differing == {"recipe.toml", "moments.csv"}
    assert (out / "grid.toml").read_text() == longer.text
    with pytest.raises(UserError, match="can be lengthened, not shortened"):
        run.prepare(two, out, Here())


def test_why_a_chain_failed_is_told_however_its_file_was_left(two, tmp_path):
    (tmp_path / "seed=0").mkdir()
    (tmp_path / "grid.toml").write_text(two.text)
    (tmp_path / "seed=0.error.txt").write_text("")
    (tmp_path / "seed=1.error.txt").write_bytes(b"caf\xe9 is missing\nmore")
    assert [each.state for each in status(tmp_path)] == ["failed", "failed"]
    assert [each.error for each in status(tmp_path)] == ["", "caf� is missing"]
