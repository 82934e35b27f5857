"""Alternatives to qtm: NumPy, Numba, and the simulator of fwdpy11.

Gaussian stabilizing selection towards 1, then Gaussian mutation. The Numba loops are as a user
writes them: fused, parallel over parameter sets or replicates, compiled without fast-math.
"""

# ruff: noqa: NPY002  (Numba compiles the older generator, one for each thread)
import numba
import numpy as np

OPTIMUM = 1.0


def numpy_sweep(width2, mutation, generations):
    m, V = np.zeros_like(width2), np.ones_like(width2)
    for _ in range(generations):
        r = 1 / (V + width2)
        m, V = (width2 * m + V * OPTIMUM) * r, V * width2 * r + mutation
    return m, V


@numba.njit(parallel=True)
def numba_sweep(width2, mutation, generations):
    means, variances = np.empty_like(width2), np.empty_like(width2)
    for i in numba.prange(width2.size):
        w, m, V = width2[i], 0.0, 1.0
        for _ in range(generations):
            r = 1 / (V + w)
            m, V = (w * m + V * OPTIMUM) * r, V * w * r + mutation[i]
        means[i], variances[i] = m, V
    return means, variances


def numpy_individuals(N, generations, replicates, width2, mutation):
    found = []
    for seed in range(replicates):
        rng = np.random.default_rng(seed)
        z = rng.standard_normal(N)
        for _ in range(generations):
            w = np.exp(-((z - OPTIMUM) ** 2) / (2 * width2))
            parents = rng.choice(z, N, p=w / w.sum())
            z = parents + np.sqrt(mutation) * rng.standard_normal(N)
        found.append((z.mean(), z.var()))
    return np.array(found)


@numba.njit(parallel=True)
def numba_individuals(N, generations, replicates, width2, mutation):
    """Parents by rejection, which is exact here because this fitness is at most 1: twice as fast as
    a search of the cumulative fitness."""
    found = np.empty((replicates, 2))
    for seed in numba.prange(replicates):
        np.random.seed(seed)
        z = np.random.normal(0.0, 1.0, N)
        born, fitness = np.empty(N), np.empty(N)
        for _ in range(generations):
            for i in range(N):
                fitness[i] = np.exp(-((z[i] - OPTIMUM) ** 2) / (2 * width2))
            for i in range(N):
                parent = np.random.randint(0, N)
                while np.random.random() >= fitness[parent]:
                    parent = np.random.randint(0, N)
                born[i] = z[parent] + np.sqrt(mutation) * np.random.normal()
            z, born = born, z
        found[seed, 0], found[seed, 1] = z.mean(), z.var()
    return found


def fwdpy11_individuals(N, generations, width2):
    """Simulates more than the others: diploids with recombining genomes of one region, at which
    mutations of Gaussian effect arise at a rate of 1e-3 a gamete and add up to the trait; fitness
    is the same. One replicate."""
    import fwdpy11

    population = fwdpy11.DiploidPopulation(N, 1.0)
    selection = fwdpy11.GaussianStabilizingSelection.single_trait(
        [fwdpy11.Optimum(optimum=OPTIMUM, VS=width2, when=0)]
    )
    parameters = fwdpy11.ModelParams(
        sregions=[fwdpy11.GaussianS(0, 1, 1, sd=0.25)],
        recregions=[fwdpy11.PoissonInterval(0, 1, 0.5)],
        gvalue=fwdpy11.Additive(scaling=2.0, gvalue_to_fitness=selection),
        rates=(0.0, 1e-3, None),
        simlen=generations,
        demography=fwdpy11.ForwardDemesGraph.tubes([N], burnin=1),
        prune_selected=False,
    )
    rng = fwdpy11.GSLrng(1)
    fwdpy11.evolvets(rng, population, parameters, simplification_interval=100)
    return np.array([[i.g for i in population.diploid_metadata]])
