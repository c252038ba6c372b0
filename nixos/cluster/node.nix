# One node of a cluster as a module of NixOS.
{
  lib,
  cluster,
  nodes,
  node,
}:
{ config, ... }:
let
  c = cluster;
  address = import ../lib/address.nix { inherit lib; };
  tls = c.security.tls.enabled;
  isIngest = lib.elem "ingest" node.roles;
  isController = lib.elem "controller" node.roles;
  any = if node.address6 == null then "0.0.0.0" else "[::]";
  quorum = lib.filter (n: n.kind == "controller") nodes;
  resources = if node.kind == "controller" then c.resources.controller else c.resources.ingest;
  authentication = c.security.authentication.enabled;
  monitor = c.monitoring.host;
  monitorName = "monitor.${c.name}.${c.domain}";

  secret = file: "/etc/credstore.encrypted/${c.security.tls.certSecret}.${file}";
  pair = name: {
    certificate = secret "${name}.pem";
    key = secret "${name}.key";
  };
  letters = lib.replaceStrings [ "Ki" "Mi" "Gi" "Ti" ] [ "K" "M" "G" "T" ];

  # The object store's name and port, of its URL or of the provider.
  backend = lib.findFirst (b: b != null) null [
    c.storage.backend.s3
    c.storage.backend.gcs
    c.storage.backend.azure
  ];
  url =
    if backend.endpoint != null then
      backend.endpoint
    else if c.storage.backend.s3 != null then
      "https://s3.${if backend.region == null then "us-east-1" else backend.region}.amazonaws.com"
    else if c.storage.backend.gcs != null then
      "https://storage.googleapis.com"
    else
      "https://${backend.bucket}.blob.core.windows.net";
  urlParts = builtins.match "(https?)://([^:/]+|\\[[0-9a-f:]+])(:([0-9]+))?(/.*)?" url;
  urlHost = lib.removeSuffix "]" (lib.removePrefix "[" (builtins.elemAt urlParts 1));
  urlPort =
    if builtins.elemAt urlParts 3 != null then
      lib.toInt (builtins.elemAt urlParts 3)
    else if builtins.head urlParts == "https" then
      443
    else
      80;
  reach = host: ranges: {
    addresses = ranges ++ lib.optional (address.isAddress host) host;
    names = lib.optional (ranges == [ ] && !(address.isAddress host)) host;
  };

  listener = {
    address = "${any}:9092";
    advertised = "${node.hostName}:9092";
    protocol =
      if authentication then
        (if tls then "SASL_SSL" else "SASL_PLAINTEXT")
      else if tls then
        "SSL"
      else
        "PLAINTEXT";
  }
  // lib.optionalAttrs tls {
    tls_certificate = config.services.chronik.tls.paths.listener.certificate;
    tls_key = config.services.chronik.tls.paths.listener.key;
  }
  // lib.optionalAttrs authentication { sasl_mechanisms = c.security.authentication.mechanisms; };
in
{
  imports = [
    (import ./machine.nix {
      inherit lib cluster nodes;
      machine = node;
    })
  ]
  ++ c.modules
  ++ node.modules;

  inherit (c) warnings;

  services.chronik = {
    enable = true;
    settings = lib.mkMerge [
      c.settings
      {
        server = {
          node_id = node.id;
          inherit (node) roles rack;
          admin = if tls then "${any}:9644" else "127.0.0.1:9644";
          cluster_id = c.name;
        };
        cluster = {
          listen = "${any}:9093";
          advertised = "${node.hostName}:9093";
          controllers = lib.concatMapStringsSep "," (n: "${toString n.id}@${n.hostName}:9093") quorum;
          plaintext = lib.mkIf (!tls) true;
        };
        replication = {
          factor = lib.mkDefault c.replication.factor;
          min_insync_replicas = lib.mkDefault c.replication.minInsyncReplicas;
        };
        security = lib.mkIf authentication {
          authorizer = lib.mkDefault "standard";
          super_users = lib.concatStringsSep ";" c.security.superUsers;
        };
        audit.enabled = c.security.audit;
        listeners = lib.mkIf isIngest { CLIENTS = listener; };
      }
    ];

    tls.bundles = lib.mkIf tls (
      {
        node = pair "node" // {
          ca = secret "ca.pem";
        };
        admin = pair "admin";
      }
      // lib.optionalAttrs isIngest { listener = pair "listener"; }
    );
    credentials =
      lib.optionalAttrs tls {
        "chronik.admin_tokens".source = "/etc/credstore.encrypted/chronik.admin_tokens";
      }
      // lib.optionalAttrs (authentication && isController) {
        # Looked for by its name: it may be taken away when the cluster has begun.
        "chronik.first_user" = { };
      };
    ctl = lib.mkIf tls {
      server = "${node.hostName}:9644";
      tokenSource = "/etc/credstore.encrypted/chronik.token";
      caFile = "/etc/chronik/admin-ca.pem";
    };

    volumes = {
      enable = true;
      partition.enable = node.dataDevice == null || node.metadataDevice == null;
      metadata = {
        encryption = c.metadataStorage.encryption;
        size.min = letters c.metadataStorage.volumeSize;
        size.max = letters c.metadataStorage.volumeSize;
        device = lib.mkIf (node.metadataDevice != null) node.metadataDevice;
      };
      data = {
        encryption = c.storage.encryption;
        size.min = letters c.storage.size;
        device = lib.mkIf (node.dataDevice != null) node.dataDevice;
      };
    };
    inherit resources;

    firewall.egress = {
      object-store = lib.mkIf (isIngest && backend != null) (
        reach urlHost backend.addresses // { tcp = [ urlPort ]; }
      );
      otlp = lib.mkIf (c.monitoring.tracing && c.monitoring.otlpEndpoint != null) (
        reach (address.hostOf c.monitoring.otlpEndpoint) [ ]
        // {
          tcp = [ (address.portOf c.monitoring.otlpEndpoint) ];
        }
      );
    };
    journal.upload = lib.mkIf (monitor != null) {
      enable = true;
      host = monitorName;
    };
    # Its address is known, and need not be asked for.
    firewall.egress.journal = lib.mkIf (monitor != null) {
      names = lib.mkForce [ ];
      addresses = [ monitor.address ] ++ lib.optional (monitor.address6 != null) monitor.address6;
    };
  };
}
