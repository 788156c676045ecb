"""What is measured, and in what order."""

import random
from collections.abc import Sequence
from dataclasses import dataclass


@dataclass(frozen=True, order=True)
class Point:
    """One run to be made: executors, task slots of each, pictures in all (0: as the settings say), its number among the
    equal ones. Repeat 0 is the warm-up, which counts nowhere."""

    executors: int
    cores: int
    pictures: int
    repeat: int

    @property
    def name(self) -> str:
        """`e2-c1-n5000-r3`, `e2-c1-r3` where the settings say how many pictures, `e2-c1-warm-up`."""
        size = f"-n{self.pictures}" if self.pictures else ""
        return f"e{self.executors}-c{self.cores}{size}-{f'r{self.repeat}' if self.repeat else 'warm-up'}"

    def __str__(self) -> str:
        cores = f" of {self.cores} cores" if self.cores > 1 else ""
        size = f", {self.pictures:,} pictures" if self.pictures else ""
        which = f"repeat {self.repeat}" if self.repeat else "warm-up"
        return f"{self.executors} executor{'s' if self.executors > 1 else ''}{cores}{size}, {which}"

    def pictures_arguments(self) -> list[str]:
        """Three quarters of the pictures for training, a quarter to test, as the prototype's 876 and 292."""
        if not self.pictures:
            return []
        test = max(1, self.pictures // 4)
        return ["--train-images", str(self.pictures - test), "--test-images", str(test)]


def schedule(executors: Sequence[int], cores: int, sizes: Sequence[int], repeats: int, seed: int) -> list[Point]:
    """The warm-up, then every point once before any is repeated, each time in another order: what drifts on the
    machine meanwhile falls on all of them alike."""
    points = [Point(max(executors), cores, min(sizes, default=0), 0)]
    draw = random.Random(seed)  # noqa: S311  (an order, no secret)
    for repeat in range(1, repeats + 1):
        turn = [Point(count, cores, size, repeat) for count in executors for size in (sizes or (0,))]
        draw.shuffle(turn)
        points += turn
    return points
