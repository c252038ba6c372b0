/* Addresses as text and as numbers. */
#include <arpa/inet.h>
#include <errno.h>
#include <netdb.h>
#include <stdio.h>
#include <string.h>

#include "sys/sock.h"

static int parse_port(const char *text, uint16_t *ret_port)
{
        unsigned port = 0;

        if (!*text || strlen(text) > 5)
                return -EINVAL;
        for (; *text; text++) {
                if (*text < '0' || *text > '9')
                        return -EINVAL;
                port = port * 10 + (unsigned)(*text - '0');
        }
        if (port > UINT16_MAX)
                return -EINVAL;
        *ret_port = (uint16_t)port;
        return 0;
}

int sock_split_host_port(const char *text, char ret_host[SOCK_HOST_SIZE], uint16_t *ret_port)
{
        const char *host = text, *host_end, *colon;
        uint16_t port;

        if (*text == '[') {
                host = text + 1;
                host_end = strchr(host, ']');
                if (!host_end || host_end == host || host_end[1] != ':')
                        return -EINVAL;
                colon = host_end + 1;
        } else {
                colon = strrchr(text, ':');
                host_end = colon;
                /* A second colon is an IPv6 address without brackets, whose last group would pass for a port. */
                if (!colon || memchr(text, ':', (size_t)(colon - text)))
                        return -EINVAL;
                if (host_end - host == 1 && *host == '*')
                        host = host_end;
        }
        for (const char *p = host; p < host_end; p++)
                if ((unsigned char)*p <= ' ' || *p == 0x7f || *p == '/' || *p == '[' || *p == ']')
                        return -EINVAL;
        if (host_end - host >= SOCK_HOST_SIZE || parse_port(colon + 1, &port))
                return -EINVAL;
        memcpy(ret_host, host, (size_t)(host_end - host));
        ret_host[host_end - host] = '\0';
        *ret_port = port;
        return 0;
}

static int resolve_errno(int gai)
{
        switch (gai) {
        case EAI_NONAME:
        case EAI_NODATA:
                return -ENOENT;
        case EAI_AGAIN:
                return -EAGAIN;
        case EAI_MEMORY:
                return -ENOMEM;
        case EAI_SYSTEM:
                return errno ? -errno : -EIO;
        default:
                return -EINVAL;
        }
}

int sock_resolve(const char *host, uint16_t port, bool numeric_only,
                 struct sock_address ret_addresses[SOCK_RESOLVE_COUNT_MAX], unsigned *ret_count)
{
        struct addrinfo hints = {
                .ai_family = AF_UNSPEC,
                .ai_socktype = SOCK_STREAM,
                .ai_flags = AI_NUMERICSERV | (numeric_only ? AI_NUMERICHOST : 0) | (*host ? 0 : AI_PASSIVE),
        };
        struct addrinfo *found = NULL;
        char service[8];
        unsigned n = 0;
        int r;

        snprintf(service, sizeof service, "%u", port);
        r = getaddrinfo(*host ? host : NULL, service, &hints, &found);
        if (r == EAI_NONAME && numeric_only)
                return -EINVAL;
        if (r)
                return resolve_errno(r);
        for (struct addrinfo *a = found; a && n < SOCK_RESOLVE_COUNT_MAX; a = a->ai_next) {
                if ((a->ai_family != AF_INET && a->ai_family != AF_INET6) ||
                    a->ai_addrlen > sizeof(struct sock_address))
                        continue;
                memset(&ret_addresses[n], 0, sizeof ret_addresses[n]);
                memcpy(&ret_addresses[n++], a->ai_addr, a->ai_addrlen);
        }
        freeaddrinfo(found);
        if (!n)
                return -ENOENT;
        *ret_count = n;
        return 0;
}

uint16_t sock_address_port(const struct sock_address *a)
{
        return ntohs(a->any.sa_family == AF_INET ? a->v4.sin_port : a->v6.sin6_port);
}

void sock_format_host(const struct sock_address *a, char ret_text[SOCK_TEXT_SIZE])
{
        const char *done = ret_text;

        if (a->any.sa_family == AF_INET)
                done = inet_ntop(AF_INET, &a->v4.sin_addr, ret_text, SOCK_TEXT_SIZE);
        else if (a->any.sa_family != AF_INET6)
                snprintf(ret_text, SOCK_TEXT_SIZE, "?");
        else if (IN6_IS_ADDR_V4MAPPED(&a->v6.sin6_addr))
                done = inet_ntop(AF_INET, &a->v6.sin6_addr.s6_addr[12], ret_text, SOCK_TEXT_SIZE);
        else
                done = inet_ntop(AF_INET6, &a->v6.sin6_addr, ret_text, SOCK_TEXT_SIZE);
        assert(done);
}

int sock_canonical_host(struct str text, char ret_text[SOCK_TEXT_SIZE])
{
        struct sock_address found[SOCK_RESOLVE_COUNT_MAX];
        char host[SOCK_TEXT_SIZE];
        unsigned count;

        if (!text.len || text.len >= sizeof host || memchr(text.p, '\0', text.len) || memchr(text.p, '%', text.len))
                return -EINVAL; /* a scope is of one machine */
        memcpy(host, text.p, text.len);
        host[text.len] = '\0';
        if (sock_resolve(host, 0, true, found, &count))
                return -EINVAL;
        sock_format_host(&found[0], ret_text);
        return 0;
}

void sock_format(const struct sock_address *a, char ret_text[SOCK_TEXT_SIZE])
{
        char host[SOCK_TEXT_SIZE];
        bool brackets;

        sock_format_host(a, host);
        brackets = strchr(host, ':');
        snprintf(ret_text, SOCK_TEXT_SIZE, "%s%.46s%s:%u", brackets ? "[" : "", host, brackets ? "]" : "",
                 sock_address_port(a));
}

void sock_address_key(const struct sock_address *a, uint8_t ret_key[16])
{
        if (a->any.sa_family == AF_INET6) {
                memcpy(ret_key, &a->v6.sin6_addr, 16);
                return;
        }
        memset(ret_key, 0, 10);
        memset(ret_key + 10, 0xff, 2);
        memcpy(ret_key + 12, &a->v4.sin_addr, 4);
}
