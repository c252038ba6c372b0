#!/usr/bin/env python3
"""Goal: the small evaluator merges and refuses as NixOS does, so that what passes here means something.
Method: modules of a few lines, their values and their mistakes."""

import json
import unittest

import nix

OPTION = "options.a = lib.mkOption { type = lib.types.%s; };"


def value(*modules):
    """config of the modules, each a function's body that sees lib and config."""
    text = "(let m = import ./tests/nix/modules.nix; in (m.evalModules { modules = [ %s ]; }).config)" % " ".join(
        "({ lib, config, ... }: { %s })" % m for m in modules)
    done = nix.nix("--eval", "--strict", "--json", "--expr", text)
    if done.returncode:
        raise AssertionError(done.stderr)
    return json.loads(done.stdout)


class Evaluator(unittest.TestCase):
    def refused(self, says, *modules):
        with self.assertRaises(AssertionError) as caught:
            value(*modules)
        self.assertIn(says, str(caught.exception))

    def test_values(self):
        for type, definitions, wanted in (
                ("int", ["config.a = 1;"], 1),
                ("int", ["config.a = lib.mkDefault 1;", "config.a = 2;"], 2),
                ("int", ["config.a = lib.mkForce 1;", "config.a = 2;"], 1),
                ("int", ["config.a = lib.mkIf false 1;", "config.a = 2;"], 2),
                ("int", ["config = lib.mkIf true { a = 1; };"], 1),
                ("int", ["config = lib.mkMerge [ { a = lib.mkDefault 1; } { a = 3; } ];"], 3),
                ("listOf lib.types.int", ["config.a = [ 1 ];", "config.a = [ 2 ];"], [1, 2]),
                ("listOf lib.types.int", ["config.a = lib.mkAfter [ 1 ];", "config.a = [ 2 ];"], [2, 1]),
                ("listOf lib.types.int", [""], []),
                ("lines", ['config.a = "x";', 'config.a = lib.mkBefore "y";'], "y\nx"),
                ("attrsOf lib.types.int", ["config.a.x = 1;", "config.a.y = lib.mkIf false 2;"], {"x": 1}),
                ("attrsOf lib.types.int", ["config.a = lib.mkIf (config.a.x == 1) { y = 2; };", "config.a.x = 1;"], None),
                ("nullOr lib.types.int", ["config.a = null;"], None),
                ("either lib.types.int lib.types.str", ['config.a = "x";'], "x"),
                ("enum [ 1 2 ]", ["config.a = 2;"], 2)):
            with self.subTest(type=type, definitions=definitions):
                if "config.a.x" in definitions[0] and wanted is None:
                    self.refused("infinite recursion", OPTION % "attrsOf lib.types.int", *definitions)
                else:
                    self.assertEqual(value(OPTION % type, *definitions)["a"], wanted)

    def test_submodule(self):
        module = "submodule { options.x = lib.mkOption { type = lib.types.int; default = 7; }; }"
        self.assertEqual(value(OPTION % module, "config.a = { };"), {"a": {"x": 7}})
        self.refused("`a.y' does not exist", OPTION % module, "config.a.y = 1;")
        free = "submodule { freeformType = lib.types.attrsOf lib.types.int; options.x = lib.mkOption { default = 7; }; }"
        self.assertEqual(value(OPTION % free, "config.a.y = 1;"), {"a": {"x": 7, "y": 1}})
        self.refused("not of type", OPTION % free, 'config.a.y = "s";')

    def test_refusals(self):
        option = OPTION % "int"
        self.refused("`b' does not exist", option, "config.a = 1; config.b = 2;")
        self.refused("not of type `integer'", option, 'config.a = "1";')
        self.refused("disagree", option, "config.a = 1;", "config.a = 2;")
        self.refused("used and not defined", option, "")
        self.refused("declared twice", option, option, "config.a = 1;")
        self.refused("beside them", option + " a = 1;")
        self.refused("read-only", "options.a = lib.mkOption { readOnly = true; };", "config.a = 1;", "config.a = 1;")


if __name__ == "__main__":
    nix.main()
