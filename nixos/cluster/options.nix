# What mkCluster is told, in the shape of the deployment guide's ChronikCluster; below `network` and `inventory` is what Kubernetes
# would have made up.
{ lib, ... }:
let
  str = lib.types.str;
  quantity = lib.types.strMatching "[0-9]+(Ki|Mi|Gi|Ti|K|M|G|T)?";
  cpus = lib.types.strMatching "[0-9]+(\\.[0-9])?";
  option =
    type: default: description:
    lib.mkOption { inherit type default description; };
  maybe = type: option (lib.types.nullOr type) null;

  resources = {
    cpu = maybe cpus "Processors that are its own.";
    memory = maybe quantity "Memory that is its own, page cache included.";
    cpuLimit = maybe cpus "Processors that it never takes more than.";
    memoryLimit = maybe quantity "Memory that it never has more of, page cache included.";
  };
  volume = {
    storageClass = maybe str "Of Kubernetes; without a meaning here, and said so.";
    encryption = option (lib.types.enum [
      "none"
      "tpm2"
    ]) "none" "LUKS2, opened by the machine's TPM.";
  };
  bucket = lib.types.submodule {
    options = {
      bucket = option str "" "Its name.";
      region = maybe str "Where it is.";
      endpoint = maybe (lib.types.strMatching "https?://.*") "Its URL; left out it is the provider's own.";
      addresses =
        option (lib.types.listOf str) [ ]
          "Address ranges of it, for the firewall; left out its name is looked up again and again.";
    };
  };
  node = lib.types.submodule {
    options = {
      address = maybe str "IPv4 address; left out it is counted from network.firstController or firstIngest.";
      address6 = maybe str "IPv6 address; left out it is the prefix and the node's id.";
      rack = maybe str "Where it stands; left out racks take turns.";
      mac = maybe (lib.types.strMatching "([0-9a-f]{2}:){5}[0-9a-f]{2}") "The network card's address.";
      serial = maybe str "The machine's serial number.";
      dataDevice = maybe str "Disk for records, by id; left out a partition of the system's disk.";
      metadataDevice = maybe str "Disk for metadata, by id; likewise.";
      modules = option (lib.types.listOf lib.types.raw) [ ] "Further modules of NixOS for this machine.";
    };
  };
