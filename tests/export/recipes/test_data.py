"""Tables, time series and reviews: what is shipped, and files that are broken each in its own way."""

import gzip
import hashlib
import re
from pathlib import Path

import numpy as np
import pytest

from export.errors import DataError
from export.recipes.files import SHIPPED
from export.recipes.recipe import find_recipe
from export.recipes.reviews import read_reviews
from export.recipes.series import load_series
from export.recipes.tables import load_table

SHIPPED_BYTES_AT_MOST = 6_000_000
TABLE = "a,b,label\n" + "".join(f"{n},{n * n},{n % 2}\n" for n in range(8))
HEADER = "#comment\n@problemName x\n@classLabel true up down\n@data\n"
TRAIN = HEADER + "1,2,3:4,5,6:up\n3,2,1:6,5,4:down\n"
TEST = HEADER + "1,2,2:4,5,5:down\n"


def test_readme_lists_the_shipped_files_as_they_are() -> None:
    rows = re.findall(
        r"^\| `(\S+\.gz)` \| [\d,]+(?: [a-z]+)? \| (\d+) \| `([0-9a-f]{64})` \|$",
        (SHIPPED / "README.md").read_text(),
        re.MULTILINE,
    )
    contents = {path.name: path.read_bytes() for path in SHIPPED.glob("*.gz")}
    assert {path.name for path in SHIPPED.iterdir()} == {"README.md", *contents}
    assert {name: (int(size), sha256) for name, size, sha256 in rows} == {
        name: (len(content), hashlib.sha256(content).hexdigest()) for name, content in contents.items()
    }
    assert sum(map(len, contents.values())) <= SHIPPED_BYTES_AT_MOST


@pytest.mark.parametrize(
    ("recipe", "train", "test", "classes"),
    [
        ("mlp-regressor", (332, 10), (110, 10), None),
        ("mlp-classifier", (1_348, 64), (449, 64), 10),
        ("binary-classifier", (427, 30), (142, 30), 2),
        ("gru-classifier", (67, 24, 1), (1_029, 24, 1), 2),
    ],
)
def test_shipped_data_have_the_documented_shapes(
    recipe: str, train: tuple[int, ...], test: tuple[int, ...], classes: int | None
) -> None:
    dataset = find_recipe(recipe).load(None)
    for split, shape in ((dataset.train, train), (dataset.test, test)):
        (values,) = split.inputs.values()
        assert values.shape == shape
        assert values.dtype == np.float32
        if classes is None:
            assert split.targets.shape == (shape[0], 1)
            assert split.targets.dtype == np.float32
        else:
            assert split.targets.shape == (shape[0],)
            assert split.targets.dtype == np.int64
            assert set(split.targets) == set(range(classes))


def test_shipped_reviews_leave_out_the_undecided() -> None:
    ratings, texts = read_reviews(None)
    assert len(ratings) == len(texts) == 10_043
    assert min(map(abs, ratings)) > 0.5
    assert all(text == text.strip() and text for text in texts)


def test_table_gives_the_columns_and_holds_out_every_fourth_row(tmp_path: Path) -> None:
    (tmp_path / "t.csv").write_text(TABLE)
    dataset = load_table(tmp_path, "t.csv", classes=2)
    assert dataset.train.inputs["x"][:, 0].tolist() == [0, 1, 2, 4, 5, 6]
    assert dataset.test.inputs["x"].tolist() == [[3, 9], [7, 49]]
    assert dataset.test.targets.tolist() == [1, 1]
    (tmp_path / "t.csv").unlink()
    (tmp_path / "t.csv.gz").write_bytes(gzip.compress(TABLE.encode()))
    assert load_table(tmp_path, "t.csv").test.targets.tolist() == [[1.0], [1.0]]


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", "header '', expected names of columns"),
        ("a\n1\n2\n3\n4\n", "header 'a', expected names of columns"),
        ("a,b,label\n1,2,0\n", "1 rows, expected at least 4"),
        (TABLE.replace("5,25,1", "5,25"), "line 7: 2 values, expected 3 as in the header"),
        (TABLE.replace("5,25,1", "5,x,1"), "line 7: b is 'x', expected a number"),
        (TABLE.replace("5,25,1", "nan,25,1"), "line 7: a is nan, expected a finite number"),
        (TABLE.replace("5,25,1", "5,25,2"), "line 7: label 2, expected classes 0 to 1"),
        (TABLE.replace("5,25,1", "5,25,0.5"), r"line 7: label 0\.5, expected classes 0 to 1"),
        (TABLE.replace("5,25,1", "5,25,-1"), "line 7: label -1, expected classes 0 to 1"),
    ],
)
def test_broken_table_is_refused(tmp_path: Path, text: str, message: str) -> None:
    (tmp_path / "t.csv").write_text(text)
    with pytest.raises(DataError, match=rf"^{re.escape(str(tmp_path / 't.csv'))}[:,] {message}"):
        load_table(tmp_path, "t.csv", classes=2)


