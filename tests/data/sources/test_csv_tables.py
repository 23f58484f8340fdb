"""Tables of any program become landmarks, boxes and labels, and what cannot be one is named by line and column."""

import re
from pathlib import Path
from typing import Any

import pytest

from tests.data.factories import data_config, noise, write_image
from usaggr.data.read.load_dataset import load_dataset
from usaggr.data.sources.csv_table import TableColumns, read_table
from usaggr.data.sources.table import SourceTable
from usaggr.data.sources.write_task import write_task
from usaggr.errors import ConfigError, DataError


def read(root: Path, text: str, columns: TableColumns, encoding: str = "utf-8", **options: Any) -> SourceTable:
    for name in ("a.png", "b.png", "sub/c.png"):
        write_image(root / "images" / name, noise(sum(map(ord, name))))
    (root / "labels.csv").write_bytes(text.encode(encoding))
    return read_table(root / "labels.csv", root / "images", "t", columns, **options)


POINTS = TableColumns("file", points="x{i},y{i}")


def test_numbered_columns_are_landmarks(tmp_path: Path) -> None:
    table = read(tmp_path, "file,x1,y1,x2,y2\na.png,1,2,3.5,4\nsub/c,5,6,7,8\n", POINTS)
    assert [(row.image.name, row.points) for row in table.rows] == [
        ("a.png", ((1, 2), (3.5, 4))), ("c.png", ((5, 6), (7, 8)))
    ]  # fmt: skip
    assert [(Path(entry.file).name, entry.reason) for entry in table.left_out] == [
        ("b.png", f"is not in {tmp_path / 'labels.csv'}")
    ]
    write_task(table, tmp_path / "images", tmp_path)
    samples = load_dataset(data_config(tmp_path, tmp_path / "cache")).samples
    assert [s.points for s in samples] == [((1, 2), (3.5, 4)), ((5, 6), (7, 8))]


@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "utf-16", "cp1252"])
def test_separators_decimals_and_encodings_of_spreadsheets(tmp_path: Path, encoding: str) -> None:
    columns = TableColumns("Bild", points="links=Xä,Yä; rechts=X2,Y2", subject="Fall", split="Menge")
    text = "sep=;\r\nBild;Fall;Xä;Yä;X2;Y2;Menge\r\nC:\\scans\\a.png;17;1,5;2;3;4;Test\r\nb;018;1;2;3;4;training\r\n"
    table = read(tmp_path, text, columns, encoding, decimal=",")
    assert table.class_names == ("links", "rechts")
    assert [(row.points, row.columns) for row in table.rows] == [
        (((1.5, 2), (3, 4)), {"subject_id": "17", "split": "test"}),
        (((1, 2), (3, 4)), {"subject_id": "018", "split": "train"}),
    ]
    with pytest.raises(DataError, match=r"line 3: Xä is '1,5', which is not a number; add --decimal ','"):
        read(tmp_path, text, columns, encoding)


def test_one_column_per_landmark_and_one_row_per_landmark(tmp_path: Path) -> None:
    single = read(tmp_path, "file;p0;p1\na;[1, 2];3 4\nb;1,2;\n", TableColumns("file", points="p{i}"))
    assert [row.points for row in single.rows] == [((1, 2), (3, 4))]
    assert single.left_out[0].reason == "a landmark is missing"
    text = "file,name,x,y\na,base,3,4\na,apex,1,2\nb,apex,5,6\nb,base,7,8\n"
    long = read(tmp_path, text, TableColumns("file", points="x,y", landmark="name"))
    assert long.class_names == ("apex", "base")
    assert [row.points for row in long.rows] == [((1, 2), (3, 4)), ((5, 6), (7, 8))]


@pytest.mark.parametrize(
    ("box_format", "box"), [("xyxy", (4, 5, 10, 12)), ("xywh", (4, 5, 14, 17)), ("center", (-1, -1, 9, 11))]
)
def test_boxes_in_three_formats(tmp_path: Path, box_format: Any, box: tuple[float, ...]) -> None:
    columns = TableColumns("file", box="x1,y1,x2,y2")
    table = read(tmp_path, "file\tx1\ty1\tx2\ty2\na\t4\t5\t10\t12\nb\tNA\t\t\t\n", columns, box_format=box_format)
    assert [row.box for row in table.rows] == [box]
    assert table.left_out[0].reason == "has no box"


