/* chronik-ctl: the table of commands, help, and running one. */
#include <errno.h>
#include <getopt.h>
#include <locale.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "ctl/ctl.h"

enum { WORDS_MAX = 3 };

struct command {
        const char *words; /* a noun, a verb, perhaps one more */
        const char *arg;   /* what follows, NULL for nothing; in brackets what may be left out */
        unsigned with;     /* WITH_... */
        int (*fn)(struct ctl *c, const char *arg);
        const char *text;
        const char *example;
};

static const struct command commands[] = {
        { "cluster info", NULL, 0, cluster_info, "health and why, controllers, nodes, what is stored", "cluster info" },
        { "cluster disruption show", NULL, 0, disruption_show, "who takes a node down on purpose",
          "cluster disruption show" },
        { "cluster disruption acquire", NULL, WITH_DISRUPTION | WITH_AS, disruption_acquire,
          "become the one who may take a node down; refused while that is not safe",
          "cluster disruption acquire --node 3 --reason 'new disk' --ttl 1h" },
        { "cluster disruption release", NULL, WITH_AS, disruption_release, "be done with it",
          "cluster disruption release" },
        { "cluster disruption override", NULL, WITH_DISRUPTION | WITH_AS, disruption_override,
          "acquire in spite of another holder and of what is safe; is recorded",
          "cluster disruption override --node 3 --reason 'the rack burns'" },
        { "node list", NULL, 0, node_list, "every node with its state and what it has", "node list" },
        { "node get", "ID", 0, node_get, "one node", "node get 3" },
        { "node guard", NULL, 0, node_guard,
          "keep this machine from being shut down while its node must not stop; runs until it is ended", "node guard" },
        { "node health", NULL, WITH_WAIT, node_health, "has the node that is asked come back? status 0 yes, 1 no",
          "node health --wait --timeout 10m" },
        { "node drain", "ID", WITH_WAIT, node_drain, "let others lead; it gets no new replicas",
          "node drain 3 --wait" },
        { "node undrain", "ID", 0, node_undrain, "the end of that, or of a decommissioning that was begun",
          "node undrain 3" },
        { "node decommission", "ID", WITH_WAIT, node_decommission, "move its replicas elsewhere, then forget it",
          "node decommission 3 --wait" },
        { "node may-stop", "ID", WITH_WAIT, node_may_stop, "is it safe to stop it now? status 0 yes, 5 no",
          "node may-stop 3 && ssh node3 systemctl stop chronikd" },
        { "controller list", NULL, 0, controller_list, "who keeps the metadata, and how far each is",
          "controller list" },
        { "controller add", "ID@HOST:PORT", WITH_DIRECTORY, controller_add,
          "a node with the role controller becomes one of them", "controller add 4@10.0.0.4:9093" },
        { "controller remove", "ID", WITH_DIRECTORY, controller_remove, "it is none of them any more",
          "controller remove 4" },
        { "controller transfer", "[ID]", 0, controller_transfer, "make another one the active controller",
          "controller transfer 2" },
        { "topic list", NULL, 0, topic_list, "every topic with its size", "topic list" },
        { "topic get", "NAME", WITH_DETAILED, topic_get, "one topic; --detailed: every partition",
          "topic get orders --detailed" },
        { "topic create", "NAME", WITH_TOPIC, topic_create, "a new topic; see the options below",
          "topic create orders --partitions 8 --config retention.ms=86400000" },
        { "topic delete", "NAME", 0, topic_delete, "delete a topic and its records, at once", "topic delete orders" },
        { "topic reassign list", "[NAME]", 0, reassign_list, "partitions whose replicas move", "topic reassign list" },
        { "topic reassign set", "[NAME [PARTITION]]", WITH_REPLICAS | WITH_FILE, reassign_set,
          "have replicas elsewhere: --replicas, or --file", "topic reassign set orders 3 --replicas 4,5,6" },
        { "topic reassign cancel", "[NAME [PARTITION]]", WITH_FILE, reassign_cancel,
          "go back to the replicas from before", "topic reassign cancel orders 3" },
        { "topic elect", "NAME [PARTITION]", WITH_UNCLEAN, topic_elect, "let the preferred replicas lead again",
          "topic elect orders" },
        { "group list", NULL, 0, group_list, "every consumer group with its state", "group list" },
        { "group get", "NAME", 0, group_get, "members, committed offsets and lag", "group get billing" },
        { "quota list", NULL, 0, quota_list, "who may use how much", "quota list" },
        { "quota set", "KEY VALUE", WITH_ENTITY, quota_set, "set a quota; K, M and G are understood",
          "quota set producer_byte_rate 50M --client-id billing" },
        { "quota unset", "[KEY]", WITH_ENTITY, quota_unset, "take a quota away, or all of somebody's",
          "quota unset --default ip" },
        { "acl list", NULL, 0, acl_list, "who may do what", "acl list" },
        { "acl add", NULL, WITH_RULE, acl_add, "allow it, or deny it",
          "acl add --principal User:alice --operation read --topic orders" },
        { "acl remove", NULL, WITH_RULE, acl_remove, "take all rules away that fit what is given",
          "acl remove --principal User:alice --topic orders" },
        { "audit list", "[PATH]", 0, audit_list,
          "who did what: the newest entries of a node, or all in a folder or file", "audit list" },
        { "audit verify", "[PATH]", WITH_KEY, audit_verify, "is the audit log whole and unchanged? status 0 yes, 4 no",
          "audit verify /var/lib/chronik/audit --public-key 9f2c..." },
        { "audit rotate-key", NULL, 0, audit_rotate_key, "let another key sign the audit log of the node that is asked",
          "audit rotate-key" },
        { "user list", NULL, 0, user_list, "who may log in", "user list" },
        { "user add", "NAME", 0, user_add, "a user, or a new password; it is read from standard input",
          "user add alice" },
        { "user rotate", "NAME", WITH_ROTATION | WITH_FINISH, user_rotate,
          "another password; the earlier one counts as well for a while",
          "user rotate alice --overlap 24h --generate" },
        { "user remove", "NAME", 0, user_remove, "a user who may not log in any more", "user remove alice" },
        { "txn list", NULL, 0, txn_list, "every transactional id with its state", "txn list" },
        { "txn describe", "ID", 0, txn_describe, "one transactional id, and what takes part",
          "txn describe billing-1" },
        { "txn abort", "ID", 0, txn_abort, "abort what is open and keep its producer out", "txn abort billing-1" },
        { "log verify", "[TOPIC [PARTITION]]", WITH_VERIFY | WITH_DATA_DIR, log_verify,
          "read all records from the disk, find rot", "log verify orders 3 --rate 50M" },
        { "tls init", "DIR", WITH_TLS | WITH_DAYS, tls_init,
          "certificates for the nodes of a cluster, and their authority", "tls init certificates --nodes 1,2,3" },
        { "tls renew", "DIR", WITH_TLS | WITH_DAYS, tls_renew,
          "other certificates and keys in the place of those that are there", "tls renew certificates --nodes 2" },
        { "tls rotate-ca", "DIR", WITH_DAYS | WITH_FINISH, tls_rotate_ca,
          "another authority, beside the one that there is; --finish: in its place", "tls rotate-ca certificates" },
        { "admin-token new", "NAME ROLE", 0, admin_token_new,
          "a token for an operator who is viewer, operator or admin, and its line for the nodes",
          "admin-token new prometheus viewer" },
        { "admin-token rotate", "NAME", WITH_TOKENS | WITH_FINISH, admin_token_rotate,
          "another token, and its line in the nodes' file beside that of the one from before",
          "admin-token rotate prometheus --tokens-file admin.tokens" },
        { "token-secret add", "FILE", 0, token_secret_add,
          "the next secret of delegation tokens, beside the one in use", "token-secret add /etc/chronik/token.secret" },
        { "token-secret switch", "FILE", 0, token_secret_switch,
          "the next one is used, and the one from before still counts",
          "token-secret switch /etc/chronik/token.secret" },
        { "token-secret finish", "FILE", 0, token_secret_finish, "the one from before does not count any more",
          "token-secret finish /etc/chronik/token.secret" },
        { "doctor", NULL, WITH_HOST | WITH_DATA_DIR, doctor,
          "is this machine as a node wants it? status 0 yes, 1 no, 2 it could not look",
          "doctor --sysctl /usr/share/chronik/sysctl" },
};

