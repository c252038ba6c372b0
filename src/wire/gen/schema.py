"""Parser of the .wire schema files (format: src/wire/README.md).

What it is: text in, a plain model out; every mistake in a file is a SchemaError with file, line and what would be right.
What it is not: it knows nothing of C. The generator, the comparison with Kafka's schemas and the test client share it.
"""

from dataclasses import dataclass, field

VERSION_MAX = 32767
PRIMITIVES = ("bool", "int8", "int16", "uint16", "int32", "uint32", "int64", "float64",
              "string", "bytes", "uuid", "records")
KINDS = ("request", "response", "header", "data")


class SchemaError(Exception):
    pass


@dataclass
class Field:
    name: str
    type: str                   # a primitive, or the local name of a struct
    array: bool
    versions: tuple             # (low, high), within the message's versions
    nullable: tuple = None      # (low, high) in which null is allowed, or None
    tag: int = None             # number of a tagged field
    default: object = None      # None: the type's zero. "null", or an int, bool or str
    plain: bool = False         # a string with the old length prefix even in flexible versions
    struct: object = None       # the Struct that `type` names, or None
    comment: str = ""

    @property
    def default_is_null(self):
        return self.default == "null"

    def in_version(self, version):
        return self.versions[0] <= version <= self.versions[1]

    def null_in(self, version):
        return self.nullable is not None and self.nullable[0] <= version <= self.nullable[1]


@dataclass
class Struct:
    name: str
    fields: list = field(default_factory=list)


@dataclass
class Message:
    name: str                   # "Fetch" for the request and the response of an API, else the whole name
    kind: str                   # one of KINDS
    key: int                    # API key or record type, None when there is none
    versions: tuple
    flexible: int               # first version with compact lengths and tagged fields, None when there is none
    fields: list = field(default_factory=list)
    structs: dict = field(default_factory=dict)
    comment: str = ""

    @property
    def full_name(self):
        return self.name + {"request": "Request", "response": "Response"}.get(self.kind, "")

    def is_flexible(self, version):
        return self.flexible is not None and version >= self.flexible


def snake(camel):
    """FooBar -> foo_bar; a run of capitals is one word."""
    out = ""
    for i, ch in enumerate(camel):
        prev = camel[i - 1] if i else ""
        following = camel[i + 1] if i + 1 < len(camel) else ""
        if ch.isupper() and i and (not prev.isupper() or following.islower()):
            out += "_"
        out += ch.lower()
    return out


def parse_range(text):
    """'3' -> (3, 3), '3-5' -> (3, 5), '3+' -> (3, VERSION_MAX); ValueError otherwise."""
    if text.endswith("+"):
        return int(text[:-1]), VERSION_MAX
    low, dash, high = text.partition("-")
    pair = (int(low), int(high) if dash else int(low))
    if pair[0] > pair[1]:
        raise ValueError(text)
    return pair


def clip(pair, within):
    low, high = max(pair[0], within[0]), min(pair[1], within[1])
    return (low, high) if low <= high else None


