# Figures of the machine for Prometheus, to the monitoring network only. The node's own are at its admin listener.
{ config, lib, ... }:
let
  cfg = config.services.chronik;
in
{
  options.services.chronik.nodeExporter.enable =
    lib.mkEnableOption "figures of the machine at port 9100, for the monitoring network";

  config = lib.mkIf cfg.nodeExporter.enable {
    services.prometheus.exporters.node = {
      enable = true;
      port = 9100;
      enabledCollectors = [
        "systemd"
        "pressure"
      ];
      openFirewall = false;
    };
    services.chronik.firewall.allow.node-exporter = {
      from = [ "monitoring" ];
      tcp = [ config.services.prometheus.exporters.node.port ];
    };
  };
}
