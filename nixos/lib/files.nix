# The plain files beside nixos/ (systemd/, sysctl/) as Nix sees them: what is there is used, what is not is left out.
{ lib }:
let
  root = ../..;
  listing =
    folder:
    if builtins.pathExists (root + "/${folder}") then builtins.readDir (root + "/${folder}") else { };
in
rec {
  hasUnit = name: (listing "systemd") ? ${name};
  sysctlFiles = lib.filter (lib.hasSuffix ".conf") (lib.attrNames (listing "sysctl"));

  # `key = value` of a file of sysctl.d, numbers as numbers.
  readSysctl =
    name:
    let
      lines = lib.splitString "\n" (builtins.readFile (root + "/sysctl/${name}"));
      setting = line: builtins.match "-?([a-z][^=# ]*) *= *(.*[^ ]) *" line;
      number = value: if builtins.match "[0-9]+" value != null then lib.toInt value else value;
      entry = found: lib.nameValuePair (builtins.head found) (number (lib.last found));
    in
    lib.listToAttrs (map entry (lib.filter (found: found != null) (map setting lines)));

  # Those for every node, then those for nodes that keep records.
  sysctlFor =
    ingest:
    lib.foldl' (all: name: all // readSysctl name) { } (
      lib.filter (name: ingest || !(lib.hasInfix "ingest" name)) sysctlFiles
    );
}
