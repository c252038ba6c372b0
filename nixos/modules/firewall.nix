# What may reach a node and what it may reach: everything else is dropped, in both directions, and counted.
#
# Networks have names (clients, peers, quorum, admin, monitoring); each module says which of them may reach its ports (`allow`) and
# where it goes (`egress`). Both kinds of IP have the same rules. IPv6 without neighbour discovery finds nobody, and either kind
# without the messages of path MTU hangs at the first large packet, so these are always let through.
{
  config,
  lib,
  pkgs,
  ...
}:
let
  cfg = config.services.chronik;
  fw = cfg.firewall;
  address = import ../lib/address.nix { inherit lib; };
  rules = import ../lib/rules.nix { inherit lib; };
  s = cfg.settings;

  refreshed = lib.filterAttrs (_: e: e.names != [ ]) fw.egress;
  refresh = pkgs.writeShellApplication {
    name = "chronik-refresh-egress";
    runtimeInputs = [
      pkgs.coreutils
      pkgs.getent
      pkgs.nftables
    ];
    text = builtins.readFile ../scripts/refresh-egress.sh;
  };

  ports = lib.types.listOf lib.types.port;
  row =
    more:
    lib.types.submodule {
      options = {
        tcp = lib.mkOption {
          type = ports;
          default = [ ];
          description = "TCP ports.";
        };
        udp = lib.mkOption {
          type = ports;
          default = [ ];
          description = "UDP ports.";
        };
      }
      // more;
    };

  clientPorts = lib.unique (
    map (l: address.portOf l.address) (lib.filter (l: l.address != null) (lib.attrValues s.listeners))
    ++ (
      if s.server.kafka != null then
        [ (address.portOf s.server.kafka) ]
      else
        lib.optional (s.listeners == { }) 9092
    )
  );
  isIngest = s.server.roles == null || lib.elem "ingest" s.server.roles;
  isController = s.server.roles == null || lib.elem "controller" s.server.roles;
  peerPort = address.portOf s.cluster.listen;
  adminPort = address.portOf s.server.admin;
  adminOpen =
    cfg.enable && s.server.admin != null && !(address.isLoopback (address.hostOf s.server.admin));
  hasPeers = cfg.enable && s.cluster.listen != null;
