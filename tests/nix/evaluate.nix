# What the tests look at: each machine's units, files, rules, and what it asserts.
#
#     nix-instantiate --eval --strict --json tests/nix/evaluate.nix --arg cluster ./nixos/examples/small.nix
#     ... --arg modules '[ ./nixos/examples/single.nix ]'
{
  cluster ? null,
  # Laid over the cluster, member by member.
  more ? { },
  modules ? null,
  # A test of virtual machines.
  vmTest ? null,
}:
let
  inherit (import ./modules.nix) lib evalModules;
  pkgs = import ./pkgs.nix { inherit lib; };
  appliance = ../../nixos/modules;
  files = import ../../nixos/lib/files.nix { inherit lib; };

  machine =
    module:
    (evalModules {
      modules = [
        ./nixos.nix
        module
      ];
      specialArgs = { inherit pkgs; };
    }).config;

  # ---- units as NixOS writes them ----
  show =
    v:
    if v == true then
      "true"
    else if v == false then
      "false"
    else
      toString v;
  line = name: v: lib.concatMapStrings (x: "${name}=${show x}\n") (if lib.isList v then v else [ v ]);
  section =
    name: set:
    if set == { } then "" else "[${name}]\n${lib.concatStrings (lib.mapAttrsToList line set)}\n";
  joined = name: list: lib.optionalAttrs (list != [ ]) { ${name} = lib.concatStringsSep " " list; };
  unit =
    kind: u: rest:
    section "Unit" (
      lib.optionalAttrs (u.description != "") { Description = u.description; }
      // joined "After" u.after
      // joined "Before" u.before
      // joined "Wants" u.wants
      // joined "Requires" u.requires
      // joined "PartOf" u.partOf
      // u.unitConfig
    )
    + section kind rest
    # NixOS makes links instead; so one can read it.
    + section "Install" (joined "WantedBy" u.wantedBy // joined "RequiredBy" u.requiredBy);
  environment = lib.mapAttrsToList (name: v: "\"${name}=${v}\"");
  units =
    c:
    lib.mapAttrs' (
      n: u:
      lib.nameValuePair "${n}.service" (
        unit "Service" u (
          u.serviceConfig
          // lib.optionalAttrs (u.environment != { }) { Environment = environment u.environment; }
        )
      )
    ) c.systemd.services
    // lib.mapAttrs' (
      n: u: lib.nameValuePair "${n}.timer" (unit "Timer" u u.timerConfig)
    ) c.systemd.timers
    // lib.mapAttrs' (n: u: lib.nameValuePair "${n}.path" (unit "Path" u u.pathConfig)) c.systemd.paths
    // lib.mapAttrs' (
      n: u: lib.nameValuePair "${n}.slice" (unit "Slice" u u.sliceConfig)
    ) c.systemd.slices;

  # Units that lie in systemd/: what is here is laid over them.
  overlaid = names: lib.filter files.hasUnit names;

  seen =
    c:
    let
      made = units c;
    in
    {
      assertions = map (a: a.message) (lib.filter (a: !a.assertion) c.assertions);
      inherit (c) warnings;
      yaml = if c.services.chronik.enable then c.services.chronik.configText else "";
      credentials = lib.attrNames c.services.chronik.credentials;
      units = made;
      overlaid = overlaid (lib.attrNames made);
      rules = c.networking.nftables.tables.chronik.content or "";
      other = {
        inherit (c) fileSystems;
        inherit (c.boot) kernelParams kernelModules;
        inherit (c.boot.kernel) sysctl;
        inherit (c.systemd) repart network;
        tmpfiles = c.systemd.tmpfiles.rules;
        etc = lib.mapAttrs (_: e: if e.text != null then e.text else toString e.source) c.environment.etc;
        inherit (c.networking) hostName hosts;
        users = lib.attrNames c.users.users;
        services = {
          inherit (c.services)
            chrony
            openssh
            journald
            prometheus
            grafana
            ;
        };
      };
    };

  made = import ../../nixos/cluster {
    inherit lib;
    module = appliance;
  } (lib.recursiveUpdate (import cluster) more);
in
if cluster != null then
  {
    inherit (made) name warnings;
    inventory = made.inventory;
    machines = lib.mapAttrs (_: n: seen (machine n.module)) made.nodes;
  }
else if vmTest != null then
  let
    file = import vmTest;
    test = if lib.isAttrs file then file else file { inherit lib; };
  in
  {
    inherit (test) name testScript;
    machines = lib.mapAttrs (_: n: seen (machine n)) test.nodes;
  }
else
  {
    machines.it = seen (machine {
      imports = [ appliance ] ++ modules;
    });
  }
