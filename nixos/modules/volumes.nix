# The two volumes of a node: metadata at /var/lib/chronik and records at /data, which the node sees as /var/lib/chronik/log. They
# are found by the label of their partition, made on the first boot, and grown when their partition or disk has grown.
#
# Nothing that is not empty is ever formatted: systemd-repart only adds partitions that are missing, into free space, and
# scripts/make-volume.sh makes a file system only where there is nothing. (x-systemd.makefs would take a disk on which there is
# a table of partitions and no file system.)
{
  config,
  lib,
  pkgs,
  ...
}:
let
  cfg = config.services.chronik;
  vols = lib.filterAttrs (_: v: v.enable) {
    inherit (cfg.volumes) metadata data;
  };
  keepsRecords = cfg.settings.server.roles == null || lib.elem "ingest" cfg.settings.server.roles;

  volume =
    {
      label,
      mountPoint,
      type,
      enable,
    }:
    {
      enable = lib.mkOption {
        type = lib.types.bool;
        default = enable;
        description = "Whether the node has this volume.";
      };
      label = lib.mkOption {
        # What XFS has room for.
        type = lib.types.strMatching "[a-z0-9-]{1,12}";
        default = label;
        description = "Label of its partition and of its file system.";
      };
      device = lib.mkOption {
        type = lib.types.str;
        default = "/dev/disk/by-partlabel/${label}";
        example = "/dev/disk/by-id/nvme-Samsung_SSD_990_S1234";
        description = "Where it is. Name disks by id: sda is another one after the next boot.";
      };
      mountPoint = lib.mkOption {
        type = lib.types.str;
        default = mountPoint;
        readOnly = true;
        description = "Where it is mounted.";
      };
      partitionType = lib.mkOption {
        type = lib.types.str;
        default = type;
        description = "GPT type by which systemd-repart finds it again. One of our own, so that no other partition is taken for it.";
      };
      fsType = lib.mkOption {
        type = lib.types.enum [
          "xfs"
          "ext4"
        ];
        default = "xfs";
        description = "XFS reserves space for segments at once, and grows while it is mounted.";
      };
      size = {
        min = lib.mkOption {
          type = lib.types.strMatching "[0-9]+[KMGT]";
          default = "1G";
          description = "A smaller disk is refused.";
        };
        max = lib.mkOption {
          type = lib.types.nullOr (lib.types.strMatching "[0-9]+[KMGT]");
          default = null;
          description = "It grows to this; null is all that there is.";
        };
      };
      encryption = lib.mkOption {
        type = lib.types.enum [
          "none"
          "tpm2"
          "key-file"
        ];
        default = "none";
        description = ''
          LUKS2, opened with the machine's TPM or with a key file that is on another medium. Add a recovery key with
          `systemd-cryptenroll --recovery-key DEVICE` before anything of value is on it.
        '';
      };
      keyFile = lib.mkOption {
        type = lib.types.nullOr lib.types.str;
        default = null;
        example = "/run/keys/chronik-data";
        description = "The key file, for encryption = \"key-file\".";
      };
    };

  ownPartition = v: v.device == "/dev/disk/by-partlabel/${v.label}";
  isEncrypted = v: v.encryption != "none";
  opened = v: if isEncrypted v then "/dev/mapper/${v.label}" else v.device;

  # Partitions are made in the order of these names, behind those of the system.
  fileOf = {
    metadata = "60-chronik-metadata";
    data = "70-chronik-data";
  };
  # A member of systemd.repart.partitions.
  partition =
    v:
    {
      Type = v.partitionType;
      Label = v.label;
      Format = v.fsType;
      SizeMinBytes = v.size.min;
      # Where two share a disk, records get what metadata leaves.
      Weight = if v.size.max == null then 10000 else 1000;
    }
    // lib.optionalAttrs (v.size.max != null) { SizeMaxBytes = v.size.max; }
    // lib.optionalAttrs (isEncrypted v) { Encrypt = v.encryption; };

  fileSystem = v: {
    device = opened v;
    inherit (v) fsType;
    autoResize = true;
    # Both replay their journals when they are mounted, and an empty device cannot be checked before it is made.
    noCheck = true;
    options = [
      "noatime"
      "nodev"
      "nosuid"
      "noexec"
    ]
    # A node without its disk starts all the same, so that one can look at it; chronikd does not.
    ++ [
      "nofail"
      "x-systemd.device-timeout=90s"
    ];
  };

  mounts =
    lib.optionalAttrs cfg.volumes.metadata.enable {
      ${cfg.volumes.metadata.mountPoint} = fileSystem cfg.volumes.metadata;
    }
    // lib.optionalAttrs cfg.volumes.data.enable {
      ${cfg.volumes.data.mountPoint} = fileSystem cfg.volumes.data;
      # One data directory for the program, two disks below it.
      "/var/lib/chronik/log" = {
        device = "/data/log";
        fsType = "none";
        depends = [
          "/data"
          "/var/lib/chronik"
        ];
        options = [
          "bind"
          "nofail"
        ];
      };
    };

  makeVolume = pkgs.writeShellApplication {
    name = "chronik-make-volume";
    runtimeInputs = [
      config.systemd.package
      pkgs.coreutils
      pkgs.diffutils
      pkgs.e2fsprogs
      pkgs.util-linux
      pkgs.xfsprogs
    ];
    text = builtins.readFile ../scripts/make-volume.sh;
  };
  # Before the volume is looked at, checked and mounted; an empty disk in place of a broken one is made anew.
  makeService = mount: v: {
    description = "Volume ${v.label}, made when its device is empty";
    requiredBy = [ mount ];
    before = [ mount ];
    after = [
      "systemd-repart.service"
      "systemd-udevd.service"
    ];
    unitConfig.DefaultDependencies = false;
    serviceConfig = {
      Type = "oneshot";
      RemainAfterExit = true;
      ExecStart = "${lib.getExe makeVolume} ${opened v} ${v.fsType} ${v.label}";
    };
  };

  crypttabLine =
    v:
    lib.concatStringsSep " " [
      v.label
      v.device
      (if v.encryption == "key-file" then toString v.keyFile else "-")
      (lib.concatStringsSep "," (
        [
          "luks"
          "discard"
          "nofail"
        ]
        ++ lib.optional (v.encryption == "tpm2") "tpm2-device=auto"
      ))
    ];
  encrypted = lib.filter isEncrypted (lib.attrValues vols);

  wantsKey = v: {
    assertion = v.encryption == "key-file" -> v.keyFile != null;
    message = ''
      services.chronik.volumes: ${v.label} is encrypted with a key file, and keyFile does not say which; give its path on
      the machine.'';
  };
  keepsKey = v: {
    assertion = v.keyFile == null || !(lib.hasPrefix builtins.storeDir v.keyFile);
    message = ''
      services.chronik.volumes: the key file of ${v.label} lies in ${builtins.storeDir}, where everybody on the machine
      reads it.'';
  };
  hasKeyForRepart = v: {
    assertion = !(cfg.volumes.partition.enable && ownPartition v && v.encryption == "key-file");
    message = ''
      services.chronik.volumes: systemd-repart cannot be given the key file of ${v.label} at boot; use encryption =
      "tpm2", or make the volume once by hand (docs/NIXOS.md) and set volumes.partition.enable = false.'';
  };
