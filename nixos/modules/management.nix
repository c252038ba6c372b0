# A network for operators beside the one for records: WireGuard, so that management ports are reached by nobody without a key.
{ config, lib, ... }:
let
  address = import ../lib/address.nix { inherit lib; };
  endpoints = lib.filter (e: e != null) (map (p: p.endpoint) wg.peers);
  cfg = config.services.chronik;
  wg = cfg.management;
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
    networking.wireguard.enable = true;
    networking.wireguard.interfaces.management = {
      ips = wg.addresses;
      listenPort = wg.port;
      inherit (wg) privateKeyFile;
      generatePrivateKeyFile = true;
      peers = map (
        p:
        {
          inherit (p) publicKey allowedIPs;
        }
        // lib.optionalAttrs (p.endpoint != null) {
          inherit (p) endpoint;
          persistentKeepalive = 25;
        }
      ) wg.peers;
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
