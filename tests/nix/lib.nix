# As much of nixpkgs' lib as nixos/ uses, by the names it has there.
{
  types,
  evalModules,
  unique,
}:
let
  b = builtins;
in
rec {
  inherit types evalModules unique;
  inherit (b)
    all
    any
    attrNames
    attrValues
    concatLists
    concatMap
    concatStringsSep
    elem
    elemAt
    filter
    foldl'
    fromJSON
    genList
    hasAttr
    head
    isAttrs
    isBool
    isInt
    isList
    isString
    length
    listToAttrs
    mapAttrs
    match
    replaceStrings
    sort
    splitVersion
    stringLength
    substring
    tail
    toJSON
    ;

  # ---- options ----
  mkOption = o: { _type = "option"; } // o;
  mkEnableOption =
    what:
    mkOption {
      type = types.bool;
      default = false;
      description = "Whether to enable ${what}.";
    };
  mkPackageOption =
    pkgs: name: more:
    mkOption {
      type = types.package;
      default = pkgs.${name};
      description = "The ${name} package to use.";
    };
  mkIf = condition: content: {
    _type = "if";
    inherit condition content;
  };
  mkMerge = contents: {
    _type = "merge";
    inherit contents;
  };
  mkOverride = priority: content: {
    _type = "override";
    inherit priority content;
  };
  mkDefault = mkOverride 1000;
  mkForce = mkOverride 50;
  mkOrder = priority: content: {
    _type = "order";
    inherit priority content;
  };
  mkBefore = mkOrder 500;
  mkAfter = mkOrder 1500;
  literalExpression = text: {
    _type = "literalExpression";
    inherit text;
  };

  # ---- lists, sets ----
  optional = yes: x: if yes then [ x ] else [ ];
  optionals = yes: list: if yes then list else [ ];
  optionalAttrs = yes: set: if yes then set else { };
  optionalString = yes: s: if yes then s else "";
  range = first: last: if first > last then [ ] else genList (n: first + n) (last - first + 1);
  mod = x: y: x - (x / y) * y;
  min = x: y: if x < y then x else y;
  max = x: y: if x > y then x else y;
  last = list: elemAt list (length list - 1);
  imap0 = f: list: genList (n: f n (elemAt list n)) (length list);
  flatten = x: if isList x then concatMap flatten x else [ x ];
  findFirst =
    pred: default: list:
    let
      found = filter pred list;
    in
    if found == [ ] then default else head found;
  subtractLists = gone: filter (x: !(elem x gone));
  nameValuePair = name: value: { inherit name value; };
  mapAttrsToList = f: set: map (name: f name set.${name}) (attrNames set);
  mapAttrs' = f: set: listToAttrs (mapAttrsToList f set);
  filterAttrs =
    pred: set: listToAttrs (filter (x: pred x.name x.value) (mapAttrsToList nameValuePair set));
  genAttrs = list: f: listToAttrs (map (name: nameValuePair name (f name)) list);
  concatMapAttrs = f: set: foldl' (all: more: all // more) { } (mapAttrsToList f set);
  recursiveUpdate =
    l: r:
    l
    // mapAttrs (
      name: v:
      if isAttrs v && l ? ${name} && isAttrs l.${name} && !(v ? outPath) then
        recursiveUpdate l.${name} v
      else
        v
    ) r;

  # ---- text ----
  concatMapStrings = f: list: concatStringsSep "" (map f list);
  concatMapStringsSep =
    sep: f: list:
    concatStringsSep sep (map f list);
  concatStrings = concatStringsSep "";
  hasPrefix = prefix: s: substring 0 (stringLength prefix) s == prefix;
  hasSuffix =
    suffix: s:
    let
      at = stringLength s - stringLength suffix;
    in
    at >= 0 && substring at (stringLength suffix) s == suffix;
  hasInfix = part: s: length (splitString part s) > 1;
  removeSuffix =
    suffix: s: if hasSuffix suffix s then substring 0 (stringLength s - stringLength suffix) s else s;
  removePrefix = prefix: s: if hasPrefix prefix s then substring (stringLength prefix) (-1) s else s;
  escapeRegex =
    let
      special = chars "\\[{()^$?*+|.";
    in
    replaceStrings special (map (c: "\\" + c) special);
  splitString = sep: s: filter isString (b.split (escapeRegex sep) s);
  toInt = fromJSON;
  toUpper = replaceStrings (chars "abcdefghijklmnopqrstuvwxyz") (chars "ABCDEFGHIJKLMNOPQRSTUVWXYZ");
  chars = s: genList (n: substring n 1 s) (stringLength s);
  boolToString = v: if v then "true" else "false";
  fixedWidthNumber =
    width: n:
    let
      s = toString n;
    in
    concatStrings (genList (_: "0") (width - stringLength s)) + s;
  escapeShellArg = s: "'${replaceStrings [ "'" ] [ "'\\''" ] (toString s)}'";
  importJSON = path: fromJSON (b.readFile path);

  # ---- packages ----
  getExe = package: "${package}/bin/${package.meta.mainProgram or package.pname}";
  getExe' = package: program: "${package}/bin/${program}";
}