/* How many of the @count words at @words are those that @cmd begins with. */
static int words_fit(const struct command *cmd, char **words, int count)
{
        const char *at = cmd->words;
        int fit = 0;

        while (fit < count && *at) {
                size_t len = strcspn(at, " ");

                if (strlen(words[fit]) != len || strncmp(words[fit], at, len) != 0)
                        break;
                at += len + (at[len] == ' ');
                fit++;
        }
        return fit;
}

static int words_count(const struct command *cmd)
{
        int count = 1;

        for (const char *at = cmd->words; *at; at++)
                count += *at == ' ';
        return count;
}

/* Is @cmd among those that the words begin, as far as it has words? */
static bool is_about(const struct command *cmd, char **words, int count)
{
        return words_fit(cmd, words, count) == count;
}

/* ---- help ---- */

static void print_commands(FILE *to, char **words, int count)
{
        char line[ARRAY_LEN(commands)][80];
        size_t widest = 0;

        for (size_t i = 0; i < ARRAY_LEN(commands); i++) {
                snprintf(line[i], sizeof line[i], "%s%s%s", commands[i].words, commands[i].arg ? " " : "",
                         commands[i].arg ? commands[i].arg : "");
                if (is_about(&commands[i], words, count))
                        widest = MAX2(widest, strlen(line[i]));
        }
        for (size_t i = 0; i < ARRAY_LEN(commands); i++)
                if (is_about(&commands[i], words, count))
                        fprintf(to, "  %-*s  %s\n", (int)widest, line[i], commands[i].text);
}

