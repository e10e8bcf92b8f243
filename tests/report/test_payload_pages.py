"""Payloads in every text of a run, its page opened in a real browser with the page's own policy switched off:
nothing runs, nothing is asked for, nothing hides.
"""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import pytest

from tests.support import reports

pytestmark = pytest.mark.browser
playwright = pytest.importorskip("playwright.sync_api", reason="needs the dependency group `browser`")
OWN = "window.owned=1;alert(1);fetch('http://127.0.0.1:9/x')"
PAYLOADS = {
    "script": f"</title></style></script><script>{OWN}</script>",
    "script from elsewhere": "<script src=http://127.0.0.1:9/x.js></script>",
    "event handlers": f'"\' onmouseover="{OWN}" onfocus="{OWN}" autofocus tabindex=0 x="',
    "image": f'<img src=http://127.0.0.1:9/x.png onerror="{OWN}">',
    "svg": (
        f'</svg><svg onload="{OWN}"><animate onbegin="{OWN}" attributeName=x dur=1s />'
        f"<script>{OWN}</script></svg>"
    ),
    "details": f'<details open ontoggle="{OWN}"><summary>x</summary></details>',
    "link": (
        f'<a href="javascript:{OWN}">x</a> javascript:{OWN} [x](javascript:{OWN})'
        f" data:text/html,<script>{OWN}</script>"
    ),
    "frames": (
        "<iframe src=http://127.0.0.1:9/ srcdoc='<script>parent.owned=1</script>'></iframe>"
        "<object data=http://127.0.0.1:9/></object><embed src=http://127.0.0.1:9/>"
    ),
    "form": (
        f'<form action=http://127.0.0.1:9/><input autofocus onfocus="{OWN}">'
        f'<button formaction="javascript:{OWN}">'
    ),
    "heads": (
        "<meta http-equiv=refresh content='0;url=http://127.0.0.1:9/'><base href=http://127.0.0.1:9/>"
        "<link rel=stylesheet href=http://127.0.0.1:9/x.css>"
    ),
    "style": (
        "</style><style>@import 'http://127.0.0.1:9/x.css';*{background:url(http://127.0.0.1:9/y)}</style>"
    ),
    "style in an attribute": (
        'x;background:url(http://127.0.0.1:9/z);" style="background:url(http://127.0.0.1:9/z)'
    ),
    "comment": f"--><script>{OWN}</script><!-- ]]><script>{OWN}</script><![CDATA[",
    "other namespaces": (
        f'<math><mtext><table><mglyph><style><!--</style><img title="--&gt;&lt;img src=1 onerror={OWN}&gt;">'
    ),
    "template": "{{ 7 * 191 }} {% for x in ().__class__.__mro__ %}{{ x }}{% endfor %} ${7*191} #{7*191}",
    "entities": (
        "&lt;script&gt;window.owned=1&lt;/script&gt; &#60;img src=x onerror=alert(1)&#62; +ADw-script+AD4-"
    ),
    "bidi": "\u202egnp.\u202c safe \u2066\u2067x\u2069 \u200f\u200e \u061c",
    "terminal": "\x1b]0;owned\x07\x1b[31mred\x1b[2J\x9b31m\x00\x08\x7f\x85\u2028\u2029",
    "over-long": "W" * 200_000 + "<b>" * 20_000,
    "combining": "Z" + "\u0301\u0489" * 5_000,
}
STEERING = re.compile("[\x00-\x08\x0b-\x1f\x7f-\x9f\u061c\u200e\u200f\u202a-\u202e\u2066-\u2069]")
BARRED = "script, iframe, object, embed, form, input, base, link, video, audio, img, meta[http-equiv=refresh]"


def opened(browser: Any, path: Path) -> Any:
    """The page at a path, every part of it open, moved over and stepped through; it carries what happened."""
    tab = browser.new_context(viewport={"width": 1000, "height": 900}, bypass_csp=True).new_page()
    tab.asked, tab.said, tab.shown = [], [], []
    tab.on("request", lambda r: tab.asked.append(r.url))
    tab.on("console", lambda m: tab.said.append(m.text))
    tab.on("pageerror", lambda e: tab.said.append(str(e)))
    tab.on("dialog", lambda d: (tab.shown.append(d.message), d.dismiss()))
    tab.goto(path.as_uri())
    tab.evaluate("document.querySelectorAll('details').forEach(d => d.open = true)")
    for y in range(50, 850, 200):
        tab.mouse.move(400, y)
    for _ in range(12):
        tab.keyboard.press("Tab")
    tab.emulate_media(media="print")
    tab.wait_for_timeout(150)
    return tab


@pytest.mark.parametrize("name", PAYLOADS)
def test_a_payload_is_a_text(browser: Any, name: str, tmp_path: Path) -> None:
    path = tmp_path / "report.html"
    path.write_text(reports.hostile(tmp_path / "store", PAYLOADS[name]), encoding="utf-8")
    tab = opened(browser, path)
    assert tab.asked == [path.as_uri()] and tab.said == [] and tab.shown == []
    assert tab.evaluate("window.owned") is None
    assert tab.locator(BARRED).count() == 0
    handlers = "[...document.querySelectorAll('*')].flatMap(e => [...e.attributes].map(a => a.name))"
    assert [a for a in tab.evaluate(handlers) if a.startswith("on")] == []
    links = tab.evaluate("[...document.querySelectorAll('[href]')].map(e => e.getAttribute('href'))")
    assert [link for link in links if not link.startswith("#")] == []
    everything = tab.content()
    assert STEERING.findall(everything) == []
    assert "1337" not in everything or "7 * 191" not in PAYLOADS[name]
    tab.context.close()


def test_the_browser_would_have_run_them(browser: Any, tmp_path: Path) -> None:
    """The same payloads in a page that escapes nothing are seen: the test can fail."""
    seen = set()
    for name, payload in PAYLOADS.items():
        path = tmp_path / "bare.html"
        path.write_text(f'<title>x</title><p title="{payload}">{payload}</p>', encoding="utf-8")
        try:
            tab = opened(browser, path)
        except playwright.Error:  # it led the tab elsewhere
            seen.add(name)
            continue
        if tab.asked != [path.as_uri()] or tab.shown or tab.locator(BARRED).count():
            seen.add(name)
        tab.context.close()
    assert len(seen) >= 12, sorted(set(PAYLOADS) - seen)