def test_boxes_that_are_not_corners_and_several_boxes_are_refused(tmp_path: Path) -> None:
    columns = TableColumns("file", box="x1,y1,x2,y2")
    with pytest.raises(DataError, match=r"2 of 2 boxes end before they begin.* add --box-format xywh or center"):
        read(tmp_path, "file,x1,y1,x2,y2\na,20,15,5,6\nb,20,15,5,6\n", columns)
    text = "file,x1,y1,x2,y2\na,1,1,5,6\na,10,10,20,22\n"
    with pytest.raises(DataError, match=r"a\.png has 2 boxes, .* add --several largest"):
        read(tmp_path, text, columns)
    assert read(tmp_path, text, columns, several="largest").rows[0].box == (10, 10, 20, 22)
    assert read(tmp_path, text, columns, several="union").rows[0].box == (1, 1, 20, 22)


def test_reversed_boxes_are_counted_among_boxes_and_not_images(tmp_path: Path) -> None:
    columns = TableColumns("file", box="x1,y1,x2,y2")
    one_of_eleven = "file,x1,y1,x2,y2\n" + "a,1,1,5,6\n" * 10 + "a,20,15,5,6\n"
    assert read(tmp_path, one_of_eleven, columns, several="largest").rows[0].box == (1, 1, 5, 6)


def test_labels_with_other_digits_are_sorted_as_text(tmp_path: Path) -> None:
    table = read(tmp_path, "file,BIRADS\na,5²\nb,5\n", TableColumns("file", label="BIRADS"))
    assert table.class_names == ("5", "5²")


def test_labels_keep_their_names(tmp_path: Path) -> None:
    columns = TableColumns("file", label="BIRADS")
    table = read(tmp_path, "file,BIRADS\na,10\nb,2.0\nc,2\n", columns)
    assert table.class_names == ("2", "10")
    assert [row.label for row in table.rows] == [1, 0, 0]
    assert table.notes == ("classes: 0 = 2, 1 = 10",)
    named = read(tmp_path, "file,BIRADS\na,malignant\nb,benign\n", columns, names=("malignant", "benign"))
    assert [row.label for row in named.rows] == [0, 1]


def test_one_label_or_landmark_in_two_spellings_is_one(tmp_path: Path) -> None:
    composed, decomposed = "L\u00e4sion klein", "La\u0308sion\u00a0 klein"
    table = read(tmp_path, f"file,l\na,{composed}\nb,{decomposed}\nc,normal\n", TableColumns("file", label="l"))
    assert (table.class_names, [row.label for row in table.rows]) == ((composed, "normal"), [0, 0, 1])
    text = f"file,name,x,y\na,{composed},3,4\na,tip,1,2\nb,tip,5,6\nb,{decomposed},7,8\n"
    long = read(tmp_path, text, TableColumns("file", points="x,y", landmark="name"), names=(decomposed, "tip"))
    assert long.class_names == (composed, "tip")
    assert [row.points for row in long.rows] == [((3, 4), (1, 2)), ((7, 8), (5, 6))]


def test_a_class_named_as_a_missing_value_is_left_out_with_a_hint_or_read_by_its_name(tmp_path: Path) -> None:
    text, columns = "file,l\na,none\nb,mild\nsub/c,severe\n", TableColumns("file", label="l")
    without = read(tmp_path, text, columns)
    assert without.class_names == ("mild", "severe")
    assert without.left_out[0].reason == "has no l ('none' is read as a missing value unless --names has it)"
    named = read(tmp_path, text, columns, names=("none", "mild", "severe"))
    assert [row.label for row in named.rows] == [0, 1, 2]


@pytest.mark.parametrize(
    ("text", "columns"),
    [
        ("file,x1,y1,x2,y2\na,1,2,3,4\n", POINTS),
        ("file,name,x,y\na,tip,1,2\n", TableColumns("file", points="x,y", landmark="name")),
        ("file,l\na,tip\nb,base\n", TableColumns("file", label="l")),
    ],
)
def test_a_name_that_is_listed_twice_is_refused(tmp_path: Path, text: str, columns: TableColumns) -> None:
    with pytest.raises(ConfigError, match="--names: tip, tip must be different names"):
        read(tmp_path, text, columns, names=("tip", "tip "))


