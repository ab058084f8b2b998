"""Every page of the book is in its table of contents, and every relative link of the documentation leads to a file."""

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


def main():
    book = ROOT / "docs"
    pages = [page for page in book.rglob("*.md") if "book" not in page.relative_to(book).parts]
    problems = []
    for page in [*pages, *ROOT.glob("*.md")]:
        for target in links(page):
            if not (page.parent / target).exists():
                problems.append(f"{page.relative_to(ROOT)}: {target} is not there")
    listed = {(book / target).resolve() for target in links(book / "SUMMARY.md")}
    for page in pages:
        if page.name != "SUMMARY.md" and page.resolve() not in listed:
            problems.append(f"{page.relative_to(ROOT)} is not in docs/SUMMARY.md")
    print("\n".join(problems) if problems else f"{len(pages)} pages, all links lead somewhere")
    return 1 if problems else 0


if __name__ == "__main__":
    sys.exit(main())
