"""What people open in a spreadsheet is text and numbers, never a formula."""

import csv
import io

import pytest

from accounts import spreadsheets


def read(rows):
    return list(csv.reader(io.StringIO("".join(spreadsheets.lines(rows)))))


@pytest.mark.parametrize("evil", ["=1+1", "+1+1", "-1+1", "@SUM(A1)", "\t=1", "\r=1", "-1|x", "-"])
def test_what_begins_like_a_formula_is_text(evil):
    assert read([[evil]]) == [[f"'{evil}"]]


@pytest.mark.parametrize("number", ["-1", "-0.000001", "+3", "-1E-7", "12.5", "0"])
def test_numbers_stay_numbers(number):
    assert read([[number]]) == [[number]]


def test_what_is_not_text_is_written_as_it_is():
    assert read([[None, -3, "a, b"], ["ines@example.com", "", "−2"]]) == [
        ["", "-3", "a, b"],
        ["ines@example.com", "", "−2"],
    ]
