"""Pages out of templates: one file each, which needs no other file, no network and no script."""

from pathlib import Path
from typing import Any

_STYLE = Path(__file__).with_name("style.css")


def rendered(template: Path, **values: Any) -> str:
    """The page. Values are shown as text: no tag or script in them has an effect.

    Args:
        template: a Jinja template; `style` is there for it: what a page looks like on a desk, a phone and in the dark.

    Raises:
        jinja2.UndefinedError: the template names a value that is not there.
    """
    from jinja2 import Environment, StrictUndefined
    from markupsafe import Markup

    environment = Environment(autoescape=True, undefined=StrictUndefined, trim_blocks=True, lstrip_blocks=True)
    # into the globals, so that macros see them, too
    environment.globals.update(values, style=Markup(_STYLE.read_text(encoding="utf-8")))
    return environment.from_string(template.read_text(encoding="utf-8")).render()
