"""What all pages share: how templates are rendered, and the house style (`templates/house.css`)."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from jinja2 import Template

HOUSE = Path(__file__).parent / "templates"


def template(path: Path) -> Template:
    """Return the template in a file; it may include `house.css`, and what it is given is escaped.

    A name that it is not given is an error, not an empty text.
    """
    import jinja2  # here, so that stages which render at their end, or never, do not wait for it

    environment = jinja2.Environment(
        loader=jinja2.FileSystemLoader([path.parent, HOUSE]),
        autoescape=True,
        trim_blocks=True,
        lstrip_blocks=True,
        undefined=jinja2.StrictUndefined,
    )
    return environment.get_template(path.name)