in
{
  options.services.chronik.volumes = {
    enable = lib.mkEnableOption "the volumes of a node: metadata at /var/lib/chronik, records at /data";
    partition.enable = lib.mkEnableOption ''
      making missing partitions at boot with systemd-repart, on the disk of the root file system. Volumes whose `device` says where they
      are, are whole disks or partitions that somebody else made
    '';
    fileSystems = lib.mkOption {
      type = lib.types.attrsOf lib.types.raw;
      internal = true;
      readOnly = true;
      default = mounts;
      description = "What is mounted. Machines of the test driver have it in virtualisation.fileSystems, which outweighs fileSystems.";
    };
    metadata = volume {
      label = "chronik-meta";
      mountPoint = "/var/lib/chronik";
      type = "2b7e4d65-0b0e-4f0c-9a86-6d657461636b";
      enable = true;
    };
    data = volume {
      label = "chronik-data";
      mountPoint = "/data";
      type = "7f1c9d4a-55c8-4b0e-8a3f-64617461636b";
      enable = keepsRecords;
    };
  };

  config = lib.mkIf (cfg.enable && cfg.volumes.enable) {
    fileSystems = cfg.volumes.fileSystems;
    systemd.tmpfiles.rules = lib.mkIf cfg.volumes.data.enable [ "d /data/log 0700 chronik chronik -" ];
    systemd.services.chronik-volume-metadata = lib.mkIf cfg.volumes.metadata.enable (
      makeService "var-lib-chronik.mount" cfg.volumes.metadata
    );
    systemd.services.chronik-volume-data = lib.mkIf cfg.volumes.data.enable (
      makeService "data.mount" cfg.volumes.data
    );

    # A disk that is missing is said by the start of chronikd, which must not fill the system's disk in its place.
    systemd.services.chronikd.unitConfig = lib.mkIf cfg.volumes.data.enable {
      RequiresMountsFor = [ "/var/lib/chronik/log" ];
      AssertPathIsMountPoint = [
        "/var/lib/chronik"
      ]
      ++ lib.optional cfg.volumes.data.enable "/var/lib/chronik/log";
    };

    systemd.repart = lib.mkIf cfg.volumes.partition.enable {
      enable = true;
      partitions = lib.mapAttrs' (name: v: lib.nameValuePair fileOf.${name} (partition v)) (
        lib.filterAttrs (_: ownPartition) vols
      );
    };
    environment.etc.crypttab = lib.mkIf (encrypted != [ ]) {
      text = lib.concatMapStrings (v: crypttabLine v + "\n") encrypted;
    };

    assertions = lib.concatMap (v: [
      (wantsKey v)
      (keepsKey v)
      (hasKeyForRepart v)
    ]) (lib.attrValues vols);
  };
}
