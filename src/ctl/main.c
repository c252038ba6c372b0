/* chronik-ctl: options, the table of commands, help. */
#include <errno.h>
#include <getopt.h>
#include <stdio.h>
#include <string.h>

#include "ctl/ctl.h"

struct command {
        const char *noun, *verb;
        const char *arg; /* what follows, NULL for nothing */
        int (*fn)(struct ctl *c, const char *arg);
        const char *text;
        const char *example;
};

static const struct command commands[] = {
        { "cluster", "info", NULL, cluster_info, "health, controller, nodes, what is stored", "cluster info" },
        { "topic", "list", NULL, topic_list, "every topic with its size", "topic list" },
        { "topic", "get", "NAME", topic_get, "one topic; --detailed: every partition", "topic get orders --detailed" },
        { "topic", "create", "NAME", topic_create, "a new topic; see the options below",
          "topic create orders --partitions 8 --config retention.ms=86400000" },
        { "topic", "delete", "NAME", topic_delete, "delete a topic and its records, at once", "topic delete orders" },
        { "group", "list", NULL, group_list, "every consumer group with its state", "group list" },
        { "group", "get", "NAME", group_get, "members, committed offsets and lag", "group get billing" },
};

static void print_commands(FILE *to, const char *noun)
{
        for (size_t i = 0; i < ARRAY_LEN(commands); i++) {
                char words[64];

                if (noun && strcmp(noun, commands[i].noun) != 0)
                        continue;
                snprintf(words, sizeof words, "%s %s %s", commands[i].noun, commands[i].verb,
                         commands[i].arg ? commands[i].arg : "");
                fprintf(to, "  %-24s%s\n", words, commands[i].text);
        }
}

static void print_help(const char *noun)
{
        printf("Usage: chronik-ctl [OPTION]... NOUN VERB [NAME]\n"
               "Look at a Chronik cluster and change it, through the admin address of any node.\n\n");
        print_commands(stdout, noun);
        printf("\nOptions, anywhere on the line:\n"
               "  --server HOST:PORT      the node's admin address (default 127.0.0.1:9644, or CHRONIK_SERVER)\n"
               "  --json                  print the answer as JSON\n"
               "  --detailed              topic get: every partition\n"
               "  --partitions N          topic create: how many (default: the node's topics.num_partitions)\n"
               "  --replication-factor N  topic create: copies of each (default: the node's replication.factor)\n"
               "  --config NAME=VALUE     topic create: a configuration under Kafka's name; may be repeated\n"
               "  --version, --help\n\n"
               "Exit status: 0 done, 1 refused or failed, 2 wrong usage, 3 no node answered.\n\n"
               "Examples:\n");
        for (size_t i = 0; i < ARRAY_LEN(commands); i++)
                if (!noun || !strcmp(noun, commands[i].noun))
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

static bool noun_exists(const char *noun)
{
        for (size_t i = 0; i < ARRAY_LEN(commands); i++)
                if (!strcmp(noun, commands[i].noun))
                        return true;
        return false;
}

static int run(struct ctl *c, int count, char **words)
{
        if (count == 0)
                return usage("nothing to do: name a noun and a verb, such as 'cluster info'");
        if (!noun_exists(words[0]))
                return usage("there is no noun '%s'; there are cluster, topic and group", words[0]);
        for (size_t i = 0; count >= 2 && i < ARRAY_LEN(commands); i++) {
                const struct command *cmd = &commands[i];
                int want = cmd->arg ? 3 : 2;

                if (strcmp(words[0], cmd->noun) != 0 || strcmp(words[1], cmd->verb) != 0)
                        continue;
                if (count < want)
                        return usage("'%s %s' needs a %s", cmd->noun, cmd->verb, cmd->arg);
                if (count > want)
                        return usage("'%s' is one word too many after '%s %s'", words[want], cmd->noun, cmd->verb);
                return cmd->fn(c, cmd->arg ? words[2] : NULL);
        }
        fprintf(stderr, "chronik-ctl: '%s' does not do '%s'; it does:\n", words[0], count >= 2 ? words[1] : "");
        print_commands(stderr, words[0]);
        return CTL_USAGE;
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
        struct ctl c = { .server = server && *server ? server : "127.0.0.1:9644", .partitions = -1,
                         .replication_factor = -1, .configs = json_object() };
        bool help = false;
        int opt;

        while ((opt = getopt_long(argc, argv, "", options, NULL)) != -1) {
                if (opt == OPT_SERVER)
                        c.server = optarg;
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
                        return puts("chronik-ctl " CHRONIK_VERSION) < 0;
                else if (opt == '?')
                        return usage("this option is not known or lacks its value");
        }
        if (help) {
                print_help(optind < argc && noun_exists(argv[optind]) ? argv[optind] : NULL);
                return CTL_OK;
        }
        return run(&c, argc - optind, argv + optind);
}
