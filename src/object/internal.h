/* What the files of this module share: a store from the inside. Everything belongs to the store's loop unless it says otherwise. */
#pragma once

#include <stdatomic.h>

#include "base/budget.h"
#include "base/uuid.h"
#include "object/call.h"
#include "object/keys.h"
#include "object/transfer.h"

enum {
        STORE_MAGIC = 0x6f626a73,
        PARTS_MAX = 16,
        LIST_BODY_MAX = 16 << 20,
        ERROR_BODY_MAX = 64 << 10,
        CREDENTIALS_CHECK_MS = 10000,
        ABORT_MS = 30000,
        CLOSING_MS = 3000
};

struct object_work;

/* What is behind a store. Both run on its loop. */
struct object_backend {
        /* Begin; work_end() ends it, now or later. */
        void (*start)(struct object_work *w);
        /* End soon with w->ending: work_end() is called when nothing of it runs any more, perhaps from inside. */
        void (*stop)(struct object_work *w);
};
extern const struct object_backend object_backend_folder, object_backend_http;

/* One request with its retries and its hedge. */
struct object_try {
        struct object_work *w;
        struct object_call call;
        void (*done)(struct object_try *t); /* verdict and, if it is good, answer and body are there */
        bool active;
        unsigned attempts, attempts_max;
        bool renewed;                    /* the credentials were refused and read again, once */
        struct object_transfer *live[2]; /* the request, and its hedge */
        uint8_t *hedge_buf;
        struct loop_timer timer; /* until the next attempt, or the hedge */
        struct ilist key_wait;   /* in keys.waiting */
        struct object_verdict verdict;
        struct object_answer answer;
        struct strbuf body;
        size_t got_len;
};

/* A stretch of what is put: loaded, digested, sent. */
struct object_piece {
        struct object_work *w;
        struct io_job job;
        struct object_try try;
        bool busy;
        unsigned part; /* from 1; 0: all of it, at once */
        int64_t pos;
        size_t len;
        uint8_t *buf; /* of a file; charged to the store's budget */
        size_t buf_len;
        struct span body;
        uint8_t sha256[OBJECT_SHA256_SIZE], md5[OBJECT_MD5_SIZE];
        int result; /* of the job */
};

struct object_work {
        struct ilist link; /* in waiting or working */
        struct object_store *s;
        struct object_op *op; /* NULL: answered already */
        unsigned requests;
        struct loop_timer deadline;
        bool started;
        int ending; /* it ends with this as soon as nothing runs; 0: it goes on */
        char ending_text[OBJECT_TEXT_SIZE];
        unsigned running; /* tries and jobs */

        /* folder */
        struct io_job job;
        int job_result;

        /* http */
        struct ilist hungry; /* in the store's list of those that wait for memory */
        struct object_try main;
        char put_id[UUID_TEXT_SIZE];
        int64_t put_len, put_at; /* what is to be sent, and from where on it has not been begun */
        int64_t part_len;
        char *upload; /* NULL: none has begun */
        char *key;    /* of the op, when that has been answered already */
        struct object_part *parts;
        unsigned parts_count, parts_done;
        struct object_piece *pieces;
        unsigned pieces_count;
        bool aborting, parts_cut;
};

struct object_store {
        unsigned magic;
        struct object_config c; /* its text is in the arena */
        struct arena arena;
        struct object_place place;
        const struct object_backend *backend;
        struct iopool *pool;
        struct loop *loop;
        struct budget memory;
        atomic_uint_fast64_t serial; /* of the op that was submitted last */

        struct ilist waiting, working;
        unsigned working_count;
        struct ilist hungry;
        bool closing;
        struct mail close_mail;
        struct object_http http;
        struct object_keys keys;
        uint64_t gets, gets_hedged;

        /* Any thread reads them. */
        atomic_uint_fast64_t requests, retries, hedges, hedges_won, sent_bytes, received_bytes, working_now,
                waiting_now;
};

/* ---- store.c ---- */

/* Answer the op before @w ends, which has something to clean up; it has ABORT_MS for that (CLOSING_MS when the
 * store is being closed), and object_work_end() then answers nothing.
 * @text: of a failure; may be NULL if @result is none. */
void object_work_answer(struct object_work *w, int result, const char *text);
/* Nothing of @w runs any more: answer its op and free it. */
void object_work_end(struct object_work *w, int result, const char *text);
/* It cannot succeed any more: note why, and have the backend stop it. Calling it twice is fine; the first reason counts. May end and
 * free @w. */
void object_work_stop(struct object_work *w, int result, const char *text);

/* Something ended: when the store is being closed and nothing is left, its loop ends. */
void object_store_idle(struct object_store *s);

/* ---- folder.c ---- */

/* Make what is needed below s->c.folder, and remove what a crash left. Blocks. Return: 0; negative errno. */
int object_folder_init(struct object_store *s);

/* ---- place.c ---- */

/* Find out where the bucket is: s->place from s->c and, with Azure, the account of the credentials. @ret_why: OBJECT_TEXT_SIZE bytes.
 * Return: 0; OBJECT_BAD_CONFIG; -ENOMEM. */
int object_place_init(struct object_store *s, char *ret_why);

/* ---- try.c ---- */

/* Begin. t->call is set, and what it borrows stays until done(), which is never called from inside. */
void object_try_start(struct object_try *t, struct object_work *w, void (*done)(struct object_try *t));
/* End it without done(). Harmless when it does not run. */
void object_try_stop(struct object_try *t);
/* Credentials have come, or could not be had. */
void object_try_go_on(struct object_try *t);
/* Free what the last run left. */
void object_try_fini(struct object_try *t);

/* ---- put.c ---- */

void object_put_start(struct object_work *w);
/* As object_backend.stop, of a put. */
void object_put_stop(struct object_work *w);
void object_put_fini(struct object_work *w);
/* Memory was given back: the first that waits for it may go on. */
void object_put_feed_hungry(struct object_store *s);
