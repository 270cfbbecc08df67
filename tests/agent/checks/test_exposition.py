"""Prometheus's text format: what is taken, what is refused, and the same as Prometheus's own parser says."""

from __future__ import annotations

import math
from collections.abc import Iterator

import pytest
from hypothesis import given
from hypothesis import strategies as st
from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, Summary, generate_latest
from prometheus_client.parser import text_string_to_metric_families

from agent.checks.exposition import ExpositionError, Family, Sample, parse_exposition

# Of the format's own page, where it says what the format allows.
EXAMPLE = r"""# HELP http_requests_total The total number of HTTP requests.
# TYPE http_requests_total counter
http_requests_total{method="post",code="200"} 1027 1395066363000
http_requests_total{method="post",code="400"}    3 1395066363000

# Escaping in label values:
msdos_file_access_time_seconds{path="C:\\DIR\\FILE.TXT",error="Cannot find file:\n\"FILE.TXT\""} 1.458255915e9

# Minimalistic line:
metric_without_timestamp_and_labels 12.47

# A weird metric from before the epoch:
something_weird{problem="division by zero"} +Inf -3982045

# A histogram, which has a pretty complex representation in the text format:
# HELP http_request_duration_seconds A histogram of the request duration.
# TYPE http_request_duration_seconds histogram
http_request_duration_seconds_bucket{le="0.05"} 24054
http_request_duration_seconds_bucket{le="+Inf"} 144320
http_request_duration_seconds_sum 53423
http_request_duration_seconds_count 144320

# Finally a summary, which has a complex representation, too:
# HELP rpc_duration_seconds A summary of the RPC duration in seconds.
# TYPE rpc_duration_seconds summary
rpc_duration_seconds{quantile="0.01"} 3102
rpc_duration_seconds{quantile="0.99"} 76656
rpc_duration_seconds_sum 1.7560473e+07
rpc_duration_seconds_count 2693
"""

NAMES = st.from_regex(r"[a-zA-Z_:][a-zA-Z0-9_:]{0,8}", fullmatch=True).filter(
    lambda name: not name.endswith(("_total", "_bucket", "_sum", "_count"))
)
LABELS = st.dictionaries(
    st.from_regex(r"[a-zA-Z][a-zA-Z0-9_]{0,8}", fullmatch=True).filter(lambda name: name not in ("le", "quantile")),
    st.text(st.characters(exclude_categories=["Cs", "Cc", "Zl", "Zp"], include_characters="\n"), max_size=12),
    max_size=4,
)
VALUES = st.floats()


@st.composite
def families(draw: st.DrawFn) -> Family:
    """A family of plain samples."""
    name = draw(NAMES)
    labels = draw(st.lists(LABELS, min_size=1, max_size=4, unique_by=lambda labels: tuple(sorted(labels.items()))))
    help_ = draw(st.text(st.characters(exclude_categories=["C", "Z"], include_characters=" \n"), max_size=20))
    return Family(
        name,
        draw(st.sampled_from(["gauge", "counter", "untyped"])),
        help_.strip(),
        [Sample(name, one, draw(VALUES), draw(st.none() | st.integers(-(10**15), 10**15))) for one in labels],
    )


def written(family: Family, blank: str = " ") -> Iterator[str]:
    """The family in the text format."""
    help_ = family.help.replace("\\", r"\\").replace("\n", r"\n")
    yield f"# HELP {family.name} {help_}"
    yield f"# TYPE {family.name} {family.type}"
    for sample in family.samples:
        escaped = {
            k: v.replace("\\", r"\\").replace('"', r"\"").replace("\n", r"\n") for k, v in sample.labels.items()
        }
        inside = ",".join(f'{label}="{value}"' for label, value in escaped.items())
        stamp = "" if sample.timestamp is None else f"{blank}{sample.timestamp}"
        yield f"{sample.name}{{{inside}}}{blank}{sample.value!r}{stamp}"


def flat(found: list[Family]) -> list[tuple[str, str, frozenset[tuple[str, str]], str]]:
    """Type, name, labels and value of each sample; a NaN is like another one as text."""
    return [
        (family.type, sample.name, frozenset(sample.labels.items()), repr(float(sample.value)))
        for family in found
        for sample in family.samples
    ]


