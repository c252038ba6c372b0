/* chronik-ctl: options, the table of commands, help. */
#include <errno.h>
#include <getopt.h>
#include <locale.h>
#include <stdio.h>
#include <string.h>

#include "ctl/ctl.h"

/* What a command may be given beside its words; --server and --json go with all. */
enum { WITH_DETAILED = 1, WITH_TOPIC = 2, WITH_VERIFY = 4, WITH_TLS = 8 };

struct command {
        const char *noun, *verb;
        const char *arg; /* what follows, NULL for nothing; in brackets what may be left out */
        unsigned with;
        int (*fn)(struct ctl *c, const char *arg);
        const char *text;
        const char *example;
};

static const struct command commands[] = {
        { "cluster", "info", NULL, 0, cluster_info, "health, controller, nodes, what is stored", "cluster info" },
        { "topic", "list", NULL, 0, topic_list, "every topic with its size", "topic list" },
        { "topic", "get", "NAME", WITH_DETAILED, topic_get, "one topic; --detailed: every partition",
          "topic get orders --detailed" },
        { "topic", "create", "NAME", WITH_TOPIC, topic_create, "a new topic; see the options below",
          "topic create orders --partitions 8 --config retention.ms=86400000" },
        { "topic", "delete", "NAME", 0, topic_delete, "delete a topic and its records, at once",
          "topic delete orders" },
        { "group", "list", NULL, 0, group_list, "every consumer group with its state", "group list" },
        { "group", "get", "NAME", 0, group_get, "members, committed offsets and lag", "group get billing" },
        { "log", "verify", "[TOPIC [PARTITION]]", WITH_VERIFY, log_verify, "read all records from the disk, find rot",
          "log verify orders 3 --rate 50M" },
        { "tls", "init", "DIR", WITH_TLS, tls_init, "certificates for the nodes of a cluster, and their authority",
          "tls init certificates --nodes 1,2,3" },
};

struct option_help {
        unsigned with; /* 0: all commands */
        const char *words, *text;
};

static const struct option_help option_helps[] = {
        { 0, "--server HOST:PORT", "the node's admin address (default 127.0.0.1:9644, or CHRONIK_SERVER)" },
        { 0, "--json", "print the answer as JSON" },
        { WITH_DETAILED, "--detailed", "every partition" },
        { WITH_TOPIC, "--partitions N", "how many (default: the node's topics.num_partitions)" },
        { WITH_TOPIC, "--replication-factor N", "copies of each (default: the node's replication.factor)" },
        { WITH_TOPIC, "--config NAME=VALUE", "a configuration under Kafka's name; may be repeated" },
        { WITH_VERIFY, "--rate BYTES",
          "read at most so much in a second; K, M and G are understood (default: no limit)" },
        { WITH_VERIFY, "--data-dir DIR", "of a node that does not run: all logs of its server.data_dir" },
        { WITH_VERIFY, "--dir DIR", "likewise: one log, a folder such as DATA_DIR/log/orders-3" },
        { WITH_TLS, "--nodes IDS", "of the nodes that get certificates, with commas; more can be added later" },
        { WITH_TLS, "--days N", "how long the nodes' certificates are valid (default: 1825, five years)" },
        { 0, "--version", "print the version" },
        { 0, "--help", "print this; behind a noun or a verb, what is known of that" },
};

static bool is_about(const struct command *cmd, const char *noun, const char *verb)
{
        return (!noun || !strcmp(noun, cmd->noun)) && (!verb || !strcmp(verb, cmd->verb));
}

static void print_commands(FILE *to, const char *noun, const char *verb)
{
        for (size_t i = 0; i < ARRAY_LEN(commands); i++) {
                char words[64];

                if (!is_about(&commands[i], noun, verb))
                        continue;
                snprintf(words, sizeof words, "%s %s %s", commands[i].noun, commands[i].verb,
                         commands[i].arg ? commands[i].arg : "");
                fprintf(to, "  %-32s%s\n", words, commands[i].text);
        }
}

/* The options of a command, as "topic create"; those of several with the command in front. */
static void print_options(const char *noun, const char *verb)
{
        for (size_t i = 0; i < ARRAY_LEN(option_helps); i++) {
                const struct option_help *o = &option_helps[i];
                const struct command *of = NULL;
                bool shown = !o->with;

                for (size_t k = 0; k < ARRAY_LEN(commands) && !shown; k++)
                        if (commands[k].with & o->with && is_about(&commands[k], noun, verb)) {
                                of = &commands[k];
                                shown = true;
                        }
                if (!shown)
                        continue;
                if (of && !verb)
                        printf("  %-32s%s %s: %s\n", o->words, of->noun, of->verb, o->text);
                else
                        printf("  %-32s%s\n", o->words, o->text);
        }
}

