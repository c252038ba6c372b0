# A network for operators beside the one for records: WireGuard, so that management ports are reached by nobody without a key.
{
  config,
  lib,
  pkgs,
  ...
}:
let
  address = import ../lib/address.nix { inherit lib; };
  endpoints = lib.filter (e: e != null) (map (p: p.endpoint) wg.peers);
  cfg = config.services.chronik;
  wg = cfg.management;
  makeKey = pkgs.writeShellApplication {
    name = "chronik-management-key";
    runtimeInputs = [
      pkgs.coreutils
      pkgs.wireguard-tools
    ];
    text = builtins.readFile ../scripts/wireguard-key.sh;
  };
  peer = lib.types.submodule {
    options = {
      publicKey = lib.mkOption {
        type = lib.types.strMatching "[A-Za-z0-9+/]{43}=";
        description = "Its public key.";
      };
      allowedIPs = lib.mkOption {
        type = lib.types.listOf lib.types.str;
        description = "Its addresses within the network.";
      };
      endpoint = lib.mkOption {
        type = lib.types.nullOr (lib.types.strMatching ".*:[0-9]+");
        default = null;
        description = "Where it is reached; null for one that calls.";
      };
    };
  };
in
{
  options.services.chronik.management = {
    enable = lib.mkEnableOption "a WireGuard network for operators";
    addresses = lib.mkOption {
      type = lib.types.listOf lib.types.str;
      default = [ ];
      example = [ "10.99.0.11/24" ];
      description = "Addresses of this node within it.";
    };
    port = lib.mkOption {
      type = lib.types.port;
      default = 51820;
      description = "UDP port.";
    };
    privateKeyFile = lib.mkOption {
      type = lib.types.str;
      default = "/var/lib/wireguard/management.key";
      description = "Its private key, which is made on the first start and never leaves the machine.";
    };
    peers = lib.mkOption {
      type = lib.types.listOf peer;
      default = [ ];
      description = "Operators and, where they are used as way stations, other nodes.";
    };
    from = lib.mkOption {
      type = lib.types.listOf lib.types.str;
      default = [ "admin" ];
      description = "Networks of the firewall from which it may be called.";
    };
  };

  config = lib.mkIf wg.enable {
    # By networkd itself: `networking.wireguard` has two backends, of which one can make keys and the other cannot.
    systemd.network = {
      enable = true;
      netdevs."40-management" = {
        netdevConfig = {
          Kind = "wireguard";
          Name = "management";
        };
        wireguardConfig = {
          PrivateKeyFile = wg.privateKeyFile;
          ListenPort = wg.port;
        };
        wireguardPeers = map (
          p:
          {
            PublicKey = p.publicKey;
            AllowedIPs = p.allowedIPs;
          }
          // lib.optionalAttrs (p.endpoint != null) {
            Endpoint = p.endpoint;
            PersistentKeepalive = 25;
          }
        ) wg.peers;
      };
      networks."40-management" = {
        matchConfig.Name = "management";
        address = wg.addresses;
      };
    };
    systemd.services.chronik-management-key = {
      description = "Private key of the network for operators";
      wantedBy = [ "systemd-networkd.service" ];
      before = [ "systemd-networkd.service" ];
      unitConfig = {
        DefaultDependencies = false;
        RequiresMountsFor = [ wg.privateKeyFile ];
      };
      serviceConfig = {
        Type = "oneshot";
        RemainAfterExit = true;
        ExecStart = "${lib.getExe makeKey} ${wg.privateKeyFile}";
      };
    };

    # Whoever comes out of the tunnel is an operator, and may what the network admin may.
    services.chronik.firewall = {
      networks.admin = lib.concatMap (p: p.allowedIPs) wg.peers;
      allow.wireguard = {
        inherit (wg) from;
        udp = [ wg.port ];
      };
      # Others are answered; these are called.
      egress.wireguard = lib.mkIf (endpoints != [ ]) {
        addresses = lib.filter address.isAddress (map address.hostOf endpoints);
        names = lib.filter (host: !(address.isAddress host)) (map address.hostOf endpoints);
        udp = lib.unique (map address.portOf endpoints);
      };
    };
    assertions = [
      {
        assertion = wg.addresses != [ ];
        message = ''
          services.chronik.management.addresses is empty; give this node an address within the network, such as
          "10.99.0.11/24".'';
      }
    ];
  };
}
