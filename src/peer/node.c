/* The nodes that are known: where they are, who they said to be, what went wrong last. A node once known stays until
 * the hub goes, so that calls and links may point to it. */
#include <errno.h>
#include <stdio.h>

#include "peer/peer_internal.h"
#include "sys/clock.h"
#include "sys/diag.h"

/* Place of @id in the table, or where it belongs. */
static unsigned node_place(const struct peer_hub *h, int32_t id)
{
        unsigned low = 0, high = h->nodes_count;

        while (low < high) {
                unsigned mid = (low + high) / 2;

                if (h->nodes[mid]->id < id)
                        low = mid + 1;
                else
                        high = mid;
        }
        return low;
}

struct peer_node *peer_node_find(struct peer_hub *h, int32_t id)
{
        unsigned at = node_place(h, id);

        return at < h->nodes_count && h->nodes[at]->id == id ? h->nodes[at] : NULL;
}

static int nodes_grow(struct peer_hub *h)
{
        unsigned room = h->nodes_room ? 2 * h->nodes_room : 16;
        struct peer_node **grown;

        if (h->nodes_count < h->nodes_room)
                return 0;
        grown = realloc(h->nodes, room * sizeof(struct peer_node *));
        if (!grown)
                return -ENOMEM;
        h->nodes = grown;
        h->nodes_room = room;
        return 0;
}

/* With the lock held. */
static int node_get(struct peer_hub *h, int32_t id, struct peer_node **ret_node)
{
        unsigned at = node_place(h, id);
        struct peer_node *n;
        int r;

        if (at < h->nodes_count && h->nodes[at]->id == id) {
                *ret_node = h->nodes[at];
                return 0;
        }
        if (h->stopping)
                return -ESHUTDOWN;
        if (h->nodes_count == PEER_NODES_MAX)
                return -ENOSPC;
        r = nodes_grow(h);
        if (r)
                return r;
        n = calloc(1, sizeof *n);
        if (!n)
                return -ENOMEM;
        n->id = n->info.node = id;
        for (unsigned i = 0; i < PEER_LANES_COUNT; i++)
                peer_link_init(&n->links[i], n, h, (enum peer_lane)i);
        memmove(&h->nodes[at + 1], &h->nodes[at], (h->nodes_count - at) * sizeof(struct peer_node *));
        h->nodes[at] = n;
        h->nodes_count++;
        *ret_node = n;
        return 0;
}

void peer_nodes_free(struct peer_hub *h)
{
        for (unsigned i = 0; i < h->nodes_count; i++)
                free(h->nodes[i]);
        free(h->nodes);
}

static bool address_is_good(const char *address)
{
        char host[SOCK_HOST_SIZE];
        uint16_t port;

        return strlen(address) < PEER_ADDRESS_SIZE && !sock_split_host_port(address, host, &port) && *host && port;
}

int peer_hub_set_address(struct peer_hub *h, int32_t node, const char *address)
{
        struct peer_node *n = NULL;
        int r = 0;

        if (node < 0 || node == h->conf.node || (address && !address_is_good(address)))
                return -EINVAL;
        pthread_mutex_lock(&h->lock);
        if (address)
                r = node_get(h, node, &n);
        else
                n = peer_node_find(h, node);
        if (r || !n || !strcmp(n->address, address ? address : "")) {
                pthread_mutex_unlock(&h->lock);
                return r == -ESHUTDOWN ? 0 : r; /* nobody will be called any more */
        }
        snprintf(n->address, sizeof n->address, "%s", address ? address : "");
        for (unsigned i = 0; i < PEER_LANES_COUNT; i++) {
                if (n->links[i].address_posted)
                        continue;
                n->links[i].address_posted = true;
                loop_post(n->links[i].loop, &n->links[i].address_mail);
        }
        pthread_mutex_unlock(&h->lock);
        return 0;
}