/* "'topic create'", "'node drain', 'node may-stop'": those that an option goes with. */
static const char *commands_with(unsigned with, const char *quote)
{
        static char text[400];
        size_t len = 0;

        text[0] = '\0';
        for (size_t i = 0; i < ARRAY_LEN(commands); i++)
                if (commands[i].with & with && len < sizeof text - 1)
                        len += (size_t)snprintf(text + len, sizeof text - len, "%s%s%s%s", len ? ", " : "", quote,
                                                commands[i].words, quote);
        return text;
}

/* Text in lines of 100 columns, all but the first indented. */
static void print_wrapped(const char *text, int indent)
{
        int room = 100 - indent, column = 0;

        while (*text) {
                int len = (int)strcspn(text, " ");

                if (column && column + 1 + len > room) {
                        printf("\n%*s", indent, "");
                        column = 0;
                }
                column += printf("%s%.*s", column ? " " : "", len, text);
                text += len + (text[len] == ' ');
        }
        putchar('\n');
}

static void print_option(void *arg, const char *words, const char *text, unsigned with)
{
        char whole[800];

        if (with && *(bool *)arg)
                snprintf(whole, sizeof whole, "%s: %s", commands_with(with, ""), text);
        else
                snprintf(whole, sizeof whole, "%s", text);
        printf("  %-24s", words);
        print_wrapped(whole, 26);
}

static void print_help(char **words, int count)
{
        const struct command *one = NULL;
        unsigned mask = 0, found = 0;
        bool several;

        for (size_t i = 0; i < ARRAY_LEN(commands); i++)
                if (is_about(&commands[i], words, count)) {
                        one = &commands[i];
                        mask |= one->with;
                        found++;
                }
        several = found > 1;
        fputs("Usage: chronik-ctl [OPTION]...", stdout);
        if (several) {
                for (int i = 0; i < count; i++)
                        printf(" %s", words[i]);
                puts(count == 0 ? " NOUN VERB [NAME]" : count == 1 ? " VERB [NAME]" : " ...");
        } else {
                printf(" %s%s%s\n", one->words, one->arg ? " " : "", one->arg ? one->arg : "");
        }
        puts("Look at a Chronik cluster and change it, through the admin address of any node.\n");
        print_commands(stdout, words, count);
        printf("\nOptions, anywhere on the line:\n");
        options_help(mask, print_option, &several);
        printf("\nExit status: 0 done, 1 refused or failed, 2 wrong usage, 3 no node answered, 4 damage found,\n"
               "5 not safe to stop, 6 this operator may not.\n\nExamples:\n");
        for (size_t i = 0; i < ARRAY_LEN(commands); i++)
                if (is_about(&commands[i], words, count))
                        printf("  chronik-ctl %s\n", commands[i].example);
}

/* ---- running ---- */

