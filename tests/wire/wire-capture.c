/* Writes a capture file (pcap, raw IPv4) with one connection per API and version: a request of ours and its response,
 * as they would travel. On standard output: the connection's number, API key, version and name, one line each.
 * Connection 0 is a Metadata exchange with known content. Not a network program: the packets are made, not sent. */
#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "case.h"
#include "wire/api.h"
#include "wire/messages.h"

#define PACKET_MAX 60000
#define LINKTYPE_RAW 101
#define FIRST_CLIENT_PORT 20000

static void store_le32(uint8_t *p, uint32_t v)
{
        v = htole32(v);
        memcpy(p, &v, 4);
}

static bool put(FILE *out, const void *data, size_t len)
{
        return fwrite(data, 1, len, out) == len;
}

static bool put_file_header(FILE *out)
{
        uint8_t h[24] = { 0xd4, 0xc3, 0xb2, 0xa1, 2, 0, 4, 0 };

        store_le32(h + 16, 1 << 18);
        store_le32(h + 20, LINKTYPE_RAW);
        return put(out, h, sizeof h);
}

/* One TCP segment with @payload. Checksums stay 0: readers do not check them unless asked. */
static bool put_packet(FILE *out, bool from_client, uint16_t client_port, const uint8_t *payload, size_t len)
{
        static const uint8_t client[] = { 10, 0, 0, 1 }, broker[] = { 10, 0, 0, 2 };
        uint8_t h[16 + 20 + 20] = { 0 };
        uint8_t *ip = h + 16, *tcp = ip + 20;

        store_le32(h + 8, (uint32_t)(40 + len));
        store_le32(h + 12, (uint32_t)(40 + len));
        ip[0] = 0x45;
        store_be16(ip + 2, (uint16_t)(40 + len));
        ip[8] = 64;
        ip[9] = 6;
        memcpy(ip + 12, from_client ? client : broker, 4);
        memcpy(ip + 16, from_client ? broker : client, 4);
        store_be16(tcp, from_client ? client_port : 9092);
        store_be16(tcp + 2, from_client ? 9092 : client_port);
        store_be32(tcp + 4, 1);
        store_be32(tcp + 8, 1);
        tcp[12] = 5 << 4;
        tcp[13] = 0x18; /* PSH, ACK */
        store_be16(tcp + 14, 65535);
        return put(out, h, sizeof h) && put(out, payload, len);
}

/* One frame: length, header, body. Return: its size. */
static size_t make_frame(uint8_t *buf, const struct wire_api *api, int16_t version, const struct wire_case *c,
                         const void *m)
{
        const bool request = !strcmp(c->kind, "request");
        struct writer w = writer_of(buf + 4, PACKET_MAX - 4);
        struct writer body;
        size_t len = c->size(m, version);

        if (request) {
                struct request_header h;

                request_header_init(&h);
                h.request_api_key = api->key;
                h.request_api_version = version;
                h.correlation_id = 1000 + api->key;
                h.client_id = STR_LIT("capture");
                request_header_encode(&h, &w, wire_api_request_header(api, version));
        } else {
                struct response_header h = { .correlation_id = 1000 + api->key };

                response_header_encode(&h, &w, wire_api_response_header(api, version));
        }
        body = writer_of(w.at, len);
        c->encode(m, &body, version);
        store_be32(buf, (uint32_t)(writer_pos(&w) + len));
        return 4 + writer_pos(&w) + len;
}

static const struct wire_case *find(int16_t key, const char *kind)
{
        for (size_t i = 0; i < wire_cases_count; i++)
                if (wire_cases[i].key == key && !strcmp(wire_cases[i].kind, kind))
                        return &wire_cases[i];
        return NULL;
}

static bool put_exchange(FILE *out, unsigned number, const struct wire_api *api, int16_t version, const void *request,
                         const void *response)
{
        static uint8_t buf[PACKET_MAX];
        uint16_t port = (uint16_t)(FIRST_CLIENT_PORT + number);
        size_t len = make_frame(buf, api, version, find(api->key, "request"), request);
        bool ok = put_packet(out, true, port, buf, len);

        len = make_frame(buf, api, version, find(api->key, "response"), response);
        printf("%u %d %d %s\n", number, api->key, version, api->name);
        return ok && put_packet(out, false, port, buf, len);
}

static bool put_known(FILE *out)
{
        int32_t replicas[] = { 7, 8 };
        struct metadata_response_partition p = { .partition_index = 3, .leader_id = 7, .leader_epoch = 12 };
        struct metadata_response_topic t = { .name = STR_LIT("orders"), .partitions = &p, .partitions_count = 1 };
        struct metadata_response_broker b = {
                .node_id = 7, .host = STR_LIT("seven.example"), .port = 19092, .rack = STR_LIT("r1")
        };
        struct metadata_response m;
        struct metadata_request_topic asked = { .name = STR_LIT("orders") };
        struct metadata_request q;

        metadata_request_init(&q);
        q.topics = &asked;
        q.topics_count = 1;
        metadata_response_init(&m);
        p.replica_nodes = p.isr_nodes = replicas;
        p.replica_nodes_count = p.isr_nodes_count = 2;
        m.brokers = &b;
        m.brokers_count = 1;
        m.cluster_id = STR_LIT("our-cluster");
        m.controller_id = 7;
        m.topics = &t;
        m.topics_count = 1;
        return put_exchange(out, 0, wire_api_find(3), 8, &q, &m);
}

static bool put_random(FILE *out, unsigned number, const struct wire_api *api, int16_t version)
{
        const struct wire_case *q = find(api->key, "request"), *a = find(api->key, "response");
        void *request = calloc(1, q->struct_size), *response = calloc(1, a->struct_size);
        struct arena arena;
        struct fill f;
        bool ok;

        arena_init(&arena, 0);
        f = fill_of(number, &arena);
        f.small = f.plain = true;
        q->fill(&f, request, version);
        a->fill(&f, response, version);
        if (api->key == PRODUCE_REQUEST_KEY)
                ((struct produce_request *)request)->acks = 1; /* with 0 a reader expects no response */
        ok = put_exchange(out, number, api, version, request, response);
        free(request);
        free(response);
        arena_fini(&arena);
        return ok;
}

int main(int argc, char **argv)
{
        FILE *out = argc == 2 ? fopen(argv[1], "wb") : NULL;
        unsigned number = 1;
        bool ok;

        if (!out) {
                fprintf(stderr, "usage: wire-capture FILE (%s)\n", argc == 2 ? strerror(errno) : "one name");
                return 2;
        }
        ok = put_file_header(out) && put_known(out);
        for (size_t i = 0; i < wire_apis_count; i++)
                for (int16_t v = wire_apis[i].version_min; ok && v <= wire_apis[i].version_max; v++)
                        ok = put_random(out, number++, &wire_apis[i], v);
        return fclose(out) || !ok;
}
