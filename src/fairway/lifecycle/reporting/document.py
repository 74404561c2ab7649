"""The report of a check as data: what `report.json` holds, and what gates, pages and programs read.

`FORMAT` grows when a field changes its meaning or goes; new fields come with a default and leave it as it is.
A number that could not be computed is null.
"""

from __future__ import annotations

import dataclasses
from typing import Any, Literal

import msgspec

from fairway.errors import ArtifactCorrupt, BundleTooNew

FORMAT = 1
ATTACHMENT = "check"
DOCUMENT = "report.json"
PAGE = "report.html"

ALWAYS = frozenset({"golden", "schema"})
"""Rules that hold without being written down."""

RuleVerdict = Literal["passed", "failed", "inconclusive"]


@dataclasses.dataclass(frozen=True, kw_only=True)
class Subject:
    """A version that was checked or compared with.

    Attributes:
        reference: As a person writes it: `coffee:3`.
        model: Name of the model.
        version: Its number.
        digest: SHA-256 of its manifest.
        predictor: What answered: a compiler's name or `native`.
    """

    reference: str
    model: str
    version: int
    digest: str
    predictor: str = ""


@dataclasses.dataclass(frozen=True, kw_only=True)
class Data:
    """The table. `sha256` is that of the file, or of the values where there was none."""

    name: str
    sha256: str
    rows: int
    columns: int


@dataclasses.dataclass(frozen=True, kw_only=True)
class Column:
    """One input in the data, against the signature and against the example that it was packed with.

    Attributes:
        name: Name of the input.
        kind: Its kind.
        missing: Share of rows without a value.
        refused: Share of rows whose value the model refuses.
        unseen: Share of rows with a category that was not seen in training.
        out_of_range: Share of rows outside the range that was seen.
        psi: Population stability index against the example; null where none could be computed.
        p: How likely chance alone makes it as large, adjusted for the number of columns.
        has_shifted: Whether the index is at least 0.1 and p below 0.01.
    """

    name: str
    kind: str
    missing: float
    refused: float
    unseen: float
    out_of_range: float
    psi: float | None = None
    p: float | None = None
    has_shifted: bool = False


@dataclasses.dataclass(frozen=True, kw_only=True)
class Schema:
    """Whether the data fits the signature.

    Attributes:
        passed: Whether no needed column is absent, the model failed on no row and refused few enough.
        missing: Inputs that the data lacks although they may not be missing.
        extra: Columns that are neither an input nor a label.
        refused: Rows that a server would refuse.
        failed: Rows on which the model itself failed, or answered with no number.
        faults: Some of what was wrong, one sentence each.
        columns: One entry per input.
    """

    passed: bool
    missing: list[str]
    extra: list[str]
    refused: int
    failed: int
    faults: list[str]
    columns: list[Column]


@dataclasses.dataclass(frozen=True, kw_only=True)
class Labels:
    """The truth for one output.

    Attributes:
        output: Name of the output.
        column: Column of the data that holds the truth.
        task: `classification` or `regression`.
        rows: Rows with truth and answers, on which all metrics rest.
        missing: Rows without truth.
        unknown: Labels that the model does not know, with their rows; it cannot be right on them.
        classes: Rows by label, the most frequent first; empty for a number.
    """

    output: str
    column: str
    task: Literal["classification", "regression"]
    rows: int
    missing: int
    unknown: dict[str, int] = dataclasses.field(default_factory=dict)
    classes: dict[str, int] = dataclasses.field(default_factory=dict)


@dataclasses.dataclass(frozen=True, kw_only=True)
class Metric:
    """One metric of one version, with its interval. `higher_is_better` is null where nobody can tell."""

    output: str
    name: str
    value: float | None
    low: float | None
    high: float | None
    method: str
    rows: int
    higher_is_better: bool | None


@dataclasses.dataclass(frozen=True, kw_only=True)
class Comparison:
    """One metric of two versions on the same rows.

    Attributes:
        output: Name of the output.
        name: Name of the metric.
        new: Value of the checked version.
        old: Value of the other.
        difference: New minus old.
        low: Lower end of the difference's interval.
        high: Upper end.
        method: How the interval was made.
        p: P-value of the paired test that there is no difference.
        test: Which test.
        tolerance: How much worse counts as not worse, in units of the metric.
        verdict: `better`, `not_worse`, `worse` or `inconclusive`.
        detectable: The smallest true difference that so much data shows in four cases of five.
        rows: How many rows.
    """

    output: str
    name: str
    new: float | None
    old: float | None
    difference: float | None
    low: float | None
    high: float | None
    method: str
    p: float | None
    test: str
    tolerance: float
    verdict: Literal["better", "not_worse", "worse", "inconclusive"]
    detectable: float | None
    rows: int


@dataclasses.dataclass(frozen=True, kw_only=True)
class Segment:
    """Some of the rows, looked at apart.

    Attributes:
        column: Column that was split by.
        value: Its value, or the range of its values.
        output: Name of the output.
        name: Name of the metric.
        rows: How many rows.
        metric: The metric of these rows.
        low: Lower end of its interval.
        high: Upper end.
        beside: What it is compared with: `against` (the other version on the same rows) or `rest` (the same
            version on all other rows).
        other: The metric of that.
        difference: Metric minus other.
        difference_low: Lower end of the difference's interval.
        difference_high: Upper end.
        p: P-value, adjusted for the number of segments (Benjamini-Hochberg).
        verdict: `better`, `worse`, `inconclusive`, or `not_worse` within the tolerance.
    """

    column: str
    value: str
    output: str
    name: str
    rows: int
    metric: float | None
    low: float | None
    high: float | None
    beside: Literal["against", "rest"]
    other: float | None = None
    difference: float | None = None
    difference_low: float | None = None
    difference_high: float | None = None
    p: float | None = None
    verdict: Literal["better", "not_worse", "worse", "inconclusive"] = "inconclusive"


