"""The page that shows an image before and after, and the one that says what went wrong. No script, and nothing from elsewhere."""

from __future__ import annotations

import base64
from collections.abc import Sequence
from dataclasses import dataclass, field
from html import escape
from urllib.parse import urlencode

from labelmesh_augment.classic.words import Told

PATH = "/augment/"
# The longest address that a call takes.
MAX_URL = 4000

_STYLE = """
:root { color-scheme: light dark; --line: #8885; --soft: #8882; --ink: light-dark(#1b1f24, #e8eaed); --quiet: light-dark(#57606a, #9aa4af);
  --paper: light-dark(#fff, #16191d); --accent: light-dark(#0b57d0, #8ab4f8); --bad: light-dark(#b3261e, #f2b8b5); }
* { box-sizing: border-box; }
body { margin: 0; background: var(--paper); color: var(--ink); font: 16px/1.5 system-ui, sans-serif; }
main { max-width: 76rem; margin: 0 auto; padding: 1.25rem clamp(1rem, 4vw, 2.5rem) 3rem; }
h1 { font-size: 1.35rem; margin: 0 0 1rem; } h2 { font-size: 1.05rem; margin: 2rem 0 .5rem; }
a { color: var(--accent); }
form { display: grid; grid-template-columns: 1fr 9rem auto; gap: .75rem; align-items: end; }
label { display: grid; gap: .2rem; font-size: .85rem; color: var(--quiet); }
input, button { font: inherit; color: var(--ink); background: var(--paper); border: 1px solid var(--line); border-radius: .4rem;
  padding: .45rem .6rem; min-width: 0; }
button { background: var(--accent); border-color: transparent; color: var(--paper); cursor: pointer; }
:focus-visible { outline: 2px solid var(--accent); outline-offset: 2px; }
.pair { display: grid; grid-template-columns: repeat(auto-fit, minmax(min(100%, 20rem), 1fr)); gap: 1.25rem; margin: 1.5rem 0 .75rem; }
figure { margin: 0; }
img { display: block; max-width: 100%; height: auto; margin: 0 auto; border-radius: .3rem;
  background: repeating-conic-gradient(#8883 0 25%, #0000 0 50%) 0 0 / 20px 20px; }
figcaption { margin-top: .4rem; color: var(--quiet); font-size: .9rem; text-align: center; }
.links { display: flex; flex-wrap: wrap; gap: .4rem 1.5rem; padding: 0; margin: 1rem 0; list-style: none; }
ol.steps { padding-left: 1.4rem; } ol.steps li { margin: .5rem 0; }
ol.steps p { margin: 0; color: var(--quiet); font-size: .9rem; }
dl { display: flex; flex-wrap: wrap; gap: .15rem 1.25rem; margin: .1rem 0; }
dl div { display: flex; gap: .4rem; } dt { color: var(--quiet); }
dd { margin: 0; font-variant-numeric: tabular-nums; overflow-wrap: anywhere; }
.wrong { border-left: 4px solid var(--bad); background: var(--soft);
  padding: .75rem 1rem; margin: 1.5rem 0; border-radius: 0 .4rem .4rem 0; }
.wrong p { margin: .2rem 0; overflow-wrap: anywhere; } .wrong strong { color: var(--bad); }
.quiet { color: var(--quiet); font-size: .9rem; overflow-wrap: anywhere; }
@media (max-width: 40rem) { form { grid-template-columns: 1fr; } }
"""


@dataclass(frozen=True, slots=True)
class Shown:
    """A small picture, in pixels of itself, and the size of what it stands for."""

    content: bytes = field(repr=False)
    media_type: str
    width: int
    height: int
    full_width: int
    full_height: int


@dataclass(frozen=True, slots=True)
class Outcome:
    """What there is to show. `another` is a seed that nobody asked for yet."""

    url: str
    seed: int
    another: int
    before: Shown
    after: Shown
    steps: Sequence[Told]