static void print_help(const char *noun, const char *verb)
{
        printf("Usage: chronik-ctl [OPTION]... %s %s [NAME]\n"
               "Look at a Chronik cluster and change it, through the admin address of any node.\n\n",
               noun ? noun : "NOUN", verb ? verb : "VERB");
        print_commands(stdout, noun, verb);
        printf("\nOptions, anywhere on the line:\n");
        print_options(noun, verb);
        printf("\nExit status: 0 done, 1 refused or failed, 2 wrong usage, 3 no node answered, 4 damage found.\n\n"
               "Examples:\n");
        for (size_t i = 0; i < ARRAY_LEN(commands); i++)
                if (is_about(&commands[i], noun, verb))
                        printf("  chronik-ctl %s\n", commands[i].example);
}

static int usage(const char *fmt, ...) PRINTF_LIKE(1, 2);
static int usage(const char *fmt, ...)
{
        va_list ap;

        va_start(ap, fmt);
        fputs("chronik-ctl: ", stderr);
        vfprintf(stderr, fmt, ap);
        fputs("\nTry 'chronik-ctl --help'.\n", stderr);
        va_end(ap);
        return CTL_USAGE;
}

/* The command that @noun (and @verb, when not NULL) begin; NULL when there is none. */
static const struct command *command_find(const char *noun, const char *verb)
{
        for (size_t i = 0; noun && i < ARRAY_LEN(commands); i++)
                if (is_about(&commands[i], noun, verb))
                        return &commands[i];
        return NULL;
}

static int no_such_verb(const char *noun, const char *verb)
{
        if (verb)
                fprintf(stderr, "chronik-ctl: '%s' does not do '%s'; it does:\n", noun, verb);
        else
                fprintf(stderr, "chronik-ctl: what is '%s' to do? It does:\n", noun);
        print_commands(stderr, noun, NULL);
        return CTL_USAGE;
}

/* @given: what was on the line of WITH_... */
static int run(struct ctl *c, int count, char **words, unsigned given)
{
        const struct command *cmd = command_find(count ? words[0] : NULL, count >= 2 ? words[1] : NULL);
        int least, most;

        if (count == 0)
                return usage("nothing to do: name a noun and a verb, such as 'cluster info'");
        if (!command_find(words[0], NULL))
                return usage("there is no noun '%s'; there are cluster, topic, group, log and tls", words[0]);
        if (!cmd || count == 1)
                return no_such_verb(words[0], count >= 2 ? words[1] : NULL);
        most = !cmd->arg ? 2 : *cmd->arg == '[' ? 4 : 3;
        least = most == 3 ? 3 : 2;
        if (count < least || (count > 2 && cmd->arg && !*words[2]))
                return usage("'%s %s' needs a %s", cmd->noun, cmd->verb, cmd->arg);
        if (count > most)
                return usage("'%s' is one word too many after '%s %s'", words[most], cmd->noun, cmd->verb);
        if (given & ~cmd->with & WITH_DETAILED)
                return usage("--detailed goes with 'topic get' only");
        if (given & ~cmd->with & WITH_TOPIC)
                return usage("--partitions, --replication-factor and --config go with 'topic create' only");
        if (given & ~cmd->with & WITH_VERIFY)
                return usage("--rate, --data-dir and --dir go with 'log verify' only");
        if (given & ~cmd->with & WITH_TLS)
                return usage("--nodes and --days go with 'tls init' only");
        c->second = count > 3 ? words[3] : NULL;
        return cmd->fn(c, count > 2 ? words[2] : NULL);
}

/* HOST:PORT, or HOST for the usual port. False: something else, such as a URL. */
static bool server_read(struct ctl *c, const char *text)
{
        const char *colon = strrchr(text, ':'), *bracket = strrchr(text, ']');
        char *with_port;

        if (!*text || strpbrk(text, "/?#@ ") || (colon && !colon[1]))
                return false;
        c->server = text;
        if (colon && (!bracket || bracket < colon))
                return true;
        if (asprintf(&with_port, "%s:9644", text) < 0)
                abort();
        c->server = with_port;
        return true;
}

static bool number_read(const char *text, int max, int *ret)
{
        char *end;
        long v;

        errno = 0;
        v = strtol(text, &end, 10);
        if (errno || !*text || *end || v < 1 || v > max)
                return false;
        *ret = (int)v;
        return true;
}

/* "50M": a number of bytes, with K, M or G for multiples of 1024. */
static bool bytes_read(const char *text, long long *ret)
{
        static const char units[] = "KMG";
        char *end;
        long long v;
        int shift = 0;

        errno = 0;
        v = strtoll(text, &end, 10);
        if (*end && strchr(units, *end))
                shift = 10 * (int)(strchr(units, *end++) - units + 1);
        if (errno || !*text || *end || v < 1 || v > INT64_MAX >> shift)
                return false;
        *ret = v << shift;
        return true;
}

static bool config_read(struct ctl *c, const char *text)
{
        const char *at = strchr(text, '=');
        char *name = at && at != text ? strndup(text, (size_t)(at - text)) : NULL;

        if (!name)
                return false;
        json_object_set_new(c->configs, name, json_string(at + 1));
        free(name);
        return true;
}

