"""The checks. Each takes a tree (path -> text) and returns findings; none reads the disk, so that each can be tried on a
tree of three lines (self_test.py)."""

import ast
import collections
import fnmatch
import posixpath
import re

import rules

Finding = collections.namedtuple("Finding", "path line text")

COMMENT_OR_STRING = re.compile(r'/\*.*?\*/|//[^\n]*|"(?:\\.|[^"\\\n])*"|\'(?:\\.|[^\'\\\n])*\'', re.S)
INCLUDE = re.compile(r'^[ \t]*#[ \t]*include[ \t]+(?:"([^"]+)"|<([^>]+)>)', re.M)


def blank(match):
    """What takes the place of a comment or a string: as many lines, and nothing on them."""
    text = match.group()
    return re.sub(r"[^\n]", " ", text) if text[0] == "/" else text[0] + " " * (len(text) - 2) + text[-1]


def code_of(text):
    """C without comments and contents of strings; every line stays where it is."""
    return COMMENT_OR_STRING.sub(blank, text)


def line_of(text, pos):
    return text.count("\n", 0, pos) + 1


def sources(tree, *suffixes):
    """C files of src/ as (path, folder, text)."""
    for path, text in sorted(tree.items()):
        parts = path.split("/")
        if parts[0] == "src" and len(parts) > 2 and path.endswith(suffixes):
            yield path, parts[1], text


def matches(path, pattern):
    """As fnmatch; a pattern without a folder is compared with the file's name alone."""
    return fnmatch.fnmatchcase(path if "/" in pattern else path.rsplit("/", 1)[-1], pattern)


class Exceptions:
    """Rows (path, ..., reason) of a table; what was never asked for is reported, so that the table stays true."""

    def __init__(self, table, rows):
        self.table, self.unused = table, {row[:-1] for row in rows}
        self.rows = set(self.unused)

    def allow(self, *row):
        self.unused.discard(row)
        return row in self.rows

    def leftovers(self):
        return [Finding("tests/tidy/rules.py", 0, "%s: nothing needs the exception %s any more" % (self.table, " ".join(row)))
                for row in sorted(self.unused)]


# ---- includes ----

def include_matrix(tree):
    """(folder, included folder) -> how many lines of the one include a header of the other."""
    counts = collections.Counter()
    for _, folder, text in sources(tree, ".c", ".h"):
        for ours, _ in INCLUDE.findall(text):
            counts[folder, ours.split("/")[0]] += bool(ours)
    return counts


def print_matrix(tree):
    counts = include_matrix(tree)
    folders = [f for f in rules.ORDER if any(f in pair for pair in counts)]
    wide = max(map(len, folders), default=0)
    print("Lines of a folder (row) that include a header of a folder (column):")
    for row in folders:
        cells = [str(counts[row, column] or ".") for column in folders]
        print("  %-*s %s" % (wide, row, " ".join("%*s" % (len(f), c) for f, c in zip(folders, cells))))
    print("  %-*s %s" % (wide, "", " ".join(folders)))


def check_includes(tree):
    """A folder includes only folders to its left, and every folder has its place in the order."""
    found = []
    for path, folder, text in sources(tree, ".c", ".h"):
        if folder not in rules.ORDER:
            found.append(Finding(path, 1, "src/%s has no place in the order of folders; give it one in rules.py" % folder))
            continue
        left = rules.ORDER[:rules.ORDER.index(folder) + 1]
        for m in INCLUDE.finditer(text):
            line, ours, theirs = line_of(text, m.start()), m.group(1), m.group(2)
            if ours and ours.split("/")[0] not in left:
                found.append(Finding(path, line, '"%s": %s includes only %s' % (ours, folder, " ".join(left))))
            for pattern, homes in rules.LIBRARY_HOMES:
                if theirs and fnmatch.fnmatchcase(theirs, pattern) and folder not in homes.split():
                    found.append(Finding(path, line, "<%s> is included by %s only" % (theirs, homes)))
    return found


