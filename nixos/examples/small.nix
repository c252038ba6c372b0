# Three machines that do everything, in one rack, without object storage, on IPv4 alone.
{
  name = "small";
  domain = "example.org";
  controllers = 3;
  ingestNodes = 0;
  storage = {
    size = "100Gi";
    encryption = "tpm2";
  };
  metadataStorage.encryption = "tpm2";
  network = {
    firstController = "192.168.7.11";
    prefixLength = 24;
    gateway = "192.168.7.1";
    clients = [ "192.168.0.0/16" ];
    admin = [ "192.168.7.2" ];
    monitoring = [ "192.168.7.3" ];
    resolvers = [ "192.168.7.1" ];
    timeServers = [ "time.example.org" ];
  };
  sshKeys = [
    "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIGcF5xPuXHxwvkPjuP6kWU0zDhXJQDqgQrJr7L2hQ0Hk operator@example.org"
  ];
  modules = [ ./hardware.nix ];
}
