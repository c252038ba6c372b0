# Options from the table of parameters (parameters.json, which `make docs` writes from src/conf). A parameter that is left null is
# not written into the file, and the program's own default holds.
{ lib }:
let
  table = lib.importJSON ../parameters.json;

  # Bytes and milliseconds may be written with a unit; `chronikd --check` judges which.
  amount =
    row:
    lib.types.either (lib.types.ints.between row.min row.max) (
      lib.types.strMatching "-?[0-9]+ ?[A-Za-z]*"
    );

  typeOf =
    row:
    {
      int = lib.types.ints.between row.min row.max;
      bytes = amount row;
      milliseconds = amount row;
      ratio = lib.types.numbers.between 0 1;
      bool = lib.types.bool;
      enum = lib.types.enum row.values;
      set = lib.types.listOf (lib.types.enum row.values);
      string = lib.types.str;
      address = lib.types.strMatching ".*:[0-9]+";
    }
    .${row.type};

  defaultOf =
    row:
    if row ? computed then
      "Default: ${row.computed}."
    else if row.default == "" then
      ""
    else
      "Default: ${row.default}.";

  toOption =
    row:
    lib.mkOption {
      type = lib.types.nullOr (typeOf row);
      default = null;
      description = lib.concatStringsSep " " (
        lib.filter (s: s != "") [
          row.text
          (defaultOf row)
          (lib.optionalString (row ? kafka) "Kafka calls it ${row.kafka}.")
        ]
      );
    };

  toOptions = rows: lib.listToAttrs (map (row: lib.nameValuePair row.name (toOption row)) rows);

  # What a later version knows and this table does not is passed on as it is.
  scalar = lib.types.oneOf [
    lib.types.bool
    lib.types.number
    lib.types.str
    (lib.types.listOf lib.types.str)
  ];

  toSubmodule =
    rows:
    lib.types.submodule {
      freeformType = lib.types.attrsOf (lib.types.nullOr scalar);
      options = toOptions rows;
    };

  section =
    s:
    lib.nameValuePair s.name (
      lib.mkOption {
        type = toSubmodule s.parameters;
        default = { };
        description = s.text;
      }
    );

  isSet = v: v != null && v != { };
  pruned =
    value:
    if lib.isAttrs value then lib.filterAttrs (_: isSet) (lib.mapAttrs (_: pruned) value) else value;

  # JSON's scalars and lists are YAML's, too, and a name of this table needs no quotes. An amount with a unit must have none: with
  # quotes it is a text.
  scalarText =
    value:
    if lib.isString value && builtins.match "-?[0-9]+ ?[A-Za-z]+" value != null then
      value
    else
      builtins.toJSON value;
  render =
    indent: set:
    lib.concatStrings (
      lib.mapAttrsToList (
        name: value:
        if lib.isAttrs value then
          "${indent}${name}:\n${render "${indent}  " value}"
        else
          "${indent}${name}: ${scalarText value}\n"
      ) set
    );
in
{
  # The type of `services.chronik.settings`.
  settingsType = lib.types.submodule {
    freeformType = lib.types.attrsOf (lib.types.attrsOf lib.types.anything);
    options = lib.listToAttrs (map section table.sections) // {
      listeners = lib.mkOption {
        type = lib.types.attrsOf (toSubmodule table.listeners);
        default = { };
        description = "Listeners for clients, by name. `server.kafka` is the short form of one without encryption.";
      };
    };
  };

  # The configuration file that says so.
  toYaml = settings: render "" (pruned settings);
}