/* "cluster, node, ... and log" */
static const char *nouns(void)
{
        static char text[200];
        const char *last = NULL;
        size_t len = 0, last_at = 0;

        for (size_t i = 0; i < ARRAY_LEN(commands); i++) {
                size_t n = strcspn(commands[i].words, " ");

                if (last && !strncmp(last, commands[i].words, n + 1))
                        continue;
                last = commands[i].words;
                last_at = len;
                len += (size_t)snprintf(text + len, sizeof text - len, "%s%.*s", len ? ", " : "", (int)n, last);
        }
        last = strdup(text + last_at + 2);
        if (!last)
                abort();
        snprintf(text + last_at, sizeof text - last_at, " and %s", last);
        return text;
}

static int not_a_command(char **words, int count)
{
        const struct command *best = NULL;
        int most = 0;

        for (size_t i = 0; i < ARRAY_LEN(commands); i++)
                if (words_fit(&commands[i], words, count) > most) {
                        most = words_fit(&commands[i], words, count);
                        best = &commands[i];
                }
        if (!count)
                return ctl_usage("nothing to do: name a noun and a verb, such as 'cluster info'");
        if (!best)
                return ctl_usage("there is no noun '%s'; there are %s", words[0], nouns());
        fprintf(stderr, most < count ? "chronik-ctl: '" : "chronik-ctl: what is '");
        for (int i = 0; i < most; i++)
                fprintf(stderr, "%s%s", i ? " " : "", words[i]);
        if (most < count)
                fprintf(stderr, "' does not do '%s'; it does:\n", words[most]);
        else
                fprintf(stderr, "' to do? It does:\n");
        print_commands(stderr, words, most);
        return CTL_USAGE;
}

/* Words of @arg: how many there must be, and may be. */
static void arg_count(const char *arg, int *ret_least, int *ret_most)
{
        bool optional = false, inside = false;

        *ret_least = *ret_most = 0;
        for (; arg && *arg; arg++) {
                optional |= *arg == '[';
                if (*arg == ' ' || *arg == '[' || *arg == ']') {
                        inside = false;
                } else if (!inside) {
                        inside = true;
                        ++*ret_most;
                        *ret_least += !optional;
                }
        }
}

static int run(struct ctl *c, int count, char **words, unsigned given)
{
        const struct command *cmd = NULL;
        int named, least, most;

        for (size_t i = 0; i < ARRAY_LEN(commands); i++)
                if (words_fit(&commands[i], words, count) == words_count(&commands[i]))
                        cmd = &commands[i];
        if (!cmd)
                return not_a_command(words, count);
        named = words_count(cmd);
        words += named;
        count -= named;
        arg_count(cmd->arg, &least, &most);
        if (count < least || (count && most && !*words[0]))
                return ctl_usage("'%s' needs a %s", cmd->words, cmd->arg);
        if (count > most)
                return ctl_usage("'%s' is one word too many after '%s'", words[most], cmd->words);
        if (given & ~cmd->with) {
                unsigned wrong = given & ~cmd->with;

                return ctl_usage("%s goes with %s only", options_given(wrong), commands_with(wrong & -wrong, "'"));
        }
        c->second = count > 1 ? words[1] : NULL;
        return cmd->fn(c, count ? words[0] : NULL);
}

/* A full disk or a closed pipe behind standard output is a failure too. */
static int output_end(int status)
{
        if (fflush(stdout) == 0 && !ferror(stdout))
                return status;
        fprintf(stderr, "chronik-ctl: cannot write the answer: %s\n", strerror(errno));
        return CTL_FAILED;
}

static bool is_known(char **words, int count)
{
        for (size_t i = 0; i < ARRAY_LEN(commands); i++)
                if (is_about(&commands[i], words, count))
                        return true;
        return false;
}

int main(int argc, char **argv)
{
        struct ctl c = { .partitions = -1, .replication_factor = -1, .node = -1, .configs = json_object() };
        unsigned given = 0;
        bool help, version;
        int status;

        if (!setlocale(LC_CTYPE, "C.UTF-8"))
                setlocale(LC_CTYPE, ""); /* it only makes columns straight */
        status = options_read(&c, argc, argv, &given, &help, &version);
        if (status)
                return status;
        if (version)
                return output_end(puts("chronik-ctl " CHRONIK_VERSION) < 0);
        argc -= optind;
        argv += optind;
        if (argc && !strcmp(argv[0], "help")) {
                help = true;
                argc--;
                argv++;
        }
        if (!help) {
                status = run(&c, argc, argv, given);
        } else if (is_known(argv, argc)) {
                print_help(argv, argc);
        } else {
                status = not_a_command(argv, argc);
        }
        return output_end(status);
}
