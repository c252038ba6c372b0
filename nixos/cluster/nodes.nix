# The nodes of a cluster: names, ids, roles, addresses, racks. Ids follow from the kind and the number and never move when others come
# or go: controllers have 1 to 99, ingest nodes begin at 101.
{ lib }:
let
  address = import ../lib/address.nix { inherit lib; };
in
c:
let
  node =
    kind: first: ids: index:
    let
      number = index + 1;
      name = "${kind}-${toString number}";
      id = ids + number;
      known = c.inventory.${name} or { };
      given = key: fallback: if known.${key} or null != null then known.${key} else fallback;
    in
    {
      inherit name id kind;
      roles =
        if kind == "ingest" then
          [ "ingest" ]
        else if c.ingestNodes == 0 then
          [
            "controller"
            "ingest"
          ]
        else
          [ "controller" ];
      hostName = "${name}.${c.name}.${c.domain}";
      address = given "address" (address.plus first index);
      address6 = given "address6" (
        if c.network.ipv6Prefix == null then null else "${c.network.ipv6Prefix}${toString id}"
      );
      rack = given "rack" (builtins.elemAt c.racks (lib.mod index (lib.length c.racks)));
      mac = known.mac or null;
      serial = known.serial or null;
      dataDevice = known.dataDevice or null;
      metadataDevice = known.metadataDevice or null;
      modules = known.modules or [ ];
    };
in
map (node "controller" c.network.firstController 0) (lib.range 0 (c.controllers - 1))
++ map (node "ingest" c.network.firstIngest 100) (lib.range 0 (c.ingestNodes - 1))
