#!/usr/bin/env python3
"""The tables of docs/CONFORMANCE.md that are made from data: what is not compared as it is, and what differs and why.

    tests/conformance/document.py           exit 1 when the document is not as the data say
    tests/conformance/document.py --write   write them
"""

import re
import sys
from pathlib import Path

HERE = Path(__file__).resolve().parent
ROOT = HERE.parent.parent
sys.dont_write_bytecode = True
sys.path[1:1] = [str(ROOT / "tests/protocol")]

from compare import RULES  # noqa: E402
from differences import ANY, ROWS  # noqa: E402

DOCUMENT = ROOT / "docs/CONFORMANCE.md"
BEGIN, END = "<!-- made by tests/conformance/document.py -->\n", "<!-- end -->\n"


def value(v):
    return {ANY: "", None: "null", "absent": "(not told)"}.get(v if v.__hash__ else repr(v), str(v))


def cell(text):
    return text.replace("|", "\\|")


def tables():
    lines = ["### What is not compared as it is", "| rule | what |", "|---|---|"]
    lines += [f"| {name} | {what} |" for name, what in sorted(RULES.items())]
    lines += ["", "### What differs, and why", "Field and step are regular expressions; empty is any.", "",
              "| API | field | step of the case | Kafka | Chronik | why |", "|---|---|---|---|---|---|"]
    for row in ROWS:
        field = row.path.replace(r"\d+", "N") or "the whole answer"
        lines.append("| " + " | ".join(cell(x) for x in (
            row.api.replace("|", ", ") if row.api != ".*" else "", f"`{field}`" if field != ".*" else "",
            f"`{row.label}`" if row.label else "", value(row.kafka), value(row.chronik), row.why)) + " |")
    return "\n".join(lines) + "\n"


def put(text):
    """The document with the tables of now."""
    return re.sub(re.escape(BEGIN) + ".*?" + re.escape(END), lambda _: BEGIN + tables() + END, text, flags=re.S)


def main():
    text = DOCUMENT.read_text(encoding="utf-8")
    if sys.argv[1:] == ["--write"]:
        DOCUMENT.write_text(put(text), encoding="utf-8")
    elif put(text) != text:
        print("docs/CONFORMANCE.md is not as tests/conformance says: make conformance-doc")
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
