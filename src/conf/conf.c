/* Making, sharing and deriving a configuration. */
#include "conf/conf.h"

#include <errno.h>
#include <sched.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "conf/limits.h"
#include "conf/reader.h"

static struct conf *conf_new(const struct conf_machine *machine)
{
        struct conf *c = calloc(1, sizeof *c);

        if (!c)
                return NULL;
        arena_init(&c->mem, 0);
        c->refs = 1;
        c->cpus = MAX2(machine->cpus, 1u);
        c->hostname = arena_strdup0(&c->mem, str_of(machine->hostname));
        return c->hostname ? c : conf_unref(c);
}

struct conf *conf_ref(struct conf *c)
{
        __atomic_add_fetch(&c->refs, 1, __ATOMIC_RELAXED);
        return c;
}

struct conf *conf_unref(struct conf *c)
{
        if (c && __atomic_sub_fetch(&c->refs, 1, __ATOMIC_ACQ_REL) == 0) {
                arena_fini(&c->mem);
                free(c);
        }
        return NULL;
}

/* Fill every field with its default. A default that its own row refuses is a bug in the table. */
static int put_defaults(struct conf *c)
{
        const struct conf_machine machine = { .cpus = c->cpus, .hostname = c->hostname };
        CLEANUP(strbuf_finip) struct strbuf why = { 0 };
        char scratch[24];

        for (int i = 0; i < PARAM_COUNT; i++) {
                const struct conf_row *row = &conf_params[i];
                struct conf_value value;
                int r = conf_value_parse(row, str_of(conf_param_default(row, &machine, scratch)), CONF_SYNTAX_UNITS,
                                         &c->mem, &value, &why);

                assert(r <= 0);
                if (r)
                        return r;
                conf_value_put(row, value, c);
                c->source[i] = CONF_SOURCE_DEFAULT;
        }
        return 0;
}

static void read_sets(struct conf_reader *rd, const char *const *sets, size_t count)
{
        for (size_t i = 0; i < count; i++) {
                const char *equals = strchr(sets[i], '=');
                const char *dot = equals ? memchr(sets[i], '.', (size_t)(equals - sets[i])) : NULL;
                struct str section;

                if (!dot) {
                        conf_reader_error(rd, LINE_SET,
                                          "'%.60s' is not section.key=value; write for example "
                                          "--set server.num_io_threads=4",
                                          sets[i]);
                        continue;
                }
                section = (struct str){ sets[i], (size_t)(dot - sets[i]) };
                if (str_equal(section, STR_LIT("listeners")))
                        conf_reader_listener_set(rd, (struct str){ dot + 1, (size_t)(equals - dot - 1) },
                                                 str_of(equals + 1));
                else if (conf_reader_section(rd, LINE_SET, section))
                        conf_reader_assign(rd, LINE_SET, section, (struct str){ dot + 1, (size_t)(equals - dot - 1) },
                                           str_of(equals + 1));
        }
}

int conf_parse(const char *name, struct str text, const char *const *sets, size_t set_count,
               const struct conf_machine *machine, struct conf **ret_conf, struct strbuf *errors)
{
        CLEANUP(conf_unrefp) struct conf *c = conf_new(machine);
        struct conf_reader rd = { .conf = c, .errors = errors, .file = name ? name : "configuration" };
        int r;

        if (!c)
                return -ENOMEM;
        r = put_defaults(c);
        if (r)
                return r;
        if (!str_is_null(text)) {
                if (text.len > LIMIT_CONF_FILE_BYTES)
                        conf_reader_error(&rd, 0, "is longer than %d bytes; this is not a configuration file",
                                          LIMIT_CONF_FILE_BYTES);
                else
                        conf_yaml_read(&rd, text);
        }
        read_sets(&rd, sets, set_count);
        conf_check(&rd);
        conf_check_listeners(&rd);
        if (rd.error_count > LIMIT_CONF_ERRORS)
                strbuf_printf(errors, "%s: and %u mistakes more\n", rd.file, rd.error_count - LIMIT_CONF_ERRORS);
        if (rd.out_of_memory || errors->failed)
                return -ENOMEM;
        if (rd.error_count)
                return CONF_E_INVALID;
        *ret_conf = TAKE_PTR(c);
        return 0;
}