def test_whole_numbers_with_a_decimal_comma_are_one_label_and_one_patient(tmp_path: Path) -> None:
    text = "file;l;p\na;1,0;17,0\nb;1;17\nsub/c;2;018\n"
    table = read(tmp_path, text, TableColumns("file", label="l", subject="p"), decimal=",")
    assert table.class_names == ("1", "2")
    assert [row.columns["subject_id"] for row in table.rows] == ["17", "17", "018"]


def test_a_point_between_thousands_is_not_read_as_a_decimal_point(tmp_path: Path) -> None:
    with pytest.raises(DataError, match=r"line 2: x1 is '1\.234', .*; with --decimal ',' it must not have a point"):
        read(tmp_path, "file;x1;y1\na;1.234;5,5\n", POINTS, decimal=",")


@pytest.mark.parametrize("cell", ["26,5 1", "26,5;1,0", "[26,5; 1]"])
def test_x_and_y_in_one_column_with_decimal_commas(tmp_path: Path, cell: str) -> None:
    table = read(tmp_path, f"file\tp\na\t{cell}\n", TableColumns("file", points="apex=p"), decimal=",")
    assert [row.points for row in table.rows] == [((26.5, 1),)]


@pytest.mark.parametrize(
    ("cell", "decimal", "separators"),
    [
        ("26,1", ",", r"';' or a space \(with --decimal ',', 26,1 is one number\)"),
        ("26, 1", ",", "';' or a space"),
        ("[26 ,1]", ",", "';' or a space"),
        ("26.1", ".", "',', ';' or a space"),
    ],
)
def test_one_number_is_no_landmark(tmp_path: Path, cell: str, decimal: str, separators: str) -> None:
    message = rf"line 2: p is '{re.escape(cell)}', which is not two numbers, .* by {separators}.* such as 'apex=p,Y'$"
    with pytest.raises(DataError, match=message):
        read(tmp_path, f"file\tp\na\t{cell}\n", TableColumns("file", points="apex=p"), decimal=decimal)


@pytest.mark.parametrize(
    ("text", "columns", "message"),
    [
        ("file,x1\na,1\n", TableColumns("image", points="x{i}"), r"--image: unknown 'image'.* Allowed: file, x1"),
        ("file,x1,y1,x3,y3\na,1,2,3,4\n", POINTS, r"needs the same numbers without gaps .*1, 3"),
        ("file,x1,y1,x2\na,1,2,3\n", POINTS, r"needs the same numbers without gaps"),
        ("file,x1,y1\na,1,2\na,3,4\n", POINTS, r"a\.png has 2 rows \(lines 2, 3\) with other landmarks"),
        ("file,x1,y1\na,1,two\n", POINTS, r"line 2: y1 is 'two', which is not a number"),
        ("file,x1,y1\na,1,1e400\n", POINTS, r"line 2: y1 is '1e400', which is not a number"),
        ("file,x1,y1\nz,1,2\n", POINTS, r"no image of the column file is in .*, such as 'z'"),
        ("file,x1,x1\na,1,2\n", POINTS, r"the column x1 exists more than once"),
        ("file,l\na,x\na,y\n", TableColumns("file", label="l"), r"a\.png has several values of l: x, y"),
        ("file,l\na,Benign\nb,benign\n", TableColumns("file", label="l"), r"in letter case: Benign, benign"),
        ("file,l\na,x\nb,x\n", TableColumns("file", label="l"), r"has one label \(x\)"),
        ("file,l\na,x\nb,y\n", TableColumns("file", label="L"), r"--label: unknown 'L'"),
        ("file,l\na,x\nb,y\n", TableColumns("file"), r"give one of them"),
        ("file,l,s\na,x,1\nb,y,dev\n", TableColumns("file", label="l", split="s"), r"s is '1'; allowed: train"),
        ("PK\x03\x04", POINTS, r"is a workbook of a spreadsheet program; save it as CSV"),
        ("file,x1,y1\n", POINTS, r"has no rows"),
    ],
)  # fmt: skip
def test_tables_that_cannot_be_read_are_refused_in_one_line(
    tmp_path: Path, text: str, columns: TableColumns, message: str
) -> None:
    with pytest.raises((ConfigError, DataError), match=message) as error:
        read(tmp_path, text, columns)
    assert "\n" not in str(error.value)
