/* The self-test of a bucket: does it all that is needed, and are these credentials allowed to? */
#pragma once

#include "object/object.h"

enum object_check {
        OBJECT_CHECK_WRITE,     /* an object under PREFIX/probe/ */
        OBJECT_CHECK_CONDITION, /* writing it once more with if_absent is refused */
        OBJECT_CHECK_READ,      /* it reads as it was written */
        OBJECT_CHECK_RANGE,     /* and so does a part of it */
        OBJECT_CHECK_HEAD,
        OBJECT_CHECK_LIST,  /* it is in the list of its prefix, at once */
        OBJECT_CHECK_PARTS, /* an object in two parts; only with @with_parts */
        OBJECT_CHECK_DELETE,
        OBJECT_CHECK_MISSING, /* what is not there is told to be missing */
        OBJECT_CHECKS_COUNT,
};

/* "write", "condition"... */
const char *object_check_name(enum object_check check);

struct object_finding {
        bool done;                   /* false: not tried, because of what failed before */
        int result;                  /* 0: as it should be; else as object_op.result */
        char text[OBJECT_TEXT_SIZE]; /* which permission or feature is missing */
};

/* Of the caller's, zeroed but for the first fields; must stay until done(). */
struct object_probe {
        const char *prefix;      /* of the keys; "" or ends in '/'; at most 900 bytes */
        bool with_parts;         /* sends part_len + 1 bytes */
        int deadline_ms;         /* of each check; 0: the store's */
        struct loop *reply_loop; /* everything runs there */
        void (*done)(struct object_probe *p);

        unsigned failures; /* 0: the bucket is fit */
        struct object_finding findings[OBJECT_CHECKS_COUNT];

        /* ---- its own ---- */
        struct object_store *store;
        struct object_op op;
        unsigned check;
        char key[1000];
        uint8_t *content, *read;
        size_t content_len, parts_len;
};

/* Start. Any thread; done() runs once on @p->reply_loop. Leaves nothing in the bucket, unless deleting is what fails. Takes twice
 * part_len of memory with @with_parts, else little. Return: 0; -ENOMEM: and done() is not called. */
int object_probe_start(struct object_store *s, struct object_probe *p);