# ---- functions that are not called ----

def check_forbidden(tree):
    """Functions that are never called, or only by sys/ (rules.FORBIDDEN)."""
    rows = {name: row for row in rules.FORBIDDEN for name in row[0].split()}
    call = re.compile(r"(?<![\w.>])(%s)\s*\(" % "|".join(sorted(rows)))
    excepted = Exceptions("FORBIDDEN_EXCEPT", rules.FORBIDDEN_EXCEPT)
    found = []
    for path, folder, text in sources(tree, ".c", ".h"):
        code = code_of(text)
        for m in call.finditer(code):
            _, allowed, why = rows[m.group(1)]
            if folder not in allowed.split() and not excepted.allow(path[len("src/"):], m.group(1)):
                found.append(Finding(path, line_of(code, m.start()), "%s(): %s" % (m.group(1), why)))
    return found + excepted.leftovers()


def check_kafka_codes(tree):
    """Kafka's error codes stay in wire/ and handler/."""
    found = []
    for path, folder, text in sources(tree, ".c", ".h"):
        if folder in rules.KAFKA_CODES.split():
            continue
        code = code_of(text)
        found += [Finding(path, line_of(code, m.start()), "%s: Kafka's error codes exist in %s only; give an outcome of the "
                          "module's own" % (m.group(), rules.KAFKA_CODES)) for m in re.finditer(r"\bKERR_\w+", code)]
    return found


# ---- headers ----

def prototypes(text):
    """(line, end line) of each function that a header declares at its outermost level; inline functions are none."""
    code = re.sub(r"^[ \t]*#(?:[^\n]*\\\n)*[^\n]*", lambda m: re.sub(r"[^\n]", "", m.group()), code_of(text), flags=re.M)
    depth, start = 0, 0
    for pos, c in enumerate(code):
        if c == "{":
            depth += 1
        elif c == "}":
            depth -= 1
        if depth or c not in ";}":
            continue
        said = code[start:pos]
        head = said.lstrip()
        if c == ";" and re.match(r"(?!typedef\b|static\b|struct\s+\w+\s*\{)[\w\s*]+\b\w+\s*\(", head) and "{" not in head:
            yield line_of(code, start + len(said) - len(head)), line_of(code, pos)
        start = pos + 1


def check_documented(tree):
    """Every function of a header is explained: by a comment in its paragraph before it, by one behind it, by a heading just
    above the paragraph, or by its last word where that has one meaning everywhere (rules.UNDERSTOOD)."""
    understood = re.compile(r"_(?:%s)\s*\(" % "|".join(rules.UNDERSTOOD.split()))
    found = []
    for path, _, text in sources(tree, ".h"):
        lines = text.split("\n")
        for first, last in prototypes(text):
            begin = first - 1                                  # index of the line; upward to where its paragraph begins
            while begin > 0 and lines[begin - 1].strip():
                begin -= 1
            heading = lines[begin - 2] if begin >= 2 else ""
            explained = any("/*" in line or "*/" in line for line in lines[begin:last]) or heading.rstrip().endswith("*/")
            if not explained and not understood.search(lines[first - 1]):
                found.append(Finding(path, first, "say what it does: " + lines[first - 1].strip()))
    return found


# ---- READMEs ----

def readme_patterns(readme):
    """Names of files in a README as patterns: `codec_<name>.c` is codec_*.c, and types.h speaks for types.c too."""
    for name in re.findall(r"[\w*<>/-]+\.(?:[ch]\b|\*)", readme):
        stem = re.sub(r"<\w+>", "*", name).rsplit(".", 1)[0]
        yield stem + ".[ch]"
        yield stem + "_priv.h"
        yield stem + "_internal.h"


