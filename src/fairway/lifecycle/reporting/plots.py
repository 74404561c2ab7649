"""The plots of a report as inline SVG: numbers in, drawings out; colours come from the page's style."""

from __future__ import annotations

import math
from collections.abc import Sequence

from markupsafe import Markup

from fairway.lifecycle.reporting.document import Calibration, Curve, Metric, Segment

SIDE = 320
_PAD = 40
_ROW = (240, 34)
_INSET = 8
_WORDS = {"not_worse": "not worse"}

Span = tuple[float, float]


def interval_rows(new: Metric, old: Metric | None) -> Markup:
    """Draw a metric's value and interval, that of the other version below it, on a scale of their own."""
    spans = [(m.low, m.high, m.value) for m in (new, old) if m is not None]
    numbers = [value for span in spans for value in span if value is not None]
    if not numbers or new.value is None:
        return Markup("")
    scale = _Scale(min(numbers), max(numbers))
    drawn = [_whisker(scale, new.low, new.high, new.value, 11 if old else 17, "new")]
    if old is not None and old.value is not None:
        drawn.append(_whisker(scale, old.low, old.high, old.value, 24, "old"))
    return _row(drawn, f"{new.name}: {_text(new.value)}, {_text(new.low)} to {_text(new.high)}")


def difference_row(one: Segment, extent: Span) -> Markup:
    """Draw a difference with its interval and the line of no difference; rows of one extent compare."""
    if one.difference is None:
        return Markup("")
    low, high = one.difference_low, one.difference_high
    scale = _Scale(*extent)
    zero = scale(0.0)
    drawn = [Markup('<line class="zero" x1="{0:.1f}" x2="{0:.1f}" y1="2" y2="32"/>').format(zero)]
    drawn.append(_whisker(scale, low, high, one.difference, 17, one.verdict))
    return _row(drawn, f"difference {_text(one.difference)}, {_text(low)} to {_text(high)}")


def extent_of(rows: Sequence[Segment]) -> Span:
    """Return from where to where the differences of some segments reach, 0 included."""
    spans = [(one.difference_low, one.difference_high) for one in rows]
    numbers = [0.0, *(value for span in spans for value in span if value is not None)]
    return min(numbers), max(numbers)


def reliability(found: Calibration) -> Markup:
    """Draw a reliability diagram: frequency over stated probability, with intervals."""
    frame = _Frame((0.0, 1.0), (0.0, 1.0))
    drawn = [frame.axes("stated probability", "observed frequency"), frame.diagonal()]
    for one in found.bins:
        x = frame.x(one.stated)
        drawn.append(
            Markup('<line class="whisker new" x1="{0:.1f}" x2="{0:.1f}" y1="{1:.1f}" y2="{2:.1f}"/>').format(
                x, frame.y(one.low), frame.y(one.high)
            )
        )
    drawn.append(frame.path([(one.stated, one.happened) for one in found.bins], "new"))
    drawn += [frame.dot(one.stated, one.happened, "new", 4) for one in found.bins]
    return frame.close(drawn, f"Reliability diagram of {found.output}")


def curve(found: Curve) -> Markup:
    """Draw an ROC curve, or answers against truth."""
    if found.kind == "roc":
        frame = _Frame((0.0, 1.0), (0.0, 1.0))
        drawn = [frame.axes("false positive rate", "true positive rate"), frame.diagonal()]
        if found.against:
            drawn.append(frame.path(found.against, "old"))
        drawn.append(frame.path(found.points, "new"))
        return frame.close(drawn, f"ROC curve of {found.of}")
    numbers = [value for point in found.points for value in point]
    span = (min(numbers), max(numbers)) if numbers else (0.0, 1.0)
    frame = _Frame(span, span)
    drawn = [frame.axes("truth", "answer"), frame.diagonal()]
    drawn += [frame.dot(x, y, "point", 2.5) for x, y in found.points]
    return frame.close(drawn, f"Answers against truth of {found.output}")


