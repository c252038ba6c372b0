# One machine that is a whole cluster by itself, for a bench or a small office: no TLS between nodes, because there are none.
{
  imports = [ ./hardware.nix ];

  networking.hostName = "chronik";
  services.chronik = {
    enable = true;
    settings = {
      server.kafka = "0.0.0.0:9092";
      server.advertised = "chronik.example.org:9092";
    };
    volumes = {
      enable = true;
      partition.enable = true;
    };
    firewall = {
      enable = true;
      networks.clients = [ "10.0.0.0/8" ];
      networks.admin = [ "10.0.0.0/8" ];
      resolvers = [ "10.0.0.1" ];
    };
    ssh = {
      enable = true;
      keys = [
        "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIGcF5xPuXHxwvkPjuP6kWU0zDhXJQDqgQrJr7L2hQ0Hk operator@example.org"
      ];
    };
    time = {
      enable = true;
      servers = [ "10.0.0.1" ];
    };
  };
}
