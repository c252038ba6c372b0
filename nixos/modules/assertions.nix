# Combinations that cannot work, or that somebody would regret. `chronikd --check` judges the file; what takes more than one
# node's file to know, and what would otherwise only show at the first start, is said here, with what would be right.
{ config, lib, ... }:
let
  cfg = config.services.chronik;
  s = cfg.settings;
  address = import ../lib/address.nix { inherit lib; };

  controllers = lib.filter (c: c != "") (
    lib.splitString "," (if s.cluster.controllers == null then "" else s.cluster.controllers)
  );
  count = lib.length controllers;
  ids = map (c: lib.head (lib.splitString "@" c)) controllers;
  isController = s.server.roles == null || lib.elem "controller" s.server.roles;
  inCluster = s.cluster.listen != null;

  valueOr = fallback: v: if v == null then fallback else v;
  factor = valueOr 1 s.replication.factor;
  minIsr = valueOr 1 s.replication.min_insync_replicas;
  adminHost = address.hostOf (valueOr "127.0.0.1:9644" s.server.admin);
  adminRoles =
    s.admin.tokens_file != null
    || cfg.credentials ? "chronik.admin_tokens"
    || valueOr "none" s.admin.client_auth != "none";
  encrypts =
    l:
    lib.elem (valueOr "PLAINTEXT" l.protocol) [
      "SSL"
      "SASL_SSL"
    ];
  inStore = path: path != null && lib.hasPrefix builtins.storeDir path;

  ofListener = name: l: [
    {
      assertion = l.address != null;
      message = ''
        services.chronik.settings.listeners.${name}.address is missing; give the address on which clients are served,
        such as "0.0.0.0:9092".'';
    }
    {
      assertion = encrypts l -> l.tls_certificate != null && l.tls_key != null;
      message = ''
        services.chronik.settings.listeners.${name}: protocol ${valueOr "" l.protocol} encrypts, and there is no
        certificate; give tls_certificate and tls_key, such as services.chronik.tls.paths.listener.certificate.'';
    }
    {
      assertion = valueOr "none" l.client_auth != "none" -> l.tls_ca != null;
      message = ''
        services.chronik.settings.listeners.${name}.client_auth asks clients for certificates, but tls_ca names no
        authority that could have signed them; give tls_ca.'';
    }
  ];
in
{
  config = lib.mkIf cfg.enable {
    assertions = [
      {
        assertion = lib.mod count 2 == 1 || count == 0;
        message = ''
          services.chronik.settings.cluster.controllers names ${toString count} controllers. An even number survives no
          more failures than one less, and needs one more for a majority: name 3 or 5.'';
      }
      {
        assertion = lib.length (lib.unique ids) == count;
        message = ''
          services.chronik.settings.cluster.controllers gives an id twice (${lib.concatStringsSep ", " ids}); each node
          has one of its own.'';
      }
      {
        assertion = inCluster && isController && count > 0 -> lib.elem (toString s.server.node_id) ids;
        message = ''
          services.chronik.settings.server: node ${toString s.server.node_id} has the role controller and is not among
          cluster.controllers (${lib.concatStringsSep ", " ids}); name it there, or take the role from it.'';
      }
      {
        assertion = s.server.node_id != null || !inCluster;
        message = "services.chronik.settings.server.node_id is not set, and every node of a cluster needs one of its own.";
      }
      {
        assertion = minIsr <= factor;
        message = ''
          services.chronik.settings.replication.min_insync_replicas is ${toString minIsr}, above replication.factor, which
          is ${toString factor}: nothing could be written with acks=all. Give at most ${toString factor}, better one less,
          so that a node may fail.'';
      }
      {
        assertion = inCluster -> valueOr false s.cluster.plaintext || s.cluster.tls_certificate != null;
        message = ''
          services.chronik: nodes talk with TLS, and this one has no certificate; set services.chronik.tls.bundles.node
          (`chronik-ctl tls init` makes the files), or settings.cluster.plaintext for a network that nobody else can
          reach.'';
      }
      {
        assertion =
          address.isLoopback adminHost
          || valueOr false s.admin.unprotected
          || (adminRoles && s.admin.tls_certificate != null);
        message = ''
          services.chronik.settings.server.admin is ${adminHost}, which is not loopback: whoever reaches it could do
          everything. Give services.chronik.tls.bundles.admin and roles (the credential chronik.admin_tokens, or
          settings.admin.client_auth), or leave it on 127.0.0.1.'';
      }
      {
        assertion = valueOr "none" s.security.authorizer == "standard" -> s.security.super_users != null;
        message = ''
          services.chronik.settings.security: with authorizer = "standard" and no super_users nobody can make the first
          rule of access; name one, such as "User:admin".'';
      }
      {
        assertion = !cfg.volumes.enable -> config.fileSystems ? "/var/lib/chronik";
        message = ''
          services.chronik: nothing is mounted at /var/lib/chronik, so that records would fill the system's own disk. Set
          services.chronik.volumes.enable, or give fileSystems."/var/lib/chronik".'';
      }
      {
        assertion =
          !(lib.any inStore [
            s.cluster.tls_key
            s.admin.tls_key
            s.cluster.first_user_file
            s.admin.tokens_file
          ]);
        message = ''
          services.chronik.settings: a secret lies in ${builtins.storeDir}, where everybody on the machine reads it; use
          services.chronik.tls and services.chronik.credentials.'';
      }
      {
        assertion = lib.all (c: !(inStore c.source)) (lib.attrValues cfg.credentials);
        message = ''
          services.chronik.credentials: a source lies in ${builtins.storeDir}, where everybody on the machine reads it;
          name a file of the machine, as a text and not as a path of Nix.'';
      }
    ]
    ++ lib.concatLists (lib.mapAttrsToList ofListener s.listeners);

    warnings =
      lib.optional (inCluster && factor == 1) ''
        services.chronik: replication.factor is not set, so topics that do not say otherwise have one copy only. Three is
        usual.''
      ++ lib.optional (inCluster && factor > 1 && minIsr == factor) ''
        services.chronik: min_insync_replicas equals the replication factor, so that nothing can be written while a node
        is down.''
      ++ lib.optional (
        count == 1 && inCluster
      ) "services.chronik: with one controller nothing can be changed while it is down. Three is usual.";
  };
}
