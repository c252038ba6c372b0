# All modules of the appliance. Each is off, or empty, until it is asked for; services.chronik.enable makes the machine a node.
{
  imports = [
    ./assertions.nix
    ./backup.nix
    ./chronik.nix
    ./firewall.nix
    ./journal.nix
    ./kernel.nix
    ./management.nix
    ./memory.nix
    ./monitoring.nix
    ./node-exporter.nix
    ./ssh.nix
    ./time.nix
    ./tls.nix
    ./volumes.nix
    ./watchdog.nix
  ];
}
