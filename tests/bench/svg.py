"""Two kinds of pictures as SVG text: bars side by side, and lines on logarithmic axes. Readable on light and dark ground."""
import math
from xml.sax.saxutils import escape

COLOURS = {"chronikd": "#1b7f6b", "kafka": "#c2572b", "floor": "#8a8f98"}
TEXT, RULE = "#7a7f87", "#7a7f8755"
FONT = 'font-family="system-ui, sans-serif"'


class Picture:
    def __init__(self, width, height, title):
        self.width, self.height, self.parts = width, height, []
        self.title = title
        self.text(10, 22, title, size=15, weight="600")

    def add(self, part):
        self.parts.append(part)

    def text(self, x, y, text, size=11, anchor="start", weight="400", colour=TEXT):
        self.add(f'<text x="{x:.1f}" y="{y:.1f}" font-size="{size}" font-weight="{weight}" text-anchor="{anchor}" '
                 f'fill="{colour}" {FONT}>{escape(text)}</text>')

    def line(self, x1, y1, x2, y2):
        self.add(f'<line x1="{x1:.1f}" y1="{y1:.1f}" x2="{x2:.1f}" y2="{y2:.1f}" stroke="{RULE}"/>')

    def legend(self, names, y=40):
        x = 10
        for name in names:
            self.add(f'<rect x="{x}" y="{y - 9}" width="11" height="11" rx="2" fill="{COLOURS[name]}"/>')
            self.text(x + 16, y, name)
            x += 30 + 7 * len(name)

    def svg(self):
        body = "\n".join(self.parts)
        return (f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {self.width} {self.height}" role="img" '
                f'aria-label="{escape(self.title)}">\n{body}\n</svg>\n')


def short(value):
    return f"{value:,.0f}" if value >= 100 else f"{value:.1f}" if value >= 10 else f"{value:.2f}"


def bars(title, rows, logarithmic=False):
    """@rows: [(label, {name: value or None})]; a missing value says so."""
    names = [n for n in COLOURS if any(n in values for _, values in rows)]
    left, right, bar = 250, 640, 11
    step = bar * len(names) + 10
    known = [v for _, values in rows for v in values.values() if v] or [1]
    top, low = max(known), min(known) / 2

    def share(value):
        return math.log(max(value, low) / low) / math.log(top / low) if logarithmic else value / top

    p = Picture(right + 70, 56 + step * len(rows), title)
    p.legend(names)
    for i, (label, values) in enumerate(rows):
        y = 52 + i * step
        p.text(left - 8, y + step / 2, label, anchor="end")
        for k, name in enumerate(names):
            value, at = values.get(name), y + k * bar
            if value is None:
                p.text(left + 4, at + bar - 2, "not kept", size=9)
                continue
            length = max(1.0, (right - left) * share(value))
            p.add(f'<rect x="{left}" y="{at}" width="{length:.1f}" height="{bar - 2}" rx="1" fill="{COLOURS[name]}"/>')
            p.text(left + length + 4, at + bar - 3, short(value), size=9)
    return p.svg()


def lines(title, x_name, series):
    """@series: {name: [(x, y)]}, both above 0, on logarithmic axes."""
    points = [pt for pts in series.values() for pt in pts]
    x0, x1, y0, y1 = 60, 520, 300, 60
    xs, ys = [x for x, _ in points], [y for _, y in points]
    lo, hi = 10 ** math.floor(math.log10(min(ys))), 10 ** math.ceil(math.log10(max(ys) * 1.001))

    def at(x, y):
        fx = math.log(x / min(xs)) / (math.log(max(xs) / min(xs)) or 1)
        return x0 + (x1 - x0) * fx, y0 + (y1 - y0) * math.log(y / lo) / math.log(hi / lo)

    p = Picture(560, 345, title)
    p.legend([n for n in COLOURS if n in series])
    decade = lo
    while decade <= hi * 1.001:
        _, y = at(min(xs), decade)
        p.line(x0, y, x1, y)
        p.text(x0 - 6, y + 4, short(decade), anchor="end")
        decade *= 10
    for x in sorted(set(xs)):
        px, _ = at(x, lo)
        p.text(px, y0 + 16, f"{x:,}", anchor="middle")
    p.text((x0 + x1) / 2, y0 + 34, x_name, anchor="middle")
    for name, pts in series.items():
        path = " ".join(f"{px:.1f},{py:.1f}" for px, py in (at(*pt) for pt in sorted(pts)))
        p.add(f'<polyline points="{path}" fill="none" stroke="{COLOURS[name]}" stroke-width="2"/>')
        for pt in pts:
            px, py = at(*pt)
            p.add(f'<circle cx="{px:.1f}" cy="{py:.1f}" r="3" fill="{COLOURS[name]}"/>')
    return p.svg()