def check_readmes(tree):
    """Every folder of src/ has a README, and it names each file (or its header, or a pattern that it fits)."""
    found = []
    for path, folder, _ in sources(tree, ".c", ".h"):
        readme = "src/%s/README.md" % folder
        if readme not in tree:
            found.append(Finding(readme, 0, "is missing: what the folder is, and a row for each file"))
            continue
        name = path.split("/", 2)[2]
        if not any(fnmatch.fnmatchcase(name, p) for p in readme_patterns(tree[readme])):
            found.append(Finding(readme, 0, "has no word about %s" % name))
    return sorted(set(found))


# ---- what is named somewhere exists, and the other way round ----

def check_built(tree):
    """Each .c beside a meson.build of src/ and tests/ is named in it; a test or fuzz target by its name without the prefix."""
    found = []
    for path in sorted(tree):
        folder, _, name = path.rpartition("/")
        build = folder + "/meson.build"
        if not re.match(r"(src|tests)/.*\.c$", path) or build not in tree:
            continue
        names = (name, re.sub(r"^(test|fuzz)-(.*)\.c$", r"\2", name))
        if not any("'%s'" % n in tree[build] for n in names):
            found.append(Finding(build, 0, "does not build %s" % name))
    return found


def check_links(tree):
    """Links of documents lead to files or folders of the tree."""
    folders = {path[:i] for path in tree for i, c in enumerate(path) if c == "/"} | {""}
    found = []
    for path, text in sorted(tree.items()):
        if not path.endswith(".md"):
            continue
        for m in re.finditer(r"\]\(([^)\s#]+)[^)]*\)", text):
            if re.match(r"\w+:", m.group(1)):
                continue
            target = posixpath.normpath(posixpath.join(posixpath.dirname(path), m.group(1)))
            if target not in tree and target not in folders:
                found.append(Finding(path, line_of(text, m.start()), "leads nowhere: " + m.group(1)))
    return found


# ---- the document of what Kafka does ----

CONFORMANCE = "docs/CONFORMANCE.md"


def tests_of(text):
    """Class.test of each test in a file of Python."""
    return {"%s.%s" % (c.name, f.name) for c in ast.parse(text).body if isinstance(c, ast.ClassDef)
            for f in c.body if isinstance(f, ast.FunctionDef) and f.name.startswith("test")}


def check_conformance(tree):
    """Each test that the document names is there, and each of its items has a row with one, in order."""
    text, found, items = tree.get(CONFORMANCE, ""), [], []
    for number, line in enumerate(text.split("\n"), 1):
        named = re.findall(r"`(test_\w+): (\w+\.test_\w+)`", line)
        for name, test in named:
            path = "tests/protocol/%s.py" % name
            if path not in tree or test not in tests_of(tree[path]):
                found.append(Finding(CONFORMANCE, number, "there is no test %s: %s" % (name, test)))
        found += [Finding(CONFORMANCE, number, "there is no " + name) for name in re.findall(r"\btest-[\w-]+\.c\b", line)
                  if "tests/unit/" + name not in tree]
        item = re.match(r"\| (\d+) \|", line)
        if item:
            items.append(int(item.group(1)))
            if not named:
                found.append(Finding(CONFORMANCE, number, "item %s names no test" % item.group(1)))
    if items != list(range(1, len(items) + 1)):
        found.append(Finding(CONFORMANCE, 0, "the items are not 1, 2, 3..."))
    return found


THREATS = "docs/THREAT-MODEL.md"


def check_threats(tree):
    """Each claim of the threat model names a test, and each test that it names is there."""
    text, found, claims = tree.get(THREATS, ""), [], False
    for number, line in enumerate(text.split("\n"), 1):
        claims = line.startswith("| claim |") or (claims and line.startswith("|"))
        named = re.findall(r"`(test_\w+): (\w+\.test_\w+)`", line)
        units = re.findall(r"\btest-[\w-]+\.c\b", line)
        for name, test in named:
            paths = ["tests/%s/%s.py" % (folder, name) for folder in ("protocol", "program", "nix", "systemd")]
            if not any(test in tests_of(tree[path]) for path in paths if path in tree):
                found.append(Finding(THREATS, number, "there is no test %s: %s" % (name, test)))
        found += [Finding(THREATS, number, "there is no " + name) for name in units if "tests/unit/" + name not in tree]
        if claims and not named and not units and not line.startswith(("| claim |", "|---")):
            found.append(Finding(THREATS, number, "the claim names no test"))
    return found


