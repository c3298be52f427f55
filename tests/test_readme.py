"""The README is short. That what it says is so is in test_docs.py, with the other pages."""

from pathlib import Path

README = Path(__file__).resolve().parent.parent / "README.md"


def test_it_is_read_in_a_few_minutes():
    lines = README.read_text("utf-8").splitlines()
    assert len(lines) <= 150
    assert [line for line in lines if len(line) > 125 and not line.startswith(("|", "[")) and "](" not in line] == []


def test_it_leads_to_every_page():
    text = README.read_text("utf-8")
    for page in (README.parent / "docs").glob("*.md"):
        assert f"(docs/{page.name}" in text, page
