"""What a client has to do here, in each of them. Settings are librdkafka's and Kafka's own at once: a dict that says who it is and by
which authority the server is known. fails() gives what the client says when it is not let in, and raises when it is."""
import json
import subprocess
import tempfile
import time

LIMIT_S = 40


class Who:
    """What a client is given. @password None: no SASL; @certificate: a name among the certificates; @by_token: @user and @password are
    those of a delegation token; @jwt: a file with a signed token."""

    def __init__(self, protocol, mechanism=None, user=None, password=None, certificate=None, ca="ca", by_token=False, jwt=None):
        self.protocol, self.mechanism, self.user, self.password = protocol, mechanism, user, password
        self.certificate, self.ca, self.by_token, self.jwt = certificate, ca, by_token, jwt


def _librdkafka(world, who):
    conf = {"security.protocol": who.protocol}
    if who.jwt:
        conf["sasl.mechanism"] = "OAUTHBEARER"
    elif who.mechanism:
        conf |= {"sasl.mechanism": who.mechanism, "sasl.username": who.user, "sasl.password": who.password}
    if who.protocol.endswith("SSL"):
        conf["ssl.ca.location"] = world.certificates.path(who.ca + ".pem")
    if who.certificate:
        conf |= {"ssl.certificate.location": world.certificates.path(who.certificate + ".pem"),
                 "ssl.key.location": world.certificates.path(who.certificate + ".key")}
    return conf


class Kcat:
    def __init__(self, world):
        self.world = world

    def _run(self, listener, who, *args, stdin=b"", limit_s=LIMIT_S):
        conf = [x for k, v in _librdkafka(self.world, who).items() for x in ("-X", f"{k}={v}")]
        return subprocess.run(["kcat", "-b", self.world.at(listener), *conf, *args], input=stdin, capture_output=True,
                              timeout=limit_s, check=False)

    def produce(self, listener, who, topic, lines):
        got = self._run(listener, who, "-P", "-t", topic, stdin=b"".join(l + b"\n" for l in lines))
        if got.returncode:
            raise AssertionError(f"kcat does not produce: {got.stderr.decode()[-300:]}")

    def consume(self, listener, who, topic, count):
        got = self._run(listener, who, "-C", "-t", topic, "-o", "beginning", "-c", str(count), "-q")
        if got.returncode:
            raise AssertionError(f"kcat does not consume: {got.stderr.decode()[-300:]}")
        return got.stdout.splitlines()

    def fails(self, listener, who):
        got = self._run(listener, who, "-L", "-m", "4")
        if not got.returncode:
            raise AssertionError(f"kcat was let in: {got.stdout.decode()[-300:]}")
        return got.stderr.decode()

    keep = None


class Confluent:
    def __init__(self, world):
        import confluent_kafka
        import confluent_kafka.admin
        self.world, self.kafka = world, confluent_kafka

    def _conf(self, listener, who, **more):
        if who.jwt:
            more["oauth_cb"] = lambda _config: (open(who.jwt, encoding="ascii").read(), time.time() + 600)
        return {"bootstrap.servers": self.world.at(listener), **_librdkafka(self.world, who),
                **{k if k == "oauth_cb" else k.replace("_", "."): v for k, v in more.items()}}

    def produce(self, listener, who, topic, lines):
        failed = []
        producer = self.kafka.Producer(self._conf(listener, who))
        for line in lines:
            producer.produce(topic, line, on_delivery=lambda e, _m: failed.append(e) if e else None)
        if producer.flush(LIMIT_S) or failed:
            raise AssertionError(f"confluent-kafka does not produce: {failed[:1]}")

    def consume(self, listener, who, topic, count):
        consumer = self.kafka.Consumer(self._conf(listener, who, group_id=f"{topic}-group", auto_offset_reset="earliest"))
        consumer.subscribe([topic])
        got, deadline = [], time.monotonic() + LIMIT_S
        while len(got) < count and time.monotonic() < deadline:
            message = consumer.poll(1)
            if message and message.error():
                raise AssertionError(f"confluent-kafka does not consume: {message.error()}")
            if message:
                got.append(message.value())
        consumer.close()
        return got

    def fails(self, listener, who):
        said = []
        conf = self._conf(listener, who, error_cb=lambda e: said.append(str(e)))
        conf["error_cb"] = conf.pop("error.cb")
        client = self.kafka.admin.AdminClient(conf)
        try:
            client.list_topics(timeout=4)
        except self.kafka.KafkaException as why:
            client.poll(0)
            return " ".join([str(why), *said])
        raise AssertionError("confluent-kafka was let in")

    def keep(self, listener, who, topic, for_s):
        """Produce one record at a time for a while on the same connection."""
        said, sent = [], 0
        producer = self.kafka.Producer({**self._conf(listener, who), "error_cb": lambda e: said.append(str(e))})
        deadline = time.monotonic() + for_s
        while time.monotonic() < deadline:
            producer.produce(topic, b"%d" % sent, on_delivery=lambda e, _m: said.append(str(e)) if e else None)
            sent += 1
            if producer.flush(10):
                raise AssertionError(f"record {sent} is not delivered")
            time.sleep(0.05)
        if said:
            raise AssertionError(f"confluent-kafka was disturbed: {said[:2]}")
        return sent


