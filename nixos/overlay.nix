# pkgs.chronik and pkgs.chronik-ctl.
final: _: {
  chronik = final.callPackage ./package.nix { };
  chronik-ctl = final.chronik.ctl;
}
