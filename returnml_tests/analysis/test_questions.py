"""The page of ten questions says what the simulated shop answers."""

from __future__ import annotations

import doctest
from pathlib import Path

import returnml
from returnml.settings import Settings

PAGE = Path(__file__).resolve().parents[2] / "docs" / "questions.md"


def test_every_question_has_the_answer_that_the_page_gives(analysed: Settings):
    text = "\n".join(line for line in PAGE.read_text().splitlines() if not line.startswith("```"))
    said: list[str] = []
    with returnml.open(analysed.data) as shop:
        page = doctest.DocTestParser().get_doctest(text, {"shop": shop}, PAGE.name, str(PAGE), 0)
        found = doctest.DocTestRunner().run(page, out=said.append)
    assert text.count("\n## ") == 10
    assert found.attempted >= 10
    assert found.failed == 0, "".join(said)
