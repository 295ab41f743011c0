"""Every page has no serious finding of axe-core, loads nothing from elsewhere, and fits into the window."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any, Final, Literal

import pytest
from axe_playwright_python.sync_playwright import Axe
from playwright.sync_api import Browser
from support.chromium import Store
from support.paths import DOCS

BUILT = DOCS / "_build" / "html"
DOC_PAGES = sorted(path.relative_to(BUILT).as_posix() for path in BUILT.rglob("*.html") if "_static" not in path.parts)

SCHEMES: Final = ("light", "dark")
WIDTHS = (1280, 390)


def check(browser: Browser, page: Path) -> list[str]:
    """Return what is wrong with *page*, at each width and with each set of colours."""
    return [line for scheme in SCHEMES for line in check_with(browser, page, scheme)]


def check_with(browser: Browser, page: Path, scheme: Literal["light", "dark"]) -> Iterator[str]:
    context = browser.new_context(color_scheme=scheme, viewport={"width": WIDTHS[0], "height": 900})
    tab = context.new_page()
    loaded: list[str] = []
    errors: list[str] = []
    tab.on("request", lambda request: loaded.append(request.url))
    tab.on("pageerror", lambda error: errors.append(f"{error}"))
    tab.goto(page.as_uri())
    for width in WIDTHS:
        tab.set_viewport_size({"width": width, "height": 900})
        where = f"{page.name}, {width} pixels, {scheme}"
        yield from (f"{where}: {line}" for line in findings(tab))
        excess = tab.evaluate("document.documentElement.scrollWidth - document.documentElement.clientWidth")
        if excess > 0 and page.suffix == ".html":  # a diagram is as wide as its run
            yield f"{where}: {excess} pixels too wide"
    yield from (f"{page.name}: {error}" for error in errors)
    yield from (f"{page.name} loads {url}" for url in loaded if not url.startswith(("file:", "data:")))
    context.close()


def findings(tab: Any) -> list[str]:
    """Return the serious and critical findings of axe-core on the page in *tab*, with the first three places each."""
    violations = Axe().run(tab).response["violations"]
    return [
        f"{each['impact']}: {each['id']}: {each['help']}: {[node['html'][:200] for node in each['nodes'][:3]]}"
        for each in violations
        if each["impact"] in ("serious", "critical")
    ]


@pytest.mark.parametrize("name", ["short", "failing", "long"])
@pytest.mark.parametrize("file", ["index.html", "messages.svg", "latency.svg", "rate.svg"])
def test_the_page_of_a_run(name: str, file: str, store: Store, browser: Browser) -> None:
    """With about 20 messages, valid and not, and with 10,000; and each of its pictures alone."""
    assert check(browser, getattr(store, name).with_name(file)) == []


def test_the_page_of_a_store(store: Store, browser: Browser) -> None:
    """With its form and its buttons, which the script makes."""
    assert check(browser, store.path / "index.html") == []


@pytest.mark.parametrize("name", DOC_PAGES)
def test_the_documentation(name: str, browser: Browser) -> None:
    """As `nox -s html` builds it."""
    assert check(browser, BUILT / name) == []


def test_the_documentation_is_built() -> None:
    """Otherwise the tests above would pass without a page."""
    assert "index.html" in DOC_PAGES
