"""Bars as SVG, to be read on light and on dark pages."""

from __future__ import annotations

from collections.abc import Sequence
from html import escape

_WIDTH, _LABEL, _ROW, _GAP = 720, 210, 18, 12
_STYLE = """
text { font: 12px system-ui, sans-serif; fill: #222 }
.title { font-weight: 600 }
.ours { fill: #2a7f62 } .theirs { fill: #8a8f98 } .floor { fill: #c9ccd1 }
@media (prefers-color-scheme: dark) {
  text { fill: #ddd }
  .ours { fill: #4fc39b } .floor { fill: #555b66 }
}"""

Bar = tuple[str, float, str]
"""Label, value, and the class of its colour: ours, theirs or floor."""


def bars(title: str, unit: str, groups: Sequence[tuple[str, Sequence[Bar]]]) -> str:
    """Return an SVG of horizontal bars, in groups with a heading each."""
    longest = max(value for _, group in groups for _, value, _ in group)
    scale = (_WIDTH - _LABEL - 60) / longest
    y, parts = 24, [f'<text class="title" x="0" y="14">{escape(title)}</text>']
    for heading, group in groups:
        y += _GAP
        parts.append(f'<text class="title" x="0" y="{y + 13}">{escape(heading)}</text>')
        y += _ROW
        for label, value, colour in group:
            width = value * scale
            parts += [
                f'<text x="{_LABEL - 8}" y="{y + 13}" text-anchor="end">'
                f"{escape(label)}</text>",
                f'<rect class="{colour}" x="{_LABEL}" y="{y + 2}" width="{width:.0f}"'
                f' height="{_ROW - 4}" rx="2"/>',
                f'<text x="{_LABEL + width + 6:.0f}" y="{y + 13}">'
                f"{value:.2f} {escape(unit)}</text>",
            ]
            y += _ROW
    body = "\n".join(parts)
    return (
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {_WIDTH} {y + 8}"'
        f' role="img" aria-label="{escape(title)}">\n<style>{_STYLE}\n</style>\n'
        f"{body}\n</svg>\n"
    )
