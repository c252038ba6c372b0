# The cluster of the deployment guide: three controllers, ten ingest nodes, an object store, a monitoring host.
{
  name = "production";
  domain = "example.org";
  controllers = 3;
  ingestNodes = 10;

  storage = {
    backend.s3 = {
      bucket = "chronik-prod-data";
      region = "us-east-1";
      endpoint = "https://s3.amazonaws.com";
    };
    size = "1Ti";
  };
  metadataStorage.volumeSize = "10Gi";

  resources = {
    controller = {
      cpu = "4";
      memory = "8Gi";
      cpuLimit = "8";
      memoryLimit = "16Gi";
    };
    ingest = {
      cpu = "8";
      memory = "16Gi";
      cpuLimit = "16";
      memoryLimit = "32Gi";
    };
  };

  monitoring = {
    prometheus = true;
    tracing = true;
    otlpEndpoint = "jaeger-collector.monitoring:4317";
    host = {
      address = "10.20.0.5";
      address6 = "fd00:20::5";
    };
  };

  security = {
    tls = {
      enabled = true;
      certSecret = "chronik-tls";
    };
    authentication = {
      enabled = true;
      mechanisms = [
        "SCRAM-SHA-256"
        "SCRAM-SHA-512"
      ];
    };
  };

  racks = [
    "rack-a"
    "rack-b"
    "rack-c"
  ];
  network = {
    gateway = "10.20.0.1";
    ipv6Prefix = "fd00:20::";
    clients = [
      "10.30.0.0/16"
      "fd00:30::/48"
    ];
    admin = [
      "10.40.0.0/24"
      "fd00:40::/64"
    ];
    resolvers = [
      "10.20.0.2"
      "fd00:20::53"
    ];
    timeServers = [
      "10.20.0.3"
      "10.20.0.4"
    ];
    management = {
      firstAddress = "10.99.0.0";
      peers = [
        {
          publicKey = "xTIBA5rboUvnH4htodjb6e697QjLERt1NAB4mZqp8Dg=";
          allowedIPs = [ "10.99.255.1/32" ];
        }
      ];
    };
  };
  sshKeys = [
    "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIGcF5xPuXHxwvkPjuP6kWU0zDhXJQDqgQrJr7L2hQ0Hk operator@example.org"
  ];

  inventory.ingest-1 = {
    rack = "rack-b";
    mac = "52:54:00:00:01:01";
    serial = "SN0001";
    dataDevice = "/dev/disk/by-id/nvme-EXAMPLE_0001";
  };

  modules = [ ./hardware.nix ];
}
