/* How old secrets are: since when this node knows the ones that it has. A file in the data directory (.secret-ages) has for each a fingerprint, by
 * which another secret is told from the same one, and the time; times of files would not do, because a copy and a systemd credential have new ones.
 * Users' passwords have their times in the metadata. */
#pragma once

#include <pthread.h>

#include "base/strbuf.h"
#include "security/operators.h"

struct node;

enum {
        SECRET_AGES_MAX = OPERATORS_MAX + 8,
        SECRET_NAME_SIZE = 96,
        SECRET_PRINT_LEN =
                16, /* of a fingerprint: a part of a hash under the secret itself, which says nothing about it */
};

struct secret_age {
        char name[SECRET_NAME_SIZE];
        uint8_t print[SECRET_PRINT_LEN];
        int64_t since_ms; /* wall clock */
        bool seen;        /* in this round */
};

struct secret_ages {
        pthread_mutex_t lock; /* guards the rest; files are written under it */
        char path[1300];
        bool is_read, is_changed;
        struct secret_age at[SECRET_AGES_MAX];
        unsigned count;
};

void secret_ages_init(struct secret_ages *a, const char *data_dir);
void secret_ages_fini(struct secret_ages *a);
/* The metrics. Secrets that are new to this node are noted in the file, those that it has no more are forgotten. Blocks; any thread. */
void secret_ages_expose(struct secret_ages *a, struct node *n, struct strbuf *out);