class Program:
    """A program of this suite in another language, as README.md describes its command line."""

    def __init__(self, world, command):
        self.world, self.command = world, command

    def _run(self, what, listener, who, *args, stdin=b""):
        path = self.world.certificates.path
        given = {"protocol": who.protocol, "mechanism": who.mechanism or "", "user": who.user or "", "password": who.password or "",
                 "ca": path(who.ca + ".pem"), "jwt": who.jwt or "", "by_token": who.by_token}
        if who.certificate:
            given |= {"certificate": path(who.certificate + ".pem"), "key": path(who.certificate + ".key")}
        return subprocess.run([*self.command, json.dumps(given), what, self.world.at(listener), *map(str, args)], input=stdin,
                              capture_output=True, timeout=2 * LIMIT_S, check=False)

    def _done(self, what, *args, **more):
        got = self._run(what, *args, **more)
        if got.returncode:
            raise AssertionError(f"{what} fails: {got.stderr.decode()[-300:]}")
        return got.stdout.splitlines()

    def produce(self, listener, who, topic, lines):
        self._done("produce", listener, who, topic, stdin=b"".join(l + b"\n" for l in lines))

    def consume(self, listener, who, topic, count):
        return self._done("consume", listener, who, topic, count)

    def keep(self, listener, who, topic, for_s):
        return int(self._done("keep", listener, who, topic, for_s)[0])

    def fails(self, listener, who):
        got = self._run("enter", listener, who)
        if not got.returncode:
            raise AssertionError("it was let in")
        return got.stderr.decode()


class Java:
    """Kafka's own tools: the Java client with a file of settings."""

    def __init__(self, world, java):
        self.world, self.java = world, java

    def properties(self, who):
        text = f"security.protocol={who.protocol}\n"
        if who.jwt:
            base = "org.apache.kafka.common.security.oauthbearer.OAuthBearerLogin"
            text += (f"sasl.mechanism=OAUTHBEARER\nsasl.jaas.config={base}Module required;\n"
                     f"sasl.login.callback.handler.class={base}CallbackHandler\n"
                     f"sasl.oauthbearer.token.endpoint.url=file://{who.jwt}\n")
        elif who.mechanism:
            module = ("plain.PlainLoginModule" if who.mechanism == "PLAIN" else "scram.ScramLoginModule")
            text += f"sasl.mechanism={who.mechanism}\n"
            text += (f"sasl.jaas.config=org.apache.kafka.common.security.{module} required username=\"{who.user}\" "
                     f"password=\"{who.password}\"{' tokenauth=true' if who.by_token else ''};\n")
        if who.protocol.endswith("SSL"):
            text += f"ssl.truststore.type=PEM\nssl.truststore.location={self.world.certificates.path(who.ca + '.pem')}\n"
        if who.certificate:
            text += f"ssl.keystore.type=PEM\nssl.keystore.location={self.world.certificates.path(who.certificate + '-both.pem')}\n"
        file = tempfile.NamedTemporaryFile("w", dir=self.world.node.folder, suffix=".properties", delete=False)
        with file:
            file.write(text)
        return file.name

    def run(self, main, *args, stdin=b"", limit_s=LIMIT_S):
        allowed = f"-Dorg.apache.kafka.sasl.oauthbearer.allowed.urls=file://{self.world.jwt}"
        return subprocess.run([self.java[0], allowed, *self.java[1:], main, *map(str, args)], input=stdin, capture_output=True, timeout=limit_s, check=False)

    def produce(self, listener, who, topic, lines):
        got = self.run("org.apache.kafka.tools.ConsoleProducer", "--bootstrap-server", self.world.at(listener), "--topic", topic,
                       "--command-config", self.properties(who), stdin=b"".join(l + b"\n" for l in lines))
        if got.returncode or b"ERROR" in got.stderr:
            raise AssertionError(f"Java does not produce: {(got.stdout + got.stderr).decode()[-300:]}")

    def consume(self, listener, who, topic, count):
        got = self.run("org.apache.kafka.tools.consumer.ConsoleConsumer", "--bootstrap-server", self.world.at(listener), "--topic",
                       topic, "--command-config", self.properties(who), "--from-beginning", "--max-messages", count, "--timeout-ms",
                       20000)
        return got.stdout.splitlines()

    def fails(self, listener, who):
        got = self.run("org.apache.kafka.tools.TopicCommand", "--bootstrap-server", self.world.at(listener), "--list",
                       "--command-config", self.properties(who))
        text = (got.stdout + got.stderr).decode()
        if not got.returncode and "Exception" not in text:
            raise AssertionError(f"Java was let in: {text[-300:]}")
        return text

    def keep(self, listener, who, topic, for_s):
        """A producer at a steady rate on the same connection."""
        count = int(for_s * 20)
        got = self.run("org.apache.kafka.tools.ProducerPerformance", "--topic", topic, "--num-records", count, "--record-size", 20,
                       "--throughput", 20, "--command-config", self.properties(who), "--bootstrap-server", self.world.at(listener))
        text = (got.stdout + got.stderr).decode()
        if got.returncode or f"{count} records sent" not in text or "WARN" in text or "Exception" in text:
            raise AssertionError(f"Java was disturbed: {text[-300:]}")
        return count