static void look_at_machine(struct conf_machine *ret, char hostname[256])
{
        cpu_set_t cpus;

        if (gethostname(hostname, 256) < 0 || !*hostname)
                snprintf(hostname, 256, "localhost");
        hostname[255] = '\0';
        CPU_ZERO(&cpus);
        ret->hostname = hostname;
        /* What this process may run on, which under a cpuset is less than what the machine has. */
        ret->cpus = sched_getaffinity(0, sizeof cpus, &cpus) == 0 ? (unsigned)CPU_COUNT(&cpus) : 1;
}

/* The whole file, one byte beyond the limit at most so that conf_parse() can tell. */
static int read_file(const char *path, char **ret_text, size_t *ret_len)
{
        CLEANUP(freep) char *text = malloc(LIMIT_CONF_FILE_BYTES + 1);
        FILE *f;
        size_t len;
        int failed;

        if (!text)
                return -ENOMEM;
        f = fopen(path, "re");
        if (!f)
                return -errno;
        errno = 0;
        len = fread(text, 1, LIMIT_CONF_FILE_BYTES + 1, f);
        failed = ferror(f) ? (errno ? errno : EIO) : 0;
        fclose(f);
        if (failed)
                return -failed;
        *ret_text = TAKE_PTR(text);
        *ret_len = len;
        return 0;
}

int conf_load(const char *path, const char *const *sets, size_t set_count, const struct conf_machine *machine,
              struct conf **ret_conf, struct strbuf *errors)
{
        CLEANUP(freep) char *text = NULL;
        struct conf_machine here;
        char hostname[256];
        size_t len = 0;
        int r;

        if (!machine) {
                look_at_machine(&here, hostname);
                machine = &here;
        }
        if (path) {
                r = read_file(path, &text, &len);
                if (r == -ENOMEM)
                        return r;
                if (r) {
                        strbuf_printf(errors, "%s: cannot be read (%s); give --config a readable YAML file\n", path,
                                      strerror(-r));
                        return errors->failed ? -ENOMEM : CONF_E_INVALID;
                }
        }
        return conf_parse(path, text ? (struct str){ text, len } : STR_NULL, sets, set_count, machine, ret_conf,
                          errors);
}

/* Copy the text of a value into @mem. */
static int value_copy(const struct conf_row *row, struct arena *mem, struct conf_value *value)
{
        if (row->type == CONF_STR && !(value->s = arena_strdup0(mem, str_of(value->s))))
                return -ENOMEM;
        if (row->type == CONF_ADDR && !(value->addr.host = arena_strdup0(mem, str_of(value->addr.host))))
                return -ENOMEM;
        return 0;
}

static int put_copy(struct conf *c, enum conf_param id, struct conf_value value, enum conf_source source)
{
        int r = value_copy(&conf_params[id], &c->mem, &value);

        if (r)
                return r;
        conf_value_put(&conf_params[id], value, c);
        c->source[id] = (uint8_t)source;
        return 0;
}

int conf_derive(const struct conf *base, size_t count, const enum conf_param *ids, const struct conf_value *values,
                const enum conf_source *sources, struct conf **ret_conf)
{
        const struct conf_machine machine = { .cpus = base->cpus, .hostname = base->hostname };
        CLEANUP(conf_unrefp) struct conf *c = conf_new(&machine);
        int r;

        if (!c)
                return -ENOMEM;
        for (int i = 0; i < PARAM_COUNT; i++) {
                r = put_copy(c, (enum conf_param)i, conf_value_get(&conf_params[i], base), base->source[i]);
                if (r)
                        return r;
        }
        for (size_t i = 0; i < count; i++) {
                r = put_copy(c, ids[i], values[i], sources[i]);
                if (r)
                        return r;
        }
        r = conf_copy_listeners(base, c);
        if (r)
                return r;
        *ret_conf = TAKE_PTR(c);
        return 0;
}

static struct conf_addr derive_advertised(const struct conf *c, struct conf_addr given, struct conf_addr listen,
                                          uint16_t bound_port)
{
        struct conf_addr a = given;

        if (!a.host[0]) {
                a = listen;
                if (conf_host_is_wildcard(a.host))
                        a.host = c->hostname;
        }
        if (!a.port)
                a.port = bound_port;
        return a;
}

struct conf_addr conf_advertised(const struct conf *c, const struct conf_listener *l, uint16_t bound_port)
{
        return derive_advertised(c, l->advertised, l->address, bound_port);
}

struct conf_addr conf_cluster_advertised(const struct conf *c, uint16_t bound_port)
{
        return derive_advertised(c, c->cluster.advertised, c->cluster.listen, bound_port);
}
