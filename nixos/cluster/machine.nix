# What every machine of a cluster has in common, be it a node or the monitoring host.
{
  lib,
  cluster,
  nodes,
  machine,
}:
let
  net = cluster.network;
  address = import ../lib/address.nix { inherit lib; };
  monitor = cluster.monitoring.host;
  addressesOf = m: [ m.address ] ++ lib.optional (m.address6 != null) m.address6;
  quorum = lib.filter (n: n.kind == "controller") nodes;
  monitorAddresses = lib.optionals (monitor != null) (addressesOf monitor);
  monitorName = "monitor.${cluster.name}.${cluster.domain}";
  hosts =
    map (n: lib.nameValuePair n.hostName (addressesOf n)) nodes
    ++ lib.optional (monitor != null) (lib.nameValuePair monitorName monitorAddresses);
in
{
  networking = {
    hostName = machine.name;
    domain = "${cluster.name}.${cluster.domain}";
    useNetworkd = true;
    useDHCP = false;
    nameservers = net.resolvers;
    # The nodes find each other also when the name servers are away.
    hosts = lib.listToAttrs (lib.concatMap (h: map (a: lib.nameValuePair a [ h.name ]) h.value) hosts);
  };
  systemd.network = {
    enable = true;
    networks."10-chronik" = {
      matchConfig =
        if machine.mac != null then
          { MACAddress = machine.mac; }
        else if net.interface != null then
          { Name = net.interface; }
        else
          { Type = "ether"; };
      address = [
        "${machine.address}/${toString net.prefixLength}"
      ]
      ++ lib.optional (machine.address6 != null) "${machine.address6}/64";
      gateway = lib.optional (net.gateway != null) net.gateway;
      networkConfig.IPv6AcceptRA = machine.address6 != null;
    };
  };

  environment.etc = lib.mkIf (cluster.security.tls.adminCa != null) {
    "chronik/admin-ca.pem".source = cluster.security.tls.adminCa;
  };

  services.chronik = {
    firewall = {
      enable = true;
      networks = {
        inherit (net) clients;
        admin = net.admin;
        monitoring = net.monitoring ++ monitorAddresses;
        peers = lib.concatMap addressesOf nodes;
        quorum = lib.concatMap addressesOf quorum;
      };
      inherit (net) resolvers;
    };
    time = lib.mkIf (net.timeServers != [ ]) {
      enable = true;
      servers = net.timeServers;
    };
    ssh = {
      enable = true;
      keys = cluster.sshKeys;
    };
    management = lib.mkIf (net.management.firstAddress != null) {
      enable = true;
      addresses = [
        "${address.plus net.management.firstAddress machine.id}/${toString net.management.prefixLength}"
      ];
      inherit (net.management) peers;
    };
    nodeExporter.enable = cluster.monitoring.prometheus;
    watchdog.enable = lib.mkDefault true;
  };
}
