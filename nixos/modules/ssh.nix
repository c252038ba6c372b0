# Administration by SSH: keys only, from the admin network only.
{ config, lib, ... }:
let
  cfg = config.services.chronik;
in
{
  options.services.chronik.ssh = {
    enable = lib.mkEnableOption "administration by SSH, with keys only";
    keys = lib.mkOption {
      type = lib.types.listOf lib.types.str;
      default = [ ];
      description = "Public keys of operators, who log in as `operator` and become root by sudo.";
    };
  };

  config = lib.mkIf cfg.ssh.enable {
    services.openssh = {
      enable = true;
      openFirewall = false;
      settings = {
        PasswordAuthentication = false;
        KbdInteractiveAuthentication = false;
        PermitRootLogin = "no";
        X11Forwarding = false;
        AllowUsers = [ "operator" ];
      };
    };
    users.users.operator = {
      isNormalUser = true;
      extraGroups = [
        "wheel"
        "systemd-journal"
      ];
      openssh.authorizedKeys.keys = cfg.ssh.keys;
    };
    # There is no password to ask for.
    security.sudo.wheelNeedsPassword = false;
    services.chronik.firewall.allow.ssh = {
      from = [ "admin" ];
      tcp = [ 22 ];
    };
    assertions = [
      {
        assertion = cfg.ssh.keys != [ ];
        message = "services.chronik.ssh.keys is empty: nobody could log in. Give the operators' public keys.";
      }
    ];
  };
}