/* A full disk or a closed pipe behind standard output is a failure too. */
static int output_end(int status)
{
        if (fflush(stdout) == 0 && !ferror(stdout))
                return status;
        fprintf(stderr, "chronik-ctl: cannot write the answer: %s\n", strerror(errno));
        return CTL_FAILED;
}

/* What getopt gives for each option. */
enum {
        OPT_SERVER = 1,
        OPT_JSON,
        OPT_DETAILED,
        OPT_PARTITIONS,
        OPT_FACTOR,
        OPT_CONFIG,
        OPT_RATE,
        OPT_DATA_DIR,
        OPT_DIR,
        OPT_NODES,
        OPT_DAYS,
        OPT_VERSION,
        OPT_HELP
};
static const struct option options[] = {
        { "server", required_argument, NULL, OPT_SERVER },
        { "json", no_argument, NULL, OPT_JSON },
        { "detailed", no_argument, NULL, OPT_DETAILED },
        { "partitions", required_argument, NULL, OPT_PARTITIONS },
        { "replication-factor", required_argument, NULL, OPT_FACTOR },
        { "config", required_argument, NULL, OPT_CONFIG },
        { "rate", required_argument, NULL, OPT_RATE },
        { "data-dir", required_argument, NULL, OPT_DATA_DIR },
        { "dir", required_argument, NULL, OPT_DIR },
        { "nodes", required_argument, NULL, OPT_NODES },
        { "days", required_argument, NULL, OPT_DAYS },
        { "version", no_argument, NULL, OPT_VERSION },
        { "help", no_argument, NULL, OPT_HELP },
        { 0 },
};

/* Whose command an option goes with; 0: all. */
static unsigned option_with(int opt)
{
        return opt == OPT_DETAILED                                               ? WITH_DETAILED
               : opt == OPT_PARTITIONS || opt == OPT_FACTOR || opt == OPT_CONFIG ? WITH_TOPIC
               : opt == OPT_RATE || opt == OPT_DATA_DIR || opt == OPT_DIR        ? WITH_VERIFY
               : opt == OPT_NODES || opt == OPT_DAYS                             ? WITH_TLS
                                                                                 : 0;
}

/* An option with a value that is kept as it is, or must be read. Return: CTL_OK or CTL_USAGE, told. */
static int option_take(struct ctl *c, int opt, const char *value)
{
        if (opt == OPT_JSON)
                c->json = true;
        else if (opt == OPT_DETAILED)
                c->detailed = true;
        else if (opt == OPT_DATA_DIR)
                c->data_dir = value;
        else if (opt == OPT_DIR)
                c->dir = value;
        else if (opt == OPT_NODES)
                c->nodes = value;
        else if (opt == OPT_DAYS && !number_read(value, 36500, &c->days))
                return usage("--days %s: a number from 1 to 36500 is needed", value);
        else if (opt == OPT_RATE && !bytes_read(value, &c->bytes_per_second))
                return usage("--rate %s: a number of bytes is needed, such as 50M", value);
        else if (opt == OPT_PARTITIONS && !number_read(value, 10000, &c->partitions))
                return usage("--partitions %s: a number from 1 to 10000 is needed", value);
        else if (opt == OPT_FACTOR && !number_read(value, 32, &c->replication_factor))
                return usage("--replication-factor %s: a number from 1 to 32 is needed", value);
        else if (opt == OPT_CONFIG && !config_read(c, value))
                return usage("--config %s: NAME=VALUE is needed", value);
        else if (opt == '?') /* getopt has said why */
                return fputs("Try 'chronik-ctl --help'.\n", stderr), CTL_USAGE;
        return CTL_OK;
}

int main(int argc, char **argv)
{
        const char *server = getenv("CHRONIK_SERVER");
        struct ctl c = { .partitions = -1, .replication_factor = -1, .configs = json_object() };
        unsigned given = 0;
        bool help = false;
        int opt, status;

        if (!setlocale(LC_CTYPE, "C.UTF-8"))
                setlocale(LC_CTYPE, ""); /* it only makes columns straight */
        if (!server || !*server)
                server = "127.0.0.1:9644";
        while ((opt = getopt_long(argc, argv, "", options, NULL)) != -1) {
                given |= option_with(opt);
                if (opt == OPT_VERSION)
                        return output_end(puts("chronik-ctl " CHRONIK_VERSION) < 0);
                help |= opt == OPT_HELP;
                if (opt == OPT_SERVER)
                        server = optarg;
                status = option_take(&c, opt, optarg);
                if (status)
                        return status;
        }
        if (!server_read(&c, server))
                return usage("--server %s: HOST:PORT is needed, such as 127.0.0.1:9644", server);
        argc -= optind;
        argv += optind;
        if (argc && !strcmp(argv[0], "help")) {
                help = true;
                argc--;
                argv++;
        }
        if (help && (!argc || command_find(argv[0], argc >= 2 ? argv[1] : NULL))) {
                print_help(argc ? argv[0] : NULL, argc >= 2 ? argv[1] : NULL);
                status = CTL_OK;
        } else {
                status = run(&c, argc, argv, given);
        }
        return output_end(status);
}
