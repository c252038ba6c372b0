# What the node may take of the machine: the slice's processors and memory, and how the kernel hands memory out. It takes the place
# of the guide's "tune JVM settings": there is no heap to size here, and what is free is page cache, which consumers are served from.
{ config, lib, ... }:
let
  cfg = config.services.chronik;
  r = cfg.resources;

  # "8Gi" and "512M" of Kubernetes as systemd writes them, which means powers of 1024 by the letter alone.
  bytes = lib.replaceStrings [ "Ki" "Mi" "Gi" "Ti" ] [ "K" "M" "G" "T" ];
  quantity = lib.types.strMatching "[0-9]+(Ki|Mi|Gi|Ti|K|M|G|T)?";
  cpus = lib.types.strMatching "[0-9]+(\\.[0-9])?";

  # "4" is 400 %, "0.5" 50 %.
  percent =
    n:
    let
      found = builtins.match "([0-9]+)(\\.([0-9]))?" n;
      tenth = builtins.elemAt found 2;
    in
    lib.toInt (builtins.head found) * 100 + (if tenth == null then 0 else lib.toInt tenth * 10);
in
{
  options.services.chronik.resources = {
    cpu = lib.mkOption {
      type = lib.types.nullOr cpus;
      default = null;
      example = "8";
      description = ''
        Processors that it gets when everybody wants some: its weight against the rest of the machine is a hundred for
        each.'';
    };
    cpuLimit = lib.mkOption {
      type = lib.types.nullOr cpus;
      default = null;
      description = "Processors that it never takes more than. A machine for nothing else needs no limit.";
    };
    memory = lib.mkOption {
      type = lib.types.nullOr quantity;
      default = null;
      example = "16Gi";
      description = "Memory, page cache included, that is not taken from it for others.";
    };
    memoryLimit = lib.mkOption {
      type = lib.types.nullOr quantity;
      default = null;
      example = "32Gi";
      description = ''
        Memory, page cache included, that it never has more of. The kernel gives up cache before it ends anything, so a limit makes
        reads come from the disk sooner; leave it out on a machine for nothing else.
      '';
    };
    allowedCpus = lib.mkOption {
      type = lib.types.nullOr lib.types.str;
      default = null;
      example = "0-15";
      description = "Processors it runs on, such as those of the NUMA node to which network card and disks are attached.";
    };
    allowedMemoryNodes = lib.mkOption {
      type = lib.types.nullOr lib.types.str;
      default = null;
      example = "0";
      description = "NUMA nodes its memory comes from.";
    };
    hugePages = lib.mkOption {
      type = lib.types.enum [
        "madvise"
        "always"
        "never"
      ];
      default = "madvise";
      description = ''
        Transparent huge pages. `always` has the kernel look for pages to join, at moments of its own choosing; with `madvise` only who
        asks gets them.
      '';
    };
    reserve = lib.mkOption {
      type = lib.types.nullOr lib.types.ints.positive;
      default = null;
      example = 262144;
      description = ''
        KiB that the kernel keeps free, so that a burst from the network need not wait for page cache to be given up. Null leaves it to
        sysctl/ and the kernel.
      '';
    };
  };

  config = lib.mkIf cfg.enable {
    systemd.slices.chronik.description = "What belongs to Chronik";
    systemd.slices.chronik.sliceConfig = lib.filterAttrs (_: v: v != null) {
      CPUWeight = if r.cpu == null then null else lib.max 1 (lib.min 10000 (percent r.cpu));
      CPUQuota = if r.cpuLimit == null then null else "${toString (percent r.cpuLimit)}%";
      MemoryLow = if r.memory == null then null else bytes r.memory;
      MemoryMax = if r.memoryLimit == null then null else bytes r.memoryLimit;
      AllowedCPUs = r.allowedCpus;
      AllowedMemoryNodes = r.allowedMemoryNodes;
    };
    boot.kernelParams = [ "transparent_hugepage=${r.hugePages}" ];
    boot.kernel.sysctl = lib.mkIf (r.reserve != null) {
      "vm.min_free_kbytes" = lib.mkOverride 890 r.reserve;
    };

    assertions = [
      {
        assertion = r.cpu == null || r.cpuLimit == null || percent r.cpu <= percent r.cpuLimit;
        message = ''
          services.chronik.resources: cpu is ${toString r.cpu}, above cpuLimit, which is ${toString r.cpuLimit}; what is
          promised cannot exceed what is allowed.'';
      }
    ];
  };
}
