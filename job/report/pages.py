"""Pages of HTML from templates: the one way in which all of them are made."""

from typing import Any

from jinja2 import Environment, PackageLoader, StrictUndefined, Template

from job.report import text


def template(package: str, name: str, **filters: Any) -> Template:
    """A template in the folder of a package, compiled; values are escaped, and those that are missing are errors.

    It knows the functions of `job.report.text` that make text of numbers and names, and `filters`.
    """
    module, _, folder = package.rpartition(".")
    environment = Environment(
        loader=PackageLoader(module, folder),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    known = {
        each.__name__: each for each in (text.seconds, text.size, text.number, text.percent, text.plain, text.clean)
    }
    environment.filters.update(**known, cell=text.cell, **filters)
    return environment.get_template(name)
