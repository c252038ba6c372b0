/* chronik-ctl: options, the table of commands, help. */
#include <errno.h>
#include <getopt.h>
#include <locale.h>
#include <stdio.h>
#include <string.h>

#include "ctl/ctl.h"

/* What a command may be given beside its words; --server and --json go with all. */
enum { WITH_DETAILED = 1, WITH_TOPIC = 2 };

struct command {
        const char *noun, *verb;
        const char *arg; /* what follows, NULL for nothing */
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
                fprintf(to, "  %-24s%s\n", words, commands[i].text);
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
                        printf("  %-24s%s %s: %s\n", o->words, of->noun, of->verb, o->text);
                else
                        printf("  %-24s%s\n", o->words, o->text);
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
        printf("\nExit status: 0 done, 1 refused or failed, 2 wrong usage, 3 no node answered.\n\n"
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
        int want;

        if (count == 0)
                return usage("nothing to do: name a noun and a verb, such as 'cluster info'");
        if (!command_find(words[0], NULL))
                return usage("there is no noun '%s'; there are cluster, topic and group", words[0]);
        if (!cmd || count == 1)
                return no_such_verb(words[0], count >= 2 ? words[1] : NULL);
        want = cmd->arg ? 3 : 2;
        if (count < want || (cmd->arg && !*words[2]))
                return usage("'%s %s' needs a %s", cmd->noun, cmd->verb, cmd->arg);
        if (count > want)
                return usage("'%s' is one word too many after '%s %s'", words[want], cmd->noun, cmd->verb);
        if (given & ~cmd->with & WITH_DETAILED)
                return usage("--detailed goes with 'topic get' only");
        if (given & ~cmd->with & WITH_TOPIC)
                return usage("--partitions, --replication-factor and --config go with 'topic create' only");
        return cmd->fn(c, cmd->arg ? words[2] : NULL);
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

int main(int argc, char **argv)
{
        enum { OPT_SERVER = 1, OPT_JSON, OPT_DETAILED, OPT_PARTITIONS, OPT_FACTOR, OPT_CONFIG, OPT_VERSION, OPT_HELP };
        static const struct option options[] = {
                { "server", required_argument, NULL, OPT_SERVER },
                { "json", no_argument, NULL, OPT_JSON },
                { "detailed", no_argument, NULL, OPT_DETAILED },
                { "partitions", required_argument, NULL, OPT_PARTITIONS },
                { "replication-factor", required_argument, NULL, OPT_FACTOR },
                { "config", required_argument, NULL, OPT_CONFIG },
                { "version", no_argument, NULL, OPT_VERSION },
                { "help", no_argument, NULL, OPT_HELP },
                { 0 },
        };
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
                given |= opt == OPT_DETAILED                                               ? WITH_DETAILED
                         : opt == OPT_PARTITIONS || opt == OPT_FACTOR || opt == OPT_CONFIG ? WITH_TOPIC
                                                                                           : 0;
                if (opt == OPT_SERVER)
                        server = optarg;
                else if (opt == OPT_JSON)
                        c.json = true;
                else if (opt == OPT_DETAILED)
                        c.detailed = true;
                else if (opt == OPT_HELP)
                        help = true;
                else if (opt == OPT_PARTITIONS && !number_read(optarg, 10000, &c.partitions))
                        return usage("--partitions %s: a number from 1 to 10000 is needed", optarg);
                else if (opt == OPT_FACTOR && !number_read(optarg, 32, &c.replication_factor))
                        return usage("--replication-factor %s: a number from 1 to 32 is needed", optarg);
                else if (opt == OPT_CONFIG && !config_read(&c, optarg))
                        return usage("--config %s: NAME=VALUE is needed", optarg);
                else if (opt == OPT_VERSION)
                        return output_end(puts("chronik-ctl " CHRONIK_VERSION) < 0);
                else if (opt == '?') /* getopt has said why */
                        return fputs("Try 'chronik-ctl --help'.\n", stderr), CTL_USAGE;
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
