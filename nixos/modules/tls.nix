# Certificates: encrypted on the disk, in clear only in memory, renewed without a restart.
#
# Credentials of a service stay what they were when it started. So another unit has them: chronik-tls.service decrypts them into
# /run/chronik-tls, from where the node reads them again every ten seconds, and chronik-tls.path starts it when a file changes.
{
  config,
  lib,
  pkgs,
  ...
}:
let
  cfg = config.services.chronik;
  tls = cfg.tls;
  folder = "/run/chronik-tls";

  bundle = lib.types.submodule {
    options = {
      certificate = lib.mkOption {
        type = lib.types.str;
        example = "/etc/credstore.encrypted/node.pem";
        description = "The certificate, then those between it and its authority.";
      };
      key = lib.mkOption {
        type = lib.types.str;
        example = "/etc/credstore.encrypted/node.key";
        description = "Its private key.";
      };
      ca = lib.mkOption {
        type = lib.types.nullOr lib.types.str;
        default = null;
        description = "Authorities whose certificates are accepted of the other side.";
      };
    };
  };

  # Every file as { bundle, file, credential, source }.
  entries = lib.concatLists (
    lib.mapAttrsToList (
      name: b:
      map
        (file: {
          inherit file;
          bundle = name;
          credential = "${name}.${file}";
          source = b.${file};
        })
        (
          [
            "certificate"
            "key"
          ]
          ++ lib.optional (b.ca != null) "ca"
        )
    ) tls.bundles
  );
  at = name: file: "${folder}/current/${name}/${file}";
  hasCa = name: tls.bundles.${name}.ca != null;

  script = pkgs.writeShellApplication {
    name = "chronik-renew-tls";
    runtimeInputs = [
      pkgs.coreutils
      pkgs.openssl
    ];
    text = builtins.readFile ../scripts/renew-tls.sh;
  };
in
{
  options.services.chronik.tls = {
    encrypted = lib.mkOption {
      type = lib.types.bool;
      default = true;
      description = "Whether the files are encrypted by systemd-creds, under the name BUNDLE.FILE (node.key).";
    };
    bundles = lib.mkOption {
      type = lib.types.attrsOf bundle;
      default = { };
      description = ''
        Certificates by use. `node` is shown to other nodes and `admin` to operators; the settings of both follow. Listeners for
        clients name theirs: `tls_certificate = config.services.chronik.tls.paths.NAME.certificate`.
      '';
    };
    paths = lib.mkOption {
      type = lib.types.attrsOf (lib.types.attrsOf lib.types.str);
      readOnly = true;
      default = lib.mapAttrs (name: _: {
        certificate = at name "certificate";
        key = at name "key";
        ca = at name "ca";
      }) tls.bundles;
      defaultText = lib.literalExpression "${folder}/current/BUNDLE/FILE";
      description = "Where the node reads the files of each bundle.";
    };
  };

  config = lib.mkIf (cfg.enable && tls.bundles != { }) {
    services.chronik.settings.cluster = lib.mkIf (tls.bundles ? node) {
      tls_certificate = at "node" "certificate";
      tls_key = at "node" "key";
      tls_ca = lib.mkIf (hasCa "node") (at "node" "ca");
    };
    services.chronik.settings.admin = lib.mkIf (tls.bundles ? admin) {
      tls_certificate = at "admin" "certificate";
      tls_key = at "admin" "key";
      tls_ca = lib.mkIf (hasCa "admin") (at "admin" "ca");
    };

    systemd.services.chronik-tls = {
      description = "Certificates of Chronik, for the node to read";
      before = [ "chronikd.service" ];
      requiredBy = [ "chronikd.service" ];
      # Several files that change one after the other are several starts.
      unitConfig.StartLimitIntervalSec = 0;
      serviceConfig = {
        Type = "oneshot";
        ExecStart = lib.concatStringsSep " " (
          [
            (lib.getExe script)
            folder
            "chronik"
          ]
          ++ lib.concatMap (e: [
            e.bundle
            e.file
            e.credential
          ]) entries
        );
        ${if tls.encrypted then "LoadCredentialEncrypted" else "LoadCredential"} = map (
          e: "${e.credential}:${e.source}"
        ) entries;
        RuntimeDirectory = "chronik-tls";
        RuntimeDirectoryMode = "0755";
        RuntimeDirectoryPreserve = true;
        CapabilityBoundingSet = [ "CAP_CHOWN" ];
        NoNewPrivileges = true;
        PrivateNetwork = true;
        PrivateTmp = true;
        PrivateDevices = true;
        ProtectSystem = "strict";
        ProtectHome = true;
        ProtectKernelTunables = true;
        ProtectKernelModules = true;
        ProtectControlGroups = true;
        RestrictAddressFamilies = [ "AF_UNIX" ];
        RestrictNamespaces = true;
        MemoryDenyWriteExecute = true;
        LockPersonality = true;
        SystemCallArchitectures = "native";
        SystemCallFilter = [ "@system-service" ];
        LimitCORE = 0;
        UMask = "0027";
      };
    };
    systemd.paths.chronik-tls = {
      description = "Certificates of Chronik that change";
      wantedBy = [ "multi-user.target" ];
      pathConfig.PathChanged = lib.unique (map (e: e.source) entries);
    };

    assertions = [
      {
        assertion = tls.bundles ? node -> tls.bundles.node.ca != null;
        message = ''
          services.chronik.tls.bundles.node.ca is missing: nodes show each other certificates, and believe those of this
          authority. Give the cluster's own (ca.pem of `chronik-ctl tls init`).'';
      }
      {
        assertion = lib.all (
          e: lib.hasPrefix "/" e.source && !(lib.hasPrefix builtins.storeDir e.source)
        ) entries;
        message = ''
          services.chronik.tls.bundles: give files of the machine by their whole path, and none in ${builtins.storeDir},
          where everybody on the machine reads it.'';
      }
    ];
  };
}