in
{
  options.services.chronik.firewall = {
    enable = lib.mkEnableOption "nftables rules that drop whatever the node's roles do not need";
    networks = lib.mkOption {
      type = lib.types.attrsOf (lib.types.listOf lib.types.str);
      default = { };
      example = {
        clients = [
          "10.1.0.0/16"
          "2001:db8:1::/48"
        ];
      };
      description = ''
        Addresses and ranges of both kinds by name: clients, peers (all nodes), quorum (the controllers), admin (operators), monitoring.
        A name without addresses is nobody.
      '';
    };
    allow = lib.mkOption {
      type = lib.types.attrsOf (row {
        from = lib.mkOption {
          type = lib.types.listOf lib.types.str;
          description = "Names of networks.";
        };
      });
      default = { };
      description = "Who may reach which ports. Modules add their own.";
    };
    egress = lib.mkOption {
      type = lib.types.attrsOf (row {
        networks = lib.mkOption {
          type = lib.types.listOf lib.types.str;
          default = [ ];
          description = "Names of networks.";
        };
        addresses = lib.mkOption {
          type = lib.types.listOf lib.types.str;
          default = [ ];
          description = "Addresses and ranges.";
        };
        names = lib.mkOption {
          type = lib.types.listOf lib.types.str;
          default = [ ];
          description = "Host names, which are looked up every few minutes; where they led is open for an hour.";
        };
      });
      default = { };
      description = "What the node may reach. Modules add their own.";
    };
    resolvers = lib.mkOption {
      type = lib.types.listOf lib.types.str;
      default = [ ];
      description = "Addresses of the name servers, over UDP and TCP: long answers come over TCP.";
    };
    dhcp = lib.mkOption {
      type = lib.types.bool;
      default = false;
      description = "Whether the node gets its addresses by DHCP.";
    };
    text = lib.mkOption {
      type = lib.types.lines;
      internal = true;
      readOnly = true;
      description = "The table as text.";
    };
  };

  config = lib.mkIf fw.enable {
    services.chronik.firewall = {
      networks = lib.genAttrs [
        "clients"
        "peers"
        "quorum"
        "admin"
        "monitoring"
      ] (_: lib.mkDefault [ ]);

      allow = {
        clients = lib.mkIf (cfg.enable && isIngest) {
          from = [ "clients" ];
          tcp = clientPorts;
        };
        # Controllers talk among themselves and are asked by all nodes; ingest nodes fetch from each other.
        peers = lib.mkIf hasPeers {
          from = [ "peers" ] ++ lib.optional isController "quorum";
          tcp = [ peerPort ];
        };
        admin = lib.mkIf adminOpen {
          from = [
            "admin"
            "monitoring"
            "peers"
          ];
          tcp = [ adminPort ];
        };
      };
      egress = {
        peers = lib.mkIf hasPeers {
          networks = [
            "peers"
            "quorum"
          ];
          tcp = [ peerPort ] ++ lib.optional adminOpen adminPort;
        };
        dns = lib.mkIf (fw.resolvers != [ ]) {
          addresses = fw.resolvers;
          tcp = [ 53 ];
          udp = [ 53 ];
        };
      };
      text = rules.render {
        inherit (fw)
          networks
          allow
          egress
          dhcp
          ;
      };
    };

    networking.firewall.enable = false;
    networking.nftables = {
      enable = true;
      tables.chronik = {
        family = "inet";
        content = fw.text;
      };
    };

    # Names of object stores lead elsewhere every few minutes, which rules of addresses cannot follow by themselves.
    systemd.services.chronik-refresh-egress = lib.mkIf (refreshed != { }) {
      description = "Addresses that Chronik's firewall lets it reach by name";
      after = [
        "nftables.service"
        "network-online.target"
      ];
      wants = [ "network-online.target" ];
      # A table that was loaded anew has forgotten them.
      partOf = [ "nftables.service" ];
      wantedBy = [ "nftables.service" ];
      serviceConfig = {
        Type = "oneshot";
        ExecStart = lib.concatStringsSep " " (
          [ (lib.getExe refresh) ]
          ++ lib.concatLists (lib.mapAttrsToList (name: e: map (host: "${name}=${host}") e.names) refreshed)
        );
        CapabilityBoundingSet = [ "CAP_NET_ADMIN" ];
        NoNewPrivileges = true;
        PrivateTmp = true;
        PrivateDevices = true;
        ProtectSystem = "strict";
        ProtectHome = true;
        RestrictAddressFamilies = [
          "AF_INET"
          "AF_INET6"
          "AF_NETLINK"
          "AF_UNIX"
        ];
        MemoryDenyWriteExecute = true;
        SystemCallArchitectures = "native";
      };
    };
    systemd.timers.chronik-refresh-egress = lib.mkIf (refreshed != { }) {
      description = "Addresses that Chronik's firewall lets it reach by name, again";
      wantedBy = [ "timers.target" ];
      timerConfig = {
        OnUnitInactiveSec = "2min";
        OnBootSec = "10s";
        RandomizedDelaySec = "15s";
      };
    };

    assertions =
      lib.concatLists (
        lib.mapAttrsToList (
          name: a:
          map (from: {
            assertion = fw.networks ? ${from};
            message = ''
              services.chronik.firewall.allow.${name}.from names ${from}, which is none of firewall.networks
              (${lib.concatStringsSep ", " (lib.attrNames fw.networks)}).'';
          }) a.from
        ) fw.allow
      )
      ++ lib.concatLists (
        lib.mapAttrsToList (
          name: e:
          map (n: {
            assertion = fw.networks ? ${n};
            message = "services.chronik.firewall.egress.${name}.networks names ${n}, which is none of firewall.networks.";
          }) e.networks
        ) fw.egress
      )
      ++ lib.concatLists (
        lib.mapAttrsToList (
          name: list:
          map (a: {
            assertion = address.isAddress a;
            message = ''
              services.chronik.firewall.networks.${name} has ${a}, which is no address and no range; names cannot be looked
              up by a firewall.'';
          }) list
        ) fw.networks
      );
    warnings = lib.optional (
      refreshed != { } && fw.resolvers == [ ]
    ) "services.chronik.firewall: egress by name needs name servers; set firewall.resolvers.";
  };
}
