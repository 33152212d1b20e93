"""CSV files for spreadsheets hold text and numbers, never a formula."""

import csv
import io
import re

import pytest

from common import spreadsheets

SIGNS = ("=", "+", "-", "@", "\uff1d", "\uff0b", "\uff0d", "\uff20")


def read(rows, delimiter=","):
    text = "".join(spreadsheets.csv_lines(rows))
    return list(csv.reader(io.StringIO(text, newline=""), delimiter=delimiter))


@pytest.mark.parametrize(
    "evil", ["=1+1", "+1+1", "-1+1", "@SUM(A1)", "-1|x", "-", " =1", "\ufeff=1"]
)
def test_what_begins_like_a_formula_is_text(evil):
    assert read([[evil]]) == [[f"'{evil}"]]


@pytest.mark.parametrize("evil", ["\t=1", "\r=1"])
def test_a_leading_control_character_hides_no_formula(evil):
    assert read([[evil]]) == [[f"'{evil[0]}'=1"]]


@pytest.mark.parametrize("delimiter", [",", ";", "\t", "|"])
@pytest.mark.parametrize(
    "before", ["", "a;", "a\t", "a|", "a\n", "a\r\n", 'a";', "a; ", "\ufeff", "\x00"]
)
@pytest.mark.parametrize("sign", SIGNS)
def test_no_field_is_a_formula_whatever_the_separator(sign, before, delimiter):
    evil = f"{before}{sign}HYPERLINK(1)"

    rows = read([["first", evil, "last"], [evil, "x", evil]], delimiter)

    starts = [re.sub(r"^[\s\x00\ufeff]*", "", cell)[:1] for row in rows for cell in row]
    assert set(starts) & set(SIGNS) == set()


@pytest.mark.parametrize("number", ["-1", "-0.000001", "+3", "-1E-7", "12.5", "0"])
def test_numbers_stay_numbers(number):
    assert read([[number]]) == [[number]]


def test_digits_of_other_alphabets_are_no_numbers():
    assert read([["-\u0661"]]) == [["'-\u0661"]]


def test_what_is_not_text_is_written_as_it_is():
    assert read([[None, -3, "a, b"], ["ines@example.com", "", "−2"]]) == [
        ["", "-3", "a, b"],
        ["ines@example.com", "", "−2"],
    ]


def test_a_download_begins_with_the_byte_order_mark():
    assert "".join(spreadsheets.download(["a\r\n"])).encode() == b"\xef\xbb\xbfa\r\n"
