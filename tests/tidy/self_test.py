"""Shows that every check can fail: a good tree of a few lines about which all are silent, and for each check the same tree
with one thing wrong, about which that check alone must speak, at the right line."""

import checks
import rules

C = """#include "wire/a.h"

#include "base/b.h"

/* strcpy() in words, and "sprintf(" in text, are no calls; nor are functions behind a pointer. */
int a_put(struct a *a)
{
        return a->read(a, "sprintf(x)") + thing.open("KERR_IN_TEXT");
}
"""
H = """/* What it is. */
#pragma once

struct a {
        int (*fn)(struct a *a);
};

/* Put it.
 * Return: 0 or negative errno. */
int a_put(struct a *a);
int a_get(struct a *a, const char *with_arguments,
          int on_two_lines);
void a_run(struct a *a); /* behind */

void a_free(struct a *a);

/* ---- a heading ---- */

bool a_is(const struct a *a);

#define A_TWICE(x) \\
        a_twice((x), (x))
static inline int a_inline(void)
{
        return a_put(0);
}
"""
GOOD = {
    "src/wire/a.c": C,
    "src/wire/a.h": H,
    "src/wire/README.md": "# wire\n| a.h | it |\n",
    "src/base/b.h": "/* b */\n#pragma once\n",
    "src/base/codec_x.c": "/* x */\n",
    "src/base/README.md": "# base\n`b.h`, and `codec_<name>.c` for each codec; [a](../wire/a.h), [web](https://a.example/)\n",
    "src/base/meson.build": "base_src = files('codec_x.c')\n",
    "src/wire/meson.build": "wire_src = files(\n  'a.c',\n)\n",
    "tests/unit/test-a-b.c": "/* Goal. */\n",
    "tests/unit/meson.build": "unit_tests = [\n  ['a-b', [a_dep]],\n]\n",
    "tests/program/test_t.py": "class T:\n    def test_t(self):\n        pass\n",
    "docs/THREAT-MODEL.md": "| claim | held by |\n|---|---|\n| it | `test_t: T.test_t` |\n| too | test-a-b.c |\n\n| other | table |\n",
    "docs/CONFORMANCE.md": "| 1 | it | `test_a: A.test_a`; test-a-b.c |\n",
    "tests/protocol/test_a.py": "class A:\n    def test_a(self):\n        pass\n",
    "tests/client/go/x/odd.c": "/* built by somebody else */\n",
    "tests/new/folder.py": "x = 1\n",
    "src/sys/diag_events.def": 'DIAG_EVENT(A, "%032d")\n' % 1,
    "src/sys/a.c": "/* A message. */\nint x = f(DIAG_ABOUT(A));\n",
    "src/sys/meson.build": "sys_src = files('a.c')\n",
    "src/sys/README.md": "# sys\na.c, diag_events.def\n",
    "systemd/chronik.catalog": "# all\n\n-- %032d\nSubject: a\nDefined-By: Chronik\n\nDo it.\n" % 1,
    "Makefile": "all:\n\ttrue\n",
    "tests/data/bytes": "\t \n\n",
}
LONG = "int long_one(void)\n{\n" + "        x();\n" * rules.FUNCTION_LINES_MAX + "}\n"

