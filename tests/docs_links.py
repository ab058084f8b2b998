"""Every page of the book is in its table of contents, every relative link of the documentation leads to a file, and every test that
docs/conformity.md names is there."""

import pathlib
import re
import sys

ROOT = pathlib.Path(__file__).resolve().parent.parent
LINK = re.compile(r"\]\(([^)#\s]+)(?:#[^)]*)?\)")
CODE = re.compile(r"```.*?```|`[^`\n]*`", re.DOTALL)


def links(page):
    """Relative links of a page, code left out."""
    for target in LINK.findall(CODE.sub("", page.read_text())):
        if not re.match(r"[a-z]+:", target):
            yield target


NAMED_TEST = re.compile(r"`([\w/.-]+\.(?:py|rs))::(\w+)`")
STATEMENTS = 35


def conformity():
    """What does not hold of the table of statements: it is whole, and no test in it has been renamed or removed."""
    page = (ROOT / "docs" / "conformity.md").read_text()
    for path, name in sorted(set(NAMED_TEST.findall(page))):
        file = ROOT / path
        if not (file.exists() and re.search(rf"\b(?:def|fn) {name}\(", file.read_text())):
            yield f"docs/conformity.md: {path} has no test {name}"
    numbers = [int(number) for number in re.findall(r"^\| (\d+) \|", page, re.MULTILINE)]
    if numbers != list(range(1, STATEMENTS + 1)):
        yield f"docs/conformity.md does not have the statements 1 to {STATEMENTS} in order"
    for line in page.splitlines():
        row = re.match(r"\| (\d+) \|", line)
        if row and ("| held |" in line or "| inside |" in line) and not NAMED_TEST.search(line):
            yield f"docs/conformity.md: statement {row[1]} is said to be held, and by no test"


def main():
    book = ROOT / "docs"
    pages = [page for page in book.rglob("*.md") if "book" not in page.relative_to(book).parts]
    problems = []
    for page in [*pages, *ROOT.glob("*.md"), *ROOT.glob("examples/**/*.md")]:
        for target in links(page):
            if not (page.parent / target).exists():
                problems.append(f"{page.relative_to(ROOT)}: {target} is not there")
    listed = {(book / target).resolve() for target in links(book / "SUMMARY.md")}
    for page in pages:
        if page.name != "SUMMARY.md" and page.resolve() not in listed:
            problems.append(f"{page.relative_to(ROOT)} is not in docs/SUMMARY.md")
    problems += conformity()
    print("\n".join(problems) if problems else f"{len(pages)} pages, all links lead somewhere")
    return 1 if problems else 0


if __name__ == "__main__":
    sys.exit(main())