class _Parser:
    def __init__(self, name):
        self.file, self.line = name, 0
        self.messages, self.message, self.into = [], None, None
        self.comment = []

    def fail(self, what):
        raise SchemaError("%s:%d: %s" % (self.file, self.line, what))

    def range(self, text):
        try:
            return parse_range(text)
        except ValueError:
            self.fail("'%s' is no version range; right are 3, 3-5 and 3+" % text)

    def number(self, text, what):
        try:
            return int(text, 0)
        except ValueError:
            self.fail("%s must be a number, not '%s'" % (what, text))

    def feed(self, text):
        for raw in text.split("\n"):
            self.line += 1
            body, _, note = raw.partition("#")
            words = body.split()
            if not words:
                self.comment = self.comment + [note.strip()] if note else []
                continue
            if words[0] in KINDS and len(words) > 1 and not raw[0].isspace():
                self.start_message(words)
            elif words[0] == "struct" and len(words) == 2:
                self.start_struct(words[1])
            else:
                self.add_field(words, note.strip())
            self.comment = []
        self.finish_message()

    def start_message(self, words):
        self.finish_message()
        known = {"key": None, "versions": None, "flexible": None}
        rest = words[2:]
        if len(rest) % 2:
            self.fail("after the name come pairs: key N, versions RANGE, flexible N+")
        for word, value in zip(rest[::2], rest[1::2]):
            if word not in known:
                self.fail("'%s' is not known here; right are key, versions and flexible" % word)
            known[word] = self.number(value, word) if word == "key" else self.range(value)
        if not known["versions"] or known["versions"][1] == VERSION_MAX:
            self.fail("%s needs its versions, with an end" % words[1])
        self.message = Message(words[1], words[0], known["key"], known["versions"],
                               known["flexible"][0] if known["flexible"] else None,
                               comment=" ".join(self.comment))
        self.into = self.message.fields
        self.messages.append(self.message)

    def start_struct(self, name):
        if not self.message:
            self.fail("a struct stands inside a message")
        if name in self.message.structs or name in PRIMITIVES:
            self.fail("the name %s is taken" % name)
        self.message.structs[name] = Struct(name)
        self.into = self.message.structs[name].fields

    def add_field(self, words, note):
        if self.into is None:
            self.fail("a field stands inside a message; a message starts with one of " + ", ".join(KINDS))
        if len(words) < 2:
            self.fail("a field is NAME TYPE [VERSIONS] [null VERSIONS] [tag N] [plain] [= DEFAULT]")
        kind, whole = words[1], self.message.versions
        nullable = kind.startswith("?")
        kind = kind[1:] if nullable else kind
        array = kind.startswith("[]")
        f = Field(words[0], kind[2:] if array else kind, array, whole, comment=note)
        rest = words[2:]
        if rest and rest[0][0].isdigit():
            f.versions = clip(self.range(rest.pop(0)), whole)
            if not f.versions:
                self.fail("%s is in no version of %s" % (f.name, self.message.full_name))
        f.nullable = f.versions if nullable else None
        self.add_options(f, rest)
        if any(f.name == other.name for other in self.into):
            self.fail("%s is there twice" % f.name)
        self.into.append(f)

    def add_options(self, f, rest):
        while rest:
            word = rest.pop(0)
            if word == "plain":
                f.plain = True
            elif word in ("null", "tag", "=") and rest:
                value = rest.pop(0)
                if word == "null":
                    f.nullable = clip(self.range(value), f.versions)
                elif word == "tag":
                    f.tag = self.number(value, "a tag")
                else:
                    f.default = self.default(f, value)
            else:
                self.fail("'%s' is not known here; right are null RANGE, tag N, plain and = DEFAULT" % word)

    def default(self, f, text):
        if text == "null":
            if not f.nullable:
                self.fail("%s cannot be null, so null cannot be its default" % f.name)
            return text
        if f.array or f.type not in PRIMITIVES or f.type in ("bytes", "records", "uuid"):
            self.fail("%s can have no other default than null" % f.name)
        if f.type == "bool":
            if text not in ("true", "false"):
                self.fail("the default of %s is true or false" % f.name)
            return text == "true"
        if f.type == "string":
            return text
        return self.number(text, "the default of " + f.name)

    def finish_message(self):
        m = self.message
        if not m:
            return
        lists = [("", m.fields)] + [(s.name, s.fields) for s in m.structs.values()]
        for owner, fields in lists:
            tags = [f.tag for f in fields if f.tag is not None]
            if sorted(tags) != sorted(set(tags)):
                self.fail("%s %s: a tag is there twice" % (m.full_name, owner))
            for f in fields:
                f.struct = m.structs.get(f.type)
                if not f.struct and f.type not in PRIMITIVES:
                    self.fail("%s.%s: there is no type or struct %s" % (m.full_name, f.name, f.type))
                if f.tag is not None and not m.is_flexible(f.versions[0]):
                    self.fail("%s.%s is tagged in a version that is not flexible" % (m.full_name, f.name))
        self.message = self.into = None


def parse(text, name="schema"):
    p = _Parser(name)
    p.feed(text)
    return p.messages


def load(paths):
    """All messages of these files, in order. SchemaError on a mistake, or when a name is there twice."""
    messages = []
    for path in paths:
        with open(path, encoding="utf-8") as f:
            messages += parse(f.read(), path)
    names = [m.full_name for m in messages]
    for n in names:
        if names.count(n) > 1:
            raise SchemaError("%s is there twice" % n)
    return messages


def structs_in_order(message):
    """The message's structs, each after those that it holds; SchemaError on one that holds itself."""
    done, busy, order = set(), set(), []

    def visit(s):
        if s.name in done:
            return
        if s.name in busy:
            raise SchemaError("%s.%s holds itself" % (message.full_name, s.name))
        busy.add(s.name)
        for f in s.fields:
            if f.struct:
                visit(f.struct)
        done.add(s.name)
        order.append(s)

    for s in message.structs.values():
        visit(s)
    return order