class _Frame:
    """Two axes and what is drawn between them."""

    def __init__(self, x: Span, y: Span) -> None:
        self._x, self._y = _widened(*x), _widened(*y)

    def x(self, value: float) -> float:
        """Return the place of a value on the horizontal axis."""
        low, high = self._x
        return _PAD + (value - low) / (high - low) * (SIDE - _PAD - _INSET)

    def y(self, value: float) -> float:
        """Return the place of a value on the vertical axis."""
        low, high = self._y
        return SIDE - _PAD - (value - low) / (high - low) * (SIDE - _PAD - _INSET)

    def axes(self, x_name: str, y_name: str) -> Markup:
        """Draw both axes with their names and ticks."""
        low, high = _PAD, SIDE - _PAD
        parts = [Markup('<path class="axis" d="M{0} {1}V{2}H{3}"/>').format(low, _INSET, high, SIDE - _INSET)]
        below = Markup('<text class="tick" x="{:.1f}" y="{}" text-anchor="middle">{}</text>')
        parts += [below.format(self.x(tick), high + 14, _text(tick)) for tick in _ticks(*self._x)]
        beside = Markup('<text class="tick" x="{}" y="{:.1f}" text-anchor="end">{}</text>')
        parts += [beside.format(low - 5, self.y(tick) + 4, _text(tick)) for tick in _ticks(*self._y)]
        middle = (_PAD + SIDE) / 2
        parts.append(
            Markup('<text class="name" x="{:.0f}" y="{}" text-anchor="middle">{}</text>').format(
                middle, SIDE - 8, x_name
            )
        )
        parts.append(
            Markup(
                '<text class="name" transform="translate(11 {:.0f}) rotate(-90)" '
                'text-anchor="middle">{}</text>'
            ).format(SIDE / 2 - 16, y_name)
        )
        return Markup("").join(parts)

    def diagonal(self) -> Markup:
        """Draw the line on which both axes have the same value."""
        low, high = max(self._x[0], self._y[0]), min(self._x[1], self._y[1])
        return Markup('<line class="zero" x1="{:.1f}" y1="{:.1f}" x2="{:.1f}" y2="{:.1f}"/>').format(
            self.x(low), self.y(low), self.x(high), self.y(high)
        )

    def path(self, points: Sequence[tuple[float, float]], kind: str) -> Markup:
        """Draw a line through points."""
        places = " ".join(f"{self.x(x):.1f},{self.y(y):.1f}" for x, y in points)
        return Markup('<polyline class="line {}" points="{}"/>').format(kind, places)

    def dot(self, x: float, y: float, kind: str, radius: float) -> Markup:
        """Draw one point."""
        return Markup('<circle class="dot {}" cx="{:.1f}" cy="{:.1f}" r="{}"/>').format(
            kind, self.x(x), self.y(y), radius
        )

    @staticmethod
    def close(drawn: Sequence[Markup], title: str) -> Markup:
        """Return the drawing."""
        return Markup('<svg class="plot" viewBox="0 0 {0} {0}" role="img" aria-label="{1}">{2}</svg>').format(
            SIDE, shown(title), Markup("").join(drawn)
        )


class _Scale:
    """The places of values on a row."""

    def __init__(self, low: float, high: float) -> None:
        self._low, self._high = _widened(low, high)

    def __call__(self, value: float) -> float:
        share = (value - self._low) / (self._high - self._low)
        return _INSET + share * (_ROW[0] - 2 * _INSET)


def _widened(low: float, high: float) -> Span:
    if high > low:
        return low, high
    reach = abs(low) * 0.1 or 1.0
    return low - reach, high + reach


def _whisker(scale: _Scale, low: float | None, high: float | None, value: float, y: int, kind: str) -> Markup:
    parts = []
    if low is not None and high is not None:
        parts.append(
            Markup('<line class="whisker {0}" x1="{1:.1f}" x2="{2:.1f}" y1="{3}" y2="{3}"/>').format(
                kind, scale(low), scale(high), y
            )
        )
    parts.append(
        Markup('<circle class="dot {0}" cx="{1:.1f}" cy="{2}" r="4.5"/>').format(kind, scale(value), y)
    )
    return Markup("").join(parts)


def _row(drawn: Sequence[Markup], title: str) -> Markup:
    return Markup('<svg class="row" viewBox="0 0 {} {}" role="img" aria-label="{}">{}</svg>').format(
        *_ROW, shown(title), Markup("").join(drawn)
    )


def _ticks(low: float, high: float) -> list[float]:
    """Return three to six round values of an axis."""
    step = 10 ** math.floor(math.log10(high - low))
    for factor in (5, 2, 1, 0.5, 0.2, 0.1):
        places = _whole(low, high, step * factor)
        if len(places) >= 3:
            return [place * step * factor for place in places]
    return [low, high]


def _whole(low: float, high: float, step: float) -> range:
    return range(math.ceil(low / step - 1e-9), math.floor(high / step + 1e-9) + 1)


def shown(text: str) -> str:
    """Return a word of the document as people read it, without what cannot be seen."""
    word = _WORDS.get(text, text)
    return "".join(c if c.isprintable() else "\N{REPLACEMENT CHARACTER}" for c in word)


def _text(value: float | None) -> str:
    return "" if value is None else f"{value:.4g}"
