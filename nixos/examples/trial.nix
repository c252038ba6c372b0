# A trial in a network of its own: one controller, two ingest nodes, no encryption, no users. Not for records that matter.
{
  name = "trial";
  controllers = 1;
  ingestNodes = 2;
  replication = {
    factor = 2;
    minInsyncReplicas = 1;
  };
  monitoring.prometheus = false;
  security = {
    tls.enabled = false;
    authentication.enabled = false;
    audit = false;
  };
  network = {
    clients = [ "10.20.0.0/16" ];
    admin = [ "10.20.0.0/16" ];
  };
  sshKeys = [
    "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIGcF5xPuXHxwvkPjuP6kWU0zDhXJQDqgQrJr7L2hQ0Hk operator@example.org"
  ];
  modules = [ ./hardware.nix ];
}