@dataclasses.dataclass(frozen=True, kw_only=True)
class Bin:
    """One row of a reliability table: mean probability, frequency, and the frequency's interval."""

    rows: int
    stated: float
    happened: float
    low: float
    high: float


@dataclasses.dataclass(frozen=True, kw_only=True)
class Calibration:
    """Whether probabilities mean what they say.

    Attributes:
        output: Name of the output.
        of: The class whose probability is judged, or empty for that of each row's likeliest class.
        bins: The reliability table.
        ece: Expected calibration error.
        if_calibrated: What it would be on so many rows if the probabilities were perfect.
        p: How likely perfect ones would give as much.
    """

    output: str
    of: str
    bins: list[Bin]
    ece: float | None
    if_calibrated: float
    p: float


@dataclasses.dataclass(frozen=True, kw_only=True)
class Curve:
    """Points of a plot: of an ROC curve, or of answers against truth."""

    output: str
    kind: Literal["roc", "answers"]
    of: str
    points: list[tuple[float, float]]
    against: list[tuple[float, float]] = dataclasses.field(default_factory=list)


@dataclasses.dataclass(frozen=True, kw_only=True)
class Latency:
    """Time of one call with one row in the predictor, in milliseconds; `ratio` is that of the medians."""

    calls: int
    p50_ms: float
    p99_ms: float
    against_p50_ms: float | None = None
    against_p99_ms: float | None = None
    ratio: float | None = None


@dataclasses.dataclass(frozen=True, kw_only=True)
class Rule:
    """One rule, and whether it is kept.

    Attributes:
        name: Key of the rule: `rmse`, `not_worse_than`, or `schema` and `golden`, which always hold.
        wanted: What it asks for.
        verdict: `passed`, `failed`, or `inconclusive` where the data does not tell; only passed rules pass.
        reason: Why, in a sentence.
    """

    name: str
    wanted: str
    verdict: RuleVerdict
    reason: str


@dataclasses.dataclass(frozen=True, kw_only=True)
class CheckReport:
    """Everything that a check found.

    Attributes:
        passed: Whether every rule is kept.
        rules: The rules with their verdicts.
        subject: The version that was checked.
        against: The version that it was compared with.
        at: When, ISO 8601 in UTC.
        actor: Who.
        data: The table.
        schema: Whether the table fits the signature.
        golden: What the golden examples say; empty when all are answered as recorded.
        environment: What differs from the environment that the version was packed in.
        labels: The truth, per output.
        metrics: The metrics of the version.
        against_metrics: Those of the other version, on the same rows.
        comparisons: Both compared.
        segments: The same for some of the rows.
        calibration: Reliability of probabilities.
        curves: Points for plots.
        latency: Time of a call; null where the version cannot be loaded.
        memory_mb: Memory of a process that has loaded the version and answered; null where no rule asks.
        compatibility: What changes for clients of the other version; null without one.
        notes: What a reader should know, one sentence each.
        confidence: Confidence of every interval.
        seed: Which resamples were drawn.
        seconds: How long it took.
        fairway: Version that made the report.
        format: Number of the format.
    """

    passed: bool
    rules: list[Rule]
    subject: Subject
    against: Subject | None
    at: str
    actor: str
    data: Data
    schema: Schema
    golden: list[str]
    environment: list[str]
    labels: list[Labels] = dataclasses.field(default_factory=list)
    metrics: list[Metric] = dataclasses.field(default_factory=list)
    against_metrics: list[Metric] = dataclasses.field(default_factory=list)
    comparisons: list[Comparison] = dataclasses.field(default_factory=list)
    segments: list[Segment] = dataclasses.field(default_factory=list)
    calibration: list[Calibration] = dataclasses.field(default_factory=list)
    curves: list[Curve] = dataclasses.field(default_factory=list)
    latency: Latency | None = None
    memory_mb: float | None = None
    compatibility: dict[str, Any] | None = None
    notes: list[str] = dataclasses.field(default_factory=list)
    confidence: float = 0.95
    seed: int = 0
    seconds: float = 0.0
    fairway: str = ""
    format: int = FORMAT

    @property
    def refusals(self) -> list[str]:
        """One sentence per rule that is not kept."""
        return [f"{rule.name}: {rule.reason}" for rule in self.rules if rule.verdict != "passed"]

    @property
    def has_gate(self) -> bool:
        """Whether there are rules beside the two that always hold."""
        return any(rule.name not in ALWAYS for rule in self.rules)

    def to_bytes(self) -> bytes:
        """Return the JSON document."""
        return msgspec.json.format(msgspec.json.encode(self), indent=1)

    def to_dict(self) -> dict[str, Any]:
        """Return the document as plain data."""
        document: dict[str, Any] = msgspec.to_builtins(self)
        return document

    @classmethod
    def from_bytes(cls, data: bytes) -> CheckReport:
        """Read a report.

        Raises:
            ArtifactCorrupt: The bytes are not a report.
            BundleTooNew: A newer fairway wrote it.
        """
        try:
            number = msgspec.json.decode(data)["format"]
            if isinstance(number, int) and number > FORMAT:
                raise BundleTooNew(
                    f"the report has format {number}; this release reads up to {FORMAT}",
                    hint="pip install --upgrade fairway",
                )
            return msgspec.json.decode(data, type=cls)
        except (msgspec.DecodeError, UnicodeDecodeError, RecursionError, TypeError, KeyError) as cause:
            raise ArtifactCorrupt(f"this is not the report of a check: {cause}") from cause