# (check, file, its text, line, words of the finding)
BAD = [
    (checks.check_includes, "src/base/b.h", '/* b */\n#include "wire/a.h"\n', 2, "base includes only base"),
    (checks.check_includes, "src/base/b.h", "/* b */\n#include <ev.h>\n", 2, "included by sys only"),
    (checks.check_includes, "src/odd/README.md", None, 1, "src/odd has no place"),
    (checks.check_forbidden, "src/base/b.h", "/* b\n */\nstatic inline void f(void)\n{\n        strcpy(a, b);\n}\n", 5, "strcpy()"),
    (checks.check_forbidden, "src/base/b.h", "static int x = 'a'; static int f(void) { return open (x); }\n", 1, "open()"),
    (checks.check_forbidden, "src/base/b.h", 'static const char *c = "/*"; static int t = time(0); /* "*/\n', 1, "time()"),
    (checks.check_kafka_codes, "src/base/b.h", "/* b */\nenum { B = KERR_NONE };\n", 2, "KERR_NONE"),
    (checks.check_documented, "src/wire/a.h", H + "\nint a_silent(struct a *a);\n", 28, "a_silent"),
    (checks.check_documented, "src/wire/a.h", H + "\nstruct a *a_two(struct a *a,\n                int b);\n", 28, "a_two"),
    (checks.check_readmes, "src/base/README.md", "# base\nb.h\n", 0, "codec_x.c"),
    (checks.check_readmes, "src/wire/README.md", None, 0, "is missing"),
    (checks.check_sizes, "src/base/codec_x.c", "/* x */\n" * (rules.FILE_LINES_MAX + 1), 0, "801 lines"),
    (checks.check_sizes, "src/base/codec_x.c", "/* x */\n" + LONG, 3, "a function of 82 lines"),
    (checks.check_built, "src/base/meson.build", "base_src = files('codec.c')\n", 0, "codec_x.c"),
    (checks.check_built, "tests/unit/test-a-c.c", "/* Goal. */\n", 0, "test-a-c.c"),
    (checks.check_links, "docs/X.md", "# x\n[b](../src/base/c.h)\n", 2, "../src/base/c.h"),
    (checks.check_links, "docs/X.md", "[b](../src/wire#head), [c](Y.md#head)\n", 1, "Y.md"),
    (checks.check_conformance, "tests/protocol/test_a.py", "class A:\n    def test_b(self):\n        pass\n", 1, "A.test_a"),
    (checks.check_conformance, "tests/protocol/test_a.py", None, 1, "A.test_a"),
    (checks.check_conformance, "docs/CONFORMANCE.md", "| 1 | it | `test_a: A.test_a`; test-a-c.c |\n", 1, "test-a-c.c"),
    (checks.check_conformance, "docs/CONFORMANCE.md", "| 1 | it | not yet |\n", 1, "names no test"),
    (checks.check_conformance, "docs/CONFORMANCE.md", "| 2 | it | `test_a: A.test_a` |\n", 0, "not 1, 2, 3"),
    (checks.check_threats, "docs/THREAT-MODEL.md", "| claim | held by |\n|---|---|\n| it | `test_a: A.test_b` |\n", 3, "A.test_b"),
    (checks.check_threats, "docs/THREAT-MODEL.md", "| claim | held by |\n|---|---|\n| it | test-a-c.c |\n", 3, "test-a-c.c"),
    (checks.check_threats, "docs/THREAT-MODEL.md", "| claim | held by |\n|---|---|\n| it | not yet |\n", 3, "names no test"),
    (checks.check_events, "systemd/chronik.catalog", "# nothing\n", 1, "does not explain A"),
    (checks.check_events, "systemd/chronik.catalog",
     GOOD["systemd/chronik.catalog"] + "\n-- %032d\nSubject: b\nDefined-By: Chronik\n\nb\n" % 2, 9, "explains 00000000000000000000000000000002"),
    (checks.check_events, "src/sys/a.c", "/* A message. */\nint x;\n", 1, "no message is of the kind A"),
    (checks.check_events, "src/sys/diag_events.def",
     GOOD["src/sys/diag_events.def"] + 'DIAG_EVENT(B, "%032d")\n' % 1, 2, "no id of its own"),
    (checks.check_space, "tests/new/folder.py", "x = 1\ny = 2 \n", 2, "space at the end"),
    (checks.check_space, "tests/new/folder.py", "x = 1\n\ty = 2\n", 2, "a tab"),
    (checks.check_space, "tests/new/folder.py", "x = 1\r\n", 1, "space at the end"),
    (checks.check_space, "tests/new/folder.py", "x = 1", 1, "one newline"),
    (checks.check_space, "tests/new/folder.py", "x = 1\n\n", 3, "one newline"),
]


def tree_with(path, text):
    """The good tree with one file changed, removed (None), or, for a folder without a place, added."""
    tree = dict(GOOD)
    if text is not None:
        tree[path] = text
    elif tree.pop(path, None) is None:
        tree[path], tree["src/odd/o.c"], tree["src/odd/meson.build"] = "o.c\n", "/* o */\n", "'o.c'\n"
    return tree


def without_exceptions(check, tree):
    """The exceptions belong to the real tree, and nothing needs them here."""
    return [f for f in check(tree) if f.path != "tests/tidy/rules.py"]


def main():
    wrong = []
    for check in checks.CHECKS:
        wrong += ["%s speaks about the good tree: %s" % (check.__name__, f) for f in without_exceptions(check, GOOD)]
        if check not in [row[0] for row in BAD]:
            wrong.append("%s was never seen to fail" % check.__name__)
    for check, path, text, line, words in BAD:
        tree = tree_with(path, text)
        for other in checks.CHECKS:
            found = without_exceptions(other, tree)
            if other is not check:
                wrong += ["%s speaks where %s should: %s" % (other.__name__, check.__name__, f) for f in found]
            elif len(found) != 1 or found[0].line != line or words not in found[0].text:
                wrong.append("%s should say '%s' at line %d and says: %s" % (check.__name__, words, line, found))
    rules.FORBIDDEN_EXCEPT, kept = [("base/b.h", "open", "no reason")], rules.FORBIDDEN_EXCEPT
    if [f.text for f in checks.check_forbidden(GOOD)] != ["FORBIDDEN_EXCEPT: nothing needs the exception base/b.h open any more"]:
        wrong.append("an exception that nothing needs is not reported")
    if checks.check_forbidden({**GOOD, "src/base/b.h": "static int f(void) { return open(0); }\n"}):
        wrong.append("an exception is not taken")
    rules.FORBIDDEN_EXCEPT = kept
    if checks.include_matrix(GOOD) != {("wire", "wire"): 1, ("wire", "base"): 1}:
        wrong.append("the matrix is wrong: %s" % checks.include_matrix(GOOD))
    print("\n".join(wrong) or "%d bad trees were noticed, and the good one passes" % len(BAD))
    return 1 if wrong else 0
