{
  description = "Chronik: a Kafka-compatible streaming log for dedicated hardware";

  inputs.nixpkgs.url = "github:NixOS/nixpkgs/nixos-26.05";

  outputs =
    { self, nixpkgs }:
    let
      inherit (nixpkgs) lib;
      pkgsFor = system: nixpkgs.legacyPackages.${system}.extend self.overlays.default;
      forAllSystems =
        f:
        lib.genAttrs [
          "x86_64-linux"
          "aarch64-linux"
        ] (system: f (pkgsFor system));
      example = self.lib.mkCluster (import ./nixos/examples/production.nix);
    in
    {
      overlays.default = import ./nixos/overlay.nix;

      nixosModules.default = {
        imports = [ ./nixos/modules ];
        nixpkgs.overlays = [ self.overlays.default ];
      };

      lib.mkCluster = import ./nixos/cluster {
        inherit lib;
        module = self.nixosModules.default;
        inherit (lib) nixosSystem;
      };

      nixosConfigurations = example.nixosConfigurations // {
        single = lib.nixosSystem {
          modules = [
            self.nixosModules.default
            ./nixos/examples/single.nix
          ];
        };
      };

      packages = forAllSystems (pkgs: {
        inherit (pkgs) chronik chronik-ctl;
        default = pkgs.chronik;
      });

      apps = forAllSystems (pkgs: {
        default = {
          type = "app";
          program = "${pkgs.chronik}/bin/chronikd";
          meta.description = "One node, with its data in ./chronik-data";
        };
        chronik-ctl = {
          type = "app";
          program = "${pkgs.chronik-ctl}/bin/chronik-ctl";
          meta.description = "The operator's command line";
        };
      });

      checks = forAllSystems (
        pkgs:
        {
          inherit (pkgs) chronik;
        }
        // import ./nixos/tests { inherit pkgs; }
      );

      devShells = forAllSystems (pkgs: {
        default = pkgs.callPackage ./nixos/shell.nix { };
      });

      formatter = forAllSystems (pkgs: pkgs.nixfmt-tree);
    };
}