void peer_node_note_error(struct peer_hub *h, int32_t id, const char *text)
{
        char address[PEER_ADDRESS_SIZE] = "";
        struct peer_node *n;
        bool news = false;

        pthread_mutex_lock(&h->lock);
        n = peer_node_find(h, id);
        if (n) {
                news = strcmp(n->info.error, text);
                snprintf(n->info.error, sizeof n->info.error, "%s", text);
                n->info.error_ms = clock_wall_ms();
                memcpy(address, n->address, sizeof address);
        }
        pthread_mutex_unlock(&h->lock);
        if (news)
                diag_about(DIAG_WARN,
                           DIAG_ABOUT(NODE_TROUBLE, { "PEER", .number = id }, { "ADDRESS", .text = str_of(address) }),
                           "node %d (%s): %s", id, *address ? address : "no address", text);
}

void peer_node_note_hello(struct peer_hub *h, const struct peer_side *them)
{
        struct peer_node *n;
        bool was_bad = false;

        pthread_mutex_lock(&h->lock);
        if (!node_get(h, them->id.node, &n)) {
                n->info.known = true;
                n->info.peer = them->id;
                n->info.clock_ahead_ms = them->wall_ms - clock_wall_ms();
                was_bad = *n->info.error;
                *n->info.error = '\0';
        }
        pthread_mutex_unlock(&h->lock);
        if (was_bad)
                diag(DIAG_NOTICE, "node %d is reached again", them->id.node);
}

bool peer_node_note_caller(struct peer_hub *h, const struct peer_side *them, struct peer_node **ret_node,
                           char ret_why[PEER_TEXT_SIZE])
{
        int64_t now_ms = clock_mono_ms();
        struct peer_node *n = NULL;
        bool taken = false;

        pthread_mutex_lock(&h->lock);
        if (!node_get(h, them->id.node, &n)) {
                taken = n->info.in_count && !uuid_equal(n->in_process, them->id.incarnation) &&
                        now_ms - atomic_load(&n->in_heard_ms) < PEER_THERE_MS;
                if (!taken) {
                        n->in_process = them->id.incarnation;
                        atomic_store(&n->in_heard_ms, now_ms);
                        n->info.known = true;
                        n->info.peer = them->id;
                        n->info.clock_ahead_ms = them->wall_ms - clock_wall_ms();
                        n->info.in_count++;
                }
        }
        pthread_mutex_unlock(&h->lock);
        if (taken)
                snprintf(ret_why, PEER_TEXT_SIZE,
                         "node %d is there already, as another process: two nodes have the id %d, or one was started "
                         "twice on copies of its folder. Stop the wrong one; each needs an id and a folder of its own",
                         them->id.node, them->id.node);
        *ret_node = n;
        return !taken;
}

void peer_node_note_gone(struct peer_hub *h, int32_t id)
{
        struct peer_node *n;

        pthread_mutex_lock(&h->lock);
        n = peer_node_find(h, id);
        if (n && n->info.in_count)
                n->info.in_count--;
        pthread_mutex_unlock(&h->lock);
}

/* ---- what is to be seen ---- */

static void node_describe(const struct peer_node *n, struct peer_info *ret)
{
        *ret = n->info;
        memcpy(ret->address, n->address, sizeof ret->address);
        for (unsigned i = 0; i < PEER_LANES_COUNT; i++)
                ret->links[i] = n->links[i].info;
}

unsigned peer_hub_list(struct peer_hub *h, struct peer_info *ret_infos, unsigned max)
{
        unsigned count;

        pthread_mutex_lock(&h->lock);
        count = h->nodes_count;
        for (unsigned i = 0; i < MIN2(count, max); i++)
                node_describe(h->nodes[i], &ret_infos[i]);
        pthread_mutex_unlock(&h->lock);
        return count;
}

bool peer_hub_find(struct peer_hub *h, int32_t node, struct peer_info *ret_info)
{
        struct peer_node *n;

        pthread_mutex_lock(&h->lock);
        n = peer_node_find(h, node);
        if (n)
                node_describe(n, ret_info);
        pthread_mutex_unlock(&h->lock);
        return n;
}
