# What takes the whole cluster to see.
{ config, lib, ... }:
let
  c = config;
  names = map (n: n.name) (import ./nodes.nix { inherit lib; } c);
  keepers = if c.ingestNodes == 0 then c.controllers else c.ingestNodes;
  keeperWord = if c.ingestNodes == 0 then "controllers" else "ingestNodes";
  unknown = lib.subtractLists names (lib.attrNames c.inventory);
  addresses = map (n: n.address) (import ./nodes.nix { inherit lib; } c);
  backends = lib.filter (b: b != null) [
    c.storage.backend.s3
    c.storage.backend.gcs
    c.storage.backend.azure
  ];
  hasBackend = backends != [ ];
in
{
  assertions = [
    {
      assertion = lib.mod c.controllers 2 == 1;
      message = ''
        controllers = ${toString c.controllers}: an even number survives no more failures than
        ${toString (c.controllers - 1)} and needs one more for a majority. Give ${toString (c.controllers - 1)} or
        ${toString (c.controllers + 1)}.'';
    }
    {
      assertion = c.replication.factor <= keepers;
      message = ''
        replication.factor = ${toString c.replication.factor}, but only ${toString keepers} nodes keep records
        (${keeperWord}). Give more nodes, or fewer copies.'';
    }
    {
      assertion = c.replication.minInsyncReplicas <= c.replication.factor;
      message = ''
        replication.minInsyncReplicas = ${toString c.replication.minInsyncReplicas}, above replication.factor =
        ${toString c.replication.factor}: nothing could be written with acks=all. Give at most
        ${toString c.replication.factor}, better one less.'';
    }
    {
      assertion = unknown == [ ];
      message = ''
        inventory names ${lib.concatStringsSep ", " unknown}, and the cluster has no such node: controllers and
        ingestNodes say how many there are. A node is decommissioned before its number goes (docs/CTL.md).'';
    }
    {
      assertion = lib.length (lib.unique addresses) == lib.length addresses;
      message = ''
        network: two nodes have the same address; leave more room between firstController and firstIngest, or look at
        inventory.'';
    }
    {
      assertion = lib.length backends <= 1;
      message = "storage.backend names more than one object store; sealed segments go to one.";
    }
    {
      assertion = c.monitoring.tracing -> c.monitoring.otlpEndpoint != null;
      message = "monitoring.tracing is on, and monitoring.otlpEndpoint does not say where to.";
    }
    {
      assertion = c.racks != [ ];
      message = "racks is empty; name at least one.";
    }
    {
      assertion = c.sshKeys != [ ];
      message = "sshKeys is empty: nobody could log in to the machines. Give the operators' public keys.";
    }
  ];
  warnings = map (w: w.text) (
    lib.filter (w: w.when) [
      {
        when = c.metadataStorage.type == "sled";
        text = "metadataStorage.type: `sled` is the guide's name; here it is `embedded`, and there is no other.";
      }
      {
        when = c.storage.storageClass != null || c.metadataStorage.storageClass != null;
        text = "storageClass is Kubernetes' and has no meaning here; inventory says which disks are used.";
      }
      {
        when = hasBackend;
        text = "storage.backend opens the firewall to the object store; this version of chronikd does not use it yet.";
      }
      {
        when = c.monitoring.tracing;
        text = "monitoring.otlpEndpoint opens the firewall to the collector; this version of chronikd sends no traces yet.";
      }
      {
        when = !c.security.tls.enabled;
        text = "security.tls.enabled = false: nodes believe each other without proof, and everybody on the way reads along.";
      }
      {
        when = c.monitoring.prometheus && !c.security.tls.enabled;
        text = "monitoring.prometheus: without TLS the admin listeners stay on loopback, and Prometheus sees the machines only.";
      }
      {
        when = c.network.timeServers == [ ];
        text = "network.timeServers is empty: nodes refuse each other when their clocks are two minutes apart.";
      }
      {
        when = lib.length c.racks < c.replication.factor;
        text = ''
          racks: ${toString (lib.length c.racks)} for ${toString c.replication.factor} copies, so that one rack has more than one
          of them.'';
      }
    ]
  );
}
