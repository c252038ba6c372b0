/* What the files led*.c share. */
#pragma once

#include <uthash.h>

#include "chronikd/led.h"

enum led_kind { LED_OPEN, LED_CLOSE, LED_DELETE };

/* What has to be done to a partition that takes a job. */
struct led_work {
        enum led_kind kind;
        /* LED_OPEN: as the image wants it. */
        struct plog_conf log_conf;
        struct partition_conf conf;
        /* LED_CLOSE, LED_DELETE: taken out of the table and closed, its log is not. LED_OPEN: what came out, or NULL.
         * One reference. */
        struct partition *partition;
};

/* ---- led.c ---- */

/* Compare a partition with the image; do at once what takes no job. Return: true when *@ret_work is to be done. */
bool led_look(struct led *led, struct uuid topic_id, int32_t index, struct led_work *ret_work);
/* A log was opened: serve it. */
void led_opened(struct led *led, struct partition *p);
/* What partitions tell: for whoever opens one. */
struct partition_events led_events(struct led *led);

/* ---- led_conf.c ---- */

/* Configurations of brokers changed: topics that set nothing get other values. */
void led_conf_update(struct led *led);
void led_conf_topic(const struct led *led, const struct meta_topic *t, struct topic_conf *ret);
struct plog_conf led_conf_log(const struct led *led, const struct topic_conf *c);
struct partition_conf led_conf_partition(const struct led *led, const struct meta_topic *t, const struct topic_conf *c,
                                         const struct meta_partition *p);

/* ---- led_job.c ---- */

/* Do what the image asks for of this partition, now or when what is being done to it has ended. @topic_name may be
 * freed afterwards. When memory is out it says so, and the partition stays as it is until it changes again. */
void led_reconcile(struct led *led, struct str topic_name, struct uuid topic_id, int32_t index);
/* Say how far everything is done. */
void led_report(struct led *led);
/* Forget what was not begun: the node closes. */
void led_jobs_cancel(struct led *led);
