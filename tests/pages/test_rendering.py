"""Pages out of templates."""

from pathlib import Path

import jinja2
import pytest

from ds2ray.pages.rendering import rendered


def test_values_are_text_and_the_style_is_style(tmp_path: Path) -> None:
    template = tmp_path / "page.html"
    template.write_text("{% macro m() %}{{ name }}{% endmacro %}<style>{{ style }}</style>{{ m() }}", encoding="utf-8")
    text = rendered(template, name="<b>é</b>")
    assert text.endswith("</style>&lt;b&gt;é&lt;/b&gt;")
    assert "font: 16px/1.5 system-ui, sans-serif" in text
    assert "@media (prefers-color-scheme: dark)" in text


def test_a_name_that_is_not_there_is_an_error(tmp_path: Path) -> None:
    template = tmp_path / "page.html"
    template.write_text("{{ nmae }}", encoding="utf-8")
    with pytest.raises(jinja2.UndefinedError, match="nmae"):
        rendered(template, name="kim")
