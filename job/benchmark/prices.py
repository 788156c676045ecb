"""What a machine costs an hour."""

from typing import Final, NamedTuple

from job.errors import UsageError


class Instance(NamedTuple):
    """A machine: its name, cores (vCPU), memory (GiB), dollars an hour."""

    name: str
    cores: int
    memory: int
    price: float

    def cost(self, cores: float, seconds: float) -> float:
        """Dollars for so many of its cores, or those of several, during so many seconds."""
        return self.price * cores / self.cores * seconds / 3600


# On demand, Linux, us-east-1, in dollars an hour, as of 2025. The first is the prototype's.
INSTANCES: Final = {
    item.name: item
    for item in (
        Instance("m5.xlarge", 4, 16, 0.192),
        Instance("m5.2xlarge", 8, 32, 0.384),
        Instance("m6i.xlarge", 4, 16, 0.192),
        Instance("m7i.xlarge", 4, 16, 0.2016),
        Instance("m7g.xlarge", 4, 16, 0.1632),
        Instance("c5.xlarge", 4, 8, 0.17),
        Instance("c6i.xlarge", 4, 8, 0.17),
        Instance("c6i.4xlarge", 16, 32, 0.68),
        Instance("c7g.xlarge", 4, 8, 0.145),
        Instance("r6i.xlarge", 4, 32, 0.252),
    )
}


def instance(name: str, price: float | None) -> Instance:
    """A machine of the table, at another price where one is given. Raises UsageError for one that is not in it."""
    if name not in INSTANCES:
        raise UsageError(
            f"--instance is '{name}': choose one of {', '.join(INSTANCES)}, with "
            "--price-per-hour where its price is another."
        )
    known = INSTANCES[name]
    return known if price is None else known._replace(price=price)
