import java.security.MessageDigest;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.List;
import java.util.Locale;
import java.util.Objects;
import java.util.Random;
import java.util.Set;
import java.util.concurrent.ExecutionException;
import java.util.concurrent.Executors;
import java.util.concurrent.Future;
import java.util.concurrent.TimeUnit;
import java.util.concurrent.TimeoutException;

/**
 * The register of named checks of the Java client program. Each check prints one line: "ok NAME", "not ok NAME: why" or
 * "skip NAME: why". Lines that begin with "# " are remarks; the first names the client and its version. This class knows
 * no Kafka client.
 */
final class Checks {
    static final int MIB = 1 << 20;
    static final String RUN = "t" + Long.toHexString(System.nanoTime() ^ ProcessHandle.current().pid()).substring(3);
    private static final Random RANDOM = new Random();
    private static final int LIMIT_S = 90;

    interface Body {
        void run() throws Exception;
    }

    interface Fact {
        boolean holds() throws Exception;
    }

    private record Entry(String name, Body body, boolean slow) { }

    private final List<Entry> entries = new ArrayList<>();
    private final List<String> topics = new ArrayList<>();

    static final class Skip extends RuntimeException {
        Skip(String why) {
            super(why);
        }
    }

    void add(String name, Body body) {
        entries.add(new Entry(name, body, false));
    }

    /** A check that the quick subset leaves out. */
    void addSlow(String name, Body body) {
        entries.add(new Entry(name, body, true));
    }

    /** A topic name of this run, remembered for the last check, which deletes them all. */
    String topic(String tag) {
        String name = RUN + "-" + tag;
        if (!topics.contains(name)) {
            topics.add(name);
        }
        return name;
    }

    List<String> topics() {
        return List.copyOf(topics);
    }

    static String group(String tag) {
        return RUN + "-group-" + tag;
    }

    static void equal(String what, Object got, Object want) {
        boolean same = got instanceof byte[] a && want instanceof byte[] b ? Arrays.equals(a, b) : Objects.equals(got, want);
        if (!same) {
            throw new AssertionError(what + ": got " + brief(got) + ", expected " + brief(want));
        }
    }

    static void isTrue(String what, boolean fact) {
        if (!fact) {
            throw new AssertionError(what);
        }
    }

    static String brief(Object value) {
        String text = value instanceof byte[] b ? b.length + " bytes" : String.valueOf(value);
        return text.length() < 240 ? text : text.substring(0, 160) + "... (" + text.length() + " characters)";
    }

    /** The body must fail with an exception of this class, or with one caused by it. */
    static void fails(String what, Class<? extends Throwable> want, Body body) throws Exception {
        try {
            body.run();
        } catch (Exception e) {
            for (Throwable t = e; t != null; t = t.getCause()) {
                if (want.isInstance(t)) {
                    return;
                }
            }
            throw new AssertionError(what + ": " + e + " instead of " + want.getSimpleName());
        }
        throw new AssertionError(what + ": no error, expected " + want.getSimpleName());
    }

    static void until(String what, Fact fact) throws Exception {
        long deadline = System.nanoTime() + TimeUnit.SECONDS.toNanos(40);
        while (!fact.holds()) {
            isTrue(what + ": not so after 40 s", System.nanoTime() < deadline);
            Thread.sleep(50);
        }
    }

    static byte[] noise(int size) {
        byte[] b = new byte[size];
        RANDOM.nextBytes(b);
        return b;
    }

    /** Distinct values, half noise and half repeats, so that a codec has something to do. */
    static List<byte[]> values(int count, int size) throws Exception {
        MessageDigest sha = MessageDigest.getInstance("SHA-256");
        List<byte[]> out = new ArrayList<>(count);
        for (int i = 0; i < count; i++) {
            byte[] v = new byte[size];
            Arrays.fill(v, (byte) 'a');
            byte[] head = String.format(Locale.ROOT, "%08d:", i).getBytes();
            byte[] sum = sha.digest(head);
            System.arraycopy(head, 0, v, 0, Math.min(size, head.length));
            for (int at = head.length; at < size / 2; at++) {
                v[at] = sum[at % sum.length];
            }
            out.add(v);
        }
        return out;
    }

    private String runOne(Entry e) {
        var executor = Executors.newSingleThreadExecutor(r -> {
            Thread t = new Thread(r, e.name);
            t.setDaemon(true);
            return t;
        });
        Future<?> done = executor.submit(() -> {
            e.body.run();
            return null;
        });
        try {
            done.get(LIMIT_S, TimeUnit.SECONDS);
            return "ok " + e.name;
        } catch (ExecutionException failed) {
            Throwable why = failed.getCause();
            if (why instanceof Skip) {
                return "skip " + e.name + ": " + why.getMessage();
            }
            return "not ok " + e.name + ": " + describe(why);
        } catch (TimeoutException late) {
            done.cancel(true);
            return "not ok " + e.name + ": not done after " + LIMIT_S + " s";
        } catch (InterruptedException stop) {
            return "not ok " + e.name + ": interrupted";
        } finally {
            executor.shutdownNow();
        }
    }

    private static String describe(Throwable why) {
        if (System.getenv("CHECKS_TRACE") != null) {
            why.printStackTrace();
        }
        String text = why instanceof AssertionError ? why.getMessage() : why.toString();
        for (StackTraceElement at : why.getStackTrace()) {
            if (at.getClassName().startsWith("ClientChecks")) {
                text += " (line " + at.getLineNumber() + ")";
                break;
            }
        }
        return text.replaceAll("\\s+", " ");
    }

    /** Run all checks, or those that are named; does not return. */
    void main(String title, Set<String> only) {
        System.out.println("# " + title);
        boolean quick = "1".equals(System.getenv("CHECKS_QUICK"));
        int status = 0;
        for (Entry e : entries) {
            if (!only.isEmpty() && !only.contains(e.name) || e.slow && quick && only.isEmpty()) {
                continue;
            }
            long began = System.nanoTime();
            String line = runOne(e);
            System.out.println(line);
            System.out.printf(Locale.ROOT, "# %s took %.2f s%n", e.name, (System.nanoTime() - began) / 1e9);
            if (line.startsWith("not ok")) {
                status = 1;
            }
        }
        System.out.flush();
        Runtime.getRuntime().halt(status);
    }
}
