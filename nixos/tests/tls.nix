# Goal: certificates lie encrypted on the disk, and a new one is shown without a restart; a wrong one is not.
{
  name = "chronik-tls";

  nodes.machine =
    { config, ... }:
    {
      imports = [ ./common.nix ];
      services.chronik = {
        tls.bundles.listener = {
          certificate = "/etc/credstore.encrypted/listener.pem";
          key = "/etc/credstore.encrypted/listener.key";
        };
        settings.listeners.OUTSIDE = {
          address = "0.0.0.0:9094";
          protocol = "SSL";
          tls_certificate = config.services.chronik.tls.paths.listener.certificate;
          tls_key = config.services.chronik.tls.paths.listener.key;
        };
      };
    };

  testScript = ''
    def issue(name):
        machine.succeed(
            "mkdir -p /etc/credstore.encrypted /run/new",
            "openssl req -x509 -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes -days 2 "
            f"-subj /CN={name} -keyout /run/new/key -out /run/new/pem",
            "systemd-creds encrypt --with-key=host --name=listener.key /run/new/key /etc/credstore.encrypted/listener.key",
            "systemd-creds encrypt --with-key=host --name=listener.certificate /run/new/pem /etc/credstore.encrypted/listener.pem",
        )

    shown = "openssl s_client -connect 127.0.0.1:9094 </dev/null 2>/dev/null | grep -q 'CN *= *{}'"

    machine.wait_for_unit("multi-user.target")
    issue("first")
    machine.succeed("systemctl restart chronikd")
    machine.wait_until_succeeds(shown.format("first"))
    pid = machine.succeed("systemctl show -P MainPID chronikd")

    issue("second")
    machine.wait_until_succeeds(shown.format("second"))

    with subtest("a certificate of another key stays out"):
        machine.succeed(
            "openssl req -x509 -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes -days 2 "
            "-subj /CN=third -keyout /run/new/key -out /run/new/pem",
            "systemd-creds encrypt --with-key=host --name=listener.certificate /run/new/pem /etc/credstore.encrypted/listener.pem",
        )
        machine.wait_until_succeeds("journalctl -u chronik-tls | grep -q 'do not belong together'")
        machine.succeed(shown.format("second"))
    assert machine.succeed("systemctl show -P MainPID chronikd") == pid
    machine.fail("grep -rq 'PRIVATE KEY' /etc/credstore.encrypted")
  '';
}
