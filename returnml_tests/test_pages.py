"""Pages hold what they are given, as text, and refer to nothing."""

import pytest

from returnml.pages import html_image, markdown_table, page, table


def test_a_cell_is_text():
    assert table(["<b>", "n"], [["a & b", "3"]]) == (
        '<table><tr><th>&lt;b&gt;</th><th class="n">n</th></tr><tr><td>a &amp; b</td><td class="n">3</td></tr></table>'
    )


@pytest.mark.parametrize(
    ("cells", "is_figures"), [(["1,234.5", "-"], True), (["0.1 to 0.2", "3%"], True), (["3 days", "4"], False)]
)
def test_columns_of_figures_are_flush_right(cells, is_figures):
    assert ('class="n"' in table(["x"], [[cell] for cell in cells])) is is_figures


def test_a_bar_does_not_end_a_cell_in_markdown():
    assert markdown_table(["a"], [["x|y"]]) == "| a |\n| --- |\n| x/y |"


def test_a_page_refers_to_nothing():
    written = page("A <title>", html_image("curve", b"png")).decode()
    assert "<h1>A &lt;title&gt;</h1>" in written
    assert 'src="data:image/png;base64,cG5n"' in written
    assert "http" not in written