def test_text_that_is_no_utf_8_is_refused(tmp_path: Path) -> None:
    (tmp_path / "t.csv").write_bytes(b"a,b\n\xff")
    with pytest.raises(DataError, match=r"t\.csv: byte 4 is no UTF-8, expected text"):
        load_table(tmp_path, "t.csv")


@pytest.mark.parametrize("recipe", ["mlp-regressor", "mlp-classifier", "binary-classifier", "gru-classifier"])
def test_folder_without_the_data_is_refused_by_name(recipe: str, tmp_path: Path) -> None:
    for folder in (tmp_path, tmp_path / "nowhere"):
        with pytest.raises(DataError, match=f"^{re.escape(str(folder))}.*(is not there|no such file), expected one"):
            find_recipe(recipe).load(folder)


def write_series(folder: Path, train: str, test: str) -> Path:
    (folder / "Any_TRAIN.ts").write_text(train)
    (folder / "Any_TEST.ts").write_text(test)
    return folder


def test_series_of_several_dimensions_are_read(tmp_path: Path) -> None:
    dataset = load_series(write_series(tmp_path, TRAIN, TEST))
    assert dataset.train.inputs["series"].shape == (2, 3, 2)
    assert dataset.train.inputs["series"][0].tolist() == [[1, 4], [2, 5], [3, 6]]
    assert dataset.train.targets.tolist() == [1, 0]  # positions in down, up
    assert dataset.test.targets.tolist() == [0]


@pytest.mark.parametrize(
    ("train", "test", "message"),
    [
        ("1,2:up\n", TEST, r"_TRAIN\.ts: no line @data"),
        (HEADER, TEST, r"_TRAIN\.ts: no series, expected at least one"),
        (HEADER + "1,2\n", TEST, r"_TRAIN\.ts, line 5: values missing"),
        (HEADER + "1,?:up\n", TEST, r"_TRAIN\.ts, line 5: could not convert"),
        (HEADER + "1,nan:up\n", TEST, r"_TRAIN\.ts, line 5: values missing or not finite"),
        (HEADER + "1,2:1:up\n", TEST, r"_TRAIN\.ts, line 5: .*as many in each dimension"),
        (TRAIN + "1,2:4,5:up\n", TEST, r"_TRAIN\.ts, line 7: \[2, 2\], expected \[3, 2\]"),
        (TRAIN, HEADER + "1,2:4,5:up\n", r"_TEST\.ts: series of shape \[2, 2\], expected \[3, 2\]"),
        (TRAIN, TEST.replace(":down", ":left"), r"_TEST\.ts: label 'left', expected one of down, up"),
    ],
)
def test_broken_series_are_refused(tmp_path: Path, train: str, test: str, message: str) -> None:
    with pytest.raises(DataError, match=message):
        load_series(write_series(tmp_path, train, test))


@pytest.mark.parametrize("line", ["good film", "x\tgood film", "nan\tgood film", "2.5\t "])
def test_broken_review_is_refused_by_its_line(tmp_path: Path, line: str) -> None:
    (tmp_path / "movie-reviews.tsv").write_text(f"1.5\tgood\n\n{line}\n")
    with pytest.raises(DataError, match=r"movie-reviews\.tsv, line 3: .*, expected a rating, a tab and a text"):
        read_reviews(tmp_path)


def test_too_few_reviews_are_refused(tmp_path: Path) -> None:
    (tmp_path / "movie-reviews.tsv").write_text("1.5\tgood\n0.5\tso so\n")
    with pytest.raises(DataError, match=r"1 reviews rated beyond 0\.5 either way, expected at least 5"):
        read_reviews(tmp_path)