# ---- messages ----

EVENTS, CATALOGUE = "src/sys/diag_events.def", "systemd/chronik.catalog"


def check_events(tree):
    """Each kind of message is written somewhere and explained in the catalogue, which explains no other; no two have one id."""
    found, ids = [], {}
    code = "".join(code_of(text) for _, _, text in sources(tree, ".c"))
    explained = {m[1]: line_of(tree[CATALOGUE], m.start()) for m in
                 re.finditer(r"^-- (\w+)\nSubject: .+\nDefined-By: Chronik\n\n.+", tree.get(CATALOGUE, ""), re.M)}
    for m in re.finditer(r'^DIAG_EVENT\((\w+), "(\w*)"\)$', tree.get(EVENTS, ""), re.M):
        line = line_of(tree[EVENTS], m.start())
        if not re.fullmatch("[0-9a-f]{32}", m[2]) or m[2] in ids:
            found.append(Finding(EVENTS, line, "%s has no id of its own in 32 digits of base 16" % m[1]))
        elif m[2] not in explained:
            found.append(Finding(EVENTS, line, "%s does not explain %s" % (CATALOGUE, m[1])))
        elif not re.search(r"\bDIAG_ABOUT\(\s*%s\b" % m[1], code):
            found.append(Finding(EVENTS, line, "no message is of the kind %s" % m[1]))
        ids[m[2]] = m[1]
    return found + [Finding(CATALOGUE, line, "explains %s, which no message has" % one)
                    for one, line in explained.items() if one not in ids]


# ---- sizes ----

def functions(code):
    """(first line, last line) of each function body of C in the project's format: braces at the first column."""
    lines, start = code.split("\n"), None
    for number, line in enumerate(lines, 1):
        if line.startswith("{"):
            start = number
        elif line.startswith("}") and start:
            yield start, number
            start = None


def check_sizes(tree):
    """Files and functions that are too long to be held in mind."""
    excepted = Exceptions("LONG_EXCEPT", rules.LONG_EXCEPT)
    found = []
    for path, text in sorted(tree.items()):
        if not path.endswith((".c", ".h", ".py")):
            continue
        count = text.count("\n")
        if count > rules.FILE_LINES_MAX and not excepted.allow(path):
            found.append(Finding(path, 0, "%d lines, at most %d: look for the seam" % (count, rules.FILE_LINES_MAX)))
        if not path.endswith(".py"):
            found += [Finding(path, first, "a function of %d lines, at most %d" % (last - first + 1, rules.FUNCTION_LINES_MAX))
                      for first, last in functions(code_of(text)) if last - first + 1 > rules.FUNCTION_LINES_MAX]
    return found + excepted.leftovers()


# ---- white space ----

def check_space(tree):
    """No space at the end of a line, no tabs, a newline at the end and one only."""
    found = []
    for path, text in sorted(tree.items()):
        if any(matches(path, p) for p in rules.DATA):
            continue
        tabs = any(matches(path, p) for p, _ in rules.TABS_ALLOWED)
        for number, line in enumerate(text.split("\n"), 1):
            if line != line.rstrip():
                found.append(Finding(path, number, "space at the end of the line"))
            elif "\t" in line and not tabs:
                found.append(Finding(path, number, "a tab; spaces are the same for everybody"))
        if text and (not text.endswith("\n") or text.endswith("\n\n")):
            found.append(Finding(path, text.count("\n") + 1, "a file ends with one newline"))
    return found


CHECKS = [check_includes, check_forbidden, check_kafka_codes, check_documented, check_readmes, check_built, check_links,
          check_conformance, check_threats, check_events, check_sizes, check_space]
