# chronikd and chronik-ctl with what belongs to them: units, settings of the kernel, documents. The tests run in the build.
{
  lib,
  stdenv,
  cunit,
  curl,
  expat,
  jansson,
  libev,
  libmicrohttpd,
  libyaml,
  lmdb,
  lz4,
  meson,
  ninja,
  openssl,
  pcre2,
  pkg-config,
  python3,
  snappy,
  systemdLibs,
  uthash,
  zlib,
  zstd,
}:
let
  root = ../.;
  # meson.build has the version; it is said once.
  version = builtins.head (
    builtins.match ".*version: '([0-9.]+)'.*" (builtins.readFile (root + "/meson.build"))
  );
in
stdenv.mkDerivation {
  pname = "chronik";
  inherit version;

  src = lib.fileset.toSource {
    inherit root;
    # What changes without changing the program does not build it anew.
    fileset = lib.fileset.difference root (
      lib.fileset.unions [
        (lib.fileset.maybeMissing (root + "/build"))
        (lib.fileset.maybeMissing (root + "/flake.lock"))
        (lib.fileset.maybeMissing (root + "/images"))
      ]
    );
  };

  outputs = [
    "out"
    "ctl"
  ];
  separateDebugInfo = true;

  nativeBuildInputs = [
    meson
    ninja
    pkg-config
    (python3.withPackages (p: [ p.pyyaml ]))
  ];
  buildInputs = [
    curl
    expat
    jansson
    libev
    libmicrohttpd
    libyaml
    lmdb
    lz4
    openssl
    pcre2
    snappy
    systemdLibs
    uthash
    zlib
    zstd
  ];
  checkInputs = [ cunit ];

  mesonBuildType = "debugoptimized";
  mesonFlags = [
    (lib.mesonBool "b_pie" true)
    (lib.mesonBool "werror" false)
    (lib.mesonBool "tests" (stdenv.buildPlatform.canExecute stdenv.hostPlatform))
  ];

  postPatch = ''
    patchShebangs tests tools
  '';

  doCheck = stdenv.buildPlatform.canExecute stdenv.hostPlatform;
  mesonCheckFlags = [
    "--no-suite"
    "slow"
    "--timeout-multiplier"
    "4"
  ];

  postInstall = ''
    moveToOutput bin/chronik-ctl "$ctl"
    # chronik-ctl belongs on a node's path, too.
    ln -s "$ctl/bin/chronik-ctl" "$out/bin/chronik-ctl"

    for unit in systemd/*.{service,timer,path,slice,socket,target}; do
      [ -e "$unit" ] || continue
      install -Dm444 "$unit" "$out/lib/systemd/system/$(basename "$unit")"
    done
    for helper in systemd/chronik-*; do
      case $helper in
      *.conf | *.catalog | *.service | *.timer | *.path | *.slice | *.socket | *.target) ;;
      *) install -Dm555 "$helper" "$out/libexec/chronik/$(basename "$helper")" ;;
      esac
    done
    install -Dm444 systemd/drain-guard.conf "$out/share/chronik/drain-guard.conf"
    # What systemd 254 can do for it, which NixOS has.
    [ ! -e systemd/chronikd-254.conf ] || \
      install -Dm444 systemd/chronikd-254.conf "$out/lib/systemd/system/chronikd.service.d/254.conf"
    [ ! -e systemd/chronik-tmpfiles.conf ] || install -Dm444 systemd/chronik-tmpfiles.conf "$out/lib/tmpfiles.d/chronik.conf"
    [ ! -e systemd/chronik-sysusers.conf ] || install -Dm444 systemd/chronik-sysusers.conf "$out/lib/sysusers.d/chronik.conf"
    [ ! -e systemd/chronik.catalog ] || install -Dm444 systemd/chronik.catalog "$out/lib/systemd/catalog/chronik.catalog"
    for file in sysctl/*.conf; do
      [ ! -e "$file" ] || install -Dm444 "$file" "$out/lib/sysctl.d/$(basename "$file")"
    done
    find "$out/lib/systemd/system" -type f -exec sed -i \
      -e "s|/usr/bin/chronik|$out/bin/chronik|g" \
      -e "s|/usr/libexec/chronik|$out/libexec/chronik|g" \
      -e "s|/usr/lib/chronik|$out/libexec/chronik|g" \
      -e "s|/usr/share/doc/chronik|$out/share/doc/chronik|g" {} +
    install -Dm444 -t "$out/share/doc/chronik" README.md docs/*.md
  '';

  meta = {
    description = "Kafka-compatible streaming log for dedicated hardware";
    license = lib.licenses.asl20;
    platforms = [
      "x86_64-linux"
      "aarch64-linux"
    ];
    mainProgram = "chronikd";
  };
}
