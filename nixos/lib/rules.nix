# The node's table of nftables as text, from names of networks and who may reach what.
{ lib }:
let
  address = import ./address.nix { inherit lib; };
  kinds = [
    {
      suffix = "4";
      type = "ipv4_addr";
      ip = "ip";
      wants = a: !(address.isIPv6 a);
    }
    {
      suffix = "6";
      type = "ipv6_addr";
      ip = "ip6";
      wants = address.isIPv6;
    }
  ];
  setName = name: kind: "${lib.replaceStrings [ "-" ] [ "_" ] name}${kind.suffix}";
  list = items: lib.concatStringsSep ", " (map toString items);

  # A set of each kind of IP; one that is filled at run time forgets.
  staticSet = name: addresses: kind: ''
    set ${setName name kind} {
      type ${kind.type}
      flags interval
      auto-merge
    ${lib.optionalString (lib.any kind.wants addresses) "  elements = { ${list (lib.filter kind.wants addresses)} }\n"}}
  '';
  namedSet = name: kind: ''
    set ${setName "${name}_dns" kind} {
      type ${kind.type}
      flags timeout
      timeout 1h
    }
  '';
  both = f: lib.concatMapStrings f kinds;

  # The rules for one service and one set.
  rule =
    {
      direction,
      set,
      label,
      tcp,
      udp,
    }:
    kind:
    lib.concatMapStrings
      (
        proto:
        lib.optionalString (proto.ports != [ ]) (
          "${kind.ip} ${direction} @${setName set kind} ${proto.name} dport { ${list proto.ports} } "
          + "counter accept comment \"${label}\"\n"
        )
      )
      [
        {
          name = "tcp";
          ports = tcp;
        }
        {
          name = "udp";
          ports = udp;
        }
      ];

  input =
    name: a:
    lib.concatMapStrings (
      from:
      both (rule {
        direction = "saddr";
        set = from;
        label = "${name} from ${from}";
        inherit (a) tcp udp;
      })
    ) a.from;

  output =
    name: e:
    lib.concatMapStrings
      (
        set:
        both (rule {
          direction = "daddr";
          label = name;
          inherit set;
          inherit (e) tcp udp;
        })
      )
      (
        e.networks
        ++ lib.optional (e.addresses != [ ]) "to_${name}"
        ++ lib.optional (e.names != [ ]) "to_${name}_dns"
      );

  indent =
    text:
    lib.concatMapStrings (line: if line == "" then "\n" else "  ${line}\n") (
      lib.splitString "\n" (lib.removeSuffix "\n" text)
    );

  # Errors of both kinds of IP, above all those of path MTU; and what IPv6 is found by on the own link, which comes from there only.
  control = ''
    icmpv6 type { nd-router-solicit, nd-router-advert, nd-neighbor-solicit, nd-neighbor-advert } ip6 hoplimit 255 accept
    icmpv6 type { mld-listener-query, mld-listener-report, mld-listener-done, mld2-listener-report } accept
    icmpv6 type { destination-unreachable, packet-too-big, time-exceeded, parameter-problem } accept
    icmp type { destination-unreachable, time-exceeded, parameter-problem } accept
  '';
  dropped = direction: ''
    limit rate 5/second burst 20 packets log prefix "chronik ${direction} drop: " level info
    counter comment "dropped"
  '';
in
{
  render =
    {
      networks,
      allow,
      egress,
      dhcp,
    }:
    lib.concatStrings [
      (lib.concatStrings (lib.mapAttrsToList (name: addresses: both (staticSet name addresses)) networks))
      (lib.concatStrings (
        lib.mapAttrsToList (
          name: e:
          lib.optionalString (e.addresses != [ ]) (both (staticSet "to_${name}" e.addresses))
          + lib.optionalString (e.names != [ ]) (both (namedSet "to_${name}"))
        ) egress
      ))
      "chain input {\n  type filter hook input priority filter; policy drop;\n"
      (indent (
        "iifname \"lo\" accept\n"
        + control
        + "ct state vmap { established : accept, related : accept, invalid : drop }\n"
        + "icmp type echo-request limit rate 50/second accept\nicmpv6 type echo-request limit rate 50/second accept\n"
        + lib.optionalString dhcp "udp sport 67 udp dport 68 accept\nip6 saddr fe80::/10 udp sport 547 udp dport 546 accept\n"
        + lib.concatStrings (lib.mapAttrsToList input allow)
        + dropped "input"
      ))
      "}\nchain forward {\n  type filter hook forward priority filter; policy drop;\n}\n"
      "chain output {\n  type filter hook output priority filter; policy drop;\n"
      (indent (
        "oifname \"lo\" accept\n"
        + control
        + "ct state vmap { established : accept, related : accept, invalid : drop }\n"
        + "icmp type echo-request accept\nicmpv6 type echo-request accept\n"
        + lib.optionalString dhcp "udp sport 68 udp dport 67 accept\nudp sport 546 udp dport 547 accept\n"
        + lib.concatStrings (lib.mapAttrsToList output egress)
        + dropped "output"
      ))
      "}\n"
    ];
}
