# What `nix develop` has on its path: as much as tools/packages*.txt install elsewhere. There tools/install-deps does nothing, and
# `make test`, `make lint`, `make bench` find what they need.
{
  mkShell,
  chronik,
  ccache,
  clang,
  clang-tools,
  gnumake,
  iproute2,
  kcat,
  nftables,
  nix,
  nixfmt-tree,
  openssl,
  prometheus,
  python3,
  rdkafka,
}:
mkShell {
  inputsFrom = [ chronik ];
  packages = [
    ccache
    clang
    clang-tools
    gnumake
    iproute2
    kcat
    nftables
    nix
    nixfmt-tree
    openssl
    prometheus
    (python3.withPackages (p: [
      p.confluent-kafka
      p.pyyaml
    ]))
    rdkafka
  ];
  # Fortified code wants optimisation, which a debug build has not.
  hardeningDisable = [ "fortify" ];
}