in
{
  options = {
    name = option (lib.types.strMatching "[a-z0-9-]{1,40}") "chronik" "Name of the cluster.";
    domain = option str "internal" "Domain of the nodes' names: controller-1.NAME.DOMAIN.";
    controllers = option (lib.types.ints.between 1 9) 3 "Nodes that agree on the metadata.";
    ingestNodes =
      option (lib.types.ints.between 0 5000) 3
        "Nodes that keep and serve records. 0: the controllers do that, too.";

    storage = volume // {
      backend = option (lib.types.submodule {
        options = {
          s3 = maybe bucket "Amazon S3, or what speaks like it.";
          gcs = maybe bucket "Google Cloud Storage.";
          azure = maybe bucket "Azure Blob Storage.";
        };
      }) { } "Where sealed segments go.";
      size = option quantity "100Gi" "Least size of the volume for records; it grows with its disk.";
    };
    metadataStorage = volume // {
      type = option (lib.types.enum [
        "embedded"
        "sled"
      ]) "embedded" "The store of the metadata. There is one; `sled` is the guide's name for it.";
      volumeSize = option quantity "10Gi" "Size of the volume for metadata.";
    };
    resources = {
      controller = resources;
      ingest = resources;
    };
    monitoring = {
      prometheus = option lib.types.bool true "Whether figures are told, of node and machine.";
      tracing = option lib.types.bool false "Whether traces are sent.";
      otlpEndpoint = maybe (lib.types.strMatching ".*:[0-9]+") "Where to.";
      host = maybe (lib.types.submodule {
        options = {
          address = option str "" "Its IPv4 address.";
          address6 = maybe str "Its IPv6 address.";
          modules = option (lib.types.listOf lib.types.raw) [ ] "Further modules of NixOS for it.";
        };
      }) "A machine of the cluster's own with Prometheus, Alertmanager, Grafana and all journals.";
    };
    security = {
      tls = {
        enabled = option lib.types.bool true "Whether connections are encrypted.";
        adminCa = maybe lib.types.path ''
          Authorities of the admin listeners' certificates, which are no secret: put on every machine as
          /etc/chronik/admin-ca.pem.'';
        certSecret = option (lib.types.strMatching "[a-z0-9-]+") "chronik-tls" ''
          What the files of certificates are called: /etc/credstore.encrypted/NAME.node.pem, .node.key, .ca.pem, .listener.pem,
          .listener.key, .admin.pem and .admin.key on each machine.'';
      };
      authentication = {
        enabled = option lib.types.bool true "Whether clients say who they are.";
        mechanisms = option (lib.types.listOf (
          lib.types.enum [
            "SCRAM-SHA-256"
            "SCRAM-SHA-512"
            "PLAIN"
            "OAUTHBEARER"
          ]
        )) [ "SCRAM-SHA-512" ] "How.";
      };
      superUsers = option (lib.types.listOf str) [
        "User:admin"
      ] "Who may do everything; others may what rules of access say.";
      audit = option lib.types.bool true "Whether each node records who did what.";
    };

    replication = {
      factor = option (lib.types.ints.between 1 32) 3 "Copies of each partition.";
      minInsyncReplicas =
        option (lib.types.ints.between 1 32) 2
          "How many of them have what is acknowledged.";
    };
    racks = option (lib.types.listOf str) [ "rack-a" ] "Racks, which nodes are spread over in turn.";
    network = {
      firstController = option str "10.20.0.11" "IPv4 address of controller-1; the others follow.";
      firstIngest = option str "10.20.1.1" "IPv4 address of ingest-1; the others follow.";
      prefixLength = option (lib.types.ints.between 1 32) 16 "Of the network in which they all are.";
      interface = maybe str "Network card, such as enp1s0 or en*, where the inventory does not give its address; left out every card.";
      gateway = maybe str "The way out.";
      ipv6Prefix = maybe (lib.types.strMatching "[0-9a-f:]+::") "First half of IPv6 addresses (fd00:20::); left out there is no IPv6.";
      clients = option (lib.types.listOf str) [ ] "Addresses and ranges from which clients come.";
      admin = option (lib.types.listOf str) [ ] "Those of operators.";
      monitoring =
        option (lib.types.listOf str) [ ]
          "Those of Prometheus, where it is not monitoring.host.";
      resolvers = option (lib.types.listOf str) [ ] "Name servers.";
      timeServers = option (lib.types.listOf str) [ ] "Time servers.";
      management = {
        firstAddress = maybe str "Turns on WireGuard for operators: a node's address in it is this and the node's id.";
        prefixLength = option (lib.types.ints.between 8 30) 16 "Of that network.";
        peers = option (lib.types.listOf (
          lib.types.attrsOf lib.types.anything
        )) [ ] "Operators: publicKey, allowedIPs.";
      };
    };
    sshKeys = option (lib.types.listOf str) [ ] "Public keys of operators.";
    inventory =
      option (lib.types.attrsOf node) { }
        "What is known of single machines, by name (controller-1, ingest-1).";
    settings = option (lib.types.attrsOf (
      lib.types.attrsOf lib.types.anything
    )) { } "Parameters for all nodes (docs/PARAMETERS.md).";
    modules = option (lib.types.listOf lib.types.raw) [ ] "Further modules of NixOS for all machines.";

    assertions = lib.mkOption {
      type = lib.types.listOf lib.types.raw;
      internal = true;
      default = [ ];
      description = "What has to be so.";
    };
    warnings = lib.mkOption {
      type = lib.types.listOf str;
      internal = true;
      default = [ ];
      description = "What should be known.";
    };
  };
}