def by_prometheus(text: str) -> list[tuple[str, str, frozenset[tuple[str, str]], str]]:
    """The same, as Prometheus's own Python client reads it, which calls every counter `_total`."""
    return [
        (
            "untyped" if metric.type == "unknown" else metric.type,
            sample.name,
            frozenset(sample.labels.items()),
            repr(float(sample.value)),
        )
        for metric in text_string_to_metric_families(text)
        for sample in metric.samples
    ]


def test_the_formats_own_example_is_read() -> None:
    """All that the format allows."""
    found = {family.name: family for family in parse_exposition(EXAMPLE)}
    assert {name: family.type for name, family in found.items()} == {
        "http_requests_total": "counter",
        "msdos_file_access_time_seconds": "untyped",
        "metric_without_timestamp_and_labels": "untyped",
        "something_weird": "untyped",
        "http_request_duration_seconds": "histogram",
        "rpc_duration_seconds": "summary",
    }
    assert found["http_requests_total"].help == "The total number of HTTP requests."
    assert found["http_requests_total"].samples[1] == Sample(
        "http_requests_total", {"method": "post", "code": "400"}, 3.0, 1395066363000
    )
    assert found["msdos_file_access_time_seconds"].samples[0].labels == {
        "path": r"C:\DIR\FILE.TXT",
        "error": 'Cannot find file:\n"FILE.TXT"',
    }
    assert found["something_weird"].samples[0].value == math.inf
    assert [sample.name for sample in found["http_request_duration_seconds"].samples] == [
        "http_request_duration_seconds_bucket",
        "http_request_duration_seconds_bucket",
        "http_request_duration_seconds_sum",
        "http_request_duration_seconds_count",
    ]
    assert flat(parse_exposition(EXAMPLE)) == by_prometheus(EXAMPLE)


@given(st.lists(families(), max_size=4, unique_by=lambda family: family.name), st.sampled_from([" ", "\t", "  "]))
def test_what_prometheus_reads_is_read_the_same(given_families: list[Family], blank: str) -> None:
    """Names, types, help, labels, values, timestamps."""
    text = "\n".join(line for family in given_families for line in written(family, blank)) + "\n"
    found = parse_exposition(text)
    assert [(f.name, f.type, f.help) for f in found] == [(f.name, f.type, f.help) for f in given_families]
    assert [s.timestamp for f in found for s in f.samples] == [s.timestamp for f in given_families for s in f.samples]
    expected = [(k, n.removesuffix("_total") if k == "counter" else n, ls, v) for k, n, ls, v in by_prometheus(text)]
    assert flat(found) == expected


