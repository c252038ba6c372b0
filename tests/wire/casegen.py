#!/usr/bin/env python3
"""Writes the rows of case.h for every message of the schema files: what tests and fuzz targets need beside the product.

    casegen.py INPUT.wire... --header wire/messages.h --out X.c

The fill and same functions are made from the schema alone, so they do not share a mistake with the generated codec.
"""

import argparse
import os
import sys

sys.dont_write_bytecode = True
sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "..", "src", "wire", "gen"))
import schema  # noqa: E402
from wiregen import C_TYPES, MessageWriter, condition  # noqa: E402

SCALARS = ("int8", "int16", "uint16", "int32", "uint32", "int64")


def fill_value(kind, null):
    if kind in SCALARS:
        return "(%s)fill_u64(f)" % C_TYPES[kind]
    if kind in ("string", "bytes", "records"):
        return "fill_%s(f, %s)" % (kind, null)
    return "fill_%s(f)" % kind


class Cases(MessageWriter):
    def fill_lines(self, f):
        at, null = "m->" + f.name, self.null_c(f)
        c = self.cname(f.struct) if f.struct else None
        if f.array:
            one = "%s_fill(f, &%s[i], v)" % (c, at) if c else "%s[i] = %s" % (at, fill_value(f.type, "false"))
            return ["%s_count = fill_count(f, %s);" % (at, null),
                    "%s = fill_alloc(f, %s_count, sizeof *%s);" % (at, at, at),
                    "for (int32_t i = 0; i < %s_count; i++)" % at, "        %s;" % one]
        if c and f.nullable:
            return ["%s = fill_bool(f) ? fill_alloc(f, 1, sizeof *%s) : NULL;" % (at, at),
                    "if (%s)" % at, "        %s_fill(f, %s, v);" % (c, at)]
        if c:
            return ["%s_fill(f, &%s, v);" % (c, at)]
        return ["%s = %s;" % (at, fill_value(f.type, null))]

    def same_term(self, f):
        a, b = "a->" + f.name, "b->" + f.name
        if f.struct and f.nullable:
            return "!%s == !%s && (!%s || %s_same(%s, %s))" % (a, b, a, self.cname(f.struct), a, b)
        if f.struct:
            return "%s_same(&%s, &%s)" % (self.cname(f.struct), a, b)
        return self.same_value(f.type, a, b)

    @staticmethod
    def same_value(kind, a, b):
        if kind == "string":
            return "str_equal(%s, %s)" % (a, b)
        if kind == "bytes":
            return "span_equal(%s, %s)" % (a, b)
        if kind == "uuid":
            return "uuid_equal(%s, %s)" % (a, b)
        if kind == "records":
            return "records_same(&%s, &%s)" % (a, b)
        if kind == "float64":  # by bits: not a number equals itself here
            return "!memcmp(&%s, &%s, sizeof(double))" % (a, b)
        return "%s == %s" % (a, b)

    def define_fill(self, s):
        c = self.cname(s)
        self.p("static void %s_fill(struct fill *f, struct %s *m, int16_t v)\n{\n        %s_init(m);" % (c, c, c))
        for f in s.fields:
            cond = condition(f.versions, self.m.versions)
            if f.tag is not None:
                cond = (cond + " && " if cond else "") + "v >= %d && fill_bool(f)" % self.m.flexible
            self.p("        %s{\n                %s\n        }" % ("if (%s) " % cond if cond else "",
                                                               "\n                ".join(self.fill_lines(f))))
        self.p("}\n")

    def define_same(self, s):
        c = self.cname(s)
        self.p("static bool %s_same(const struct %s *a, const struct %s *b)\n{" % (c, c, c))
        for f in s.fields:
            if f.array:
                self.p("        if (a->%s_count != b->%s_count)\n                return false;" % (f.name, f.name))
                one = "%s_same(&a->%s[i], &b->%s[i])" % (self.cname(f.struct), f.name, f.name) if f.struct else \
                    self.same_value(f.type, "a->%s[i]" % f.name, "b->%s[i]" % f.name)
                self.p("        for (int32_t i = 0; i < a->%s_count; i++)\n                if (!(%s))\n"
                       "                        return false;" % (f.name, one))
            else:
                self.p("        if (!(%s))\n                return false;" % self.same_term(f))
        self.p("        return true;\n}\n")

    def cases(self):
        n = self.name
        self.out = []
        for s in self.all():
            self.define_fill(s)
            self.define_same(s)
        self.p("static int %s_case_decode(void *ret, struct cursor *c, int16_t v, struct arena *a)\n{\n"
               "        return %s_decode(ret, c, v, a);\n}\n" % (n, n))
        self.p("static size_t %s_case_size(const void *m, int16_t v)\n{\n        return %s_size(m, v);\n}\n" % (n, n))
        self.p("static void %s_case_encode(const void *m, struct writer *w, int16_t v)\n{\n"
               "        %s_encode(m, w, v);\n}\n" % (n, n))
        self.p("static void %s_case_init(void *m)\n{\n        %s_init(m);\n}\n" % (n, n))
        self.p("static void %s_case_fill(struct fill *f, void *m, int16_t v)\n{\n        %s_fill(f, m, v);\n}\n" % (n, n))
        self.p("static bool %s_case_same(const void *a, const void *b)\n{\n        return %s_same(a, b);\n}\n" % (n, n))
        return "\n".join(self.out)

    def row(self):
        m, n = self.m, self.name
        return '        { "%s", "%s", %d, %d, %d, sizeof(struct %s), %s },' % (
            m.full_name, m.kind, -1 if m.key is None else m.key, m.versions[0], m.versions[1], n,
            ", ".join("%s_case_%s" % (n, what) for what in ("decode", "size", "encode", "init", "fill", "same")))


def main():
    ap = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    ap.add_argument("inputs", nargs="+")
    ap.add_argument("--header", required=True)
    ap.add_argument("--out", required=True)
    args = ap.parse_args()
    writers = [Cases(m) for m in schema.load(args.inputs)]
    with open(args.out, "w", encoding="utf-8") as out:
        out.write('/* Generated by casegen.py. */\n#include "%s"\n#include "case.h"\n\n' % args.header)
        for w in writers:
            out.write(w.cases() + "\n")
        out.write("const struct wire_case wire_cases[] = {\n%s\n};\n" % "\n".join(w.row() for w in writers))
        out.write("const size_t wire_cases_count = %d;\n" % len(writers))


if __name__ == "__main__":
    main()
