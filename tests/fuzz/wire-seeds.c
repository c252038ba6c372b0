/* Writes the committed corpus of the wire targets: one small random message of every schema in its newest version, and
 * one in its oldest where it is encoded in another way. Deterministic: the same schemas give the same files. */
#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "fuzz-wire.h"

static int write_seed(const char *dir, const struct wire_case *c, int16_t version)
{
        char path[4096];
        struct arena a;
        struct fill f;
        struct writer w;
        uint8_t *bytes;
        size_t len;
        void *m = calloc(1, c->struct_size);
        FILE *out;
        int r = -1;

        arena_init(&a, 0);
        f = fill_of((uint64_t)version + 7, &a);
        f.small = true;
        c->fill(&f, m, version);
        len = c->size(m, version);
        bytes = malloc(len + 2);
        bytes[0] = fuzz_wire_selector(c);
        bytes[1] = (uint8_t)version;
        w = writer_of(bytes + 2, len);
        c->encode(m, &w, version);
        snprintf(path, sizeof path, "%s/%s-%d", dir, c->name, version);
        out = fopen(path, "wb");
        if (out && fwrite(bytes, 1, len + 2, out) == len + 2)
                r = 0;
        else
                fprintf(stderr, "%s: %s\n", path, strerror(errno));
        if (out && fclose(out))
                r = -1;
        free(bytes);
        free(m);
        arena_fini(&a);
        return r;
}

int main(int argc, char **argv)
{
        if (argc != 3 || (strcmp(argv[2], "request") && strcmp(argv[2], "response"))) {
                fputs("usage: wire-seeds DIR request|response\n", stderr);
                return 2;
        }
        for (size_t i = 0; i < wire_cases_count; i++) {
                const struct wire_case *c = &wire_cases[i];

                if (!fuzz_wire_is(c, !strcmp(argv[2], "request")))
                        continue;
                if (write_seed(argv[1], c, c->version_max))
                        return 1;
                if (c->version_min + 3 <= c->version_max && write_seed(argv[1], c, c->version_min))
                        return 1;
        }
        return 0;
}