def result_page(outcome: Outcome) -> str:
    """The image before and after, what was drawn, and where to go from here."""
    same = _address(outcome.url, outcome.seed)
    links = (
        (_address(outcome.url, outcome.another), "Another one"),
        (same, "This one again"),
        (f"{same}&format=image", "The picture itself"),
        ("/#/augment?" + urlencode({"url": outcome.url}), "Choose transforms and ranges"),
    )
    items = "".join(f'<li><a href="{_attribute(to)}">{escape(words)}</a></li>' for to, words in links)
    pair = _figure(outcome.before, "Before") + _figure(outcome.after, "After")
    body = (
        _form(outcome.url, str(outcome.seed))
        + f'<div class="pair">{pair}</div>'
        + f'<ul class="links">{items}</ul>'
        + f"<h2>What was done, with seed {outcome.seed}</h2>{_steps(outcome.steps)}"
    )
    return _page("An image, augmented", body)


def error_page(url: str, status: int, reason: str, message: str, retry_after_s: float | None = None) -> str:
    """What went wrong, and the form to try again."""
    again = ""
    if retry_after_s is not None and url:
        again = f'<p><a href="{_attribute(PATH + "?" + urlencode({"url": url}))}">Try again</a> in a moment.</p>'
    told = message[:1].upper() + message[1:] + ("" if message.endswith((".", "!", "?")) else ".")
    wrong = (
        f'<div class="wrong" role="alert"><p><strong>{escape(told)}</strong></p>{again}<p class="quiet">{status} {escape(reason)}</p></div>'
    )
    asked = f'<p class="quiet">The address was {escape(url)}</p>' if url else ""
    hint = f'<p><a href="{PATH}">How to use this page</a></p>'
    return _page("The image could not be augmented", _form(url, "") + wrong + asked + hint)


def _page(title: str, body: str) -> str:
    return (
        '<!doctype html>\n<html lang="en">\n<head>\n<meta charset="utf-8">\n'
        '<meta name="viewport" content="width=device-width, initial-scale=1">\n<meta name="referrer" content="no-referrer">\n'
        f'<title>{escape(title)} - labelmesh</title>\n<link rel="icon" href="data:,">\n<style>{_STYLE}</style>\n</head>\n'
        f"<body>\n<main>\n<h1>{escape(title)}</h1>\n{body}\n</main>\n</body>\n</html>\n"
    )


def _form(url: str, seed: str) -> str:
    return (
        f'<form action="{PATH}" method="get"><label>Address of an image '
        f'<input name="url" type="url" required maxlength="{MAX_URL}" value="{_attribute(url)}" placeholder="https://"></label>'
        '<label>Seed <input name="seed" type="number" min="0" max="4294967295" step="1" placeholder="any" '
        f'value="{_attribute(seed)}"></label><button>Augment</button></form>'
    )


def _figure(shown: Shown, caption: str) -> str:
    data = base64.b64encode(shown.content).decode()
    size = f"{shown.full_width} × {shown.full_height} pixels"
    return (
        f'<figure><img src="data:{_attribute(shown.media_type)};base64,{data}" width="{shown.width}" height="{shown.height}" '
        f'alt="The image {caption.lower()}"><figcaption>{caption}: {size}</figcaption></figure>'
    )


def _steps(steps: Sequence[Told]) -> str:
    if not steps:
        return "<p>Nothing: this time no step's turn came. Another seed gives another result.</p>"
    return f'<ol class="steps">{"".join(map(_step, steps))}</ol>'


def _step(step: Told) -> str:
    values = "".join(f"<div><dt>{escape(name)}</dt><dd>{escape(value)}</dd></div>" for name, value in step.values)
    return f"<li>{escape(step.title)}{f'<dl>{values}</dl>' if values else ''}<p>{escape(step.summary)}</p></li>"


def _address(url: str, seed: int) -> str:
    return f"{PATH}?{urlencode({'url': url, 'seed': seed})}"


def _attribute(value: str) -> str:
    return escape(value, quote=True)
