# The options of NixOS that the modules set, each with the type that it has there in releases 25.05 to 26.05. One that is not listed
# is refused, so that a name which NixOS does not have is found here: look it up in all three releases before you add it.
{ lib, pkgs, ... }:
let
  t = lib.types;
  opt = type: lib.mkOption { inherit type; };
  def = type: default: lib.mkOption { inherit type default; };
  flag = def t.bool false;
  words = def (t.listOf t.str) [ ];
  maybe = type: def (t.nullOr type) null;
  sub = options: t.submodule { inherit options; };
  # A value of a section of a unit.
  atom = t.oneOf [
    t.bool
    t.int
    t.str
    t.path
  ];
  section = t.attrsOf (t.either atom (t.listOf atom));
  unit = {
    description = def t.str "";
    after = words;
    before = words;
    wants = words;
    requires = words;
    requiredBy = words;
    wantedBy = words;
    partOf = words;
    unitConfig = def section { };
  };
  service = unit // {
    serviceConfig = def section { };
    environment = def (t.attrsOf t.str) { };
    restartIfChanged = def t.bool true;
    stopIfChanged = def t.bool true;
  };
  etc = sub {
    text = maybe t.lines;
    source = maybe t.path;
  };
  fileSystem = sub {
    device = maybe t.nonEmptyStr;
    fsType = def t.nonEmptyStr "auto";
    options = def (t.listOf t.nonEmptyStr) [ "defaults" ];
    depends = words;
    autoFormat = flag;
    autoResize = flag;
    noCheck = flag;
  };
in
{
  options = {
    assertions = def (t.listOf t.raw) [ ];
    warnings = words;
    nixpkgs.hostPlatform = def t.raw null;
    nixpkgs.overlays = def (t.listOf t.raw) [ ];
    system.stateVersion = def t.str "";

    boot = {
      kernelModules = words;
      kernelParams = words;
      kernel.sysctl = def (t.attrsOf (
        t.oneOf [
          t.bool
          t.int
          t.str
        ]
      )) { };
      initrd.availableKernelModules = words;
      loader.systemd-boot.enable = flag;
      loader.efi.canTouchEfiVariables = flag;
    };
    fileSystems = def (t.attrsOf fileSystem) { };
    environment.etc = def (t.attrsOf etc) { };
    environment.systemPackages = def (t.listOf t.package) [ ];
    users.users = def (t.attrsOf (sub {
      isSystemUser = flag;
      isNormalUser = flag;
      group = def t.str "";
      extraGroups = words;
      home = def t.str "/var/empty";
      description = def t.str "";
      openssh.authorizedKeys.keys = words;
    })) { };
    users.groups = def (t.attrsOf (sub { })) { };
    security.sudo.wheelNeedsPassword = def t.bool true;

    networking = {
      hostName = def t.str "nixos";
      domain = maybe t.str;
      useNetworkd = flag;
      useDHCP = def t.bool true;
      nameservers = words;
      hosts = def (t.attrsOf (t.listOf t.str)) { };
      firewall.enable = def t.bool true;
      nftables.enable = flag;
      nftables.tables = def (t.attrsOf (sub {
        family = opt (t.enum [ "inet" ]);
        content = opt t.lines;
      })) { };
    };

    systemd = {
      package = def t.package pkgs.systemd;
      packages = def (t.listOf t.package) [ ];
      services = def (t.attrsOf (sub service)) { };
      timers = def (t.attrsOf (sub (unit // { timerConfig = def section { }; }))) { };
      paths = def (t.attrsOf (sub (unit // { pathConfig = def section { }; }))) { };
      slices = def (t.attrsOf (sub (unit // { sliceConfig = def section { }; }))) { };
      tmpfiles.rules = words;
      tmpfiles.packages = def (t.listOf t.package) [ ];
      repart.enable = flag;
      repart.partitions = def (t.attrsOf (
        t.attrsOf (
          t.oneOf [
            t.str
            t.int
            t.bool
            (t.listOf t.str)
          ]
        )
      )) { };
      network.enable = flag;
      network.netdevs = def (t.attrsOf (sub {
        netdevConfig = def section { };
        wireguardConfig = def section { };
        wireguardPeers = def (t.listOf section) [ ];
      })) { };
      network.networks = def (t.attrsOf (sub {
        matchConfig = def section { };
        networkConfig = def section { };
        address = words;
        gateway = words;
      })) { };
    };

    # Of the test driver's machines.
    virtualisation = {
      emptyDiskImages = def (t.listOf t.int) [ ];
      memorySize = def t.int 1024;
      fileSystems = def (t.attrsOf fileSystem) { };
    };

    services = {
      chrony = {
        enable = flag;
        servers = words;
        extraConfig = def t.lines "";
      };
      openssh = {
        enable = flag;
        openFirewall = def t.bool true;
        settings = def (t.attrsOf t.anything) { };
      };
      journald.upload = {
        enable = flag;
        settings = def (t.attrsOf section) { };
      };
      journald.remote = {
        enable = flag;
        listen = def (t.enum [
          "https"
          "http"
        ]) "https";
        port = def t.port 19532;
        settings = def (t.attrsOf section) { };
      };
      prometheus = {
        enable = flag;
        checkConfig = def (t.either t.bool (t.enum [ "syntax-only" ])) true;
        listenAddress = def t.str "0.0.0.0";
        retentionTime = maybe t.str;
        ruleFiles = def (t.listOf t.path) [ ];
        globalConfig = def (t.attrsOf t.anything) { };
        scrapeConfigs = def (t.listOf (t.attrsOf t.anything)) [ ];
        alertmanagers = def (t.listOf (t.attrsOf t.anything)) [ ];
        alertmanager = {
          enable = flag;
          port = def t.port 9093;
          listenAddress = def t.str "";
          configuration = maybe (t.attrsOf t.anything);
        };
        exporters.node = {
          enable = flag;
          port = def t.port 9100;
          enabledCollectors = words;
          openFirewall = flag;
        };
      };
      grafana = {
        enable = flag;
        settings = def (t.attrsOf t.anything) { };
        provision.enable = flag;
        provision.datasources.settings = maybe (t.attrsOf t.anything);
        provision.dashboards.settings = maybe (t.attrsOf t.anything);
      };
    };
  };
}
