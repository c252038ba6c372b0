# NixOS's way of merging modules with nothing but Nix's builtins, so that the modules of this project are evaluated where
# nixpkgs is not at hand. It is as strict as the real one where it matters here: an option that nobody declared, a value of
# another type and two values that disagree end the evaluation, with the option's name.
#
# Properties (mkIf, mkMerge, mkOverride, mkOrder) are sets with a _type. A "raw" definition may be wrapped in any of them; it is
# taken apart (`discharge`) only where its option is evaluated, so that a condition may depend on other options.
let
  b = builtins;

  isType = name: v: b.isAttrs v && (v._type or null) == name;
  isProperty = v: isType "if" v || isType "merge" v || isType "override" v || isType "order" v;
  show = loc: b.concatStringsSep "." loc;
  text =
    v:
    if b.isFunction v then
      "a function"
    else if b.isAttrs v && v ? outPath then
      toString v
    else if b.isAttrs v then
      "{ ${b.concatStringsSep " " (b.attrNames v)} }"
    else if b.isList v then
      "[ ${b.concatStringsSep " " (map text v)} ]"
    else
      b.toJSON v;
  unique = b.foldl' (seen: x: if b.elem x seen then seen else seen ++ [ x ]) [ ];

  # ---- definitions ----

  # Each value of a raw definition with its priority (lower wins) and its order (lower comes first).
  discharge =
    raw:
    if isType "if" raw then
      (if raw.condition then discharge raw.content else [ ])
    else if isType "merge" raw then
      b.concatMap discharge raw.contents
    else if isType "override" raw then
      map (d: d // { inherit (raw) priority; }) (discharge raw.content)
    else if isType "order" raw then
      map (d: d // { order = raw.priority; }) (discharge raw.content)
    else
      [
        {
          priority = 100;
          order = 1000;
          value = raw;
        }
      ];

  strongest =
    defs:
    let
      least = b.foldl' (m: d: if d.priority < m then d.priority else m) 100000 defs;
      kept = b.filter (d: d.priority == least) defs;
    in
    map (d: d.value) (b.sort (x: y: x.order < y.order) kept);

  # What a raw definition of a set says about its member `name`, still raw.
  member =
    name: raw:
    if isType "if" raw then
      map (content: raw // { inherit content; }) (member name raw.content)
    else if isType "merge" raw then
      b.concatMap (member name) raw.contents
    else if isType "override" raw || isType "order" raw then
      map (content: raw // { inherit content; }) (member name raw.content)
    else if raw ? ${name} then
      [ raw.${name} ]
    else
      [ ];

  names =
    raw:
    if isType "merge" raw then
      b.concatMap names raw.contents
    else if isProperty raw then
      names raw.content
    else if b.isAttrs raw then
      b.attrNames raw
    else
      throw "a set was expected, not ${text raw}";

  # The value of raw definitions as `type` has them.
  mergeRaw =
    loc: type: raws:
    let
      values = strongest (b.concatMap discharge raws);
      wrong = b.filter (v: !(type.check v)) values;
    in
    if wrong != [ ] then
      throw "The option `${show loc}' is not of type `${type.name}': ${text (b.head wrong)}"
    else if values == [ ] then
      type.empty or (throw "The option `${show loc}' is used and not defined.")
    else
      type.merge loc values;

  same =
    loc: values:
    if b.all (v: v == b.head values) values then
      b.head values
    else
      throw "The option `${show loc}' has values that disagree: ${b.concatStringsSep ", " (map text values)}";

  # ---- types ----

  mkType =
    name: check: more:
    {
      _type = "option-type";
      inherit name check;
      merge = same;
    }
    // more;
  between =
    lo: hi:
    mkType "integer from ${toString lo} to ${toString hi}" (v: b.isInt v && v >= lo && v <= hi) { };
  mergeAnything =
    loc: values:
    if b.length values == 1 then
      b.head values
    else if b.all (v: b.isAttrs v && !(v ? outPath)) values then
      b.listToAttrs (
        map (name: {
          inherit name;
          value = mergeAnything (loc ++ [ name ]) (
            b.concatMap (v: if v ? ${name} then [ v.${name} ] else [ ]) values
          );
        }) (unique (b.concatMap b.attrNames values))
      )
    else if b.all b.isList values then
      b.concatLists values
    else
      same loc values;

  types = rec {
    bool = mkType "boolean" b.isBool { };
    int = mkType "integer" b.isInt { };
    str = mkType "string" b.isString { };
    number = mkType "number" (v: b.isInt v || b.isFloat v) { };
    raw = mkType "raw value" (_: true) { };
    anything = mkType "anything" (_: true) { merge = mergeAnything; };
    lines = mkType "lines" b.isString { merge = _: b.concatStringsSep "\n"; };
    path = mkType "absolute path" (
      v: b.isPath v || (b.isString v && b.substring 0 1 v == "/") || (b.isAttrs v && v ? outPath)
    ) { };
    package = mkType "package" (v: b.isAttrs v && v ? outPath) { };
    port = between 0 65535;
    ints = {
      inherit between;
      unsigned = mkType "unsigned integer" (v: b.isInt v && v >= 0) { };
      positive = mkType "positive integer" (v: b.isInt v && v > 0) { };
    };
    numbers.between =
      lo: hi:
      mkType "number from ${toString lo} to ${toString hi}" (v: number.check v && v >= lo && v <= hi) { };
    enum =
      values: mkType "one of ${b.concatStringsSep ", " (map text values)}" (v: b.elem v values) { };
    strMatching =
      pattern: mkType "string matching ${pattern}" (v: b.isString v && b.match pattern v != null) { };
    nonEmptyStr = mkType "non-empty string" (v: b.isString v && b.match "[ \t\n]*" v == null) { };
    nullOr =
      type:
      mkType "null or ${type.name}" (v: v == null || type.check v) {
        empty = null;
        merge = loc: values: if b.all (v: v == null) values then null else type.merge loc values;
      };
    either =
      x: y:
      mkType "${x.name} or ${y.name}" (v: x.check v || y.check v) {
        merge = loc: values: (if b.all x.check values then x else y).merge loc values;
      };
    oneOf = list: b.foldl' either (b.head list) (b.tail list);
    listOf =
      type:
      mkType "list of ${type.name}" b.isList {
        empty = [ ];
        merge = loc: values: map (v: mergeRaw (loc ++ [ "*" ]) type [ v ]) (b.concatLists values);
      };
    attrsOf =
      type:
      mkType "set of ${type.name}" b.isAttrs {
        empty = { };
        merge =
          loc: values:
          b.listToAttrs (
            b.concatMap (
              name:
              let
                raws = b.concatMap (v: if v ? ${name} then [ v.${name} ] else [ ]) values;
                # a member whose every definition is switched off is not there
                there = b.concatMap discharge raws != [ ];
              in
              if there then
                [
                  {
                    inherit name;
                    value = mergeRaw (loc ++ [ name ]) type raws;
                  }
                ]
              else
                [ ]
            ) (unique (b.concatMap b.attrNames values))
          );
      };
    submodule =
      modules:
      mkType "submodule" (v: b.isAttrs v || b.isFunction v) {
        empty = { };
        merge =
          loc: values:
          (evalModules {
            modules =
              (if b.isList modules then modules else [ modules ])
              ++ map (v: if b.isFunction v then v else { config = v; }) values;
            prefix = loc;
            specialArgs.name = b.elemAt loc (b.length loc - 1);
          }).config;
      };
    addCheck = type: check: type // { check = v: type.check v && check v; };
    coercedTo =
      from: f: to:
      mkType "${to.name} or ${from.name}" (v: from.check v || to.check v) {
        merge = loc: values: to.merge loc (map (v: if from.check v then f v else v) values);
      };
  };

  # ---- modules ----

  # A module as { imports, options, config, freeformType }.
  normal =
    m:
    if m ? config || m ? options || m ? freeformType then
      let
        known = [
          "_file"
          "key"
          "imports"
          "options"
          "config"
          "freeformType"
          "meta"
          "disabledModules"
        ];
        other = b.filter (n: !(b.elem n known)) (b.attrNames m);
      in
      if other != [ ] then
        throw "A module with `config' or `options' also has ${b.concatStringsSep ", " other} beside them."
      else
        m
    else
      {
        imports = m.imports or [ ];
        config = removeAttrs m [
          "_file"
          "key"
          "imports"
          "meta"
        ];
      };

  declare =
    loc: sets:
    b.listToAttrs (
      map (
        name:
        let
          here = loc ++ [ name ];
          all = b.concatMap (s: if s ? ${name} then [ s.${name} ] else [ ]) sets;
        in
        {
          inherit name;
          value =
            if b.all (o: !(isType "option" o)) all then
              declare here all
            else if b.length all == 1 then
              b.head all
            else
              throw "The option `${show here}' is declared twice.";
        }
      ) (unique (b.concatMap b.attrNames sets))
    );

  evalModules =
    {
      modules,
      specialArgs ? { },
      prefix ? [ ],
    }:
    let
      args = {
        inherit lib config options;
      }
      // specialArgs;
      load =
        m:
        let
          value = if b.isPath m || b.isString m then import m else m;
          wanted = b.functionArgs value;
          missing = b.filter (n: !wanted.${n} && !(args ? ${n})) (b.attrNames wanted);
          body = normal (
            if !(b.isFunction value) then
              value
            else if missing != [ ] then
              throw "A module wants ${b.concatStringsSep ", " missing}, which nobody gives."
            else
              value (b.intersectAttrs wanted args // (if wanted == { } then args else { }))
          );
        in
        b.concatMap load (body.imports or [ ]) ++ [ body ];
      loaded = b.concatMap load modules;
      options = declare prefix (map (m: m.options or { }) loaded);
      free = b.concatMap (m: if m ? freeformType then [ m.freeformType ] else [ ]) loaded;
      value =
        loc: declared: raws:
        let
          given = unique (b.concatMap names raws);
          undeclared = b.filter (n: !(declared ? ${n})) given;
          of = name: b.concatMap (member name) raws;
          isFree = free != [ ] && loc == prefix;
          freeValues = (types.attrsOf types.anything).merge loc [ ];
        in
        b.mapAttrs (
          name: o:
          if isType "option" o then
            option (loc ++ [ name ]) o (of name)
          else
            value (loc ++ [ name ]) o (of name)
        ) declared
        // (
          if undeclared == [ ] then
            freeValues
          else if isFree then
            (b.head free).merge loc [
              (b.listToAttrs (
                map (name: {
                  inherit name;
                  value = {
                    _type = "merge";
                    contents = of name;
                  };
                }) undeclared
              ))
            ]
          else
            throw "The option `${show (loc ++ [ (b.head undeclared) ])}' does not exist."
        );
      option =
        loc: o: raws:
        let
          type = o.type or types.anything;
          default =
            if o ? default then
              [
                {
                  _type = "override";
                  priority = 1500;
                  content = o.default;
                }
              ]
            else
              [ ];
          set = b.concatMap discharge raws;
        in
        if (o.readOnly or false) && b.length set > 1 then
          throw "The option `${show loc}' is read-only, and set more than once."
        else
          (o.apply or (v: v)) (mergeRaw loc type (raws ++ default));
      config = value prefix options (map (m: m.config or { }) loaded);
    in
    {
      inherit config options;
    };

  lib = import ./lib.nix { inherit types evalModules unique; };
in
{
  inherit lib evalModules;
}
