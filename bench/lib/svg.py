# SPDX-License-Identifier: Apache-2.0
"""Two kinds of plots as SVG, readable on light and on dark pages. Pure.

dots(): a row for each contestant, in groups, on a logarithmic axis; a dot at the median, a line up
to the 95th percentile. lines(): a curve for each contestant over numbers, both axes logarithmic.
"""

import math
from html import escape

WIDTH = 860
LABELS = 290  # room for names of contestants
RIGHT = 90
ROW = 22
HEAD = 54
FOOT = 48
LEGEND = 20
COLOURS = [("#0969da", "#4493f8"), ("#bc4c00", "#f0883e"), ("#1a7f37", "#3fb950"),
           ("#8250df", "#ab7df8"), ("#bf3989", "#db61a2"), ("#57606a", "#9198a1"),
           ("#0f7b82", "#39c5cf"), ("#9a6700", "#d29922"), ("#cf222e", "#f85149"),
           ("#4b6b00", "#a5c94c"), ("#6e4b2a", "#c69c6d"), ("#24478f", "#8fb0ff")]


def style(colours):
    light = ["text{font:12px system-ui,sans-serif;fill:#1f2328}",
             ".title{font-size:15px;font-weight:600}",
             ".group{font-weight:600}", ".axis,.value{fill:#59636e}", ".e{text-anchor:end}",
             ".m{text-anchor:middle}", ".grid{stroke:#d1d9e0}", ".ours{font-weight:600}",
             ".curve{fill:none;stroke-width:2}", ".spread{stroke-width:2}"]
    dark = ["text{fill:#e6edf3}", ".axis,.value{fill:#9198a1}", ".grid{stroke:#3d444d}"]
    for n in range(colours):
        for sheet, colour in zip((light, dark), COLOURS[n % len(COLOURS)]):
            sheet.append(f".c{n}{{stroke:{colour}}}.d{n}{{fill:{colour}}}")
    return ("<style>" + "".join(light) + "@media(prefers-color-scheme:dark){" + "".join(dark)
            + "}</style>")


def document(height, title, about, body, colours):
    return (f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {WIDTH} {height}" role="img" '
            f'aria-labelledby="t d">\n<title id="t">{escape(title)}</title>\n'
            f'<desc id="d">{escape(about)}</desc>\n{style(colours)}\n'
            + "\n".join(body) + "\n</svg>\n")


def text(x, y, words, *classes):
    return f'<text x="{x:.1f}" y="{y:.1f}" class="{" ".join(classes)}">{escape(words)}</text>'


def line(classes, x1, y1, x2, y2):
    return f'<line class="{classes}" x1="{x1:.1f}" y1="{y1:.1f}" x2="{x2:.1f}" y2="{y2:.1f}"/>'


class Scale:
    """A logarithmic axis: @low and @high values lie at @start and @end of the picture."""

    def __init__(self, low, high, start, end):
        self.low = 10 ** math.floor(math.log10(low))
        self.high = 10 ** math.ceil(math.log10(high))
        if self.high == self.low:
            self.high *= 10
        self.start, self.end = start, end

    def __call__(self, value):
        part = math.log10(max(value, self.low) / self.low) / math.log10(self.high / self.low)
        return self.start + part * (self.end - self.start)

    def ticks(self):
        n = round(math.log10(self.high / self.low))
        return [self.low * 10 ** i for i in range(n + 1)]


def number(value):
    return f"{value:,.0f}" if value >= 1 else f"{value:g}"


def short(value):
    """Three digits that count."""
    return f"{value:,.0f}" if value >= 100 else f"{value:.3g}"


def dots(title, unit, groups):
    """@groups: [(heading, [(name, median, 95th percentile, is it ours)])]."""
    values = [v for _, rows in groups for _, median, high, _ in rows for v in (median, high)]
    scale = Scale(min(v for v in values if v > 0), max(values), LABELS, WIDTH - RIGHT)
    height = HEAD + sum(ROW * (len(rows) + bool(head)) for head, rows in groups) + FOOT
    bottom = height - FOOT + 4
    body = [text(16, 26, title, "title")]
    for tick in scale.ticks():
        x = scale(tick)
        body.append(line("grid", x, HEAD - 10, x, bottom))
        body.append(text(x, bottom + 16, number(tick), "axis", "m"))
    body.append(text((LABELS + WIDTH - RIGHT) / 2, bottom + 34,
                     f"{unit}, logarithmic; dot: median, line: to the 95th percentile",
                     "axis", "m"))
    y = HEAD
    for head, rows in groups:
        if head:
            body.append(text(16, y + 15, head, "group"))
            y += ROW
        for row in rows:
            body += dot_row(scale, y, *row)
            y += ROW
    return document(height, title, f"{unit} by contestant", body, 2)


def dot_row(scale, y, name, median, high, ours):
    colour = 0 if ours else 1
    x, end, middle = scale(median), scale(high), y + 11
    return [text(LABELS - 10, y + 15, name, "e", "ours" if ours else "peer"),
            line(f"spread c{colour}", x, middle, end, middle),
            f'<circle class="d{colour}" cx="{x:.1f}" cy="{middle}" r="5"/>',
            text(max(end, x + 5) + 6, y + 15, short(median), "value")]


def lines(title, across, unit, series):
    """@series: [(name, [(x, median)])]."""
    height = 420 + LEGEND * len(series)
    xs = [x for _, points in series for x, _ in points]
    ys = [y for _, points in series for _, y in points]
    right = Scale(min(xs), max(xs), 80, WIDTH - 30)
    right.low, right.high = min(xs) * 0.8, max(xs) * 1.25  # these numbers are the ticks
    up = Scale(min(y for y in ys if y > 0), max(ys), 370, 50)
    body = [text(16, 26, title, "title"), text(80, 42, unit, "axis")]
    for tick in up.ticks():
        y = up(tick)
        body.append(line("grid", 80, y, WIDTH - 30, y))
        body.append(text(72, y + 4, number(tick), "axis", "e"))
    for x in sorted(set(xs)):
        body.append(text(right(x), 388, number(x), "axis", "m"))
    body.append(text((80 + WIDTH - 30) / 2, 406, across, "axis", "m"))
    for n, (name, points) in enumerate(series):
        body += curve(n, [(right(x), up(y)) for x, y in sorted(points)])
        y = 420 + LEGEND * n
        body.append(line(f"curve c{n}", 80, y, 110, y))
        body.append(text(120, y + 4, name, "axis"))
    return document(height, title, f"{unit} over {across}", body, len(series))


def curve(n, places):
    path = " ".join(f"{x:.1f},{y:.1f}" for x, y in places)
    return [f'<polyline class="curve c{n}" points="{path}"/>'] + [
        f'<circle class="d{n}" cx="{x:.1f}" cy="{y:.1f}" r="4"/>' for x, y in places]
