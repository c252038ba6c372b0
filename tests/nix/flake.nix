# The project's flake with a nixpkgs of names: whether its outputs are there, and everything that they import can be called.
#
#     nix-instantiate --eval --strict --json tests/nix/flake.nix
let
  inherit (import ./modules.nix) lib evalModules;
  flake = import ../../flake.nix;
  stub = import ./pkgs.nix { inherit lib; };

  # A package by its name, where a function asks for one that nobody described.
  call =
    pkgs: f: args:
    let
      function = if builtins.isPath f then import f else f;
      wanted = builtins.functionArgs function;
      given = lib.mapAttrs (name: _: pkgs.${name} or (stub.package name)) wanted;
    in
    function (given // args);

  nixpkgsLib = lib // {
    nixosSystem =
      { modules }:
      evalModules {
        modules = [ ./nixos.nix ] ++ modules;
        specialArgs.pkgs = stub;
      };
    fileset = {
      toSource = { root, fileset }: toString root;
      difference = all: less: all;
      unions = sets: sets;
      maybeMissing = path: path;
    };
    mesonBool = name: value: "-D${name}=${lib.boolToString value}";
    licenses.asl20 = { };
  };
  packages =
    system:
    let
      base = stub // {
        inherit system;
        lib = nixpkgsLib;
        nixfmt-tree = stub.package "nixfmt-tree";
        mkShell = shell: stub.package "shell" // shell;
        python3 = stub.package "python3" // {
          withPackages = f: stub.package "python3-with";
        };
        stdenv = stub.stdenv // {
          mkDerivation =
            attrs:
            stub.package attrs.pname
            // attrs
            // lib.genAttrs attrs.outputs (output: stub.package "${attrs.pname}-${output}");
        };
        testers.runNixOSTest = file: stub.package "vm-test-${(builtins.baseNameOf (toString file))}";
        extend =
          overlay:
          let
            final = base // overlay final base // { callPackage = call final; };
          in
          final;
      };
    in
    base;

  self = outputs // {
    outPath = toString ../..;
  };
  outputs = flake.outputs {
    inherit self;
    nixpkgs = {
      lib = nixpkgsLib;
      legacyPackages = lib.genAttrs [
        "x86_64-linux"
        "aarch64-linux"
      ] packages;
    };
  };
  ofSystem = outputs: lib.mapAttrs (_: lib.mapAttrs (_: toString)) outputs;
in
{
  input = flake.inputs.nixpkgs.url;
  packages = ofSystem outputs.packages;
  checks = ofSystem outputs.checks;
  devShells = ofSystem outputs.devShells;
  formatter = lib.mapAttrs (_: toString) outputs.formatter;
  apps = lib.mapAttrs (_: lib.mapAttrs (_: app: app.program)) outputs.apps;
  configurations = lib.mapAttrs (_: c: c.config.networking.hostName) outputs.nixosConfigurations;
  modules = lib.attrNames outputs.nixosModules;
  version = outputs.packages.x86_64-linux.chronik.version;
}