def test_what_prometheus_writes_is_read() -> None:
    """Counters, gauges, histograms and summaries of its Python client."""
    registry = CollectorRegistry()
    Counter("jobs", 'Done,\nor "done".', ["kind"], registry=registry).labels('a"b\\c\n').inc(3)
    Gauge("depth", "Of the queue.", registry=registry).set(-0.5)
    Histogram("took_seconds", "How long.", registry=registry).observe(0.3)
    Summary("size_bytes", "How large.", registry=registry).observe(7)
    text = generate_latest(registry).decode()
    found = {family.name: family for family in parse_exposition(text)}
    assert found["jobs_total"].help == 'Done,\nor "done".'
    assert found["jobs_total"].samples[0].labels == {"kind": 'a"b\\c\n'}
    assert found["took_seconds"].type == "histogram"
    assert flat(list(found.values())) == by_prometheus(text)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("1abc 2", "line 1: a metric's name, its labels and its value were expected, not '1abc 2'"),
        ("good 1\nbad", "line 2: a metric's name, its labels and its value were expected, not 'bad'"),
        ("a-1", "line 1: a metric's name, its labels and its value were expected, not 'a-1'"),
        ("a one", "line 1: a needs a number, and a timestamp at most, not 'one'"),
        ("a 1_0", "line 1: a needs a number, and a timestamp at most, not '1_0'"),
        ("a 0x1p-2", "line 1: a needs a number, and a timestamp at most, not '0x1p-2'"),
        ("a 1\r", r"line 1: a needs a number, and a timestamp at most, not '1\r'"),
        ("a{}", "line 1: a needs a number, and a timestamp at most, not nothing"),
        ("a 1 2 3", "line 1: a needs a number, and a timestamp at most, not '1 2 3'"),
        ("a 1 2.5", "line 1: a has the timestamp '2.5', expected whole milliseconds"),
        ('a{b="c} 1', 'line 1: a label as in name="value" was expected, not \'b="c} 1\''),
        ("a{b=c} 1", "line 1: a label as in name=\"value\" was expected, not 'b=c} 1'"),
        ("a{,} 1", "line 1: a label as in name=\"value\" was expected, not ',} 1'"),
        ('a{b="c" d="e"} 1', "line 1: a comma or } was expected after the label b, not 'd=\"e\"} 1'"),
        ('a{b="1",b="2"} 1', "line 1: the label b is there twice"),
        (r'a{b="\x"} 1', r"line 1: '\\x' is none of the escapes "),
        ("a 1\na 2", "line 2: a is there with the same labels as on line 1"),
        ('a{x="1",y="2"} 1\n\na{y="2",x="1"} 1', "line 3: a is there with the same labels as on line 1"),
        (
            "# TYPE a thing\n",
            "line 1: a has the type 'thing', expected one of counter, gauge, histogram, summary, unty",
        ),
        ("# TYPE a\n", "line 1: a has the type nothing, expected one of"),
        ("# TYPE 1 gauge\n", "line 1: the name of a metric was expected after TYPE, not '1'"),
        ("# HELP\n", "line 1: the name of a metric was expected after HELP, not nothing"),
        ("# HELP a x\n# HELP a x\n", "line 2: a has a second HELP"),
        ("# TYPE a gauge\n# TYPE a gauge\n", "line 2: a has a second TYPE"),
        ("a 1\n# TYPE a gauge\n", "line 2: the TYPE of a must stand before its samples"),
        ("# TYPE a histogram\na 1\n", "line 2: a is a histogram, whose samples are called a_bucket, a_sum, a_count"),
        ("# TYPE a histogram\na_bucket 1\n", "line 2: a_bucket of a histogram needs the label le, a number"),
        ('# TYPE a summary\na{quantile="x"} 1\n', "line 2: a of a summary needs the label quantile, a number"),
    ],
)
def test_what_is_wrong_is_named_with_its_line(text: str, message: str) -> None:
    """The number, what is there, and what was expected."""
    with pytest.raises(ExpositionError) as refused:
        parse_exposition(text)
    assert str(refused.value).startswith(message)


@pytest.mark.parametrize(
    "text",
    [
        *("", "\n \t\n", "# a comment", "#", "# TYPE a gauge", "# HELP a", "#HELPa b", "a 1", " a\t1 "),
        *('a{b="c",} 1', 'a { b = "c" , d="" } 1', "a NaN", "a -inf", "a .5", "a 5.", "a +1e-3"),
        "# TYPE a gauge\na_sum 1",
    ],
)
def test_odd_texts_that_are_right_are_read(text: str) -> None:
    """Blanks, comments, empty families."""
    assert flat(parse_exposition(text)) == by_prometheus(text)


TOKENS = ["# TYPE ", "# HELP ", "a", "a_sum", "a_bucket", "{", "}", '"', "\\", "=", ",", " ", "\n", "1", "NaN", "le"]
TOKENS += ["histogram", "summary", "gauge", "\0", "\r", "ü"]


@given(st.text() | st.lists(st.sampled_from(TOKENS)).map("".join))
def test_any_text_is_read_or_refused(text: str) -> None:
    """With the one error that is documented, and on one line."""
    try:
        found = parse_exposition(text)
    except ExpositionError as error:
        assert str(error).startswith("line ")
        assert str(error).isprintable()
    else:
        assert all(family.samples for family in found)


@pytest.mark.parametrize(
    "text", ['a{b="' + "\\" * 400_001, "a{" + 'b="c' * 200_000, "a" * 800_000, "a" + " " * 800_000]
)
def test_no_text_takes_longer_than_its_length_asks_for(text: str) -> None:
    """Those that make patterns go back and forth are refused as fast as others: here within the test's time."""
    with pytest.raises(ExpositionError):
        parse_exposition(text)
