"""Parts of the benchmarks write sections of one file, each its own, whatever the others have written."""

from pathlib import Path
from xml.etree import ElementTree as ET

import pytest

from benchmarks.plots import Plot, Stick
from benchmarks.results import SECTIONS, Table, describe_machine, print_tables, write_section

COLD = Table("Cold, one CPU", ("model", "ours"), [("a|b", "1 s\n0.9 to 1.1")], note="A note.")
WARM = Table("Warm", ("what", "ours"), [("x", "[bold] 2 ms")])
PLOT = Plot("cold.svg", "Cold & plotted", "s", {"m": [Stick("ours", 1.0, 0.9, 1.1, ours=True), Stick("<b>", 2, 2, 3)]})


def test_a_section_replaces_itself_and_no_other_and_stands_in_its_place(tmp_path: Path) -> None:
    path = tmp_path / "results.md"
    write_section("warm", [WARM], threads=1, path=path)
    write_section("cold", [WARM], threads=1, path=path)
    write_section("cold", [COLD], [PLOT], threads=0, path=path)

    text = path.read_text(encoding="utf-8")
    assert text.index(SECTIONS["cold"]) < text.index(SECTIONS["warm"])
    assert text.count("# What was measured") == 1
    assert text.count("### Warm") == 1
    assert "### Cold, one CPU\n\n| model | ours |\n| --- | --- |\n| a\\|b | 1 s<br>0.9 to 1.1 |\n\nA note." in text
    assert "![Cold & plotted](cold.svg)" in text
    assert text.count("Measured on ") == 2
    write_section("warm", [WARM], threads=1, path=path)
    assert path.read_text(encoding="utf-8") == text


def test_a_section_that_is_none_is_refused(tmp_path: Path) -> None:
    with pytest.raises(KeyError):
        write_section("hot", [WARM], threads=1, path=tmp_path / "results.md")


def test_a_plot_draws_its_bars_to_one_scale_with_their_figures(tmp_path: Path) -> None:
    write_section("cold", [COLD], [PLOT], threads=1, path=tmp_path / "results.md")
    root = ET.fromstring((tmp_path / "cold.svg").read_text(encoding="utf-8"))  # noqa: S314 - written a line above
    widths = [float(bar.attrib["width"]) for bar in root.findall(".//{*}rect") if bar.attrib["class"] != "paper"]
    assert widths[1] == pytest.approx(2 * widths[0], abs=0.2)
    assert [bar.attrib["class"] for bar in root.findall(".//{*}rect")] == ["paper", "ours", "other"]
    assert {"<b>", "1 s", "2 s"} <= {text.text for text in root.findall(".//{*}text")}


def test_cells_are_printed_as_they_are(capsys: pytest.CaptureFixture[str]) -> None:
    print_tables([COLD, WARM])
    printed = capsys.readouterr().out
    assert "[bold] 2 ms" in printed
    assert "A note." in printed


def test_the_machine_is_named_with_versions() -> None:
    assert "2 threads" in describe_machine(2)
    assert "threads" not in describe_machine(0)
    assert "onnxruntime 1." in describe_machine(2)
