"""The loop trains, measures, saves and stops as it says, and a resumed training is the same training."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from isac_models.learning.loop import LONG, Diverged, Progress, State, Task, finished, phases, train
from isac_models.scenario import Scenario
from tests.isac_models.learning.small_task import NOISE, TRUTH, SmallTask

SCENARIO = Scenario.preset("ideal")


def small(**settings: Any) -> SmallTask:
    return SmallTask(SCENARIO, SmallTask.complete(settings))


class Scripted(SmallTask):
    """Losses by a rule instead of by learning."""

    losses: Callable[[int], float]
    held_outs: Callable[[int], float]
    phases: tuple[int, ...]

    def step(self, iteration: int) -> float:
        self.seen.append(iteration)
        return self.losses(iteration)

    def held_out(self) -> float:
        return self.held_outs(len(self.seen))


def scripted(
    losses: Callable[[int], float] = lambda iteration: 1.0,
    held_outs: Callable[[int], float] = lambda iteration: 1.0,
    phases: tuple[int, ...] = (100,),
) -> Scripted:
    task = Scripted(SCENARIO, Scripted.complete({}))
    task.losses, task.held_outs, task.phases = losses, held_outs, phases
    return task


class Keeper:
    """Where a test saves to."""

    def __init__(self) -> None:
        self.saved: list[dict[str, NDArray[Any]]] = []

    def __call__(self, state: State) -> None:
        self.saved.append({name: values.copy() for name, values in state.items()})


def trained_until(iteration: int, task: Task, progress: Progress) -> State:
    """What a training that is stopped there has saved."""
    keeper = Keeper()
    done = train(task, progress, keeper, stop=lambda: progress.iteration >= iteration)
    assert done == finished(task, progress)
    return keeper.saved[-1]


def test_the_small_task_satisfies_the_protocol() -> None:
    task: Task = small()
    assert phases(task) == (100,)


def test_training_finds_what_least_squares_finds() -> None:
    task, progress, keeper = small(iterations=600), Progress(held_out_every=200), Keeper()
    assert train(task, progress, keeper)
    assert task.seen == list(range(600))
    np.testing.assert_allclose(task.weights, TRUTH, atol=0.05)
    assert [at for at, _ in progress.held_out_losses] == [0, 200, 400, 600]
    first, last = progress.held_out_losses[0][1], progress.held_out_losses[-1][1]
    # Before: the noise and |TRUTH|² = 14.25, in 4096 draws; after: little more than the noise.
    assert first == pytest.approx(14.25 + NOISE**2, rel=0.15)
    assert last == pytest.approx(NOISE**2, rel=0.2)
    assert progress.held_out_loss == last
    assert len(keeper.saved) == 1
    np.testing.assert_array_equal(keeper.saved[0]["weights"], task.weights)
    assert finished(task, progress)


@pytest.mark.parametrize("stops", [(1,), (37,), (20, 21, 40, 59), (60,)])
def test_resumed_weights_are_those_of_an_uninterrupted_training(stops: tuple[int, ...]) -> None:
    whole, whole_progress = small(iterations=60), Progress(held_out_every=20)
    train(whole, whole_progress, Keeper())

    task, progress = small(iterations=60), Progress(held_out_every=20)
    for at in stops:
        state = trained_until(at, task, progress)
        progress = Progress(**vars(progress))
        task = small(iterations=60)
        task.load_state(state)
    train(task, progress, Keeper())
    for name, values in whole.state().items():
        np.testing.assert_array_equal(values, task.state()[name])
    mine, theirs = vars(progress), vars(whole_progress)
    assert {**mine, "seconds": 0} == {**theirs, "seconds": 0}


def test_the_smoothed_loss_follows_the_mean_of_the_recent_ones() -> None:
    progress = Progress()
    assert math.isnan(progress.loss)
    for loss in (4.0, 2.0):
        progress.count(loss)
    assert progress.loss == pytest.approx((0.99 * 4 + 2) / 1.99)  # weights in the ratio .99 : 1
    for _ in range(3000):
        progress.count(7.0)
    assert progress.loss == pytest.approx(7.0)


@pytest.mark.parametrize("bad", [math.nan, math.inf, -math.inf])
def test_a_loss_that_is_not_finite_stops_and_saves_nothing_more(bad: float) -> None:
    task, keeper = scripted(lambda i: bad if i == 7 else 1.0), Keeper()
    with pytest.raises(Diverged, match="iteration 7 is"):
        train(task, Progress(), keeper)
    assert keeper.saved == []


def test_a_held_out_loss_that_is_not_finite_stops() -> None:
    task = scripted(held_outs=lambda steps: math.nan if steps else 1.0)
    with pytest.raises(Diverged, match="held-out loss at iteration 10"):
        train(task, Progress(held_out_every=10), Keeper())


def test_weights_that_are_not_finite_are_never_saved() -> None:
    task, keeper = scripted(phases=(3,)), Keeper()
    task.weights[2] = np.nan
    with pytest.raises(Diverged, match="weights is not finite"):
        train(task, Progress(), keeper)
    assert keeper.saved == []


def test_a_loss_far_above_its_best_for_long_stops() -> None:
    task = scripted(lambda i: 1.0 if i < 500 else 30.0, phases=(10_000,))
    with pytest.raises(Diverged, match=r"since iteration 507 .* more than 3 times its best, 1, and now 30"):
        train(task, Progress(), Keeper())
    # The smoothed loss 30 - 29·.99ⁿ passes 3 with the 8th loss, since ln(27/29) / ln(.99) = 7.1.
    assert len(task.seen) == 507 + LONG


def test_a_training_that_never_gets_below_its_start_stops() -> None:
    task = scripted(lambda i: 3.5, phases=(10_000,))
    with pytest.raises(
        Diverged, match="since iteration 0 the loss is more than 3 times its best, 1, and now"
    ):
        train(task, Progress(), Keeper())
    assert len(task.seen) == LONG


def test_a_short_training_that_ends_far_above_its_start_has_diverged() -> None:
    task, keeper = scripted(lambda i: 5.0, held_outs=lambda steps: 6.0 if steps else 1.0), Keeper()
    with pytest.raises(Diverged, match="the held-out loss went from 1 to 6"):
        train(task, Progress(), keeper)
    assert keeper.saved == []


def test_what_is_learned_by_heart_has_not_diverged() -> None:
    task = scripted(lambda i: 0.1, held_outs=lambda steps: 1 + steps / 100, phases=(5000,))
    assert train(task, Progress(), Keeper())


def test_one_lucky_iteration_is_no_best() -> None:
    losses = np.random.default_rng(1).chisquare(1, 5000)
    losses[:2] = 1e-6
    task = scripted(lambda i: float(losses[i]), phases=(5000,))
    progress = Progress()
    assert train(task, progress, Keeper())
    assert progress.best is not None
    assert progress.best > 0.4


def test_a_bump_that_passes_does_not_stop() -> None:
    task = scripted(lambda i: 1.0 if i % 2000 < 1500 else 30.0, phases=(6000,))
    assert train(task, Progress(), Keeper())


def test_patience_ends_a_phase_whose_held_out_loss_is_flat() -> None:
    falling: Mapping[int, float] = {0: 1.0, 10: 0.5, 20: 0.4999, 30: 0.4, 40: 0.4, 50: 0.39999, 60: 0.41}
    task = scripted(held_outs=lambda steps: falling[steps])
    progress = Progress(held_out_every=10, patience=30)
    assert train(task, progress, Keeper())
    assert (progress.steps, progress.flat_since) == (60, 30)
    assert progress.iteration == 60
    assert [at for at, _ in progress.held_out_losses] == list(falling)


def test_a_flat_phase_hands_over_to_the_next() -> None:
    task = scripted(lambda i: 100.0 if i >= 100 else 1.0, phases=(100, 200))
    progress = Progress(held_out_every=10, patience=30)
    assert train(task, progress, Keeper())
    assert task.seen == [*range(30), *range(100, 140)]
    assert progress.steps == 70
    assert progress.phase == 2


def test_a_phase_is_judged_by_its_own_losses() -> None:
    task = scripted(
        lambda i: 1.0 if i < 50 else 1e3, lambda steps: 1.0 if steps <= 50 else 999.0, phases=(50, 3000)
    )
    progress = Progress()
    assert train(task, progress, Keeper())
    assert progress.loss == pytest.approx(1e3)
    assert progress.best == 999.0


def test_saving_follows_the_clock_and_takes_a_small_share_of_it() -> None:
    now = 0.0
    saved_at: list[tuple[int, float]] = []
    progress = Progress()

    def second(iteration: int) -> float:
        nonlocal now
        now += 1.0
        return 1.0

    def save(state: State) -> None:
        nonlocal now
        saved_at.append((progress.iteration, now))
        now += slow

    slow = 0.0
    train(scripted(second), progress, save, save_every=30, clock=lambda: now)
    assert saved_at == [(30, 30.0), (60, 60.0), (90, 90.0), (100, 100.0)]
    assert progress.seconds == 100.0

    saved_at.clear()
    now, slow, progress = 0.0, 2.0, Progress()
    train(scripted(second), progress, save, save_every=30, clock=lambda: now)
    assert [at for at, _ in saved_at] == [30, 70, 100]


def test_watchers_hear_of_every_iteration_and_measurement() -> None:
    class Listener:
        def __init__(self) -> None:
            self.iterations: list[int] = []
            self.measurements: list[int] = []

        def update(self, progress: Progress, total: int) -> None:
            assert total == 25
            self.iterations.append(progress.iteration)

        def measured(self, progress: Progress) -> None:
            self.measurements.append(progress.iteration)

    listener = Listener()
    train(small(iterations=25), Progress(held_out_every=10), Keeper(), watchers=(listener,))
    assert listener.iterations == list(range(1, 26))
    assert listener.measurements == [0, 10, 20, 25]


def test_all_processes_stop_when_one_is_asked_to() -> None:
    class Together(SmallTask):
        def agree(self, stop: bool) -> bool:
            return stop or len(self.seen) == 5

    task, progress, keeper = Together(SCENARIO, SmallTask.complete({})), Progress(), Keeper()
    assert not train(task, progress, keeper)
    assert progress.iteration == 5
    assert len(keeper.saved) == 1


def test_what_is_finished_stays_as_it_is() -> None:
    task, progress = small(iterations=5), Progress()
    train(task, progress, Keeper())
    before = {**vars(progress), "seconds": 0}
    assert train(task, progress, Keeper())
    assert {**vars(progress), "seconds": 0} == before
    assert len(task.seen) == 5
