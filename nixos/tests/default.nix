# Virtual machines that hold what tests/nix cannot: that NixOS boots what the modules say. A test is a file here, and a name below.
{ pkgs }:
pkgs.lib.genAttrs [
  "cluster"
  "single"
  "tls"
] (name: pkgs.testers.runNixOSTest (./. + "/${name}.nix"))
