/* A controller in a folder of its own, asked synchronously: for tests of the controller's host. */
#pragma once

#include <pthread.h>
#include <stdio.h>
#include <unistd.h>

#include "controller/controller.h"
#include "sys/clock.h"
#include "sys/file.h"

struct host {
        char dir[64];
        struct conf *conf;
        struct iopool *pool;
        struct loop *loop; /* answers arrive here */
        struct controller *c;
        struct arena mem;
        int64_t broker_epoch;
        int64_t session_timeout_ms; /* before host_open(); 0: the usual */
        bool answered;
        pthread_mutex_t lock;
        pthread_cond_t cond;
};

static const struct controller_feature host_features[] = {
        { "metadata.version", 1, 20, 20 },
        { "transaction.version", 0, 2, 2 },
};

static inline void host_dir(struct host *h, const char *name)
{
        snprintf(h->dir, sizeof h->dir, "/tmp/chronik-test-%s-%d", name, (int)getpid());
        file_remove_tree(h->dir);
}

static inline int host_open(struct host *h, struct quorum_config quorum, char *why, size_t why_size)
{
        static const struct conf_machine machine = { .cpus = 1, .hostname = "node" };
        CLEANUP(strbuf_finip) struct strbuf errors = { 0 };
        int r;

        pthread_mutex_init(&h->lock, NULL);
        pthread_cond_init(&h->cond, NULL);
        arena_init(&h->mem, 0);
        assert(!conf_parse("t", STR_NULL, NULL, 0, &machine, &h->conf, &errors));
        assert(!iopool_new(2, &h->pool));
        assert(!loop_new("answers", &h->loop));
        assert(!loop_start_thread(h->loop));
        r = controller_new(&(struct controller_config){ .dir = h->dir,
                                                        .node_id = 1,
                                                        .conf = h->conf,
                                                        .pool = h->pool,
                                                        .features = host_features,
                                                        .features_count = ARRAY_LEN(host_features),
                                                        .session_timeout_ms = h->session_timeout_ms,
                                                        .quorum = quorum },
                           &h->c, why, why_size);
        return r ? r : controller_start(h->c);
}

static inline void host_signal(struct host *h)
{
        pthread_mutex_lock(&h->lock);
        h->answered = true;
        pthread_cond_signal(&h->cond);
        pthread_mutex_unlock(&h->lock);
}

static inline void host_wait(struct host *h)
{
        pthread_mutex_lock(&h->lock);
        while (!h->answered)
                pthread_cond_wait(&h->cond, &h->lock);
        h->answered = false;
        pthread_mutex_unlock(&h->lock);
}

static inline void host_request_done(struct controller_request *rq)
{
        host_signal(rq->arg);
}

static inline void host_stopped(void *arg)
{
        host_signal(arg);
}

static inline void host_close(struct host *h)
{
        if (h->c) {
                controller_stop(h->c, h->loop, host_stopped, h);
                host_wait(h);
        }
        h->c = controller_free(h->c);
        loop_stop(h->loop);
        loop_join(h->loop);
        h->loop = loop_free(h->loop);
        h->pool = iopool_free(h->pool);
        conf_unref(h->conf);
        arena_fini(&h->mem);
}

/* Ask and wait. Return: the outcome of the request as a whole. */
static inline enum controller_outcome host_ask(struct host *h, struct controller_request *rq)
{
        rq->reply_loop = h->loop;
        rq->done = host_request_done;
        rq->arg = h;
        rq->mem = &h->mem;
        rq->items_count = rq->items_count ? rq->items_count : 1;
        controller_submit(h->c, rq);
        host_wait(h);
        return rq->result.outcome;
}

/* Register broker @id with one endpoint and unfence it. Return: its epoch. */
static inline int64_t host_add_broker(struct host *h, int32_t id, int64_t previous_epoch)
{
        struct rec_broker_endpoint endpoint = { STR_LIT("PLAIN"), STR_LIT("localhost"), 9092, 0 };
        struct rec_broker_feature features[] = { { STR_LIT("metadata.version"), 1, 20 },
                                                 { STR_LIT("transaction.version"), 0, 2 } };
        struct uuid directory = { { 9, (uint8_t)id } };
        struct controller_register_broker reg = { .previous_epoch = previous_epoch };
        struct controller_request rq = { .op = CONTROLLER_REGISTER_BROKER, .register_broker = &reg };
        struct controller_heartbeat beat = { .broker_id = id };
        struct controller_request beat_rq = { .op = CONTROLLER_HEARTBEAT, .heartbeat = &beat };

        rec_broker_init(&reg.broker);
        reg.broker.broker_id = id;
        reg.broker.incarnation = random_uuid();
        reg.broker.endpoints = &endpoint;
        reg.broker.endpoints_count = 1;
        reg.broker.features = features;
        reg.broker.features_count = 2;
        reg.broker.directories = &directory;
        reg.broker.directories_count = 1;
        assert(host_ask(h, &rq) == CONTROLLER_OK);
        assert(reg.result.outcome == CONTROLLER_OK);
        beat.broker_epoch = beat.applied_index = h->broker_epoch = reg.epoch;
        assert(host_ask(h, &beat_rq) == CONTROLLER_OK);
        assert(beat.result.outcome == CONTROLLER_OK && !beat.fenced);
        return reg.epoch;
}

static inline enum controller_outcome host_create_topic(struct host *h, const char *name, int32_t partitions)
{
        struct controller_create_topic t = { .name = str_of(name),
                                             .partitions_count = partitions,
                                             .replication_factor = -1 };
        struct controller_request rq = { .op = CONTROLLER_CREATE_TOPICS, .create_topics = &t };

        return host_ask(h, &rq) ? rq.result.outcome : t.result.outcome;
}
