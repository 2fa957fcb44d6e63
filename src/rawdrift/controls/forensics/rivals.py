"""Methods of search that need no gradient, for comparison with the one that does."""

from collections.abc import Callable, Mapping

import numpy as np

from rawdrift.controls.forensics.space import ParameterSpace, Vector

Objective = Callable[[Vector], float]


def _random(
    objective: Objective, space: ParameterSpace, evaluations: int, rng: np.random.Generator
) -> None:
    for setting in space.draw(evaluations, rng):
        objective(setting)


def _cma_es(
    objective: Objective, space: ParameterSpace, evaluations: int, rng: np.random.Generator
) -> None:
    """Start at the default; after convergence, start again elsewhere."""
    from cmaes import CMA

    size = max(len(space), 2)  # it needs two axes; a second one that does nothing is harmless
    bounds = np.tile([0.0, 1.0], (size, 1))
    mean = np.full(size, 0.5)
    mean[: len(space)] = space.unit(space.default)
    optimizer = CMA(mean=mean, sigma=0.3, bounds=bounds, seed=int(rng.integers(2**31)))
    asked = 0
    while asked < evaluations:
        if optimizer.should_stop():
            start = rng.random(size)
            optimizer = CMA(mean=start, sigma=0.3, bounds=bounds, seed=int(rng.integers(2**31)))
        answers = []
        for _ in range(optimizer.population_size):
            place = optimizer.ask()
            answers.append((place, -objective(space.at(place[: len(space)]))))
            asked += 1
            if asked == evaluations:
                return
        optimizer.tell(answers)


RIVALS: Mapping[str, Callable[[Objective, ParameterSpace, int, np.random.Generator], None]] = {
    "random": _random,
    "cma-es": _cma_es,
}
