/* chronikd: the command line. */
#include <getopt.h>
#include <stdio.h>

#include "chronikd/admin_gate.h"
#include "chronikd/datadir.h"
#include "chronikd/listeners.h"
#include "chronikd/serve.h"
#include "sys/diag.h"
#include "sys/process.h"

enum { SETS_MAX = 256 };

static const char usage[] =
        "Usage: chronikd [OPTION]...\n"
        "Run one Chronik node. Without options: both roles, data in ./chronik-data, Kafka clients on\n"
        "127.0.0.1:9092, admin HTTP on 127.0.0.1:9644.\n\n"
        "  --config FILE            read parameters from a YAML file (docs/PARAMETERS.md)\n"
        "  --data-dir DIR           keep data here (server.data_dir)\n"
        "  --kafka HOST:PORT        serve Kafka clients here (server.kafka)\n"
        "  --admin HOST:PORT        serve metrics, health and chronik-ctl here (server.admin)\n"
        "  --set SECTION.KEY=VALUE  set any parameter; may be given several times\n"
        "  --check                  check the configuration, say what is wrong, and exit\n"
        "  --version                print the version\n"
        "  --help                   print this\n";

int main(int argc, char **argv)
{
        enum { OPT_CONFIG = 1, OPT_DATA, OPT_KAFKA, OPT_ADMIN, OPT_SET, OPT_CHECK, OPT_VERSION, OPT_HELP };
        static const struct option options[] = {
                { "config", required_argument, NULL, OPT_CONFIG },
                { "data-dir", required_argument, NULL, OPT_DATA },
                { "kafka", required_argument, NULL, OPT_KAFKA },
                { "admin", required_argument, NULL, OPT_ADMIN },
                { "set", required_argument, NULL, OPT_SET },
                { "check", no_argument, NULL, OPT_CHECK },
                { "version", no_argument, NULL, OPT_VERSION },
                { "help", no_argument, NULL, OPT_HELP },
                { 0 },
        };
        static const char *const keys[] = {
                [OPT_DATA] = "server.data_dir", [OPT_KAFKA] = "server.kafka", [OPT_ADMIN] = "server.admin"
        };
        const char *sets[SETS_MAX], *config = NULL;
        char *made[SETS_MAX];
        struct strbuf errors = { 0 };
        char why[2048];
        struct conf *conf;
        size_t count = 0, made_count = 0;
        bool check = false;
        int opt, r;

        while ((opt = getopt_long(argc, argv, "", options, NULL)) != -1) {
                char *text;

                if (opt == OPT_VERSION || opt == OPT_HELP) {
                        fputs(opt == OPT_HELP ? usage : "chronikd " CHRONIK_VERSION "\n", stdout);
                        return 0;
                }
                if (opt == '?' || count == SETS_MAX) {
                        fputs("Try 'chronikd --help'.\n", stderr);
                        return 2;
                }
                if (opt == OPT_CONFIG)
                        config = optarg;
                else if (opt == OPT_CHECK)
                        check = true;
                else if (opt == OPT_SET)
                        sets[count++] = optarg;
                else if (asprintf(&text, "%s=%s", keys[opt], optarg) >= 0)
                        sets[count++] = made[made_count++] = text;
        }
        if (optind < argc) {
                fprintf(stderr, "chronikd: unexpected argument '%s'. Try 'chronikd --help'.\n", argv[optind]);
                return 2;
        }
        r = conf_load(config, sets, count, NULL, &conf, &errors);
        for (size_t i = 0; i < made_count; i++)
                free(made[i]);
        if (r) {
                fputs(errors.data ? errors.data : strerror(-r), stderr);
                return 1;
        }
        if (listeners_check(conf) | admin_gate_check(conf))
                return 1;
        if (check) {
                conf_unref(conf);
                return 0;
        }
        if (!conf->diag.core_dumps)
                process_hide();
        diag_set_level((enum diag_level)(DIAG_ERROR + conf->diag.level));
        diag_set_format((enum diag_format)conf->diag.format);
        diag_set_node((int32_t)conf->server.node_id);
        if (!datadir_is_ours(conf->server.data_dir, conf->server.roles, why, sizeof why)) {
                diag(DIAG_ERROR, "%s", why);
                return 1;
        }
        r = serve(conf);
        if (!r) /* what could not start may have threads that read it */
                conf_unref(conf);
        return r;
}
