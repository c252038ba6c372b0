/* What a coordinator alone knows, of whichever node it is on. */
#include <stdio.h>
#include <stdlib.h>

#include "chronikd/admin.h"
#include "chronikd/look.h"
#include "coord/place.h"

bool admin_find_coordinator(const struct meta_image *image, struct str topic, const char *id, int32_t *ret_partition,
                            int32_t *ret_node)
{
        const struct meta_topic *t = meta_image_topic(image, topic);

        if (!t || !t->partitions_count)
                return false;
        *ret_partition = coord_partition_of(str_of(id), (int32_t)t->partitions_count);
        *ret_node = meta_image_leader(image, meta_topic_partition(t, *ret_partition));
        return true;
}

json_t *admin_ask_coordinator(struct node *n, struct http_request *rq, int32_t node, const char *folder, const char *id)
{
        struct look_ask ask = { .node = node };
        char *path;

        if (asprintf(&path, "/v1/here/%s/%s", folder, id) < 0) {
                admin_answer_json(rq, NULL);
                return NULL;
        }
        ask.path = path;
        look_ask(n, &ask, 1);
        if (ask.body)
                rq->status = (unsigned)ask.status;
        else
                admin_answer_error(rq, 503, "Node %d coordinates '%s' and does not answer (%s); try again.", node, id,
                                   ask.why);
        free(path);
        return ask.body;
}
