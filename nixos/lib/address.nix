# Addresses as text: HOST:PORT, the kind of an IP address, and counting from one IPv4 address to another.
{ lib }:
let
  parts = builtins.match "(.*):([0-9]+)";
in
rec {
  portOf = address: lib.toInt (builtins.elemAt (parts address) 1);
  hostOf = address: builtins.head (parts address);

  isIPv6 = lib.hasInfix ":";
  # An address or a range of either kind; anything else is a name.
  isAddress = s: builtins.match "[0-9]+\\.[0-9]+\\.[0-9]+\\.[0-9]+(/[0-9]+)?" s != null || isIPv6 s;
  isLoopback =
    host: lib.hasPrefix "127." host || host == "localhost" || host == "[::1]" || host == "::1";

  # An address in a URL or before a port.
  bracketed = host: if isIPv6 host && !(lib.hasPrefix "[" host) then "[${host}]" else host;

  # The n-th IPv4 address after `first`.
  plus =
    first: n:
    let
      octets = map lib.toInt (lib.splitString "." first);
      sum = builtins.foldl' (all: octet: all * 256 + octet) 0 octets + n;
      octet = factor: toString (lib.mod (sum / factor) 256);
    in
    lib.concatMapStringsSep "." octet [
      16777216
      65536
      256
      1
    ];
}
