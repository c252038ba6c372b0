import java.io.BufferedReader;
import java.io.InputStreamReader;
import java.io.PrintStream;
import java.net.InetAddress;
import java.nio.charset.StandardCharsets;
import java.util.HashMap;
import java.util.List;
import java.util.Map;
import java.util.Optional;
import org.apache.kafka.common.Uuid;
import org.apache.kafka.common.acl.AclOperation;
import org.apache.kafka.common.acl.AclPermissionType;
import org.apache.kafka.common.metrics.PluginMetrics;
import org.apache.kafka.common.resource.PatternType;
import org.apache.kafka.common.resource.ResourcePattern;
import org.apache.kafka.common.resource.ResourceType;
import org.apache.kafka.common.security.auth.KafkaPrincipal;
import org.apache.kafka.common.security.auth.SecurityProtocol;
import org.apache.kafka.common.utils.SecurityUtils;
import org.apache.kafka.metadata.authorizer.StandardAcl;
import org.apache.kafka.metadata.authorizer.StandardAuthorizer;
import org.apache.kafka.server.authorizer.Action;
import org.apache.kafka.server.authorizer.AuthorizableRequestContext;
import org.apache.kafka.server.authorizer.AuthorizationResult;

/** Asks Kafka's own authorizer. The language of its standard input is told in decisions.py. */
public class Decisions {
    private record Context(KafkaPrincipal principal, InetAddress clientAddress) implements AuthorizableRequestContext {
        @Override public String listenerName() { return "PLAINTEXT"; }
        @Override public SecurityProtocol securityProtocol() { return SecurityProtocol.PLAINTEXT; }
        @Override public int requestType() { return 0; }
        @Override public int requestVersion() { return 0; }
        @Override public String clientId() { return ""; }
        @Override public int correlationId() { return 0; }
    }

    /** Nobody looks at the counts. */
    private static final PluginMetrics NO_METRICS = (PluginMetrics) java.lang.reflect.Proxy.newProxyInstance(
        Decisions.class.getClassLoader(), new Class<?>[] {PluginMetrics.class}, (proxy, method, args) ->
            method.getName().equals("metricName") ? new org.apache.kafka.common.MetricName("", "", "", Map.of())
            : method.getName().equals("addSensor") ? new org.apache.kafka.common.metrics.Metrics().sensor("decisions") : null);

    private static StandardAuthorizer world(String superUsers, boolean allowWithoutRules, Map<Uuid, StandardAcl> rules) {
        StandardAuthorizer authorizer = new StandardAuthorizer();
        authorizer.configure(Map.of("super.users", superUsers, "allow.everyone.if.no.acl.found", String.valueOf(allowWithoutRules)));
        authorizer.withPluginMetrics(NO_METRICS);
        authorizer.loadSnapshot(rules);
        authorizer.completeInitialLoad();
        return authorizer;
    }

    private static boolean ask(StandardAuthorizer authorizer, String[] word) throws Exception {
        Context who = new Context(SecurityUtils.parseKafkaPrincipal(word[1]), InetAddress.getByName(word[2]));
        AclOperation operation = AclOperation.valueOf(word[3]);
        ResourceType type = ResourceType.valueOf(word[4]);
        if (word[0].equals("any"))
            return authorizer.authorizeByResourceType(who, operation, type) == AuthorizationResult.ALLOWED;
        ResourcePattern what = new ResourcePattern(type, word[5], PatternType.LITERAL);
        return authorizer.authorize(who, List.of(new Action(operation, what, 1, false, false))).get(0) == AuthorizationResult.ALLOWED;
    }

    public static void main(String[] args) throws Exception {
        BufferedReader in = new BufferedReader(new InputStreamReader(System.in, StandardCharsets.UTF_8));
        PrintStream out = new PrintStream(System.out, false, StandardCharsets.UTF_8);
        Map<Uuid, StandardAcl> rules = new HashMap<>();
        String[] settings = {"world", "", "no"};
        Optional<StandardAuthorizer> authorizer = Optional.empty();
        for (String line = in.readLine(); line != null; line = in.readLine()) {
            String[] word = line.split("\t", -1);
            if (word[0].equals("world")) {
                settings = word;
                rules.clear();
                authorizer = Optional.empty();
            } else if (word[0].equals("rule")) {
                rules.put(Uuid.randomUuid(), new StandardAcl(ResourceType.valueOf(word[1]), word[3], PatternType.valueOf(word[2]),
                    word[4], word[5], AclOperation.valueOf(word[6]), AclPermissionType.valueOf(word[7])));
            } else {
                if (authorizer.isEmpty())
                    authorizer = Optional.of(world(settings[1], settings[2].equals("yes"), rules));
                out.println(ask(authorizer.get(), word) ? "yes" : "no");
            }
        }
        out.flush();
    }
}
