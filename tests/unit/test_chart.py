"""The chart of the benchmark."""

from __future__ import annotations

from xml.etree import ElementTree

from tests.benchmark.chart import bars

SVG = "{http://www.w3.org/2000/svg}"


def test_a_bar_is_as_long_as_its_value() -> None:
    text = bars(
        "Times", "x", [("read", [("one", 1.0, "ours"), ("two", 2.0, "theirs")])]
    )

    chart = ElementTree.fromstring(text)

    short, long = (float(bar.attrib["width"]) for bar in chart.iter(f"{SVG}rect"))
    assert abs(long - 2 * short) <= 1
    labels = [each.text for each in chart.iter(f"{SVG}text")]
    assert labels == ["Times", "read", "one", "1.00 x", "two", "2.00 x"]


def test_names_may_hold_what_xml_forbids() -> None:
    text = bars("a < b", "&", [('"read"', [("Flask's", 1.0, "ours")])])

    assert [each.text for each in ElementTree.fromstring(text).iter(f"{SVG}text")] == [
        "a < b",
        '"read"',
        "Flask's",
        "1.00 &",
    ]
